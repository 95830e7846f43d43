//! What only this collector promises. What every collector promises is in the conformance kit.

use super::*;
use heapwright_gc_heap::*;

/// A heap with a pair type (two references) and an array type.
struct World {
    heap: Heap,
    roots: Vec<GcRef>,
    pair: TypeId,
    array: TypeId,
    _held: RegisteredTypes,
}

const CONFIG: HeapConfig = HeapConfig { initial: 1 << 20, max: 16 << 20, sizing: SizingPolicy::Growing, zeal: 0 };

impl World {
    fn new(config: HeapConfig) -> World {
        let types = Arc::new(TypeRegistry::new(SPEC.header_layout()).unwrap());
        let any = RefType { nullable: true, heap: HeapType::Abstract(AbstractHeapType::Any) };
        let field = FieldType { storage: StorageType::Val(ValType::Ref(any)), mutable: true };
        let pair = CompositeType::Struct(StructType { fields: [field, field].into() });
        let array = CompositeType::Array(ArrayType(field));
        let groups = [pair, array].map(|composite| {
            let ty = SubType { is_final: true, supertype: None, composite };
            RecGroup { types: [ty].into() }
        });
        let held = types.register(&groups).unwrap();
        let (pair, array) = (held.ids()[0], held.ids()[1]);
        let memory = HeapMemory::in_vec(config.max as u32);
        let heap = Heap::standalone(config, Box::new(Drc::new()), types, memory).unwrap();
        World { heap, roots: Vec::new(), pair, array, _held: held }
    }

    fn pair(&mut self, first: GcRef) -> GcRef {
        let r = self.heap.alloc(self.pair, 0, &mut self.roots).unwrap();
        self.heap.set_field(r, 0, Value::Ref(first), true).unwrap();
        self.heap.set_field(r, 1, Value::Ref(GcRef::NULL), true).unwrap();
        r
    }

    fn array(&mut self, length: u32) -> GcRef {
        let r = self.heap.alloc(self.array, length, &mut self.roots).unwrap();
        self.heap.array_fill(r, 0, Value::Ref(GcRef::NULL), length, true).unwrap();
        r
    }

    fn count_word(&self, r: GcRef) -> u32 {
        self.heap.memory().load_u32(r.raw() + count::COUNT_OFFSET).unwrap()
    }

    fn set(&mut self, r: GcRef, field: u32, value: GcRef) {
        self.heap.set_field(r, field, Value::Ref(value), false).unwrap();
    }

    fn set_at(&mut self, r: GcRef, index: u32, value: GcRef) {
        self.heap.set_element(r, index, Value::Ref(value), false).unwrap();
    }

    fn collect(&mut self, cause: Cause) -> CollectionReport {
        let report = self.heap.collect(cause, &mut self.roots).unwrap();
        self.heap.verify(&mut self.roots).unwrap();
        report
    }
}

const ROOT: u32 = count::ONE;

#[test]
fn counts_are_roots_and_references() {
    let mut world = World::new(CONFIG);
    let child = world.pair(GcRef::NULL);
    let parent = world.pair(child);
    world.set(parent, 1, child);
    assert_eq!(world.count_word(parent), count::YOUNG, "stores into young objects are not followed");
    world.roots = vec![parent, child];
    world.collect(Cause::Internal);
    assert_eq!((world.count_word(parent), world.count_word(child)), (ROOT, ROOT + 2 * count::ONE));
    world.roots = vec![parent];
    world.set(parent, 1, GcRef::NULL);
    assert_eq!(world.count_word(parent) & count::LOGGED, count::LOGGED);
    world.collect(Cause::Internal);
    assert_eq!((world.count_word(parent), world.count_word(child)), (ROOT, count::ONE));
    world.roots.clear();
    let report = world.collect(Cause::Internal);
    assert_eq!((report.bytes_after, report.full), (0, false), "counting alone frees what is not cyclic");
}

#[test]
fn a_stuck_count_is_repaired_by_tracing() {
    let mut world = World::new(CONFIG);
    let child = world.pair(GcRef::NULL);
    let parent = world.pair(child);
    world.roots = vec![parent];
    world.collect(Cause::Internal);
    let stuck = !count::LOGGED;
    world.heap.memory_mut().store_u32(child.raw() + count::COUNT_OFFSET, stuck).unwrap();
    world.set(parent, 0, GcRef::NULL);
    world.set(parent, 1, child);
    world.collect(Cause::Internal);
    assert_eq!(world.count_word(child), stuck);
    world.set(parent, 1, GcRef::NULL);
    let kept = world.collect(Cause::Internal).bytes_after;
    assert_eq!(world.count_word(child), stuck, "nothing is known of it");
    assert!(world.collect(Cause::Explicit).bytes_after < kept);

    let other = world.pair(GcRef::NULL);
    world.roots.push(other);
    world.collect(Cause::Internal);
    world.heap.memory_mut().store_u32(other.raw() + count::COUNT_OFFSET, stuck).unwrap();
    world.collect(Cause::Explicit);
    assert_eq!(world.count_word(other), ROOT);
}

/// Stores into a large array come one by one until the array is logged whole; each epoch starts again.
#[test]
fn a_large_array_is_logged_by_chunks_first() {
    const LENGTH: u32 = 64 * 20;
    let mut world = World::new(CONFIG);
    let array = world.array(LENGTH);
    world.roots = vec![array];
    world.collect(Cause::Internal);
    for _ in 0..3 {
        let element = world.pair(GcRef::NULL);
        let mut stores = 0;
        while world.count_word(world.roots[0]) & count::LOGGED == 0 {
            world.set_at(array, stores * 7 % LENGTH, element);
            stores += 1;
            assert!(stores <= 20, "as many calls as there are chunks");
        }
        assert_eq!(stores, 20);
        world.collect(Cause::Internal);
        assert_eq!(world.count_word(array), ROOT);
        assert_eq!(world.count_word(element), 20 * count::ONE);
    }
    // A bulk write logs it at once.
    world.heap.array_fill(array, 5, Value::Ref(GcRef::NULL), 3, false).unwrap();
    assert_eq!(world.count_word(array) & count::LOGGED, count::LOGGED);
    world.collect(Cause::Internal);
}

/// The elisions that are not declared would each lose or keep an object wrongly: this is why.
#[test]
fn stores_without_barrier_break_the_counts() {
    // A null stored without the barrier: the child keeps a count that nobody takes away.
    let mut world = World::new(CONFIG);
    let child = world.pair(GcRef::NULL);
    let parent = world.pair(child);
    world.roots = vec![parent];
    world.collect(Cause::Internal);
    let field = SPEC.header_layout().bytes();
    world.heap.memory_mut().store_u32(parent.raw() + field, 0).unwrap();
    world.heap.collect(Cause::Internal, &mut world.roots).unwrap();
    assert_eq!(world.count_word(child), count::ONE);
    assert!(world.heap.verify(&mut world.roots).is_err(), "the audit finds it");

    // A second store into a large array without the barrier: another chunk.
    let mut world = World::new(CONFIG);
    let array = world.array(1000);
    world.roots = vec![array];
    world.collect(Cause::Internal);
    let lost = world.pair(GcRef::NULL);
    world.set_at(array, 0, GcRef::i31(1));
    world.heap.memory_mut().store_u32(array.raw() + 12 + 4 * 900, lost.raw()).unwrap();
    world.heap.collect(Cause::Internal, &mut world.roots).unwrap();
    assert!(world.heap.verify(&mut world.roots).is_err(), "a reachable object was freed");
}

/// Cyclic garbage does not make the heap grow far beyond what lives.
#[test]
fn cycles_are_traced_before_the_heap_grows() {
    // Not the policy that looks at the clock: only what does not fit makes this heap grow.
    let mut world = World::new(HeapConfig { max: 64 << 20, sizing: SizingPolicy::Fixed, ..CONFIG });
    let live = world.array(20_000);
    world.roots = vec![live, GcRef::NULL];
    let rounds = if cfg!(miri) { 1000 } else { 3_000_000 };
    for _ in 0..rounds {
        let ring = world.pair(GcRef::NULL);
        world.set(ring, 1, ring);
        world.roots[1] = ring;
        // Kept by an old object for a while, so that it becomes old itself.
        let live = world.roots[0];
        let ring = world.roots[1];
        world.set_at(live, ring.raw() / 8 % 20_000, ring);
    }
    assert!(world.heap.capacity() <= 4 << 20, "{} KiB", world.heap.capacity() >> 10);
}

/// What the mutator did not use of its region is free, and no reference into it is accepted.
#[test]
fn unused_memory_holds_no_object() {
    let mut world = World::new(CONFIG);
    let r = world.pair(GcRef::NULL);
    let unused = r.raw() + 64;
    for (i, word) in [world.pair.0, count::YOUNG, 0, 0].into_iter().enumerate() {
        world.heap.memory_mut().store_u32(unused + 4 * i as u32, word).unwrap();
    }
    world.roots = vec![r, GcRef::from_raw(unused)];
    assert!(world.heap.collect(Cause::Internal, &mut world.roots).is_err());
}

/// A heap full of single live objects between dead ones still serves small requests when nothing else is left.
#[test]
fn the_smallest_gaps_serve_as_a_last_resort() {
    let mut world = World::new(HeapConfig { initial: 256 << 10, max: 256 << 10, ..CONFIG });
    while let Ok(r) = world.heap.alloc(world.pair, 0, &mut world.roots) {
        for field in [0, 1] {
            world.heap.set_field(r, field, Value::Ref(GcRef::NULL), true).unwrap();
        }
        world.roots.push(r);
    }
    let all = world.roots.len();
    let mut keep = false;
    world.roots.retain(|_| {
        keep = !keep;
        keep
    });
    for _ in 0..all / 2 {
        let r = world.pair(GcRef::NULL);
        world.roots.push(r);
    }
    assert_eq!(world.collect(Cause::Explicit).bytes_after, world.heap.capacity() / 16 * 16);
}

#[test]
fn unknown_slow_paths_and_wrong_objects_are_refused() {
    for (call, object) in [(SlowCall(7), 0), (LOG, 0), (LOG, 8), (LOG_ALL, 12), (LOG, u32::MAX - 7)] {
        let mut world = World::new(CONFIG);
        let young = world.pair(GcRef::NULL);
        let object = if object == 8 { young.raw() } else { object };
        assert!(world.heap.barrier_slow(call, [object, object.wrapping_add(8) & !7, 0, 0]).is_err());
    }
}
