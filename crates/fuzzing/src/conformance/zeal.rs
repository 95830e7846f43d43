//! Zeal does what it says, whatever the collector: collections at the n-th allocation, and poison where nothing lives.

use crate::world::{Kind, Random, SMALL, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, GcRef, HeapConfig};

/// What a freed word holds.
const POISON: u32 = 0xdada_dada;

/// Every n-th allocation collects, those that would be inline included.
pub(super) fn zeal_counts_allocations(registration: &'static Registration) {
    for zeal in [1, 3, 10] {
        let mut world = World::new(registration, HeapConfig { zeal, ..SMALL });
        for i in 0..60 {
            world.pair(i, GcRef::NULL, GcRef::NULL);
        }
        assert_eq!(world.heap.stats().collections, u64::from(60 / zeal));
    }
}

/// What died is poison all over, so that a stale reference to it is noticed; what lives is not.
pub(super) fn freed_memory_is_poisoned(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let mut world = World::new(registration, HeapConfig { zeal: 1_000_000, ..SMALL });
    let mut random = Random::new(77);
    let mut places = Vec::new();
    for i in 0..300 {
        let kind = [Kind::Pair, Kind::Leaf, Kind::Bytes, Kind::Wide][random.below(4) as usize];
        let r = world.alloc(kind, 100 + random.below(3000), i).unwrap();
        places.push((r.raw(), world.heap.object_size(r).unwrap() as u32));
        if i % 10 == 0 {
            world.roots.push(r);
        }
    }
    // The second finds what the first moved out of, or put off.
    world.collect(Cause::Explicit);
    world.collect(Cause::Explicit);
    let mut live: Vec<(u32, u32)> = Vec::new();
    for &r in &world.roots {
        live.push((r.raw(), r.raw() + world.heap.object_size(r).unwrap() as u32));
    }
    let is_live = |at: u32| live.iter().any(|&(start, end)| start <= at && at < end);
    let mut poisoned = 0;
    for (start, size) in places {
        for at in (start..start + size).step_by(4).filter(|at| !is_live(*at)) {
            assert_eq!(world.heap.memory().load_u32(at).unwrap(), POISON, "{at:#x} of {start:#x}");
            poisoned += 1;
        }
    }
    assert!(poisoned > 1000, "{poisoned} words");
}

/// After a collection the verifier asks for the roots anew: one that the collector did not update is noticed.
pub(super) fn roots_are_enumerated_anew(registration: &'static Registration) {
    let mut world = World::new(registration, HeapConfig { zeal: 1_000_000, ..SMALL });
    for i in 0..20 {
        let r = world.pair(i, GcRef::NULL, GcRef::NULL);
        world.roots.push(r);
    }
    world.collect(Cause::Explicit);
    // Where no object is: the verifier looks at what the roots hold now.
    let beyond = world.roots.iter().map(|r| r.raw()).max().unwrap_or_default() + (128 << 10);
    world.roots[7] = GcRef::from_raw(beyond);
    assert!(world.heap.verify(&mut world.roots).is_err());
}
