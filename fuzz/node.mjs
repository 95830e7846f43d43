// Runs generated modules: node node.mjs DIR ARGUMENTS COUNTERS SEED:RUNS... Prints one line of JSON a module.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const [dir, argumentsText, counters, ...modules] = process.argv.slice(2);

// V8's messages, in the words that all engines have.
const kinds = [
  [/unreachable/, "unreachable"],
  [/memory access out of bounds|data segment out of bounds/, "memory"],
  [/table (index|access) is out of bounds|table index|element segment out of bounds/, "table"],
  [/function signature mismatch/, "indirect call"],
  [/divide result unrepresentable/, "overflow"],
  [/divide by zero|remainder by zero/, "divide"],
  [/float unrepresentable/, "conversion"],
  [/null pointer|rethrowing null/, "null"],
  [/array element access out of bounds|array .*out of bounds/, "array"],
  [/illegal cast/, "cast"],
  [/requested new array is too large/, "too large"],
];

function word(call) {
  try {
    return String(call());
  } catch (error) {
    if (error instanceof WebAssembly.Exception) return "exception";
    if (error instanceof RangeError) return /call stack/.test(error.message) ? "stack" : "too large";
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    const kind = kinds.find(([pattern]) => pattern.test(error.message));
    return kind ? kind[1] : `unknown trap: ${error.message}`;
  }
}

// FNV-1a, 32 bits.
function hash(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

for (const module of modules) {
  const [seed, runs] = module.split(":").map(Number);
  let made = 0;
  const host = { extern: () => ({ number: made++ }) };
  const answer = { seed, endings: [] };
  try {
    const compiled = new WebAssembly.Module(readFileSync(join(dir, `${seed}.wasm`)));
    const { exports } = new WebAssembly.Instance(compiled, { host });
    for (const argument of JSON.parse(argumentsText)) {
      for (let run = 0; run < runs; run++) answer.endings.push(word(() => exports[`run${run}`](argument)));
    }
    answer.endings.push(word(() => exports.digest()));
    answer.memory = hash(new Uint8Array(exports.memory.buffer).subarray(0, Number(counters)));
    answer.made = made;
  } catch (error) {
    answer.refused = String(error);
  }
  console.log(JSON.stringify(answer));
}
