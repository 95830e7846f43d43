use crate::common::*;
use heapwright_gc_heap::*;
use std::sync::Arc;

/// A heap with `count` nodes `{i32, ref, ref}` in a ring, each also pointing at itself.
fn ring(count: u32) -> (Heap, Arc<TypeRegistry>, Vec<GcRef>) {
    let (mut heap, types) = heap();
    let ty = define(&types, open(structure(&[I32, ANYREF, ANYREF])));
    let nodes: Vec<_> = (0..count).map(|_| heap.alloc(ty, 0, &mut NoRoots).unwrap()).collect();
    for (i, &node) in nodes.iter().enumerate() {
        heap.set_field(node, 1, Value::Ref(nodes[(i + 1) % nodes.len()]), true).unwrap();
        heap.set_field(node, 2, Value::Ref(node), true).unwrap();
    }
    (heap, types, nodes)
}

#[test]
fn a_census_counts_each_reachable_object_once() {
    let (mut heap, _, nodes) = ring(100);
    let census = heap.verify(&mut vec![nodes[5], GcRef::NULL, GcRef::i31(9), nodes[5]]).unwrap();
    assert_eq!(census, Census { objects: 100, bytes: 1600 });
    // Cut off behind node 5.
    heap.set_field(nodes[5], 1, Value::Ref(GcRef::i31(0)), false).unwrap();
    assert_eq!(heap.verify(&mut vec![nodes[5]]).unwrap().objects, 1);
    assert_eq!(heap.verify(&mut vec![nodes[4]]).unwrap().objects, 2);
    assert_eq!(heap.verify(&mut NoRoots).unwrap(), Census::default());
}

/// Damages a ring with `damage` and gives what the verifier says.
fn violation(damage: impl FnOnce(&mut Heap, &Arc<TypeRegistry>, &[GcRef])) -> &'static str {
    let (mut heap, types, nodes) = ring(10);
    damage(&mut heap, &types, &nodes);
    let found = heap.verify(&mut vec![nodes[0]]).unwrap_err();
    assert_eq!(heap.corruption(), Some(found));
    found.what
}

fn set(heap: &mut Heap, at: u32, word: u32) {
    heap.memory_mut().store_u32(at, word).unwrap();
}

#[test]
fn violations_are_found() {
    assert_eq!(violation(|heap, _, nodes| set(heap, nodes[3].raw() + 8, nodes[2].raw() + 4)), "misaligned reference");
    assert_eq!(violation(|heap, _, nodes| set(heap, nodes[3].raw() + 8, 8)), "reference to where no object is");
    assert_eq!(
        violation(|heap, _, nodes| set(heap, nodes[3].raw() + 8, nodes[9].raw() + 16)),
        "reference to where no object is"
    );
    assert_eq!(
        violation(|heap, _, nodes| set(heap, nodes[3].raw() + 8, u32::MAX - 7)),
        "reference outside the committed heap"
    );
    for forged in [0, 1, 64 * 1000, u32::MAX - 63] {
        assert_eq!(violation(|heap, _, nodes| set(heap, nodes[3].raw(), forged)), "type word names no type");
    }
    // A type that no object has.
    assert_eq!(
        violation(|heap, types, nodes| {
            let func = define(types, function(&[], &[]));
            set(heap, nodes[3].raw(), func.0)
        }),
        "an object of a type that no object has"
    );
    // An array longer than the heap.
    let grow = |storage: StorageType, length: u32| {
        violation(move |heap, types, nodes| {
            let list = define(types, array(storage));
            set(heap, nodes[3].raw(), list.0);
            set(heap, nodes[3].raw() + 4, length);
            // The ring goes on past it.
            set(heap, nodes[2].raw() + 12, nodes[4].raw());
        })
    };
    assert_eq!(grow(I8, u32::MAX), "an object reaches beyond the heap");
    assert_eq!(grow(ANYREF, u32::MAX), "an object reaches beyond the heap");
    assert_eq!(grow(V128, u32::MAX), "an object reaches beyond the heap");
    // One that reaches over its neighbour.
    assert_eq!(grow(I8, 24), "overlapping objects");
    // A larger struct type.
    assert_eq!(
        violation(|heap, types, nodes| {
            let fields = [I32, ANYREF, ANYREF, I32, I32];
            let large = define(types, structure(&fields));
            set(heap, nodes[3].raw(), large.0);
        }),
        "overlapping objects"
    );
}

#[test]
fn a_reference_into_an_object_is_an_overlap() {
    let found = violation(|heap, types, nodes| {
        // Make the middle of node 3 look like an object.
        let ty = define(types, structure(&[I32]));
        set(heap, nodes[3].raw() + 8, ty.0);
        set(heap, nodes[3].raw() + 12, 0);
        let ty = define(types, structure(&[I32, I64]));
        set(heap, nodes[3].raw(), ty.0);
        set(heap, nodes[2].raw() + 12, nodes[3].raw() + 8);
    });
    assert_eq!(found, "overlapping objects");
}
