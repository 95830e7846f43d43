//! The pooling allocator as embedders use it.

use heapwright::{
    Collector, Config, Engine, Instance, InstanceAllocationStrategy, Module, PoolConcurrencyLimitError,
    PoolingAllocationConfig, Result, Store,
};

fn engine(collector: Collector, change: impl FnOnce(&mut PoolingAllocationConfig)) -> Engine {
    let mut pool = PoolingAllocationConfig::new();
    change(&mut pool);
    Engine::new(Config::new().collector(collector).allocation_strategy(pool)).unwrap()
}

/// Builds a list of `n` nodes, and counts how many there are.
const LIST: &str = r#"(module
    (type $node (struct (field (ref null $node)) (field i32)))
    (memory (export "memory") 1) (data (i32.const 8) "\2a")
    (func (export "run") (param $n i32) (result i32) (local $list (ref null $node)) (local $count i32)
      (loop $make
        (local.set $list (struct.new $node (local.get $list) (local.get $n)))
        (br_if $make (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (loop $walk
        (local.set $count (i32.add (local.get $count) (i32.load8_u (i32.const 8))))
        (br_if $walk (i32.eqz (ref.is_null (local.tee $list (struct.get $node 0 (local.get $list)))))))
      (local.get $count)))"#;

fn run(engine: &Engine, module: &Module, n: i32) -> Result<i32> {
    let mut store = Store::new(engine, ())?;
    let instance = Instance::new(&mut store, module, &[])?;
    instance.typed_func::<i32, i32>(&mut store, "run")?.call(&mut store, n)
}

#[test]
fn every_collector_runs_again_and_again_in_the_same_slot() -> Result<()> {
    for collector in Collector::all() {
        for keep in [0, 1 << 20] {
            let engine = engine(collector, |p| _ = p.total_gc_heaps(1).gc_heap_keep_resident(keep));
            let module = Module::new(&engine, LIST)?;
            // The larger ones make the heap grow, so that the next store begins with a larger accessible part than it
            // asked for.
            for n in [10, 100_000, 10, 50_000, 1] {
                assert_eq!(run(&engine, &module, n)?, 42 * n, "{} {n}", collector.name());
            }
            let heaps = engine.pooling_allocator_metrics().unwrap().gc_heaps();
            assert_eq!((heaps.limit, heaps.live, heaps.peak, heaps.unused_warm, heaps.taken), (1, 0, 1, 1, 5));
        }
    }
    assert!(Engine::default().pooling_allocator_metrics().is_none());
    Ok(())
}

#[test]
fn limits_are_errors_that_can_be_told_apart() -> Result<()> {
    let engine =
        engine(Collector::default(), |p| _ = p.total_core_instances(2).total_gc_heaps(2).max_memory_size(1 << 20));
    let module = Module::new(&engine, "(module)")?;
    let mut store = Store::new(&engine, ())?;
    let instances = [Instance::new(&mut store, &module, &[])?, Instance::new(&mut store, &module, &[])?];
    assert_ne!(instances[0], instances[1]);
    let error = Instance::new(&mut store, &module, &[]).unwrap_err();
    let limit = error.downcast_ref::<PoolConcurrencyLimitError>().expect("the pool's own error");
    assert_eq!((limit.kind, limit.limit), ("core instance", 2));
    let _second = Store::new(&engine, ())?;
    let error = Store::new(&engine, ()).unwrap_err();
    assert!(error.is::<PoolConcurrencyLimitError>());
    let unfit = Module::new(&engine, "(module (memory 17))").unwrap_err();
    assert!(unfit.to_string().contains("initial bytes of memory 0: 1114112, of 1048576 that are allowed"), "{unfit}");
    Ok(())
}

#[test]
fn a_pool_may_limit_the_heap() -> Result<()> {
    let engine = engine(Collector::default(), |p| _ = p.max_gc_heap_size(1 << 20));
    let module = Module::new(&engine, LIST)?;
    let error = run(&engine, &module, 1_000_000).unwrap_err();
    let full = error.downcast_ref::<heapwright::GcHeapOutOfMemory>().expect("a full heap");
    assert_eq!(full.max, 1 << 20);
    assert_eq!(run(&engine, &module, 100)?, 4200);
    Ok(())
}

#[test]
fn threads_share_a_pool() -> Result<()> {
    let engine = engine(Collector::default(), |p| _ = p.total_gc_heaps(4).max_unused_warm_slots(2));
    let modules = [1, 2].map(|n| {
        let wat = LIST.replace("\\2a", &format!("\\0{n}"));
        Module::new(&engine, wat).unwrap()
    });
    std::thread::scope(|scope| {
        for t in 0..4 {
            let (engine, modules) = (&engine, &modules);
            scope.spawn(move || {
                for round in 0..60 {
                    let which = (round + t) % 2;
                    assert_eq!(run(engine, &modules[which], 500).unwrap(), 500 * (which as i32 + 1));
                }
            });
        }
    });
    let metrics = engine.pooling_allocator_metrics().unwrap();
    for slots in [metrics.gc_heaps(), metrics.memories(), metrics.core_instances()] {
        assert_eq!((slots.live, slots.taken), (0, 240));
        assert!(slots.peak <= 4 && slots.unused_warm <= 2);
    }
    Ok(())
}

#[test]
fn the_default_pool_is_a_strategy_too() -> Result<()> {
    let engine =
        Engine::new(Config::new().allocation_strategy(InstanceAllocationStrategy::pooling()).memory_init_cow(false))?;
    assert_eq!(run(&engine, &Module::new(&engine, LIST)?, 3)?, 126);
    Ok(())
}
