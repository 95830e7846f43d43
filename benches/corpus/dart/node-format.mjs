// Formats Dart sources with the package itself: its module, its JavaScript, Node.
//
//   node node-format.mjs PACKAGE [--repeat N] FILE.dart…
//
// PACKAGE is the folder of @wasm-fmt/dart_fmt. Each file is formatted N times (1 unless told); the last result is printed, or the error.
// With --repeat the milliseconds of each round over all files go to stderr.

import fs from "node:fs";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { pathToFileURL } from "node:url";

const [dir, ...args] = process.argv.slice(2);
const timed = args[0] === "--repeat";
const rounds = timed ? Number(args.splice(0, 2)[1]) : 1;
if (!dir || args.length === 0 || !(rounds >= 1)) {
  console.error("usage: node node-format.mjs PACKAGE [--repeat N] FILE.dart…");
  process.exit(2);
}
const { format } = await import(pathToFileURL(path.join(dir, "dart_fmt_node.js")));
const sources = args.map((file) => fs.readFileSync(file, "utf8"));
let results;
for (let round = 0; round < rounds; round++) {
  const started = performance.now();
  results = sources.map((source) => {
    try {
      return format(source);
    } catch (error) {
      return `error: ${error.message}`;
    }
  });
  if (timed) console.error((performance.now() - started).toFixed(3));
}
process.stdout.write(results.join(""));
