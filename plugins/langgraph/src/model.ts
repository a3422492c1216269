// The agent's model as a chat model of LangChain. Every call of it is a request to the host, which holds the key, adds the
// agent's instructions, decides, counts and records.
import type { CallbackManagerForLLMRun } from "@langchain/core/callbacks/manager";
import { BaseChatModel, type BaseChatModelCallOptions } from "@langchain/core/language_models/chat_models";
import type { BaseLanguageModelInput } from "@langchain/core/language_models/base";
import { AIMessage, HumanMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import type { ChatResult } from "@langchain/core/outputs";
import { RunnableLambda, type Runnable } from "@langchain/core/runnables";
import { isInteropZodSchema } from "@langchain/core/utils/types";
import { toJsonSchema } from "@langchain/core/utils/json_schema";
import type { Image, Message, ModelAnswer } from "./protocol.ts";
import type { JSONValue, Run } from "./run.ts";

export interface HostModelOptions extends BaseChatModelCallOptions {
  // offered are the names of the tools that are offered. Use bindTools.
  offered?: string[];
  // outputSchema is the JSON Schema that the answer's text must follow.
  outputSchema?: JSONValue | undefined;
}

// HostModel asks the model that the agent's spec names. Which one it is, and its parameters, are not the graph's to say.
export class HostModel extends BaseChatModel<HostModelOptions> {
  constructor(private readonly run: Run) {
    super({ maxRetries: 0 }); // The host tries again where that makes sense.
  }

  override _llmType(): string {
    return "mainstay";
  }

  // bindTools offers tools: their names, or anything that has one. Descriptions and schemas are the host's.
  override bindTools(tools: readonly (string | { name?: unknown; function?: { name: string } })[], options?: Partial<HostModelOptions>) {
    const offered = tools.map((t) => {
      const name = typeof t === "string" ? t : (t.function?.name ?? t.name);
      if (typeof name !== "string" || name === "") throw new Error("a tool that is offered to the model has no name");
      return name;
    });
    return this.withConfig({ ...options, offered } as Partial<HostModelOptions>);
  }

  // withStructuredOutput asks for answers that follow a schema, of Zod or JSON Schema, and returns them parsed.
  override withStructuredOutput(schema: unknown): Runnable<BaseLanguageModelInput, never> {
    const outputSchema = (isInteropZodSchema(schema) ? toJsonSchema(schema) : schema) as JSONValue;
    return this.withConfig({ outputSchema } as Partial<HostModelOptions>).pipe(
      RunnableLambda.from((answer: BaseMessage) => JSON.parse(textOf(answer)) as never),
    );
  }

  // The answer is the host's, whole, and not what the deltas add up to: after a restart there are none. So stream() yields
  // one chunk, and who wants the deltas listens to handleLLMNewToken, as the stream mode "messages" of a graph does.
  override async _generate(messages: BaseMessage[], options: this["ParsedCallOptions"], manager?: CallbackManagerForLLMRun): Promise<ChatResult> {
    const answer = await this.run.ask(
      { messages: messages.map((m) => toMessage(m, (id, args) => this.run.argumentsOf(id, args))), tools: options.offered ?? [], outputSchema: options.outputSchema },
      (text) => void manager?.handleLLMNewToken(text),
    );
    return { generations: [{ text: answer.text, message: fromAnswer(answer) }], llmOutput: {} };
  }
}

// fromAnswer is a model's answer as a message of LangChain.
export function fromAnswer(answer: ModelAnswer): AIMessage {
  const { inputTokens = 0, outputTokens = 0 } = answer.usage ?? {};
  const message = new AIMessage({
    content: answer.text,
    tool_calls: answer.calls.map((c) => ({
      type: "tool_call" as const, id: c.callId, name: c.name, args: JSON.parse(c.argumentsJson || "{}") as Record<string, unknown>,
    })),
    response_metadata: { finish_reason: answer.finishReason },
  });
  const usage = { input_tokens: inputTokens, output_tokens: outputTokens, total_tokens: inputTokens + outputTokens };
  message.usage_metadata = usage as never; // The type depends on the tools, which are not known here.
  return message;
}

// conversation is what a conversation with the model begins with: the history, and the task as the user's message.
export function conversation(run: Run): BaseMessage[] {
  return [...run.history.map((m) => (m.role === "assistant" ? new AIMessage(m.text) : new HumanMessage(m.text))), new HumanMessage({ content: run.task, ...shows(run.images) })];
}

// shows are the fields of a message that shows images. The host has their data; a message only names them.
export function shows(images: readonly Image[]): { additional_kwargs?: { images: readonly Image[] } } {
  return images.length > 0 ? { additional_kwargs: { images } } : {};
}

// shownIn are the images that a message shows.
function shownIn(message: BaseMessage): { images?: Image[] } {
  const images = message.additional_kwargs["images"];
  return Array.isArray(images) && images.length > 0 ? { images: images as Image[] } : {};
}

// textOf is the text of a message: all of it, where it comes in blocks.
export function textOf(message: BaseMessage): string {
  if (typeof message.content === "string") return message.content;
  return message.content.map((block) => {
    if (block.type === "text" && typeof block["text"] === "string") return block["text"];
    throw new Error(`a message holds a block of type ${String(block.type)}: a model of Mainstay takes text only`);
  }).join("");
}

// argumentsOf tells the JSON of a call's arguments, see Wire.argumentsOf.
type ArgumentsOf = (id: string, args: JSONValue) => string;

// toMessage is a message of LangChain in the form of the protocol, without its id, which is another one each time.
function toMessage(message: BaseMessage, argumentsOf: ArgumentsOf): Message {
  const text = textOf(message);
  if (message instanceof ToolMessage || message.getType() === "tool") {
    const tool = message as ToolMessage;
    return { role: "tool", text, toolCallId: tool.tool_call_id, toolName: tool.name ?? "", ...shownIn(message) };
  }
  switch (message.getType()) {
    case "human":
      return { role: "user", text, ...shownIn(message) };
    case "system":
      return { role: "system", text };
    case "ai":
      return {
        role: "assistant", text,
        toolUses: ((message as AIMessage).tool_calls ?? []).map((c) => ({
          callId: c.id ?? "", name: c.name, argumentsJson: argumentsOf(c.id ?? "", c.args as JSONValue),
        })),
      };
    default:
      throw new Error(`a message of type ${message.getType()} cannot be sent to a model: use user, assistant, tool or system`);
  }
}
