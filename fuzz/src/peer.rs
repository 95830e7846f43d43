//! Wasmtime, as a second opinion.

use crate::seen::Seen;
use heapwright_smith::Generated;
use heapwright_smith::oracle::{ARGUMENTS, Limit, hash_bytes};
use std::sync::OnceLock;
use wasmtime::{
    Caller, Collector, Config, Engine, Error, ExternRef, GcHeapOutOfMemory, Linker, Module, Result, Rooted, Store,
    ThrownException, Trap,
};

/// An engine for everything that the generators make.
///
/// # Errors
///
/// When the engine cannot be made.
pub fn engine() -> Result<&'static Engine> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine);
    }
    let mut config = Config::new();
    config.wasm_gc(true).wasm_function_references(true).wasm_exceptions(true).wasm_tail_call(true);
    // Both engines would have signal handlers: one must do without.
    config.signals_based_traps(false).collector(Collector::DeferredReferenceCounting);
    let engine = Engine::new(&config)?;
    Ok(ENGINE.get_or_init(|| engine))
}

/// Runs a generated module as [`heapwright_smith::oracle::run`] does.
///
/// # Errors
///
/// When the module is refused, or a call fails with something that no module may bring about.
pub fn run(generated: &Generated) -> Result<std::result::Result<Seen, Limit>> {
    let engine = engine()?;
    let module = Module::new(engine, &generated.bytes)?;
    let mut store = Store::new(engine, 0u64);
    let mut linker: Linker<u64> = Linker::new(engine);
    linker.func_wrap("host", "extern", |mut caller: Caller<'_, u64>, _number: i32| -> Result<_> {
        *caller.data_mut() += 1;
        let value: Rooted<ExternRef> = ExternRef::new(&mut caller, ())?;
        Ok(Some(value))
    })?;
    let instance = linker.instantiate(&mut store, &module)?;
    let mut endings = Vec::new();
    for argument in ARGUMENTS {
        for number in 0..generated.runs {
            let run = instance.get_typed_func::<i32, i64>(&mut store, &format!("run{number}"))?;
            match ending(run.call(&mut store, argument))? {
                Ok(ending) => endings.push(ending),
                Err(limit) => return Ok(Err(limit)),
            }
        }
    }
    let digest = instance.get_typed_func::<(), i64>(&mut store, "digest")?;
    match ending(digest.call(&mut store, ()))? {
        Ok(ending) => endings.push(ending),
        Err(limit) => return Ok(Err(limit)),
    }
    let memory = instance.get_memory(&mut store, "memory").map_or(0, |memory| {
        let bytes = memory.data(&store);
        hash_bytes(&bytes[..bytes.len().min(heapwright_smith::COUNTERS as usize)])
    });
    Ok(Ok(Seen { endings, memory, made: *store.data() }))
}

/// The words of [`crate::seen`] for what a call gave.
///
/// # Errors
///
/// What no module may bring about.
pub fn ending(result: Result<i64>) -> Result<std::result::Result<String, Limit>> {
    let error = match result {
        Ok(value) => return Ok(Ok(value.to_string())),
        Err(error) => error,
    };
    Ok(match word(&error) {
        Some("stack") => Err(Limit::Stack),
        Some("heap") => Err(Limit::Heap),
        Some(word) => Ok(word.to_owned()),
        None => return Err(error),
    })
}

fn word(error: &Error) -> Option<&'static str> {
    if error.downcast_ref::<ThrownException>().is_some() {
        return Some("exception");
    }
    if error.downcast_ref::<GcHeapOutOfMemory<()>>().is_some() {
        return Some("heap");
    }
    Some(match error.downcast_ref::<Trap>()? {
        Trap::UnreachableCodeReached => "unreachable",
        Trap::MemoryOutOfBounds => "memory",
        Trap::TableOutOfBounds => "table",
        Trap::IndirectCallToNull | Trap::BadSignature => "indirect call",
        Trap::IntegerOverflow => "overflow",
        Trap::IntegerDivisionByZero => "divide",
        Trap::BadConversionToInteger => "conversion",
        Trap::NullReference => "null",
        Trap::ArrayOutOfBounds => "array",
        Trap::CastFailure => "cast",
        Trap::StackOverflow => "stack",
        Trap::AllocationTooLarge => "too large",
        _ => return None,
    })
}
