// One run as its agent sees it: what it was given, and what it can ask the host for.
import { isDeepStrictEqual } from "node:util";
import { laneName, Lanes } from "./lane.ts";
import {
  encode, maxLogs, maxLogText, maxMessage, maxOutstanding,
  type AgentMessage, type Answer, type HostMessage, type Image, type Limits, type Message, type ModelAnswer, type ModelRequest, type RequestBody,
  type SkillInfo, type Start, type ToolInfo, type ToolResult, type ToolUse,
} from "./protocol.ts";

// Refusal is thrown where the host does not grant a request: by a policy, because of a limit, or because it cannot.
export class Refusal extends Error {
  override name = "Refusal";
  constructor(readonly code: string, message: string) {
    super(`${code}: ${message}`);
  }
}

// Cancelled is why a run's signal is aborted, and what its requests are answered with from then on.
export class Cancelled extends Error {
  override name = "Cancelled";
}

interface Pending {
  resolve(answer: Answer): void;
  reject(reason: Error): void;
  onDelta?: ((text: string) => void) | undefined;
}

// JSONValue is what JSON can say.
export type JSONValue = null | boolean | number | string | JSONValue[] | { [key: string]: JSONValue };

// Run is one run. Requests that are made in a node of a graph are in the lane of that node, see lane.ts; others, and those of
// a run that lane returned, are in the lane that they are in. The requests of one lane must be made in an order that does not
// depend on chance: a node that does several things at once takes a lane for each.
export class Run {
  private constructor(private readonly wire: Wire, private readonly start: Start, private readonly fixed: string) {}

  // begin is called by the server; agents are given their run.
  static begin(wire: Wire, start: Start): Run {
    return new Run(wire, start, "");
  }

  // id is the run's id, for logs. A request must not depend on it.
  get id(): string { return this.start.run; }
  // agent is the agent's name.
  get agent(): string { return this.start.agent; }
  // task is what the agent is told to do.
  get task(): string { return this.start.task; }
  // images are those that the task is about; conversation has them.
  get images(): readonly Image[] { return this.start.images ?? []; }
  // tools are those that the agent may call, in the host's order.
  get tools(): readonly ToolInfo[] { return this.start.tools; }
  // skills are those that the agent may ask for. The instructions, which the host adds, list them already.
  get skills(): readonly SkillInfo[] { return this.start.skills; }
  // history is what was said before in the thread that the run belongs to, oldest first.
  get history(): readonly Message[] { return this.start.history; }
  // limits are enforced by the host. 0 means unknown.
  get limits(): Limits { return this.start.limits ?? { turns: 0, toolCalls: 0, wallTimeMs: 0, outputBytes: 0 }; }
  // outputSchema is the JSON Schema that the output must follow as JSON, or undefined for any text.
  get outputSchema(): JSONValue | undefined {
    return this.start.outputSchemaJson ? (JSON.parse(this.start.outputSchemaJson) as JSONValue) : undefined;
  }
  // signal is aborted when the run is over: cancelled, or left by the host.
  get signal(): AbortSignal { return this.wire.signal; }

  // lane is the same run, all of whose requests are in the lane of this name.
  lane(name: string): Run {
    return new Run(this.wire, this.start, laneName(name));
  }

  private get at(): string {
    return this.fixed || this.wire.lanes.current();
  }

  // ask asks the agent's model. onDelta is called with pieces of the text as they come, or not at all; the answer holds the
  // whole text. The host adds the agent's instructions, and descriptions and schemas of the tools, which are named here.
  async ask(request: { messages: Message[]; tools?: string[]; outputSchema?: JSONValue | undefined }, onDelta?: (text: string) => void): Promise<ModelAnswer> {
    const model: ModelRequest = {
      messages: request.messages.map(wellFormed),
      tools: request.tools ?? [],
      outputSchemaJson: request.outputSchema === undefined ? "" : JSON.stringify(request.outputSchema),
      stream: onDelta !== undefined,
    };
    const answer = got((await this.wire.ask(this.at, { model }, onDelta)).model, "model");
    for (const call of answer.calls) this.wire.calls.set(call.callId, call.argumentsJson);
    return answer;
  }

  // callTool calls a tool and waits for its result, which may take days. The call needs no id: it gets one that is the same
  // each time. A refusal is thrown as a Refusal.
  callTool(name: string, args: JSONValue = {}, callId?: string): Promise<ToolResult> {
    const lane = this.at;
    const id = callId ?? this.wire.nextCall(lane);
    return this.carryOut(lane, { callId: id, name, argumentsJson: this.wire.argumentsOf(id, args) });
  }

  private async carryOut(lane: string, call: ToolUse): Promise<ToolResult> {
    const tool = { callId: call.callId.toWellFormed(), name: call.name.toWellFormed(), argumentsJson: call.argumentsJson.toWellFormed() };
    return got((await this.wire.ask(lane, { tool })).tool, "tool");
  }

  // callTools makes all calls at once, in order, and waits for all results, which it returns in the order of the calls. A
  // refusal becomes a result that says so, for the model to read.
  callTools(calls: readonly { id?: string | undefined; name: string; args: JSONValue }[]): Promise<ToolResult[]> {
    return Promise.all(calls.map((call) => this.callTool(call.name, call.args, call.id).catch((err: unknown): ToolResult => {
      if (err instanceof Refusal) return { text: err.message, structuredJson: "", isError: true };
      throw err;
    })));
  }

  // argumentsOf is the JSON of a call's arguments: that of the model, to the letter, where they are those that it asked for.
  argumentsOf(callId: string, args: JSONValue): string {
    return this.wire.argumentsOf(callId, args);
  }

  // check asks the host whether the run may end with this output. Where it may not, the text says for a model what is wrong:
  // let it mend the output, and check again. A host that checks nothing is not asked.
  async check(output: string): Promise<string> {
    if (!this.start.check) return "";
    const answer = got((await this.wire.ask(this.at, { check: { output: output.toWellFormed() } })).check, "check");
    return answer.ok ? "" : answer.problem || "The answer is not what it must be.";
  }

  // now asks for the time. It is recorded, so that a replay sees the same.
  async now(): Promise<Date> {
    return new Date(got((await this.wire.ask(this.at, { time: {} })).time, "time").time);
  }

  // random asks for 1 to 1024 random bytes. They are recorded: never make a secret of them.
  async random(bytes: number): Promise<Uint8Array> {
    if (!Number.isInteger(bytes) || bytes < 1 || bytes > 1024) throw new RangeError(`${bytes} random bytes were asked for: ask for 1 to 1024`);
    return got((await this.wire.ask(this.at, { random: { bytes } })).random, "random").data;
  }

  // log adds a line to the run's log. Long lines are cut, and more than a thousand of them are dropped.
  log(level: "debug" | "info" | "warn" | "error", text: string): void {
    this.wire.log(level, text);
  }

  // lanes is the listener that a graph needs among its callbacks to tell its nodes' lanes. Graphs that serve runs have it.
  get lanes(): Lanes { return this.wire.lanes; }
}

function got<T>(body: T | undefined, kind: string): T {
  if (body === undefined) throw new Error(`the host answered with something else where the answer to a ${kind} request belongs`);
  return body;
}

// wellFormed mends text that protocol buffers would refuse.
function wellFormed(m: Message): Message {
  return {
    role: m.role, text: m.text.toWellFormed(), toolCallId: (m.toolCallId ?? "").toWellFormed(), toolName: (m.toolName ?? "").toWellFormed(),
    toolUses: (m.toolUses ?? []).map((u) => ({ callId: u.callId.toWellFormed(), name: u.name.toWellFormed(), argumentsJson: u.argumentsJson.toWellFormed() })),
    images: m.images ?? [],
  };
}

// Wire multiplexes the requests of all lanes of a run over its stream. It is the server's side of a Run.
export class Wire {
  readonly lanes = new Lanes();
  // calls are the arguments of the calls that the model asked for, to the letter, by the calls' ids.
  readonly calls = new Map<string, string>();
  private readonly aborter = new AbortController();
  private readonly pending = new Map<number, Pending>();
  private readonly waiting: (() => void)[] = [];
  private readonly numbers = new Map<string, number>();
  private last = 0;
  private logs = 0;
  private ended = false;

  constructor(private readonly send: (message: Buffer) => void) {}

  get signal(): AbortSignal { return this.aborter.signal; }

  // argumentsOf is the JSON of arguments: that of the model, where they are those of its call. What JavaScript makes of JSON
  // is not always what it was: large numbers are rounded.
  argumentsOf(id: string, args: JSONValue): string {
    const said = this.calls.get(id);
    if (said !== undefined && isDeepStrictEqual(parsed(said), args)) return said;
    return JSON.stringify(args);
  }

  // nextCall is the id of a call that no model asked for.
  nextCall(lane: string): string {
    const n = (this.numbers.get(lane) ?? 0) + 1;
    this.numbers.set(lane, n);
    return `${lane || "main"}#${n}`;
  }

  // ask sends a request and waits for its answer. Requests are sent in the order of the calls.
  async ask(lane: string, body: RequestBody, onDelta?: (text: string) => void): Promise<Answer> {
    while (this.pending.size >= maxOutstanding && !this.signal.aborted) {
      await new Promise<void>((free) => this.waiting.push(free));
    }
    this.signal.throwIfAborted();
    if (this.ended) throw new Error("the run has ended");
    const request = { ...body, id: this.last + 1, lane };
    const message = encode({ request });
    if (message.length > maxMessage) throw new Error(`the request has ${message.length} bytes, more than the ${maxMessage} that fit a message`);
    this.last = request.id;
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.pending.set(request.id, { resolve, reject, onDelta });
      this.send(message);
    });
    if (answer.refusal) throw new Refusal(answer.refusal.code, answer.refusal.message);
    return answer;
  }

  // receive takes a message of the host. What is not known, or was not asked for, is ignored.
  receive(message: HostMessage): void {
    const { answer, delta, cancel } = message;
    if (answer) {
      this.pending.get(answer.id)?.resolve(answer);
      this.pending.delete(answer.id);
      this.waiting.shift()?.();
    } else if (delta) {
      this.pending.get(delta.id)?.onDelta?.(delta.text);
    } else if (cancel) {
      this.abort(new Cancelled(`cancelled by the host: ${cancel.reason}`));
    }
  }

  // abort ends the run for its agent.
  abort(reason: Error): void {
    this.aborter.abort(reason);
    for (const p of this.pending.values()) p.reject(reason);
    this.pending.clear();
    for (const free of this.waiting.splice(0)) free();
  }

  log(level: string, text: string): void {
    if (this.ended || this.logs >= maxLogs) return;
    this.logs++;
    this.send(encode({ log: { level, text: cut(text) } }));
  }

  // finish sends the end of the run. Nothing is sent after it.
  finish(end: { output: string } | { error: unknown }): void {
    if (this.ended) return;
    this.ended = true;
    let message = encode("error" in end ? failure(end.error) : { result: { output: end.output.toWellFormed() } });
    if (message.length > maxMessage) message = encode(failure(`the output has ${message.length} bytes, more than fit a message`));
    this.send(message);
  }
}

function failure(reason: unknown): AgentMessage {
  return { failure: { message: cut(reason instanceof Error ? reason.message : String(reason)) } };
}

// cut shortens text to what fits a line of the log, at the end of a character.
function cut(text: string): string {
  const bytes = Buffer.from(text.toWellFormed());
  if (bytes.length <= maxLogText) return bytes.toString();
  return new TextDecoder().decode(bytes.subarray(0, maxLogText), { stream: true });
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json || "{}");
  } catch {
    return undefined;
  }
}
