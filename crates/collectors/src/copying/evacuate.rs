//! One evacuation: from-space to to-space.
//!
//! What it guarantees whatever the heap holds: it reads only the used part of from-space and the filled part of
//! to-space, writes only those, and ends after at most one pass over to-space, because the scan pointer moves forward
//! with each object and the free pointer never passes the end.

use crate::ahead::Ahead;
use crate::shapes::{Shapes, Trace};
use heapwright_gc_heap::{Bug, HeaderLayout, HeapCorrupted, HeapMemory, TypeSpace, Words, planted};
use std::rc::Rc;

/// A copy in progress.
pub(super) struct Evacuation<'a> {
    /// The used part of from-space; all that a reference may name.
    from: Words<'a>,
    from_start: u32,
    from_used: u32,
    /// To-space. `[to_start, scan)` is done, `[scan, free)` copied and not yet scanned.
    to: Words<'a>,
    to_start: u32,
    to_end: u32,
    scan: u32,
    free: u32,
    shapes: Shapes<'a>,
    objects: u64,
    hosts: Vec<u32>,
    /// Slots of copies that are to be updated.
    ahead: Ahead,
}

impl<'a> Evacuation<'a> {
    /// Prepares to copy from `[from.0, from.1)` to `[to.0, to.1)`; the ranges are disjoint.
    pub(super) fn new(
        memory: &'a mut HeapMemory,
        space: &'a TypeSpace,
        from: (u32, u32),
        to: (u32, u32),
        header: HeaderLayout,
    ) -> Result<Evacuation<'a>, HeapCorrupted> {
        let both = memory.words(from.0.min(to.0), from.1.max(to.1))?;
        let cut = both.split(from.0.max(to.0));
        let Some((low, high)) = cut else {
            return Err(HeapCorrupted { what: "copying: spaces overlap", at: from.0 });
        };
        let ahead = Ahead::new(&low);
        let (from_words, to_words) = if from.0 < to.0 { (low, high) } else { (high, low) };
        Ok(Evacuation {
            from: from_words,
            from_start: from.0,
            from_used: from.1 - from.0,
            to: to_words,
            to_start: to.0,
            to_end: to.1,
            scan: to.0,
            free: to.0,
            shapes: Shapes::new(space, header.bytes()),
            objects: 0,
            hosts: Vec::new(),
            ahead,
        })
    }

    /// The new place of the object at `at`, copying it if this is the first time it is met.
    #[inline(always)]
    pub(super) fn forward(&mut self, at: u32) -> Result<u32, HeapCorrupted> {
        let inside = at.wrapping_sub(self.from_start);
        if inside >= self.from_used || !at.is_multiple_of(8) {
            return Err(HeapCorrupted { what: "reference outside the space in use", at });
        }
        let word = self.from.get(at)?;
        if word & 1 == 0 {
            return self.copy(at, word);
        }
        let place = if planted(Bug::WrongForwardingMask) { word & !15 } else { word - 1 };
        if place.wrapping_sub(self.to_start) >= self.free - self.to_start || place % 8 != 0 {
            return Err(HeapCorrupted { what: "type word names no type", at: word });
        }
        Ok(place)
    }

    fn copy(&mut self, at: u32, type_word: u32) -> Result<u32, HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        let size = self.shapes.get(type_word)?.extent(&self.from, at, length_offset)?.size;
        if size > self.from_used - (at - self.from_start) {
            return Err(HeapCorrupted { what: "object reaches beyond the space in use", at });
        }
        let place = self.free;
        if size > self.to_end - place {
            // Everything in from-space fits to-space once: something was copied twice.
            return Err(HeapCorrupted { what: "objects overlap", at });
        }
        self.to.copy_from(place, &self.from, at, size)?;
        self.from.set(at, place | 1)?;
        self.free = place + size;
        self.objects += 1;
        Ok(place)
    }

    /// Forwards every reference in the copied objects, which copies more, until none is left.
    pub(super) fn scan(&mut self) -> Result<(), HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        loop {
            if self.scan == self.free {
                let Some((slot, reference)) = self.ahead.pop() else { return Ok(()) };
                self.settle(slot, reference)?;
                continue;
            }
            let at = self.scan;
            let shape = self.shapes.get(self.to.get(at)?)?;
            let extent = shape.extent(&self.to, at, length_offset)?;
            self.scan = match at.checked_add(extent.size) {
                Some(next) if next <= self.free => next,
                _ => return Err(HeapCorrupted { what: "object reaches beyond the space in use", at }),
            };
            match &shape.trace {
                Trace::Nothing => {}
                Trace::Bits(bits) => {
                    let mut bits = *bits;
                    while bits != 0 {
                        self.update(at + 4 * bits.trailing_zeros())?;
                        bits &= bits - 1;
                    }
                }
                Trace::List(list) => {
                    let list = Rc::clone(list);
                    for offset in list.iter() {
                        self.update(at + offset)?;
                    }
                }
                Trace::Elements => {
                    for slot in (at + shape.elements()..at + extent.elements_end).step_by(4) {
                        self.update(slot)?;
                    }
                }
                Trace::Host => self.hosts.push(self.to.get(at + length_offset)?),
            }
        }
    }

    #[inline(always)]
    fn update(&mut self, slot: u32) -> Result<(), HeapCorrupted> {
        let reference = self.to.get(slot)?;
        if reference == 0 || reference & 1 != 0 {
            return Ok(());
        }
        if self.ahead.waits() {
            self.from.prefetch(reference);
        }
        match self.ahead.push((slot, reference)) {
            Some((slot, reference)) => self.settle(slot, reference),
            None => Ok(()),
        }
    }

    #[inline(always)]
    fn settle(&mut self, slot: u32, reference: u32) -> Result<(), HeapCorrupted> {
        let place = self.forward(reference)?;
        self.to.set(slot, place)
    }

    /// The end of what was copied, the number of objects, and the host ids found in them.
    pub(super) fn finish(self) -> (u32, u64, Vec<u32>) {
        (self.free, self.objects, self.hosts)
    }
}
