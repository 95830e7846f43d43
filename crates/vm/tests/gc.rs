//! Objects, roots in frames, exceptions: under every collector, with a collection at every allocation.

mod support;

use heapwright_gc_heap::{AbstractHeapType, Cause, GcRef, HeapType, RefType, ValType, Value};
use heapwright_jit::abi::Trap;
use heapwright_vm::{CallError, Extern, GlobalType, ValRaw};
use support::{World, call};

fn nullable(heap: AbstractHeapType) -> ValType {
    ValType::Ref(RefType { nullable: true, heap: HeapType::Abstract(heap) })
}

const LIST: &str = r#"(module
    (type $node (struct (field (mut i32)) (field (mut (ref null $node)))))
    (type $box (struct (field (mut i32))))
    (global $g (mut (ref null $node)) (ref.null $node))
    (table $t 10 (ref null $node))
    (func (export "build") (param i32) (result i32)
        (local $list (ref null $node)) (local $i i32)
        (loop $more
            (local.set $list (struct.new $node (local.get $i) (local.get $list)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_s (local.get $i) (local.get 0))))
        (call $sum (local.get $list)))
    (func $sum (param $list (ref null $node)) (result i32) (local $s i32)
        (loop $more
            (if (ref.is_null (local.get $list)) (then (return (local.get $s))))
            (local.set $s (i32.add (local.get $s) (struct.get $node 0 (local.get $list))))
            (local.set $list (struct.get $node 1 (local.get $list)))
            (br $more))
        (unreachable))
    ;; Each frame holds a reference over the deeper call, which allocates.
    (func $deep (export "deep") (param i32) (result i32)
        (local $mine (ref $node)) (local $below i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
        (local.set $mine (struct.new $node (local.get 0) (ref.null $node)))
        (local.set $below (call $deep (i32.sub (local.get 0) (i32.const 1))))
        (drop (struct.new $box (i32.const 9)))
        (i32.add (local.get $below) (struct.get $node 0 (local.get $mine))))
    (func (export "keep") (param i32)
        (global.set $g (struct.new $node (local.get 0) (global.get $g)))
        (table.set $t (i32.rem_u (local.get 0) (i32.const 10)) (global.get $g)))
    (func (export "kept") (result i32) (call $sum (global.get $g)))
    (func (export "slot") (param i32) (result i32) (struct.get $node 0 (table.get $t (local.get 0))))
    (func (export "null") (result i32) (struct.get $node 0 (ref.null $node)))
    (func (export "new") (param i32) (result anyref) (struct.new $box (local.get 0)))
    (func (export "unbox") (param anyref) (result i32) (struct.get $box 0 (ref.cast (ref $box) (local.get 0)))))"#;

#[test]
fn references_in_frames_globals_and_tables_survive() {
    World::each(|w| {
        let i = w.instance(LIST, &[]);
        assert_eq!(w.call(i, "build", &[100]).unwrap(), 4950);
        assert_eq!(w.call(i, "deep", &[50]).unwrap(), 1275);
        for n in 0..25 {
            w.call(i, "keep", &[n]).unwrap();
        }
        w.store.gc(Cause::Explicit).unwrap();
        assert_eq!(w.call(i, "kept", &[]).unwrap(), 300);
        assert_eq!((w.call(i, "slot", &[4]).unwrap(), w.call(i, "slot", &[5]).unwrap()), (24, 15));
        assert_eq!(w.trap(i, "null", &[]), Trap::NullStructReference);
        let census = {
            let (heap, roots) = w.store.heap_and_roots().unwrap();
            heap.verify(roots).unwrap()
        };
        assert_eq!(census.objects, 25);
    });
}

#[test]
fn host_roots_follow_their_objects() {
    World::each(|w| {
        let i = w.instance(LIST, &[]);
        let (new, unbox) = (w.func(i, "new"), w.func(i, "unbox"));
        let mut ids = Vec::new();
        for n in 0..20 {
            let mut slots = [ValRaw::from_i32(n)];
            w.store.call(new, &mut slots).unwrap();
            ids.push(w.store.roots_mut().insert(slots[0].gc_ref()));
        }
        w.store.gc(Cause::Explicit).unwrap();
        for (n, &id) in ids.iter().enumerate() {
            let mut slots = [ValRaw::from_ref(w.store.roots().get(id).unwrap())];
            w.store.call(unbox, &mut slots).unwrap();
            assert_eq!(slots[0].i32(), n as i32);
        }
        let mut slots = [ValRaw::from_ref(GcRef::i31(3))];
        assert!(matches!(w.store.call(unbox, &mut slots), Err(CallError::Trap(t)) if t.trap == Trap::CastFailure));
    });
}

#[test]
fn collections_in_host_functions_see_the_frames_below() {
    World::each(|w| {
        let any = nullable(AbstractHeapType::Any);
        let collect = w.host(&[any], &[any], |host, slots| {
            let id = host.store().roots_mut().push(slots[0].gc_ref());
            host.store().gc(Cause::Explicit)?;
            // A nested activation allocates on top of it.
            let instance = host.instance().unwrap();
            call(host.store(), instance, "noise", &[])?;
            host.store().gc(Cause::Explicit)?;
            slots[0] = ValRaw::from_ref(host.store().roots().get(id).unwrap());
            Ok(())
        });
        let i = w.instance(
            r#"(module (import "h" "c" (func $c (param anyref) (result anyref)))
                (type $box (struct (field i32)))
                (func (export "noise") (local $i i32)
                    (loop $l (drop (struct.new $box (i32.const 1)))
                        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20)))))
                (func (export "f") (param i32) (result i32) (local $mine (ref $box)) (local $theirs anyref)
                    (local.set $mine (struct.new $box (local.get 0)))
                    (local.set $theirs (call $c (struct.new $box (i32.const 100))))
                    (i32.add (struct.get $box 0 (local.get $mine))
                        (struct.get $box 0 (ref.cast (ref $box) (local.get $theirs))))))"#,
            &[collect],
        );
        assert_eq!(w.call(i, "f", &[5]).unwrap(), 105);
        assert!(w.store.roots().is_empty(), "scoped roots end with the host function");
    });
}

#[test]
fn constant_expressions_build_objects() {
    World::each(|w| {
        let i = w.instance(
            r#"(module (type $p (struct (field i32) (field i64) (field (ref null $p)) (field i8)))
                (type $a (array (mut (ref null $p)))) (type $n (array i16))
                (global $one (ref $p) (struct.new $p (i32.const 1) (i64.const 2) (ref.null $p) (i32.const 255)))
                (global $two (ref $p) (struct.new $p (i32.const 10) (i64.const 20) (global.get $one) (i32.const 3)))
                (global $list (ref $a) (array.new_fixed $a 3 (global.get $one) (global.get $two)
                    (struct.new $p (i32.const 100) (i64.const 0) (struct.new_default $p) (i32.const 0))))
                (global $many (ref $a) (array.new $a (global.get $two) (i32.const 5)))
                (global $short (ref $n) (array.new $n (i32.const 65537) (i32.const 3)))
                (global $calc i32 (i32.add (i32.const 40) (i32.mul (i32.const 2) (i32.const 3))))
                (elem $e (ref null $p) (global.get $two) (ref.null $p) (struct.new $p (i32.const 7) (i64.const 0) (ref.null $p) (i32.const 0)))
                (func (export "f") (result i32)
                    (i32.add (i32.add (struct.get $p 0 (array.get $a (global.get $list) (i32.const 0)))
                            (struct.get $p 0 (array.get $a (global.get $list) (i32.const 2))))
                        (i32.add (struct.get $p 0 (struct.get $p 2 (array.get $a (global.get $many) (i32.const 4))))
                            (i32.add (global.get $calc) (array.get_u $n (global.get $short) (i32.const 2))))))
                (func (export "elem") (param i32) (result i32) (local $x (ref $a))
                    (local.set $x (array.new_elem $a $e (i32.const 0) (i32.const 3)))
                    (drop (struct.new_default $p))
                    (struct.get $p 0 (array.get $a (local.get $x) (local.get 0)))))"#,
            &[],
        );
        w.store.gc(Cause::Explicit).unwrap();
        assert_eq!(w.call(i, "f", &[]).unwrap(), 1 + 100 + 1 + 46 + 1);
        assert_eq!((w.call(i, "elem", &[0]).unwrap(), w.call(i, "elem", &[2]).unwrap()), (10, 7));
        assert_eq!(w.trap(i, "elem", &[1]), Trap::NullStructReference);
        assert_eq!(w.trap(i, "elem", &[3]), Trap::ArrayOutOfBounds);
    });
}

#[test]
fn many_gc_globals_take_linear_time() {
    let mut w = World::new("copying", 0);
    let mut wat = String::from("(module (type $b (struct (field i32)))");
    for n in 0..50_000 {
        wat += &format!("(global (ref $b) (struct.new $b (i32.const {n})))");
    }
    wat += r#"(func (export "f") (result i32) (struct.get $b 0 (global.get 49999))))"#;
    let i = w.instance(&wat, &[]);
    assert_eq!(w.call(i, "f", &[]).unwrap(), 49999);
}

#[test]
fn bulk_array_operations() {
    World::each(|w| {
        let i = w.instance(
            r#"(module (type $b (array (mut i8))) (type $r (array (mut anyref)))
                (data $d "abcdef") (elem $e anyref (ref.i31 (i32.const 1)) (ref.i31 (i32.const 2)) (ref.null any))
                (func (export "data") (param i32 i32 i32) (result i32)
                    (array.get_u $b (array.new_data $b $d (local.get 0) (local.get 1)) (local.get 2)))
                (func (export "init") (param i32 i32 i32 i32) (result i32) (local $a (ref $b))
                    (local.set $a (array.new_default $b (i32.const 4)))
                    (array.init_data $b $d (local.get $a) (local.get 0) (local.get 1) (local.get 2))
                    (array.get_u $b (local.get $a) (local.get 3)))
                (func (export "inull") (array.init_data $b $d (ref.null $b) (i32.const 0) (i32.const 0) (i32.const 0)))
                (func (export "refs") (param i32 i32 i32) (result i32) (local $a (ref $r))
                    (local.set $a (array.new_default $r (i32.const 6)))
                    (array.init_elem $r $e (local.get $a) (i32.const 0) (i32.const 0) (i32.const 3))
                    (array.copy $r $r (local.get $a) (local.get 0) (local.get $a) (local.get 1) (local.get 2))
                    (array.fill $r (local.get $a) (i32.const 5) (ref.i31 (i32.const 9)) (i32.const 1))
                    (i31.get_s (ref.cast (ref i31) (array.get $r (local.get $a) (local.get 0))))))"#,
            &[],
        );
        assert_eq!(w.call(i, "data", &[2, 3, 1]).unwrap(), i32::from(b'd'));
        assert_eq!(w.trap(i, "data", &[4, 3, 0]), Trap::MemoryOutOfBounds);
        assert_eq!(w.call(i, "init", &[1, 2, 2, 2]).unwrap(), i32::from(b'd'));
        assert_eq!(w.trap(i, "init", &[3, 0, 2, 0]), Trap::ArrayOutOfBounds);
        assert_eq!(w.trap(i, "init", &[0, 5, 2, 0]), Trap::MemoryOutOfBounds);
        assert_eq!(w.trap(i, "inull", &[]), Trap::NullArrayReference);
        assert_eq!(w.call(i, "refs", &[1, 0, 3]).unwrap(), 1);
        assert_eq!(w.call(i, "refs", &[3, 1, 3]).unwrap(), 2);
        assert_eq!(w.trap(i, "refs", &[4, 0, 3]), Trap::ArrayOutOfBounds);
        assert_eq!(w.trap(i, "refs", &[4, 2, 1]), Trap::CastFailure);
    });
}

const THROWS: &str = r#"(module
    (import "h" "h" (func $host (param i32)))
    (type $box (struct (field i32)))
    (tag $a (export "a") (param i32)) (tag $b (export "b") (param (ref null $box) i64)) (tag $c)
    (func $throw (export "throw") (param i32)
        (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $a (i32.const 11))))
        (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $b (struct.new $box (i32.const 22)) (i64.const 33))))
        (if (i32.eq (local.get 0) (i32.const 3)) (then (throw $c)))
        (if (i32.eq (local.get 0) (i32.const 4)) (then (throw_ref (ref.null exn))))
        (if (i32.ge_s (local.get 0) (i32.const 10)) (then (call $host (i32.sub (local.get 0) (i32.const 10))))))
    (func $pass (param i32) (local $x (ref $box))
        (local.set $x (struct.new $box (i32.const 1)))
        (call $throw (local.get 0))
        (drop (struct.get $box 0 (local.get $x))))
    (func (export "catch") (param i32) (result i32) (local $keep (ref $box))
        (local.set $keep (struct.new $box (i32.const 1000)))
        (block $all
            (block $bb (result (ref null $box) i64)
                (block $aa (result i32)
                    (try_table (catch $a $aa) (catch $b $bb) (catch_all $all) (call $pass (local.get 0)))
                    (return (i32.const 0)))
                (return (i32.add (struct.get $box 0 (local.get $keep)))))
            (drop)
            (drop (struct.new $box (i32.const 5)))
            (return (i32.add (struct.get $box 0) (struct.get $box 0 (local.get $keep)))))
        (i32.add (i32.const 7) (struct.get $box 0 (local.get $keep))))
    (func (export "rethrow") (param i32) (result i32)
        (block $h (result exnref)
            (try_table (catch_all_ref $h) (call $pass (local.get 0)))
            (return (i32.const 0)))
        (throw_ref))
    (func (export "again") (param i32) (result i32)
        (block $h (result i32 exnref)
            (try_table (catch_ref $a $h) (call $pass (local.get 0)))
            (return (i32.const 0)))
        (throw_ref)))"#;

#[test]
fn exceptions_find_their_handlers() {
    World::each(|w| {
        let host = w.host(&[ValType::I32], &[], |host, slots| {
            let instance = host.instance().unwrap();
            // An exception of the inner activation passes through the host function into the outer one.
            call(host.store(), instance, "throw", &[slots[0].i32()]).map(drop)
        });
        let i = w.instance(THROWS, &[host]);
        let expect = [(0, 0), (1, 1011), (2, 1022), (3, 1007), (10, 0), (11, 1011), (12, 1022), (13, 1007), (22, 1022)];
        for (arg, result) in expect {
            assert_eq!(w.call(i, "catch", &[arg]).unwrap(), result, "{arg}");
        }
        // A trap is no exception: no handler sees it.
        assert_eq!(w.trap(i, "catch", &[4]), Trap::NullExceptionReference);
        assert_eq!(w.trap(i, "catch", &[14]), Trap::NullExceptionReference);

        let Some(Extern::Tag(a)) = w.store.instance_export(i, "a") else { panic!() };
        let Some(Extern::Tag(b)) = w.store.instance_export(i, "b") else { panic!() };
        for name in ["throw", "rethrow", "again"] {
            for arg in [1, 11] {
                assert!(matches!(w.call(i, name, &[arg]), Err(CallError::Exception)));
                w.store.gc(Cause::Explicit).unwrap();
                let frames = w.store.exception_backtrace().frames.len();
                assert_eq!(frames, 1 + usize::from(name == "throw" && arg > 10), "{name} {arg}");
                let exception = w.store.take_exception().unwrap();
                assert_eq!(w.store.exception_tag(exception), Ok(a));
                assert_eq!(w.store.heap().unwrap().get_field(exception, 1), Ok(Value::I32(11)));
                assert!(w.store.take_exception().is_none());
            }
        }
        assert!(matches!(w.call(i, "rethrow", &[2]), Err(CallError::Exception)));
        let exception = w.store.take_exception().unwrap();
        assert_eq!(w.store.exception_tag(exception), Ok(b));
        let Ok(Value::Ref(object)) = w.store.heap().unwrap().get_field(exception, 1) else { panic!() };
        assert_eq!(w.store.heap().unwrap().get_field(object, 0), Ok(Value::I32(22)));
    });
}

#[test]
fn the_host_throws_exceptions_of_its_own() {
    World::each(|w| {
        let host = w.host(&[ValType::I32], &[], |host, slots| {
            let instance = host.instance().unwrap();
            let value = slots[0].i32();
            let Some(Extern::Tag(a)) = host.store().instance_export(instance, "a") else { panic!() };
            let exception = host.store().exception_new(a, &[Value::I32(value as u32)])?;
            host.store().set_exception(exception);
            Err(CallError::Exception)
        });
        let i = w.instance(THROWS, &[host]);
        assert_eq!(w.call(i, "catch", &[52]).unwrap(), 1042);
    });
}

#[test]
fn null_references_and_host_values() {
    World::each(|w| {
        let i = w.instance(
            r#"(module (table $t 2 externref)
                (func (export "set") (param externref) (table.set $t (i32.const 1) (local.get 0)))
                (func (export "get") (result externref) (table.get $t (i32.const 1))))"#,
            &[],
        );
        let (set, get) = (w.func(i, "set"), w.func(i, "get"));
        let (heap, roots) = w.store.heap_and_roots().unwrap();
        let object = heap.alloc_extern(Box::new("a host value"), roots).unwrap();
        w.store.call(set, &mut [ValRaw::from_ref(object)]).unwrap();
        w.store.gc(Cause::Explicit).unwrap();
        let mut slots = [ValRaw::default()];
        w.store.call(get, &mut slots).unwrap();
        let heap = w.store.heap().unwrap();
        let id = heap.host_id(slots[0].gc_ref()).unwrap();
        assert_eq!(heap.host().get(id).unwrap().downcast_ref::<&str>(), Some(&"a host value"));
        w.store.call(set, &mut [ValRaw::from_ref(GcRef::NULL)]).unwrap();
        w.store.gc(Cause::Explicit).unwrap();
    });
}

#[test]
fn a_corrupted_heap_is_an_error_of_its_store_only() {
    let mut w = World::new("null", 0);
    let wat = r#"(module (type $s (struct (field (mut i32)) (field (mut (ref null $s)))))
        (func (export "f") (param (ref $s)) (result i32)
            (struct.get $s 0 (ref.as_non_null (struct.get $s 1 (local.get 0)))))
        (func (export "new") (result (ref $s)) (struct.new $s (i32.const 1) (struct.new $s (i32.const 2) (ref.null $s)))))"#;
    let i = w.instance(wat, &[]);
    let (f, new) = (w.func(i, "f"), w.func(i, "new"));
    let mut slots = [ValRaw::default()];
    w.store.call(new, &mut slots).unwrap();
    let object = slots[0];
    w.store.call(f, &mut slots).unwrap();
    assert_eq!(slots[0].i32(), 2);
    // A wild reference stands in the field.
    let heap = w.store.heap().unwrap();
    heap.set_field(object.gc_ref(), 1, Value::Ref(GcRef::from_raw(0xf000_0000)), false).unwrap();
    let result = w.store.call(f, &mut [object]);
    assert!(
        matches!(result, Err(CallError::Trap(t)) if t.trap == Trap::HeapCorrupted && !t.backtrace.frames.is_empty())
    );
    assert!(w.store.is_poisoned());
    assert!(w.store.call(new, &mut slots).is_err());
    let mut other = World::new("null", 0);
    let i = other.instance(wat, &[]);
    let new = other.func(i, "new");
    other.store.call(new, &mut slots).unwrap();
}

#[test]
fn forged_function_ids_do_not_enter_typed_tables() {
    let mut w = World::new("null", 0);
    let i = w.instance(
        r#"(module (type $f (func (param i32) (result i32)))
            (table (export "t") 2 (ref null $f))
            (func (export "id") (type $f) (local.get 0)) (func (export "other") (param i64)))"#,
        &[],
    );
    let Some(Extern::Table(t)) = w.store.instance_export(i, "t") else { panic!() };
    let (id, other) = (w.func(i, "id"), w.func(i, "other"));
    w.store.table_set(t, 0, Value::Func(id.as_funcref())).unwrap();
    for forged in [other.as_funcref(), 12345] {
        assert_eq!(w.store.table_set(t, 1, Value::Func(forged)), Err(Trap::ForgedFunctionReference));
    }
    assert_eq!(w.store.table_get(t, 0), Some(Value::Func(id.as_funcref())));
}

#[test]
fn globals_of_the_host_are_roots() {
    World::each(|w| {
        let ty = GlobalType { ty: nullable(AbstractHeapType::Any), mutable: true };
        let g = w.store.global_new(ty, Value::Ref(GcRef::NULL)).unwrap();
        let i = w.instance(
            r#"(module (import "h" "g" (global $g (mut anyref))) (type $s (struct (field i32)))
                (func (export "set") (global.set $g (struct.new $s (i32.const 6))))
                (func (export "get") (result i32) (struct.get $s 0 (ref.cast (ref $s) (global.get $g)))))"#,
            &[Extern::Global(g)],
        );
        w.call(i, "set", &[]).unwrap();
        w.store.gc(Cause::Explicit).unwrap();
        assert_eq!(w.call(i, "get", &[]).unwrap(), 6);
    });
}
