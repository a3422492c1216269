// The protocol's messages, see plugins/proto/mainstay/runtime/v1/runtime.proto, as plain objects.
import type { ServiceDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs/light";
import descriptor from "./descriptor.json" with { type: "json" };

export const protocolVersion = 1;
// The limits of the protocol. The host enforces all of them.
export const maxMessage = 4 << 20; // bytes of one message
export const maxOutstanding = 64; // requests of one run that wait for their answers
export const maxLogText = 4 << 10; // bytes of one line of the log
export const maxLogs = 1000; // lines of one run's log

export interface ToolUse { callId: string; name: string; argumentsJson: string }
// Image names an image that the host keeps: one of the task, or of a tool's result.
export interface Image { digest: string; mediaType: string; bytes: number }
export interface Message { role: "user" | "assistant" | "tool" | "system"; text: string; toolUses?: ToolUse[]; toolCallId?: string; toolName?: string; images?: Image[] }
export interface ToolInfo { name: string; description: string; inputSchemaJson: string }
export interface SkillInfo { name: string; description: string }
export interface Limits { turns: number; toolCalls: number; wallTimeMs: number; outputBytes: number }
export interface Start {
  run: string; agent: string; task: string; tools: ToolInfo[]; skills: SkillInfo[]; limits?: Limits | null;
  history: Message[]; outputSchemaJson: string; check: boolean; images?: Image[];
}
export interface ModelAnswer { text: string; calls: ToolUse[]; finishReason: string; usage?: { inputTokens: number; outputTokens: number } | null }
export interface ToolResult { text: string; structuredJson: string; isError: boolean; images?: Image[] }
export interface Answer {
  id: number; model?: ModelAnswer; tool?: ToolResult; time?: { time: string }; random?: { data: Uint8Array };
  check?: { ok: boolean; problem: string }; refusal?: { code: string; message: string };
}
export interface HostMessage { start?: Start; answer?: Answer; delta?: { id: number; text: string }; cancel?: { reason: string } }
export interface ModelRequest { messages: Message[]; tools: string[]; outputSchemaJson: string; stream: boolean }
export interface ToolCall { callId: string; name: string; argumentsJson: string }
export interface RequestBody { model?: ModelRequest; tool?: ToolCall; time?: object; random?: { bytes: number }; check?: { output: string } }
export interface AgentMessage {
  request?: RequestBody & { id: number; lane: string }; result?: { output: string }; failure?: { message: string };
  log?: { level: string; text: string };
}

const root = protobuf.Root.fromJSON(descriptor as protobuf.INamespace);

function reader(type: string): (bytes: Buffer) => unknown {
  const t = root.lookupType(`mainstay.runtime.v1.${type}`);
  return (bytes) => t.toObject(t.decode(bytes), { longs: Number, defaults: true });
}

function writer(type: string): (message: object) => Buffer {
  const t = root.lookupType(`mainstay.runtime.v1.${type}`);
  return (message) => Buffer.from(t.encode(t.fromObject(message)).finish());
}

const agentMessage = writer("AgentMessage");

// encode is a message as it goes over the stream.
export function encode(message: AgentMessage): Buffer {
  return agentMessage(message);
}

const bytes = (b: Buffer): Buffer => b;

// runtimeService is the service Runtime.
export const runtimeService = {
  describe: {
    path: "/mainstay.runtime.v1.Runtime/Describe", requestStream: false, responseStream: false,
    requestSerialize: writer("DescribeRequest"), requestDeserialize: reader("DescribeRequest"),
    responseSerialize: writer("DescribeResponse"), responseDeserialize: reader("DescribeResponse"),
  },
  run: {
    path: "/mainstay.runtime.v1.Runtime/Run", requestStream: true, responseStream: true,
    requestSerialize: writer("HostMessage"), requestDeserialize: reader("HostMessage"),
    responseSerialize: bytes, responseDeserialize: reader("AgentMessage"), // encoded already
  },
} as const satisfies ServiceDefinition;

// raw is a call whose messages are nothing worth reading.
const raw = (path: string) => ({
  path, requestStream: false, responseStream: false,
  requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes,
}) as const;

// healthService is the standard health service (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), and serving
// its answer SERVING.
export const healthService = { check: raw("/grpc.health.v1.Health/Check") } satisfies ServiceDefinition;
export const serving = Buffer.from([0x08, 0x01]);

// controllerService is how go-plugin asks a process to leave.
export const controllerService = { shutdown: raw("/plugin.GRPCController/Shutdown") } satisfies ServiceDefinition;
