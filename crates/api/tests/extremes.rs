//! Settings at the ends of their ranges: each is refused with an error or works.

use heapwright::{Config, Engine, Instance, Module, PoolingAllocationConfig, Store};

/// A module with something of everything that settings speak of.
const TEXT: &str = r#"(module
  (memory i64 1) (memory 1) (table 2 funcref)
  (type $node (struct (field i32) (field (ref null $node))))
  (func $f (export "f") (param $n i32) (result i32)
    (if (result i32) (i32.eqz (local.get $n))
      (then (i32.const 0))
      (else (i32.add
        (struct.get $node 0 (struct.new $node (i32.const 1) (ref.null $node)))
        (call $f (i32.sub (local.get $n) (i32.const 1))))))))"#;

/// What comes of a configuration: the result of a short recursion, or the words of the error that it ended with.
fn outcome(change: impl FnOnce(&mut Config)) -> Result<i32, String> {
    let run = || {
        let mut config = Config::new();
        change(&mut config);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, TEXT)?;
        let mut store = Store::new(&engine, ())?;
        let instance = Instance::new(&mut store, &module, &[])?;
        instance.typed_func::<i32, i32>(&mut store, "f")?.call(&mut store, 20)
    };
    run().map_err(|e| format!("{e:#}"))
}

/// The same with a pool that the module fits, but for what is changed.
fn pooled(change: impl FnOnce(&mut PoolingAllocationConfig)) -> Result<i32, String> {
    outcome(|config| {
        let mut pool = PoolingAllocationConfig::new();
        pool.max_memories_per_module(2);
        change(&mut pool);
        config.allocation_strategy(pool);
    })
}

#[test]
fn every_number_is_refused_or_works() {
    assert_eq!((outcome(|_| {}), pooled(|_| {})), (Ok(20), Ok(20)));
    for n in [0, 1, 7, 4095, 65536, 1 << 32, 1 << 47, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
        let outcomes = [
            ("initial_heap", outcome(|c| _ = c.initial_heap(n).max_heap(u64::MAX))),
            ("max_heap", outcome(|c| _ = c.initial_heap(n.min(1 << 20)).max_heap(n))),
            ("max_wasm_stack", outcome(|c| _ = c.max_wasm_stack(n as usize))),
            ("max_wasm_stack, interpreted", outcome(|c| _ = c.target("pulley64").unwrap().max_wasm_stack(n as usize))),
            ("max_object_size", outcome(|c| _ = c.max_object_size(n))),
            ("memory64_reservation", outcome(|c| _ = c.memory64_reservation(n))),
            ("zeal", outcome(|c| _ = c.zeal(n as u32))),
            ("pool memories", pooled(|pool| _ = pool.max_memory_size(n))),
            ("pool tables", pooled(|pool| _ = pool.table_elements(n as u32))),
            ("pool instances", pooled(|pool| _ = pool.total_core_instances(n as u32))),
            ("pool instance sizes", pooled(|pool| _ = pool.max_core_instance_size(n as usize))),
            ("pool heaps", pooled(|pool| _ = pool.max_gc_heap_size(n))),
            ("pool warm slots", pooled(|pool| _ = pool.max_unused_warm_slots(n as u32))),
            ("pool resident memory", pooled(|pool| _ = pool.linear_memory_keep_resident(n as usize))),
            ("pool resident heap", pooled(|pool| _ = pool.gc_heap_keep_resident(n as usize))),
        ];
        for (what, outcome) in outcomes {
            println!("{what} {n}: {outcome:?}");
            match outcome {
                Ok(result) => assert_eq!(result, 20, "{what} {n}"),
                Err(why) => assert!(why.len() > 10, "{what} {n}: {why:?}"),
            }
        }
    }
}
