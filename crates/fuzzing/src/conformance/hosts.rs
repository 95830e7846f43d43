//! Host values live exactly as long as their boxes.

use crate::world::{Kind, SMALL, World};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, GcRef};

pub(super) fn values_go_with_their_boxes(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let mut world = World::new(registration, SMALL);
    // Young boxes: every second one is kept, in an object.
    for i in 0..100 {
        let value = world.alloc(Kind::Extern, 0, 0).unwrap();
        if i % 2 == 0 {
            let holder = world.pair(i, value, GcRef::NULL);
            world.roots.push(holder);
        }
    }
    world.collect(Cause::Internal);
    assert_eq!((world.dropped(), world.heap.host().len()), (50, 50));
    // Old boxes that lose their only reference.
    for at in 0..10 {
        let holder = world.roots[at];
        world.set(holder, 1, GcRef::NULL);
    }
    world.collect(Cause::Internal);
    world.collect(Cause::Internal);
    assert_eq!((world.dropped(), world.heap.host().len()), (60, 40));
    // New boxes beside old ones; ids are used again.
    for _ in 0..30 {
        world.alloc(Kind::Extern, 0, 0).unwrap();
    }
    let kept = world.alloc(Kind::Extern, 0, 0).unwrap();
    world.roots.push(kept);
    world.collect(Cause::Internal);
    assert_eq!((world.dropped(), world.heap.host().len()), (90, 41));
    world.settle();
    assert_eq!((world.dropped(), world.heap.host().len()), (90, 41));
    world.roots.clear();
    world.settle();
    assert_eq!((world.dropped(), world.heap.host().len()), (131, 0));
}

pub(super) fn values_in_cycles_go_too(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let mut world = World::new(registration, SMALL);
    for _ in 0..10 {
        let value = world.alloc(Kind::Extern, 0, 0).unwrap();
        let node = world.pair(0, value, GcRef::NULL);
        world.roots.push(node);
        world.set(node, 2, node);
    }
    world.collect(Cause::Internal);
    world.roots.truncate(3);
    world.collect(Cause::Internal);
    world.settle();
    assert_eq!((world.dropped(), world.heap.host().len()), (7, 3));
}

pub(super) fn dropping_the_heap_drops_its_values(registration: &'static Registration) {
    if !registration.spec.needs_roots {
        return;
    }
    let mut world = World::new(registration, SMALL);
    for _ in 0..5 {
        world.alloc(Kind::Extern, 0, 0).unwrap();
    }
    let dropped = world.dropped.clone();
    drop(world);
    assert_eq!(dropped.load(std::sync::atomic::Ordering::Relaxed), 5);
}
