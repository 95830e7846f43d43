//! Free memory: gaps between objects, ascending and apart.

use heapwright_gc_heap::{HeapCorrupted, NULL_PAGE_BYTES};

// ANCHOR: gaps
/// Free memory. Gaps `[start, end)` before `next` have been used up, or were too small for what was asked; the next
/// sweep finds them again.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    gaps: Vec<(u32, u32)>,
    next: usize,
}

impl Gaps {
    /// More memory, above all that is known.
    pub(crate) fn add(&mut self, start: u32, end: u32) {
        if let Some(last) = self.gaps[self.next..].last_mut()
            && last.1 == start
        {
            last.1 = end;
        } else if start < end {
            self.gaps.push((start, end));
        }
    }

    /// What a sweep found.
    pub(crate) fn replace(&mut self, gaps: Vec<(u32, u32)>) {
        (self.gaps, self.next) = (gaps, 0);
    }

    /// The next gap of at least `size` bytes, whole. Smaller ones before it are passed by, so that looking for room
    /// takes no longer, over all allocations between two collections, than there are gaps.
    pub(crate) fn next(&mut self, size: u32) -> Option<(u32, u32)> {
        // If none is large enough, they stay for smaller objects.
        let found = self.gaps[self.next..].iter().position(|(start, end)| end - start >= size)? + self.next;
        self.next = found + 1;
        Some(self.gaps[found])
    }

    /// `size` bytes of the last gap that is large enough.
    pub(crate) fn cut(&mut self, size: u32) -> Option<u32> {
        let gap = self.gaps[self.next..].iter_mut().rev().find(|(start, end)| end - start >= size)?;
        gap.1 -= size;
        Some(gap.1)
    }
    // ANCHOR_END: gaps

    /// Free bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.gaps[self.next..].iter().map(|(start, end)| u64::from(end - start)).sum()
    }

    /// Whether an offset is free.
    pub(crate) fn contains(&self, offset: u32) -> bool {
        let rest = &self.gaps[self.next..];
        let at = rest.partition_point(|(start, _)| *start <= offset);
        at > 0 && offset < rest[at - 1].1
    }

    /// Gaps are in order, apart, aligned, and below `top`.
    pub(crate) fn verify(&self, top: u32) -> Result<(), HeapCorrupted> {
        let mut previous = NULL_PAGE_BYTES;
        for &(start, end) in &self.gaps {
            if start < previous || end < start || end > top || !(start | end).is_multiple_of(8) {
                return Err(HeapCorrupted { what: "mark-sweep: gaps out of order", at: start });
            }
            previous = end;
        }
        Ok(())
    }
}
