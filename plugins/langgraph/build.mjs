#!/usr/bin/env node
// Bundles a runtime into one executable file: build.mjs ENTRY OUT. The licences of all packages in it stand at its end, and a
// package whose licence does not allow that fails the build.
import { chmod, mkdir, readFile, readdir, rename, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";

// permissive are the licences, by their SPDX names, that a bundle under any licence may contain.
const permissive = new Set(["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0"]);

const [, , entry, out] = process.argv;
if (!entry || !out) {
  console.error("usage: build.mjs ENTRY OUT, such as: build.mjs src/graph.ts bin/mainstay-triage");
  process.exit(2);
}

// Node decides by the next package.json above a file without an extension what it takes it for.
for (let folder = path.dirname(path.resolve(out)); ; folder = path.dirname(folder)) {
  const about = await readFile(path.join(folder, "package.json"), "utf8").catch(() => undefined);
  if (about !== undefined && JSON.parse(about).type === "module") {
    console.error(`${out}: ${path.join(folder, "package.json")} says "type": "module", so that Node could not run the bundle there: build it into another folder`);
    process.exit(1);
  }
  if (about !== undefined || folder === path.dirname(folder)) break;
}

const { metafile, outputFiles } = await build({
  entryPoints: [entry],
  bundle: true,
  write: false,
  metafile: true,
  platform: "node",
  target: "node20",
  format: "cjs", // what Node takes a file without an extension for
  legalComments: "none", // the licences are added whole
  banner: { js: "#!/usr/bin/env node" },
  logLevel: "warning",
}).catch(() => process.exit(1));

// folders are where the bundled packages lie.
const folders = new Set();
for (const input of Object.keys(metafile.inputs)) {
  const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (found) folders.add(found[1]);
}
const notices = new Map();
let refused = false;
for (const folder of folders) {
  const about = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
  if (!permissive.has(about.license)) {
    console.error(`${about.name} ${about.version}: the licence ${JSON.stringify(about.license)} is not one of ${[...permissive].join(", ")}`);
    refused = true;
  }
  const file = (await readdir(folder)).sort().find((name) => /^(licen[cs]e|copying)/i.test(name));
  const text = file ? await readFile(path.join(folder, file), "utf8") : "";
  notices.set(`${about.name} ${about.version}`, `${about.license}\n\n${text.trim()}`.trim());
}
if (refused) process.exit(1);
const comment = [...notices]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, notice]) => `/*\n${name}: ${notice.replaceAll("*/", "* /")}\n*/\n`)
  .join("");

await mkdir(path.dirname(out), { recursive: true });
await writeFile(`${out}.new`, outputFiles[0].text + comment);
await chmod(`${out}.new`, 0o755);
await rename(`${out}.new`, out);
console.log(`${out}: ${notices.size} packages`);
