// Lanes: the names of a run's concurrent branches, taken from where in a graph something is asked for.
//
// The requests of one lane must come in the same order each time, and nodes of a graph that run at once do not. So each node
// has a lane of its own, named after it: "look" for the node look, "look/2" for the third of several tasks that a Send
// started in it, "sub:look" for the node look of a subgraph that is the node sub. A node that runs again later in the run, as
// in a loop, has the same lane: LangGraph ends all nodes of a step before it begins the next one.
import { createHash } from "node:crypto";
import { BaseCallbackHandler } from "@langchain/core/callbacks/base";
import { AsyncLocalStorageProviderSingleton } from "@langchain/core/singletons";

const longest = 64; // bytes of a lane's name

// laneName makes a lane's name of any text. Different texts have different names.
export function laneName(text: string): string {
  const plain = text.replace(/[^A-Za-z0-9._/:-]/g, "_");
  if (plain === text && text.length <= longest && text !== "") return text;
  return `${plain.slice(0, longest - 13)}.${createHash("sha256").update(text).digest("hex").slice(0, 12)}`;
}

type Metadata = Record<string, unknown>;

// Lanes tells the lane of the code that runs. LangGraph names a task by its node and an id that is different each time; which
// of several tasks of a node it is, only the beginning of the task tells, so that one is listened to.
export class Lanes extends BaseCallbackHandler {
  override name = "mainstay_lanes";
  override awaitHandlers = true;
  // segments are the parts of lanes' names, by LangGraph's name of the task.
  private readonly segments = new Map<string, string>();

  override handleChainStart(
    _chain: unknown, _inputs: unknown, _run: string, _parent?: string, _tags?: string[], metadata?: Metadata,
  ): void {
    this.note(metadata);
  }

  private note(metadata: Metadata | undefined): void {
    const namespace = metadata?.["langgraph_checkpoint_ns"];
    if (typeof namespace === "string" && namespace !== "" && !this.segments.has(namespace)) {
      this.segments.set(namespace, segment(namespace, metadata?.["langgraph_path"]));
    }
  }

  // current is the lane of the node that calls, or "" outside of every node.
  current(): string {
    const metadata = AsyncLocalStorageProviderSingleton.getRunnableConfig()?.metadata as Metadata | undefined;
    const namespace = metadata?.["langgraph_checkpoint_ns"];
    if (typeof namespace !== "string" || namespace === "") return "";
    this.note(metadata);
    const tasks = namespace.split("|");
    const parts = tasks.map((_, i) => {
      const task = tasks.slice(0, i + 1).join("|");
      return this.segments.get(task) ?? segment(task, undefined);
    });
    return laneName(parts.join(":"));
  }
}

// segment is the name of a task's node and, where there are several, which one it is: the numbers in the task's path, such as
// ["__pregel_push", 2] for the third Send of a step. The path of the only task of a node, ["__pregel_pull", "look"], has none.
function segment(namespace: string, path: unknown): string {
  const task = namespace.slice(namespace.lastIndexOf("|") + 1);
  const node = task.replace(/:[^:]*$/, "");
  const numbers = JSON.stringify(path ?? []).match(/(?<=[[,])\d+(?=[\],])/g) ?? [];
  return [node, ...numbers].join("/");
}
