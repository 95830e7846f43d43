//! Canonicalisation, matching and lifetimes.

use crate::common::*;
use heapwright_gc_heap::AbstractHeapType::*;
use heapwright_gc_heap::*;
use std::sync::Arc;

fn types() -> Arc<TypeRegistry> {
    registry(&PLAIN)
}

fn refs(heap: HeapType) -> StorageType {
    StorageType::Val(nullable(heap))
}

#[test]
fn equal_types_have_one_identity() {
    let types = types();
    let a = types.register(&alone([structure(&[I32]), array(I8), function(&[ValType::I32], &[])])).unwrap();
    let b = types.register(&alone([function(&[ValType::I32], &[]), structure(&[I32]), array(I8)])).unwrap();
    assert_eq!([a.ids()[0], a.ids()[1], a.ids()[2]], [b.ids()[1], b.ids()[2], b.ids()[0]]);
    // Also within one call, and for the shorthand.
    let twice = types.register(&alone([array(I8), array(I8)])).unwrap();
    assert_eq!(twice.ids(), [a.ids()[1]; 2]);
    let func = FuncType { params: [ValType::I32].into(), results: [].into() };
    assert_eq!(types.register_func(&func).unwrap().ids(), [a.ids()[2]]);
}

#[test]
fn what_differs_is_not_equal() {
    let types = types();
    let immutable = |storage| FieldType { storage, mutable: false };
    let of = |field: FieldType| SubType {
        is_final: true,
        supertype: Option::None,
        composite: CompositeType::Struct(StructType { fields: [field].into() }),
    };
    let some = HeapType::Abstract(Struct);
    let base = define(&types, open(structure(&[])));
    let all = alone([
        structure(&[]),
        open(structure(&[I32])),
        structure(&[I32]),
        below(structure(&[I32]), TypeRef::Canonical(base)),
        of(immutable(I32)),
        structure(&[I8]),
        structure(&[I16]),
        structure(&[F32]),
        structure(&[I32, I32]),
        structure(&[refs(some)]),
        structure(&[StorageType::Val(non_null(some))]),
        structure(&[refs(HeapType::Abstract(Array))]),
        structure(&[refs(canonical(base))]),
        structure(&[StorageType::Val(non_null(canonical(base)))]),
        array(I32),
        array(I8),
        function(&[], &[]),
        function(&[ValType::I32], &[]),
        function(&[], &[ValType::I32]),
    ]);
    let ids = types.register(&all).unwrap();
    let distinct: std::collections::HashSet<_> = ids.ids().iter().chain([&base]).collect();
    assert_eq!(distinct.len(), all.len() + 1);
}

#[test]
fn groups_are_equal_as_wholes_wherever_they_stand() {
    let types = types();
    let pair = |first: u32| {
        rec([structure(&[refs(module(first + 1))]), structure(&[I32, StorageType::Val(non_null(module(first)))])])
    };
    let a = types.register(&[pair(0)]).unwrap();
    let b = types.register(&[rec([array(I8)]), rec([array(I16), array(I32)]), pair(3)]).unwrap();
    assert_eq!(a.ids(), &b.ids()[3..]);
    // Written with uses that are relative already.
    let relative = rec([structure(&[refs(group_use(1))]), structure(&[I32, StorageType::Val(non_null(group_use(0)))])]);
    assert_eq!(types.register(&[relative]).unwrap().ids(), a.ids());
    // The other order, a member alone, a longer group: all different.
    let swapped = rec([structure(&[I32, StorageType::Val(non_null(module(1)))]), structure(&[refs(module(0))])]);
    let nullable_inside = rec([structure(&[refs(module(1))]), structure(&[I32, refs(module(0))])]);
    let longer =
        rec([structure(&[refs(module(1))]), structure(&[I32, StorageType::Val(non_null(module(0)))]), structure(&[])]);
    for other in [swapped, nullable_inside, longer] {
        let other = types.register(&[other]).unwrap();
        assert!(other.ids().iter().all(|id| !a.ids().contains(id)));
    }
}

#[test]
fn uses_of_earlier_groups_resolve_to_the_same_types() {
    let types = types();
    let node = types.register(&[rec([structure(&[refs(module(0))])])]).unwrap();
    let [node_id] = *node.ids() else { panic!() };
    // A use through the module's index space equals a use of the canonical type.
    let by_index = types
        .register(&[rec([array(I64)]), rec([structure(&[refs(module(1))])]), rec([array(refs(module(1)))])])
        .unwrap();
    assert_eq!(by_index.ids()[1], node_id);
    let by_id = types.register(&[rec([array(refs(canonical(node_id)))])]).unwrap();
    assert_eq!(by_id.ids()[0], by_index.ids()[2]);
    // A type unrolled once is another type: equality is iso-recursive.
    let unrolled = types.register(&[rec([structure(&[refs(canonical(node_id))])])]).unwrap();
    assert_ne!(unrolled.ids()[0], node_id);
}

#[test]
fn relative_positions_are_never_confused_with_ids() {
    let types = types();
    // Enough types that small ids, positions and indices overlap as numbers.
    let first = types.register(&alone((1..40).map(|n| structure(&vec![I8; n])))).unwrap();
    for &id in first.ids().iter().step_by(if cfg!(miri) { 13 } else { 1 }) {
        let big = rec((0..130).map(|i| if i == 0 { structure(&[refs(group_use(id.0 % 130))]) } else { array(I8) }));
        let other = rec((0..130).map(|i| if i == 0 { structure(&[refs(canonical(id))]) } else { array(I8) }));
        let held = types.register(&[big, other]).unwrap();
        assert_ne!(held.ids()[0], held.ids()[130]);
    }
}

#[test]
fn definitions_use_canonical_types_only() {
    let types = types();
    let group = rec([
        open(structure(&[refs(module(1)), FUNCREF])),
        below(structure(&[refs(module(1)), FUNCREF, I8]), TypeRef::Module(0)),
    ]);
    let held = types.register(&[group]).unwrap();
    let [a, b] = *held.ids() else { panic!() };
    let expected = |fields: &[StorageType]| match structure(fields).composite {
        CompositeType::Struct(ty) => CompositeType::Struct(ty),
        _ => unreachable!(),
    };
    let definition = types.definition(a);
    assert!(!definition.is_final && definition.supertype.is_none());
    assert_eq!(definition.composite, expected(&[refs(canonical(b)), FUNCREF]));
    let definition = types.definition(b);
    assert!(definition.is_final);
    assert_eq!(definition.supertype, Some(TypeRef::Canonical(a)));
    assert_eq!(definition.composite, expected(&[refs(canonical(b)), FUNCREF, I8]));
}

#[test]
#[should_panic(expected = "names no type")]
fn a_use_of_a_later_group_is_refused() {
    let _ = types().register(&alone([structure(&[refs(module(1))]), array(I8)]));
}

#[test]
fn a_refused_group_leaves_the_registry_usable() {
    let types = types();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        types.register(&alone([structure(&[refs(canonical(TypeId(1 << 16)))])]))
    }));
    assert!(caught.is_err());
    types.register(&alone([structure(&[I32])])).unwrap();
}

#[test]
fn types_live_as_long_as_someone_uses_them() {
    let types = types();
    let inner = types.register(&alone([structure(&[I64])])).unwrap();
    let id = inner.ids()[0];
    let outer = types.register(&alone([array(refs(canonical(id)))])).unwrap();
    let outer_id = outer.ids()[0];
    let (more, again) = (outer.clone(), types.register(&alone([array(refs(canonical(id)))])).unwrap());
    drop(inner);
    drop(outer);
    drop(more);
    assert!(types.space().entry(id.0).is_ok() && types.space().entry(outer_id.0).is_ok());
    assert_eq!(types.definition(id).composite, structure(&[I64]).composite);
    drop(again);
    // The last user is gone, and with it the type that only it used.
    for id in [id, outer_id] {
        assert!(types.space().entry(id.0).is_err());
        assert!(types.struct_layout(id).is_none() && types.array_layout(id).is_none());
    }
    assert!(types.space().entry(types.extern_type().0).is_ok());
}

#[test]
fn places_are_used_again() {
    let types = types();
    let mut ends = Vec::new();
    let (rounds, count) = if cfg!(miri) { (3, 6) } else { (10, 20) };
    for round in 0..rounds {
        let held: Vec<_> = (0..count)
            .map(|n| {
                let fields: Vec<_> = (0..n * 7).map(|i| if i % 3 == round % 3 { ANYREF } else { I32 }).collect();
                types.register(&alone([structure(&fields)])).unwrap()
            })
            .collect();
        for (n, held) in held.iter().enumerate() {
            let entry = types.space().entry(held.ids()[0].0).unwrap();
            assert_eq!(entry.size, (4 + 4 * 7 * n as u32).next_multiple_of(8));
        }
        ends.push(types.space().used_bytes());
    }
    assert!(ends[1..].iter().all(|end| *end <= ends[0] + 4096), "{ends:?}");
}

#[test]
fn groups_of_thousands_are_interned() {
    let types = types();
    let count = if cfg!(miri) { 60 } else { 5000 };
    let group = |start: u32| {
        rec((0..count).map(|i| {
            let ty =
                open(structure(&[refs(module(start + (i * 7 + 1) % count)), refs(module(start + (i * 13) % count))]));
            if i == 0 { ty } else { below(ty, TypeRef::Module(start + i / 2)) }
        }))
    };
    let a = types.register(&[group(0)]).unwrap();
    let end = types.space().used_bytes();
    let b = types.register(&[rec([array(I8)]), group(1)]).unwrap();
    assert_eq!(a.ids(), &b.ids()[1..]);
    assert!(types.space().used_bytes() <= end + 64);
    assert!(types.is_subtype(a.ids()[count as usize - 1], a.ids()[0]));
}

#[test]
fn threads_agree() {
    let types = types();
    let ids: Vec<Vec<TypeId>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut all = Vec::new();
                    for n in 0..if cfg!(miri) { 5 } else { 200 } {
                        // Some come and go all the time.
                        let _ = types.register(&alone([structure(&vec![I16; n % 7 + 1])])).unwrap();
                        all.push(types.register(&alone([structure(&vec![I64; n])])).unwrap());
                    }
                    all
                })
            })
            .collect();
        let held: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        held.iter().map(|all| all.iter().map(|held| held.ids()[0]).collect()).collect()
    });
    assert!(ids.iter().all(|of_thread| *of_thread == ids[0]));
}

#[test]
fn only_references_outside_the_function_hierarchy_are_traced() {
    let types = types();
    let func = define(&types, function(&[], &[]));
    let ty = define(&types, structure(&[]));
    let traced = |heap| types.is_traced(refs(heap));
    for top in [Any, Eq, I31, Struct, Array, None, Extern, NoExtern, Exn, NoExn] {
        assert!(traced(HeapType::Abstract(top)), "{top:?}");
    }
    assert!(traced(canonical(ty)));
    assert!(!traced(HeapType::Abstract(Func)) && !traced(HeapType::Abstract(NoFunc)) && !traced(canonical(func)));
    assert!(!types.is_traced(I32) && !types.is_traced(V128));

    // Functions and structs of the same group, used before their definition.
    let group = rec([
        structure(&[refs(module(1)), refs(module(2)), FUNCREF, ANYREF]),
        function(&[nullable(module(0))], &[]),
        array(refs(module(1))),
        array(refs(module(0))),
    ]);
    let held = types.register(&[group]).unwrap();
    let layout = types.struct_layout(held.ids()[0]).unwrap();
    assert_eq!(layout.fields.iter().map(|f| f.traced).collect::<Vec<_>>(), [false, true, false, true]);
    assert!(!types.array_layout(held.ids()[2]).unwrap().traced);
    assert!(types.array_layout(held.ids()[3]).unwrap().traced);
    assert!(types.space().entry(held.ids()[3].0).unwrap().elements_traced);
    assert!(!types.space().entry(held.ids()[2].0).unwrap().elements_traced);
}

#[test]
fn abstract_types_match_as_the_specification_says() {
    let types = types();
    let all = [Any, Eq, I31, Struct, Array, None, Func, NoFunc, Extern, NoExtern, Exn, NoExn];
    let supertypes = |ty| match ty {
        Any => &[Any][..],
        Eq => &[Eq, Any],
        I31 => &[I31, Eq, Any],
        Struct => &[Struct, Eq, Any],
        Array => &[Array, Eq, Any],
        None => &[None, I31, Struct, Array, Eq, Any],
        Func => &[Func],
        NoFunc => &[NoFunc, Func],
        Extern => &[Extern],
        NoExtern => &[NoExtern, Extern],
        Exn => &[Exn],
        NoExn => &[NoExn, Exn],
    };
    for a in all {
        for b in all {
            let matches = types.heap_type_matches(&HeapType::Abstract(a), &HeapType::Abstract(b));
            assert_eq!(matches, supertypes(a).contains(&b), "{a:?} <: {b:?}");
        }
    }
}

#[test]
fn concrete_types_match_their_kind_and_their_bottom() {
    let types = types();
    let held = types
        .register(&[
            rec([open(structure(&[]))]),
            rec([below(structure(&[]), TypeRef::Module(0))]),
            rec([array(I8)]),
            rec([function(&[], &[])]),
        ])
        .unwrap();
    let exception = types.register_exception(&[ValType::I32]).unwrap();
    let [base, derived, list, func] = *held.ids() else { panic!() };
    let rows: [(TypeId, &[AbstractHeapType], AbstractHeapType); 5] = [
        (base, &[Struct, Eq, Any], None),
        (derived, &[Struct, Eq, Any], None),
        (list, &[Array, Eq, Any], None),
        (func, &[Func], NoFunc),
        (exception.ids()[0], &[Exn], NoExn),
    ];
    for (id, above, bottom) in rows {
        for ty in [Any, Eq, I31, Struct, Array, None, Func, NoFunc, Extern, NoExtern, Exn, NoExn] {
            let abstract_type = HeapType::Abstract(ty);
            assert_eq!(types.heap_type_matches(&canonical(id), &abstract_type), above.contains(&ty), "{ty:?}");
            assert_eq!(types.heap_type_matches(&abstract_type, &canonical(id)), ty == bottom, "{ty:?}");
        }
    }
    assert!(types.heap_type_matches(&canonical(derived), &canonical(base)));
    assert!(!types.heap_type_matches(&canonical(base), &canonical(derived)));
    let matches = |a, b| types.val_type_matches(&a, &b);
    assert!(matches(non_null(canonical(derived)), nullable(canonical(base))));
    assert!(!matches(nullable(canonical(derived)), non_null(canonical(base))));
    assert!(matches(nullable(canonical(base)), nullable(canonical(base))));
    assert!(matches(ValType::I32, ValType::I32) && !matches(ValType::I32, ValType::I64));
    assert!(!matches(ValType::I32, nullable(ANY)) && !matches(nullable(ANY), ValType::I32));
}

#[test]
fn signatures_follow_the_machine_not_the_types() {
    let types = types();
    let ty = define(&types, structure(&[]));
    let id = |params: &[ValType], results: &[ValType]| types.signature_id(define(&types, function(params, results)));
    use ValType::*;
    let one = id(&[I32, I64], &[F32]);
    assert_ne!(one, 0);
    // References pass as i32, whatever they refer to.
    assert_eq!(one, id(&[nullable(ANY), I64], &[F32]));
    assert_eq!(one, id(&[non_null(canonical(ty)), I64], &[F32]));
    assert_eq!(one, id(&[nullable(FUNC), I64], &[F32]));
    let others = [
        id(&[I64, I32], &[F32]),
        id(&[I32], &[I64, F32]),
        id(&[I32, I64, F32], &[]),
        id(&[], &[I32, I64, F32]),
        id(&[I32, I64], &[F64]),
        id(&[I32, I64], &[V128]),
        id(&[], &[]),
    ];
    let distinct: std::collections::HashSet<_> = others.iter().chain([&one]).collect();
    assert_eq!(distinct.len(), others.len() + 1);
    // Finality and supertypes make another type, not another signature.
    let parent = define(&types, open(function(&[I32], &[])));
    let child = define(&types, below(function(&[I32], &[]), TypeRef::Canonical(parent)));
    assert_ne!(parent, child);
    assert_eq!(types.signature_id(parent), types.signature_id(child));
}

#[test]
fn exceptions_are_laid_out_by_their_parameters() {
    let types = types();
    let a = types.register_exception(&[ValType::I64, nullable(ANY), nullable(FUNC)]).unwrap();
    let b = types.register_exception(&[ValType::I64, nullable(ANY), nullable(FUNC)]).unwrap();
    let c = types.register_exception(&[]).unwrap();
    assert_eq!(a.ids(), b.ids());
    assert_ne!(a.ids(), c.ids());
    let entry = types.space().entry(a.ids()[0].0).unwrap();
    assert_eq!(entry.kind, TypeKind::Exception);
    let layout = types.struct_layout(a.ids()[0]).unwrap();
    assert_eq!(layout.fields.len(), 4);
    assert_eq!(entry.size, layout.size);
    assert_eq!(entry.bitmap, 1 << (layout.fields[2].offset / 4));
    // A struct of the same fields is another type.
    let look_alike = types.register(&alone([structure(&[I32, I64, ANYREF, FUNCREF])])).unwrap();
    assert_ne!(look_alike.ids(), a.ids());
}

#[test]
fn engines_do_not_share() {
    let (a, b) = (types(), types());
    let held = a.register(&alone([structure(&[I32])])).unwrap();
    assert!(b.space().entry(held.ids()[0].0).is_err());
    assert!(Arc::ptr_eq(held.registry(), &a));
}
