//! Host values in WebAssembly: an `externref` holds any Rust value, the collector says when it is dropped.
//!
//! `cargo run --example externref`

use heapwright::{AsContextMut, Caller, Engine, ExternRef, Linker, Module, Result, RootScope, Rooted, Store};
use std::sync::Mutex;

pub(crate) fn main() -> Result<()> {
    let engine = Engine::default();
    // The guest builds a linked list of host strings and hands them back in reverse.
    let module = Module::new(
        &engine,
        r#"(module
             (type $node (struct (field externref) (field (ref null $node))))
             (import "host" "show" (func $show (param externref)))
             (global $list (mut (ref null $node)) (ref.null $node))
             (func (export "push") (param externref)
               (global.set $list (struct.new $node (local.get 0) (global.get $list))))
             (func (export "show") (local $at (ref null $node))
               (local.set $at (global.get $list))
               (block $done
                 (loop $next
                   (br_if $done (ref.is_null (local.get $at)))
                   (call $show (struct.get $node 0 (local.get $at)))
                   (local.set $at (struct.get $node 1 (local.get $at)))
                   (br $next))))
             (func (export "clear") (global.set $list (ref.null $node))))"#,
    )?;

    let mut linker = Linker::<Vec<String>>::new(&engine);
    linker.func_wrap("host", "show", |mut caller: Caller<'_, Vec<String>>, value: Option<Rooted<ExternRef>>| {
        let text = match value {
            Some(value) => {
                let data = value.data(&caller)?.and_then(|d| d.downcast_ref::<Mutex<String>>());
                data.map_or_else(|| "something else".to_owned(), |s| s.lock().map(|s| s.clone()).unwrap_or_default())
            }
            None => "null".to_owned(),
        };
        println!("{text}");
        caller.data_mut().push(text);
        Ok(())
    })?;

    let mut store = Store::new(&engine, Vec::new())?;
    let instance = linker.instantiate(&mut store, &module)?;
    let push = instance.typed_func::<Option<Rooted<ExternRef>>, ()>(&mut store, "push")?;
    let show = instance.typed_func::<(), ()>(&mut store, "show")?;
    let clear = instance.typed_func::<(), ()>(&mut store, "clear")?;

    for word in ["one", "two", "three"] {
        // A root lives until its scope ends; the guest's list keeps the value alive from there on.
        let mut scope = RootScope::new(&mut store);
        let value = ExternRef::new(&mut scope, Mutex::new(word.to_owned()))?;
        push.call(&mut scope, Some(value))?;
    }
    store.as_context_mut().gc()?;
    show.call(&mut store, ())?;
    assert_eq!(store.data(), &["three", "two", "one"]);

    clear.call(&mut store, ())?;
    store.gc(None)?;
    Ok(())
}
