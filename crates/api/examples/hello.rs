//! The smallest embedding: compile a module, give it one host function, call an export.
//!
//! `cargo run --example hello`

use heapwright::{Caller, Engine, Linker, Module, Result, Store};

pub(crate) fn main() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(
        &engine,
        r#"(module
             (import "host" "greet" (func $greet (param i32)))
             (func (export "run") (param i32) (call $greet (i32.mul (local.get 0) (i32.const 2)))))"#,
    )?;

    // The store's data is whatever the host functions need.
    let mut linker = Linker::<Vec<i32>>::new(&engine);
    linker.func_wrap("host", "greet", |mut caller: Caller<'_, Vec<i32>>, n: i32| {
        println!("hello from WebAssembly: {n}");
        caller.data_mut().push(n);
    })?;

    let mut store = Store::new(&engine, Vec::new())?;
    let instance = linker.instantiate(&mut store, &module)?;
    let run = instance.typed_func::<i32, ()>(&mut store, "run")?;
    run.call(&mut store, 21)?;
    assert_eq!(store.data(), &[42]);
    Ok(())
}
