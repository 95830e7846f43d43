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
    /// Ascending, never adjacent.
    segments: Vec<Span>,
    /// End of what was taken in last: where promotion goes on.
    tail: u32,
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
        (!self.segments.is_empty()).then(|| pages.free_after(self.tail))
    }

    /// Contiguous memory for `bytes` more, behind the last object if possible: unless `nursery` begins there.
    pub(super) fn room(&self, pages: &Pages, nursery: Span, bytes: u32) -> Option<Span> {
        let behind = self.window(pages).filter(|window| window.len() >= bytes && !nursery.contains(window.start));
        behind.or_else(|| pages.runs().find(|run| run.len() >= bytes))
    }

    /// Takes in `[start, end)`, filled with objects. The pages are the caller's to claim.
    pub(super) fn add(&mut self, objects: Span) {
        if objects.len() == 0 {
            return;
        }
        self.used += u64::from(objects.len());
        self.tail = objects.end;
        let at = self.segments.partition_point(|segment| segment.start < objects.start);
        let joins_above = self.segments.get(at).is_some_and(|above| above.start == objects.end);
        let joins_below = at > 0 && self.segments[at - 1].end == objects.start;
        match (joins_below, joins_above) {
            (true, true) => self.segments[at - 1].end = self.segments.remove(at).end,
            (true, false) => self.segments[at - 1].end = objects.end,
            (false, true) => self.segments[at].start = objects.start,
            (false, false) => self.segments.insert(at, objects),
        }
    }

    /// After a compaction; `segments` ascend.
    pub(super) fn replace(&mut self, segments: Vec<Span>) {
        self.tail = segments.last().map_or(0, |last| last.end);
        self.used = segments.iter().map(|segment| u64::from(segment.len())).sum();
        self.segments = segments;
    }

    /// The segment that `at` lies in.
    pub(super) fn segment_of(&self, at: u32) -> Option<Span> {
        let above = self.segments.partition_point(|segment| segment.start <= at);
        Some(self.segments[above.checked_sub(1)?]).filter(|segment| segment.contains(at))
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
