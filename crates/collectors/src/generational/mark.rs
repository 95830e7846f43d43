//! Marking the whole heap, into a table beside it.
//!
//! The table has a line for each 512 bytes of memory, which are 64 granules of 8 bytes:
//!
//! ```text
//!  objects   | A A A | dead | B | C C C C C … |
//!  live        1 1 1   0 0    1   1 1 1 1 1
//!  starts      1 0 0   0 0    1   1 0 0 0 0
//!  target    where the first object that starts in this line goes (see `compact`)
//! ```
//!
//! What it guarantees whatever the heap holds: marked objects lie inside the areas that hold objects and do not overlap,
//! so each granule is marked at most once, each word is scanned at most once, and the table describes a heap that
//! compaction can handle. Large objects are marked in their own table.

use super::geometry::{BASE, MAX_SMALL, Span};
use super::spaces::LargeSpace;
use crate::shapes::{Shapes, Trace};
use crate::words::Words;
use heapwright_gc_heap::HeapCorrupted;

/// Bytes that a line describes.
pub(super) const LINE_BYTES: u32 = 64 * GRANULE;
/// Bytes that a bit describes: the alignment of objects.
pub(super) const GRANULE: u32 = 8;
/// Elements of an array that are looked at before the objects found in them.
const CHUNK: u32 = 64;

const _: () = assert!(super::geometry::PAGE.is_multiple_of(LINE_BYTES) && BASE.is_multiple_of(LINE_BYTES));

/// A line of the table: [`LIVE`], [`STARTS`], [`TARGET`]. An array, so that a table of zeros comes from the system
/// without being written.
pub(super) type Line = [u64; 3];
/// A bit for each granule of a marked object.
pub(super) const LIVE: usize = 0;
/// A bit for each granule in which a marked object starts.
pub(super) const STARTS: usize = 1;
/// The target, less the bytes of the line's live granules before the first start; a 32-bit number that may have wrapped.
pub(super) const TARGET: usize = 2;

/// The line and the bit of an offset at or above [`BASE`].
#[inline(always)]
pub(super) fn place_of(at: u32) -> (usize, u32) {
    let relative = at.wrapping_sub(BASE);
    ((relative / LINE_BYTES) as usize, relative / GRANULE % 64)
}

/// Marking at work.
pub(super) struct Marker<'a> {
    words: Words<'a>,
    shapes: Shapes<'a>,
    lines: Vec<Line>,
    /// Where small objects are, ascending and disjoint.
    areas: &'a [Span],
    /// The area that was needed last.
    recent: Span,
    large: &'a mut LargeSpace,
    /// Marked objects with references that have not been looked at.
    objects: Vec<u32>,
    /// Slots of marked arrays that have not been looked at.
    ranges: Vec<Span>,
    found: Marked,
}

/// What marking found.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) lines: Vec<Line>,
    pub(super) objects: u64,
    /// Host ids in live boxes.
    pub(super) hosts: Vec<u32>,
}

impl<'a> Marker<'a> {
    pub(super) fn new(
        words: Words<'a>,
        shapes: Shapes<'a>,
        areas: &'a [Span],
        large: &'a mut LargeSpace,
    ) -> Marker<'a> {
        let end = areas.last().map_or(BASE, |area| area.end);
        Marker {
            words,
            shapes,
            lines: vec![[0; 3]; (end - BASE).div_ceil(LINE_BYTES) as usize],
            areas,
            recent: Span::default(),
            large,
            objects: Vec::new(),
            ranges: Vec::new(),
            found: Marked::default(),
        }
    }

    /// Marks the object at `at` unless it is marked already.
    #[inline(always)]
    pub(super) fn reach(&mut self, at: u32) -> Result<(), HeapCorrupted> {
        if !self.recent.contains(at) {
            let index = self.areas.partition_point(|area| area.end <= at);
            match self.areas.get(index).filter(|area| area.contains(at)) {
                Some(area) => self.recent = *area,
                None => return self.reach_large(at),
            }
        }
        let (line, bit) = place_of(at);
        let known = self.lines.get(line).is_some_and(|line| line[STARTS] >> bit & 1 != 0);
        if known && at.is_multiple_of(GRANULE) { Ok(()) } else { self.mark_small(at) }
    }

    fn mark_small(&mut self, at: u32) -> Result<(), HeapCorrupted> {
        let (max, granules) = (self.recent.end - at, |size: u32| size / GRANULE);
        let size = self.look_at(at, max.min(MAX_SMALL))?;
        let (mut line, bit) = place_of(at);
        let overlap = HeapCorrupted { what: "objects overlap", at };
        let (mut first, mut left) = (bit, granules(size));
        self.lines.get_mut(line).ok_or(overlap)?[STARTS] |= 1 << bit;
        while left > 0 {
            let count = left.min(64 - first);
            let mask = (u64::MAX >> (64 - count)) << first;
            let live = &mut self.lines.get_mut(line).ok_or(overlap)?[LIVE];
            if *live & mask != 0 {
                return Err(overlap);
            }
            *live |= mask;
            (line, first, left) = (line + 1, 0, left - count);
        }
        Ok(())
    }

    #[cold]
    fn reach_large(&mut self, at: u32) -> Result<(), HeapCorrupted> {
        let Some(object) = self.large.get_mut(at) else {
            return Err(HeapCorrupted { what: "reference to where no object is", at });
        };
        if !core::mem::replace(&mut object.marked, true) {
            let size = object.size;
            self.look_at(at, size)?;
        }
        Ok(())
    }

    /// Validates an object of at most `max` bytes, takes up its references, and returns its size.
    #[inline(always)]
    fn look_at(&mut self, at: u32, max: u32) -> Result<u32, HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        let shape = self.shapes.get(self.words.get(at)?)?;
        let extent = shape.extent(&self.words, at, length_offset)?;
        if extent.size > max || !at.is_multiple_of(GRANULE) {
            return Err(HeapCorrupted { what: "object reaches beyond its place", at });
        }
        match &shape.trace {
            Trace::Nothing => {}
            Trace::Bits(_) | Trace::List(_) => self.objects.push(at),
            Trace::Elements if extent.elements_end > shape.elements() => {
                self.ranges.push(Span::new(at + shape.elements(), at + extent.elements_end));
            }
            Trace::Elements => {}
            Trace::Host => self.found.hosts.push(self.words.get(at + length_offset)?),
        }
        self.found.objects += 1;
        Ok(extent.size)
    }

    #[inline(always)]
    fn slot(&mut self, slot: u32) -> Result<(), HeapCorrupted> {
        let reference = self.words.get(slot)?;
        if reference == 0 || reference & 1 != 0 { Ok(()) } else { self.reach(reference) }
    }

    /// Marks all that can be reached from what is marked. Arrays are taken in chunks, so that what waits is in proportion
    /// to the graph's depth rather than to an array's length.
    pub(super) fn finish(mut self) -> Result<Marked, HeapCorrupted> {
        loop {
            while let Some(at) = self.objects.pop() {
                let shape = self.shapes.get(self.words.get(at)?)?;
                match &shape.trace {
                    Trace::Bits(bits) => {
                        let mut bits = *bits;
                        while bits != 0 {
                            self.slot(at.wrapping_add(4 * bits.trailing_zeros()))?;
                            bits &= bits - 1;
                        }
                    }
                    Trace::List(list) => {
                        let list = std::rc::Rc::clone(list);
                        for offset in list.iter() {
                            self.slot(at.wrapping_add(*offset))?;
                        }
                    }
                    // Its type is a forged one that changes while this goes on: then nothing is lost.
                    Trace::Nothing | Trace::Elements | Trace::Host => {}
                }
            }
            let Some(range) = self.ranges.pop() else { break };
            let end = range.end.min(range.start.saturating_add(4 * CHUNK));
            if end < range.end {
                self.ranges.push(Span::new(end, range.end));
            }
            for slot in (range.start..end).step_by(4) {
                self.slot(slot)?;
            }
        }
        self.found.lines = self.lines;
        Ok(self.found)
    }
}
