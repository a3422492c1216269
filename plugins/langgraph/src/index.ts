// Agents of Mainstay that are graphs of LangGraph.js. serve makes a process out of a graph; what the graph may use of the world
// it asks the run for. README.md says how.
import type { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import { isInterrupted } from "@langchain/langgraph";
import type { BaseMessage } from "@langchain/core/messages";
import { conversation, HostModel, textOf } from "./model.ts";
import { serveAgent, type Info } from "./runtime.ts";
import type { Run } from "./run.ts";
import { hostTools } from "./tools.ts";

export { conversation, fromAnswer, HostModel, textOf, type HostModelOptions } from "./model.ts";
export type { Image, Limits, Message, ModelAnswer, SkillInfo, ToolInfo, ToolResult, ToolUse } from "./protocol.ts";
export { Cancelled, Refusal, type JSONValue, type Run } from "./run.ts";
export { serveAgent, type Agent, type Info } from "./runtime.ts";
export { hostTools, readable, toolNode } from "./tools.ts";

// Given is what a graph is made of.
export interface Given {
  run: Run;
  // model asks the agent's model.
  model: HostModel;
  // tools are the agent's tools.
  tools: ReturnType<typeof hostTools>;
}

// Graph is a compiled graph, as StateGraph.compile returns it, without a checkpointer: the host's record is the checkpoint.
export interface Graph<Input, State> {
  invoke(input: Input, config: { callbacks: BaseCallbackHandler[]; recursionLimit: number; signal: AbortSignal }): Promise<State>;
}

// Service is a runtime that is a graph.
export interface Service<Input, State> extends Info {
  // graph makes the graph of one run.
  graph(given: Given): Graph<Input, State>;
  // input is the state that the graph starts with. Default: messages, with the thread's history and the task.
  input?: (run: Run) => Input;
  // output is what the run ends with. Default: the text of the last of the state's messages.
  output?: (state: State) => string;
}

// steps is how many steps a graph may take. The host bounds turns, calls and time.
const steps = 100_000;

// serve makes this process a runtime whose agents are graphs.
export function serve<Input, State>(service: Service<Input, State>): void {
  serveAgent(service, async (run) => {
    const graph = service.graph({ run, model: new HostModel(run), tools: hostTools(run) });
    const input = service.input ? service.input(run) : ({ messages: conversation(run) } as Input);
    const state = await graph.invoke(input, { callbacks: [run.lanes], recursionLimit: steps, signal: run.signal });
    if (isInterrupted(state)) {
      throw new Error("the graph called interrupt, which nobody can resume: let a tool whose effect is write ask a person");
    }
    if (service.output) return service.output(state);
    const last = (state as { messages?: BaseMessage[] }).messages?.at(-1);
    if (!last) throw new Error("the graph ended without a message: say in serve how its state becomes the output");
    return textOf(last);
  });
}
