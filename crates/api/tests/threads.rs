//! Threads that share an engine: compiling, running, trapping, throwing, and moving stores between them. Meant to be
//! run under ThreadSanitizer as well: see `.ci/tsan`.

use heapwright::{
    Caller, Collector, Config, Engine, Instance, Linker, Module, PoolingAllocationConfig, Result, Store,
    ThrownException, Trap, TrapCode,
};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;

const THREADS: usize = 4;
const ROUNDS: usize = 12;

/// Types that all of them share, and one of its own that comes and goes in the engine's registry.
fn program(n: usize) -> String {
    let fields = "(field i64)".repeat(n % 7 + 1);
    format!(
        r#"(module
          (import "host" "tick" (func $tick (param i32) (result i32)))
          (rec (type $list (struct (field (ref null $list)) (field (mut i32)))))
          (type $own (sub (struct {fields})))
          (tag $t (param i32))
          (memory 1) (data (i32.const 0) "\{n:02x}")
          (func (export "work") (param $n i32) (result i32) (local $l (ref null $list)) (local $s i32)
            (loop $make
              (local.set $l (struct.new $list (local.get $l) (call $tick (local.get $n))))
              (drop (struct.new_default $own))
              (br_if $make (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
            (loop $walk
              (local.set $s (i32.add (local.get $s) (struct.get $list 1 (local.get $l))))
              (br_if $walk (i32.eqz (ref.is_null (local.tee $l (struct.get $list 0 (local.get $l)))))))
            (i32.add (local.get $s) (i32.load8_u (i32.const 0))))
          (func (export "null") (result i32) (struct.get $list 1 (ref.null $list)))
          (func (export "far") (result i32) (i32.load (i32.const 65536)))
          (func (export "throw") (throw $t (i32.const {n}))))"#
    )
}

fn exercise(store: &mut Store<usize>, instance: Instance, n: usize) -> Result<()> {
    let work = instance.typed_func::<i32, i32>(&mut *store, "work")?;
    // 1 + 2 + … + 200, and the byte of the data segment.
    assert_eq!(work.call(&mut *store, 200)?, 20_100 + n as i32);
    for (name, code) in [("null", TrapCode::NullStructReference), ("far", TrapCode::MemoryOutOfBounds)] {
        let error = instance.typed_func::<(), i32>(&mut *store, name)?.call(&mut *store, ()).unwrap_err();
        let trap = error.downcast_ref::<Trap>().expect("a trap");
        assert_eq!((trap.code(), trap.backtrace().frames().len()), (code, 1));
    }
    let error = instance.typed_func::<(), ()>(&mut *store, "throw")?.call(&mut *store, ()).unwrap_err();
    assert!(error.is::<ThrownException>());
    Ok(())
}

/// Each thread makes stores and hands them on, used, to the next, which uses them again and drops them.
fn pass_around(engine: &Engine) {
    let mut linker = Linker::<usize>::new(engine);
    linker
        .func_wrap("host", "tick", |mut caller: Caller<'_, usize>, n: i32| {
            *caller.data_mut() += 1;
            n
        })
        .unwrap();
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| mpsc::channel()).unzip();
    let compiled = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (t, receiver) in receivers.into_iter().enumerate() {
            let next = senders[(t + 1) % THREADS].clone();
            let (linker, compiled) = (&linker, &compiled);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let n = t * ROUNDS + round;
                    let module = Module::new(engine, program(n)).unwrap();
                    compiled.fetch_add(1, Relaxed);
                    let mut store = Store::new(engine, 0).unwrap();
                    let instance = linker.instantiate(&mut store, &module).unwrap();
                    exercise(&mut store, instance, n).unwrap();
                    next.send((store, instance, n)).unwrap();
                    let (mut store, instance, n): (Store<usize>, Instance, usize) = receiver.recv().unwrap();
                    exercise(&mut store, instance, n).unwrap();
                    assert_eq!(store.into_data(), 400);
                }
            });
        }
    });
    assert_eq!(compiled.into_inner(), THREADS * ROUNDS);
}

#[test]
fn stores_are_passed_between_threads() {
    for collector in Collector::all() {
        pass_around(&Engine::new(Config::new().collector(collector)).unwrap());
    }
}

#[test]
fn stores_from_a_pool_are_passed_between_threads() {
    let mut pool = PoolingAllocationConfig::new();
    // Each thread may hold one and have one on the way.
    pool.total_gc_heaps(3 * THREADS as u32).max_unused_warm_slots(3);
    let engine = Engine::new(Config::new().allocation_strategy(pool)).unwrap();
    pass_around(&engine);
    let metrics = engine.pooling_allocator_metrics().unwrap();
    for slots in [metrics.gc_heaps(), metrics.memories(), metrics.core_instances()] {
        assert_eq!((slots.live, slots.taken), (0, (THREADS * ROUNDS) as u64));
    }
}

#[test]
fn engines_share_the_process() {
    std::thread::scope(|scope| {
        for collector in Collector::all() {
            scope.spawn(move || {
                for n in 0..4 {
                    let engine =
                        Engine::new(Config::new().collector(collector).parallel_compilation(n % 2 == 0)).unwrap();
                    let module =
                        Module::new(&engine, "(module (func (export \"f\") (result i32) unreachable))").unwrap();
                    let mut store = Store::new(&engine, ()).unwrap();
                    let f = Instance::new(&mut store, &module, &[])
                        .unwrap()
                        .typed_func::<(), i32>(&mut store, "f")
                        .unwrap();
                    let error = f.call(&mut store, ()).unwrap_err();
                    assert_eq!(error.downcast_ref::<Trap>().unwrap().code(), TrapCode::Unreachable);
                }
            });
        }
    });
}
