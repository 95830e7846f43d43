//! The generational collector: a copying nursery with ageing, a compacted old space, large objects that never move.
//!
//! **Idea.** Most objects die young. New ones are bump-allocated in *eden*, small enough for the cache. A *minor* collection
//! copies what lives of eden into a survivor space, and what has survived there once already into old space: an object is
//! promoted when it has outlived two minor collections (or stays, in a small working set: `policy`). Which of the two it is shows from its address, so an object has
//! no header word beside its type. Its cost follows what survives, not what was allocated.
//!
//! ```text
//!  old objects → | room for promotion | survivors | eden … | survivors | free | large | large |
//!                                     ^--------- the nursery ----------^
//! ```
//!
//! A *full* collection marks everything into a bitmap beside the heap and slides the small objects together, nursery
//! included; all of them are old then. It is due when memory does not suffice for a minor collection, which the heap's
//! sizing decides, and when the host asks. Where objects do not die young, minor collections leave out what is then useless:
//! ageing, or all of it (`policy`).
//!
//! **Why old space is compacted in place.** Copying it would need its size once more in free memory, which is what a
//! generational collector is there to avoid: here a heap needs what lives, the nursery, and as much again as the nursery
//! holds. Compaction with a side table needs no header word, no second look at dead objects, and keeps allocation
//! order. Its price is that each reference is looked at twice; full collections are few.
//!
//! **Invariants.**
//!
//! - Objects fill the used parts of eden, of the current survivor space and of each old segment without gaps.
//! - Between collections a slot outside the nursery that names a nursery object is remembered (`remember`), unless the next
//!   collection is known to be a full one (`policy`).
//! - A minor collection starts only when contiguous free memory could take the whole nursery, so it cannot fail
//!   half-way. A full collection needs none, so a heap can be filled to the last page: when free memory does not
//!   suffice for a nursery with survivor spaces, eden is all of it, and each collection is a full one (`geometry`).
//! - The nursery lies above everything else, or the barrier has been told that it does not (`remember`).
//! - Pages say what they are used for (`pages`); a reference into free memory is noticed when it is followed.
//! - While a minor collection runs, word 0 of a nursery object is its type word (a multiple of 64) or its new place plus
//!   one. Compaction leaves headers alone.
//!
//! **Citations.** See [`SPEC`] for the publications and the departures from them.
//!
//! **What it costs.** A store into an object that is not young takes about a nanosecond; a bit for each word of memory; a large object that dies young stays until
//! the next full collection; free memory between large objects is not joined, as they never move.

mod compact;
mod cycle;
mod geometry;
mod mark;
mod pages;
mod policy;
mod remember;
mod room;
mod scavenge;
mod spaces;
#[cfg(test)]
mod tests;
mod verify;

use crate::INLINE_LIMIT;
use geometry::eden_for;
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, AllocSpec, Barriers, BulkBarrier, Cause, Citation, CollectionReport, Collector,
    Elision, Heap, HeapCorrupted, Moves, RootSet, Space, Spec,
};
use pages::Pages;
use policy::Policy;
use remember::Remembered;
use room::Young;
use spaces::{LargeSpace, OldSpace};

/// What the generational collector asks of compiled code: bump allocation, and a record of stores that make an object
/// outside the nursery name one inside.
pub static SPEC: Spec = Spec {
    name: "generational",
    summary: "copying nursery with ageing, mark-compact old space, large objects in place",
    cites: &[
        Citation {
            text: "H. Lieberman and C. Hewitt, A Real-Time Garbage Collector Based on the Lifetimes of Objects, \
                   Communications of the ACM 26(6), 1983",
            departs: "two generations; remembered slots instead of entry tables; collections stop the mutator",
        },
        Citation {
            text: "D. Ungar, Generation Scavenging: A Non-disruptive High Performance Storage Reclamation Algorithm, \
                   SDE 1984",
            departs: "slots are remembered, in a bitmap, not objects, except for bulk stores; age is two collections, read off the \
                      address; what the survivor space cannot hold is promoted at once",
        },
        Citation {
            text: "C. J. Cheney, A Nonrecursive List Compacting Algorithm, Communications of the ACM 13(11), 1970",
            departs: "two queues, survivors and promoted objects",
        },
        Citation {
            text: "H. Kermany and E. Petrank, The Compressor: Concurrent, Incremental, and Parallel Compaction, \
                   PLDI 2006",
            departs: "neither concurrent nor parallel; in place and in address order, as in Lisp 2; a second bitmap of \
                      object starts, so that a forged reference into an object is told from an object",
        },
    ],
    header: &[],
    side_tables: &remember::TABLES,
    alloc: AllocSpec::Bump,
    barriers: Barriers {
        store: Some(&remember::STORE),
        init: None,
        load: None,
        bulk: BulkBarrier::Object(&remember::BULK),
        root_store: None,
    },
    elide: &[Elision::FreshObject, Elision::NullStored, Elision::I31Stored],
    moves: Moves::AtSafepoint,
    needs_roots: true,
    inline_limit: INLINE_LIMIT,
};

/// A heap with room for this many edens beside the objects that are not young has room for one.
const ROOMY: u64 = 4;
/// Edens' worth of memory that the nursery takes with what a minor collection must be able to promote, rounded up.
const WANTED: u64 = 3;

/// The generational collector's state.
#[derive(Debug)]
pub struct Generational {
    pages: Pages,
    young: Young,
    old: OldSpace,
    large: LargeSpace,
    remembered: Remembered,
    policy: Policy,
    /// The largest eden since memory was last ample: after a full collection.
    ample_eden: u32,
    /// Whether the next collection without a need of its own is a full one.
    full_turn: bool,
    /// The large object that found no room since the last collection.
    refused: Option<u32>,
    /// The one that found none before it: now it may take the room that a minor collection would need.
    retried: Option<u32>,
}

impl Default for Generational {
    fn default() -> Self {
        Generational::new()
    }
}

impl Generational {
    /// A collector for one heap.
    pub fn new() -> Generational {
        Generational {
            pages: Pages::default(),
            young: Young::default(),
            old: OldSpace::default(),
            large: LargeSpace::default(),
            remembered: Remembered::new(),
            policy: Policy::new(),
            ample_eden: 0,
            full_turn: false,
            refused: None,
            retried: None,
        }
    }

    /// Bytes of objects outside the nursery.
    fn settled(&self) -> u64 {
        self.old.used() + self.large.used()
    }

    /// Whether a collection for `cause` is a full one.
    fn is_full(&mut self, cause: Cause) -> bool {
        let needed = self.young.tight || self.young.short || self.refused.is_some();
        if self.young.unlogged || (self.policy.survivors_stay() && self.wants_other_around()) {
            return true;
        }
        match cause {
            Cause::Explicit | Cause::LastResort => true,
            Cause::AllocationFailure => needed,
            // In turns, so that zeal finds the faults of both kinds, and two such collections find all garbage.
            Cause::Zeal | Cause::Internal => {
                self.full_turn = !self.full_turn;
                needed || !self.full_turn
            }
        }
    }
}

impl Collector for Generational {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.pages.grow_to(crate::top(heap));
        self.remembered.install(heap);
        heap.host_mut().track_young();
        self.lay_out(heap, None);
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        let (size, layout) = (request.size, self.young.layout);
        if size <= layout.small_limit() {
            if let Some(at) = crate::bump(heap, layout.eden.end, size) {
                return Ok(AllocOutcome::At(at));
            }
            if self.move_on(heap, size)
                && let Some(at) = crate::bump(heap, self.young.layout.eden.end, size)
            {
                return Ok(AllocOutcome::At(at));
            }
            // A collection empties eden.
            return Ok(AllocOutcome::Full);
        }
        Ok(self.alloc_large(heap, size))
    }

    fn buffer_full(&mut self, heap: &mut Heap, _index: usize) -> Result<(), HeapCorrupted> {
        self.remembered.drain(heap, &self.pages)
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let bytes_before = self.space(heap).used;
        let mut report = CollectionReport { bytes_before, ..CollectionReport::default() };
        self.remembered.drain(heap, &self.pages)?;
        let full = self.is_full(cause);
        let chosen = self.young.unlogged && !self.young.tight && !self.young.short && self.refused.is_none();
        // Memory is short for the eden wanted, and not just because a full collection is near.
        let cramped = self.young.layout.eden.len() < self.policy.eden / 3 * 2
            && heap.capacity() < self.settled() + ROOMY * u64::from(self.policy.eden);
        self.retried = self.refused.take();
        let eden = self.eden_used(heap);
        heap.close_region();
        (report.would_recur, report.partial) = (!cramped, true);
        if full || !self.minor(heap, roots, eden, &mut report)? {
            // More memory puts it off, unless it comes in a minor one's place.
            (report.would_recur, report.partial) = (chosen, false);
            self.full(heap, roots, eden, &mut report)?;
        }
        // Exact after a full collection.
        let live = self.policy.known_live(self.settled()) + u64::from(self.young.survivors.len());
        report.bytes_after = live;
        if self.young.layout.eden.len() < self.policy.eden / 3 * 2 {
            report.wanted = 2 * live + WANTED * u64::from(self.policy.eden);
        }
        Ok(report)
    }

    fn whole_for_want_of_room(&self, heap: &Heap) -> Option<u64> {
        let young = self.eden_used(heap).len() + self.young.survivors.len();
        let short = self.young.tight || self.young.short || self.refused.is_some();
        let due = !self.young.unlogged && (short || self.room_to_promote(young).is_none());
        due.then(|| self.settled() + u64::from(young))
    }

    fn resized(&mut self, heap: &mut Heap) {
        self.pages.grow_to(crate::top(heap));
        self.young.short &= self.is_short(eden_for(self.pages.largest(), self.policy.eden));
        if self.eden_used(heap).len() == 0 && self.young.survivors.len() == 0 {
            self.remembered.clear(heap);
            self.large.fresh.clear();
            self.lay_out(heap, self.retried);
        } else if self.young.tight {
            self.move_on(heap, 0);
        }
    }

    fn give_back(&mut self, heap: &mut Heap) {
        self.pages.runs().for_each(|run| heap.give_back(run.start, run.end));
    }

    fn space(&self, heap: &Heap) -> Space {
        let young = self.eden_used(heap).len() + self.young.survivors.len();
        let used = self.settled() + u64::from(young);
        let overhead = self.young.overhead();
        let free = heap.capacity().saturating_sub(used).saturating_sub(overhead.into());
        Space { used, free, committed: heap.capacity() }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        offset.is_multiple_of(8)
            && (self.eden_used(heap).contains(offset)
                || self.young.survivors.contains(offset)
                || self.old.segment_of(offset).is_some()
                || self.large.get(offset).is_some())
    }

    fn verify(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        self.verify_spaces(heap)?;
        self.verify_remembered(heap)
    }
}
