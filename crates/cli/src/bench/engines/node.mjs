// One measured process of V8. What it is asked and what it reports: see protocol.rs.

import fs from "node:fs";
import v8 from "node:v8";

process.removeAllListeners("warning"); // node:wasi is announced as experimental

const LEAST_CALLS = 3;
const options = { calls: 10, millis: 1000 };
const given = process.argv.slice(1).filter((a) => a !== "--");
for (let i = 0; i < given.length; i++) {
  const [name, value] = given[i].slice(2).split("=");
  options[name] = name === "command" ? true : value ?? given[++i];
}
const report = fs.openSync(options.report, "w");
const line = (object) => fs.writeSync(report, JSON.stringify(object) + "\n");

// Milliseconds that a call takes, and those in the collector, as V8 itself counts them.
function timed(call) {
  const profiler = new v8.GCProfiler();
  profiler.start();
  const started = performance.now();
  const result = call();
  const call_ms = performance.now() - started;
  const gc_ms = profiler.stop().statistics.reduce((sum, gc) => sum + gc.cost / 1000, 0);
  return { call_ms, gc_ms, result: String(result) };
}

const bytes = fs.readFileSync(options.module);
const started = performance.now();
const module = new WebAssembly.Module(bytes);
line({ compile_ms: performance.now() - started, code_bytes: null });

if (options.call !== undefined) {
  const { run } = new WebAssembly.Instance(module, {}).exports;
  const n = Number(options.call);
  const began = performance.now();
  for (let made = 0; ; ) {
    line(timed(() => run(n)));
    made += 1;
    if (made > options.calls || (made > LEAST_CALLS && performance.now() - began > options.millis)) break;
  }
} else if (options.command) {
  line(await command());
}
line({ peak_rss_kib: process.resourceUsage().maxRSS, heap_kib: null });

async function command() {
  const imports = WebAssembly.Module.imports(module);
  if (imports.some((i) => i.module === "spectest")) {
    let text = "";
    const print_char = (unit) => {
      text += String.fromCharCode(unit & 0xffff);
      if (unit === 10) {
        fs.writeSync(1, text);
        text = "";
      }
    };
    return timed(() => {
      new WebAssembly.Instance(module, { spectest: { print_char } }).exports._start();
      fs.writeSync(1, text);
      return 0;
    });
  }
  const { WASI } = await import("node:wasi");
  // One variable, since Node answers environ_get with "invalid argument" when there is none.
  const wasi = new WASI({ version: "preview1", args: ["program"], env: { LANG: "C" }, returnOnExit: true });
  return timed(() => wasi.start(new WebAssembly.Instance(module, wasi.getImportObject())) ?? 0);
}
