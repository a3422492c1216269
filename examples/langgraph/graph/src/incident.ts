// The runtime incident: an incident is triaged by a graph.
//
//            +-> inspect (checkout) -+
//   START ---+-> inspect (catalog)  -+-> assess --(restart)--> repair --> END
//            +-> inspect (frontend) -+       \---(report)--------------> END
//
// What is to be done, and in which order, the graph says; the model only reads and judges. The deployments are inspected at the
// same time, each in a lane of its own, so that the run can be replayed whichever of them is the first to be done. A restart is
// a call of a tool that writes: it becomes a pull request, and the graph waits until a person has decided.
import { Annotation, END, Send, START, StateGraph } from "@langchain/langgraph";
import { Refusal, serve } from "@mainstay-dev/langgraph";
import { z } from "zod";

const namespace = "shop";
const deployments = ["checkout", "catalog", "frontend"];

// What the tools of the simulated cluster answer.
const Deployment = z.object({ image: z.string(), replicas: z.number(), ready: z.number() });
const Advisories = z.object({ advisories: z.array(z.object({ id: z.string(), title: z.string(), restart: z.array(z.object({ namespace: z.string(), name: z.string() })) })) });
// What becomes of a call that a person decides on.
const Decided = z.object({ state: z.string(), outcome: z.string().optional(), reason: z.string().optional() });
// What the model says is to be done.
const Verdict = z.object({ action: z.enum(["restart", "report"]), deployment: z.string(), why: z.string() });

interface Finding {
  deployment: string;
  summary: string;
}

const State = Annotation.Root({
  // deployment is what one task of inspect is about.
  deployment: Annotation<string>,
  findings: Annotation<Finding[]>({ reducer: (all, more) => [...all, ...more], default: () => [] }),
  verdict: Annotation<z.infer<typeof Verdict>>,
  report: Annotation<string>,
});

serve({
  name: "incident",
  version: "1.0.0",
  input: () => ({}),
  output: (state: typeof State.State) => state.report,
  graph: ({ run, model }) => {
    // look calls a tool that reads, and checks what it answers.
    const look = async <T>(tool: string, args: Record<string, string>, answer: z.ZodType<T>): Promise<T> => {
      const result = await run.callTool(tool, args);
      if (result.isError) throw new Error(`${tool}: ${result.text}`);
      return answer.parse(JSON.parse(result.structuredJson || result.text));
    };

    return new StateGraph(State)
      .addNode("inspect", async ({ deployment }) => {
        const is = await look("cluster__get_deployment", { namespace, name: deployment }, Deployment);
        const { advisories } = await look("cluster__list_advisories", { image: is.image }, Advisories);
        const known = JSON.stringify({ ...is, advisories });
        const { text } = await model.invoke(`Sum up in one sentence what is wrong with ${namespace}/${deployment}, if anything: ${known}`);
        return { findings: [{ deployment, summary: text }] };
      })
      .addNode("assess", async ({ findings }) => {
        // The findings come in the order of the deployments, not in that in which the tasks were done.
        const all = findings.map((f) => `- ${f.deployment}: ${f.summary}`).join("\n");
        const verdict = Verdict.parse(
          await model.withStructuredOutput(Verdict).invoke(`The incident: ${run.task}\n\nWhat was found:\n${all}\n\nDecide what is to be done.`),
        );
        return { verdict, report: `${all}\n\n${verdict.why}` };
      })
      .addNode("repair", async ({ verdict, report }) => {
        // This may take days. The process ends meanwhile, and the run is replayed up to here in another one.
        const said = await look("cluster__restart_deployment", { namespace, name: verdict.deployment }, Decided).catch((err: unknown) => {
          if (err instanceof Refusal) return { state: "refused", reason: err.message };
          throw err;
        });
        const why = said.reason ? `: ${said.reason}` : "";
        const became = said.state !== "merged" ? `was ${said.state}${why}` : "outcome" in said && said.outcome === "done" ? "is done" : `did not succeed${why}`;
        return { report: `${report}\nThe restart of ${namespace}/${verdict.deployment} ${became}.` };
      })
      .addConditionalEdges(START, () => deployments.map((deployment) => new Send("inspect", { deployment })), ["inspect"])
      .addEdge("inspect", "assess")
      .addConditionalEdges("assess", ({ verdict }) => (verdict.action === "restart" ? "repair" : END), ["repair", END])
      .addEdge("repair", END)
      .compile();
  },
});
