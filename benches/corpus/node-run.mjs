// Runs one corpus module under Node 24 and prints what it prints.
//
//   node node-run.mjs [--time] FILE.wasm
//
// The kind is read from the module: one that imports spectest.print_char is MoonBit's and gets
// that one function; any other is taken for a WASI preview 1 module. --time writes the seconds
// spent compiling and running to stderr.

import fs from "node:fs";
import { performance } from "node:perf_hooks";

process.removeAllListeners("warning"); // node:wasi is announced as experimental

const args = process.argv.slice(2);
const timed = args[0] === "--time";
if (timed) args.shift();
const [file] = args;
if (!file) {
  console.error("usage: node node-run.mjs [--time] FILE.wasm");
  process.exit(2);
}

const bytes = fs.readFileSync(file);
const t0 = performance.now();
const module = new WebAssembly.Module(bytes);
const t1 = performance.now();

const imports = WebAssembly.Module.imports(module);
if (imports.some((i) => i.module === "spectest" && i.name === "print_char")) {
  runMoonBit();
} else {
  process.exitCode = await runWasi();
}
if (timed) {
  const seconds = (ms) => (ms / 1000).toFixed(3);
  console.error(`compile ${seconds(t1 - t0)} s, run ${seconds(performance.now() - t1)} s`);
}

function runMoonBit() {
  let units = [];
  const flush = () => {
    // Large programs print much: join in pieces, never spread a whole output onto the stack.
    let text = "";
    for (let i = 0; i < units.length; i += 4096) {
      text += String.fromCharCode(...units.slice(i, i + 4096));
    }
    fs.writeSync(1, text);
    units = [];
  };
  const spectest = {
    print_char(unit) {
      units.push(unit & 0xffff);
      if (unit === 10) flush();
    },
  };
  const instance = new WebAssembly.Instance(module, { spectest });
  try {
    instance.exports._start();
  } finally {
    flush();
  }
}

async function runWasi() {
  const { WASI } = await import("node:wasi");
  // One variable, since Node answers environ_get with "invalid argument" when there is none.
  const env = { LANG: "C" };
  const wasi = new WASI({ version: "preview1", args: ["program"], env, returnOnExit: true });
  const instance = new WebAssembly.Instance(module, wasi.getImportObject());
  const exports = instance.exports;
  if (typeof exports._start === "function") return wasi.start(instance);
  // A reactor: start up, then call whatever entry it offers.
  wasi.initialize(instance);
  return 0;
}
