//! A trap and an uncaught exception, with the frames and source positions of where they happened.
//!
//! ```text
//! cargo run -p heapwright --example backtrace
//! ```

use heapwright::{Config, Engine, Instance, Module, Result, Store, ThrownException, Trap, WasmBacktraceDetails};

/// C code compiled with `clang -g`; its source stands beside it.
const DIVIDES: &[u8] = include_bytes!("../tests/fixtures/positions.wasm");

const THROWS: &str = r#"(module $thrower
    (tag $problem (param i32))
    (func $check (param i32) (if (local.get 0) (then (throw $problem (local.get 0)))))
    (func $main (export "main") (call $check (i32.const 7))))"#;

pub(crate) fn main() -> Result<()> {
    let mut config = Config::new();
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    let engine = Engine::new(&config)?;
    let mut store = Store::new(&engine, ())?;

    let divides = Instance::new(&mut store, &Module::new(&engine, DIVIDES)?, &[])?;
    let run = divides.typed_func::<i32, i32>(&mut store, "run")?;
    let error = run.call(&mut store, 7).unwrap_err();
    let trap = error.downcast_ref::<Trap>().expect("7 / (7 - 7) traps");
    println!("{trap}\n{}", trap.backtrace());
    // The same as data.
    for symbol in trap.backtrace().frames()[0].symbols() {
        println!("{:?} {:?} line {:?}", symbol.name(), symbol.file(), symbol.line());
    }

    let throws = Instance::new(&mut store, &Module::new(&engine, THROWS)?, &[])?;
    let main = throws.typed_func::<(), ()>(&mut store, "main")?;
    let error = main.call(&mut store, ()).unwrap_err();
    let thrown = error.downcast_ref::<ThrownException>().expect("nobody catches it");
    println!("\n{thrown}\n{}", thrown.backtrace());
    Ok(())
}
