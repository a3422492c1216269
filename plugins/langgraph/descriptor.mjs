// Writes src/descriptor.json, the protocol as protobufjs reads it, from the .proto file; with --check it only compares, for CI.
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import protobuf from "protobufjs";

const source = path.join(import.meta.dirname, "../proto/mainstay/runtime/v1/runtime.proto");
const target = path.join(import.meta.dirname, "src/descriptor.json");

const made = `${JSON.stringify(protobuf.parse(await readFile(source, "utf8")).root.toJSON(), null, 1)}\n`;
if (process.argv[2] !== "--check") {
  await writeFile(target, made);
} else if (made !== (await readFile(target, "utf8"))) {
  console.error("src/descriptor.json is not made from the .proto file as it is: run `npm run descriptor` in plugins/langgraph");
  process.exit(1);
}
