//! The code registry: what it knows of an address, how long it keeps a module, and what many threads do to it.

mod support;

use heapwright_gc_heap::{HeapConfig, SizingPolicy};
use heapwright_jit::abi::Trap;
use heapwright_vm::{CallError, Store, StoreConfig, code_at};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use support::{World, call};

const EVERYTHING: &str = r#"(module $all
    (import "" "f" (func $imported))
    (type $s (struct (field i32)))
    (tag $t)
    (global $kept (mut (ref null $s)) (ref.null $s))
    (func $make (export "make") (param $keep (ref null $s)) (result (ref null $s))
      (global.set $kept (struct.new $s (i32.const 1)))
      (local.get $keep))
    (func $divide (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
    (func $catch (export "catch") (try_table (catch $t 0) (call $imported))))"#;

#[test]
fn every_table_answers_for_an_address() {
    let world = World::new("copying", 0);
    let module = world.module(EVERYTHING);
    let (compiled, text) = (module.compiled(), module.text());
    let base = text.as_ptr() as usize;
    let at =
        |offset: u32, ret| code_at(base + offset as usize, ret).unwrap_or_else(|| panic!("nothing at {offset:#x}"));

    for (i, func) in compiled.funcs.iter().enumerate() {
        for offset in [func.start, func.start + func.length / 2, func.end() - 1] {
            let found = at(offset, false);
            assert_eq!((found.func, found.text_offset), (1 + i as u32, offset));
            assert_eq!(found.func_name(), Some(["make", "divide", "catch"][i]));
            assert!(Arc::ptr_eq(&found.module, &module));
        }
        // A call may be the last instruction of a function.
        assert_eq!(at(func.end(), true).func, 1 + i as u32);
    }
    let traps: Vec<_> = compiled.tables.traps.offsets.iter().filter_map(|&o| at(o, false).trap).collect();
    assert_eq!(traps, compiled.tables.traps.traps);
    assert!(traps.contains(&Trap::IntegerDivideByZero));
    for (i, &offset) in compiled.tables.traps.offsets.iter().enumerate() {
        if compiled.tables.traps.traps[i] == Trap::IntegerDivideByZero {
            let wasm = at(offset, false).wasm_offset.expect("an offset") as usize;
            assert_eq!(module.bytes()[wasm], 0x6d, "i32.div_s");
        }
    }
    assert!(!compiled.tables.stack_maps.returns.is_empty() && !compiled.tables.handlers.returns.is_empty());
    let maps: Vec<_> =
        compiled.tables.stack_maps.returns.iter().map(|&r| at(r, true).stack_map.expect("a map")).collect();
    assert!(maps.iter().any(|m| !m.is_empty()), "`keep` lives across an allocation");
    for &offset in &compiled.tables.handlers.returns {
        assert_eq!(at(offset, true).handlers.len(), 1);
    }
    assert!(at(compiled.funcs[0].start, false).symbols().is_empty(), "no DWARF");
    assert!(code_at(base - 1, false).is_none_or(|c| !Arc::ptr_eq(&c.module, &module)));
    assert!(code_at(0, false).is_none() && code_at(0, true).is_none() && code_at(usize::MAX, false).is_none());
}

#[test]
fn a_module_lives_as_long_as_something_uses_it() {
    let mut world = World::new("null", 0);
    let module = world.module(r#"(module (func (export "f") (result i32) (i32.const 5)))"#);
    let (pc, weak) = (module.text().as_ptr() as usize, Arc::downgrade(&module));
    let code = Arc::downgrade(module.compiled());
    let instance = world.store.instantiate(&module, &[]).unwrap();
    drop(module);
    assert!(weak.upgrade().is_some() && code_at(pc, false).is_some(), "the store uses it");
    assert_eq!(world.call(instance, "f", &[]).unwrap(), 5);
    let found = code_at(pc, false);
    drop(world);
    assert!(weak.upgrade().is_some(), "the answer holds it");
    drop(found);
    assert!(weak.upgrade().is_none() && code_at(pc, false).is_none());
    // Tests beside this one read the registry, too, and what they may still see is freed by the first reader who leaves
    // it alone.
    let patience = Instant::now();
    while code.upgrade().is_some() {
        assert!(patience.elapsed() < Duration::from_secs(30), "a retired list of the registry holds the code");
        std::thread::yield_now();
        code_at(pc, false);
    }
}

#[test]
fn errors_keep_the_modules_of_their_frames() {
    let mut world = World::new("null", 0);
    let instance = world.instance(r#"(module $gone (func $bad (export "f") (result i32) unreachable))"#, &[]);
    let error = world.call(instance, "f", &[]).unwrap_err();
    drop(world);
    let CallError::Trap(info) = error else { panic!("{error}") };
    assert_eq!(info.backtrace.frames[0].func_name(), Some("bad"));
    assert!(info.backtrace.to_string().contains("gone!bad"));
}

/// Threads that load, trap in, unwind and drop modules, against threads that only look up. Traps go through the signal
/// handler, which reads the registry while others replace it.
#[test]
fn threads_register_and_unregister_while_others_look_up() {
    const LOADERS: usize = 3;
    const ROUNDS: i32 = 40;
    let world = World::new("copying", 0);
    let runtime = &world.runtime;
    let fixed = world.module(r#"(module (func (export "f") unreachable))"#);
    let fixed_pc = fixed.text().as_ptr() as usize;
    let (done, lookups) = (AtomicBool::new(false), AtomicUsize::new(0));
    let weak = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let found = code_at(fixed_pc, false).expect("registered all the time");
                    assert!(Arc::ptr_eq(&found.module, &fixed));
                    lookups.fetch_add(1, Relaxed);
                }
            });
        }
        let loaders: Vec<_> = (0..LOADERS as i32)
            .map(|t| {
                let (weak, fixed) = (&weak, &fixed);
                scope.spawn(move || {
                    let heap = HeapConfig { initial: 1 << 20, max: 1 << 24, sizing: SizingPolicy::Growing, zeal: 0 };
                    let config = StoreConfig {
                        heap,
                        max_wasm_stack: 128 << 10,
                        backtraces: true,
                        stack_watermark: true,
                        huge_pages: true,
                        gc_prefetch: true,
                    };
                    for round in 0..ROUNDS {
                        let n = t * ROUNDS + round;
                        let wat = format!(
                            r#"(module (func (export "n") (result i32) (i32.const {n}))
                                 (func $d (export "d") (result i32) (i32.div_s (i32.const 1) (i32.const 0))))"#
                        );
                        let module = runtime.compile(&wat::parse_str(wat).unwrap()).unwrap();
                        weak.lock().unwrap().push(Arc::downgrade(module.compiled()));
                        let mut store = Store::new(runtime, config).unwrap();
                        let instance = store.instantiate(&module, &[]).unwrap();
                        let other = store.instantiate(fixed, &[]).unwrap();
                        drop(module);
                        assert_eq!(call(&mut store, instance, "n", &[]).unwrap(), n);
                        let Err(CallError::Trap(trap)) = call(&mut store, instance, "d", &[]) else {
                            panic!("no trap")
                        };
                        assert_eq!(trap.trap, Trap::IntegerDivideByZero);
                        assert_eq!(trap.backtrace.frames[0].func_name(), Some("d"));
                        let Err(CallError::Trap(trap)) = call(&mut store, other, "f", &[]) else { panic!("no trap") };
                        assert_eq!(trap.trap, Trap::Unreachable);
                    }
                })
            })
            .collect();
        let results: Vec<_> = loaders.into_iter().map(|l| l.join()).collect();
        done.store(true, Relaxed);
        results.into_iter().for_each(|r| r.unwrap());
    });
    assert!(lookups.load(Relaxed) > 0);
    // Every reader has gone, so nothing that is unregistered is held any more.
    drop(code_at(fixed_pc, false));
    let weak = weak.into_inner().unwrap();
    assert_eq!(weak.len(), LOADERS * ROUNDS as usize);
    assert_eq!(weak.iter().filter(|w| w.upgrade().is_some()).count(), 0);
}

#[test]
fn compiling_ahead_keeps_neither_module_nor_runtime() {
    // Far more functions than are compiled before the module is dropped.
    let many: String = (0..400).map(|i| format!("(func $g{i} (result i32) (i32.const {i}))")).collect();
    let calls: String = (0..400).map(|i| format!("(drop (call $g{i}))")).collect();
    let text = format!(r#"(module {many} (func (export "f") (param i32) (if (local.get 0) (then {calls}))))"#);
    let World { runtime, mut store } = World::new("null", 0);
    let module = runtime.compile_lazily(&wat::parse_str(&text).unwrap()).unwrap();
    let instance = store.instantiate(&module, &[]).unwrap();
    call(&mut store, instance, "f", &[0]).unwrap();
    let (weak_module, weak_runtime) = (Arc::downgrade(&module), Arc::downgrade(&runtime));
    drop((store, module, runtime));
    // No longer than one function takes to compile.
    let start = Instant::now();
    while weak_module.upgrade().is_some() || weak_runtime.upgrade().is_some() {
        assert!(start.elapsed() < Duration::from_secs(60), "something keeps them");
        std::thread::sleep(Duration::from_millis(1));
    }
}
