// A graph that does as many things at once as it can, for the test of lanes: two nodes side by side, tasks of one node that a
// Send starts, a subgraph that such tasks run, and in the end a model with all that was found. Requests go to tools, to the
// model, and for the time, from each of them.
import { Annotation, END, Send, START, StateGraph } from "@langchain/langgraph";
import { serve } from "../src/index.ts";

const places = ["north", "east", "south", "west"];

const State = Annotation.Root({
  place: Annotation<string>,
  seen: Annotation<string[]>({ reducer: (a, b) => [...a, ...b], default: () => [] }),
});

serve({
  name: "lanes",
  version: "1.0.0",
  input: () => ({}),
  output: (state: typeof State.State) => state.seen.at(-1) ?? "",
  graph: ({ run, model, tools }) => {
    const look = tools.find((t) => t.name === "probe__look");
    // visit asks for something three times, one after the other.
    const visit = (what: string) => async ({ place = "" }: { place?: string }) => {
      const result = await run.callTool("probe__look", { at: `${what} ${place}` });
      const { text } = await model.bindTools(tools).invoke(`${what} ${place}: ${result.text}`);
      const again = String(await look?.invoke({ at: text }));
      const time = (await run.now()).toISOString();
      return { seen: [`${text} ${again} ${time}`] };
    };
    const inner = new StateGraph(State)
      .addNode("near", visit("near"))
      .addNode("far", visit("far"))
      .addEdge(START, "near").addEdge(START, "far").addEdge("near", END).addEdge("far", END)
      .compile();
    const everywhere = () => places.flatMap((place) => [new Send("visit", { place }), new Send("inner", { place })]);
    return new StateGraph(State)
      .addNode("left", visit("left"))
      .addNode("right", visit("right"))
      .addNode("visit", visit("visit"))
      .addNode("inner", async (state) => ({ seen: (await inner.invoke({ place: state.place })).seen }))
      .addNode("sub", inner)
      .addNode("join", async ({ seen }) => ({ seen: [(await model.invoke(seen.join("\n"))).text] }))
      .addEdge(START, "left").addEdge(START, "right").addEdge(START, "sub")
      .addConditionalEdges(START, everywhere, ["visit", "inner"])
      .addEdge(["left", "right", "sub", "visit", "inner"], "join")
      .addEdge("join", END)
      .compile();
  },
});
