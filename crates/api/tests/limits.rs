//! Limits and interruption: what programs cost, where they stop, what a store may take, and that it is usable
//! afterwards.

use heapwright::{
    ArrayRef, ArrayType, Caller, Collector, Config, Engine, Event, EventSink, Extern, FieldType, GcError,
    GcHeapOutOfMemory, Growth, GrowthRefused, HeapType, Instance, Linker, Memory, MemoryType, Module, Mutability, Ref,
    RefType, ResourceLimiter, Result, RootScope, StorageType, Store, StoreLimitsBuilder, StructRef, StructType, Table,
    TableType, Trap, TrapCode, UpdateDeadline, Val, ValType,
};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

#[track_caller]
fn trap_code<T>(result: Result<T>) -> TrapCode {
    let Err(error) = result else { panic!("no trap") };
    error.downcast_ref::<Trap>().unwrap_or_else(|| panic!("no trap: {error:?}")).code()
}

fn load<T>(store: &mut Store<T>, text: &str) -> Result<Instance> {
    let module = Module::new(store.engine(), text)?;
    Instance::new(store, &module, &[])
}

/// What a call of `run` costs, and the engine's answer to one unit less.
fn cost(engine: &Engine, text: &str) -> Result<u64> {
    const PLENTY: u64 = 1 << 40;
    let mut store = Store::new(engine, ())?;
    store.set_fuel(PLENTY)?;
    let run = load(&mut store, text)?.typed_func::<(), ()>(&mut store, "run")?;
    let before = store.get_fuel()?;
    run.call(&mut store, ())?;
    Ok(before - store.get_fuel()?)
}

/// Every kind of thing that can cost or be compiled differently: allocation, barriers, casts, calls of all kinds,
/// exceptions, memories, tables, arrays, vectors, traps that are caught by nobody.
const PROGRAM: &str = r#"(module
  (type $node (struct (field (mut i32)) (field (mut (ref null $node)))))
  (type $refs (array (mut anyref)))
  (type $bytes (array (mut i8)))
  (type $f (func (param i32) (result i32)))
  (tag $t (param i32))
  (memory 4)
  (table $table 100 funcref)
  (elem (table $table) (i32.const 3) func $fib $count)
  (data $d "0123456789abcdef")
  (global $list (mut (ref null $node)) (ref.null $node))
  (func $fib (type $f)
    (if (result i32) (i32.lt_s (local.get 0) (i32.const 2))
      (then (local.get 0))
      (else (i32.add
        (call $fib (i32.sub (local.get 0) (i32.const 1)))
        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func $count (type $f)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 0))
      (else (return_call $count (i32.sub (local.get 0) (i32.const 1))))))
  (func $throws (param i32)
    (if (i32.and (local.get 0) (i32.const 1)) (then (throw $t (local.get 0)))))
  (func (export "run")
    (local $i i32) (local $a (ref null $refs)) (local $b (ref null $bytes)) (local $n (ref null $node))
    ;; A list that outlives collections.
    (loop $grow
      (global.set $list (struct.new $node (local.get $i) (global.get $list)))
      (drop (array.new_default $bytes (i32.const 1000)))
      (br_if $grow (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 300))))
    (local.set $n (global.get $list))
    (block $end
      (loop $walk
        (br_on_null $end (local.get $n)) (drop)
        (struct.set $node 0 (local.get $n) (i32.const 7))
        (local.set $n (struct.get $node 1 (local.get $n)))
        (br $walk)))
    (local.set $a (array.new $refs (global.get $list) (i32.const 500)))
    (array.fill $refs (local.get $a) (i32.const 3) (ref.i31 (i32.const 5)) (i32.const 77))
    (array.copy $refs $refs (local.get $a) (i32.const 0) (local.get $a) (i32.const 100) (i32.const 33))
    (local.set $b (array.new_data $bytes $d (i32.const 1) (i32.const 9)))
    (array.init_data $bytes $d (local.get $b) (i32.const 0) (i32.const 2) (i32.const 4))
    (memory.fill (i32.const 100) (i32.const 1) (i32.const 5000))
    (memory.copy (i32.const 0) (i32.const 3) (i32.const 4000))
    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 16))
    (table.fill $table (i32.const 10) (ref.func $fib) (i32.const 50))
    (table.copy $table $table (i32.const 11) (i32.const 10) (i32.const 20))
    (drop (table.grow $table (ref.null func) (i32.const 30)))
    (drop (table.grow $table (ref.null func) (i32.const -1)))
    (drop (call_indirect $table (type $f) (i32.const 12) (i32.const 3)))
    (drop (call_ref $f (i32.const 6) (ref.func $count)))
    (drop (i8x16.all_true (i8x16.add (v128.load (i32.const 0)) (v128.const i64x2 1 2))))
    (local.set $i (i32.const 0))
    (loop $again
      (block $caught (result i32)
        (try_table (catch $t $caught) (call $throws (local.get $i)))
        (i32.const 0))
      (drop)
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (block $out (block $two (block $one
      (br_table $one $two $out (i32.const 1))) (nop)) (drop (i32.const 1))))
  (elem declare func $count))"#;

#[test]
fn fuel_is_the_same_everywhere() -> Result<()> {
    let mut costs = Vec::new();
    for collector in Collector::all() {
        for (what, setup) in [
            ("as it is", (|_| {}) as fn(&mut Config)),
            ("zeal 1", |c| _ = c.zeal(1)),
            ("not optimised", |c| _ = c.optimize(false)),
            ("without signals", |c| _ = c.signals_based_traps(false)),
            ("with epochs", |c| _ = c.epoch_interruption(true)),
            ("small heap", |c| _ = c.initial_heap(1 << 18).max_heap(64 << 20)),
            ("pulley", |c| _ = c.target("pulley64").expect("it is known")),
        ] {
            let mut config = Config::new();
            config.collector(collector).consume_fuel(true);
            setup(&mut config);
            let cost = cost(&Engine::new(&config)?, PROGRAM)?;
            costs.push((cost, collector.name(), what));
        }
    }
    let first = costs[0].0;
    assert!(first > 5000, "a program that does something: {first}");
    assert!(costs.iter().all(|c| c.0 == first), "{costs:#?}");
    Ok(())
}

#[test]
fn fuel_adds_up() -> Result<()> {
    let engine = Engine::new(Config::new().consume_fuel(true))?;
    let cost = |body: &str| {
        cost(
            &engine,
            &format!(
                r#"(module (memory 4) (table 64 anyref) (type $b (array (mut i8)))
        (global $g (mut (ref null $b)) (ref.null $b)) (func $nothing) (func (export "run") (local i32) {body}))"#
            ),
        )
    };
    // Entering costs 1; operators 1; structure nothing.
    assert_eq!(cost("")?, 1);
    assert_eq!(cost("nop (block) (block (nop))")?, 1);
    assert_eq!(cost("(drop (i32.const 1))")?, 2);
    assert_eq!(cost("(local.set 0 (i32.add (i32.const 1) (i32.const 2)))")?, 1 + 4);
    assert_eq!(cost("(call $nothing)")?, 1 + 1 + 1);
    assert_eq!(cost("(if (i32.const 1) (then (drop (i32.const 1))) (else (call $nothing)))")?, 1 + 2 + 1);
    assert_eq!(cost("(if (i32.const 0) (then (drop (i32.const 1))) (else (call $nothing)))")?, 1 + 2 + 2);
    // Each turn: loop, two operands, add, tee, one operand, compare, branch.
    let turns = "(loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 10))))";
    assert_eq!(cost(turns)?, 1 + 10 * 8);
    // Ranges: three operands, the operator, and their length.
    assert_eq!(cost("(memory.fill (i32.const 0) (i32.const 0) (i32.const 80000))")?, 1 + 4 + 10_000);
    assert_eq!(cost("(memory.copy (i32.const 0) (i32.const 1) (i32.const 16))")?, 1 + 4 + 2);
    assert_eq!(cost("(table.fill (i32.const 0) (ref.null any) (i32.const 60))")?, 1 + 4 + 60);
    assert_eq!(cost("(global.set $g (array.new_default $b (i32.const 5000)))")?, 1 + 3 + 5000);
    let fill = "(global.set $g (array.new $b (i32.const 1) (i32.const 100)))
        (array.fill $b (global.get $g) (i32.const 0) (i32.const 2) (i32.const 50))";
    assert_eq!(cost(fill)?, 1 + 4 + 100 + 5 + 50);
    Ok(())
}

#[test]
fn a_program_needs_what_it_costs() -> Result<()> {
    let engine = Engine::new(Config::new().consume_fuel(true))?;
    let text = r#"(module (memory (export "m") 1) (global $n (export "n") (mut i32) (i32.const 0))
        (func (export "run")
          (loop (global.set $n (i32.add (global.get $n) (i32.const 1)))
            (br_if 0 (i32.lt_u (global.get $n) (i32.const 100)))))
        (func (export "fill") (memory.fill (i32.const 0) (i32.const 7) (i32.const 8000))))"#;
    let whole = cost(&engine, text)?;
    assert_eq!(whole, 1 + 100 * 9);
    for (fuel, turns) in [(whole, 100), (whole - 9, 99), (10, 1), (1, 0), (0, 0)] {
        let mut store = Store::new(&engine, ())?;
        let instance = load(&mut store, text)?;
        let run = instance.typed_func::<(), ()>(&mut store, "run")?;
        store.set_fuel(fuel)?;
        let result = run.call(&mut store, ());
        match fuel == whole {
            true => result?,
            false => assert_eq!(trap_code(result), TrapCode::OutOfFuel, "{fuel}"),
        }
        assert_eq!(store.get_fuel()?, 0);
        let Some(Extern::Global(n)) = instance.get_export(&mut store, "n") else { panic!("it is exported") };
        assert_eq!(n.get(&mut store)?.unwrap_i32(), turns, "{fuel}");
        // With more it goes on.
        store.set_fuel(1000)?;
        run.call(&mut store, ())?;
    }
    // Nothing of an operation that is too expensive is done.
    let mut store = Store::new(&engine, ())?;
    let instance = load(&mut store, text)?;
    store.set_fuel(1004)?;
    let fill = instance.typed_func::<(), ()>(&mut store, "fill")?;
    assert_eq!(trap_code(fill.call(&mut store, ())), TrapCode::OutOfFuel);
    let Some(Extern::Memory(memory)) = instance.get_export(&mut store, "m") else { panic!("it is exported") };
    assert!(memory.data(&store).iter().all(|&b| b == 0));
    store.set_fuel(1005)?;
    fill.call(&mut store, ())?;
    assert_eq!(memory.data(&store).iter().filter(|&&b| b == 7).count(), 8000);
    Ok(())
}

#[test]
fn host_functions_see_and_set_the_fuel() -> Result<()> {
    let engine = Engine::new(Config::new().consume_fuel(true))?;
    let module = Module::new(
        &engine,
        r#"(module (import "" "f" (func $f)) (func (export "run")
             (call $f) (drop (i32.const 1)) (try_table (catch_all 0) (call $f))))"#,
    )?;
    let mut linker = Linker::<Vec<u64>>::new(&engine);
    linker.func_wrap("", "f", |mut caller: Caller<'_, Vec<u64>>| -> Result<()> {
        let mut store = heapwright::AsContextMut::as_context_mut(&mut caller);
        let left = store.get_fuel()?;
        store.data_mut().push(left);
        store.set_fuel(1000)
    })?;
    let mut store = Store::new(&engine, Vec::new())?;
    store.set_fuel(50)?;
    let run = linker.instantiate(&mut store, &module)?.typed_func::<(), ()>(&mut store, "run")?;
    run.call(&mut store, ())?;
    assert_eq!(store.data()[..], [50 - 2, 1000 - 2]);
    assert_eq!(store.get_fuel()?, 1000);
    let mut unlimited = Store::new(&Engine::default(), ())?;
    assert!(unlimited.set_fuel(1).is_err() && unlimited.get_fuel().is_err());
    Ok(())
}

/// The engines that interruption is tested with.
fn interruptible() -> Result<Vec<Engine>> {
    let mut engines = Vec::new();
    for collector in Collector::all() {
        engines.push(Engine::new(Config::new().collector(collector).epoch_interruption(true))?);
        engines.push(Engine::new(Config::new().collector(collector).zeal(1).epoch_interruption(true))?);
    }
    engines.push(Engine::new(Config::new().epoch_interruption(true).target("pulley64")?)?);
    Ok(engines)
}

#[test]
fn epochs_stop_the_stores_whose_deadline_it_is() -> Result<()> {
    for engine in interruptible()? {
        let text = r#"(module (func (export "run")) (func (export "spin") (loop (br 0))))"#;
        let mut stores = Vec::new();
        for deadline in [1, 2, 3] {
            let mut store = Store::new(&engine, ())?;
            store.set_epoch_deadline(deadline);
            let instance = load(&mut store, text)?;
            stores.push((store, instance));
        }
        for now in 1..=3 {
            engine.increment_epoch();
            assert_eq!(engine.current_epoch(), now);
            for (i, (store, instance)) in stores.iter_mut().enumerate() {
                let run = instance.typed_func::<(), ()>(&mut *store, "run")?;
                for _ in 0..2 {
                    let result = run.call(&mut *store, ());
                    // It stays reached.
                    match (i as u64) < now {
                        true => assert_eq!(trap_code(result), TrapCode::Interrupt),
                        false => result?,
                    }
                }
            }
        }
        // From another thread, in the middle of an endless loop.
        let (store, instance) = &mut stores[0];
        store.set_epoch_deadline(5);
        let spin = instance.typed_func::<(), ()>(&mut *store, "spin")?;
        std::thread::scope(|scope| {
            scope.spawn(|| (0..5).for_each(|_| engine.increment_epoch()));
            assert_eq!(trap_code(spin.call(&mut *store, ())), TrapCode::Interrupt);
        });
        store.set_epoch_deadline(1);
        instance.typed_func::<(), ()>(&mut *store, "run")?.call(&mut *store, ())?;
        // An interruption happens once.
        store.interrupt_handle().interrupt();
        assert_eq!(trap_code(spin.call(&mut *store, ())), TrapCode::Interrupt);
        instance.typed_func::<(), ()>(&mut *store, "run")?.call(&mut *store, ())?;
    }
    Ok(())
}

#[test]
fn callbacks_decide_at_the_deadline() -> Result<()> {
    for engine in interruptible()? {
        let node = StructType::new(&engine, [FieldType::new(Mutability::Var, StorageType::ValType(ValType::I64))])?;
        // A loop with a live reference, which the callback's collections move.
        let text = r#"(module (type $n (struct (field (mut i64)))) (func (export "run") (param $turns i32) (result i64)
            (local $kept (ref $n)) (local.set $kept (struct.new $n (i64.const 42)))
            (loop $l (br_if $l (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
            (struct.get $n 0 (local.get $kept))))"#;
        let mut store = Store::new(&engine, 0u32)?;
        let run = load(&mut store, text)?.typed_func::<i32, i64>(&mut store, "run")?;
        store.set_epoch_deadline(0);
        store.epoch_deadline_callback(move |mut store| {
            *store.data_mut() += 1;
            for i in 0..20 {
                StructRef::new(&mut store, &node, &[Val::I64(i)])?;
            }
            store.gc()?;
            Ok(UpdateDeadline::Continue(0))
        });
        assert_eq!(run.call(&mut store, 10)?, 42);
        // Once on entry, once a turn.
        assert_eq!(*store.data(), 11);
        store.epoch_deadline_callback(|store| match *store.data() {
            15.. => Err(heapwright::Error::msg("enough")),
            _ => Ok(UpdateDeadline::Continue(1)),
        });
        assert_eq!(run.call(&mut store, 1000)?, 42);
        *store.data_mut() = 15;
        engine.increment_epoch();
        let error = run.call(&mut store, 1000).unwrap_err();
        assert_eq!(error.root_cause().to_string(), "enough");
        store.epoch_deadline_trap();
        assert_eq!(trap_code(run.call(&mut store, 1)), TrapCode::Interrupt);
        store.set_epoch_deadline(1);
        assert_eq!(run.call(&mut store, 1)?, 42);
    }
    Ok(())
}

/// Operations on ranges look whether to stop after each chunk: counted in chunks, for time says nothing.
#[test]
fn operations_on_memories_ask_between_chunks() -> Result<()> {
    for engine in interruptible()? {
        let text = r#"(module (memory (export "m") 80)
            (func (export "fill") (memory.fill (i32.const 5) (i32.const 3) (i32.const 0x400000)))
            (func (export "down") (memory.copy (i32.const 0) (i32.const 9) (i32.const 0x400000)))
            (func (export "up") (memory.copy (i32.const 9) (i32.const 0) (i32.const 0x400000))))"#;
        let mut store = Store::new(&engine, 0u32)?;
        let instance = load(&mut store, text)?;
        let Some(Extern::Memory(memory)) = instance.get_export(&mut store, "m") else { panic!("it is exported") };
        store.set_epoch_deadline(0);
        store.epoch_deadline_callback(|mut store| {
            *store.data_mut() += 1;
            Ok(UpdateDeadline::Continue(0))
        });
        let mut expected = vec![0u8; 80 << 16];
        expected[5..5 + 0x40_0000].fill(3);
        for name in ["fill", "down", "up"] {
            *store.data_mut() = 0;
            instance.typed_func::<(), ()>(&mut store, name)?.call(&mut store, ())?;
            // 4 MiB are four chunks: once on entry, three times in between.
            assert_eq!(*store.data(), 4, "{name}");
            match name {
                "down" => expected.copy_within(9..9 + 0x40_0000, 0),
                "up" => expected.copy_within(0..0x40_0000, 9),
                _ => {}
            }
            assert!(memory.data(&store) == expected, "{name}");
            // Marks, so that a wrong order would be seen.
            for (i, byte) in expected.iter_mut().enumerate().step_by(1000) {
                *byte = i as u8;
            }
            memory.data_mut(&mut store).copy_from_slice(&expected);
        }
    }
    Ok(())
}

#[test]
fn operations_on_tables_and_arrays_stop_between_chunks() -> Result<()> {
    const SLOTS: u32 = 200_000;
    for engine in interruptible()? {
        // `stop` asks for an interruption. Nothing looks between its return and the operation's chunks.
        let text = format!(
            r#"(module (import "" "stop" (func $stop))
            (type $bytes (array (mut i8))) (type $refs (array (mut anyref)))
            (table $t (export "t") {SLOTS} anyref)
            (global $b (export "b") (ref $bytes) (array.new_default $bytes (i32.const {SLOTS})))
            (global $r (export "r") (ref $refs) (array.new_default $refs (i32.const {SLOTS})))
            (func (export "table") (call $stop)
              (table.fill $t (i32.const 0) (ref.i31 (i32.const 1)) (i32.const {SLOTS})))
            (func (export "bytes") (call $stop)
              (array.fill $bytes (global.get $b) (i32.const 0) (i32.const 1) (i32.const {SLOTS})))
            (func (export "refs") (call $stop)
              (array.fill $refs (global.get $r) (i32.const 0) (ref.i31 (i32.const 1)) (i32.const {SLOTS})))
            (global $s (ref $refs) (array.new $refs (ref.i31 (i32.const 1)) (i32.const {SLOTS})))
            (global $c (export "c") (ref $refs) (array.new_default $refs (i32.const {SLOTS})))
            (func (export "copy") (call $stop)
              (array.copy $refs $refs (global.get $c) (i32.const 0) (global.get $s) (i32.const 0) (i32.const {SLOTS}))))"#
        );
        let mut linker = Linker::<()>::new(&engine);
        let handle = Arc::new(Mutex::new(None::<heapwright::InterruptHandle>));
        let stop = handle.clone();
        linker.func_wrap("", "stop", move || -> Result<()> {
            stop.lock().expect("no panic").as_ref().expect("it is set").interrupt();
            Ok(())
        })?;
        let mut store = Store::new(&engine, ())?;
        *handle.lock().expect("no panic") = Some(store.interrupt_handle());
        let module = Module::new(&engine, &text)?;
        let instance = linker.instantiate(&mut store, &module)?;
        for name in ["table", "bytes", "refs", "copy"] {
            let operation = instance.typed_func::<(), ()>(&mut store, name)?;
            assert_eq!(trap_code(operation.call(&mut store, ())), TrapCode::Interrupt, "{name}");
        }
        // What was done before the interruption stays done, and no more than a chunk of it.
        let mut scope = RootScope::new(&mut store);
        let Some(Extern::Table(table)) = instance.get_export(&mut scope, "t") else { panic!("it is exported") };
        let written = |value: Option<Ref>| matches!(value, Some(Ref::Any(Some(_))));
        assert!(written(table.get(&mut scope, 0)?) && !written(table.get(&mut scope, 100_000)?));
        let mut array = |name| -> Result<_> {
            let Some(Extern::Global(global)) = instance.get_export(&mut scope, name) else { panic!("it is exported") };
            let value = global.get(&mut scope)?.unwrap_anyref().expect("not null");
            Ok(value.as_array(&mut scope)?.expect("an array"))
        };
        let (bytes, refs, copy) = (array("b")?, array("r")?, array("c")?);
        let done = bytes.to_vec::<u8>(&mut scope)?.iter().take_while(|&&b| b == 1).count();
        assert!((1..100_000).contains(&done), "{done} bytes");
        let is_set = |value: Val| value.unwrap_anyref().is_some();
        for refs in [refs, copy] {
            assert!(is_set(refs.get(&mut scope, 0)?) && !is_set(refs.get(&mut scope, 100_000)?));
        }
    }
    Ok(())
}

#[test]
fn store_limits_tell_kinds_apart() -> Result<()> {
    for collector in Collector::all() {
        let engine = Engine::new(Config::new().collector(collector))?;
        let mut store = Store::new(&engine, ())?;
        let limits = StoreLimitsBuilder::new()
            .memory_size(3 << 16)
            .table_elements(20)
            .gc_heap_size(4 << 20)
            .instances(1)
            .memories(2)
            .tables(2)
            .build();
        store.limiter(Some(Box::new(limits)));
        let text = r#"(module (memory 1) (table 10 funcref) (type $b (array (mut i8)))
            (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
            (func (export "heap") (param i32) (result i32) (array.len (array.new_default $b (local.get 0)))))"#;
        let instance = load(&mut store, text)?;
        let [memory, table, heap] = ["memory", "table", "heap"]
            .map(|name| instance.typed_func::<i32, i32>(&mut store, name).expect("it is exported"));
        assert_eq!((memory.call(&mut store, 2)?, memory.call(&mut store, 1)?), (1, -1));
        assert_eq!((table.call(&mut store, 10)?, table.call(&mut store, 1)?), (10, -1));
        // As little as 1 MiB fits half a heap of a copying collector; 8 MiB fit no heap of 4.
        assert_eq!(heap.call(&mut store, 1 << 20)?, 1 << 20);
        let error = heap.call(&mut store, 8 << 20).unwrap_err();
        let full = error.downcast_ref::<GcHeapOutOfMemory>().unwrap_or_else(|| panic!("{error:?}"));
        assert!(full.requested >= 8 << 20 && full.live <= 4 << 20, "{full:?}");
        assert!(store.gc_space().committed <= 5 << 20, "{:?}", store.gc_space());
        assert_eq!(heap.call(&mut store, 1000)?, 1000);

        let refused = load(&mut store, "(module)").unwrap_err().to_string();
        assert!(refused.contains("1 instances"), "{refused}");
        Memory::new(&mut store, MemoryType::new(1, None))?;
        let refused = Memory::new(&mut store, MemoryType::new(1, None)).unwrap_err().to_string();
        assert!(refused.contains("2 memories"), "{refused}");
        let ty = || TableType::new(RefType::new(true, HeapType::Func), 1, None);
        Table::new(&mut store, ty(), Ref::Func(None))?;
        let refused = Table::new(&mut store, ty(), Ref::Func(None)).unwrap_err().to_string();
        assert!(refused.contains("2 tables"), "{refused}");
        // Without limits everything goes on.
        store.limiter(None);
        assert_eq!((memory.call(&mut store, 1)?, heap.call(&mut store, 8 << 20)?), (3, 8 << 20));
    }
    Ok(())
}

#[test]
fn refused_growth_can_end_the_call() -> Result<()> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, ())?;
    let limits = StoreLimitsBuilder::new().memory_size(2 << 16).trap_on_grow_failure(true).build();
    store.limiter(Some(Box::new(limits)));
    let text = r#"(module (memory 1 3) (table 1 5 funcref)
        (func (export "memory") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export "table") (param i32) (result i32) (table.grow (ref.null func) (local.get 0))))"#;
    let instance = load(&mut store, text)?;
    let memory = instance.typed_func::<i32, i32>(&mut store, "memory")?;
    let table = instance.typed_func::<i32, i32>(&mut store, "table")?;
    assert_eq!(memory.call(&mut store, 1)?, 1);
    let error = memory.call(&mut store, 1).unwrap_err();
    let refused = GrowthRefused { what: "memory", desired: Some(3 << 16) };
    assert_eq!(error.downcast_ref::<GrowthRefused>(), Some(&refused), "{error:?}");
    // The limits would allow it, the type does not.
    let error = table.call(&mut store, 5).unwrap_err();
    assert_eq!(error.downcast_ref::<GrowthRefused>(), Some(&GrowthRefused { what: "table", desired: None }));
    assert_eq!(table.call(&mut store, 4)?, 1);
    Ok(())
}

/// What was asked: of what, from how much, to how much.
type Asked = Arc<Mutex<Vec<(&'static str, u64, u64)>>>;

/// Notes what it is asked, and refuses heaps above a limit.
#[derive(Clone)]
struct Noting(Asked, u64);

impl ResourceLimiter for Noting {
    fn memory_growing(&mut self, current: u64, desired: u64, _: Option<u64>) -> Growth {
        self.0.lock().expect("no panic").push(("memory", current, desired));
        Ok(true)
    }
    fn table_growing(&mut self, current: u64, desired: u64, _: Option<u64>) -> Growth {
        self.0.lock().expect("no panic").push(("table", current, desired));
        Ok(true)
    }
    fn gc_heap_growing(&mut self, current: u64, desired: u64, _: u64) -> Growth {
        self.0.lock().expect("no panic").push(("heap", current, desired));
        Ok(desired <= self.1)
    }
}

#[test]
fn a_limiter_is_asked_before_anything_grows() -> Result<()> {
    let engine = Engine::new(Config::new().initial_heap(1 << 20))?;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let mut store = Store::new(&engine, ())?;
    store.limiter(Some(Box::new(Noting(asked.clone(), 0))));
    let bytes = ArrayType::new(&engine, FieldType::new(Mutability::Var, StorageType::I8))?;
    let error = ArrayRef::new_default(&mut store, &bytes, 8).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(GcError::NoHeap(_))), "{error:?}");
    // A store without heap can still get one.
    store.limiter(Some(Box::new(Noting(asked.clone(), 64 << 20))));
    ArrayRef::new_default(&mut store, &bytes, 8)?;
    ArrayRef::new_default(&mut store, &bytes, 8 << 20)?;
    let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    memory.grow(&mut store, 2)?;
    let asked = asked.lock().expect("no panic");
    assert_eq!(asked[..2], [("heap", 0, 1 << 20), ("heap", 0, 1 << 20)]);
    assert!(asked[2..].iter().any(|&(what, from, to)| what == "heap" && from >= 1 << 20 && to >= 8 << 20), "{asked:?}");
    assert_eq!(asked[asked.len() - 2..], [("memory", 0, 1 << 16), ("memory", 1 << 16, 3 << 16)]);
    Ok(())
}

#[test]
fn objects_can_be_limited() -> Result<()> {
    for collector in Collector::all() {
        let engine = Engine::new(Config::new().collector(collector).max_object_size(100_000))?;
        let mut store = Store::new(&engine, ())?;
        let text = r#"(module (type $b (array (mut i8))) (func (export "run") (param i32) (result i32)
            (array.len (array.new_default $b (local.get 0)))))"#;
        let run = load(&mut store, text)?.typed_func::<i32, i32>(&mut store, "run")?;
        assert_eq!(run.call(&mut store, 99_900)?, 99_900);
        let error = run.call(&mut store, 100_000).unwrap_err();
        assert_eq!(error.downcast_ref::<Trap>().map(Trap::code), Some(TrapCode::AllocationTooLarge), "{error:?}");
        let bytes = ArrayType::new(&engine, FieldType::new(Mutability::Var, StorageType::I8))?;
        assert_eq!(trap_code(ArrayRef::new_default(&mut store, &bytes, 100_000)), TrapCode::AllocationTooLarge);
        assert_eq!(run.call(&mut store, 10)?, 10);
    }
    assert!(Engine::new(Config::new().max_object_size(1000)).is_err());
    Ok(())
}

#[test]
fn a_guest_that_fills_the_heap_can_be_called_again() -> Result<()> {
    for collector in Collector::all().filter(|c| c.spec().needs_roots) {
        for zeal in [0, 20_000] {
            let mut config = Config::new();
            config.collector(collector).zeal(zeal).initial_heap(1 << 20).max_heap(4 << 20);
            let mut store = Store::new(&Engine::new(&config)?, ())?;
            let text = r#"(module (type $n (struct (field i64) (field (ref null $n))))
                (global $list (mut (ref null $n)) (ref.null $n))
                (func (export "fill") (loop
                  (global.set $list (struct.new $n (i64.const 1) (global.get $list))) (br 0)))
                (func (export "free") (global.set $list (ref.null $n))))"#;
            let instance = load(&mut store, text)?;
            let [fill, free] =
                ["fill", "free"].map(|name| instance.typed_func::<(), ()>(&mut store, name).expect("it is exported"));
            for _ in 0..if zeal == 0 { 3 } else { 1 } {
                let error = fill.call(&mut store, ()).unwrap_err();
                let full = error.downcast_ref::<GcHeapOutOfMemory>().unwrap_or_else(|| panic!("{error:?}"));
                // A node: type word, reference, i64; and what the collector adds.
                assert!((16..=64).contains(&full.requested), "{full:?}");
                assert!(full.live > 1 << 20 && full.live <= full.max && full.max <= 4 << 20, "{full:?}");
                assert_eq!(full.backtrace.frames().len(), 1);
                free.call(&mut store, ())?;
                store.gc(Some(full))?;
            }
        }
    }
    Ok(())
}

/// The most objects that a collection visited.
struct MostVisited(Arc<AtomicU64>);

impl EventSink for MostVisited {
    fn event(&mut self, event: &Event) {
        if let Event::CollectionEnd { report, .. } = event {
            self.0.fetch_max(report.objects_visited, Relaxed);
        }
    }
}

/// Collections cannot be interrupted, but each is bounded by the heap: no object is visited more than once, whatever
/// refers to it how often. Shapes that are hard on tracers: a deep list, a clique of arrays, all of it in cycles.
#[test]
fn a_hostile_heap_bounds_collections_by_its_size() -> Result<()> {
    for collector in Collector::all().filter(|c| c.spec().needs_roots) {
        let mut config = Config::new();
        config.collector(collector).initial_heap(8 << 20).max_heap(32 << 20);
        let mut store = Store::new(&Engine::new(&config)?, ())?;
        let most = Arc::new(AtomicU64::new(0));
        store.set_event_sink(Some(Box::new(MostVisited(most.clone()))));
        let text = r#"(module (type $n (struct (field (mut anyref)) (field (mut anyref)))) (type $a (array (mut anyref)))
            (global $g (mut (ref null $n)) (ref.null $n)) (global $c (mut (ref null $a)) (ref.null $a))
            (func (export "run") (param $nodes i32) (param $clique i32)
              (local $i i32) (local $x (ref null $a))
              (loop $list
                (global.set $g (struct.new $n (global.get $g) (global.get $g)))
                (br_if $list (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $nodes))))
              (global.set $c (array.new_default $a (local.get $clique)))
              (local.set $i (i32.const 0))
              (loop $each
                (array.set $a (global.get $c) (local.get $i) (local.tee $x (array.new $a (global.get $g) (local.get $clique))))
                (array.copy $a $a (local.get $x) (i32.const 0) (global.get $c) (i32.const 0) (local.get $clique))
                (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $clique))))))"#;
        let (nodes, clique) = (50_000u32, 300u32);
        let run = load(&mut store, text)?.typed_func::<(u32, u32), ()>(&mut store, "run")?;
        run.call(&mut store, (nodes, clique))?;
        store.gc(None)?;
        store.gc(None)?;
        let (most, capacity) = (most.load(Relaxed), 32u64 << 20);
        // An object has 8 bytes at least. And here: one visit each, of the nodes, the arrays, and what was dropped
        // meanwhile.
        assert!(most <= capacity / 8, "{}: {most}", collector.name());
        assert!(most <= 2 * u64::from(nodes + clique + 1), "{}: {most}", collector.name());
    }
    Ok(())
}
