//! Wasmtime as a peer of `heapwright bench`: one measured process.
//!
//! What it is asked to do and what it reports is the protocol of the harness (`crates/cli/src/bench/protocol.rs`):
//! options on the command line, one JSON object a line in the report file. Settings are Wasmtime's defaults but for the
//! collector, the proposals that the programs need, and a stack as large as the other engines' guests have.

mod options;

use anyhow::{Context as _, Result, anyhow};
use options::{Options, Task};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};
use wasmtime::{Caller, Collector, Config, Engine, GcHeapOutOfMemory, Instance, Linker, Module, Store};
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_sync};
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

/// Stack that a guest may use, in bytes.
const GUEST_STACK: usize = 16 << 20;
/// Stack of its thread; and of fibers, which are not used but must be as large as guests may need.
const THREAD_STACK: usize = 256 << 20;
/// After the first call and this many more, the time decides whether another follows.
const LEAST_CALLS: u32 = 3;

fn main() {
    let guest = std::thread::Builder::new().stack_size(THREAD_STACK).spawn(run);
    let ended = match guest.map(std::thread::JoinHandle::join) {
        Ok(Ok(ended)) => ended,
        Ok(Err(_)) => Err(anyhow!("panicked")),
        Err(e) => Err(anyhow!("no thread: {e}")),
    };
    if let Err(e) = ended {
        eprintln!("error: {e:#}");
        std::process::exit(1);
    }
}

fn run() -> Result<()> {
    let options = Options::from_env()?;
    let mut report = Report(File::create(&options.report).context("cannot write the report")?);
    let bytes = std::fs::read(&options.module).context("cannot read the module")?;
    let engine = engine(&options.collector)?;
    let started = Instant::now();
    let module = Module::new(&engine, &bytes).map_err(|e| anyhow!("{e:#}"))?;
    let compiled = started.elapsed();
    report.line(json!({ "compile_ms": ms(compiled), "code_bytes": module.text().len() }))?;
    let heap = match options.task {
        Task::Compile => None,
        Task::Call(n) => calls(&options, &mut report, &engine, &module, n)?,
        Task::Command => command(&mut report, &engine, &module)?,
    };
    report.line(json!({ "peak_rss_kib": peak_rss_kib(), "heap_kib": heap.map(|bytes| bytes >> 10) }))
}

fn engine(collector: &str) -> Result<Engine> {
    let collector = match collector {
        "null" => Collector::Null,
        "drc" => Collector::DeferredReferenceCounting,
        "copying" => Collector::Copying,
        other => return Err(anyhow!("no collector `{other}`")),
    };
    let mut config = Config::new();
    config
        .collector(collector)
        .wasm_function_references(true)
        .wasm_gc(true)
        .wasm_exceptions(true)
        .wasm_tail_call(true)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(THREAD_STACK);
    Engine::new(&config).map_err(|e| anyhow!("{e:#}"))
}

/// Calls `run` several times. When the heap is exhausted, which happens to collectors that free nothing or no cycles,
/// the next call has a new store.
fn calls(options: &Options, report: &mut Report, engine: &Engine, module: &Module, n: i32) -> Result<Option<usize>> {
    let began = Instant::now();
    let budget = Duration::from_millis(options.millis);
    let (mut made, mut fresh, mut heap) = (0, 0, 0);
    let mut store = Store::new(engine, ());
    let mut func = instantiate(&mut store, module)?;
    loop {
        let started = Instant::now();
        let result = func.call(&mut store, n);
        let took = started.elapsed();
        heap = heap.max(store.gc_heap_capacity());
        match result {
            Ok(result) => {
                report.line(json!({ "call_ms": ms(took), "result": result.to_string() }))?;
                (made, fresh) = (made + 1, fresh + 1);
            }
            Err(e) if fresh > 0 && e.is::<GcHeapOutOfMemory<()>>() => {
                report.line(json!({ "restarted": true }))?;
                drop(store);
                store = Store::new(engine, ());
                func = instantiate(&mut store, module)?;
                fresh = 0;
            }
            Err(e) => return Err(anyhow!("{e:#}")),
        }
        if made > options.calls || made > LEAST_CALLS && began.elapsed() > budget {
            return Ok(Some(heap));
        }
    }
}

fn instantiate(store: &mut Store<()>, module: &Module) -> Result<wasmtime::TypedFunc<i32, i32>> {
    let instance = Instance::new(&mut *store, module, &[]).map_err(|e| anyhow!("{e:#}"))?;
    instance.get_typed_func(store, "run").map_err(|e| anyhow!("{e:#}"))
}

struct Host {
    wasi: WasiP1Ctx,
    chars: Vec<u16>,
}

impl Host {
    fn flush(&mut self) -> std::io::Result<()> {
        let text = String::from_utf16_lossy(&std::mem::take(&mut self.chars));
        std::io::stdout().write_all(text.as_bytes())
    }
}

/// Runs a WASI program once, standard output and all.
fn command(report: &mut Report, engine: &Engine, module: &Module) -> Result<Option<usize>> {
    let mut linker: Linker<Host> = Linker::new(engine);
    add_to_linker_sync(&mut linker, |host| &mut host.wasi).map_err(|e| anyhow!("{e:#}"))?;
    let print = |mut caller: Caller<'_, Host>, unit: i32| -> wasmtime::Result<()> {
        let host = caller.data_mut();
        host.chars.push(unit as u16);
        if unit == i32::from(b'\n') {
            host.flush()?;
        }
        Ok(())
    };
    linker.func_wrap("spectest", "print_char", print).map_err(|e| anyhow!("{e:#}"))?;
    let wasi = WasiCtxBuilder::new().inherit_stdio().arg("program").env("LANG", "C").build_p1();
    let mut store = Store::new(engine, Host { wasi, chars: Vec::new() });
    let started = Instant::now();
    let instance = linker.instantiate(&mut store, module).map_err(|e| anyhow!("{e:#}"))?;
    let ended = instance.get_typed_func::<(), ()>(&mut store, "_start").and_then(|start| start.call(&mut store, ()));
    let took = started.elapsed();
    let code = match ended {
        Ok(()) => 0,
        Err(e) => match e.downcast_ref::<I32Exit>() {
            Some(exit) => exit.0,
            None => return Err(anyhow!("{e:#}")),
        },
    };
    store.data_mut().flush()?;
    report.line(json!({ "call_ms": ms(took), "result": code.to_string() }))?;
    Ok(Some(store.gc_heap_capacity()))
}

struct Report(File);

impl Report {
    fn line(&mut self, line: Value) -> Result<()> {
        writeln!(self.0, "{line}").context("cannot write the report")
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The most memory that this process had resident, as the kernel counts it.
fn peak_rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
