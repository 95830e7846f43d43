//! Calls, host functions both ways, traps and their backtraces.

mod support;

use heapwright_gc_heap::{ValType, Value};
use heapwright_jit::Settings;
use heapwright_jit::abi::Trap;
use heapwright_vm::{CallError, Extern, InstantiateError, ValRaw};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use support::{World, call, settings};

#[test]
fn values_of_every_kind_pass_both_ways() {
    let mut w = World::new("null", 0);
    let i = w.instance(
        r#"(module (func (export "f") (param i32 i64 f32 f64 v128) (result v128 f64 f32 i64 i32)
            local.get 4 local.get 3 local.get 2 local.get 1 local.get 0 i32.const 1 i32.add))"#,
        &[],
    );
    let f = w.func(i, "f");
    let mut slots = [
        ValRaw::from_i32(-2),
        ValRaw::from_i64(1 << 40),
        ValRaw::from_f32(1.5),
        ValRaw::from_f64(-2.5),
        ValRaw::from_v128(1 << 100),
    ];
    w.store.call(f, &mut slots).unwrap();
    let [a, b, c, d, e] = slots;
    assert_eq!((a.v128(), b.f64(), c.f32(), d.i64(), e.i32()), (1 << 100, -2.5, 1.5, 1 << 40, -1));
}

#[test]
fn many_parameters_and_results_pass_through_host_functions() {
    let mut w = World::new("null", 0);
    let types = [ValType::I64; 20];
    let reverse = w.host(&types, &types, |_, slots| {
        slots.reverse();
        Ok(())
    });
    let list = "i64 ".repeat(20);
    let gets: String = (0..20).map(|i| format!("local.get {i} ")).collect();
    let wat = format!(
        r#"(module (import "h" "r" (func $r (param {list}) (result {list})))
            (func (export "f") (param {list}) (result {list}) {gets} call $r))"#
    );
    let i = w.instance(&wat, &[reverse]);
    let f = w.func(i, "f");
    let mut slots: Vec<_> = (0..20).map(ValRaw::from_i64).collect();
    w.store.call(f, &mut slots).unwrap();
    assert!(slots.iter().enumerate().all(|(n, slot)| slot.i64() == 19 - n as i64));
}

#[test]
fn signals_become_traps_with_backtraces() {
    let mut w = World::new("null", 0);
    let i = w.instance(
        r#"(module $m (memory 1)
            (func $unreachable (export "u") unreachable)
            (func $middle (call $unreachable))
            (func (export "outer") (call $middle))
            (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
            (func (export "far") (param i32) (result i32) (i32.load offset=0xfffffff0 (local.get 0)))
            (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
            (func (export "trunc") (result i32) (i32.trunc_f32_s (f32.const nan)))
            (func $deep (export "deep") (param i32) (result i32)
                (i32.add (i32.const 1) (call $deep (local.get 0)))))"#,
        &[],
    );
    for _ in 0..3 {
        assert_eq!(w.trap(i, "u", &[]), Trap::Unreachable);
        assert_eq!(w.trap(i, "load", &[65533]), Trap::MemoryOutOfBounds);
        assert_eq!(w.trap(i, "load", &[-1]), Trap::MemoryOutOfBounds);
        assert_eq!(w.trap(i, "far", &[-1]), Trap::MemoryOutOfBounds);
        assert_eq!(w.trap(i, "div", &[1, 0]), Trap::IntegerDivideByZero);
        assert_eq!(w.trap(i, "div", &[i32::MIN, -1]), Trap::IntegerOverflow);
        assert_eq!(w.trap(i, "trunc", &[]), Trap::InvalidConversionToInteger);
        assert_eq!(w.trap(i, "deep", &[0]), Trap::StackOverflow);
    }
    assert_eq!(w.call(i, "load", &[65532]).unwrap(), 0);
    assert_eq!(w.call(i, "div", &[7, 2]).unwrap(), 3);

    let Err(CallError::Trap(info)) = w.call(i, "outer", &[]) else { panic!() };
    let names: Vec<_> = info.backtrace.frames.iter().map(|f| f.func_name()).collect();
    assert_eq!(names, [Some("unreachable"), Some("middle"), None]);
    assert!(info.backtrace.frames.iter().all(|f| f.offset.is_some()));
    let bytes = w.store.instance_module(i).bytes().clone();
    let at = |n: usize| bytes[info.backtrace.frames[n].offset.unwrap() as usize];
    assert_eq!((at(0), at(1), at(2)), (0x00, 0x10, 0x10), "unreachable, call, call");
    assert!(info.backtrace.to_string().contains("m!middle"), "{}", info.backtrace);

    let Err(CallError::Trap(info)) = w.call(i, "deep", &[0]) else { panic!() };
    assert!(info.backtrace.frames.len() == 64 && info.backtrace.omitted > 1000);
}

#[test]
fn explicit_checks_trap_alike() {
    let mut w = World::with("null", 0, Settings { signal_traps: false, ..settings() });
    let i = w.instance(
        r#"(module (memory 1)
            (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
            (func (export "div") (param i32 i32) (result i32) (i32.div_u (local.get 0) (local.get 1))))"#,
        &[],
    );
    assert_eq!(w.trap(i, "load", &[65533]), Trap::MemoryOutOfBounds);
    assert_eq!(w.trap(i, "div", &[1, 0]), Trap::IntegerDivideByZero);
    assert_eq!(w.call(i, "load", &[0]).unwrap(), 0);
}

#[test]
fn host_functions_call_back_and_see_who_imports_them() {
    let mut w = World::new("null", 0);
    let fib = w.host(&[ValType::I32], &[ValType::I32], |host, slots| {
        let n = slots[0].i32();
        let instance = host.instance().expect("an instance imported it");
        let value = if n < 2 {
            n
        } else {
            call(host.store(), instance, "fib", &[n - 1])? + call(host.store(), instance, "fib", &[n - 2])?
        };
        slots[0] = ValRaw::from_i32(value);
        Ok(())
    });
    let wat = r#"(module (import "h" "fib" (func $h (param i32) (result i32)))
        (table funcref (elem $h))
        (type $t (func (param i32) (result i32)))
        (func (export "fib") (param i32) (result i32) (call $h (local.get 0)))
        (func (export "indirect") (param i32) (result i32) (call_indirect (type $t) (local.get 0) (i32.const 0)))
        (export "again" (func $h)))"#;
    let (a, b) = (w.instance(wat, &[fib]), w.instance(wat, &[fib]));
    assert_eq!(w.call(a, "fib", &[15]).unwrap(), 610);
    assert_eq!(w.call(b, "indirect", &[10]).unwrap(), 55);
    assert_eq!(w.call(b, "again", &[9]).unwrap(), 34);
    assert_ne!(w.func(a, "again"), w.func(b, "again"));
}

#[derive(Debug)]
struct Exit(i32);
impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}", self.0)
    }
}
impl std::error::Error for Exit {}

#[test]
fn errors_and_panics_cross_compiled_frames() {
    let mut w = World::new("null", 0);
    let alive = Arc::new(AtomicUsize::new(0));
    let inner = alive.clone();
    let host = w.host(&[ValType::I32], &[], move |host, slots| {
        inner.fetch_add(1, Relaxed);
        let guard = scopeguard(inner.clone());
        match slots[0].i32() {
            0 => return Err(CallError::host(Exit(7))),
            1 => panic!("a host panic"),
            2 => return Err(Trap::Interrupt.into()),
            3 => {
                // A nested error passes through two activations.
                let instance = host.instance().unwrap();
                call(host.store(), instance, "f", &[0])?;
            }
            _ => {}
        }
        drop(guard);
        Ok(())
    });
    let i = w.instance(
        r#"(module (import "h" "h" (func $h (param i32)))
            (func $f (export "f") (param i32) (call $h (local.get 0)))
            (func (export "g") (param i32) (call $f (local.get 0))))"#,
        &[host],
    );
    for _ in 0..2 {
        for arg in [0, 3] {
            let Err(CallError::Host { error, backtrace }) = w.call(i, "g", &[arg]) else { panic!() };
            assert_eq!(error.downcast_ref::<Exit>().unwrap().0, 7);
            assert_eq!(backtrace.frames.len(), if arg == 0 { 2 } else { 3 });
        }
        let Err(CallError::Panic(payload)) = w.call(i, "g", &[1]) else { panic!() };
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"a host panic"));
        assert_eq!(w.trap(i, "g", &[2]), Trap::Interrupt);
        w.call(i, "g", &[9]).unwrap();
    }
    assert_eq!(alive.load(Relaxed), 0, "destructors of host functions have run");
}

fn scopeguard(count: Arc<AtomicUsize>) -> impl Drop {
    struct Guard(Arc<AtomicUsize>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Relaxed);
        }
    }
    Guard(count)
}

#[test]
fn recursion_through_the_host_ends_in_a_trap() {
    let mut w = World::new("null", 0);
    let host = w.host(&[], &[], |host, _| {
        let instance = host.instance().unwrap();
        call(host.store(), instance, "f", &[]).map(drop)
    });
    let i = w.instance(r#"(module (import "h" "h" (func $h)) (func (export "f") (call $h)))"#, &[host]);
    assert_eq!(w.trap(i, "f", &[]), Trap::StackOverflow);
}

#[test]
fn instances_share_what_they_import() {
    let mut w = World::new("null", 0);
    let a = w.instance(
        r#"(module (memory (export "m") 1 4) (table (export "t") 3 funcref) (global (export "g") (mut i32) (i32.const 5))
            (func (export "seven") (result i32) (i32.const 7)) (elem (i32.const 1) func 0))"#,
        &[],
    );
    let export = |w: &World, name| w.store.instance_export(a, name).unwrap();
    let imports = ["m", "t", "g", "seven"].map(|name| export(&w, name));
    let b = w.instance(
        r#"(module (import "a" "m" (memory 1)) (import "a" "t" (table 2 funcref)) (import "a" "g" (global $g (mut i32)))
            (import "a" "seven" (func $seven (result i32)))
            (func (export "run") (result i32)
                (global.set $g (i32.add (global.get $g) (call_indirect (result i32) (i32.const 1))))
                (i32.store (i32.const 8) (call $seven))
                (drop (memory.grow (i32.const 2)))
                (global.get $g)))"#,
        &imports,
    );
    assert_eq!(w.call(b, "run", &[]).unwrap(), 12);
    let (Extern::Memory(m), Extern::Global(g)) = (imports[0], imports[2]) else { panic!() };
    assert_eq!((w.store.memory_size(m), w.store.memory_data(m)[8]), (3, 7));
    assert_eq!(w.store.global_get(g), Value::I32(12));
    // A grown memory does not fit a smaller maximum any more.
    let wrong = w.try_instance(r#"(module (import "a" "m" (memory 1 2)))"#, &imports[..1]);
    assert!(matches!(&wrong, Err(InstantiateError::Link(e)) if e.to_string().contains("incompatible import type")));
    let missing = w.try_instance(r#"(module (import "a" "x" (func)))"#, &[]);
    assert!(matches!(&missing, Err(InstantiateError::Link(e)) if e.to_string().contains("unknown import")));
}

#[test]
fn initialisation_has_effects_up_to_its_trap() {
    let mut w = World::new("null", 0);
    let a = w.instance(r#"(module (memory (export "m") 1) (table (export "t") 2 funcref))"#, &[]);
    let imports = ["m", "t"].map(|name| w.store.instance_export(a, name).unwrap());
    let result = w.try_instance(
        r#"(module (import "a" "m" (memory 1)) (import "a" "t" (table 2 funcref))
            (func $f (result i32) (i32.const 3)) (elem (i32.const 0) func $f)
            (data (i32.const 0) "ab") (data (i32.const 65535) "cd"))"#,
        &imports,
    );
    assert!(matches!(result, Err(InstantiateError::Call(CallError::Trap(t))) if t.trap == Trap::MemoryOutOfBounds));
    let (Extern::Memory(m), Extern::Table(t)) = (imports[0], imports[1]) else { panic!() };
    assert_eq!(&w.store.memory_data(m)[..2], b"ab");
    // The function that the failed instance left behind still runs.
    let Some(Value::Func(f)) = w.store.table_get(t, 0) else { panic!() };
    let f = w.store.func_of_ref(f).unwrap();
    let mut slots = [ValRaw::default()];
    w.store.call(f, &mut slots).unwrap();
    assert_eq!(slots[0].i32(), 3);
    let start = w.try_instance(r#"(module (func $s unreachable) (start $s))"#, &[]);
    assert!(matches!(start, Err(InstantiateError::Call(CallError::Trap(t))) if t.trap == Trap::Unreachable));
}

#[test]
fn bulk_operations_check_before_they_write() {
    let mut w = World::new("null", 0);
    let i = w.instance(
        r#"(module (memory 1) (memory $n 1) (data $d "hello")
            (table $t 4 funcref) (table $u 4 externref) (elem $e funcref (ref.func 0) (ref.null func))
            (func (export "init") (param i32 i32 i32) (memory.init $d (local.get 0) (local.get 1) (local.get 2)))
            (func (export "drop") (data.drop $d) (elem.drop $e))
            (func (export "copy") (param i32 i32 i32) (memory.copy $n 0 (local.get 0) (local.get 1) (local.get 2)))
            (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
            (func (export "get") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "get_n") (param i32) (result i32) (i32.load8_u $n (local.get 0)))
            (func (export "tinit") (param i32 i32 i32) (table.init $t $e (local.get 0) (local.get 1) (local.get 2)))
            (func (export "tcopy") (param i32 i32 i32) (table.copy $t $t (local.get 0) (local.get 1) (local.get 2)))
            (func (export "tgrow") (param i32) (result i32) (table.grow $u (ref.null extern) (local.get 0)))
            (func (export "null") (param i32) (result i32) (ref.is_null (table.get $t (local.get 0)))))"#,
        &[],
    );
    w.call(i, "init", &[10, 1, 4]).unwrap();
    assert_eq!(w.call(i, "get", &[10]).unwrap(), i32::from(b'e'));
    assert_eq!(w.trap(i, "init", &[0, 2, 4]), Trap::MemoryOutOfBounds);
    assert_eq!(w.trap(i, "init", &[65533, 0, 5]), Trap::MemoryOutOfBounds);
    w.call(i, "copy", &[0, 10, 4]).unwrap();
    assert_eq!(w.call(i, "get_n", &[3]).unwrap(), i32::from(b'o'));
    assert_eq!(w.trap(i, "copy", &[-1, 0, 2]), Trap::MemoryOutOfBounds);
    w.call(i, "fill", &[20, 300, 3]).unwrap();
    assert_eq!(w.call(i, "get", &[22]).unwrap(), 300 & 255);
    w.call(i, "tinit", &[1, 0, 2]).unwrap();
    assert_eq!((w.call(i, "null", &[1]).unwrap(), w.call(i, "null", &[2]).unwrap()), (0, 1));
    w.call(i, "tcopy", &[2, 1, 2]).unwrap();
    assert_eq!((w.call(i, "null", &[2]).unwrap(), w.call(i, "null", &[3]).unwrap()), (0, 1));
    assert_eq!(w.trap(i, "tcopy", &[3, 0, 2]), Trap::TableOutOfBounds);
    assert_eq!(w.trap(i, "null", &[4]), Trap::TableOutOfBounds);
    assert_eq!(w.call(i, "tgrow", &[3]).unwrap(), 4);
    assert_eq!(w.call(i, "tgrow", &[-1]).unwrap(), -1);
    w.call(i, "drop", &[]).unwrap();
    assert_eq!(w.trap(i, "init", &[0, 0, 1]), Trap::MemoryOutOfBounds);
    assert_eq!(w.trap(i, "tinit", &[0, 0, 1]), Trap::TableOutOfBounds);
    w.call(i, "init", &[0, 0, 0]).unwrap();
}

#[test]
fn endless_loops_are_stopped() {
    let wat = r#"(module (func (export "f") (loop $l (br $l))))"#;
    let mut w = World::with("null", 0, Settings { fuel: true, ..settings() });
    let i = w.instance(wat, &[]);
    w.store.set_fuel(10_000);
    assert_eq!(w.trap(i, "f", &[]), Trap::OutOfFuel);

    let mut w = World::with("null", 0, Settings { epochs: true, ..settings() });
    let i = w.instance(wat, &[]);
    let handle = w.store.interrupt_handle();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(5));
                handle.interrupt();
            });
            assert_eq!(w.trap(i, "f", &[]), Trap::Interrupt);
        });
    }
    drop(w);
    handle.interrupt();
}

#[test]
fn stores_run_and_trap_on_many_threads() {
    let w = World::new("null", 0);
    let module =
        w.module(r#"(module (memory 1) (func (export "f") (param i32) (result i32) (i32.load (local.get 0))))"#);
    let (runtime, config) = (&w.runtime, *w.store.config());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..50 {
                    let mut store = heapwright_vm::Store::new(runtime, config).unwrap();
                    let i = store.instantiate(&module, &[]).unwrap();
                    assert_eq!(call(&mut store, i, "f", &[n]).unwrap(), 0);
                    let result = call(&mut store, i, "f", &[65536 + n]);
                    assert!(matches!(result, Err(CallError::Trap(t)) if t.trap == Trap::MemoryOutOfBounds));
                }
            });
        }
    });
}

#[test]
fn tail_calls_leave_no_frames() {
    let mut w = World::new("null", 0);
    let host = w.host(&[ValType::I32], &[ValType::I32], |host, slots| {
        assert_eq!(host.store().backtrace().frames.len(), 1);
        slots[0] = ValRaw::from_i32(slots[0].i32() + 1);
        Ok(())
    });
    let i = w.instance(
        r#"(module (import "h" "h" (func $h (param i32) (result i32)))
            (type $t (func (param i32) (result i32)))
            (table funcref (elem $count $h))
            (func $count (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return_call $h (i32.const 41))))
                (return_call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))
            (func (export "f") (param i32) (result i32) (call_ref $t (local.get 0) (ref.func $count)))
            (elem declare func $count))"#,
        &[host],
    );
    assert_eq!(w.call(i, "f", &[1_000_000]).unwrap(), 42);
}

#[test]
fn the_host_calls_its_own_functions() {
    let mut w = World::new("null", 0);
    let Extern::Func(f) = w.host(&[ValType::I32], &[ValType::I32], |host, slots| {
        assert_eq!(host.instance(), None);
        match slots[0].i32() {
            0 => Err(Trap::Unreachable.into()),
            n => {
                slots[0] = ValRaw::from_i32(n * 2);
                Ok(())
            }
        }
    }) else {
        panic!()
    };
    let mut slots = [ValRaw::from_i32(4)];
    w.store.call(f, &mut slots).unwrap();
    assert_eq!(slots[0].i32(), 8);
    assert!(
        matches!(w.store.call(f, &mut [ValRaw::default()]), Err(CallError::Trap(t)) if t.backtrace.frames.is_empty())
    );
    assert!(w.store.call(f, &mut []).is_err(), "too few slots");
}
