//! The tests of calls and of collection once more, on the interpreter, and what only the interpreter has to be asked.

#![allow(clippy::duplicate_mod, reason = "the files included are tests of their own, each with its harness")]

#[path = "calls.rs"]
mod calls;
#[path = "gc.rs"]
mod gc;
mod support;

use heapwright_gc_heap::{NULL_PAGE_BYTES, ValType, Value};
use heapwright_jit::abi::Trap;
use heapwright_vm::{CallError, Store, StoreConfig, ValRaw};
use support::{World, call};

/// References and type words that no engine wrote. Machine code faults on them; the interpreter must find them out
/// before it looks.
#[test]
fn forged_references_and_types_are_found_out() {
    let wat = r#"(module
        (type $node (sub (struct (field (mut i32)) (field (mut (ref null $node))))))
        (type $sub (sub $node (struct (field (mut i32)) (field (mut (ref null $node))) (field i64))))
        (type $deep (struct (field (mut i32)) (field (mut i64))))
        (type $bytes (array (mut i8)))
        (type $words (array (mut i32)))
        (type $refs (array (mut (ref null $node))))
        (global $node (mut (ref null $node)) (ref.null $node))
        (func (export "new") (result (ref $node))
            (struct.new $node (i32.const 1) (struct.new $node (i32.const 2) (ref.null $node))))
        (func (export "read") (param (ref $node)) (result i32)
            (struct.get $node 0 (ref.as_non_null (struct.get $node 1 (local.get 0)))))
        (func (export "write") (param (ref $node)) (result i32)
            (struct.set $node 0 (ref.as_non_null (struct.get $node 1 (local.get 0))) (i32.const 7)) (i32.const 0))
        (func (export "link") (param (ref $node)) (result i32)
            (struct.set $node 1 (ref.as_non_null (struct.get $node 1 (local.get 0))) (local.get 0)) (i32.const 0))
        (func (export "cast") (param (ref $node)) (result i32)
            (ref.test (ref $sub) (struct.get $node 1 (local.get 0))))
        (func (export "words") (param i32) (result (ref $words))
            (array.new $words (local.get 0) (i32.const 64))))"#;
    for collector in heapwright_collectors::all() {
        let name = collector.spec.name;
        let forge = |export: &str, forged: &dyn Fn(&mut World, heapwright_vm::InstanceId) -> u32| {
            let mut w = World::new(name, 0);
            let i = w.instance(wat, &[]);
            let reference = forged(&mut w, i);
            let mut slots = [ValRaw::default()];
            let (new, f) = (w.func(i, "new"), w.func(i, export));
            w.store.call(new, &mut slots).unwrap();
            let object = slots[0];
            let heap = w.store.heap().unwrap();
            let Ok(Value::Ref(link)) = heap.get_field(object.gc_ref(), 1) else { panic!("field 1 is a reference") };
            // Behind the back of the collector, whose barriers would notice.
            let memory = heap.memory_mut();
            let mut words = (object.gc_ref().raw()..).step_by(4);
            let place = words.find(|&at| memory.load_u32(at).unwrap() == link.raw()).unwrap();
            memory.store_u32(place, reference).unwrap();
            let result = w.store.call(f, &mut [object]);
            let poisoned = w.store.is_poisoned();
            match result {
                Err(CallError::Trap(t)) => (t.trap, poisoned, t.backtrace.frames.len()),
                other => panic!("{name} {export} of {reference:#x}: {other:?}"),
            }
        };
        let end = |w: &mut World, _| w.store.heap().unwrap().memory().committed_end() as u32;
        type Forged<'a> = &'a dyn Fn(&mut World, heapwright_vm::InstanceId) -> u32;
        let references: [Forged<'_>; 6] =
            [&|_, _| 8, &|_, _| NULL_PAGE_BYTES - 8, &|w, i| end(w, i) - 4, &end, &|_, _| 0x8000_0000, &|_, _| {
                0xffff_fff8
            }];
        for forged in references {
            for export in ["read", "write", "link"] {
                assert_eq!(forge(export, forged), (Trap::HeapCorrupted, true, 1), "{name} {export}");
            }
        }
        // What has room for a type word only can be asked for it.
        for forged in references.into_iter().enumerate().filter_map(|(i, forged)| (i != 2).then_some(forged)) {
            assert_eq!(forge("cast", forged), (Trap::HeapCorrupted, true, 1), "{name} cast");
        }
        // An array whose elements are type words: a reference into it names an object of that type.
        for word in [0x0fff_ffc0_u32, 0x8000_0000, 0xffff_ffc0] {
            let inside = |w: &mut World, i| {
                let mut slots = [ValRaw::from_i32(word as i32)];
                let words = w.func(i, "words");
                w.store.call(words, &mut slots).unwrap();
                (slots[0].gc_ref().raw() + 64) & !7
            };
            assert_eq!(forge("cast", &inside), (Trap::HeapCorrupted, true, 1), "{name} {word:#x}");
        }
    }
}

/// Code that called a builtin under `PreserveAll` relies on every register, whatever ran in between.
#[test]
fn calls_within_calls_put_all_registers_back() {
    let mut w = World::new("copying", 0);
    let again = w.host(&[ValType::I32], &[ValType::F64], |host, slots| {
        let (instance, n) = (host.instance().unwrap(), slots[0].i32());
        let sum = if n == 0 { 0 } else { call(host.store(), instance, "f", &[n - 1])? };
        slots[0] = ValRaw::from_f64(f64::from(sum));
        Ok(())
    });
    // Thirty values of each kind are alive over the call.
    let locals = |ty: &str| format!("(local {})", format!("{ty} ").repeat(30));
    let (mut before, mut after) = (String::new(), String::new());
    for i in 0..30 {
        before += &format!("(local.set {} (i64.extend_i32_u (i32.add (local.get 0) (i32.const {i}))))", 1 + i);
        before += &format!("(local.set {} (f64.convert_i32_u (i32.mul (local.get 0) (i32.const {i}))))", 31 + i);
        before += &format!("(local.set {} (i32x4.splat (i32.add (local.get 0) (i32.const {i}))))", 61 + i);
        after += &format!("(local.set $s (i64.add (local.get $s) (local.get {})))", 1 + i);
        after += &format!("(local.set $s (i64.add (local.get $s) (i64.trunc_f64_u (local.get {}))))", 31 + i);
        after += &format!(
            "(local.set $s (i64.add (local.get $s) (i64.extend_i32_u (i32x4.extract_lane 3 (local.get {})))))",
            61 + i
        );
    }
    let wat = format!(
        r#"(module (import "h" "again" (func $again (param i32) (result f64)))
            (func (export "f") (param i32) (result i32) {} {} {} (local $s i64)
                {before}
                (local.set $s (i64.trunc_f64_u (call $again (local.get 0))))
                {after}
                (i32.wrap_i64 (local.get $s))))"#,
        locals("i64"),
        locals("f64"),
        locals("v128"),
    );
    let i = w.instance(&wat, &[again]);
    // Each call adds 30 n + 435, 435 n and 30 n + 435.
    let expected: i32 = (0..=9).map(|n| 60 * n + 870 + 435 * n).sum();
    assert_eq!(w.call(i, "f", &[9]).unwrap(), expected);
}

/// Wherever the stack ends, in the entry trampoline, in a function, in a stub or in a call within a call, it ends in a
/// trap.
#[test]
fn stacks_of_any_size_end_in_a_trap() {
    let World { runtime, store } = World::new("null", 0);
    let wat = r#"(module (import "h" "deeper" (func $deeper (param i32) (result i32)))
        (func (export "f") (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0))
                (then (i32.const 7)) (else (call $deeper (i32.sub (local.get 0) (i32.const 1)))))))"#;
    let module = runtime.compile(&wat::parse_str(wat).unwrap()).unwrap();
    let mut enough = None;
    for size in (0..4096).step_by(16) {
        let config = StoreConfig { max_wasm_stack: size, ..*store.config() };
        let mut w = World { runtime: runtime.clone(), store: Store::new(&runtime, config).unwrap() };
        let deeper = w.host(&[ValType::I32], &[ValType::I32], |host, slots| {
            let instance = host.instance().unwrap();
            slots[0] = ValRaw::from_i32(call(host.store(), instance, "f", &[slots[0].i32()])?);
            Ok(())
        });
        let i = w.store.instantiate(&module, &[deeper]).unwrap();
        for _ in 0..2 {
            match w.call(i, "f", &[0]) {
                Ok(7) => enough = enough.or(Some(size)),
                Err(CallError::Trap(t)) if t.trap == Trap::StackOverflow => {
                    assert_eq!(enough, None, "{size} bytes are less than enough")
                }
                other => panic!("{size}: {other:?}"),
            }
            // One level deeper needs more, of the host's stack too.
            match w.call(i, "f", &[1]) {
                Ok(7) => assert!(enough.is_some_and(|enough| enough < size)),
                Err(CallError::Trap(t)) => assert_eq!(t.trap, Trap::StackOverflow),
                other => panic!("{size}: {other:?}"),
            }
        }
    }
    assert!(enough.is_some_and(|size| size > 64));
}
