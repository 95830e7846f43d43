//! Tiny heaps that grow, objects that do not fit, and what comes after.

use crate::world::{Kind, SMALL, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{AllocError, Cause, GcRef, HeapConfig, SizingPolicy, Value};

/// Live data grows through many capacities; everything stays readable.
pub(super) fn live_data_grows_the_heap(registration: &'static Registration) {
    let nodes = if cfg!(miri) { 1000 } else { 200_000 };
    for sizing in [SizingPolicy::Growing, SizingPolicy::Fixed] {
        let mut world = World::new(registration, HeapConfig { initial: 0, max: 256 << 20, sizing, zeal: 0 });
        world.roots.push(GcRef::NULL);
        for i in 0..nodes {
            let garbage = world.pair(i, GcRef::NULL, GcRef::NULL);
            let head = world.roots[0];
            world.roots[0] = world.pair(i, head, if i % 7 == 0 { garbage } else { GcRef::NULL });
            if i % 10_000 == 9_999 {
                world.alloc(Kind::Bytes, 100_000 + i, 3).unwrap();
            }
        }
        let mut at = world.roots[0];
        for i in (0..nodes).rev() {
            assert_eq!(world.heap.get_field(at, 0).unwrap(), Value::I32(i));
            at = world.field(at, 1);
        }
        assert_eq!(world.settle().objects, u64::from(nodes + nodes.div_ceil(7)));
    }
}

/// An object larger than the heap makes it grow; one larger than the maximum is refused, and the heap goes on.
pub(super) fn large_objects_fit_or_are_refused(registration: &'static Registration) {
    let mut world = World::new(registration, HeapConfig { max: 16 << 20, ..SMALL });
    let kept = world.alloc(Kind::Bytes, 3 << 20, 0x5a).unwrap();
    world.roots.push(kept);
    for length in [17 << 20, 200 << 20] {
        let refused = world.alloc(Kind::Bytes, length, 0);
        assert!(matches!(refused, Err(AllocError::OutOfMemory { .. })), "{refused:?}");
    }
    let refused = world.alloc(Kind::Longs, u32::MAX, 0);
    assert!(matches!(refused, Err(AllocError::TooLarge { .. })), "{refused:?}");
    for i in 0..1000 {
        world.pair(i, GcRef::NULL, GcRef::NULL);
    }
    let kept = world.roots[0];
    assert_eq!(world.heap.get_element(kept, (3 << 20) - 1).unwrap(), Value::I32(0x5a));
    assert_eq!(world.settle().objects, if registration.spec.needs_roots { 1 } else { world.settle().objects });
}

/// Memory runs out while everything is live; when some of it is let go, allocation works again.
pub(super) fn out_of_memory_is_recovered_from(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let mut world = World::new(registration, HeapConfig { max: 1 << 20, ..SMALL });
    for round in 0..3 {
        let error = loop {
            match world.alloc(Kind::Longs, 100, round) {
                Ok(r) => world.roots.push(r),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AllocError::OutOfMemory { .. }), "{error:?}");
        // A semi-space holds half; nobody should do worse.
        let live = 800 * world.roots.len() as u64;
        assert!(live > (1 << 20) * 2 / 5, "only {live} bytes fitted");
        world.collect(Cause::AllocationFailure);
        let keep = world.roots.len() / 2;
        world.roots.truncate(keep);
        assert_eq!(world.settle().objects, keep as u64);
    }
    world.roots.clear();
    assert_eq!(world.settle().objects, 0);
    // Everything in one piece again.
    world.alloc(Kind::Bytes, 400 << 10, 1).unwrap();
}

/// A heap of size zero allocates nothing and breaks nothing.
pub(super) fn an_empty_heap_is_full(registration: &'static Registration) {
    let mut world = World::new(registration, HeapConfig { initial: 0, max: 0, ..SMALL });
    assert!(matches!(world.alloc(Kind::Leaf, 0, 0), Err(AllocError::OutOfMemory { .. })));
    for cause in [Cause::Explicit, Cause::Internal, Cause::LastResort] {
        world.collect(cause);
    }
}

/// The smallest heap there is, under zeal.
pub(super) fn one_page_under_zeal(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let mut world = World::new(registration, HeapConfig { initial: 0, max: 4096, zeal: 1, ..SMALL });
    for i in 0..if cfg!(miri) { 20 } else { 1000 } {
        let r = world.pair(i, GcRef::NULL, GcRef::NULL);
        world.roots.push(r);
        if i >= 20 {
            world.roots.remove(0);
        }
        let first = world.roots[0];
        world.set(first, 1, r);
    }
    let objects = world.settle().objects;
    assert!((20..=40).contains(&objects), "{objects}");
}
