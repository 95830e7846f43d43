//! Allocation: bump regions in the free space between old objects.
//!
//! Free space is what neither set names: [`live`](Space::live) holds the old objects, [`young`](Space::young) what was
//! handed to the mutator since the last collection. Both are outside the heap, so there are no free-list links to
//! forge, and neither freeing nor coalescing costs more than clearing bits.
//!
//! The search is next-fit, from the bottom after each collection, in passes over ever smaller gaps ([`GAPS`]). Opening
//! a bump region costs a slow call, which a gap for a few objects does not earn back: such gaps stay unused until a
//! neighbour dies, as in a mark-region heap the free part of an occupied line. Only after a collection of last resort
//! every gap is taken. Objects too large for the inline path that do not fit the current region are placed by
//! themselves, and the region stays open.

use super::extents::Extents;
use crate::INLINE_LIMIT;
use heapwright_gc_heap::{Bug, Heap, LEAST_GIVEN_BACK, NULL_PAGE_BYTES, planted};

/// The smallest gap taken in each pass.
const GAPS: [u32; 3] = [512, 128, 0];
/// Passes made unless memory has run out.
const USUAL_PASSES: usize = 2;

/// Where old and young objects are.
#[derive(Debug)]
pub(super) struct Space {
    /// Old objects: counted, and reclaimed when the count falls to 0.
    pub(super) live: Extents,
    /// What the mutator got since the last collection, with the whole of the region that is open.
    pub(super) young: Extents,
    /// Bytes in `live`.
    pub(super) live_bytes: u64,
    /// Bytes allocated since the last collection, the open region's excepted.
    young_bytes: u64,
    /// The open bump region.
    region: Option<(u32, u32)>,
    /// End of the usable memory.
    pub(super) top: u32,
    /// Where the search goes on.
    next: u32,
    /// The pass that the search is in: index into [`GAPS`].
    pass: usize,
    /// Number of passes to make before memory counts as full.
    passes: usize,
    /// Where the search for large objects goes on.
    next_large: u32,
}

impl Space {
    pub(super) fn new() -> Space {
        Space {
            live: Extents::new(NULL_PAGE_BYTES),
            young: Extents::new(NULL_PAGE_BYTES),
            live_bytes: 0,
            young_bytes: 0,
            region: None,
            top: NULL_PAGE_BYTES,
            next: NULL_PAGE_BYTES,
            pass: 0,
            passes: USUAL_PASSES,
            next_large: NULL_PAGE_BYTES,
        }
    }

    /// Covers memory up to `top` and searches it from the bottom again.
    pub(super) fn resize(&mut self, top: u32) {
        if top > self.top {
            self.top = top;
            self.live.resize(top);
            self.young.resize(top);
            self.restart();
        }
    }

    fn restart(&mut self) {
        self.next = NULL_PAGE_BYTES;
        self.next_large = NULL_PAGE_BYTES;
        self.pass = 0;
    }

    /// Room for `size` bytes, or `None` when it takes a collection or growth.
    pub(super) fn allocate(&mut self, heap: &mut Heap, size: u32) -> Option<u32> {
        if let Some((_, end)) = self.region
            && let Some(at) = crate::bump(heap, end, size)
        {
            return Some(at);
        }
        if size > INLINE_LIMIT
            && self.region.is_some()
            && let Some(at) = self.allocate_alone(size)
        {
            return Some(at);
        }
        let (start, end) = self.next_gap(size)?;
        self.close(heap);
        self.open(heap, start, end);
        crate::bump(heap, end, size)
    }

    /// A place for a large object outside the current region.
    fn allocate_alone(&mut self, size: u32) -> Option<u32> {
        let gap = self.live.gap(&self.young, self.next_large, self.top, size);
        let (start, _) = gap.or_else(|| self.live.gap(&self.young, NULL_PAGE_BYTES, self.next_large, size))?;
        self.next_large = start + size;
        self.young.insert(start, start + size);
        self.young_bytes += u64::from(size);
        Some(start)
    }

    /// The next gap that has room for `size` bytes and is worth a region. When there is none the search stays where it
    /// is: a smaller request may still find one.
    fn next_gap(&mut self, size: u32) -> Option<(u32, u32)> {
        let mut from = self.next;
        for (pass, smallest) in GAPS.into_iter().enumerate().take(self.passes).skip(self.pass) {
            if let Some(gap) = self.live.gap(&self.young, from, self.top, size.max(smallest)) {
                (self.next, self.pass) = (gap.1, pass);
                return Some(gap);
            }
            from = NULL_PAGE_BYTES;
        }
        None
    }

    fn open(&mut self, heap: &mut Heap, start: u32, end: u32) {
        self.young.insert(start, end);
        self.region = Some((start, end));
        heap.open_region(start, end);
    }

    /// Takes the open region back. What the mutator did not use is free again.
    pub(super) fn close(&mut self, heap: &mut Heap) {
        if let Some((start, end)) = self.region.take() {
            let cursor = heap.close_region().map_or(end, |(_, cursor, _)| cursor.clamp(start, end));
            let free = if planted(Bug::OffByOneFree) && cursor > start { cursor - 8 } else { cursor };
            self.young.remove(free, end);
            self.young_bytes += u64::from(cursor - start);
        }
    }

    /// Gives the gaps between objects back to the system.
    pub(super) fn give_back(&self, heap: &mut Heap) {
        let mut from = NULL_PAGE_BYTES;
        while let Some((start, end)) = self.live.gap(&self.young, from, self.top, LEAST_GIVEN_BACK) {
            heap.give_back(start, end);
            from = end;
        }
    }

    /// After a collection: there are no young objects, and the search begins anew; with `desperate`, for gaps of any
    /// size.
    pub(super) fn begin_epoch(&mut self, desperate: bool) {
        self.passes = if desperate { GAPS.len() } else { USUAL_PASSES };
        self.young_bytes = 0;
        self.restart();
    }

    /// Bytes that objects occupy or may occupy.
    pub(super) fn used(&self, heap: &Heap) -> u64 {
        let open = self.region.map_or(0, |(start, end)| heap.mutator().cursor.clamp(start, end) - start);
        self.live_bytes + self.young_bytes + u64::from(open)
    }

    /// Whether an object may start at `at`.
    pub(super) fn may_be_object(&self, heap: &Heap, at: u32) -> bool {
        let unused = self.region.is_some_and(|(start, end)| (start..end).contains(&at) && at >= heap.mutator().cursor);
        at.is_multiple_of(8) && !unused && (self.live.contains(at) || self.young.contains(at))
    }
}
