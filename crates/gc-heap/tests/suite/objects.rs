//! Access to objects from Rust: kinds, bounds, representations, and which barrier runs when.

use crate::common::*;
use heapwright_gc_heap::barrier::*;
use heapwright_gc_heap::*;

/// Reports its inputs to slow path `N`.
macro_rules! reporting {
    ($n:literal, $($input:ident),*) => {
        Program {
            name: "report",
            body: &[
                $(Stmt::Let(Var(Input::$input as u8), Expr::Input(Input::$input)),)*
                Stmt::Call(SlowCall($n), &[$(Var(Input::$input as u8)),*]),
            ],
        }
    };
}

static STORE: Program = reporting!(1, Object, Slot, Old, New);
static INIT: Program = reporting!(2, Object, Slot, New);
static LOAD: Program = reporting!(3, Object, Slot, New);
static BULK: Program = reporting!(4, Object, Slot);

const BARRIERS: Barriers = Barriers {
    store: Some(&STORE),
    init: Some(&INIT),
    load: Some(&LOAD),
    bulk: BulkBarrier::Elements,
    root_store: None,
};
static ELEMENTS: Spec = Spec { barriers: BARRIERS, ..SPEC };
static OBJECT: Spec = Spec { barriers: Barriers { bulk: BulkBarrier::Object(&BULK), ..BARRIERS }, ..SPEC };
static NO_BULK: Spec = Spec { barriers: Barriers { bulk: BulkBarrier::None, ..BARRIERS }, ..SPEC };

#[test]
fn every_representation_goes_in_and_out() {
    let (mut heap, types) = heap();
    let fields = [I8, I16, I32, I64, F32, F64, V128, ANYREF, FUNCREF];
    let values = [
        Value::I32(0xAB),
        Value::I32(0xABCD),
        Value::I32(0xABCD_EF01),
        Value::I64(u64::MAX / 3),
        Value::F32(f32::NAN.to_bits()),
        Value::F64(1.5f64.to_bits()),
        Value::V128(u128::MAX / 5),
        Value::Ref(GcRef::i31(3)),
        Value::Func(77),
    ];
    let ty = define(&types, structure(&fields));
    let object = heap.alloc(ty, 0, &mut NoRoots).unwrap();
    for (i, &value) in values.iter().enumerate() {
        heap.set_field(object, i as u32, value, true).unwrap();
    }
    for (i, &value) in values.iter().enumerate() {
        assert_eq!(heap.get_field(object, i as u32), Ok(value));
        // No field takes the value of another representation.
        for (j, &other) in values.iter().enumerate() {
            let same = core::mem::discriminant(&value) == core::mem::discriminant(&other);
            if !same {
                assert_eq!(heap.set_field(object, j as u32, value, false), Err(BadReference::WrongKind));
            }
        }
    }
    assert_eq!(heap.get_field(object, 9), Err(BadReference::OutOfBounds));
    assert_eq!(heap.set_field(object, 9, values[0], false), Err(BadReference::OutOfBounds));
    // Packed fields keep the low bits.
    heap.set_field(object, 0, Value::I32(0x1FF), false).unwrap();
    assert_eq!(heap.get_field(object, 0), Ok(Value::I32(0xFF)));

    for (storage, value) in fields.into_iter().zip(values) {
        let ty = define(&types, array(storage));
        let object = heap.alloc(ty, 5, &mut NoRoots).unwrap();
        assert_eq!(heap.array_length(object), Ok(5));
        heap.array_fill(object, 0, value, 5, true).unwrap();
        heap.set_element(object, 4, value, false).unwrap();
        assert!((0..5).all(|i| heap.get_element(object, i) == Ok(value)));
        assert_eq!(heap.get_element(object, 5), Err(BadReference::OutOfBounds));
        assert_eq!(heap.set_element(object, u32::MAX, value, true), Err(BadReference::OutOfBounds));
    }
}

#[test]
fn kinds_are_checked() {
    let (mut heap, types) = heap();
    let ty = define(&types, structure(&[I32]));
    let list = define(&types, array(I32));
    let exception = types.register_exception(&[ValType::I64]).unwrap();
    let object = heap.alloc(ty, 0, &mut NoRoots).unwrap();
    let elements = heap.alloc(list, 3, &mut NoRoots).unwrap();
    let thrown = heap.alloc(exception.ids()[0], 0, &mut NoRoots).unwrap();
    let boxed = heap.alloc_extern(Box::new(()), &mut NoRoots).unwrap();
    for (r, expected) in [(GcRef::NULL, BadReference::Null), (GcRef::i31(1), BadReference::WrongKind)] {
        assert_eq!(heap.type_of(r).map(|_| ()), Err(expected));
        assert_eq!(heap.get_field(r, 0), Err(expected));
        assert_eq!(heap.get_element(r, 0), Err(expected));
        assert_eq!(heap.array_length(r), Err(expected));
        assert_eq!(heap.object_size(r), Err(expected));
        assert_eq!(heap.host_id(r), Err(expected));
        assert_eq!(heap.is_instance(r, ty), Ok(false));
    }
    for r in [object, thrown, boxed] {
        assert_eq!(heap.array_length(r), Err(BadReference::WrongKind));
        assert_eq!(heap.get_element(r, 0), Err(BadReference::WrongKind));
        assert_eq!(heap.array_bytes(r, 0, 0), Err(BadReference::WrongKind));
        assert_eq!(heap.array_copy(r, 0, elements, 0, 0), Err(BadReference::WrongKind));
    }
    for r in [elements, boxed] {
        assert_eq!(heap.get_field(r, 0), Err(BadReference::WrongKind));
    }
    heap.set_field(thrown, 0, Value::I32(9), true).unwrap();
    heap.set_field(thrown, 1, Value::I64(10), true).unwrap();
    assert_eq!(heap.get_field(thrown, 1), Ok(Value::I64(10)));
    assert_eq!(heap.object_size(object), Ok(8));
    assert_eq!(heap.object_size(elements), Ok(24));
    assert_eq!(heap.object_size(thrown), Ok(16));
    assert_eq!(heap.corruption(), None);
}

#[test]
fn instances_follow_the_declared_order() {
    let (mut heap, types) = heap();
    let base = define(&types, open(structure(&[])));
    let derived = define(&types, below(structure(&[I8]), TypeRef::Canonical(base)));
    let (a, b) = (heap.alloc(base, 0, &mut NoRoots).unwrap(), heap.alloc(derived, 0, &mut NoRoots).unwrap());
    assert_eq!(heap.is_instance(a, base), Ok(true));
    assert_eq!(heap.is_instance(b, base), Ok(true));
    assert_eq!(heap.is_instance(a, derived), Ok(false));
    assert!(heap.is_instance(GcRef::from_raw(12), base).is_err());
}

#[test]
fn fields_run_the_declared_barrier_once() {
    let (mut heap, types, log) = heap_with(CONFIG, bump(&ELEMENTS));
    let ty = define(&types, structure(&[I32, ANYREF, FUNCREF]));
    let object = heap.alloc(ty, 0, &mut NoRoots).unwrap();
    let slot = object.raw() + types.struct_layout(ty).unwrap().fields[1].offset;
    let (one, two) = (GcRef::i31(1), GcRef::i31(2));
    heap.set_field(object, 1, Value::Ref(one), true).unwrap();
    heap.set_field(object, 1, Value::Ref(two), false).unwrap();
    heap.get_field(object, 1).unwrap();
    // Neither numbers nor function references have barriers.
    heap.set_field(object, 0, Value::I32(1), false).unwrap();
    heap.set_field(object, 2, Value::Func(1), false).unwrap();
    heap.get_field(object, 0).unwrap();
    heap.get_field(object, 2).unwrap();
    let expected = [
        (2, [object.raw(), slot, one.raw(), 0]),
        (1, [object.raw(), slot, one.raw(), two.raw()]),
        (3, [object.raw(), slot, two.raw(), 0]),
    ];
    assert_eq!(log.lock().unwrap().slow_calls, expected);
}

#[test]
fn bulk_writes_run_the_declared_barrier() {
    for (spec, fill, copy) in
        [(&ELEMENTS, vec![1, 1, 1], vec![1, 1]), (&OBJECT, vec![4], vec![4]), (&NO_BULK, vec![], vec![])]
    {
        let (mut heap, types, log) = heap_with(CONFIG, bump(spec));
        let ty = define(&types, array(ANYREF));
        let object = heap.alloc(ty, 6, &mut NoRoots).unwrap();
        let calls = || -> Vec<(u8, [u32; 4])> { std::mem::take(&mut log.lock().unwrap().slow_calls) };
        let kinds = |calls: &[(u8, [u32; 4])]| calls.iter().map(|call| call.0).collect::<Vec<_>>();
        heap.array_fill(object, 0, Value::Ref(GcRef::NULL), 6, true).unwrap();
        assert_eq!(kinds(&calls()), [2; 6]);
        heap.array_fill(object, 2, Value::Ref(GcRef::i31(1)), 3, false).unwrap();
        let seen = calls();
        assert_eq!(kinds(&seen), fill);
        assert!(seen.iter().all(|call| call.1[0] == object.raw()));
        assert!(seen.first().is_none_or(|call| call.1[1] == object.raw() + 8 + 2 * 4));
        heap.array_copy(object, 0, object, 4, 2).unwrap();
        assert_eq!(kinds(&calls()), copy);
        let values: Vec<_> = (0..6).map(|i| heap.get_element(object, i).unwrap()).collect();
        let (one, null) = (Value::Ref(GcRef::i31(1)), Value::Ref(GcRef::NULL));
        assert_eq!(values, [one, null, one, one, one, null]);
        calls();
        // Nothing written, nothing run; nothing out of bounds either.
        heap.array_fill(object, 6, null, 0, false).unwrap();
        heap.array_copy(object, 6, object, 6, 0).unwrap();
        assert_eq!(heap.array_fill(object, 4, null, 3, false), Err(BadReference::OutOfBounds));
        assert_eq!(heap.array_fill(object, u32::MAX, null, u32::MAX, false), Err(BadReference::OutOfBounds));
        assert_eq!(heap.array_copy(object, 5, object, 0, 2), Err(BadReference::OutOfBounds));
        assert_eq!(heap.array_copy(object, 0, object, u32::MAX, 2), Err(BadReference::OutOfBounds));
        assert!(calls().is_empty());
        assert_eq!(heap.get_element(object, 4), Ok(one));
    }
}

#[test]
fn overlapping_copies_move_what_was_there() {
    for spec in [&ELEMENTS, &OBJECT, &PLAIN] {
        for (to, from) in [(0, 2), (2, 0), (1, 1), (0, 1), (1, 0)] {
            let (mut heap, types, _) = heap_with(CONFIG, bump(spec));
            for storage in [ANYREF, I8, I32, V128] {
                let ty = define(&types, array(storage));
                let object = heap.alloc(ty, 8, &mut NoRoots).unwrap();
                let value = |i: u32| match storage {
                    ANYREF => Value::Ref(GcRef::i31(i)),
                    V128 => Value::V128(i.into()),
                    _ => Value::I32(i),
                };
                for i in 0..8 {
                    heap.set_element(object, i, value(i), true).unwrap();
                }
                heap.array_copy(object, to, object, from, 6).unwrap();
                for i in 0..8 {
                    let expected = if (to..to + 6).contains(&i) { i - to + from } else { i };
                    assert_eq!(heap.get_element(object, i), Ok(value(expected)));
                }
            }
        }
    }
}

#[test]
fn copies_need_equal_elements() {
    let (mut heap, types) = heap();
    let mut new = |storage| {
        let ty = define(&types, array(storage));
        let r = heap.alloc(ty, 4, &mut NoRoots).unwrap();
        let zero = match storage {
            ANYREF => Value::Ref(GcRef::NULL),
            I64 => Value::I64(0),
            _ => Value::I32(0),
        };
        heap.array_fill(r, 0, zero, 4, true).unwrap();
        r
    };
    let (bytes, words, longs, refs) = (new(I8), new(I32), new(I64), new(ANYREF));
    for (a, b) in [(bytes, words), (words, longs), (words, refs), (refs, words)] {
        assert_eq!(heap.array_copy(a, 0, b, 0, 1), Err(BadReference::WrongKind));
    }
    heap.array_bytes_mut(words, 1, 2).unwrap().copy_from_slice(&[1, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(heap.get_element(words, 2), Ok(Value::I32(2)));
    assert_eq!(heap.array_bytes(words, 0, 2), Ok(&[0, 0, 0, 0, 1, 0, 0, 0][..]));
    assert_eq!(heap.array_bytes(words, 3, 2), Err(BadReference::OutOfBounds));
    assert_eq!(heap.array_bytes(words, u32::MAX, 1), Err(BadReference::OutOfBounds));
    assert_eq!(heap.array_bytes(refs, 0, 1), Err(BadReference::WrongKind));
    assert_eq!(heap.array_bytes_mut(refs, 0, 1).err(), Some(BadReference::WrongKind));
}

#[test]
fn slots_are_the_traced_references() {
    let (mut heap, types) = heap();
    let slots = |heap: &mut Heap, r: GcRef| {
        let mut seen = Vec::new();
        let size = heap.for_each_slot::<HeapCorrupted>(r.raw(), |_, slot| {
            seen.push(slot - r.raw());
            Ok(())
        });
        (seen, size.unwrap())
    };
    let fields = [I64, ANYREF, FUNCREF, ANYREF];
    let ty = define(&types, structure(&fields));
    let r = heap.alloc(ty, 0, &mut NoRoots).unwrap();
    let layout = types.struct_layout(ty).unwrap();
    assert_eq!(slots(&mut heap, r), (layout.traced_offsets(), layout.size));

    let large = define(&types, structure(&[ANYREF; 90]));
    let r = heap.alloc(large, 0, &mut NoRoots).unwrap();
    assert_eq!(slots(&mut heap, r), ((1..91).map(|i| 4 * i).collect(), 368));

    let (refs, numbers) = (define(&types, array(ANYREF)), define(&types, array(FUNCREF)));
    let r = heap.alloc(refs, 3, &mut NoRoots).unwrap();
    assert_eq!(slots(&mut heap, r), (vec![8, 12, 16], 24));
    let r = heap.alloc(numbers, 3, &mut NoRoots).unwrap();
    assert_eq!(slots(&mut heap, r), (vec![], 24));
    let r = heap.alloc_extern(Box::new(0), &mut NoRoots).unwrap();
    assert_eq!(slots(&mut heap, r), (vec![], 8));
    let exception = types.register_exception(&[nullable(ANY)]).unwrap();
    let r = heap.alloc(exception.ids()[0], 0, &mut NoRoots).unwrap();
    assert_eq!(slots(&mut heap, r), (vec![8], 16));
    // The first error ends the walk.
    let stop = HeapCorrupted { what: "stop", at: 1 };
    assert_eq!(heap.for_each_slot(r.raw(), |_, _| Err(stop)), Err(stop));
}

#[test]
fn layouts_follow_a_reused_id() {
    let (mut heap, types) = heap();
    let a = types.register(&alone([structure(&[I8])])).unwrap();
    let id = a.ids()[0];
    let object = heap.alloc(id, 0, &mut NoRoots).unwrap();
    heap.set_field(object, 0, Value::I32(1), true).unwrap();
    drop(a);
    assert!(matches!(heap.type_of(object), Err(BadReference::Corrupted(_))));
    let b = types.register(&alone([structure(&[F32])])).unwrap();
    assert_eq!(b.ids()[0], id);
    let object = heap.alloc(id, 0, &mut NoRoots).unwrap();
    heap.set_field(object, 0, Value::F32(1), true).unwrap();
}
