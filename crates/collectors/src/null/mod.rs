//! The null collector: allocates and never frees.
//!
//! **Idea.** One bump region covers the heap's whole capacity. A collection reclaims nothing, so a program runs until
//! the heap's maximum is reached. No collector has less work to do, which makes it the baseline that the price of
//! another collector is measured from, and the reference that its results are compared with.
//!
//! **Invariants.** Objects fill `[start of the heap, cursor)` without gaps, in allocation order; none ever moves; no
//! root is looked at, so compiled code carries no stack maps.
//!
//! **Citation.** The Epsilon collector of OpenJDK. Departures: one thread, hence no thread-local buffers.

use crate::INLINE_LIMIT;
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, AllocSpec, Barriers, Cause, Citation, CollectionReport, Collector, Heap, HeapCorrupted,
    Moves, NULL_PAGE_BYTES, RootSet, Space, Spec,
};

/// What the null collector asks of compiled code: nothing.
pub static SPEC: Spec = Spec {
    name: "null",
    summary: "bump allocation, nothing is ever freed",
    cites: &[Citation {
        text: "A. Shipilev, JEP 318: Epsilon: A No-Op Garbage Collector, OpenJDK, 2018",
        departs: "one mutator thread: no thread-local allocation buffers",
    }],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::Never,
    needs_roots: false,
    inline_limit: INLINE_LIMIT,
};

/// The null collector's state.
#[derive(Debug, Default)]
pub struct Null {
    /// End of the bump region.
    end: u32,
}

impl Null {
    /// A collector for one heap.
    pub fn new() -> Null {
        Null::default()
    }
}

impl Collector for Null {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.end = crate::top(heap);
        heap.open_region(NULL_PAGE_BYTES, self.end);
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        Ok(crate::bump(heap, self.end, request.size).map_or(AllocOutcome::Full, AllocOutcome::At))
    }

    fn collect(
        &mut self,
        heap: &mut Heap,
        _cause: Cause,
        _roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let used = self.space(heap).used;
        Ok(CollectionReport { bytes_before: used, bytes_after: used, ..CollectionReport::default() })
    }

    fn resized(&mut self, heap: &mut Heap) {
        let end = crate::top(heap).max(self.end);
        let cursor = heap.close_region().map_or(self.end, |(_, cursor, _)| cursor);
        self.end = end;
        heap.open_region(cursor, end);
    }

    fn space(&self, heap: &Heap) -> Space {
        let cursor = heap.mutator().cursor;
        Space {
            used: u64::from(cursor.saturating_sub(NULL_PAGE_BYTES)),
            free: u64::from(self.end.saturating_sub(cursor)),
            committed: heap.capacity(),
        }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        offset.is_multiple_of(8) && offset >= NULL_PAGE_BYTES && offset < heap.mutator().cursor
    }

    fn verify(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        let cursor = heap.mutator().cursor;
        if !cursor.is_multiple_of(8) || cursor < NULL_PAGE_BYTES || cursor > self.end {
            return Err(HeapCorrupted { what: "null: the cursor left its region", at: cursor });
        }
        Ok(())
    }
}
