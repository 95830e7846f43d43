// ANCHOR: head
//! The mark-sweep collector: objects are marked where they are, and what lies between them is allocated anew.
//!
//! **Idea.** A collection follows references from the roots and sets a bit for each object that it finds (`mark.rs`).
//! The memory between those objects is free: sorted by address, it is a list of *gaps* (`gaps.rs`). The mutator bumps
//! its cursor through one gap after the other, so the common allocation is as cheap as in a copying collector.
//!
//! **Invariants.**
//!
//! - Objects never move, and have no header word but their type.
//! - Each byte of the heap belongs to an object, to a gap, to the unused part of the bump region, or to a gap that was
//!   too small for what was asked and is lost until the next collection.
//! - After a collection the gaps are exactly what no live object occupies.
//!
//! **Citation.** McCarthy's mark-sweep; see [`SPEC`]. Departures: the mark bits lie beside the heap; free memory is
//! kept as runs to bump through, not as a list of cells.
// ANCHOR_END: head

pub(crate) mod gaps;
pub(crate) mod mark;

// ANCHOR: spec
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, AllocSpec, Barriers, Cause, Citation, CollectionReport, Collector, Heap, HeapCorrupted,
    Moves, NULL_PAGE_BYTES, Phase, RootSet, Space, Spec,
};

/// What the mark-sweep collector asks of compiled code: bump allocation, and stack maps. No barrier.
pub static SPEC: Spec = Spec {
    name: "mark-sweep",
    summary: "mark bits beside the heap, bump allocation in the gaps; non-moving",
    cites: &[Citation {
        text: "J. McCarthy, Recursive Functions of Symbolic Expressions and Their Computation by Machine, Part I, \
               Communications of the ACM 3(4), 1960",
        departs: "mark bits beside the heap, an explicit mark stack; free memory is runs of any size, not cells",
    }],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::Never,
    needs_roots: true,
    inline_limit: SMALL,
};

/// Objects up to this size come from the bump region; larger ones get a gap of their own.
const SMALL: u32 = 8 << 10;
// ANCHOR_END: spec

// ANCHOR: state
/// The mark-sweep collector's state.
#[derive(Debug, Default)]
pub struct MarkSweep {
    /// Free memory.
    gaps: gaps::Gaps,
    /// End of the memory that the collector knows of.
    top: u32,
    /// Bytes that live objects had after the last collection.
    live: u64,
    /// Bytes that were handed out since, those in the open bump region excepted.
    allocated: u64,
}

/// End of the memory that may be used now.
fn top(heap: &Heap) -> u32 {
    u32::try_from(u64::from(NULL_PAGE_BYTES) + heap.capacity()).unwrap_or(u32::MAX) & !7
}
// ANCHOR_END: state

// ANCHOR: alloc
impl MarkSweep {
    /// Takes `size` bytes from the open bump region.
    fn bump(heap: &mut Heap, size: u32) -> Option<u32> {
        let (_, cursor, end) = heap.region()?;
        if size > end - cursor {
            return None;
        }
        heap.mutator_mut().cursor = cursor + size;
        Some(cursor)
    }

    fn allocate(&mut self, heap: &mut Heap, size: u32) -> Option<u32> {
        if let Some(at) = Self::bump(heap, size) {
            return Some(at);
        }
        if size > SMALL {
            let at = self.gaps.cut(size)?;
            self.allocated += u64::from(size);
            return Some(at);
        }
        let (start, end) = self.gaps.next(size)?;
        self.close(heap);
        heap.open_region(start, end);
        Self::bump(heap, size)
    }

    /// Takes the bump region back.
    fn close(&mut self, heap: &mut Heap) {
        if let Some((start, cursor, _)) = heap.close_region() {
            self.allocated += u64::from(cursor - start);
        }
    }
}
// ANCHOR_END: alloc

impl Collector for MarkSweep {
    // ANCHOR: attach
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn attach(&mut self, heap: &mut Heap) {
        self.top = NULL_PAGE_BYTES;
        self.resized(heap);
    }

    fn resized(&mut self, heap: &mut Heap) {
        let top = top(heap).max(self.top);
        self.gaps.add(self.top, top);
        self.top = top;
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        Ok(self.allocate(heap, request.size).map_or(AllocOutcome::Full, AllocOutcome::At))
    }
    // ANCHOR_END: attach

    // ANCHOR: collect
    fn collect(
        &mut self,
        heap: &mut Heap,
        _cause: Cause,
        roots: &mut dyn RootSet,
    ) -> Result<CollectionReport, HeapCorrupted> {
        let bytes_before = self.space(heap).used;
        self.close(heap);

        let mut phases = heap.phases();
        phases.enter(Phase::Roots);
        let mut marker = mark::Marker::new(self.top);
        roots.for_each(&mut |_, root| marker.reach(*root))?;
        phases.enter(Phase::Trace);
        marker.trace(heap)?;

        phases.enter(Phase::Sweep);
        let (gaps, live) = marker.sweep(heap)?;
        gaps.iter().for_each(|&(start, end)| heap.poison(start, end));
        self.gaps.replace(gaps);
        (self.live, self.allocated) = (live, 0);

        phases.enter(Phase::HostTable);
        marker.release_hosts(heap);
        heap.phases_end(phases);
        let objects_visited = marker.objects();
        Ok(CollectionReport { bytes_before, bytes_after: live, objects_visited, full: true, ..Default::default() })
    }
    // ANCHOR_END: collect

    // ANCHOR: answers
    fn space(&self, heap: &Heap) -> Space {
        let (used, free) = heap.region().map_or((0, 0), |(start, cursor, end)| (cursor - start, end - cursor));
        Space {
            used: self.live + self.allocated + u64::from(used),
            free: self.gaps.bytes() + u64::from(free),
            committed: heap.capacity(),
        }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        let unused = heap.region().is_some_and(|(_, cursor, end)| (cursor..end).contains(&offset));
        offset.is_multiple_of(8)
            && (NULL_PAGE_BYTES..self.top).contains(&offset)
            && !unused
            && !self.gaps.contains(offset)
    }

    fn verify(&self, _heap: &Heap) -> Result<(), HeapCorrupted> {
        self.gaps.verify(self.top)
    }
    // ANCHOR_END: answers
}
