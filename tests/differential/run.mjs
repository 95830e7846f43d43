// Runs the commands of a file, one a line, and prints one line for each: how it ended. The differential tests compare that with their own
// engine's answers. All names and bytes are hexadecimal.
//
//   module ID BYTES              compile and instantiate
//   register NAME ID             offer the instance's exports for import
//   invoke ID NAME TYPES ARGS…   call; TYPES are those of the results, comma-separated
//   dump ID                      lengths and contents of memories, values of globals

import { readFileSync } from "node:fs";

const instances = new Map();
const imports = { wasmtime: { gc() {} } };
const externs = new Map();

const view = new DataView(new ArrayBuffer(8));
const hex = (value, digits) => value.toString(16).padStart(digits, "0");
const text = (digits) => Buffer.from(digits, "hex").toString("utf8");

const f32 = (value) => {
  if (Number.isNaN(value)) return "f32:nan";
  view.setFloat32(0, value);
  return `f32:${hex(view.getUint32(0), 8)}`;
};
const f64 = (value) => {
  if (Number.isNaN(value)) return "f64:nan";
  view.setFloat64(0, value);
  return `f64:${hex(view.getBigUint64(0), 16)}`;
};

function argument(arg) {
  const [type, value] = arg.split(":");
  switch (type) {
    case "i32":
      return Number(value);
    case "i64":
      return BigInt(value);
    case "f32":
      view.setUint32(0, parseInt(value, 16));
      return view.getFloat32(0);
    case "f64":
      view.setBigUint64(0, BigInt(`0x${value}`));
      return view.getFloat64(0);
    case "null":
      return null;
    case "host":
      if (!externs.has(value)) externs.set(value, { host: value });
      return externs.get(value);
  }
  throw new Error(`an argument ${arg}`);
}

function result(type, value) {
  switch (type) {
    case "i32":
      return `i32:${value}`;
    case "i64":
      return `i64:${value}`;
    case "f32":
      return f32(value);
    case "f64":
      return f64(value);
    default:
      return value === null ? "null" : "ref";
  }
}

function ended(error) {
  if (error instanceof WebAssembly.Exception) return "exception";
  if (error instanceof WebAssembly.LinkError) return "unlinkable";
  if (error instanceof WebAssembly.CompileError) return `rejected ${error.message}`;
  // A TypeError at instantiation is an import that is not there at all.
  if (error instanceof TypeError && /Import/.test(error.message)) return "unlinkable";
  // The stack's end is a RangeError.
  if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) return "trap";
  return `failed ${error}`;
}

function dump(exports) {
  const parts = [];
  for (const name of Object.keys(exports).sort()) {
    const item = exports[name];
    if (item instanceof WebAssembly.Memory) {
      let sum = 0xcbf29ce484222325n;
      const bytes = new Uint8Array(item.buffer);
      for (let i = 0; i < bytes.length; i++) {
        if (bytes[i]) sum = BigInt.asUintN(64, (sum ^ (BigInt(i) * 256n + BigInt(bytes[i]))) * 0x100000001b3n);
      }
      parts.push(`memory:${bytes.length}:${hex(sum, 16)}`);
    } else if (item instanceof WebAssembly.Global) {
      let value;
      try {
        value = item.value;
      } catch {
        continue;
      }
      // JavaScript does not tell what type a number has; its value is compared as that of a double.
      if (typeof value === "number") parts.push(f64(value));
      else if (typeof value === "bigint") parts.push(`i64:${value}`);
    }
  }
  return `ok ${parts.join(" ")}`.trimEnd();
}

function run(command, args) {
  switch (command) {
    case "module": {
      const module = new WebAssembly.Module(Buffer.from(args[1] ?? "", "hex"));
      instances.set(args[0], new WebAssembly.Instance(module, imports).exports);
      return "ok";
    }
    case "register":
      if (!instances.has(args[1])) return "no instance";
      imports[text(args[0])] = instances.get(args[1]);
      return "ok";
    case "invoke": {
      const exports = instances.get(args[0]);
      if (!exports) return "no instance";
      const types = args[2] === "-" ? [] : args[2].split(",");
      const returned = exports[text(args[1])](...args.slice(3).map(argument));
      const values = types.length === 0 ? [] : types.length === 1 ? [returned] : [...returned];
      return `ok ${values.map((value, i) => result(types[i], value)).join(" ")}`.trimEnd();
    }
    case "dump": {
      const exports = instances.get(args[0]);
      return exports ? dump(exports) : "no instance";
    }
  }
  throw new Error(`a command ${command}`);
}

for (const line of readFileSync(process.argv[2], "utf8").split("\n")) {
  if (line === "") continue;
  const [command, ...args] = line.split(" ");
  let answer;
  try {
    answer = run(command, args);
  } catch (error) {
    answer = ended(error);
  }
  console.log(answer.replaceAll("\n", " "));
}
