//! Corrupted heaps: every answer is a value or `HeapCorrupted`; no panic, no endless loop.
//!
//! The first part attacks one thing at a time, the second writes random words. That loops are bounded shows in the
//! tests' ending at all: the quadratic ones below would run for hours.

use crate::world::{KINDS, Kind, Random, SMALL, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::*;

const CAUSES: [Cause; 4] = [Cause::Internal, Cause::Explicit, Cause::AllocationFailure, Cause::LastResort];

/// A graph of everything, partly old, with pending log entries; the roots are in `world`.
fn populated(registration: &Registration, config: HeapConfig, seed: u64) -> World {
    let mut world = World::new(registration, config);
    let mut random = Random::new(seed);
    for i in 0..300u32 {
        let kind = KINDS[random.below(KINDS.len() as u32) as usize];
        let r = world.alloc(kind, random.below(200), i).unwrap();
        world.roots.push(r);
        let (from, to) = (random.below(i + 1) as usize, random.below(i + 1) as usize);
        let (from, to) = (world.roots[from], world.roots[to]);
        connect(&mut world, &mut random, from, to);
        if i == 100 || i == 200 {
            world.collect(Cause::Internal);
        }
    }
    world.roots.truncate(60);
    world
}

fn connect(world: &mut World, random: &mut Random, from: GcRef, to: GcRef) {
    let kind = world.kind_of(from);
    let (fields, _) = kind.fields();
    let result = if kind == Kind::Refs {
        match world.heap.array_length(from).unwrap() {
            0 => Ok(()),
            length => world.heap.set_element(from, random.below(length), Value::Ref(to), false),
        }
    } else if fields.is_empty() {
        Ok(())
    } else {
        let field = fields[random.below(fields.len() as u32) as usize];
        world.heap.set_field(from, field, Value::Ref(to), false)
    };
    result.unwrap();
}

/// Goes on with a heap of which anything may be wrong, ignoring errors, until it is declared corrupted.
fn exercise(world: &mut World, random: &mut Random) {
    let roots = world.roots.len() as u32;
    for cause in CAUSES {
        for _ in 0..20 {
            let (root, other) = (random.below(roots) as usize, random.below(roots) as usize);
            let (r, value) = (world.roots[root], world.roots[other]);
            let _ = world.heap.set_field(r, random.below(4), Value::Ref(value), false);
            let _ = world.heap.set_element(r, random.below(64), Value::Ref(value), false);
            let _ = world.heap.array_fill(r, 0, Value::Ref(value), random.below(100), false);
            let _ = world.heap.array_copy(r, 0, value, random.below(3), random.below(50));
            if let Ok(Value::Ref(loaded)) = world.heap.get_field(r, random.below(4)) {
                world.roots[root] = loaded;
            }
            let kind = KINDS[random.below(KINDS.len() as u32 - 1) as usize];
            let id = world.type_id(kind);
            if let Ok(r) = world.heap.alloc(id, random.below(100), &mut world.roots) {
                // Fields are not even initialised.
                world.roots[other] = r;
            }
        }
        let _ = world.heap.collect(cause, &mut world.roots);
        let _ = world.heap.verify(&mut world.roots);
    }
}

/// Offsets of the used part of the heap.
fn used(world: &World) -> (u32, u32) {
    let end = u64::from(NULL_PAGE_BYTES) + world.heap.capacity();
    (NULL_PAGE_BYTES, end as u32)
}

pub(super) fn random_words_anywhere(registration: &'static Registration) {
    for seed in 1..if cfg!(miri) { 3 } else { 200 } {
        for (zeal, words) in [(0, 1), (0, 30), (3, 5)] {
            let mut world = populated(registration, HeapConfig { zeal, max: 4 << 20, ..SMALL }, seed);
            let mut random = Random::new(seed * 31 + words);
            let (start, end) = used(&world);
            // Where objects are: at the start of the heap, and around the roots.
            for _ in 0..words {
                let near = world.roots[random.below(60) as usize].raw();
                let at = match random.below(3) {
                    0 => start + random.below(40_000) / 4 * 4,
                    1 => near.wrapping_add(random.below(64) / 4 * 4),
                    _ => near.wrapping_add(random.below(3) * 4),
                };
                let kind = KINDS[random.below(KINDS.len() as u32) as usize];
                let value = match random.below(6) {
                    0 => random.next(),
                    1 => start + random.below(end - start) / 8 * 8,
                    2 => world.type_id(kind).0,
                    3 => random.below(20),
                    4 => u32::MAX - random.below(16),
                    _ => world.roots[random.below(60) as usize].raw(),
                };
                let _ = world.heap.memory_mut().store_u32(at, value);
            }
            exercise(&mut world, &mut random);
        }
    }
}

/// References to everywhere, from a root and from a field.
pub(super) fn wild_references(registration: &'static Registration) {
    let needs_roots = registration.spec.needs_roots;
    let (start, end) = used(&populated(registration, SMALL, 3));
    let wild = [8, 4, 2, start - 8, start + 4, end - 8, end - 4, end, end + 8, u32::MAX - 7, u32::MAX - 1, 0x8000_0000];
    for at in wild {
        for cause in CAUSES {
            let mut world = populated(registration, SMALL, 3);
            world.roots.push(GcRef::from_raw(at));
            let result = world.heap.collect(cause, &mut world.roots);
            assert_eq!(result.is_err(), needs_roots, "root {at:#x}");

            let mut world = populated(registration, SMALL, 3);
            let holder = world.pair(0, GcRef::NULL, GcRef::NULL);
            world.roots.push(holder);
            world.heap.set_field(holder, 1, Value::Ref(GcRef::from_raw(at)), true).unwrap();
            let result = world.heap.collect(cause, &mut world.roots);
            assert_eq!(result.is_err(), needs_roots, "field {at:#x}");
            assert_eq!(world.heap.collect(cause, &mut world.roots).is_err(), needs_roots, "corruption is forgotten");
        }
    }
}

/// References into the middle of an object, where its payload looks like another object's header.
pub(super) fn interior_references(registration: &'static Registration) {
    for cause in CAUSES {
        let mut world = World::new(registration, SMALL);
        let payload = world.type_id(Kind::Leaf).0;
        let outer = world.pair(payload, GcRef::NULL, GcRef::NULL);
        let inner = outer.raw() + world.types.struct_layout(world.type_id(Kind::Pair)).unwrap().fields[0].offset;
        world.roots = vec![outer, GcRef::from_raw(inner)];
        let result = world.heap.collect(cause, &mut world.roots);
        // Misaligned, it is refused; aligned, it may be taken for an object.
        assert!(result.is_err() || inner.is_multiple_of(8) || !registration.spec.needs_roots);
        exercise(&mut world, &mut Random::new(1));
    }
}

/// Arrays that claim to be as long as the heap, one behind the other: a collector that scanned each would take the
/// square of the heap's size.
pub(super) fn overlapping_arrays(registration: &'static Registration) {
    let count = if cfg!(miri) { 50 } else { 100_000 };
    for age in 0..4 {
        let mut world = World::new(registration, HeapConfig { initial: 16 << 20, max: 16 << 20, ..SMALL });
        let table = world.alloc(Kind::Refs, count, 0).unwrap();
        world.roots.push(table);
        for i in 0..count {
            // In the last round they are structs, and claim to be arrays only when they are logged.
            let kind = if age < 3 { Kind::Refs } else { Kind::Pair };
            let array = world.alloc(kind, 2, 0).unwrap();
            let table = world.roots[0];
            world.set_at(table, i, array);
        }
        if age > 0 {
            world.collect(Cause::Internal);
        }
        let length_offset = registration.spec.header_layout().length_offset();
        for i in 0..count {
            let table = world.roots[0];
            let array = world.element(table, i);
            // Logged while it is well-formed, counted when it is not.
            match age {
                2 => world.set_at(array, 0, GcRef::NULL),
                3 => {
                    world.set(array, 1, GcRef::NULL);
                    let forged = world.type_id(Kind::Refs).0;
                    world.heap.memory_mut().store_u32(array.raw(), forged).unwrap();
                }
                _ => {}
            }
            let rest = (count - i) * 4;
            world.heap.memory_mut().store_u32(array.raw() + length_offset, rest).unwrap();
        }
        let _ = world.heap.collect(Cause::Internal, &mut world.roots);
        let _ = world.heap.collect(Cause::Explicit, &mut world.roots);
    }
}

/// The same with headers that pass for references, so that nothing else stops the scan early: type words that are valid
/// heap offsets, odd lengths. The objects are structs when their stores are logged and arrays when that is followed up.
pub(super) fn overlapping_arrays_of_credible_references(registration: &'static Registration) {
    let count = if cfg!(miri) { 50 } else { 1_000_000 };
    let mut world = World::new(registration, HeapConfig { initial: 64 << 20, max: 64 << 20, ..SMALL });
    // So many types that further type words are above the null page.
    let field = |storage| FieldType { storage, mutable: true };
    let structure = |fields: Vec<FieldType>| CompositeType::Struct(StructType { fields: fields.into() });
    let define = |composite, is_final| {
        let ty = SubType { is_final, supertype: None, composite };
        world.types.register(&[RecGroup { types: [ty].into() }]).unwrap()
    };
    let mut held = Vec::new();
    for longs in 0..40 {
        for ints in 0..40 {
            let mut fields = vec![field(StorageType::Val(ValType::I64)); longs];
            fields.extend(vec![field(StorageType::I16); ints]);
            held.push(define(structure(fields), true));
        }
    }
    let any = field(StorageType::Val(ValType::Ref(RefType {
        nullable: true,
        heap: HeapType::Abstract(AbstractHeapType::Any),
    })));
    held.push(define(structure(vec![any, any]), false));
    held.push(define(CompositeType::Array(ArrayType(any)), false));
    let [.., pair, array] = &held[..] else { unreachable!() };
    let (pair, array) = (pair.ids()[0], array.ids()[0]);
    assert!(pair.0 > NULL_PAGE_BYTES && array.0 > NULL_PAGE_BYTES);

    // What those type words refer to: ones, which are a count, an i31, a forwarding pointer.
    let ones = world.alloc(Kind::Bytes, 256 << 10, 1).unwrap();
    let table = world.alloc(Kind::Refs, count, 0).unwrap();
    world.roots.extend([ones, table]);
    for i in 0..count {
        let object = world.heap.alloc(pair, 0, &mut world.roots).unwrap();
        for field in [0, 1] {
            world.heap.set_field(object, field, Value::Ref(GcRef::NULL), true).unwrap();
        }
        let table = world.roots[1];
        world.set_at(table, i, object);
    }
    world.collect(Cause::Internal);
    let length_offset = registration.spec.header_layout().length_offset();
    for i in 0..count {
        let table = world.roots[1];
        let object = world.element(table, i);
        world.set(object, 1, GcRef::NULL);
        let rest = ((count - i) * 4) | 1;
        world.heap.memory_mut().store_u32(object.raw(), array.0).unwrap();
        world.heap.memory_mut().store_u32(object.raw() + length_offset, rest).unwrap();
    }
    for cause in [Cause::Internal, Cause::Explicit] {
        let _ = world.heap.collect(cause, &mut world.roots);
    }
}

/// Every header word of every object, one at a time.
pub(super) fn forged_headers(registration: &'static Registration) {
    let header = registration.spec.header_layout().bytes();
    for word in (0..header + 8).step_by(4) {
        for value in [0, 1, 2, 3, 64, 0xdada_dada, u32::MAX, u32::MAX - 1, 0x7fff_fff8, 0x8000_0001] {
            for cause in CAUSES {
                let mut world = populated(registration, SMALL, 9);
                for at in 0..world.roots.len() {
                    let r = world.roots[at].raw();
                    world.heap.memory_mut().store_u32(r + word, value).unwrap();
                }
                let _ = world.heap.collect(cause, &mut world.roots);
                exercise(&mut world, &mut Random::new(u64::from(word.wrapping_add(value))));
            }
        }
    }
}

/// Forgetting over and over that an object is logged must not grow the log without bound.
pub(super) fn forged_log_bits(registration: &'static Registration) {
    if registration.spec.header.is_empty() {
        return;
    }
    let mut world = World::new(registration, HeapConfig { max: 1 << 20, ..SMALL });
    let object = world.alloc(Kind::Wide, 0, 0).unwrap();
    world.roots.push(object);
    for field in Kind::Wide.fields().0 {
        world.heap.set_field(object, field, Value::Ref(object), true).unwrap();
    }
    world.collect(Cause::Internal);
    let object = world.roots[0];
    let header: Vec<u32> = (1..=registration.spec.header.len() as u32).map(|i| object.raw() + 4 * i).collect();
    let fresh: Vec<u32> = header.iter().map(|&at| world.heap.memory().load_u32(at).unwrap()).collect();
    // Each entry is for some 90 references, and the heap has room for some 280,000.
    let mut refused = false;
    for _ in 0..if cfg!(miri) { 100 } else { 10_000 } {
        for (&at, &word) in header.iter().zip(&fresh) {
            world.heap.memory_mut().store_u32(at, word).unwrap();
        }
        refused |= world.heap.set_field(object, 1, Value::Ref(GcRef::NULL), false).is_err();
    }
    assert!(refused || cfg!(miri), "more was logged than a mebibyte can hold");
}

/// Roots that an embedder enumerates wrongly: the same slot twice, then none.
pub(super) fn inconsistent_roots(registration: &'static Registration) {
    struct Twice(Vec<GcRef>);
    impl RootSet for Twice {
        fn for_each(
            &mut self,
            visit: &mut dyn FnMut(RootKind, &mut GcRef) -> Result<(), HeapCorrupted>,
        ) -> Result<(), HeapCorrupted> {
            for _ in 0..2 {
                self.0.iter_mut().try_for_each(|root| visit(RootKind::Frame, root))?;
            }
            Ok(())
        }
    }
    for cause in CAUSES {
        let mut world = populated(registration, SMALL, 4);
        let mut twice = Twice(world.roots.clone());
        let first = world.heap.collect(cause, &mut twice);
        let second = world.heap.collect(cause, &mut world.roots);
        // Where objects move, the second visit may find a reference that is not valid any more.
        if registration.spec.moves == Moves::Never {
            assert!(first.is_ok() && second.is_ok());
        }
    }
}
