//! Idle memory goes back to the system: after live data has died, a collection of the program's own makes the process
//! smaller.
//!
//! Alone in its process: what is measured is the process's resident memory.

use heapwright_fuzzing::{Kind, World};
use heapwright_gc_heap::{Cause, GcRef, HeapConfig, SizingPolicy};
use std::time::Duration;

const MB: u64 = 1 << 20;
/// Live data at the largest, and the size of its pieces.
const LIVE: u64 = 40 * MB;
const PIECE: u32 = 48 << 10;

/// Resident bytes of this process.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let fields = std::fs::read_to_string("/proc/self/statm").unwrap();
    fields.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Fills a heap with live data and lets it die.
fn grown(registration: &'static heapwright_collectors::Registration, sizing: SizingPolicy) -> World {
    let mut world = World::new(registration, HeapConfig { initial: MB, max: 1 << 30, sizing, zeal: 0 });
    for _ in 0..LIVE / u64::from(PIECE) {
        let piece = world.alloc(Kind::Bytes, PIECE, 1).unwrap();
        world.roots.push(piece);
    }
    world.roots.clear();
    world
}

#[test]
#[cfg(target_os = "linux")]
fn what_has_died_is_given_back() {
    for registration in heapwright_collectors::all().iter().filter(|registration| registration.spec.needs_roots) {
        let name = registration.spec.name;
        let mut world = grown(registration, SizingPolicy::Growing);
        let before = resident();
        assert_eq!(world.heap.stats().bytes_given_back, 0, "{name}");
        // By a collection of the whole heap (the last resort is one, and not the host's wish), when the heap is old
        // enough for that to cost no more than a share of the time.
        let given = (0..100).find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            world.collect(Cause::LastResort);
            Some(world.heap.stats().bytes_given_back).filter(|given| *given > 0)
        });
        let given = given.unwrap_or_default();
        assert!(given >= LIVE, "{name}: {given}");
        let after = resident();
        assert!(before.saturating_sub(after) >= LIVE / 10 * 9, "{name}: {before} to {after}");
        // The memory can be used as before, and is not given back again so soon.
        for i in 0..200_000 {
            world.pair(i, GcRef::NULL, GcRef::NULL);
        }
        world.collect(Cause::LastResort);
        assert_eq!(world.heap.stats().bytes_given_back, given, "{name}");
        // Unless the host asks for it.
        world.collect(Cause::Explicit);
        assert!(world.heap.stats().bytes_given_back > given, "{name}");
        // A heap of fixed size keeps its memory until the host asks.
        let mut world = grown(registration, SizingPolicy::Fixed);
        std::thread::sleep(Duration::from_millis(300));
        world.collect(Cause::LastResort);
        assert_eq!(world.heap.stats().bytes_given_back, 0, "{name}");
        world.collect(Cause::Explicit);
        assert!(world.heap.stats().bytes_given_back >= LIVE, "{name}");
    }
}
