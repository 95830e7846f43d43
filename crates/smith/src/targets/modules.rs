//! Modules that nobody meant: arbitrary bytes, valid modules with bytes changed, compiled modules with bytes changed.
//!
//! The first byte says what the rest is. A module is accepted if and only if the validator accepts it, unless it
//! surpasses a limit of the implementation; one that is accepted is looked at from all sides, instantiated and called,
//! with bounded fuel and memory. A compiled module of which any byte is changed is refused.

use super::{Outcome, Target};
use crate::oracle::is_defect;
use crate::{Options, generate};
use anyhow::{Context, bail, ensure};
use arbitrary::Unstructured;
use heapwright::{
    Collector, Compilation, Config, Engine, Extern, ExternType, Func, Global, Instance, Memory, Module, Result,
    RootScope, Store, StoreLimitsBuilder, Table, Tag, Val,
};
use heapwright_jit::CompileError;
use wasmparser::Validator;

/// The target.
pub const TARGET: Target = Target { name: "modules", run, bytes: 2500, smoke: 120 };

/// Fuel of one call: some thousand instructions.
const FUEL: u64 = 20_000;
/// Exports that are called.
const CALLS: usize = 8;

/// Makes an input of the kind that the first byte says, and feeds it to the engine.
///
/// # Errors
///
/// When the engine accepts what it must refuse or the other way round, or finds itself at fault.
pub fn run(bytes: &[u8]) -> Result<Outcome> {
    let Some((&kind, bytes)) = bytes.split_first() else { return Ok(Outcome::Discarded("no bytes")) };
    match kind % 8 {
        0 => module(bytes),
        1 => module(&[b"\0asm\x01\0\0\0", bytes].concat()),
        2 => text(bytes),
        3..=5 => module(&mutated(bytes)?),
        6 => artifact(bytes),
        _ => changed_artifact(bytes),
    }
}

/// A generated module with some of its bytes changed, some put in, some left out.
fn mutated(bytes: &[u8]) -> Result<Vec<u8>> {
    // A third of the bytes changes what the others make.
    let (changes, bytes) = bytes.split_at(bytes.len() / 3);
    let mut module = generate(&mut Unstructured::new(bytes), Options::default())?.bytes;
    let mut u = Unstructured::new(changes);
    for _ in 0..u.int_in_range(1..=12)? {
        let at = u.int_in_range(0..=module.len() - 1)?;
        match u.int_in_range(0..=5)? {
            0 => module[at] = u.arbitrary()?,
            1 => module[at] ^= 1 << u.int_in_range(0..=7)?,
            2 => module.insert(at, u.arbitrary()?),
            3 => module[at] = module[at].wrapping_add(u.int_in_range(1..=3)?),
            4 => {
                // An operation or an index from elsewhere.
                let from = u.int_in_range(0..=module.len() - 1)?;
                let length = u.int_in_range(1..=6)?.min(module.len() - at.max(from));
                module.copy_within(from..from + length, at);
            }
            _ if module.len() > 16 => {
                module.remove(at);
            }
            _ => {}
        }
    }
    Ok(module)
}

fn engine(selector: u64) -> Result<Engine> {
    let mut config = Config::new();
    let collectors: Vec<Collector> = Collector::all().collect();
    config.collector(collectors[selector as usize % collectors.len()]);
    config.consume_fuel(true).parallel_compilation(false).optimize(selector & 0x100 != 0);
    config.signals_based_traps(selector & 0x200 != 0);
    config.compilation(if selector & 0x400 != 0 { Compilation::Lazy } else { Compilation::Eager });
    config.initial_heap(0).max_heap(4 << 20);
    Engine::new(&config)
}

/// Settings that depend on the input, but not on one byte of it alone.
fn selector(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

fn text(bytes: &[u8]) -> Result<Outcome> {
    let text = String::from_utf8_lossy(bytes);
    match Module::new(&engine(selector(bytes))?, text.as_bytes()) {
        Ok(module) => inspect(&module, bytes.len()).map(|()| Outcome::Checked),
        Err(error) => not_a_defect(error).map(|()| Outcome::Checked),
    }
}

fn module(bytes: &[u8]) -> Result<Outcome> {
    let engine = engine(selector(bytes))?;
    let valid = Validator::new_with_features(heapwright_jit::features()).validate_all(bytes).is_ok();
    let validated = Module::validate(&engine, bytes);
    if let Err(error) = &validated
        && valid
        && !is_limit(error)
    {
        bail!("valid, but refused: {error:?}");
    }
    ensure!(valid || validated.is_err(), "invalid, but accepted");
    match Module::from_binary(&engine, bytes) {
        Ok(module) => {
            ensure!(valid, "invalid, but compiled");
            inspect(&module, bytes.len())?;
            instantiate(&engine, &module)?;
        }
        Err(error) if valid && !is_limit(&error) => return Err(error.context("valid, but not compiled")),
        Err(error) => not_a_defect(error)?,
    }
    Ok(Outcome::Checked)
}

fn is_limit(error: &heapwright::Error) -> bool {
    error.chain().any(|e| matches!(compile_error(e), Some(CompileError::Limit(_))))
}

fn compile_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a CompileError> {
    match error.downcast_ref::<heapwright_vm::LoadError>() {
        Some(heapwright_vm::LoadError::Compile(e)) => Some(e),
        Some(_) => None,
        None => error.downcast_ref(),
    }
}

/// Passes over what a module, or what runs in it, may bring about.
fn not_a_defect(error: heapwright::Error) -> Result<()> {
    let internal = |e| matches!(compile_error(e), Some(CompileError::Internal { .. } | CompileError::Target(_)));
    if is_defect(&error) || error.chain().any(internal) { Err(error) } else { Ok(()) }
}

/// Looks at a module from all sides.
fn inspect(module: &Module, length: usize) -> Result<()> {
    for import in module.imports() {
        let _ = (import.module().len(), import.name().len(), format!("{:?}", import.ty()));
    }
    for export in module.exports() {
        let found = module.get_export(export.name());
        ensure!(found.is_some(), "export {:?} is listed and not found", export.name());
    }
    let text = module.text().len();
    for function in module.functions() {
        let code = function.code.unwrap_or_default();
        ensure!(code.start <= code.end && code.end <= text, "function {} lies outside of the code", function.index);
    }
    for (code, source) in module.address_map() {
        ensure!(code <= text, "an address beyond the code");
        ensure!(source.is_none_or(|at| (at as usize) < length.max(1)), "a source offset beyond the module");
    }
    let _ = (module.name(), module.has_start(), module.resources_required());
    Ok(())
}

/// Instantiates a module with whatever it imports, and calls what it exports.
fn instantiate(engine: &Engine, module: &Module) -> Result<()> {
    let mut store = Store::new(engine, ())?;
    let limits = StoreLimitsBuilder::new().memory_size(2 << 20).table_elements(10_000).gc_heap_size(4 << 20);
    store.limiter(Some(Box::new(limits.build())));
    store.set_fuel(FUEL)?;
    let mut imports = Vec::new();
    for import in module.imports() {
        match made(&mut store, &import.ty()) {
            Ok(Some(item)) => imports.push(item),
            Ok(None) => return Ok(()),
            Err(error) => return not_a_defect(error),
        }
    }
    let instance = match Instance::new(&mut store, module, &imports) {
        Ok(instance) => instance,
        Err(error) => return not_a_defect(error),
    };
    let mut calls = CALLS;
    for (name, item) in instance.exports(&mut store) {
        match item {
            Extern::Func(func) if calls > 0 => {
                calls -= 1;
                call(&mut store, func).with_context(|| format!("calling {name:?}"))?;
            }
            Extern::Global(global) => {
                let mut scope = RootScope::new(&mut store);
                global.get(&mut scope)?;
            }
            _ => {}
        }
    }
    // All that the calls have made is looked at once more.
    store.gc(None)
}

/// Calls a function with default values, if its parameters have such.
fn call(store: &mut Store<()>, func: Func) -> Result<()> {
    let ty = func.ty(&*store);
    let Some(params) = ty.params().map(|ty| Val::default_for(&ty)).collect::<Option<Vec<_>>>() else { return Ok(()) };
    let mut results = vec![Val::I32(0); ty.results().len()];
    let _ = store.set_fuel(FUEL);
    let mut scope = RootScope::new(store);
    match func.call(&mut scope, &params, &mut results) {
        Ok(()) => {
            for (value, ty) in results.iter().zip(ty.results()) {
                ensure!(value.matches_ty(&mut scope, &ty)?, "{value:?} is no {ty}");
            }
            Ok(())
        }
        Err(error) => not_a_defect(error),
    }
}

/// Something of an imported type; nothing if there is no value of it.
fn made(store: &mut Store<()>, ty: &ExternType) -> Result<Option<Extern>> {
    Ok(Some(match ty {
        ExternType::Func(ty) => {
            let values: Option<Vec<Val>> = ty.results().map(|ty| Val::default_for(&ty)).collect();
            let func = Func::new(&mut *store, ty.clone(), move |_, _, results| {
                let Some(values) = &values else { bail!("there is no default value") };
                results.copy_from_slice(values);
                Ok(())
            });
            func?.into()
        }
        ExternType::Global(ty) => match Val::default_for(ty.content()) {
            Some(value) => Global::new(store, ty.clone(), value)?.into(),
            None => return Ok(None),
        },
        ExternType::Table(ty) => {
            let null = Val::null_ref(ty.element().heap_type()).as_ref_value();
            match null.filter(|_| ty.element().is_nullable()) {
                Some(null) => Table::new(store, ty.clone(), null)?.into(),
                None => return Ok(None),
            }
        }
        ExternType::Memory(ty) => Memory::new(store, *ty)?.into(),
        ExternType::Tag(ty) => Tag::new(store, ty)?.into(),
    }))
}

/// Arbitrary bytes as a compiled module.
fn artifact(bytes: &[u8]) -> Result<Outcome> {
    let engine = engine(selector(bytes))?;
    let genuine = engine.precompile_module(b"\0asm\x01\0\0\0")?;
    // With and without a head that is right.
    for head in [0, 8, 16, genuine.len() / 2, genuine.len()] {
        let forged = [&genuine[..head], bytes].concat();
        if forged != genuine {
            refused(&engine, &forged)?;
        }
    }
    Ok(Outcome::Checked)
}

/// A compiled module with some bytes changed.
fn changed_artifact(bytes: &[u8]) -> Result<Outcome> {
    let (changes, bytes) = bytes.split_at(bytes.len() / 4);
    let engine = engine(selector(bytes) | 0x200)?;
    let module = generate(&mut Unstructured::new(&bytes[..bytes.len().min(600)]), Options::default())?;
    let genuine = engine.precompile_module(&module.bytes)?;
    let mut u = Unstructured::new(changes);
    for _ in 0..8 {
        let mut changed = genuine.clone();
        let at = match u.int_in_range(0..=2)? {
            0 => u.int_in_range(0..=255.min(changed.len() - 1))?,
            _ => u.int_in_range(0..=changed.len() - 1)?,
        };
        match u.int_in_range(0..=5)? {
            0..=2 => changed[at] ^= u.int_in_range(1..=255)?,
            3 => changed.truncate(at),
            4 => changed.insert(at, u.arbitrary()?),
            _ => {
                let length = u.int_in_range(1..=64)?.min(changed.len() - at);
                changed[at..at + length].fill(u.arbitrary()?);
            }
        }
        if changed != genuine {
            refused(&engine, &changed)?;
        }
    }
    Ok(Outcome::Checked)
}

fn refused(engine: &Engine, bytes: &[u8]) -> Result<()> {
    // SAFETY: bytes that a checksum does not fit are refused before any of them is taken for code; nobody here computes
    // a checksum.
    #[allow(unsafe_code, reason = "the target is about what this refuses")]
    let loaded = unsafe { Module::deserialize(engine, bytes) };
    match loaded {
        Ok(_) => bail!("a changed artifact of {} bytes was accepted", bytes.len()),
        Err(error) if error.downcast_ref::<heapwright::ArtifactError>().is_some() => Ok(()),
        Err(error) => Err(error.context("a changed artifact was refused by another error")),
    }
}
