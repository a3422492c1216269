// The agent's tools for graphs: as tools of LangChain, and as a node that carries out what the model asked for.
import { AIMessage, ToolMessage, type BaseMessage } from "@langchain/core/messages";
import { DynamicStructuredTool } from "@langchain/core/tools";
import { shows } from "./model.ts";
import type { ToolResult } from "./protocol.ts";
import { Refusal, type JSONValue, type Run } from "./run.ts";

// readable is what a model reads of a result: its text, or the structured value where there is no text.
export function readable(result: ToolResult): string {
  const text = result.text || result.structuredJson;
  return result.isError ? `error: ${text}` : text;
}

function toolMessage(name: string, id: string, result: ToolResult): ToolMessage {
  return new ToolMessage({
    name, tool_call_id: id, content: readable(result), status: result.isError ? "error" : "success", ...shows(result.images ?? []),
    ...(result.structuredJson ? { artifact: JSON.parse(result.structuredJson) as unknown } : {}),
  });
}

// hostTools are the tools of the agent as tools of LangChain. To invoke one is to ask the host, which decides by policy, may
// have a person review the call first, and records it. A tool that is refused, or fails, returns what says so.
export function hostTools(run: Run): DynamicStructuredTool[] {
  return run.tools.map((tool) => new DynamicStructuredTool({
    name: tool.name,
    description: tool.description,
    schema: JSON.parse(tool.inputSchemaJson || `{"type":"object"}`) as Record<string, unknown>,
    func: async (args: unknown, _manager, config) => {
      const id = (config as { toolCall?: { id?: string } } | undefined)?.toolCall?.id;
      const result = await run.callTool(tool.name, args as JSONValue, id).catch((err: unknown): ToolResult => {
        if (err instanceof Refusal) return { text: err.message, structuredJson: "", isError: true };
        throw err;
      });
      return id === undefined ? readable(result) : toolMessage(tool.name, id, result);
    },
  }));
}

// toolNode is a node that makes all calls of the last message at once, in its order, and adds their results. Unlike the
// ToolNode of LangGraph it changes nothing in them and leaves it to the host to check their arguments.
export function toolNode(run: Run) {
  return async (state: { messages: BaseMessage[] }): Promise<{ messages: ToolMessage[] }> => {
    const last = state.messages.at(-1);
    const calls = last instanceof AIMessage ? (last.tool_calls ?? []) : [];
    const results = await run.callTools(calls.map((c) => ({ id: c.id, name: c.name, args: c.args as JSONValue })));
    return { messages: results.map((result, i) => toolMessage(calls[i]?.name ?? "", calls[i]?.id ?? "", result)) };
  };
}
