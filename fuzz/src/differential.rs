//! The same modules in two engines: ours, and wasmtime.
//!
//! An even first byte makes a module by our generator, an odd one by wasm-smith, tuned for GC.

use crate::peer;
use crate::seen::{Seen, difference};
use anyhow::{Context, Result, bail, ensure};
use arbitrary::Unstructured;
use heapwright::{Func, Instance, Module, RootScope, Store, Val, ValType};
use heapwright_smith::oracle::{self, Setting};
use heapwright_smith::targets::{Outcome, Target};
use heapwright_smith::{Options, generate};

/// The target.
pub const TARGET: Target = Target { name: "differential", run, bytes: 6000, smoke: 20 };

/// Bytes that choose the setting.
const CHOICE: usize = 16;
/// Exports of a module by wasm-smith that are called.
const CALLS: usize = 12;
/// Rounds and calls of one module by wasm-smith.
const FUEL: u32 = 500;

/// Runs the module that the bytes stand for in both engines, ours under a setting that the bytes choose.
///
/// # Errors
///
/// What differs.
pub fn run(bytes: &[u8]) -> Result<Outcome> {
    let Some((&kind, bytes)) = bytes.split_first() else { return Ok(Outcome::Discarded("no bytes")) };
    let (choice, bytes) = bytes.split_at(bytes.len().min(CHOICE));
    let setting = Setting::arbitrary(&mut Unstructured::new(choice))?;
    match kind % 2 {
        0 => generated(bytes, &setting),
        _ => smithed(bytes, &setting),
    }
    .with_context(|| setting.to_string())
}

fn generated(bytes: &[u8], setting: &Setting) -> Result<Outcome> {
    let options = Options { portable: true, ..Options::default() };
    let generated = generate(&mut Unstructured::new(bytes), options)?;
    let ours = match oracle::run(&generated, setting)? {
        oracle::Outcome::Seen(seen) => Seen::from(seen),
        oracle::Outcome::Limited(limit) => return Ok(limit.into()),
    };
    let theirs = match peer::run(&generated).map_err(|e| anyhow::anyhow!("wasmtime: {e:?}"))? {
        Ok(seen) => seen,
        Err(limit) => return Ok(limit.into()),
    };
    match difference(&ours, &theirs) {
        None => Ok(Outcome::Checked),
        Some(what) if what.contains("too large") => Ok(Outcome::Discarded("allocation too large")),
        Some(what) => bail!("ours and wasmtime's: {what}"),
    }
}

/// What wasm-smith makes: types of all kinds, nothing imported, an end.
fn smith_config(u: &mut Unstructured<'_>) -> Result<wasm_smith::Config> {
    let mut config: wasm_smith::Config = u.arbitrary()?;
    config.gc_enabled = true;
    config.reference_types_enabled = true;
    config.exceptions_enabled = true;
    config.tail_call_enabled = true;
    config.bulk_memory_enabled = true;
    config.multi_value_enabled = true;
    config.simd_enabled = true;
    config.relaxed_simd_enabled = false;
    config.threads_enabled = false;
    config.shared_everything_threads_enabled = false;
    config.memory64_enabled = false;
    config.custom_page_sizes_enabled = false;
    config.wide_arithmetic_enabled = false;
    config.compact_imports_enabled = false;
    config.custom_descriptors_enabled = false;
    config.multibyte_array_access_enabled = false;
    config.acquire_release_atomics_enabled = false;
    config.allow_invalid_funcs = false;
    config.canonicalize_nans = true;
    config.export_everything = true;
    config.disallow_traps = false;
    config.max_imports = 0;
    config.max_memories = config.max_memories.min(1);
    config.max_memory32_bytes = 2 << 16;
    config.memory_max_size_required = true;
    config.max_table_elements = 100;
    config.table_max_size_required = true;
    config.min_types = 8;
    config.max_types = 40;
    config.min_funcs = 2;
    config.max_funcs = 12;
    config.allow_start_export = false;
    Ok(config)
}

fn smithed(bytes: &[u8], setting: &Setting) -> Result<Outcome> {
    let mut u = Unstructured::new(bytes);
    let config = smith_config(&mut u)?;
    let Ok(mut module) = wasm_smith::Module::new(config, &mut u) else {
        return Ok(Outcome::Discarded("too few bytes"));
    };
    if module.ensure_termination(FUEL).is_err() {
        return Ok(Outcome::Discarded("cannot be made to end"));
    }
    let bytes = module.to_bytes();
    let engine = setting.engine()?;
    let ours = Module::from_binary(&engine, &bytes);
    let theirs = peer::engine().and_then(|engine| wasmtime::Module::new(engine, &bytes));
    let (ours, theirs) = match (ours, theirs) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(_), Err(_)) => return Ok(Outcome::Discarded("refused by both")),
        (Ok(_), Err(error)) if oracle_limits(&format!("{error:?}")) => return Ok(Outcome::Discarded("not theirs")),
        (Ok(_), Err(error)) => bail!("only wasmtime refuses it: {error:?}"),
        (Err(error), Ok(_)) => bail!("only we refuse it: {error:?}"),
    };
    both(&engine, &ours, &theirs)
}

/// Whether the other engine says that it has not got something.
fn oracle_limits(text: &str) -> bool {
    ["not supported", "unsupported", "not yet implemented", "limit"].iter().any(|word| text.contains(word))
}

/// Instantiates a module in both engines and calls its exports with default values.
fn both(engine: &heapwright::Engine, ours: &Module, theirs: &wasmtime::Module) -> Result<Outcome> {
    let mut store = Store::new(engine, ())?;
    let mut other = wasmtime::Store::new(theirs.engine(), ());
    let instance = Instance::new(&mut store, ours, &[]);
    let peer = wasmtime::Instance::new(&mut other, theirs, &[]);
    let (instance, peer) = match (instance, peer) {
        (Ok(instance), Ok(peer)) => (instance, peer),
        (Err(_), Err(_)) => return Ok(Outcome::Checked),
        (ours, theirs) => {
            let limited = |text: String| text.contains("exhausted") || text.contains("memory");
            let error = ours.err().map(|e| format!("ours: {e:?}")).or(theirs.err().map(|e| format!("theirs: {e:?}")));
            let error = error.unwrap_or_default();
            ensure!(limited(error.clone()), "only one engine instantiates it; {error}");
            return Ok(Outcome::Discarded("no instance"));
        }
    };
    let funcs: Vec<(String, Func)> = instance.exports(&mut store).into_iter().filter_map(named).collect();
    for (name, func) in funcs.into_iter().take(CALLS) {
        let Some(theirs) = peer.get_func(&mut other, &name) else { bail!("wasmtime has no export {name:?}") };
        let ty = func.ty(&store);
        let params: Option<Vec<Val>> = ty.params().map(|ty| Val::default_for(&ty)).collect();
        let Some(params) = params else { continue };
        let numbers = |ty: ValType| !matches!(ty, ValType::Ref(_));
        let shown: Vec<bool> = ty.results().map(numbers).collect();
        let mut results = vec![Val::I32(0); shown.len()];
        let mut their_results = vec![wasmtime::Val::I32(0); shown.len()];
        let their_ty = theirs.ty(&other);
        let their_params: Option<Vec<_>> = their_ty.params().map(|ty| ty.default_value()).collect();
        let Some(their_params) = their_params else { bail!("wasmtime has another type for {name:?}") };
        let mut scope = RootScope::new(&mut store);
        let ours = func.call(&mut scope, &params, &mut results).map(|()| 0);
        let theirs = theirs.call(&mut other, &their_params, &mut their_results).map(|()| 0);
        let theirs = peer::ending(theirs).map_err(|e| anyhow::anyhow!("wasmtime, {name:?}: {e:?}"))?;
        let (ours, theirs) = match (oracle::ending(ours)?, theirs) {
            (Ok(ours), Ok(theirs)) => (crate::seen::word(ours), theirs),
            // One of them had a limit, after which their states differ.
            _ => return Ok(Outcome::Discarded("heap or stack full")),
        };
        if ours == "too large" || theirs == "too large" {
            return Ok(Outcome::Discarded("allocation too large"));
        }
        ensure!(ours == theirs, "{name:?} ended with {ours:?} and {theirs:?}");
        // A call that did not return has no results.
        let returned = ours == "0";
        for (index, (ours, theirs)) in results.iter().zip(&their_results).enumerate() {
            let compared = returned && shown[index];
            ensure!(!compared || same(ours, theirs), "result {index} of {name:?} is {ours:?} and {theirs:?}");
        }
    }
    Ok(Outcome::Checked)
}

fn named((name, item): (String, heapwright::Extern)) -> Option<(String, Func)> {
    item.into_func().map(|func| (name, func))
}

fn same(ours: &Val, theirs: &wasmtime::Val) -> bool {
    match (ours, theirs) {
        (Val::I32(a), wasmtime::Val::I32(b)) => a == b,
        (Val::I64(a), wasmtime::Val::I64(b)) => a == b,
        (Val::F32(a), wasmtime::Val::F32(b)) => a == b,
        (Val::F64(a), wasmtime::Val::F64(b)) => a == b,
        (Val::V128(a), wasmtime::Val::V128(b)) => a.as_u128() == b.as_u128(),
        _ => false,
    }
}
