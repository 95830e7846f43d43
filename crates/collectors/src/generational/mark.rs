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
use crate::ahead::Ahead;
use crate::shapes::{Shapes, Trace};
use heapwright_gc_heap::{HeapCorrupted, Words};

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
///
/// A reference that is found is put aside. When its turn comes, the object's memory and its line are asked for; a little later, when
/// they are there, it is looked at, marked, and what it names is put aside, unless that has been done.
pub(super) struct Marker<'a> {
    words: Words<'a>,
    shapes: Shapes<'a>,
    lines: Vec<Line>,
    /// Where small objects are, ascending and disjoint.
    areas: &'a [Span],
    /// The area that was needed last.
    recent: Span,
    large: &'a mut LargeSpace,
    /// References that have been found and not been looked at.
    references: Vec<u32>,
    /// Those whose objects are on their way to the cache.
    ahead: Ahead,
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
        let ahead = Ahead::new(&words);
        Marker {
            words,
            shapes,
            lines: vec![[0; 3]; (end - BASE).div_ceil(LINE_BYTES) as usize],
            areas,
            recent: Span::default(),
            large,
            references: Vec::new(),
            ahead,
            ranges: Vec::new(),
            found: Marked::default(),
        }
    }

    /// Finds the area that `at` lies in; answers whether there is one.
    #[inline(always)]
    fn find_area(&mut self, at: u32) -> bool {
        if self.recent.contains(at) {
            return true;
        }
        let index = self.areas.partition_point(|area| area.end <= at);
        let area = self.areas.get(index).filter(|area| area.contains(at));
        self.recent = area.copied().unwrap_or(self.recent);
        area.is_some()
    }

    /// Puts a reference aside that is neither null nor an i31.
    #[inline(always)]
    pub(super) fn reach(&mut self, at: u32) {
        self.references.push(at);
    }

    /// Asks for what looking at an object needs.
    #[inline(always)]
    fn prefetch(&self, at: u32) {
        if !self.ahead.waits() {
            return;
        }
        self.words.prefetch(at);
        if let Some(line) = self.lines.get(place_of(at).0) {
            heapwright_gc_heap::prefetch(line);
        }
    }

    /// Takes up the object at `at` unless that has been done.
    #[inline(always)]
    fn visit(&mut self, at: u32) -> Result<(), HeapCorrupted> {
        if !self.find_area(at) {
            return self.visit_large(at);
        }
        let (line, bit) = place_of(at);
        match self.lines.get_mut(line) {
            Some(line) if at.is_multiple_of(GRANULE) => {
                if line[STARTS] >> bit & 1 != 0 {
                    return Ok(());
                }
                line[STARTS] |= 1 << bit;
                self.look_at(at, true)
            }
            _ => Err(no_object(at)),
        }
    }

    #[cold]
    fn visit_large(&mut self, at: u32) -> Result<(), HeapCorrupted> {
        let object = self.large.get_mut(at).ok_or(no_object(at))?;
        if core::mem::replace(&mut object.marked, true) { Ok(()) } else { self.look_at(at, false) }
    }

    /// Marks the granules of a small object.
    #[inline(always)]
    fn mark(&mut self, at: u32, size: u32) -> Result<(), HeapCorrupted> {
        let (mut line, mut first) = place_of(at);
        let mut left = size / GRANULE;
        while left > 0 {
            let count = left.min(64 - first);
            let mask = (u64::MAX >> (64 - count)) << first;
            match self.lines.get_mut(line) {
                Some(line) if line[LIVE] & mask == 0 => line[LIVE] |= mask,
                _ => return Err(HeapCorrupted { what: "objects overlap", at }),
            }
            (line, first, left) = (line + 1, 0, left - count);
        }
        Ok(())
    }

    /// Validates and marks an object whose start is marked, and reaches what it names.
    #[inline(always)]
    fn look_at(&mut self, at: u32, small: bool) -> Result<(), HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        let shape = self.shapes.get(self.words.get(at)?)?;
        let extent = shape.extent(&self.words, at, length_offset)?;
        let max = match small {
            true => MAX_SMALL.min(self.recent.end - at),
            false => self.large.get(at).map_or(0, |object| object.size),
        };
        if extent.size > max {
            return Err(HeapCorrupted { what: "object reaches beyond its place", at });
        }
        self.found.objects += 1;
        let bits_of_references = match &shape.trace {
            Trace::Nothing => None,
            Trace::Bits(bits) => Some(*bits),
            Trace::List(list) => {
                let list = std::rc::Rc::clone(list);
                for offset in list.iter() {
                    self.slot(at + offset)?;
                }
                None
            }
            Trace::Elements if extent.elements_end > shape.elements() => {
                self.ranges.push(Span::new(at + shape.elements(), at + extent.elements_end));
                None
            }
            Trace::Elements => None,
            Trace::Host => {
                self.found.hosts.push(self.words.get(at + length_offset)?);
                None
            }
        };
        if small {
            self.mark(at, extent.size)?;
        }
        let mut bits = bits_of_references.unwrap_or(0);
        while bits != 0 {
            self.slot(at + 4 * bits.trailing_zeros())?;
            bits &= bits - 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn slot(&mut self, slot: u32) -> Result<(), HeapCorrupted> {
        let reference = self.words.get(slot)?;
        if reference != 0 && reference & 1 == 0 {
            self.reach(reference);
        }
        Ok(())
    }

    /// Marks all that can be reached from what is marked. Arrays are taken in chunks, so that what waits is in proportion
    /// to the graph's depth rather than to an array's length.
    pub(super) fn finish(mut self) -> Result<Marked, HeapCorrupted> {
        loop {
            if let Some(at) = self.references.pop() {
                self.prefetch(at);
                if let Some((due, _)) = self.ahead.push((at, at)) {
                    self.visit(due)?;
                }
                continue;
            }
            if let Some((due, _)) = self.ahead.pop() {
                self.visit(due)?;
                continue;
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

#[cold]
#[inline(never)]
fn no_object(at: u32) -> HeapCorrupted {
    HeapCorrupted { what: "reference to where no object is", at }
}
