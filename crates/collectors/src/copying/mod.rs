//! The copying collector: two semi-spaces, one of which is in use.
//!
//! **Idea.** Objects are allocated by bumping a cursor through one semi-space. A collection copies whatever the roots
//! reach into the other one and continues there; what was not copied is free without having been looked at, so a
//! collection costs time in proportion to what lives. The copied objects are themselves the queue of the
//! breadth-first traversal: everything between the scan pointer and the free pointer still names from-space.
//!
//! ```text
//!  to-space    | scanned: names to-space only | still names from-space | free …
//!              ^ start                        ^ scan                   ^ free
//! ```
//!
//! **Invariants.**
//!
//! - Objects fill `[start, cursor)` of the current space without gaps.
//! - An object needs no header word for this collector. While a collection runs, word 0 of a from-space object is
//!   either its type word (a multiple of 64) or its new place plus one: bit 0 tells them apart.
//! - Outside the current space there is always one gap as large as it, so a collection never lacks room
//!   (`geometry.rs`). That holds while the capacity grows, too: the spaces are then of unequal size for a cycle.
//! - Every reference that is followed lies in the used part of from-space, every forwarding pointer in the filled part
//!   of to-space, every object ends inside its space: else the heap is corrupted.
//!
//! **Citations.** Cheney's traversal in Fenichel and Yochelson's semi-spaces. Departures: the spaces are not fixed
//! halves but are laid out anew at each collection, because the heap's capacity may have grown. Large arrays are copied
//! like everything else: there is no large-object space yet, so an object must fit a semi-space and surviving large
//! arrays cost a copy at each collection.

mod evacuate;
mod geometry;

use crate::INLINE_LIMIT;
use evacuate::Evacuation;
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, AllocSpec, Barriers, Cause, Citation, CollectionReport, Collector, GcRef, Heap,
    HeapCorrupted, HostId, Moves, NULL_PAGE_BYTES, Phase, RootSet, Space, Spec,
};
use std::sync::Arc;

/// What the copying collector asks of compiled code: bump allocation and up-to-date stack maps, no barrier.
pub static SPEC: Spec = Spec {
    name: "copying",
    summary: "Cheney's semi-space copying; compact, moving, collects cycles",
    cites: &[
        Citation {
            text: "C. J. Cheney, A Nonrecursive List Compacting Algorithm, Communications of the ACM 13(11), 1970",
            departs: "objects of many shapes instead of pairs; the traversal reads shapes from type entries",
        },
        Citation {
            text: "R. R. Fenichel and J. C. Yochelson, A LISP Garbage-Collector for Virtual-Memory Computer Systems, \
                   Communications of the ACM 12(11), 1969",
            departs: "semi-spaces of variable place and size, laid out at each collection",
        },
    ],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::AtSafepoint,
    needs_roots: true,
    inline_limit: INLINE_LIMIT,
};

/// The copying collector's state.
#[derive(Debug, Default)]
pub struct Copying {
    /// Start of the current space.
    start: u32,
    /// End of the current space and of the bump region in it.
    end: u32,
}

impl Copying {
    /// A collector for one heap.
    pub fn new() -> Copying {
        Copying::default()
    }

    /// Copies the reachable objects into a fresh space and makes that the current one.
    fn flip(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        report: &mut CollectionReport,
    ) -> Result<(), HeapCorrupted> {
        let top = crate::top(heap).max(self.end);
        let (from, cursor) = (self.start, heap.close_region().map_or(self.end, |(_, cursor, _)| cursor));
        let room = geometry::to_space(NULL_PAGE_BYTES, top, from, cursor);
        let Some((to, to_end)) = room.filter(|_| cursor % 8 == 0 && (from..=self.end).contains(&cursor)) else {
            return Err(HeapCorrupted { what: "copying: the cursor left its space", at: cursor });
        };

        let mut phases = heap.phases();
        let types = Arc::clone(heap.types());
        let memory = heap.memory_mut();
        let mut evacuation =
            Evacuation::new(memory, types.space(), (from, cursor), (to, to_end), SPEC.header_layout())?;
        phases.enter(Phase::Roots);
        roots.for_each(&mut |_, root| {
            if let Some(at) = root.offset() {
                *root = GcRef::from_raw(evacuation.forward(at)?);
            }
            Ok(())
        })?;
        phases.enter(Phase::Trace);
        evacuation.scan()?;
        let (free, objects, hosts) = evacuation.finish();

        if !heap.host().is_empty() {
            phases.enter(Phase::HostTable);
            heap.host_mut().clear_marks();
            for id in hosts {
                heap.host_mut().mark(HostId(id));
            }
            heap.host_mut().release_unmarked();
        }
        report.bytes_copied += u64::from(free - to);
        report.objects_visited += objects;

        phases.enter(Phase::Layout);
        heap.poison(from, cursor);
        (self.start, self.end) = (to, geometry::space_end(NULL_PAGE_BYTES, top, to));
        if free > self.end {
            // More was copied than the old space can have held.
            return Err(HeapCorrupted { what: "copying: objects overlap", at: free });
        }
        heap.open_region(free, self.end);
        heap.phases_end(phases);
        Ok(())
    }
}

impl Collector for Copying {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.start = NULL_PAGE_BYTES;
        self.end = geometry::space_end(NULL_PAGE_BYTES, crate::top(heap), self.start);
        heap.open_region(self.start, self.end);
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        Ok(crate::bump(heap, self.end, request.size).map_or(AllocOutcome::Full, AllocOutcome::At))
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let bytes_before = self.space(heap).used;
        let mut report = CollectionReport { bytes_before, full: true, ..CollectionReport::default() };
        self.flip(heap, roots, &mut report)?;
        let half = geometry::space_end(NULL_PAGE_BYTES, crate::top(heap), NULL_PAGE_BYTES) - NULL_PAGE_BYTES;
        if cause == Cause::LastResort && self.end - self.start < half {
            // The capacity grew lately and this space is smaller than half of it: the next one will not be.
            self.flip(heap, roots, &mut report)?;
        }
        report.bytes_after = self.space(heap).used;
        Ok(report)
    }

    fn resized(&mut self, heap: &mut Heap) {
        // A larger capacity extends the current space at once; the next collection evens the spaces out.
        let end = geometry::space_end(NULL_PAGE_BYTES, crate::top(heap), self.start).max(self.end);
        let cursor = heap.close_region().map_or(self.end, |(_, cursor, _)| cursor);
        self.end = end;
        heap.open_region(cursor, end);
    }

    /// All but the current space's part in use.
    fn give_back(&mut self, heap: &mut Heap) {
        let cursor = heap.mutator().cursor;
        heap.give_back(NULL_PAGE_BYTES, self.start);
        heap.give_back(cursor, crate::top(heap));
    }

    fn space(&self, heap: &Heap) -> Space {
        let cursor = heap.mutator().cursor;
        Space {
            used: u64::from(cursor.saturating_sub(self.start)),
            free: u64::from(self.end.saturating_sub(cursor)),
            committed: heap.capacity(),
        }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        offset.is_multiple_of(8) && offset >= self.start && offset < heap.mutator().cursor
    }

    fn verify(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        let cursor = heap.mutator().cursor;
        if !cursor.is_multiple_of(8) || cursor < self.start || cursor > self.end {
            return Err(HeapCorrupted { what: "copying: the cursor left its space", at: cursor });
        }
        if geometry::to_space(NULL_PAGE_BYTES, crate::top(heap), self.start, self.end).is_none() {
            return Err(HeapCorrupted { what: "copying: no room to copy a full space to", at: self.start });
        }
        Ok(())
    }
}
