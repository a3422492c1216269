// The process: it speaks go-plugin's handshake and serves the protocol to the host, until the host asks it to leave.
import { randomBytes } from "node:crypto";
import { chmodSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { Server, ServerCredentials, status, type ServerDuplexStream, type sendUnaryData } from "@grpc/grpc-js";
import { controllerService, healthService, maxMessage, protocolVersion, runtimeService, serving, type HostMessage } from "./protocol.ts";
import { Run, Wire } from "./run.ts";

// Agent does one run: it does the task and returns what it has to say. Many runs go on at once in one process. It must keep
// nothing outside of the run, and must stop when the run's signal is aborted. What it throws fails the run.
export type Agent = (run: Run) => Promise<string>;

// Info says who a runtime is.
export interface Info {
  // name is the runtime's name, such as "triage".
  name: string;
  // version is for people.
  version: string;
  // features are what the runtime does beyond what each must: "check" where it has its output checked before it ends, see Run.check, and
  // "images" where it passes the images of its task on to its model, as conversation does.
  features?: readonly string[];
}

const cancelGrace = 1000; // milliseconds that an agent may take to stop before its run is ended without it

// serveAgent makes this process a runtime. Where the process was not started by a host it tells so and exits with status 1.
// What is printed to stdout goes to stderr, because stdout belongs to the handshake.
export function serveAgent(info: Info, agent: Agent): void {
  if (process.env["MAINSTAY_RUNTIME"] !== "agent") {
    console.error(`This is ${info.name} ${info.version}, an agent runtime of Mainstay. Mainstay starts it; name it as the runtime of an agent.`);
    process.exit(1);
  }
  setFlagsFromString("--optimize-for-size"); // There is a process for each agent, and they mostly wait.
  // Libraries look for a home, and Node fails where neither the environment nor /etc/passwd, which is out of reach, names one.
  process.env["HOME"] ??= tmpdir();
  console.log = console.info = console.debug = console.error;
  process.on("SIGINT", () => {}); // Whoever interrupts the host does not mean its agents: the host ends them.
  // Whoever forgets a promise of a run, as an agent does that was cancelled, does not end the other runs with it.
  process.on("unhandledRejection", (reason) => console.error("a promise was rejected and nobody waits for it:", reason));

  const server = new Server({ "grpc.max_receive_message_length": maxMessage, "grpc.max_send_message_length": maxMessage });
  server.addService(healthService, { check: (_: unknown, reply: sendUnaryData<Buffer>) => reply(null, serving) });
  server.addService(controllerService, {
    shutdown: (_: unknown, reply: sendUnaryData<Buffer>) => {
      reply(null, Buffer.alloc(0));
      setImmediate(() => {
        server.forceShutdown();
        process.exit(0);
      });
    },
  });
  server.addService(runtimeService, {
    describe: (_: unknown, reply: sendUnaryData<object>) => 
      reply(null, { name: info.name, version: info.version, features: info.features ?? [], protocolVersions: [protocolVersion] }),
    run: (stream: ServerDuplexStream<HostMessage, Buffer>) => serveRun(stream, agent),
  });
  const socket = path.join(process.env["PLUGIN_UNIX_SOCKET_DIR"] || tmpdir(), `plugin${randomBytes(6).toString("hex")}`);
  server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (err) => {
    if (err) {
      console.error(`listen on ${socket}: ${err.message}`);
      process.exit(1);
    }
    chmodSync(socket, 0o600);
    process.stdout.write(`1|${protocolVersion}|unix|${socket}|grpc|\n`);
  });
}

// serveRun serves one run: it starts the agent, gives it the answers, and reports how it ended.
function serveRun(stream: ServerDuplexStream<HostMessage, Buffer>, agent: Agent): void {
  let wire: Wire | undefined;
  const wrong = () => stream.emit("error", { code: status.INVALID_ARGUMENT, details: "the first message of a run must be start" });
  const gone = () => wire?.abort(new Error("the host ended the stream"));
  stream.on("cancelled", gone);
  stream.on("error", gone);
  stream.on("end", () => (wire ? gone() : wrong()));
  stream.on("data", (message: HostMessage) => {
    if (wire) {
      wire.receive(message);
      return;
    }
    if (!message.start) {
      wrong();
      return;
    }
    const begun = (wire = new Wire((m) => void (stream.writable && stream.write(m))));
    void outcome(begun, agent, Run.begin(begun, message.start)).then((end) => {
      begun.finish(end);
      stream.end();
    });
  });
}

// outcome is how a run ends. It holds nothing of the run any longer than that.
async function outcome(wire: Wire, agent: Agent, run: Run): Promise<{ output: string } | { error: unknown }> {
  const { signal } = wire;
  const late = overdue(signal);
  try {
    const end = await Promise.race([carryOut(agent, run), late.over]);
    // Why the run was cancelled says more than what that broke.
    return "error" in end && signal.aborted ? { error: signal.reason } : end;
  } finally {
    late.stop();
  }
}

async function carryOut(agent: Agent, run: Run): Promise<{ output: string } | { error: unknown }> {
  try {
    return { output: await agent(run) };
  } catch (error) {
    return { error };
  }
}

// overdue is over some time after the signal, and never once it is stopped.
function overdue(signal: AbortSignal): { over: Promise<{ error: unknown }>; stop(): void } {
  let timer: NodeJS.Timeout | undefined;
  let wait = () => {};
  const over = new Promise<{ error: unknown }>((resolve) => {
    wait = () => {
      timer = setTimeout(() => resolve({ error: signal.reason }), cancelGrace);
    };
  });
  signal.addEventListener("abort", wait, { once: true });
  return {
    over,
    stop: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wait);
    },
  };
}
