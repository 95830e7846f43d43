//! What the conformance kit cannot see: where objects are put, what moves, and what is reclaimed.

use super::geometry::{BASE, BLOCK, LINE, LINES, MAX_MEDIUM};
use super::*;
use heapwright_gc_heap::*;

struct World {
    heap: Heap,
    roots: Vec<GcRef>,
    bytes: TypeId,
    refs: TypeId,
    _types: RegisteredTypes,
}

/// Offset of element 0 of the arrays here.
const HEADER: u32 = 8;

impl World {
    fn new(config: HeapConfig) -> World {
        let types = Arc::new(TypeRegistry::new(SPEC.header_layout()).unwrap());
        let any = RefType { nullable: true, heap: HeapType::Abstract(AbstractHeapType::Any) };
        let groups = [StorageType::I8, StorageType::Val(ValType::Ref(any))].map(|storage| {
            let composite = CompositeType::Array(ArrayType(FieldType { storage, mutable: true }));
            RecGroup { types: [SubType { is_final: true, supertype: None, composite }].into() }
        });
        let held = types.register(&groups).unwrap();
        let memory = if cfg!(miri) { HeapMemory::in_vec(config.max as u32) } else { HeapMemory::reserve().unwrap() };
        let heap = Heap::standalone(config, Box::new(MarkRegion::new()), types, memory).unwrap();
        World { heap, roots: vec![], bytes: held.ids()[0], refs: held.ids()[1], _types: held }
    }

    /// A heap that stays at `size` bytes.
    fn fixed(size: u64) -> World {
        World::new(HeapConfig { initial: size, max: size, sizing: SizingPolicy::Fixed, zeal: 0 })
    }

    /// A byte array of `size` bytes with its header; its contents say `tag`.
    fn bytes(&mut self, size: u32, tag: u8) -> GcRef {
        let r = self.heap.alloc(self.bytes, size - HEADER, &mut self.roots).unwrap();
        self.heap.array_fill(r, 0, Value::I32(tag.into()), size - HEADER, true).unwrap();
        r
    }

    /// The same, as a root.
    fn keep(&mut self, size: u32, tag: u8) -> u32 {
        let r = self.bytes(size, tag);
        self.roots.push(r);
        r.raw()
    }

    fn check(&mut self, r: GcRef, tag: u8) {
        let last = self.heap.array_length(r).unwrap() - 1;
        for i in [0, last / 2, last] {
            assert_eq!(self.heap.get_element(r, i).unwrap(), Value::I32(tag.into()));
        }
    }

    fn collect(&mut self, cause: Cause) -> CollectionReport {
        let report = self.heap.collect(cause, &mut self.roots).unwrap();
        self.heap.verify(&mut self.roots).unwrap();
        report
    }

    /// Keeps one object of `size` bytes at the start of each line of the heap's free part; what lies between them is
    /// dead.
    fn one_in_each_line(&mut self, size: u32, lines: u32) {
        for i in 0..lines {
            self.keep(size, i as u8);
            self.bytes(LINE - size, 0);
        }
    }
}

const MB: u64 = 1 << 20;

#[test]
fn free_lines_are_used_again_in_order() {
    let mut world = World::fixed(MB);
    let line = |block: u32, line: u32| BASE + block * BLOCK + line * LINE;
    // A block of objects, a line each; all but those of lines 3, 4 and 100 stay.
    for i in 0..LINES {
        assert_eq!(world.keep(LINE, i as u8), line(0, i));
    }
    for gone in [100, 4, 3] {
        world.roots.remove(gone);
    }
    let report = world.collect(Cause::Internal);
    assert_eq!((report.bytes_copied, report.bytes_after), (0, u64::from((LINES - 3) * LINE)));
    assert_eq!(world.heap.space().used, report.bytes_after);
    // Two holes, then a free block.
    let places = [96, 256, 160, 64, 192, 200].map(|size| world.bytes(size, 1).raw());
    let expected = [line(0, 3), line(0, 3) + 96, line(0, 4) + 96, line(0, 100), line(0, 100) + 64, line(1, 0)];
    assert_eq!(places, expected);
    for (i, &r) in world.roots.clone().iter().enumerate() {
        let tag = i + usize::from(i >= 3) * 2 + usize::from(i >= 98);
        world.check(r, tag as u8);
    }
}

#[test]
fn an_object_over_several_lines_holds_them_all() {
    let mut world = World::fixed(MB);
    world.bytes(LINE / 2, 0);
    // From the middle of line 0 to the middle of line 3.
    let long = world.keep(3 * LINE, 9);
    assert_eq!(long, BASE + LINE / 2);
    world.bytes(3000, 0);
    world.collect(Cause::Internal);
    assert_eq!(world.bytes(LINE, 1).raw(), BASE + 4 * LINE);
    world.check(world.roots[0], 9);
    world.roots.clear();
    world.collect(Cause::Internal);
    assert_eq!(world.bytes(LINE, 1).raw(), BASE);
}

#[test]
fn medium_objects_leave_small_holes_open() {
    let mut world = World::fixed(MB);
    for i in 0..LINES {
        world.keep(LINE, i as u8);
    }
    // A hole of two lines.
    world.roots.drain(10..12);
    world.collect(Cause::Internal);
    let first = world.bytes(64, 0).raw();
    let medium = world.bytes(3 * LINE, 0).raw();
    let second = world.bytes(64, 0).raw();
    let next = world.bytes(MAX_MEDIUM - HEADER, 0).raw();
    assert_eq!([first, medium, second], [BASE + 10 * LINE, BASE + BLOCK, first + 64]);
    assert_eq!(next, medium + 3 * LINE, "one overflow block for both");
    // What the overflow block cannot take goes to another, and the rest of the first is for small objects.
    assert_eq!(world.bytes(MAX_MEDIUM, 0).raw(), BASE + 2 * BLOCK);
    let rest = (next + MAX_MEDIUM - HEADER).next_multiple_of(LINE);
    assert_eq!(world.bytes(LINE, 0).raw(), second + 64);
    assert_eq!(world.bytes(LINE, 0).raw(), rest);
}

#[test]
fn large_objects_have_blocks_of_their_own() {
    let mut world = World::fixed(MB);
    let sizes = [MAX_MEDIUM + 8, BLOCK, BLOCK + 8, 5 * BLOCK];
    let top = BASE + MB as u32;
    let places = sizes.map(|size| world.keep(size, 7));
    assert_eq!(places, [1, 2, 4, 9].map(|blocks| top - blocks * BLOCK));
    world.bytes(64, 0);
    for _ in 0..3 {
        let report = world.collect(Cause::LastResort);
        assert_eq!(report.bytes_after, sizes.iter().map(|size| u64::from(*size)).sum::<u64>());
        assert_eq!(world.roots.iter().map(|r| r.raw()).collect::<Vec<_>>(), places, "large objects never move");
    }
    for i in 0..4 {
        world.check(world.roots[i], 7);
    }
    // One that goes leaves its blocks, all of them, and no others.
    world.roots.remove(3);
    let before = world.heap.space().free;
    world.collect(Cause::Internal);
    assert!(world.heap.space().free >= before + u64::from(4 * BLOCK));
    assert_eq!(world.keep(5 * BLOCK, 8), places[3]);
    world.check(world.roots[0], 7);
}

#[test]
fn sparse_blocks_are_evacuated() {
    let mut world = World::fixed(MB);
    let table = world.heap.alloc(world.refs, 1000, &mut world.roots).unwrap();
    world.heap.array_fill(table, 0, Value::Ref(GcRef::NULL), 1000, true).unwrap();
    world.roots.push(table);
    world.one_in_each_line(16, 1000);
    // Named by a root and by a slot; both have to follow.
    for i in 0..1000 {
        let (table, r) = (world.roots[0], world.roots[1 + i]);
        world.heap.set_element(table, i as u32, Value::Ref(r), false).unwrap();
    }
    let before = world.roots.clone();
    let report = world.collect(Cause::Internal);
    assert_eq!(report.bytes_copied, 0, "nothing was known of the heap");
    assert_eq!(world.roots, before);
    let stuck = world.heap.space();
    assert!(stuck.used + stuck.free < MB * 3 / 4);

    let report = world.collect(Cause::Internal);
    // The table too: it is alone in its block.
    let table_bytes = u64::from(HEADER + 4 * 1000);
    assert_eq!(report.bytes_copied, 16 * 1000 + table_bytes);
    let space = world.heap.space();
    assert!(space.used == stuck.used && space.free > stuck.free + 200 * u64::from(LINE));
    for i in 0..1000 {
        let r = world.roots[1 + i];
        assert_ne!(r, before[1 + i]);
        let table = world.roots[0];
        assert_eq!(world.heap.get_element(table, i as u32).unwrap(), Value::Ref(r));
        world.check(r, i as u8);
    }
    // Well packed now: no reason to move.
    let report = world.collect(Cause::Internal);
    assert_eq!(report.bytes_copied, 0);
}

#[test]
fn a_heap_of_sparse_lines_is_not_out_of_memory() {
    let mut world = World::fixed(MB);
    let lines = (MB / u64::from(LINE)) as u32;
    world.one_in_each_line(16, lines);
    let count = world.roots.len();
    // 64 KiB live. Room for as much again in small pieces, and for 600 KiB in one.
    for i in 0..10_000 {
        world.bytes(64, 0);
        if i % 100 == 0 {
            world.keep(64, 3);
        }
    }
    world.bytes(600 << 10, 0);
    for i in 0..count {
        let r = world.roots[i];
        assert_eq!(world.heap.array_length(r).unwrap(), 8);
        world.check(r, i as u8);
    }
}

#[test]
fn neighbouring_blocks_are_emptied_for_a_large_object() {
    let mut world = World::fixed(MB);
    // Half-filled blocks all over the memory, but no two free ones side by side.
    for block in 0..MB as u32 / BLOCK {
        world.keep(MAX_MEDIUM, block as u8);
        world.bytes(BLOCK - MAX_MEDIUM, 0);
        if world.heap.space().free < u64::from(2 * BLOCK) {
            break;
        }
    }
    let kept = world.roots.len();
    assert!(kept >= 28);
    let r = world.bytes(6 * BLOCK, 1);
    world.roots.push(r);
    world.heap.verify(&mut world.roots).unwrap();
    for i in 0..kept {
        world.check(world.roots[i], i as u8);
    }
}

/// The rules of each cycle under zeal: the first moves what it can, the second nothing, and so on.
#[test]
fn zeal_moves_in_turns() {
    let mut world = World::new(HeapConfig { initial: MB, max: MB, sizing: SizingPolicy::Fixed, zeal: 1000 });
    for i in 0..500 {
        world.keep(16 + i % 300 / 8 * 8, i as u8);
    }
    for cycle in 0..6 {
        let before = world.roots.clone();
        let report = world.collect(Cause::Internal);
        let moved = world.roots.iter().zip(&before).filter(|(now, then)| now != then).count();
        assert_eq!(moved, if cycle % 2 == 0 { 500 } else { 0 });
        assert_eq!(report.bytes_copied != 0, cycle % 2 == 0);
        for i in 0..500 {
            world.check(world.roots[i], i as u8);
        }
    }
}

#[test]
fn freed_memory_is_poisoned_under_zeal() {
    let mut world = World::new(HeapConfig { initial: MB, max: MB, sizing: SizingPolicy::Fixed, zeal: 1000 });
    let (kept, dead) = (world.keep(64, 1), world.bytes(64, 2).raw());
    let large = world.bytes(2 * BLOCK, 3).raw();
    let poisoned = |world: &World, at: u32| world.heap.memory().load_u32(at).unwrap() == 0xdada_dada;
    for _ in 0..2 {
        world.collect(Cause::Internal);
        let old_place_is_free = world.roots[0].raw() != kept;
        assert_eq!(poisoned(&world, kept), old_place_is_free);
        assert!(poisoned(&world, dead) && poisoned(&world, dead + 60));
        assert!(poisoned(&world, large) && poisoned(&world, large + 2 * BLOCK - 4));
    }
    world.check(world.roots[0], 1);
}

#[test]
fn memory_of_any_size_is_used_and_grows() {
    // A block cut short, alone and after others; then more.
    for max in [4096, u64::from(BLOCK) - 4096, u64::from(BLOCK), u64::from(BLOCK) + 4096, 100 << 10, 1 << 20] {
        let mut world = World::new(HeapConfig { initial: 0, max, sizing: SizingPolicy::Growing, zeal: 0 });
        let mut live = 0;
        loop {
            match world.heap.alloc(world.bytes, 56, &mut world.roots) {
                Ok(r) => world.roots.push(r),
                Err(AllocError::OutOfMemory { .. }) => break,
                Err(error) => panic!("{error:?}"),
            }
            live += 64;
        }
        assert!(live >= max * 15 / 16, "{live} of {max}");
        assert_eq!(world.collect(Cause::Explicit).bytes_after, live);
        world.roots.clear();
        world.collect(Cause::Explicit);
        assert_eq!(world.heap.space().used, 0);
    }
    // The tables follow each step of growth.
    let unmarked = HeapMemory::in_vec(BASE);
    let mut collector = MarkRegion::new();
    let mut top = BASE;
    let mut lines = 0;
    for step in [1, 3, 127, 128, 129, 5, 700, 64] {
        top += step * LINE;
        lines += u64::from(step);
        collector.blocks.grow(top);
        collector.blocks.verify(Marks::of(&unmarked)).unwrap();
        assert_eq!(collector.blocks.free_lines, lines);
        if let Some(hole) = collector.blocks.take_hole(0) {
            lines -= u64::from(hole.len() / LINE);
        }
    }
}

#[test]
fn forged_words_are_noticed() {
    // The type word of an object in a block that is evacuated: a forwarding word to where no object is, to itself, to
    // the null page; and an array that claims more than its line, its block, the heap.
    let cases: [(u32, u32); 9] = [
        (0, BASE + 8 + 1),
        (0, BASE + MB as u32 - 8 + 1),
        (0, 1),
        (0, u32::MAX),
        (0, 0xdada_dada),
        (4, BLOCK),
        (4, 2 * BLOCK),
        (4, MB as u32),
        (4, u32::MAX),
    ];
    for zeal in [0, 1000] {
        for (word, value) in cases {
            let mut world = World::new(HeapConfig { initial: MB, max: MB, sizing: SizingPolicy::Fixed, zeal });
            let victim = world.keep(64, 1);
            world.keep(64, 2);
            world.heap.memory_mut().store_u32(victim + word, value).unwrap();
            assert!(world.heap.collect(Cause::Internal, &mut world.roots).is_err(), "{word} {value:#x}");
        }
    }
    // A large object that claims to be longer than what was allocated for it, and references into its middle.
    for (root, word, value) in [(0, 4, 2 * BLOCK), (8, 0, 0), (BLOCK, 0, 0)] {
        let mut world = World::fixed(MB);
        let large = world.keep(BLOCK + 8, 0);
        world.roots.push(GcRef::from_raw(large + root));
        if root == 0 {
            world.heap.memory_mut().store_u32(large + word, value).unwrap();
        } else {
            // Even where there seems to be an object.
            world.heap.memory_mut().store_u32(large + root, world.bytes.0).unwrap();
        }
        assert!(world.heap.collect(Cause::Internal, &mut world.roots).is_err());
    }
}

#[test]
fn a_reference_to_free_lines_is_noticed() {
    let mut world = World::fixed(MB);
    world.keep(64, 1);
    let dead = world.bytes(2 * LINE, 2);
    let in_a_live_line = world.keep(64, 3);
    world.collect(Cause::Internal);
    // Its header is still there. All its lines but the middle one are kept by others.
    world.roots.push(dead);
    assert!(world.heap.memory().load_u32(dead.raw()).is_ok() && in_a_live_line > dead.raw());
    assert!(world.heap.verify(&mut world.roots).is_err());
    let mut world = World::fixed(MB);
    world.keep(64, 1);
    let dead = world.bytes(2 * LINE, 2);
    world.collect(Cause::Internal);
    world.roots.push(dead);
    assert!(world.heap.collect(Cause::Internal, &mut world.roots).is_err());
}

/// Much garbage, survivors of all sizes that change slowly, a heap that holds twice what lives.
#[test]
fn churn_of_all_sizes() {
    let mut world = World::fixed(4 * MB);
    let mut random = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: u32| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 32) as u32 % below
    };
    let size = |class: u32, r: u32| match class {
        0..90 => 16 + r % 30 * 8,
        90..98 => 264 + r % 1000 * 8,
        _ => MAX_MEDIUM + 8 + r % 5000 * 8,
    };
    world.roots.resize(2000, GcRef::NULL);
    let mut model = vec![0; 2000];
    let total = if cfg!(miri) { MB / 2 } else { 256 * MB };
    while world.heap.stats().bytes_allocated < total {
        let (class, r, tag) = (next(100), next(10_000), next(256) as u8);
        let object = world.bytes(size(class, r), tag);
        // Few of the large ones are kept.
        if next(8) == 0 && (class < 97 || next(20) == 0) {
            let at = next(2000) as usize;
            (world.roots[at], model[at]) = (object, tag);
        }
    }
    for (at, &tag) in model.iter().enumerate() {
        if let r @ GcRef { .. } = world.roots[at]
            && r.is_object()
        {
            world.check(r, tag);
        }
    }
    world.collect(Cause::Explicit);
}
