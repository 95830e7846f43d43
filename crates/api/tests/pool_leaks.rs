//! Instances from a pool leave nothing behind: neither memory nor mappings nor slots. Alone in its process, whose
//! mappings it counts.

use heapwright::{Collector, Config, Engine, Instance, Module, PoolingAllocationConfig, Store};

const MODULE: &str = r#"(module
    (type $box (struct (field (mut i32))))
    (memory 1) (data (i32.const 0) "data")
    (table 10 funcref) (elem (i32.const 0) func $f)
    (global $g (mut (ref $box)) (struct.new $box (i32.const 1)))
    (func $f (export "f") (param i32) (result i32)
      (global.set $g (struct.new $box (local.get 0)))
      (i32.store (i32.const 100) (local.get 0))
      (i32.add (struct.get $box 0 (global.get $g)) (i32.load8_u (i32.const 0)))))"#;

fn proc(file: &str) -> String {
    std::fs::read_to_string(format!("/proc/self/{file}")).unwrap()
}

fn mappings() -> usize {
    proc("maps").lines().count()
}

fn resident_kib() -> u64 {
    let status = proc("status");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Makes and drops `count` instances with each of some collectors and keep-resident sizes, and compares before and
/// after.
fn many(count: usize) {
    for (collector, keep) in Collector::all().flat_map(|c| [(c, 0), (c, 64 << 10)]) {
        let mut pool = PoolingAllocationConfig::new();
        pool.linear_memory_keep_resident(keep).table_keep_resident(keep).gc_heap_keep_resident(keep);
        let engine = Engine::new(Config::new().collector(collector).allocation_strategy(pool)).unwrap();
        let module = Module::new(&engine, MODULE).unwrap();
        let one = |i: i32| {
            let mut store = Store::new(&engine, ()).unwrap();
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            let f = instance.typed_func::<i32, i32>(&mut store, "f").unwrap();
            assert_eq!(f.call(&mut store, i).unwrap(), i + i32::from(b'd'));
        };
        (0..100).for_each(one);
        let before = (mappings(), resident_kib());
        (0..count as i32).for_each(one);
        let after = (mappings(), resident_kib());
        let name = collector.name();
        println!(
            "{name}, keep {keep}: {count} instances; mappings {} -> {}, resident {} -> {} KiB",
            before.0, after.0, before.1, after.1
        );
        // The process's allocator may map a little more for itself.
        assert!(after.0 <= before.0 + 4, "{name}: mappings {before:?} -> {after:?}");
        assert!(after.1 <= before.1 + 2048, "{name}: resident {before:?} -> {after:?}");
        let metrics = engine.pooling_allocator_metrics().unwrap();
        for slots in [metrics.core_instances(), metrics.memories(), metrics.tables(), metrics.gc_heaps()] {
            assert_eq!((slots.live, slots.peak, slots.unused_warm, slots.taken), (0, 1, 1, count as u64 + 100));
        }
    }
}

#[test]
fn thousands_of_instances_leave_nothing() {
    many(2_000);
}

/// `cargo test --release -p heapwright --test pool_leaks -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes; in a release build"]
fn a_million_instances_leave_nothing() {
    many(1_000_000 / (2 * Collector::all().len()));
}
