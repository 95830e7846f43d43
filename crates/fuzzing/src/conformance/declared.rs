//! The declarations.

use crate::world::{Kind, SMALL, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, GcRef, HeapConfig, Moves, SizingPolicy};

pub(super) fn barrier_programs_are_well_formed(registration: &'static Registration) {
    let spec = registration.spec;
    spec.check().unwrap();
    assert_eq!(spec.header.len(), spec.header_layout().extra_words as usize);
    if spec.barriers.store.is_none() {
        assert!(spec.elide.is_empty(), "nothing can be left out of no barrier");
    }
}

/// A collector that declares that objects do not move does not move them; one that moves them updates every root.
pub(super) fn objects_move_only_if_declared(registration: &'static Registration) {
    let mut world = World::new(registration, SMALL);
    for i in 0..200 {
        let r = world.pair(i, GcRef::i31(i), GcRef::NULL);
        if i % 3 == 0 {
            world.roots.push(r);
        }
    }
    for cause in [Cause::Internal, Cause::Explicit, Cause::AllocationFailure, Cause::LastResort] {
        let before = world.roots.clone();
        world.collect(cause);
        if registration.spec.moves == Moves::Never {
            assert_eq!(world.roots, before);
        }
        for (i, r) in world.roots.clone().into_iter().enumerate() {
            assert_eq!(world.field(r, 1), GcRef::i31(3 * i as u32));
        }
    }
}

/// Two runs of a program allocate, collect and report alike. The heap's size is fixed, because a growing heap follows
/// the clock.
pub(super) fn runs_repeat(registration: &'static Registration) {
    let run = || {
        let config = HeapConfig { initial: 4 << 20, sizing: SizingPolicy::Fixed, ..SMALL };
        let mut world = World::new(registration, config);
        let mut trace = Vec::new();
        for i in 0..2000u32 {
            let kind = [Kind::Pair, Kind::Refs, Kind::Wide, Kind::Extern][i as usize % 4];
            let r = world.alloc(kind, i % 90, i).unwrap();
            if i % 5 == 0 {
                world.roots.push(r);
            }
            trace.push(r.raw());
            if i % 211 == 0 {
                let report = world.collect(Cause::Internal);
                trace.extend([report.bytes_after as u32, report.objects_visited as u32]);
                world.roots.truncate(20);
            }
        }
        trace
    };
    assert_eq!(run(), run());
}
