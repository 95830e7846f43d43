//! The cell-sweep collector: mark-sweep whose free memory is cells of fixed sizes, taken from lists by compiled code.
//!
//! **Idea.** McCarthy's: what marking does not find goes to a free list, and an allocation takes the first cell of a
//! list. There is a list for each class of sizes. When one is empty, a piece of a gap between objects is cut into cells
//! for it; a collection forgets all lists, for cells that were not taken are part of the gaps that it finds.
//!
//! **Invariants.**
//!
//! - Objects never move, and have no header word but their type.
//! - Each byte belongs to an object, to a free cell, to a gap, or to the rest of a cell that is larger than its object.
//! - What is in no gap may be an object: whether a cell has been taken only its list tells, which lies in the heap.
//!
//! **Citation.** See [`SPEC`]. Departures: mark bits and gaps lie beside the heap; lists are filled when they are asked
//! for.

use super::mark_sweep::{gaps, mark};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, AllocSpec, Barriers, Cause, Citation, CollectionReport, Collector, Heap, HeapCorrupted,
    Moves, NULL_PAGE_BYTES, RootSet, Space, Spec,
};

/// Sizes of cells.
const CLASSES: &[u32] = &[8, 16, 24, 32, 48, 64, 96, 128, 256, 512];
/// Bytes that are cut into cells at a time, if there are as many in one piece.
const PIECE: u32 = 4096;

/// What the cell-sweep collector asks of compiled code: to take cells from lists, and stack maps. No barrier.
pub static SPEC: Spec = Spec {
    name: "cell-sweep",
    summary: "mark-sweep with free lists of cells; non-moving",
    cites: &[Citation {
        text: "J. McCarthy, Recursive Functions of Symbolic Expressions and Their Computation by Machine, Part I, \
               Communications of the ACM 3(4), 1960",
        departs: "cells of several sizes; mark bits beside the heap; lists are filled on demand",
    }],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::FreeList { classes: CLASSES },
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::Never,
    needs_roots: true,
    inline_limit: 512,
};

/// The collector, as the kit and the API take one.
pub static REGISTRATION: Registration = Registration { spec: &SPEC, create: || Box::<CellSweep>::default() };

/// The cell-sweep collector's state.
#[derive(Debug, Default)]
pub struct CellSweep {
    gaps: gaps::Gaps,
    /// End of the memory that the collector knows of.
    top: u32,
    /// Bytes of the objects that the last collection found.
    live: u64,
    /// Bytes of cells and large objects cut since.
    allocated: u64,
}

impl CellSweep {
    /// Fills a list, and takes its first cell.
    fn cell(&mut self, heap: &mut Heap, class: usize) -> Result<Option<u32>, HeapCorrupted> {
        let size = CLASSES[class];
        let mut count = PIECE / size;
        let start = loop {
            match self.gaps.cut(count * size) {
                Some(start) => break start,
                None if count > 1 => count /= 2,
                None => return Ok(None),
            }
        };
        let end = start + count * size;
        for cell in (start + size..end).step_by(size as usize) {
            heap.link_cell(cell, if cell + size < end { cell + size } else { 0 })?;
        }
        heap.set_free_list(class, if count > 1 { start + size } else { 0 }, count);
        self.allocated += u64::from(count * size);
        Ok(Some(start))
    }
}

impl Collector for CellSweep {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.top = NULL_PAGE_BYTES;
        self.resized(heap);
    }

    fn resized(&mut self, heap: &mut Heap) {
        let end = u64::from(NULL_PAGE_BYTES) + heap.capacity();
        let top = (u32::try_from(end).unwrap_or(u32::MAX) & !7).max(self.top);
        self.gaps.add(self.top, top);
        self.top = top;
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        let place = match SPEC.alloc.class(request.size.into()) {
            Some(class) => self.cell(heap, class)?,
            None => {
                let place = self.gaps.cut(request.size);
                self.allocated += place.map_or(0, |_| u64::from(request.size));
                place
            }
        };
        Ok(place.map_or(AllocOutcome::Full, AllocOutcome::At))
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        _cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let bytes_before = self.space(heap).used;
        (0..CLASSES.len()).for_each(|class| heap.set_free_list(class, 0, 0));
        let mut marker = mark::Marker::new(self.top);
        roots.for_each(&mut |_, root| marker.reach(*root))?;
        marker.trace(heap)?;
        let (gaps, live) = marker.sweep(heap)?;
        gaps.iter().for_each(|&(start, end)| heap.poison(start, end));
        self.gaps.replace(gaps);
        (self.live, self.allocated) = (live, 0);
        marker.release_hosts(heap);
        let objects_visited = marker.objects();
        Ok(CollectionReport { bytes_before, bytes_after: live, objects_visited, full: true, ..Default::default() })
    }

    fn space(&self, heap: &Heap) -> Space {
        Space { used: self.live + self.allocated, free: self.gaps.bytes(), committed: heap.capacity() }
    }

    fn may_be_object(&self, _heap: &Heap, offset: u32) -> bool {
        offset.is_multiple_of(8) && (NULL_PAGE_BYTES..self.top).contains(&offset) && !self.gaps.contains(offset)
    }

    fn verify(&self, _heap: &Heap) -> Result<(), HeapCorrupted> {
        self.gaps.verify(self.top)
    }
}
