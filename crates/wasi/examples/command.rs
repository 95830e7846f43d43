//! Runs a WASI command with a chosen collector: `cargo run --release --example command -- copying program.wasm`.

use heapwright::{Collector, Config, Engine, Linker, Module, Result, Store};
use heapwright_wasi::{Exit, WasiCtx, add_to_linker};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let collector =
        Collector::by_name(&name).ok_or_else(|| heapwright::Error::msg(format!("no collector is called `{name}`")))?;
    let path = args.next().ok_or_else(|| heapwright::Error::msg("usage: command COLLECTOR FILE [ARGS…]"))?;

    let engine = Engine::new(Config::new().collector(collector))?;
    let module = Module::from_file(&engine, &path)?;
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
    let ctx = WasiCtx::builder().inherit_stdio().arg(path).args(args).build()?;
    let mut store = Store::new(&engine, ctx)?;
    let instance = linker.instantiate(&mut store, &module)?;
    let outcome = instance.typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ());
    store.data_mut().flush()?;
    match outcome {
        Err(error) => match error.downcast_ref::<Exit>() {
            Some(exit) => std::process::exit(exit.status() as i32),
            None => Err(error),
        },
        Ok(()) => Ok(()),
    }
}
