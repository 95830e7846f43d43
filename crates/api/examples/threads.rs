//! One engine and one module in many threads, and a store that moves from one thread to another.
//!
//! ```text
//! cargo run -p heapwright --example threads
//! ```

use heapwright::{Engine, Instance, Module, Result, Store};
use std::thread;

const TREES: &str = r#"(module
    (type $tree (struct (field (ref null $tree)) (field (ref null $tree))))
    (func $make (param $depth i32) (result (ref $tree))
      (if (result (ref $tree)) (i32.eqz (local.get $depth))
        (then (struct.new_default $tree))
        (else (struct.new $tree
          (call $make (i32.sub (local.get $depth) (i32.const 1)))
          (call $make (i32.sub (local.get $depth) (i32.const 1)))))))
    (func $count (param $tree (ref null $tree)) (result i32)
      (if (result i32) (ref.is_null (local.get $tree))
        (then (i32.const 0))
        (else (i32.add (i32.const 1) (i32.add
          (call $count (struct.get $tree 0 (local.get $tree)))
          (call $count (struct.get $tree 1 (local.get $tree))))))))
    (func (export "nodes") (param i32) (result i32) (call $count (call $make (local.get 0)))))"#;

pub(crate) fn main() -> Result<()> {
    let engine = Engine::default();
    let module = Module::new(&engine, TREES)?;
    let nodes = |store: &mut Store<()>, instance: Instance, depth: i32| -> Result<i32> {
        instance.typed_func::<i32, i32>(&mut *store, "nodes")?.call(store, depth)
    };

    // Threads share the engine and the compiled module; each has a store, and with it a heap, of its own. They also
    // compile.
    let counts: Vec<i32> = thread::scope(|scope| {
        let work = |depth: i32| {
            let (engine, module) = (&engine, &module);
            move || {
                let own = Module::new(engine, TREES)?;
                let mut store = Store::new(engine, ())?;
                let instance = Instance::new(&mut store, module, &[])?;
                let other = Instance::new(&mut store, &own, &[])?;
                Ok((nodes(&mut store, instance, depth)?, nodes(&mut store, other, depth)?))
            }
        };
        let threads: Vec<_> = (10..14).map(|depth| scope.spawn(work(depth))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .map(|pair: Result<_>| Ok(pair?.0))
            .collect::<Result<_>>()
    })?;
    assert_eq!(counts, [2047, 4095, 8191, 16383]);
    println!("nodes of trees of depth 10 to 13: {counts:?}");

    // A store goes with what it owns.
    let mut store = Store::new(&engine, ())?;
    let instance = Instance::new(&mut store, &module, &[])?;
    assert_eq!(nodes(&mut store, instance, 3)?, 15);
    let moved = thread::spawn(move || -> Result<i32> {
        instance.typed_func::<i32, i32>(&mut store, "nodes")?.call(&mut store, 4)
    });
    assert_eq!(moved.join().expect("no panic")?, 31);
    Ok(())
}
