//! The two spaces whose objects are not young: old and large.

use super::geometry::{BASE, PAGE, Span, page_up};
use super::pages::{Pages, Use};
use heapwright_gc_heap::HeapCorrupted;
use std::collections::BTreeMap;

/// Small objects that have aged: segments, each filled without gaps.
///
/// There is one segment as long as nothing stands in its way. A large object or the nursery may; promotion then goes on
/// elsewhere, in a new segment.
#[derive(Debug, Default)]
pub(super) struct OldSpace {
    /// In no order; the last one is where promotion goes on.
    segments: Vec<Span>,
    used: u64,
}

impl OldSpace {
    /// Bytes of objects.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn segments(&self) -> &[Span] {
        &self.segments
    }

    /// The free memory behind the last object.
    pub(super) fn window(&self, pages: &Pages) -> Option<Span> {
        Some(pages.free_after(self.segments.last()?.end))
    }

    /// Contiguous memory for `bytes` more, behind the last object if possible.
    pub(super) fn room(&self, pages: &Pages, bytes: u32) -> Option<Span> {
        let behind = self.window(pages).filter(|window| window.len() >= bytes);
        behind.or_else(|| pages.runs().find(|run| run.len() >= bytes))
    }

    /// Takes in `[start, end)`, filled with objects. The pages are the caller's to claim.
    pub(super) fn add(&mut self, objects: Span) {
        if objects.len() == 0 {
            return;
        }
        self.used += u64::from(objects.len());
        match self.segments.last_mut() {
            Some(last) if last.end == objects.start => last.end = objects.end,
            _ => self.segments.push(objects),
        }
    }

    /// After a compaction.
    pub(super) fn replace(&mut self, segments: Vec<Span>) {
        self.used = segments.iter().map(|segment| u64::from(segment.len())).sum();
        self.segments = segments;
    }

    /// The segment that `at` lies in.
    pub(super) fn segment_of(&self, at: u32) -> Option<Span> {
        self.segments.iter().rev().copied().find(|segment| segment.contains(at))
    }
}

/// A large object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Large {
    /// As it was asked for.
    pub(super) size: u32,
    pub(super) marked: bool,
}

/// Objects that are never copied, each on pages of its own.
///
/// A fresh one may be initialised without a barrier, so until the next collection it counts as remembered.
#[derive(Debug, Default)]
pub(super) struct LargeSpace {
    /// By start, a page's.
    objects: BTreeMap<u32, Large>,
    pub(super) fresh: Vec<u32>,
    used: u64,
}

impl LargeSpace {
    /// Bytes of objects, padding to pages not counted.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Takes in an object whose pages have been claimed.
    pub(super) fn add(&mut self, start: u32, size: u32) {
        self.objects.insert(start, Large { size, marked: false });
        self.used += u64::from(size);
        self.fresh.push(start);
    }

    /// The object that starts at `at`.
    pub(super) fn get(&self, at: u32) -> Option<Large> {
        self.objects.get(&at).copied()
    }

    /// The same, writable.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Large> {
        self.objects.get_mut(&at)
    }

    /// The objects, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.objects.iter().map(|(&start, object)| (start, object.size))
    }

    /// The gap between large objects that `at`, in no large object, lies in.
    pub(super) fn gap_around(&self, at: u32, top: u32) -> Span {
        let below = self.objects.range(..at).next_back().map_or(BASE, |(&start, object)| page_up(start + object.size));
        let above = self.objects.range(at..).next().map_or(top, |(&start, _)| start);
        Span::new(below, above)
    }

    /// Frees the objects that are not marked, clears the marks, and returns the pages freed.
    pub(super) fn sweep(&mut self, pages: &mut Pages) -> Vec<Span> {
        let mut freed = Vec::new();
        let used = &mut self.used;
        self.objects.retain(|&start, object| {
            let keep = core::mem::take(&mut object.marked);
            if !keep {
                *used -= u64::from(object.size);
                let span = Span::new(start, page_up(start + object.size));
                pages.release(span);
                freed.push(span);
            }
            keep
        });
        self.fresh.clear();
        freed
    }

    /// Checks that each object has its pages.
    pub(super) fn verify(&self, pages: &Pages) -> Result<(), HeapCorrupted> {
        for (start, size) in self.iter() {
            let rest = (start + PAGE..page_up(start + size)).step_by(PAGE as usize);
            if pages.at(start) != Use::Large || rest.into_iter().any(|at| pages.at(at) != Use::LargeRest) {
                return Err(HeapCorrupted { what: "generational: a large object lacks its pages", at: start });
            }
        }
        if self.iter().map(|(_, size)| u64::from(size)).sum::<u64>() != self.used {
            return Err(HeapCorrupted { what: "generational: large objects are miscounted", at: 0 });
        }
        Ok(())
    }
}
