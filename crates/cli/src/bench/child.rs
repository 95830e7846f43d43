//! One measured process of our own engine.

use super::args::ChildArgs;
use super::protocol::{LEAST_CALLS, Writer};
use crate::failure::Failure;
use crate::run::host::{self, Host};
use heapwright::{Engine, GcHeapOutOfMemory, Instance, Module, Store, TypedFunc};
use heapwright_wasi::Exit;
use std::thread;
use std::time::{Duration, Instant};

/// Stack that a guest may use: what `run` gives.
const GUEST_STACK: usize = 16 << 20;
/// Stack of its thread.
const THREAD_STACK: usize = 256 << 20;

/// Measures, on a thread with a large stack.
pub(crate) fn run(args: &ChildArgs) -> Result<u8, Failure> {
    thread::scope(|scope| {
        let guest = thread::Builder::new().name("guest".into()).stack_size(THREAD_STACK);
        match guest.spawn_scoped(scope, || measure(args)) {
            Ok(guest) => guest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(e) => Err(Failure::unusable(e)),
        }
    })
}

fn measure(args: &ChildArgs) -> Result<u8, Failure> {
    let mut config = args.engine.config().map_err(Failure::usage)?;
    config.max_wasm_stack(GUEST_STACK);
    let mut report = Writer::create(&args.report)?;
    let bytes = std::fs::read(&args.module).map_err(Failure::unusable)?;
    let engine = Engine::new(&config).map_err(unusable)?;
    let started = Instant::now();
    let module = Module::from_binary(&engine, &bytes).map_err(unusable)?;
    report.compiled(started.elapsed(), module.text().len())?;
    let heap = match args.call {
        Some(n) => calls(args, &mut report, &engine, &module, n)?,
        None if args.command => command(&mut report, &engine, &module)?,
        None => 0,
    };
    report.finished(heap)?;
    Ok(0)
}

/// Calls `run` several times. A full heap, which comes to collectors that free nothing, is followed by a fresh store.
/// Gives the largest heap.
fn calls(args: &ChildArgs, report: &mut Writer, engine: &Engine, module: &Module, n: i32) -> Result<u64, Failure> {
    let budget = Duration::from_millis(args.millis);
    let (began, mut made, mut fresh, mut heap) = (Instant::now(), 0, true, 0);
    let (mut store, mut func) = instantiate(engine, module)?;
    loop {
        let before = store.gc_stats().pause_total;
        let started = Instant::now();
        let result = func.call(&mut store, n);
        let took = started.elapsed();
        let stats = store.gc_stats();
        heap = heap.max(stats.peak_committed);
        match result {
            Ok(result) => {
                report.called(took, stats.pause_total - before, &result.to_string())?;
                (made, fresh) = (made + 1, false);
            }
            Err(e) if !fresh && e.is::<GcHeapOutOfMemory>() => {
                report.restarted()?;
                drop(store);
                (store, func) = instantiate(engine, module)?;
                fresh = true;
            }
            Err(e) => return Err(unusable(e)),
        }
        if made > args.calls || made > LEAST_CALLS && began.elapsed() > budget {
            return Ok(heap);
        }
    }
}

fn instantiate(engine: &Engine, module: &Module) -> Result<(Store<()>, TypedFunc<i32, i32>), Failure> {
    let mut store = Store::new(engine, ()).map_err(unusable)?;
    let instance = Instance::new(&mut store, module, &[]).map_err(unusable)?;
    let func = instance.typed_func(&mut store, "run").map_err(unusable)?;
    Ok((store, func))
}

/// Runs a program once. Gives the largest heap.
fn command(report: &mut Writer, engine: &Engine, module: &Module) -> Result<u64, Failure> {
    let mut store = Store::new(engine, Host::bare("program")?).map_err(unusable)?;
    let linker = host::linker(engine).map_err(unusable)?;
    let started = Instant::now();
    let ended = linker.instantiate(&mut store, module).and_then(|instance: Instance| {
        let start: TypedFunc<(), ()> = instance.typed_func(&mut store, "_start")?;
        start.call(&mut store, ())
    });
    let flushed = store.data_mut().flush();
    let took = started.elapsed();
    let code = match ended {
        Ok(()) => 0,
        Err(e) => match e.downcast_ref::<Exit>() {
            Some(exit) => exit.status(),
            None => return Err(unusable(e)),
        },
    };
    flushed?;
    let stats = store.gc_stats();
    report.called(took, stats.pause_total, &code.to_string())?;
    Ok(stats.peak_committed)
}

fn unusable(error: heapwright::Error) -> Failure {
    Failure::unusable(format_args!("{error:#}"))
}
