//! Running commands on this engine.

use crate::commands::{Arg, Command};
use heapwright::{
    AnyRef, Caller, Collector, Config, Engine, Error, Extern, ExternRef, GcHeapOutOfMemory, HeapType, Instance,
    LinkError, Linker, Module, Result, RootScope, Store, ThrownException, Trap, Val, ValType,
};
use std::collections::HashMap;

/// How each command ended, in the words of the driver script; and of each call, the types of its results if it can be
/// made from outside at all.
pub(crate) struct Answers {
    pub(crate) ended: Vec<String>,
    pub(crate) types: Vec<Option<String>>,
}

/// What is answered to a call that has no counterpart in JavaScript.
pub(crate) const NOT_COMPARED: &str = "not compared";

/// Runs commands.
pub(crate) fn run(commands: &[Command], collector: Collector, zeal: u32) -> Result<Answers> {
    let mut config = Config::new();
    config.collector(collector).zeal(zeal).parallel_compilation(false);
    let engine = Engine::new(&config)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap("wasmtime", "gc", |mut caller: Caller<'_, ()>| caller.gc())?;
    let mut runner = Runner { store: Store::new(&engine, ())?, engine, linker, instances: HashMap::new() };
    let mut answers = Answers { ended: Vec::new(), types: Vec::new() };
    for command in commands {
        let (ended, types) = runner.command(command);
        answers.ended.push(ended);
        answers.types.push(types);
    }
    Ok(answers)
}

struct Runner {
    engine: Engine,
    store: Store<()>,
    linker: Linker<()>,
    instances: HashMap<usize, Instance>,
}

impl Runner {
    fn command(&mut self, command: &Command) -> (String, Option<String>) {
        let mut store = RootScope::new(&mut self.store);
        match command {
            Command::Module { id, bytes } => {
                let module = match Module::from_binary(&self.engine, bytes) {
                    Ok(module) => module,
                    Err(e) => return (format!("rejected {e:#}"), None),
                };
                match self.linker.instantiate(&mut store, &module) {
                    Ok(instance) => {
                        self.instances.insert(*id, instance);
                        ("ok".to_owned(), None)
                    }
                    Err(e) => (ended(&e), None),
                }
            }
            Command::Register { name, id } => {
                let Some(instance) = self.instances.get(id) else { return ("no instance".to_owned(), None) };
                for (item, external) in instance.exports(&mut store) {
                    if let Err(e) = self.linker.define(name, &item, external) {
                        return (format!("failed {e:#}"), None);
                    }
                }
                ("ok".to_owned(), None)
            }
            Command::Invoke { id, name, args } => {
                let Some(instance) = self.instances.get(id) else { return ("no instance".to_owned(), None) };
                let Some(func) = instance.get_func(&mut store, name) else {
                    return ("no function".to_owned(), None);
                };
                let ty = func.ty(&store);
                let crosses = |ty: ValType| match ty {
                    ValType::V128 => false,
                    ValType::Ref(r) => !matches!(r.heap_type(), HeapType::Exn | HeapType::NoExn),
                    _ => true,
                };
                let types: Vec<_> = ty.results().map(|ty| kind(&ty)).collect();
                let comparable = ty.params().chain(ty.results()).all(crosses);
                let mut values = Vec::new();
                for (arg, ty) in args.iter().zip(ty.params()) {
                    match value(&mut store, arg, &ty) {
                        Ok(value) => values.push(value),
                        Err(e) => return (format!("failed {e:#}"), None),
                    }
                }
                let mut results = vec![Val::I32(0); types.len()];
                let ended = match func.call(&mut store, &values, &mut results) {
                    Ok(()) => {
                        let shown: Vec<_> = results.iter().map(show).collect();
                        format!("ok {}", shown.join(" ")).trim_end().to_owned()
                    }
                    Err(e) => ended(&e),
                };
                (ended, comparable.then(|| if types.is_empty() { "-".to_owned() } else { types.join(",") }))
            }
            Command::Dump { id } => match self.instances.get(id) {
                Some(instance) => (dump(instance, &mut store), None),
                None => ("no instance".to_owned(), None),
            },
        }
    }
}

fn kind(ty: &ValType) -> &'static str {
    match ty {
        ValType::I32 => "i32",
        ValType::I64 => "i64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        _ => "ref",
    }
}

fn value(store: &mut RootScope<&mut Store<()>>, arg: &Arg, ty: &ValType) -> Result<Val> {
    Ok(match *arg {
        Arg::I32(v) => Val::I32(v),
        Arg::I64(v) => Val::I64(v),
        Arg::F32(bits) => Val::F32(bits),
        Arg::F64(bits) => Val::F64(bits),
        Arg::Null => match ty {
            ValType::Ref(r) => Val::null_ref(r.heap_type()),
            _ => Val::AnyRef(None),
        },
        Arg::Host(n) => {
            let value = ExternRef::new(&mut *store, n)?;
            match ty {
                ValType::Ref(r) if matches!(r.heap_type(), HeapType::Extern) => value.into(),
                _ => AnyRef::convert_extern(&mut *store, value)?.into(),
            }
        }
    })
}

/// Which NaN an operation gives is left open, so all look alike.
fn show(value: &Val) -> String {
    match value {
        Val::I32(v) => format!("i32:{v}"),
        Val::I64(v) => format!("i64:{v}"),
        Val::F32(bits) if f32::from_bits(*bits).is_nan() => "f32:nan".to_owned(),
        Val::F32(bits) => format!("f32:{bits:08x}"),
        Val::F64(bits) if f64::from_bits(*bits).is_nan() => "f64:nan".to_owned(),
        Val::F64(bits) => format!("f64:{bits:016x}"),
        Val::V128(v) => format!("v128:{:032x}", v.as_u128()),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None) => "null".to_owned(),
        _ => "ref".to_owned(),
    }
}

fn ended(error: &Error) -> String {
    if error.is::<ThrownException>() {
        return "exception".to_owned();
    }
    if error.is::<LinkError>() {
        return "unlinkable".to_owned();
    }
    if error.is::<Trap>() || error.is::<GcHeapOutOfMemory>() {
        return "trap".to_owned();
    }
    format!("failed {error:#}")
}

fn dump(instance: &Instance, store: &mut RootScope<&mut Store<()>>) -> String {
    let mut exports = instance.exports(&mut *store);
    // JavaScript orders strings by UTF-16; for the names here that is the same.
    exports.sort_by(|a, b| a.0.cmp(&b.0));
    let mut parts = Vec::new();
    for (_, external) in exports {
        match external {
            Extern::Memory(memory) => {
                let bytes = memory.data(&*store);
                let sum = bytes
                    .iter()
                    .enumerate()
                    .filter(|(_, byte)| **byte != 0)
                    .fold(0xcbf2_9ce4_8422_2325u64, |sum, (i, &b)| {
                        (sum ^ (i as u64 * 256 + u64::from(b))).wrapping_mul(0x0100_0000_01b3)
                    });
                parts.push(format!("memory:{}:{sum:016x}", bytes.len()));
            }
            Extern::Global(global) => match global.get(&mut *store) {
                Ok(Val::I32(v)) => parts.push(show(&f64::from(v).into())),
                Ok(Val::F32(bits)) => parts.push(show(&f64::from(f32::from_bits(bits)).into())),
                Ok(value @ (Val::I64(_) | Val::F64(_))) => parts.push(show(&value)),
                // References are compared where calls return them.
                Ok(_) => {}
                Err(e) => parts.push(format!("failed {e:#}")),
            },
            _ => {}
        }
    }
    format!("ok {}", parts.join(" ")).trim_end().to_owned()
}
