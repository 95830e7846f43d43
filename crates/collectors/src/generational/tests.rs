//! What is particular to this collector: age, the remembered set, large objects, compaction around them, tight heaps.

use super::geometry::{FIRST_EDEN, MAX_SMALL, PAGE, Span};
use super::policy::UNKNOWN;
use super::remember::{BELOW_NURSERY, OLD_BOUND};
use super::{Generational, SPEC};
use heapwright_gc_heap::*;
use std::sync::Arc;

const MB: u64 = 1 << 20;
const ANY: ValType = ValType::Ref(RefType { nullable: true, heap: HeapType::Abstract(AbstractHeapType::Any) });

struct World {
    heap: Heap,
    roots: Vec<GcRef>,
    /// An `i32` and two references.
    pair: TypeId,
    refs: TypeId,
    bytes: TypeId,
    _held: RegisteredTypes,
}

impl World {
    fn new(initial: u64, max: u64, sizing: SizingPolicy) -> World {
        World::with(Box::new(Generational::new()), HeapConfig { initial, max, sizing, zeal: 0 })
    }

    fn fixed(bytes: u64) -> World {
        World::new(bytes, bytes, SizingPolicy::Fixed)
    }

    fn with(collector: Box<dyn Collector>, config: HeapConfig) -> World {
        let types = Arc::new(TypeRegistry::new(collector.spec().header_layout()).unwrap());
        let memory = if cfg!(miri) { HeapMemory::in_vec(config.max as u32) } else { HeapMemory::reserve().unwrap() };
        let heap = Heap::standalone(config, collector, types.clone(), memory).unwrap();
        let field = |storage| FieldType { storage, mutable: true };
        let any = StorageType::Val(ANY);
        let pair = CompositeType::Struct(StructType {
            fields: [field(StorageType::Val(ValType::I32)), field(any), field(any)].into(),
        });
        let composites = [
            pair,
            CompositeType::Array(ArrayType(field(any))),
            CompositeType::Array(ArrayType(field(StorageType::I8))),
        ];
        let groups = composites
            .map(|composite| RecGroup { types: [SubType { is_final: true, supertype: None, composite }].into() });
        let held = types.register(&groups).unwrap();
        let &[pair, refs, bytes] = held.ids() else { unreachable!("three types") };
        World { heap, roots: Vec::new(), pair, refs, bytes, _held: held }
    }

    fn pair(&mut self, id: u32) -> GcRef {
        let r = self.heap.alloc(self.pair, 0, &mut self.roots).unwrap();
        for (i, value) in [Value::I32(id), Value::Ref(GcRef::NULL), Value::Ref(GcRef::NULL)].into_iter().enumerate() {
            self.heap.set_field(r, i as u32, value, true).unwrap();
        }
        r
    }

    fn array(&mut self, ty: TypeId, length: u32) -> GcRef {
        let r = self.heap.alloc(ty, length, &mut self.roots).unwrap();
        let value = if ty == self.refs { Value::Ref(GcRef::NULL) } else { Value::I32(7) };
        self.heap.array_fill(r, 0, value, length, true).unwrap();
        r
    }

    fn rooted(&mut self, r: GcRef) -> usize {
        self.roots.push(r);
        self.roots.len() - 1
    }

    fn set(&mut self, object: usize, field: u32, value: GcRef) {
        self.heap.set_field(self.roots[object], field, Value::Ref(value), false).unwrap();
    }

    fn get(&mut self, object: GcRef, field: u32) -> GcRef {
        match self.heap.get_field(object, field).unwrap() {
            Value::Ref(r) => r,
            other => panic!("{other:?} is no reference"),
        }
    }

    fn id(&mut self, object: GcRef) -> u32 {
        match self.heap.get_field(object, 0).unwrap() {
            Value::I32(id) => id,
            other => panic!("{other:?} is no id"),
        }
    }

    fn collect(&mut self, cause: Cause) -> CollectionReport {
        let report = self.heap.collect(cause, &mut self.roots).unwrap();
        self.heap.verify(&mut self.roots).unwrap();
        report
    }

    /// A minor collection.
    fn minor(&mut self) -> CollectionReport {
        let report = self.collect(Cause::AllocationFailure);
        assert!(!report.full);
        report
    }

    /// The nursery, which nothing lies above.
    fn nursery(&self) -> Span {
        let words = self.heap.mutator().collector;
        assert_eq!(words[BELOW_NURSERY] + 1, words[OLD_BOUND], "something lies above the nursery");
        Span::new(words[OLD_BOUND], crate::top(&self.heap))
    }

    fn is_young(&self, r: GcRef) -> bool {
        self.nursery().contains(r.raw())
    }

    fn eden(&self) -> Span {
        let (start, _, end) = self.heap.region().unwrap();
        Span::new(start, end)
    }

    /// Objects in the mutator's buffer.
    fn appended(&self) -> usize {
        let buffer = self.heap.mutator().buffers[0];
        1024 - (buffer.end as usize - buffer.next as usize) / 4
    }

    /// Slots that are marked.
    fn marked(&self) -> u32 {
        self.heap.memory().side(0).iter().map(|byte| byte.count_ones()).sum()
    }
}

#[test]
fn an_object_is_promoted_when_it_has_survived_twice() {
    let mut world = World::fixed(16 * MB);
    let first = world.pair(1);
    world.rooted(first);
    assert!(world.eden().contains(first.raw()));
    assert_eq!(world.minor().bytes_copied, 16);
    let once = world.roots[0];
    assert!(world.is_young(once) && !world.eden().contains(once.raw()));
    // A younger one beside it keeps its own age.
    let second = world.pair(2);
    world.rooted(second);
    assert_eq!(world.minor().bytes_copied, 32);
    assert!(!world.is_young(world.roots[0]) && world.is_young(world.roots[1]));
    assert_eq!(world.minor().bytes_copied, 16);
    assert!(!world.is_young(world.roots[1]));
    // Old objects are left alone.
    assert_eq!(world.minor().bytes_copied, 0);
    assert_eq!([world.roots[0], world.roots[1]].map(|r| world.id(r)), [1, 2]);
    // What dies in the survivor space is not promoted.
    for id in 0..1000 {
        let r = world.pair(id);
        world.rooted(r);
    }
    world.minor();
    world.roots.truncate(2);
    assert_eq!(world.minor().bytes_copied, 0);
    assert_eq!(world.heap.space().used, 32);
}

/// A queue whose first cell is old: dead cells keep the later ones alive, until a full collection makes all that lives young.
#[test]
fn a_short_queue_is_not_kept_alive_by_its_dead_cells() {
    let mut world = World::fixed(16 * MB);
    let first = world.pair(0);
    world.roots = vec![first, first];
    let mut visited = Vec::new();
    for id in 1..400_000 {
        // The head moves on when the queue has a hundred cells; what it leaves still names it.
        let cell = world.pair(id);
        world.set(1, 1, cell);
        world.roots[1] = cell;
        if id >= 100 {
            world.roots[0] = world.get(world.roots[0], 1);
        }
        if id == 99 {
            // The first hundred become old.
            world.minor();
            world.minor();
        }
        if id % 10_000 == 0 {
            visited.push(world.collect(Cause::AllocationFailure).objects_visited);
        }
    }
    // Two were made above.
    let known = UNKNOWN as usize - 2;
    assert!(visited[..known].iter().all(|objects| *objects > 5_000), "{visited:?}");
    assert!(visited[known..].iter().all(|objects| *objects < 200), "{visited:?}");
    // All of it is young, and nothing is marked.
    assert!(world.roots.iter().all(|r| r.raw() >= world.heap.mutator().collector[OLD_BOUND]));
    assert_eq!(world.marked(), 0);
    // What has become too much is promoted, and the nursery moves back to the top.
    for i in 0..20_000 {
        let r = world.pair(i);
        world.rooted(r);
    }
    for _ in 0..4 {
        world.collect(Cause::AllocationFailure);
    }
    assert!(world.roots.iter().all(|r| r.raw() < world.nursery().start));
    for i in 0..20_000 {
        let r = world.roots[2 + i as usize];
        assert_eq!(world.id(r), i);
    }
}

#[test]
fn survivors_that_do_not_fit_are_promoted() {
    let mut world = World::fixed(16 * MB);
    let eden = world.eden();
    assert_eq!(eden.len(), FIRST_EDEN);
    // Half of eden lives; a survivor space holds a quarter.
    let table = world.array(world.refs, 5_000);
    world.rooted(table);
    for _ in 0..eden.len() / 32 - 2500 {
        let r = world.pair(0);
        world.rooted(r);
    }
    let before = world.heap.space().used;
    world.minor();
    assert_eq!(world.heap.space().used, before);
    let young = world.roots.iter().filter(|r| world.is_young(**r)).count();
    assert!(young > 5_000 && young < world.roots.len() - 5_000, "{young}");
}

#[test]
fn the_barrier_marks_a_slot() {
    let mut world = World::fixed(16 * MB);
    let old = world.pair(0);
    let old = world.rooted(old);
    world.minor();
    world.minor();
    let young = world.pair(1);
    let young = world.rooted(young);
    assert_eq!(world.marked(), 0);
    let value = world.roots[young];
    // Young into young, old into old, no object into old: nothing to remember.
    world.set(young, 1, value);
    let itself = world.roots[old];
    for value in [itself, GcRef::NULL, GcRef::i31(5)] {
        world.set(old, 1, value);
    }
    assert_eq!(world.marked(), 0);
    for _ in 0..10 {
        world.set(old, 1, value);
    }
    assert_eq!(world.marked(), 1);
    world.set(old, 2, value);
    assert_eq!(world.marked(), 2);
    world.roots.truncate(1);
    // Found through the slots alone, twice, and let go when it is old.
    for round in 0..3 {
        let report = world.minor();
        assert_eq!(report.objects_visited, u64::from(round < 2));
        assert_eq!((report.remembered, world.marked()), ([2, 2, 0][round], [2, 0, 0][round]));
        let kept = world.get(world.roots[0], 1);
        assert_eq!(world.get(world.roots[0], 2), kept);
        assert_eq!((world.id(kept), world.is_young(kept)), (1, round < 1));
    }
}

/// An i31 whose bits lie in the nursery, in a marked slot.
#[test]
fn an_i31_is_not_taken_for_a_young_object() {
    let mut world = World::fixed(16 * MB);
    let old = world.pair(0);
    let old = world.rooted(old);
    world.minor();
    world.minor();
    let look_alike = GcRef::from_raw(world.eden().start + 1);
    assert!(look_alike.is_i31() && world.is_young(look_alike));
    let young = world.pair(3);
    world.set(old, 1, young);
    world.set(old, 2, young);
    // As compiled code stores it: elided.
    assert!(SPEC.elide.contains(&Elision::I31Stored));
    let slot = world.roots[old].raw() + 8;
    world.heap.memory_mut().store_u32(slot, look_alike.raw()).unwrap();
    assert_eq!(world.marked(), 2);
    world.minor();
    assert_eq!(world.get(world.roots[old], 1), look_alike);
    let kept = world.get(world.roots[old], 2);
    assert_eq!((world.id(kept), world.marked()), (3, 1));
}

/// Marks that are of no use, because the slot has changed since or is none, or because the object lies in the nursery.
#[test]
fn useless_marks_do_no_harm() {
    let mut world = World::fixed(4 * MB);
    for i in 0..1000 {
        let r = world.pair(i);
        world.rooted(r);
    }
    let table = world.array(world.refs, 30_000);
    world.rooted(table);
    world.minor();
    world.minor();
    for i in 0..1000 {
        let young = world.pair(i + 5000);
        world.set(i as usize, 1, young);
    }
    for round in 0..3 {
        world.heap.memory_mut().sides_mut().into_iter().for_each(|table| table.fill(u8::MAX));
        if round == 2 {
            world.collect(Cause::Explicit);
            let objects = world.heap.memory().side(0)[NULL_PAGE_BYTES as usize / 32..].iter().take(2000 * 16 / 32);
            assert!(objects.into_iter().all(|byte| *byte == 0));
        } else {
            world.minor();
        }
        for i in 0..1000 {
            let kept = world.get(world.roots[i as usize], 1);
            assert_eq!((world.id(world.roots[i as usize]), world.id(kept)), (i, i + 5000));
        }
    }
}

/// Marks are found wherever an area begins and ends, and its neighbours keep theirs.
#[test]
fn marks_are_taken_from_an_area_alone() {
    const AREAS: [(u32, u32); 6] = [(0, 0), (0, 8), (8, 16), (248, 264), (256, 512), (72, 4096)];
    for (start, end) in AREAS {
        let mut heap = World::fixed(MB).heap;
        let marked: Vec<u32> =
            (0..5000).step_by(4).filter(|at| at % 12 != 0).map(|at| super::geometry::BASE + at).collect();
        let area = Span::new(super::geometry::BASE + start, super::geometry::BASE + end);
        let mut remembered = super::remember::Remembered::new();
        super::remember::Remembered::put_back(&mut heap, &marked);
        let (inside, outside): (Vec<u32>, Vec<u32>) = marked.iter().partition(|at| area.contains(**at));
        assert_eq!(remembered.take(&mut heap, &[area]).slots, inside, "{start}..{end}");
        assert!(outside.iter().all(|at| super::remember::is_marked(&heap, *at)));
        assert!(!inside.iter().any(|at| super::remember::is_marked(&heap, *at)));
        super::remember::wipe(&mut heap, Span::new(super::geometry::BASE, super::geometry::BASE + 5000));
        assert!(!marked.iter().any(|at| super::remember::is_marked(&heap, *at)));
    }
}

#[test]
fn a_full_buffer_is_emptied_and_duplicates_go() {
    let mut world = World::fixed(32 * MB);
    const LENGTH: u32 = 2_000;
    for _ in 0..2 {
        let table = world.array(world.refs, LENGTH);
        world.rooted(table);
    }
    world.collect(Cause::Explicit);
    assert!(world.roots.iter().all(|table| !world.is_young(*table)));
    for round in 0..if cfg!(miri) { 2 } else { 50 } {
        for i in 0..LENGTH {
            let value = world.pair(i);
            // In turns, so that no entry is the same as the one before.
            for table in 0..2 {
                world.heap.array_fill(world.roots[table], i, Value::Ref(value), 1, false).unwrap();
            }
        }
        if round % 7 == 0 {
            let report = world.minor();
            // What the first one leaves in the survivor space are slots of the tables.
            assert!(round > 0 || report.remembered == 2, "{}", report.remembered);
        }
    }
    world.collect(Cause::Explicit);
    for table in 0..2 {
        for i in 0..LENGTH {
            let Value::Ref(r) = world.heap.get_element(world.roots[table], i).unwrap() else { panic!("a reference") };
            assert_eq!(world.id(r), i);
        }
    }
}

#[test]
fn bulk_stores_are_remembered_by_object() {
    let mut world = World::fixed(16 * MB);
    for length in [100, 30_000] {
        world.roots.clear();
        let array = world.array(world.refs, length);
        let array = world.rooted(array);
        world.minor();
        world.minor();
        let source = world.array(world.refs, 10);
        let source = world.rooted(source);
        for i in 0..10 {
            let r = world.pair(i);
            world.heap.set_element(world.roots[source], i, Value::Ref(r), true).unwrap();
        }
        let (to, from) = (world.roots[array], world.roots[source]);
        assert!(!world.is_young(to) && world.is_young(from));
        world.heap.array_copy(to, 50, from, 0, 10).unwrap();
        world.heap.array_copy(to, 70, from, 0, 10).unwrap();
        let filler = world.pair(99);
        world.heap.array_fill(world.roots[array], 20, Value::Ref(filler), 5, false).unwrap();
        world.roots.truncate(1);
        for _ in 0..3 {
            world.minor();
            for i in 0..25 {
                let index = if i < 5 {
                    20 + i
                } else if i < 15 {
                    45 + i
                } else {
                    55 + i
                };
                let Value::Ref(r) = world.heap.get_element(world.roots[0], index).unwrap() else { panic!() };
                assert_eq!(world.id(r), if i < 5 { 99 } else { (i - 5) % 10 });
            }
        }
    }
}

#[test]
fn large_objects_stay_where_they_are() {
    let mut world = World::fixed(16 * MB);
    let mut places = Vec::new();
    for i in 0..10 {
        let bytes = world.array(world.bytes, 2 * MAX_SMALL + i);
        assert!(bytes.raw().is_multiple_of(PAGE) && !world.is_young(bytes));
        world.rooted(bytes);
        places.push(bytes);
        for id in 0..5000 {
            world.pair(id);
        }
    }
    for cause in [Cause::AllocationFailure, Cause::Explicit, Cause::LastResort] {
        world.collect(cause);
        assert_eq!(world.roots, places);
    }
    let used = world.heap.space().used;
    world.roots.truncate(3);
    // Not by a minor collection.
    world.minor();
    assert_eq!(world.heap.space().used, used);
    world.collect(Cause::Explicit);
    assert!(world.heap.space().used < used * 4 / 10);
}

/// Young objects that only a fresh large array names, stored there without a barrier.
#[test]
fn a_fresh_large_array_counts_as_remembered() {
    let mut world = World::fixed(16 * MB);
    let young = world.pair(5);
    let young = world.rooted(young);
    let array = world.heap.alloc(world.refs, 50_000, &mut world.roots).unwrap();
    let value = Value::Ref(world.roots[young]);
    world.heap.array_fill(array, 0, value, 50_000, true).unwrap();
    assert_eq!(world.appended(), 0);
    world.roots = vec![array];
    for _ in 0..3 {
        world.minor();
        let Value::Ref(r) = world.heap.get_element(world.roots[0], 49_999).unwrap() else { panic!("a reference") };
        assert_eq!(world.id(r), 5);
    }
}

/// Old objects on both sides of large ones slide together, through all the gaps.
#[test]
fn compaction_goes_around_large_objects() {
    let mut world = World::new(MB, 64 * MB, SizingPolicy::Growing);
    let (mut ids, mut large) = (Vec::new(), Vec::new());
    for i in 0..if cfg!(miri) { 3000 } else { 60_000 } {
        let r = world.pair(i);
        if i % 3 == 0 {
            world.rooted(r);
            ids.push(i);
        }
        if i % 2000 == 1999 {
            let bytes = world.array(world.bytes, 100_000);
            let holder = world.pair(u32::MAX);
            world.heap.set_field(holder, 1, Value::Ref(bytes), true).unwrap();
            large.push((bytes, world.rooted(holder)));
            ids.push(u32::MAX);
        }
    }
    for round in 0..4 {
        world.collect(if round % 2 == 0 { Cause::LastResort } else { Cause::AllocationFailure });
        for &(bytes, holder) in &large {
            assert_eq!(world.get(world.roots[holder], 1), bytes);
        }
        for (at, &id) in ids.iter().enumerate() {
            let r = world.roots[at];
            assert_eq!(world.id(r), id);
        }
    }
    world.roots.truncate(10);
    world.collect(Cause::Explicit);
    assert_eq!(world.heap.space().used, 160);
}

/// A heap that is nearly full of live objects goes on with full collections, to the last page.
#[test]
fn a_tight_heap_can_be_filled() {
    for bytes in [u64::from(PAGE), 64 << 10, 300 << 10] {
        let mut world = World::fixed(bytes);
        let mut filled = Vec::new();
        for round in 0..3 {
            loop {
                match world.heap.alloc(world.pair, 0, &mut world.roots) {
                    Ok(r) => {
                        for (i, value) in
                            [Value::I32(7), Value::Ref(GcRef::NULL), Value::Ref(GcRef::NULL)].iter().enumerate()
                        {
                            world.heap.set_field(r, i as u32, *value, true).unwrap();
                        }
                        world.rooted(r);
                    }
                    Err(AllocError::OutOfMemory { live, .. }) => {
                        filled.push(live);
                        break;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
            assert!(filled[round] > bytes - u64::from(PAGE), "{filled:?} of {bytes}");
            assert!(world.collect(Cause::AllocationFailure).full);
            // Every second one goes.
            let mut keep = false;
            world.roots.retain(|_| {
                keep = !keep;
                keep
            });
        }
        for at in 0..world.roots.len() {
            assert_eq!(world.id(world.roots[at]), 7);
        }
        // With room again, minor collections resume where the heap is large enough for any.
        world.roots.truncate(5);
        world.collect(Cause::Explicit);
        for _ in 0..2 * bytes / 16 {
            world.pair(0);
        }
        assert_eq!(world.collect(Cause::AllocationFailure).full, bytes <= u64::from(PAGE));
    }
}

/// Large objects in a heap without a free run for a nursery: eden goes from one gap to the next.
#[test]
fn eden_moves_between_large_objects() {
    let mut world = World::fixed(MB);
    loop {
        match world.heap.alloc(world.bytes, 30_000, &mut world.roots) {
            Ok(r) => world.rooted(r),
            Err(AllocError::OutOfMemory { .. }) => break,
            Err(other) => panic!("{other:?}"),
        };
    }
    let large = world.roots.len();
    assert!(large > 25, "{large}");
    // Every third one goes, and the gaps fill with small objects.
    for at in (0..large).step_by(3) {
        world.roots[at] = GcRef::NULL;
    }
    let mut count = 0;
    while let Ok(r) = world.heap.alloc(world.pair, 0, &mut world.roots) {
        for (i, value) in [Value::I32(count), Value::Ref(GcRef::NULL), Value::Ref(GcRef::NULL)].into_iter().enumerate()
        {
            world.heap.set_field(r, i as u32, value, true).unwrap();
        }
        world.rooted(r);
        count += 1;
    }
    assert!(u64::from(count) * 16 > MB / 3, "{count}");
    world.heap.verify(&mut world.roots).unwrap();
    for i in 0..count {
        let r = world.roots[large + i as usize];
        assert_eq!(world.id(r), i);
    }
}

#[test]
fn eden_grows_with_the_heap() {
    let mut world = World::new(256 << 10, 64 * MB, SizingPolicy::Growing);
    let small = world.eden().len();
    assert!(small <= 96 << 10);
    for i in 0..200_000 {
        let r = world.pair(i);
        world.rooted(r);
    }
    world.collect(Cause::Explicit);
    assert!(world.eden().len() >= FIRST_EDEN);
    world.roots.clear();
    world.collect(Cause::Explicit);
    assert_eq!(world.heap.space().used, 0);
}

/// Garbage that reached old space is not taken for live data, which heap sizing would multiply.
#[test]
fn promoted_garbage_is_not_known_to_live() {
    let mut world = World::fixed(64 * MB);
    let live: u32 = if cfg!(miri) { 1500 } else { 20_000 };
    world.roots = vec![GcRef::NULL; live as usize];
    for i in 0..live {
        world.roots[i as usize] = world.pair(i);
    }
    world.collect(Cause::Explicit);
    let live_bytes = world.heap.space().used;
    assert_eq!(live_bytes, u64::from(16 * live));
    for round in 0..10 {
        // Each lives through three collections: long enough to be promoted.
        for part in 0..3 {
            for i in (part..live).step_by(3) {
                world.roots[i as usize] = world.pair(round);
            }
            let report = world.minor();
            assert!(report.partial && report.bytes_after <= 2 * live_bytes, "{report:?}");
        }
    }
    assert!(world.heap.space().used > 4 * live_bytes);
    let report = world.collect(Cause::LastResort);
    assert!(report.full && !report.partial && report.bytes_after == live_bytes, "{report:?}");
}

/// A program whose data all lives needs three quarters of the memory that semi-spaces need, or less.
#[test]
fn a_live_heap_takes_little_more_than_its_data() {
    let peak = |collector: Box<dyn Collector>| {
        let config = HeapConfig { initial: 0, max: 512 * MB, sizing: SizingPolicy::Growing, zeal: 0 };
        let mut world = World::with(collector, config);
        world.rooted(GcRef::NULL);
        for i in 0..if cfg!(miri) { 1000 } else { 1_500_000 } {
            let r = world.pair(i);
            let list = world.roots[0];
            world.heap.set_field(r, 1, Value::Ref(list), true).unwrap();
            world.roots[0] = r;
            world.pair(i);
        }
        world.heap.stats().peak_committed
    };
    let (ours, copying) = (peak(Box::<Generational>::default()), peak(Box::<crate::copying::Copying>::default()));
    println!("peak {ours} against {copying}");
    assert!(cfg!(miri) || ours as f64 <= 0.75 * copying as f64, "{ours} against {copying}");
}

/// What the mutator's buffer holds is checked before it is believed.
#[test]
fn forged_entries_are_refused() {
    for entry in [0, 2, 4, 1 << 31, u32::MAX, 0x10_0002] {
        let mut world = World::fixed(16 * MB);
        let object = GcRef::from_raw(entry);
        let inputs = barrier::Inputs { object, slot: entry, ..barrier::Inputs::default() };
        super::remember::BULK.run(&mut world.heap, &inputs).unwrap();
        // What lies above all objects is taken for young.
        let appended = entry < world.nursery().start;
        assert_eq!(world.appended(), usize::from(appended));
        let collected = world.heap.collect(Cause::AllocationFailure, &mut world.roots);
        assert_eq!(collected.is_err(), appended, "{entry:#x}");
    }
}

/// A slot that is nowhere cannot be marked.
#[test]
fn forged_slots_are_refused() {
    let mut world = World::fixed(16 * MB);
    let new = world.pair(0);
    for slot in [1 << 31, u32::MAX] {
        let inputs = barrier::Inputs { object: GcRef::from_raw(8), slot, old: GcRef::NULL, new };
        assert!(super::remember::STORE.run(&mut world.heap, &inputs).is_err(), "{slot:#x}");
    }
}

/// A remembered slot that does not hold a reference to an object.
#[test]
fn a_forged_slot_is_an_error() {
    for forged in [8, 16, 64] {
        let mut world = World::fixed(16 * MB);
        let old = world.pair(0);
        let old = world.rooted(old);
        world.minor();
        world.minor();
        let young = world.pair(1);
        world.set(old, 1, young);
        world.heap.memory_mut().store_u32(world.roots[old].raw() + 8, young.raw() + forged).unwrap();
        assert!(world.heap.collect(Cause::AllocationFailure, &mut world.roots).is_err());
    }
}
