//! What a program may take, and how it is stopped: fuel, epochs, a handle, sizes of memories and of the GC heap, the
//! stack. After each of these the store is usable.
//!
//! ```text
//! cargo run -p heapwright --example limits
//! ```

use heapwright::{
    Config, Engine, GcHeapOutOfMemory, Instance, Module, Result, Store, StoreLimitsBuilder, Trap, TrapCode,
    UpdateDeadline,
};
use std::thread;
use std::time::Duration;

const GREEDY: &str = r#"(module
    (type $list (struct (field i64) (field (ref null $list))))
    (memory (export "memory") 1)
    (global $all (mut (ref null $list)) (ref.null $list))
    (func (export "spin") (loop (br 0)))
    (func (export "answer") (result i32) (i32.const 42))
    (func $deep (export "deep") (call $deep))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "forget") (global.set $all (ref.null $list)))
    (func (export "hoard")
      (loop $more (global.set $all (struct.new $list (i64.const 1) (global.get $all))) (br $more))))"#;

/// Calls a function that takes and gives nothing, and says how it ended.
fn how_it_ends(store: &mut Store<u32>, instance: Instance, name: &str) -> Result<TrapCode> {
    let ended = instance.typed_func::<(), ()>(&mut *store, name)?.call(&mut *store, ());
    let error = ended.expect_err("it does not end by itself");
    println!("{name}: {error}");
    Ok(error.downcast_ref::<Trap>().expect("a trap").code())
}

/// Anything else can be called afterwards.
fn works(store: &mut Store<u32>, instance: Instance) -> Result<()> {
    assert_eq!(instance.typed_func::<(), i32>(&mut *store, "answer")?.call(store, ())?, 42);
    Ok(())
}

pub(crate) fn main() -> Result<()> {
    let mut config = Config::new();
    config.consume_fuel(true).epoch_interruption(true).max_heap(4 << 20).max_wasm_stack(128 << 10);
    let engine = Engine::new(&config)?;
    let module = Module::new(&engine, GREEDY)?;
    let mut store = Store::new(&engine, 0)?;
    // Without fuel nothing runs at all.
    store.set_fuel(u64::MAX)?;
    store.set_epoch_deadline(u64::MAX);
    let instance = Instance::new(&mut store, &module, &[])?;

    // Fuel counts work. A program costs the same in every run, under every collector and setting.
    store.set_fuel(100_000)?;
    assert_eq!(how_it_ends(&mut store, instance, "spin")?, TrapCode::OutOfFuel);
    assert_eq!(store.get_fuel()?, 0);
    store.set_fuel(u64::MAX)?;
    works(&mut store, instance)?;

    // Epochs count time, as the host sees it: here one each 10 ms, and the program has two.
    let clock = engine.clone();
    thread::spawn(move || {
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(10));
            clock.increment_epoch();
        }
    });
    store.set_epoch_deadline(2);
    assert_eq!(how_it_ends(&mut store, instance, "spin")?, TrapCode::Interrupt);

    // The host can be asked at the deadline instead, and may give more time: here twice.
    store.epoch_deadline_callback(|mut store| {
        *store.data_mut() += 1;
        if *store.data() == 3 {
            return Err(heapwright::Error::msg("no more time"));
        }
        Ok(UpdateDeadline::Continue(0))
    });
    store.set_epoch_deadline(0);
    let spin = instance.typed_func::<(), ()>(&mut store, "spin")?;
    println!("spin: {}", spin.call(&mut store, ()).expect_err("the callback ends it").root_cause());
    assert_eq!(*store.data(), 3);
    store.epoch_deadline_trap();
    store.set_epoch_deadline(u64::MAX);
    works(&mut store, instance)?;

    // A handle stops one store, from any thread.
    let handle = store.interrupt_handle();
    let stop = thread::spawn(move || {
        thread::sleep(Duration::from_millis(10));
        handle.interrupt();
    });
    assert_eq!(how_it_ends(&mut store, instance, "spin")?, TrapCode::Interrupt);
    stop.join().expect("no panic");

    // The stack ends in a trap.
    assert_eq!(how_it_ends(&mut store, instance, "deep")?, TrapCode::StackOverflow);
    works(&mut store, instance)?;

    // Growth of memories, tables and the GC heap is asked for apart.
    store.limiter(Some(Box::new(StoreLimitsBuilder::new().memory_size(3 << 16).gc_heap_size(2 << 20).build())));
    let grow = instance.typed_func::<i32, i32>(&mut store, "grow")?;
    assert_eq!([grow.call(&mut store, 2)?, grow.call(&mut store, 1)?], [1, -1]);

    // A heap that is full is an error with figures; when there is room again, the program goes on.
    let hoard = instance.typed_func::<(), ()>(&mut store, "hoard")?;
    let error = hoard.call(&mut store, ()).expect_err("the heap is full");
    let full = error.downcast_ref::<GcHeapOutOfMemory>().expect("the heap is full");
    println!("hoard: {full}");
    assert!(full.live > 1 << 19 && full.requested < 64, "{full}");
    instance.typed_func::<(), ()>(&mut store, "forget")?.call(&mut store, ())?;
    store.gc(None)?;
    assert!(store.gc_space().used < 1 << 16);
    works(&mut store, instance)
}
