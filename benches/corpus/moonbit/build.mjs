// Compiles MoonBit programs to Wasm GC with the compiler that MoonBit publishes for its web editor.
//
//   node build.mjs NODE_MODULES NAME...      NAME.mbt -> NAME.wasm, in this folder
//
// The npm package @moonbit/moonpad-monaco holds the compiler (JavaScript, meant to be a web worker) and
// the sources of the standard library, but that library compiled for the JavaScript target only. So it
// is first compiled for wasm-gc here, package by package, in the order of the dependencies.

import fs from "node:fs";
import path from "node:path";

const [nodeModules, ...names] = process.argv.slice(2);
if (!nodeModules || names.length === 0) {
  console.error("usage: node build.mjs NODE_MODULES NAME...");
  process.exit(2);
}
const here = import.meta.dirname;
const dist = path.join(nodeModules, "@moonbit/moonpad-monaco/dist");
const library = readEmbeddedFiles(path.join(dist, "moonpad-monaco.js"));
const text = (file) => new TextDecoder().decode(library.get(file));

let call = startCompiler();

const ROOT = "/lib/core";
const manifest = JSON.parse(text(`${ROOT}/_build/packages.json`));
const packages = new Map(manifest.packages.map((p) => [`${p.root}/${p.rel}`, p]));
const built = new Map(); // package name -> { mi, core }
const order = []; // packages in link order
for (const name of packages.keys()) await buildLibraryPackage(name);

const core = order.map((name) => built.get(name).core);
const std = order.map((name) => [`${ROOT}/${rel(name)}:${rel(name)}`, built.get(name).mi]);
for (const name of names) {
  call = startCompiler(); // a new one has no memory: what it emits depends on nothing but the source
  await buildProgram(name);
}

function rel(name) {
  return packages.get(name).rel;
}

/** Compiles one package of the library, after those that it depends on. */
async function buildLibraryPackage(name) {
  if (built.has(name)) return;
  built.set(name, undefined); // a cycle would show as a missing dependency
  const p = packages.get(name);
  const direct = p.deps.map((d) => d.path);
  for (const dep of direct) await buildLibraryPackage(dep);
  const files = Object.entries(p.files)
    .filter(([, on]) => on.backend.includes("WasmGC") && on.optlevel.includes("Release"))
    .map(([file]) => file.replace(/^moonbit-core:/, ""));
  const indirect = new Set();
  const visit = (n) => {
    for (const d of packages.get(n).deps) {
      if (!indirect.has(d.path)) {
        indirect.add(d.path);
        visit(d.path);
      }
    }
  };
  visit(name);
  const interfaceOf = (dep) => {
    if (!built.get(dep)) throw new Error(`${name} depends on ${dep}, which is not built`);
    return built.get(dep).mi;
  };
  const result = await call("buildPackage", {
    mbtFiles: files.map((file) => [file, text(file)]),
    miFiles: p.deps.map((d) => [`${ROOT}/${rel(d.path)}:${d.alias}`, interfaceOf(d.path)]),
    indirectImportMiFiles: [...indirect].filter((d) => !direct.includes(d)).map((d) => [d, interfaceOf(d)]),
    stdMiFiles: [],
    target: "wasm-gc",
    pkg: name,
    pkgSources: [`${name}:moonbit-core:${ROOT}/${p.rel}`],
    isMain: false,
    errorFormat: "human",
    enableValueTracing: false,
    noOpt: false,
  });
  if (!result.core || !result.mi) throw new Error(`${name}:\n${result.diagnostics.join("\n")}`);
  built.set(name, { mi: result.mi, core: result.core });
  order.push(name);
}

async function buildProgram(name) {
  const source = fs.readFileSync(path.join(here, `${name}.mbt`), "utf8");
  const pkg = `corpus/${name}`;
  const result = await call("buildPackage", {
    mbtFiles: [[`${name}.mbt`, source]],
    miFiles: [],
    indirectImportMiFiles: [],
    stdMiFiles: std,
    target: "wasm-gc",
    pkg,
    pkgSources: [`${pkg}:corpus:/`],
    isMain: true,
    errorFormat: "human",
    enableValueTracing: false,
    noOpt: false,
  });
  for (const d of result.diagnostics) {
    if (!d.startsWith("moonbit-core:")) process.stderr.write(`${d}\n`);
  }
  if (!result.core) throw new Error(`${name}.mbt does not compile`);
  const linked = await call("linkCore", {
    coreFiles: [...core, result.core],
    main: pkg,
    pkgSources: [`moonbitlang/core:moonbit-core:${ROOT}`, `${pkg}:corpus:/`],
    target: "wasm-gc",
    exportedFunctions: [],
    outputFormat: "wasm",
    testMode: false,
    debug: false,
    noOpt: false,
    sourceMap: false,
    sources: {},
    stopOnMain: false,
  });
  fs.writeFileSync(path.join(here, `${name}.wasm`), linked.result);
}

/** The files that moonpad-monaco.js embeds, base64-encoded, by their path. */
function readEmbeddedFiles(file) {
  const source = fs.readFileSync(file, "utf8");
  const data = new Map();
  for (const [, variable, base64] of source.matchAll(/([\w$]+) = d\("([A-Za-z0-9+/=]*)"\)/g)) {
    data.set(variable, base64);
  }
  const files = new Map();
  for (const [, name, variable] of source.matchAll(/^i\["([^"]+)"\] = ([\w$]+);/gm)) {
    files.set(name, Buffer.from(data.get(variable), "base64"));
  }
  return files;
}

/**
 * Loads the worker script into this thread. It talks over `message` events in the manner of the
 * comlink library, so this plays the other end: a call goes in as one event, and the answer comes
 * out through postMessage.
 */
function startCompiler() {
  console.error = () => {}; // it repeats there every warning about its own library
  let deliver;
  const waiting = new Map();
  globalThis.addEventListener = (type, listener) => {
    if (type === "message") deliver = listener;
  };
  globalThis.postMessage = (answer) => {
    waiting.get(answer.id)?.(answer);
    waiting.delete(answer.id);
  };
  // It is to believe that it runs in a browser: where it finds a process it wants require().
  const { process } = globalThis;
  const source = fs.readFileSync(path.join(dist, "moonc-worker.js"), "utf8");
  delete globalThis.process;
  try {
    (0, eval)(source);
  } finally {
    globalThis.process = process;
  }
  let next = 0;
  return (method, argument) =>
    new Promise((resolve, reject) => {
      const id = String(++next);
      waiting.set(id, (answer) => {
        if (answer.type === "RAW") resolve(answer.value);
        else reject(new Error(`${method}: ${answer.value?.value?.message ?? JSON.stringify(answer)}`));
      });
      deliver({
        data: { id, type: "APPLY", path: [method], argumentList: [{ type: "RAW", value: argument }] },
        origin: "",
      });
    });
}
