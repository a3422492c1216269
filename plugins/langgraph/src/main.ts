// The runtime langgraph: a model with tools, as a graph. It asks the model, carries out the calls of its answer, and repeats
// until an answer calls no tool; that answer is the output, once the host finds nothing wrong with it.
import { AIMessage, HumanMessage } from "@langchain/core/messages";
import { END, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { serve, textOf, toolNode } from "./index.ts";

type State = typeof MessagesAnnotation.State;

serve({
  name: "langgraph",
  version: "1.0.0",
  features: ["check", "images"],
  graph: ({ run, model }) => {
    const asked = model.bindTools(run.tools, { outputSchema: run.outputSchema });
    const last = (state: State) => state.messages.at(-1);
    return new StateGraph(MessagesAnnotation)
      .addNode("model", async (state) => ({ messages: [await asked.invoke(state.messages)] }))
      .addNode("tools", toolNode(run))
      .addNode("check", async (state) => {
        const answer = last(state);
        const problem = answer ? await run.check(textOf(answer)) : "";
        return { messages: problem ? [new HumanMessage(problem)] : [] };
      })
      .addEdge(START, "model")
      .addConditionalEdges("model", (state) => {
        const answer = last(state);
        return answer instanceof AIMessage && answer.tool_calls?.length ? "tools" : "check";
      }, ["tools", "check"])
      .addEdge("tools", "model")
      .addConditionalEdges("check", (state) => (last(state) instanceof HumanMessage ? "model" : END), ["model", END])
      .compile();
  },
});
