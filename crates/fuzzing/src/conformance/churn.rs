//! Much garbage, part of it cyclic, in a heap that holds a small part of it.

use crate::world::{Kind, Random, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, GcRef, HeapConfig, SizingPolicy};

/// Allocates `total` bytes: short lists, rings, and a table of survivors that changes slowly.
fn churn(registration: &Registration, max: u64, sizing: SizingPolicy, total: u64) {
    const TABLE: u32 = 2000;
    let mut world = World::new(registration, HeapConfig { initial: 1 << 20, max, sizing, zeal: 0 });
    let table = world.alloc(Kind::Refs, TABLE, 0).unwrap();
    world.roots.push(table);
    let mut random = Random::new(11);
    let mut steps = 0;
    while world.heap.stats().bytes_allocated < total {
        steps += 1;
        // A ring of a few pairs, each with some bytes.
        world.roots.truncate(1);
        let bytes = world.alloc(Kind::Bytes, 40 + random.below(100), 1).unwrap();
        let first = world.pair(0, bytes, GcRef::NULL);
        world.roots.extend([first, first]);
        for i in 0..random.below(6) {
            let next = world.pair(i, GcRef::NULL, GcRef::NULL);
            let last = world.roots[2];
            world.set(last, 2, next);
            world.roots[2] = next;
        }
        if steps % 3 == 0 {
            let (first, last) = (world.roots[1], world.roots[2]);
            world.set(last, 2, first);
        }
        if steps % 50 == 0 {
            let (table, first) = (world.roots[0], world.roots[1]);
            world.set_at(table, random.below(TABLE), first);
        }
        if steps % 5000 == 0 {
            // A large object now and then, to see that room for it is found.
            world.alloc(Kind::Longs, 20_000, 0).unwrap();
        }
    }
    world.heap.verify(&mut world.roots).unwrap();
    world.roots.truncate(1);
    world.settle();
    assert!(world.heap.stats().peak_committed <= max);
}

pub(super) fn garbage_in_a_small_heap(registration: &'static Registration) {
    let total = if cfg!(miri) { 1 << 20 } else { 512 << 20 };
    if !registration.spec.needs_roots {
        return;
    }
    churn(registration, 32 << 20, SizingPolicy::Growing, total);
}

pub(super) fn garbage_in_a_tiny_fixed_heap(registration: &'static Registration) {
    let total = if cfg!(miri) { 1 << 20 } else { 128 << 20 };
    if !registration.spec.needs_roots {
        return;
    }
    churn(registration, 3 << 20, SizingPolicy::Fixed, total);
}

/// The full measure. Minutes in a debug build.
pub(super) fn ten_gibibytes_in_a_small_heap(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    churn(registration, 32 << 20, SizingPolicy::Growing, 10 << 30);
}

/// Nothing but dead cycles: each collection has to find them or the heap is full at once.
pub(super) fn only_rings(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let config = HeapConfig { initial: 1 << 20, max: 4 << 20, sizing: SizingPolicy::Growing, zeal: 0 };
    let mut world = World::new(registration, config);
    world.roots.push(GcRef::NULL);
    for i in 0..if cfg!(miri) { 1000 } else { 400_000 } {
        let ring = world.pair(i, GcRef::NULL, GcRef::NULL);
        world.set(ring, 1, ring);
        // Held over the next allocations, so that every collection finds some young rings alive.
        world.roots[0] = world.pair(i, ring, ring);
    }
    assert_eq!(world.settle().objects, 2);
}

/// A stack of roots that grows and shrinks: many roots, few of them new.
pub(super) fn a_deep_stack_of_roots(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let config = HeapConfig { initial: 1 << 20, max: 64 << 20, sizing: SizingPolicy::Growing, zeal: 0 };
    let mut world = World::new(registration, config);
    let depth = if cfg!(miri) { 100 } else { 50_000 };
    for round in 0..4u32 {
        for i in 0..depth {
            let below = world.roots.last().copied().unwrap_or_default();
            let frame = world.pair(i, below, GcRef::NULL);
            world.roots.push(frame);
            world.pair(0, GcRef::NULL, GcRef::NULL);
        }
        world.collect(Cause::Internal);
        let keep = (depth / 4 * round) as usize;
        world.roots.truncate(keep);
        world.collect(Cause::Internal);
        assert_eq!(world.settle().objects, keep as u64);
    }
}
