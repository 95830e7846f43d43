//! `heapwright run`.

mod chars;
mod ending;
pub(crate) mod host;
mod invoke;
mod reports;
mod stats;

use crate::args::{Profile, RunArgs};
use crate::cache;
use crate::failure::Failure;
use crate::load;
use heapwright::{Engine, Instance, Module, ProfilingStrategy, Store};
use host::Host;
use std::thread;

/// Stack of the guest's thread, unless more is asked for. It is only reserved: what is not used costs nothing.
const THREAD_STACK: u64 = 256 << 20;
/// What host functions and the engine may use of it beyond the guest's share.
const HOST_STACK: u64 = 16 << 20;

/// Runs a program on a thread of its own.
pub(crate) fn run(args: RunArgs) -> Result<u8, Failure> {
    let size = args.max_stack.saturating_add(HOST_STACK).max(THREAD_STACK);
    let too_large = || Failure::usage(format_args!("--max-stack: a stack of {} bytes cannot be had", args.max_stack));
    let size = usize::try_from(size).map_err(|_| too_large())?;
    thread::scope(|scope| {
        let guest = thread::Builder::new().name("guest".into()).stack_size(size);
        match guest.spawn_scoped(scope, || run_here(&args)) {
            Ok(guest) => guest.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(_) => Err(too_large()),
        }
    })
}

fn run_here(args: &RunArgs) -> Result<u8, Failure> {
    let mut config = args.engine.config().map_err(Failure::usage)?;
    // It fits: the thread's stack is larger.
    config.max_wasm_stack(args.max_stack as usize);
    config.record_calls(args.record_calls.is_some());
    args.limits.configure(&mut config);
    let host = Host::new(args)?;

    config.profiler(match args.profile {
        None => ProfilingStrategy::None,
        Some(Profile::Perfmap) => ProfilingStrategy::PerfMap,
        Some(Profile::Jitdump) => ProfilingStrategy::JitDump,
    });
    config.cache(cache::of_run(&args.cache)?).compilation(args.compile.into());
    let recorder = match &args.record_calls {
        Some(path) => Some(reports::CallFile::open(path)?),
        None => None,
    };
    let listeners = reports::listen(args, &mut config)?;
    let engine = Engine::new(&config).map_err(|e| Failure::unusable(format_args!("{e:#}")))?;
    let module = load::program(&engine, args.file())?;
    let entry = Entry::find(args, &module)?;

    let mut store = Store::new(&engine, host).map_err(|e| Failure::unusable(format_args!("{e:#}")))?;
    let unusable = |e: heapwright::Error| Failure::unusable(format_args!("cannot set the limits: {e:#}"));
    let watchdog = args.limits.apply(&engine, &mut store).map_err(unusable)?;
    let ended = start(args, &engine, &mut store, &module, &entry);
    drop(watchdog);
    let flushed = store.data_mut().flush();
    // However the program ended: what it called it will call again.
    module.update_cache();
    if let (Some(format), Some(recorder)) = (args.stats, &listeners.recorder) {
        stats::print(&recorder.figures(&store.gc_stats()), format, args);
    }
    let recorded = recorder.map_or(Ok(()), |file| file.write(&store.call_profile()));
    // The timeline is complete when nobody can add to it any more.
    drop((store, module, engine, config));
    let traced = listeners.trace.map_or(Ok(()), |trace| trace.outcome());
    match (ended, flushed.map_err(Failure::from).and(recorded).and(traced)) {
        (ended, Ok(())) => ended,
        (Ok(0), Err(failure)) => Err(failure),
        // How the program ended is what the exit code says.
        (ended, Err(failure)) => {
            failure.report();
            ended
        }
    }
}

/// What is to be called once the module is instantiated.
enum Entry {
    /// The program, a function without parameters and results.
    Start(&'static str),
    /// A function with arguments, after the initialisation if there is one.
    Invoke(invoke::Call),
    /// Nothing: the module's own start function was everything.
    Done,
}

impl Entry {
    /// Decides before anything runs.
    fn find(args: &RunArgs, module: &Module) -> Result<Entry, Failure> {
        let file = args.file().display();
        if let Some(name) = &args.invoke {
            return Ok(Entry::Invoke(invoke::Call::parse(args.file(), module, name, args.args())?));
        }
        for name in ["_start", "_initialize"] {
            let Some(ty) = module.get_export(name) else { continue };
            return match ty.func() {
                Some(ty) if ty.params().len() == 0 && ty.results().len() == 0 => Ok(Entry::Start(name)),
                _ => Err(Failure::unusable(format_args!(
                    "cannot run {file}: its export `{name}` is {ty}, not a function without parameters and results"
                ))),
            };
        }
        if module.has_start() {
            return Ok(Entry::Done);
        }
        Err(Failure::unusable(format_args!(
            "cannot run {file}: it exports neither `_start` nor `_initialize` and has no start function; {}",
            invoke::functions(module)
        )))
    }
}

/// Instantiates and calls. The exit code is the guest's if it ends itself.
fn start(
    args: &RunArgs,
    engine: &Engine,
    store: &mut Store<Host>,
    module: &Module,
    entry: &Entry,
) -> Result<u8, Failure> {
    let linker = host::linker(engine).map_err(|e| Failure::unusable(format_args!("{e:#}")))?;
    let instance = match linker.instantiate(&mut *store, module) {
        Ok(instance) => instance,
        Err(e) => return ending::of_instantiation(args, store, e),
    };
    let called = match entry {
        Entry::Done => Ok(()),
        Entry::Start(name) => call(store, instance, name),
        Entry::Invoke(invoked) => {
            let initialized = match module.get_export("_initialize") {
                Some(ty) if ty.func().is_some() => call(store, instance, "_initialize"),
                _ => Ok(()),
            };
            match initialized.and_then(|()| invoked.run(store, instance)) {
                Ok(results) => {
                    // Behind what the guest has printed.
                    store.data_mut().flush()?;
                    crate::output::print(&results)?;
                    Ok(())
                }
                Err(e) => Err(e),
            }
        }
    };
    match called {
        Ok(()) => Ok(0),
        Err(e) => ending::of_call(args, store, e),
    }
}

fn call(store: &mut Store<Host>, instance: Instance, name: &str) -> heapwright::Result<()> {
    instance.typed_func::<(), ()>(&mut *store, name)?.call(store, ())
}
