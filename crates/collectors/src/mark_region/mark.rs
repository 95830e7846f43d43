//! Marking, and evacuation on the way.
//!
//! An object that is reached for the first time is measured and validated, marked in the tables, and put on the list of
//! objects whose references are to be followed. If its block is being evacuated and there is room elsewhere, it is
//! copied first, and its old word 0 becomes its new place plus one.
//!
//! What it guarantees whatever the heap holds: only lines in use are marked, and in each block no more bytes than it
//! has; so no more than the heap's size is scanned. Copies go to lines that were free. A forwarding word is
//! followed to a marked object only.
//!
//! Lines are marked exactly. The paper marks the line of an object's start and treats the next as marked, which
//! saves looking up sizes; here the size is at hand, because no object is marked before its extent has been checked.

use super::blocks::{Blocks, Kind};
use super::geometry::{BLOCK, GRANULE, LINE, Span, block_of, block_start, lines_of};
use super::marks::MarksMut;
use crate::shapes::{Extent, Shapes, Trace};
use heapwright_gc_heap::{HeapCorrupted, Words};
use std::rc::Rc;

/// Elements of an array that are looked at before the objects found in them: keeps the list of pending objects short.
const CHUNK: u32 = 64;

/// What marking found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) bytes_copied: u64,
    /// Host ids in live boxes.
    pub(super) hosts: Vec<u32>,
    /// Where the live objects are, in no order; if wanted.
    pub(super) extents: Option<Vec<Span>>,
}

/// Marking at work. `MOVE` says whether some blocks are [`Kind::Leaving`].
pub(super) struct Marker<'a, const MOVE: bool> {
    words: Words<'a>,
    shapes: Shapes<'a>,
    blocks: &'a mut Blocks,
    marks: MarksMut<'a>,
    /// Marked objects whose references have not been followed.
    objects: Vec<u32>,
    /// Elements of marked arrays that have not been followed.
    ranges: Vec<Span>,
    /// Where objects are copied to.
    hole: Span,
    /// Where objects of more than a line are copied to that the hole has no room for.
    overflow: Span,
    found: Found,
}

impl<'a, const MOVE: bool> Marker<'a, MOVE> {
    /// Clears the marks.
    pub(super) fn new(
        words: Words<'a>,
        shapes: Shapes<'a>,
        blocks: &'a mut Blocks,
        mut marks: MarksMut<'a>,
        extents: bool,
    ) -> Self {
        marks.clear();
        blocks.live.fill(0);
        Marker {
            words,
            shapes,
            blocks,
            marks,
            objects: Vec::new(),
            ranges: Vec::new(),
            hole: Span::default(),
            overflow: Span::default(),
            found: Found { extents: extents.then(Vec::new), ..Found::default() },
        }
    }

    /// Marks the object at `at` unless it is marked already. Returns where it is now.
    #[inline(always)]
    pub(super) fn reach(&mut self, at: u32) -> Result<u32, HeapCorrupted> {
        if at.is_multiple_of(GRANULE) && self.marks.has(at) { Ok(at) } else { self.discover(at) }
    }

    fn discover(&mut self, at: u32) -> Result<u32, HeapCorrupted> {
        let block = block_of(at);
        let kind = *self.blocks.kinds.get(block).unwrap_or(&Kind::Free);
        if !at.is_multiple_of(GRANULE) || kind == Kind::Free {
            return Err(no_object(at));
        }
        let type_word = self.words.get(at)?;
        if type_word & 1 != 0 {
            let place = type_word - 1;
            let moved = MOVE && kind == Kind::Leaving && place.is_multiple_of(GRANULE) && self.marks.has(place);
            return if moved { Ok(place) } else { Err(no_type(type_word)) };
        }
        let length_offset = self.shapes.length_offset();
        let extent = self.shapes.get(type_word)?.extent(&self.words, at, length_offset)?;
        if matches!(kind, Kind::Large | Kind::Rest) {
            return self.mark_large(at, type_word, extent);
        }
        let offset = at - block_start(block);
        if extent.size > BLOCK - offset {
            return Err(HeapCorrupted { what: "object reaches beyond its block", at });
        }
        let lines = lines_of(offset, extent.size);
        if self.blocks.used[block] & lines != lines {
            return Err(no_object(at));
        }
        if MOVE
            && kind == Kind::Leaving
            && let Some(place) = self.room(extent.size)
        {
            self.words.copy_apart(place, at, extent.size)?;
            self.words.set(at, place | 1)?;
            self.found.bytes_copied += u64::from(extent.size);
            let block = block_of(place);
            let lines = lines_of(place - block_start(block), extent.size);
            self.marks.add_lines(block, lines);
            return self.mark(place, block, type_word, extent);
        }
        self.marks.add_lines(block, lines);
        self.mark(at, block, type_word, extent)
    }

    #[cold]
    fn mark_large(&mut self, at: u32, type_word: u32, mut extent: Extent) -> Result<u32, HeapCorrupted> {
        let block = block_of(at);
        let allocated = self.blocks.large.get(&block).filter(|_| at == block_start(block));
        let Some(&allocated) = allocated.filter(|allocated| extent.size <= **allocated) else {
            return Err(no_object(at));
        };
        extent.size = allocated;
        self.mark(at, block, type_word, extent)
    }

    /// Marks an object that is known to lie inside its lines, and enters what it refers to into the lists.
    #[inline(always)]
    fn mark(&mut self, at: u32, block: usize, type_word: u32, extent: Extent) -> Result<u32, HeapCorrupted> {
        self.marks.add(at);
        let live = &mut self.blocks.live[block];
        *live += extent.size;
        if *live > extent.size.max(BLOCK) {
            return Err(HeapCorrupted { what: "objects overlap", at });
        }
        self.found.objects += 1;
        if let Some(extents) = &mut self.found.extents {
            extents.push(Span { start: at, end: at + extent.size });
        }
        let length_offset = self.shapes.length_offset();
        let shape = self.shapes.get(type_word)?;
        match &shape.trace {
            Trace::Nothing => {}
            Trace::Bits(_) | Trace::List(_) => self.objects.push(at),
            Trace::Elements => {
                let (start, end) = (at + shape.elements(), at + extent.elements_end);
                self.ranges.push(Span { start, end });
            }
            Trace::Host => self.found.hosts.push(self.words.get(at + length_offset)?),
        }
        Ok(at)
    }

    /// A place to copy an object of `size` bytes to, if there is one: this is opportunistic.
    fn room(&mut self, size: u32) -> Option<u32> {
        if let Some(at) = self.hole.take(size) {
            return Some(at);
        }
        if size <= LINE {
            self.hole = self.blocks.take_hole(0)?;
            return self.hole.take(size);
        }
        self.blocks.alloc_overflow(&mut self.overflow, size, 0)
    }

    #[inline(always)]
    fn slot(&mut self, slot: u32) -> Result<(), HeapCorrupted> {
        let reference = self.words.get(slot)?;
        if reference != 0 && reference & 1 == 0 {
            let place = self.reach(reference)?;
            if MOVE && place != reference {
                self.words.set(slot, place)?;
            }
        }
        Ok(())
    }

    /// Follows all references. Objects come before array elements, so that the list of objects grows with the graph's
    /// depth, not with the length of an array.
    pub(super) fn finish(mut self) -> Result<Found, HeapCorrupted> {
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
                        let list = Rc::clone(list);
                        for offset in list.iter() {
                            self.slot(at.wrapping_add(*offset))?;
                        }
                    }
                    // A forged type that changed meanwhile: nothing that the program knows of is lost.
                    Trace::Nothing | Trace::Elements | Trace::Host => {}
                }
            }
            let Some(range) = self.ranges.pop() else { break };
            let end = range.end.min(range.start.saturating_add(4 * CHUNK));
            if end < range.end {
                self.ranges.push(Span { start: end, end: range.end });
            }
            for slot in (range.start..end).step_by(4) {
                self.slot(slot)?;
            }
        }
        self.found.bytes = self.blocks.live.iter().map(|bytes| u64::from(*bytes)).sum();
        Ok(self.found)
    }
}

#[cold]
fn no_type(type_word: u32) -> HeapCorrupted {
    HeapCorrupted { what: "type word names no type", at: type_word }
}

#[cold]
fn no_object(at: u32) -> HeapCorrupted {
    HeapCorrupted { what: "reference to where no object is", at }
}
