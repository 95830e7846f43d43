//! Pools from the outside of their parts: what instances find in slots, and what is left when something fails.

use super::faults;
use crate::{
    Allocation, AllocationStrategy, CallError, Extern, InstanceId, InstantiateError, LoadError, LoadedModule,
    PoolConfig, Runtime, Store, StoreConfig, ValRaw,
};
use heapwright_gc_heap::{GcRef, HeapConfig, SizingPolicy, Value};
use heapwright_jit::Settings;
use heapwright_jit::abi::Trap;
use std::sync::Arc;

fn runtime(strategy: AllocationStrategy) -> Arc<Runtime> {
    let collector = heapwright_collectors::by_name("copying").unwrap();
    let allocation = Allocation { strategy, ..Allocation::default() };
    Runtime::with_allocation(Settings::default(), collector.create, &allocation).unwrap()
}

fn pooled(change: impl FnOnce(&mut PoolConfig)) -> Arc<Runtime> {
    let mut config = PoolConfig { max_memories_per_module: 3, max_tables_per_module: 3, ..PoolConfig::default() };
    change(&mut config);
    runtime(AllocationStrategy::Pooling(config))
}

fn store(runtime: &Arc<Runtime>) -> Store {
    let heap = HeapConfig { initial: 1 << 20, max: 1 << 24, sizing: SizingPolicy::Growing, zeal: 0 };
    Store::new(
        runtime,
        StoreConfig {
            heap,
            max_wasm_stack: 256 << 10,
            backtraces: true,
            stack_watermark: false,
            huge_pages: true,
            gc_prefetch: true,
        },
    )
    .unwrap()
}

fn module(runtime: &Arc<Runtime>, wat: &str) -> Arc<LoadedModule> {
    runtime.compile(&wat::parse_str(wat).unwrap()).unwrap()
}

fn call(store: &mut Store, instance: InstanceId, name: &str, argument: i32) -> Result<i32, CallError> {
    let Some(Extern::Func(f)) = store.instance_export(instance, name) else { panic!("no function {name}") };
    let mut slots = [ValRaw::from_i32(argument), ValRaw::default()];
    store.call(f, &mut slots)?;
    Ok(slots[0].i32())
}

/// Instances, memories, tables and heaps in use.
fn live(runtime: &Runtime) -> [u32; 4] {
    let m = runtime.pool_metrics().unwrap();
    [m.core_instances.live, m.memories.live, m.tables.live, m.gc_heaps.live]
}

const GREEDY: &str = r#"(module
    (type $s (struct (field (mut i32))))
    (memory 2) (data (memory 0) (i32.const 65530) "abcdefghij")
    (memory 1) (data (memory 1) (i32.const 0) "x")
    (table 100 funcref) (table 2000 (ref null $s))
    (elem (table 0) (i32.const 3) func $f)
    (func $f (export "f") (param i32) (result i32)
      (i32.add (i32.load8_u (i32.const 65533)) (struct.get $s 0 (struct.new $s (local.get 0))))))"#;

#[test]
fn a_failed_allocation_gives_everything_back() {
    let pool = pooled(|_| {});
    for runtime in [&pool, &runtime(AllocationStrategy::OnDemand)] {
        let module = module(runtime, GREEDY);
        let mut failures = 0;
        loop {
            let mut store = store(runtime);
            faults::fail_after(failures);
            let result = store.instantiate(&module, &[]);
            let failed = faults::stop();
            if !failed {
                result.unwrap();
                break;
            }
            let error = result.unwrap_err();
            assert!(matches!(&error, InstantiateError::Resource(what) if what == "injected"), "{error}");
            if runtime.pool_metrics().is_some() {
                assert_eq!(live(runtime), [0, 0, 0, 1], "after failure {failures}");
            }
            // The store has lost nothing either.
            let instance = store.instantiate(&module, &[]).unwrap();
            assert_eq!(call(&mut store, instance, "f", 7).unwrap(), i32::from(b'd') + 7);
            failures += 1;
        }
        assert!(failures >= 5, "only {failures} points of failure");
    }
    assert_eq!(live(&pool), [0; 4]);
}

#[test]
fn a_store_that_cannot_be_made_takes_nothing() {
    let runtime = pooled(|_| {});
    let config = *store(&runtime).config();
    let mut failures = 0;
    loop {
        faults::fail_after(failures);
        let result = Store::new(&runtime, config);
        if !faults::stop() {
            break drop(result.unwrap());
        }
        assert!(result.is_err());
        assert_eq!(live(&runtime), [0; 4]);
        failures += 1;
    }
    assert!(failures >= 3, "only {failures} points of failure");
}

#[test]
fn an_exhausted_pool_says_so_and_recovers() {
    let runtime = pooled(|c| (c.total_memories, c.total_gc_heaps) = (3, 2));
    let module = module(&runtime, GREEDY);
    let mut first = store(&runtime);
    first.instantiate(&module, &[]).unwrap();
    // One memory can still be had and has to be given back for the other.
    let error = first.instantiate(&module, &[]).unwrap_err();
    assert!(matches!(error, InstantiateError::Exhausted(_)));
    assert_eq!(error.to_string(), "maximum concurrent memory limit of 3 reached");
    assert_eq!(live(&runtime), [1, 2, 2, 1]);
    let second = store(&runtime);
    let error = Store::new(&runtime, *second.config()).err().unwrap();
    assert_eq!(error.to_string(), "maximum concurrent GC heap limit of 2 reached");
    drop((first, second));
    assert_eq!(live(&runtime), [0; 4]);
    store(&runtime).instantiate(&module, &[]).unwrap();
}

#[test]
fn modules_that_never_fit_are_refused_when_they_are_loaded() {
    let runtime = pooled(|c| {
        (c.max_memory_size, c.table_elements, c.max_memories_per_module) = (1 << 17, 50, 1);
        c.max_core_instance_size = 4096;
    });
    let refused = |wat: &str| {
        let bytes = wat::parse_str(wat).unwrap();
        match runtime.compile(&bytes).err().unwrap() {
            LoadError::Unfit(what) => what,
            other => panic!("{other}"),
        }
    };
    assert_eq!(
        refused("(module (memory 1) (memory 3))"),
        "defined memories: 2, of 1 that are allowed; initial bytes of memory 1: 196608, of 131072 that are allowed"
    );
    assert_eq!(refused("(module (table 51 funcref))"), "initial slots of table 0: 51, of 50 that are allowed");
    let globals = "(global i32 (i32.const 0))".repeat(300);
    assert!(refused(&format!("(module {globals})")).starts_with("bytes of instance state: "));
    let fits = module(
        &runtime,
        r#"(module (memory 2) (table 50 funcref) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#,
    );
    let mut store = store(&runtime);
    let instance = store.instantiate(&fits, &[]).unwrap();
    // The slot's end is the memory's and the table's.
    assert_eq!(call(&mut store, instance, "grow", 1).unwrap(), -1);
    assert_eq!(call(&mut store, instance, "grow", 0).unwrap(), 2);
    assert_eq!(call(&mut store, instance, "table", 1).unwrap(), -1);
    assert_eq!(call(&mut store, instance, "table", 0).unwrap(), 50);
}

/// A module whose memory begins with `data` at `at`; `sum` adds up all bytes of the memory, `spoil` overwrites
/// everything and grows.
fn summing(pages: u32, segments: &str) -> String {
    format!(
        r#"(module (memory {pages}) {segments}
          (table 8 funcref) (elem declare func $sum)
          (global $n (mut i32) (i32.const 0))
          (func $sum (export "sum") (param $unused i32) (result i32) (local $i i32) (local $s i32)
            (loop $l
              (local.set $s (i32.add (local.get $s) (i32.load8_u (local.get $i))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if $l (i32.lt_u (local.get $i) (i32.mul (memory.size) (i32.const 65536)))))
            (local.get $s))
          (func (export "null") (param i32) (result i32) (ref.is_null (table.get (local.get 0))))
          (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
          (func (export "global") (param i32) (result i32) (global.get $n))
          (func (export "spoil") (param i32) (result i32)
            (drop (memory.grow (i32.const 2)))
            (memory.fill (i32.const 0) (i32.const 0xaa) (i32.mul (memory.size) (i32.const 65536)))
            (table.fill (i32.const 0) (ref.func $sum) (i32.const 8))
            (global.set $n (i32.const 5))
            (i32.const 0)))"#
    )
}

#[test]
fn slots_come_clean_and_with_the_right_contents() {
    for keep in [0, 4096, 70_000, 1 << 20] {
        let runtime = pooled(|c| {
            (c.linear_memory_keep_resident, c.table_keep_resident, c.gc_heap_keep_resident) = (keep, keep, keep);
            // One slot for all, so that it changes hands every time.
            (c.total_memories, c.total_tables, c.total_core_instances, c.total_gc_heaps) = (1, 1, 1, 1);
        });
        let modules = [
            // Overlapping segments, of which the later wins; pages without data in between.
            (1, summing(1, r#"(data (i32.const 10) "\05\05\05") (data (i32.const 11) "\01")"#), 11),
            (
                3,
                summing(
                    3,
                    r#"(data (i32.const 131072) "\64") (data (i32.const 8192) "\03\04") (data (i32.const 0) "")"#,
                ),
                107,
            ),
            (2, summing(2, ""), 0),
        ];
        let modules = modules.map(|(pages, wat, sum)| (pages, module(&runtime, &wat), sum));
        for round in 0..9 {
            let (pages, module, sum) = &modules[if round < 3 { 0 } else { round % 3 }];
            let mut store = store(&runtime);
            let instance = store.instantiate(module, &[]).unwrap();
            let mut ask = |name, argument| call(&mut store, instance, name, argument);
            assert_eq!(ask("sum", 0).unwrap(), *sum, "keep {keep}, round {round}");
            assert_eq!((ask("null", 7).unwrap(), ask("global", 0).unwrap()), (1, 0));
            let Err(CallError::Trap(trap)) = ask("load", pages << 16) else { panic!("beyond the end") };
            assert_eq!(trap.trap, Trap::MemoryOutOfBounds);
            ask("spoil", 0).unwrap();
            assert_eq!(ask("sum", 0).unwrap(), (pages + 2) * 65536 * 0xaa);
        }
        let metrics = runtime.pool_metrics().unwrap().memories;
        assert_eq!((metrics.taken, metrics.peak, metrics.live, metrics.unused_warm), (9, 1, 0, 1));
        // Rounds 1 to 3 met what the same module left.
        assert_eq!(metrics.reused, 3);
    }
}

#[test]
fn slots_remember_the_module_that_had_them() {
    let runtime = pooled(|_| {});
    let modules = [1, 2].map(|n| module(&runtime, &summing(1, &format!(r#"(data (i32.const 0) "\0{n}")"#))));
    for round in 0..6 {
        let mut store = store(&runtime);
        let instance = store.instantiate(&modules[round % 2], &[]).unwrap();
        assert_eq!(call(&mut store, instance, "sum", 0).unwrap(), 1 + round as i32 % 2);
    }
    let metrics = runtime.pool_metrics().unwrap().memories;
    assert_eq!((metrics.taken, metrics.reused, metrics.unused_warm), (6, 4, 2));
}

#[test]
fn an_image_does_not_run_ahead_of_a_trap() {
    for runtime in [pooled(|_| {}), runtime(AllocationStrategy::OnDemand)] {
        let mut store = store(&runtime);
        let owner = module(
            &runtime,
            r#"(module (table (export "t") 2 funcref) (type $f (func (result i32)))
            (func (export "call") (param i32) (result i32) (call_indirect (type $f) (i32.const 0))))"#,
        );
        let owner = store.instantiate(&owner, &[]).unwrap();
        let table = store.instance_export(owner, "t").unwrap();
        // Its first segment puts a function into the other's table, its second one traps, and so its data is never
        // written.
        let data = format!(r#"(data (i32.const 0) "{}")"#, "a".repeat(300 << 10));
        let half = module(
            &runtime,
            &format!(
                r#"(module (import "" "t" (table 2 funcref)) (memory 8)
            (elem (i32.const 0) func $peek) (elem (i32.const 2) func $peek) {data}
            (func $peek (result i32) (i32.load8_u (i32.const 0))))"#
            ),
        );
        // The second instance is the first that may have an image on demand.
        for _ in 0..2 {
            assert!(store.instantiate(&half, &[table]).is_err());
        }
        assert_eq!(call(&mut store, owner, "call", 0).unwrap(), 0);
    }
}

/// A heap's end is a fault also where the slot's last user had more: a forged reference cannot reach beyond what its
/// own store has.
#[test]
fn a_used_heap_ends_where_its_store_says() {
    let runtime = pooled(|c| c.total_gc_heaps = 1);
    let module = module(
        &runtime,
        r#"(module (type $s (struct (field (mut i32)) (field (mut (ref null $s)))))
            (global $g (export "g") (mut (ref null $s)) (ref.null $s))
            (func (export "new") (param i32) (result i32)
              (global.set $g (struct.new $s (local.get 0) (struct.new $s (i32.const 2) (ref.null $s))))
              (i32.const 0))
            (func (export "through") (param i32) (result i32)
              (struct.get $s 0 (ref.as_non_null (struct.get $s 1 (global.get $g)))))
            (func (export "write") (param i32) (result i32)
              (struct.set $s 0 (ref.as_non_null (struct.get $s 1 (global.get $g))) (local.get 0)) (i32.const 0)))"#,
    );
    const FAR: u32 = 8 << 20;
    let end = {
        let mut store = store(&runtime);
        store.instantiate(&module, &[]).unwrap();
        let memory = store.heap().unwrap().memory_mut();
        let end = memory.committed_end();
        assert!(end < u64::from(FAR));
        memory.commit_to(16 << 20).unwrap();
        memory.store_u32(FAR, 7).unwrap();
        end
    };
    for name in ["through", "write"] {
        let mut store = store(&runtime);
        let instance = store.instantiate(&module, &[]).unwrap();
        call(&mut store, instance, "new", 1).unwrap();
        assert_eq!(call(&mut store, instance, "through", 0).unwrap(), 2, "the slot serves");
        let Some(Extern::Global(global)) = store.instance_export(instance, "g") else { panic!("no global") };
        let Value::Ref(object) = store.global_get(global) else { panic!("no reference") };
        let heap = store.heap().unwrap();
        assert_eq!(heap.memory().committed_end(), end);
        heap.set_field(object, 1, Value::Ref(GcRef::from_raw(FAR)), false).unwrap();
        let result = call(&mut store, instance, name, 0);
        assert!(matches!(&result, Err(CallError::Trap(t)) if t.trap == Trap::HeapCorrupted), "{name}: {result:?}");
        assert!(store.is_poisoned());
    }
    assert_eq!(runtime.pool_metrics().unwrap().gc_heaps.reused, 2);
}
