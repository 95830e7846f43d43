//! The mark-region collector: objects are marked where they are, memory is reclaimed in lines, and sparse blocks are
//! evacuated now and then.
//!
//! **Idea.** Mark-sweep reclaims memory without copying but allocates from free lists; copying allocates by bumping a
//! cursor but needs twice the memory and moves everything. Immix takes regions instead: memory is *blocks* of
//! 32 KiB, which are *lines* of 256 bytes. A collection marks objects and, with them, the lines they touch; a run of
//! unmarked lines is a *hole*, and the mutator bumps its cursor through one hole after the other.
//!
//! ```text
//!  objects   | a a a . b | . . . . | . c c c c | c . . . | . . . . | d . . e |
//!  lines     |     x     |         |     x     |    x    |         |    x    |
//!                        ^- hole --^                     ^- hole --^
//! ```
//!
//! Lines that hold little can hold up much. When the sweep finds that much is wasted so, the next collection copies
//! the objects of the emptiest blocks elsewhere while it marks them (`defrag`).
//!
//! **Allocation.** Small objects, at most a line in size, go to the next hole: any has room. A *medium* object, which
//! does not fit the hole at hand, goes to an *overflow* block, and the hole stays open for others. Objects of more than
//! half a block get blocks of their own and never move; their sizes are in a table outside the heap.
//!
//! **Invariants.**
//!
//! - All tables are outside the heap (`blocks`), the marks of objects and lines in declared side tables (`marks`);
//!   objects have no header word but the type word. While a collection runs, word 0 of an object in a block that is
//!   evacuated is its type word (a multiple of 64) or its new place plus one.
//! - A line is free or used. Objects lie in used lines; a line is handed out only when it is free; no object reaches
//!   over its block's end, unless it is large.
//! - After a collection exactly the lines of live objects are used. Live bytes, and host values, follow the marks of
//!   objects, which are exact: a dead object in a used line is not counted, and its host value goes.
//! - Some free blocks are kept from the mutator, so that there is something to evacuate to; when memory has run out,
//!   one.
//! - Evacuation is opportunistic: an object for which no room is found stays. So a collection never fails half-way.
//!
//! **Citation.** See [`SPEC`] for the publication and the departures from it.
//!
//! **Trade-offs.** Holes of one line cost a slow call for ten objects. Waste within lines and within the last block of
//! a large object shows in [`Space`] as memory that is neither used nor free.

mod blocks;
mod defrag;
mod geometry;
mod mark;
mod marks;
mod sweep;
#[cfg(test)]
mod tests;

use crate::INLINE_LIMIT;
use crate::shapes::Shapes;
use blocks::{Blocks, Kind};
use defrag::Waste;
use geometry::{BASE, BLOCK, LINE, MAX_MEDIUM, Span, block_of, block_start};
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, AllocSpec, Barriers, Cause, Citation, CollectionReport, Collector, GcRef, Heap,
    HeapCorrupted, HostId, Moves, Phase, PhaseTimer, RootSet, Space, Spec,
};
use mark::{Found, Marker};
use marks::{Marks, MarksMut};
use std::sync::Arc;

/// What the mark-region collector asks of compiled code: bump allocation and up-to-date stack maps, no barrier.
pub static SPEC: Spec = Spec {
    name: "mark-region",
    summary: "Immix: lines and blocks, bump allocation in holes, opportunistic evacuation",
    cites: &[Citation {
        text: "S. M. Blackburn and K. S. McKinley, Immix: A Mark-Region Garbage Collector with Space Efficiency, Fast \
               Collection, and Mutator Performance, PLDI 2008",
        departs: "neither parallel nor generational; lines of 256 bytes, marked exactly; mark bits beside the heap; \
                  objects of more than 16 KiB are large, in blocks of the same memory; the blocks evacuated are those \
                  with the fewest live bytes, not the most holes; for a large object that finds no room, neighbouring \
                  blocks are emptied",
    }],
    header: &[],
    side_tables: &marks::TABLES,
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::AtSafepoint,
    needs_roots: true,
    inline_limit: INLINE_LIMIT,
};

/// One in so many blocks is kept from the mutator for evacuation ...
const RESERVE_SHARE: usize = 32;
/// ... but of the free blocks no more than one in so many; at least one block ...
const RESERVE_SHARE_OF_FREE: usize = 4;
/// ... and none in a memory of fewer blocks than this.
const RESERVE_FROM: usize = 8;
/// Passes of a collection of last resort. Each empties a multiple of the blocks that it has room to copy to.
const LAST_RESORTS: usize = 4;

/// The mark-region collector's state.
#[derive(Debug, Default)]
pub struct MarkRegion {
    blocks: Blocks,
    /// Free part of the block that medium objects are allocated in.
    overflow: Span,
    /// Free blocks that the mutator does not get.
    reserve: usize,
    /// Bytes of the objects that the last collection found.
    live: u64,
    /// Bytes allocated since, those in the current bump region excepted.
    allocated: u64,
    /// What the last sweep found.
    waste: Waste,
    /// An object of more than a line for which there was no room in one piece since the last collection.
    refused: Option<u32>,
    /// Number of collections so far.
    cycles: u64,
}

impl MarkRegion {
    /// A collector for one heap.
    pub fn new() -> MarkRegion {
        MarkRegion::default()
    }

    /// Opens the next hole and allocates there.
    fn alloc_small(&mut self, heap: &mut Heap, size: u32) -> Option<u32> {
        let hole = match self.blocks.take_hole(self.reserve) {
            Some(hole) => hole,
            // The last that there is.
            None if self.overflow.len() >= size => core::mem::take(&mut self.overflow),
            None => return None,
        };
        self.close(heap);
        heap.open_region(hole.start, hole.end);
        crate::bump(heap, hole.end, size)
    }

    /// Takes the bump region back. What was not used of its last line is lost until the next collection.
    fn close(&mut self, heap: &mut Heap) {
        if let Some((start, cursor, end)) = heap.close_region() {
            self.allocated += u64::from(cursor - start);
            self.blocks.give_back(Span { start: cursor, end });
        }
    }

    /// Chooses blocks to evacuate; false when nothing is to move.
    fn plan(&mut self, heap: &Heap) -> bool {
        let refused = self.refused.take();
        if heap.config().zeal != 0 {
            // In turns, so that the faults of both kinds of collection are found.
            if self.cycles.is_multiple_of(2) {
                self.blocks.choose_all();
                return true;
            }
            return false;
        }
        (refused.is_some() || self.waste.matters(self.live, heap.capacity())) && self.blocks.choose_emptiest(false)
    }

    /// Keeps some free blocks from the mutator.
    fn set_reserve(&mut self) {
        let (all, free) = (self.blocks.kinds.len(), self.blocks.free);
        let most = all.div_ceil(RESERVE_SHARE).min((free / RESERVE_SHARE_OF_FREE).max(1));
        self.reserve = if all < RESERVE_FROM { 0 } else { most };
    }

    /// Makes all the room that can be made, in one piece for a large object. What lives where is known well, because a
    /// collection has just been; but there may be little room to copy to, so it takes a few passes.
    fn last_resort(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        report: &mut CollectionReport,
    ) -> Result<(), HeapCorrupted> {
        let large = self.refused.take().filter(|size| *size > MAX_MEDIUM);
        for _ in 0..LAST_RESORTS {
            let window = large.is_some_and(|size| self.blocks.choose_window(size));
            let moves = window || self.blocks.choose_emptiest(true);
            self.pass(heap, roots, moves, report)?;
            if window || !moves || (large.is_none() && !self.waste.matters(self.live, heap.capacity())) {
                break;
            }
        }
        // The mutator gets nearly all there is.
        self.set_reserve();
        self.reserve = if large.is_some() { 0 } else { self.reserve.min(1) };
        Ok(())
    }

    /// Marks, moves if that is planned, and sweeps.
    fn pass(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        moves: bool,
        report: &mut CollectionReport,
    ) -> Result<(), HeapCorrupted> {
        let mut phases = heap.phases();
        let found = if moves {
            self.mark::<true>(heap, roots, &mut phases)?
        } else {
            self.mark::<false>(heap, roots, &mut phases)?
        };
        phases.enter(Phase::Sweep);
        if let Some(extents) = found.extents {
            self.blocks.poison_dead(heap, extents);
        }
        self.waste = self.blocks.sweep(Marks::of(heap.memory()));
        (self.live, self.allocated) = (found.bytes, 0);
        report.bytes_copied += found.bytes_copied;
        report.objects_visited += found.objects;
        if !heap.host().is_empty() {
            phases.enter(Phase::HostTable);
            heap.host_mut().clear_marks();
            for id in found.hosts {
                heap.host_mut().mark(HostId(id));
            }
            heap.host_mut().release_unmarked();
        }
        heap.phases_end(phases);
        Ok(())
    }

    /// Marks what the roots reach.
    fn mark<const MOVE: bool>(
        &mut self,
        heap: &mut Heap,
        roots: &mut dyn RootSet,
        phases: &mut PhaseTimer,
    ) -> Result<Found, HeapCorrupted> {
        let types = Arc::clone(heap.types());
        let zeal = heap.config().zeal != 0;
        let (words, sides) = heap.memory_mut().words_with_sides(BASE, self.blocks.top.max(BASE))?;
        let shapes = Shapes::new(types.space(), SPEC.header_layout().bytes());
        let mut marker = Marker::<MOVE>::new(words, shapes, &mut self.blocks, MarksMut::new(sides), zeal);
        phases.enter(Phase::Roots);
        roots.for_each(&mut |_, root| {
            if let Some(at) = root.offset() {
                *root = GcRef::from_raw(marker.reach(at)?);
            }
            Ok(())
        })?;
        phases.enter(Phase::Trace);
        marker.finish()
    }

    /// Bytes of the open bump region: those allocated, and those left.
    fn open_bytes(heap: &Heap) -> (u64, u64) {
        heap.region().map_or((0, 0), |(start, cursor, end)| (u64::from(cursor - start), u64::from(end - cursor)))
    }
}

impl Collector for MarkRegion {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.resized(heap);
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        let size = request.size;
        if let Some((_, _, end)) = heap.region()
            && let Some(at) = crate::bump(heap, end, size)
        {
            return Ok(AllocOutcome::At(at));
        }
        if size <= LINE {
            return Ok(self.alloc_small(heap, size).map_or(AllocOutcome::Full, AllocOutcome::At));
        }
        let place = if size <= MAX_MEDIUM {
            // The hole at hand stays open.
            self.blocks.alloc_overflow(&mut self.overflow, size, self.reserve)
        } else {
            self.blocks.take_large(size, self.reserve)
        };
        match place {
            Some(at) => {
                self.allocated += u64::from(size);
                Ok(AllocOutcome::At(at))
            }
            None => {
                self.refused = Some(size);
                Ok(AllocOutcome::Full)
            }
        }
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let mut report =
            CollectionReport { bytes_before: self.space(heap).used, full: true, ..CollectionReport::default() };
        self.close(heap);
        self.overflow = Span::default();
        if cause == Cause::LastResort && heap.config().zeal == 0 {
            self.last_resort(heap, roots, &mut report)?;
        } else {
            let moves = self.plan(heap);
            self.pass(heap, roots, moves, &mut report)?;
            self.set_reserve();
        }
        self.cycles += 1;
        report.bytes_after = self.live;
        Ok(report)
    }

    fn resized(&mut self, heap: &mut Heap) {
        self.blocks.grow(crate::top(heap));
        self.set_reserve();
    }

    fn give_back(&mut self, heap: &mut Heap) {
        self.blocks.give_back_free(heap);
    }

    fn space(&self, heap: &Heap) -> Space {
        let (open_used, open_free) = Self::open_bytes(heap);
        let lines = self.blocks.free_lines * u64::from(LINE);
        let reserved = self.reserve.min(self.blocks.free) as u64 * u64::from(BLOCK);
        Space {
            used: self.live + self.allocated + open_used,
            free: lines - reserved + open_free + u64::from(self.overflow.len()),
            committed: heap.capacity(),
        }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        let block = block_of(offset);
        let Some(&kind) = self.blocks.kinds.get(block) else { return false };
        if kind != Kind::Small {
            return kind == Kind::Large && offset == block_start(block);
        }
        let marks = Marks::of(heap.memory());
        let line = (offset - block_start(block)) / LINE;
        let handed_out = (self.blocks.used[block] & !marks.lines(block)) >> line & 1 != 0;
        let unused = heap.region().is_some_and(|(_, start, end)| Span { start, end }.contains(offset));
        offset.is_multiple_of(8) && (marks.has(offset) || (handed_out && !unused && !self.overflow.contains(offset)))
    }

    fn verify(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        self.blocks.verify(Marks::of(heap.memory()))
    }
}
