//! Shapes of graphs and objects that collectors get wrong.

use crate::world::{Kind, Random, SMALL, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, GcRef, HeapConfig, SizingPolicy, Value};

const LARGE: HeapConfig = HeapConfig { initial: 8 << 20, max: 1 << 30, sizing: SizingPolicy::Growing, zeal: 0 };

/// A list that no recursive collector survives, in every state: young, old, dead.
pub(super) fn a_deep_list_is_no_problem(registration: &'static Registration) {
    let nodes = if cfg!(miri) { 2_000 } else { 1_000_000 };
    let mut world = World::new(registration, LARGE);
    world.roots.push(GcRef::NULL);
    for i in 0..nodes {
        let head = world.roots[0];
        world.roots[0] = world.pair(i, head, GcRef::NULL);
    }
    world.collect(Cause::Internal);
    assert_eq!(world.settle().objects, u64::from(nodes));
    let mut at = world.roots[0];
    for i in (0..nodes).rev() {
        assert_eq!(world.heap.get_field(at, 0).unwrap(), Value::I32(i));
        at = world.field(at, 1);
    }
    assert_eq!(at, GcRef::NULL);
    world.roots.clear();
    for _ in 0..2 {
        let report = world.collect(Cause::Internal);
        assert!(!registration.spec.needs_roots || report.bytes_after == 0 || !report.full);
    }
    assert_eq!(world.settle().objects, 0);
}

/// Cutting the head off a deep old list frees all of it without the backup of a full collection, if the collector can.
pub(super) fn an_old_list_dies_from_its_head(registration: &'static Registration) {
    let nodes = if cfg!(miri) { 500 } else { 300_000 };
    let mut world = World::new(registration, LARGE);
    world.roots.push(GcRef::NULL);
    for i in 0..nodes {
        let head = world.roots[0];
        world.roots[0] = world.pair(i, head, GcRef::NULL);
    }
    world.collect(Cause::Internal);
    let before = world.heap.space().used;
    let head = world.roots[0];
    world.set(head, 1, GcRef::NULL);
    world.collect(Cause::Internal);
    world.collect(Cause::Internal);
    if registration.spec.needs_roots {
        assert!(world.heap.space().used <= before / u64::from(nodes), "the list is still there");
    }
    assert_eq!(world.settle().objects, 1);
}

pub(super) fn cycles_are_reclaimed(registration: &'static Registration) {
    for size in [1, 2, 3, 1000] {
        let mut world = World::new(registration, SMALL);
        for round in 0..3 {
            let first = world.pair(0, GcRef::NULL, GcRef::NULL);
            world.roots = vec![first, first];
            for i in 1..size {
                let next = world.pair(i, GcRef::NULL, GcRef::NULL);
                let last = world.roots[1];
                world.set(last, 1, next);
                world.roots[1] = next;
            }
            let (first, last) = (world.roots[0], world.roots[1]);
            world.set(last, 1, first);
            if round > 0 {
                // As an old cycle, closed by a logged store in the last round.
                world.collect(Cause::Internal);
            }
            if round > 1 {
                let (first, last) = (world.roots[0], world.roots[1]);
                world.set(last, 1, GcRef::NULL);
                world.set(last, 2, first);
                world.collect(Cause::Internal);
            }
            assert_eq!(world.settle().objects, u64::from(size));
            world.roots.clear();
            world.collect(Cause::Internal);
            assert_eq!(world.settle().objects, 0);
        }
    }
}

/// A young object that only a slot of an old one names, stored there, moved on, and taken out again.
pub(super) fn old_objects_keep_young_ones(registration: &'static Registration) {
    let mut world = World::new(registration, SMALL);
    let old = world.pair(1, GcRef::NULL, GcRef::NULL);
    world.roots.push(old);
    for round in 0..5 {
        world.collect(Cause::Internal);
        let young = world.pair(100 + round, GcRef::NULL, GcRef::i31(round));
        let old = world.roots[0];
        world.set(old, 1, young);
        world.set(old, 2, young);
        world.set(old, 1, GcRef::NULL);
        world.collect(Cause::Internal);
        let old = world.roots[0];
        assert_eq!(world.field(old, 1), GcRef::NULL);
        let kept = world.field(old, 2);
        assert_eq!(world.heap.get_field(kept, 0).unwrap(), Value::I32(100 + round));
        assert_eq!(world.field(kept, 2), GcRef::i31(round));
        if round % 2 == 0 {
            world.set(old, 2, kept);
            assert_eq!(world.settle().objects, 2);
        }
    }
}

/// A large array of references under stores, fills and copies, in several epochs.
pub(super) fn large_arrays_follow_their_stores(registration: &'static Registration) {
    const LENGTH: u32 = 5000;
    let mut world = World::new(registration, LARGE);
    let (first, second) = (0, 1);
    for _ in [first, second] {
        let array = world.alloc(Kind::Refs, LENGTH, 0).unwrap();
        world.roots.push(array);
    }
    let mut model = [vec![None; LENGTH as usize], vec![None; LENGTH as usize]];
    let mut random = Random::new(5);
    // From a few stores in an epoch to many more than there are elements.
    for (epoch, stores) in [3u32, 40, 900, 20_000, 7, 0, 300].into_iter().cycle().take(14).enumerate() {
        for i in 0..if cfg!(miri) { stores.min(40) } else { stores } {
            let which = (random.next() % 2) as usize;
            let index = random.below(LENGTH);
            let (value, new) = match random.below(4) {
                0 => (GcRef::NULL, None),
                1 => {
                    let other = random.below(LENGTH);
                    let array = world.roots[1 - which];
                    (world.element(array, other), model[1 - which][other as usize])
                }
                _ => {
                    let id = epoch as u32 * 100_000 + i;
                    (world.pair(id, GcRef::NULL, GcRef::NULL), Some(id))
                }
            };
            let array = world.roots[which];
            world.set_at(array, index, value);
            model[which][index as usize] = new;
        }
        if epoch % 3 == 2 {
            let (to, from) = (world.roots[first], world.roots[second]);
            world.heap.array_copy(to, 100, from, 40, 700).unwrap();
            let copied = model[second][40..740].to_vec();
            model[first][100..800].copy_from_slice(&copied);
            world.heap.array_copy(to, 2000, to, 2001, 2500).unwrap();
            model[first].copy_within(2001..4501, 2000);
            world.heap.array_fill(from, 4900, Value::Ref(GcRef::NULL), 100, false).unwrap();
            model[second][4900..].fill(None);
        }
        world.collect(if epoch == 9 { Cause::Explicit } else { Cause::Internal });
        for which in [first, second] {
            for index in 0..LENGTH {
                let array = world.roots[which];
                let element = world.element(array, index);
                match model[which][index as usize] {
                    None => assert_eq!(element, GcRef::NULL),
                    Some(id) => assert_eq!(world.heap.get_field(element, 0).unwrap(), Value::I32(id)),
                }
            }
        }
    }
    let mut ids: Vec<u32> = model.iter().flatten().flatten().copied().collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(world.settle().objects, ids.len() as u64 + 2);
    world.roots.clear();
    assert_eq!(world.settle().objects, 0);
}

/// Without a full collection, exact counts free exactly what large arrays drop.
pub(super) fn what_a_large_array_drops_is_freed_in_time(registration: &'static Registration) {
    const LENGTH: u32 = 2000;
    if !registration.spec.needs_roots {
        return;
    }
    let mut world = World::new(registration, LARGE);
    let array = world.alloc(Kind::Refs, LENGTH, 0).unwrap();
    world.roots.push(array);
    for i in 0..LENGTH {
        let element = world.pair(i, GcRef::NULL, GcRef::NULL);
        let array = world.roots[0];
        world.set_at(array, i, element);
    }
    world.collect(Cause::Internal);
    let full = world.heap.space().used;
    let array = world.roots[0];
    for i in (0..LENGTH).step_by(2) {
        // Overwritten twice: only the first old value loses a count.
        world.set_at(array, i, GcRef::i31(1));
        world.set_at(array, i, GcRef::NULL);
    }
    world.collect(Cause::Internal);
    world.collect(Cause::Internal);
    let array_bytes = world.heap.object_size(world.roots[0]).unwrap();
    assert_eq!(world.heap.space().used - array_bytes, (full - array_bytes) / 2);
}

/// Every kind of object, empty arrays included, comes through unharmed, with all references found.
pub(super) fn all_kinds_keep_their_contents(registration: &'static Registration) {
    let mut world = World::new(registration, SMALL);
    for round in 0..4u32 {
        for (kind, length) in [
            (Kind::Wide, 0),
            (Kind::Mixed, 0),
            (Kind::Exception, 0),
            (Kind::Refs, 0),
            (Kind::Refs, 65),
            (Kind::Bytes, 13),
        ] {
            let r = world.alloc(kind, length, round).unwrap();
            world.roots.push(r);
            let leaf = world.alloc(Kind::Leaf, 0, 0xabc).unwrap();
            let r = *world.roots.last().unwrap();
            for field in kind.fields().0 {
                world.set(r, field, leaf);
            }
            for i in 0..if kind == Kind::Refs { length } else { 0 } {
                world.set_at(r, i, leaf);
            }
        }
        world.collect(if round % 2 == 0 { Cause::Internal } else { Cause::Explicit });
    }
    for at in 0..world.roots.len() {
        let r = world.roots[at];
        let kind = world.kind_of(r);
        for field in kind.fields().0 {
            let leaf = world.field(r, field);
            assert_eq!(world.heap.get_field(leaf, 0).unwrap(), Value::I32(0xabc));
        }
        if kind == Kind::Refs {
            for i in 0..world.heap.array_length(r).unwrap() {
                let leaf = world.element(r, i);
                assert_eq!(world.heap.get_field(leaf, 0).unwrap(), Value::I32(0xabc));
            }
        }
    }
    // 6 objects a round, 4 of which have a leaf.
    assert_eq!(world.settle().objects, 4 * (6 + 4));
}

/// The same root in many slots is one object, and stays so while the slots go one by one.
pub(super) fn many_roots_of_one_object(registration: &'static Registration) {
    let mut world = World::new(registration, SMALL);
    let r = world.pair(9, GcRef::NULL, GcRef::NULL);
    world.roots = vec![r; 50];
    while world.roots.len() > 1 {
        world.collect(Cause::Internal);
        assert!(world.roots.iter().all(|root| *root == world.roots[0]));
        let rest = world.roots.len() / 2;
        world.roots.truncate(rest);
    }
    assert_eq!(world.settle().objects, 1);
    world.roots.clear();
    assert_eq!(world.settle().objects, 0);
}
