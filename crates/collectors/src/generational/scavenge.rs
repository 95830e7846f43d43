//! A minor collection: what lives in the nursery is copied out of it.
//!
//! Two Cheney queues grow at once: the survivor space takes objects that came from eden, old space those that have
//! survived once already (unless those are to stay young), and whatever the survivor space has no room for. Nothing else in the heap is read than the nursery, the
//! copies, and what the remembered set names.
//!
//! What it guarantees whatever the heap holds: it follows references only into the used parts of the nursery, writes
//! only there, to the two queues and to remembered slots, and ends, because it copies no more bytes than the nursery held
//! and scans no more remembered bytes than there are.

use super::geometry::{PAGE, Span};
use super::pages::{Pages, Use};
use crate::ahead::Ahead;
use crate::shapes::{Shapes, Trace};
use heapwright_gc_heap::{HeapCorrupted, Words};
use std::rc::Rc;

/// How many slots ahead objects are asked for.
pub(super) const AHEAD: usize = 8;

/// The places concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// The whole nursery.
    pub(super) nursery: Span,
    /// The used part of eden.
    pub(super) eden: Span,
    /// The used part of the survivor space in use.
    pub(super) survivors: Span,
    /// The other survivor space; empty when everything is to be promoted.
    pub(super) to: Span,
    /// Where old space has room for everything.
    pub(super) old: Span,
    /// Whether what has survived before stays young, as far as there is room.
    pub(super) stay: bool,
}

/// A queue of copied objects: `[start, scan)` is done, `[scan, free)` is not.
struct Queue {
    start: u32,
    scan: u32,
    free: u32,
    end: u32,
}

impl Queue {
    fn new(span: Span) -> Queue {
        Queue { start: span.start, scan: span.start, free: span.start, end: span.end }
    }

    #[inline(always)]
    fn has(&self, at: u32) -> bool {
        at.wrapping_sub(self.start) < self.free - self.start
    }
}

/// What a minor collection leaves behind.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// End of the survivors.
    pub(super) survivors_end: u32,
    /// End of what was promoted.
    pub(super) old_end: u32,
    /// Objects copied.
    pub(super) objects: u64,
    /// Bytes copied out of the survivor space.
    pub(super) aged_bytes: u64,
    /// Slots outside the nursery whose referents are young still.
    pub(super) slots: Vec<u32>,
    /// Host ids in boxes that are young still.
    pub(super) young_hosts: Vec<u32>,
    /// Host ids in promoted boxes.
    pub(super) old_hosts: Vec<u32>,
}

/// A minor collection at work.
pub(super) struct Scavenge<'a> {
    words: Words<'a>,
    shapes: Shapes<'a>,
    pages: &'a Pages,
    nursery: Span,
    eden: Span,
    from: Span,
    to: Queue,
    old: Queue,
    stay: bool,
    /// Bytes that may still be copied.
    room: u32,
    /// Bytes of remembered objects that may still be scanned.
    scannable: u64,
    /// Slots of copies that are to be updated.
    ahead: Ahead,
    outcome: Outcome,
}

impl<'a> Scavenge<'a> {
    /// `words` covers the memory, of which `scannable` bytes can belong to remembered objects.
    pub(super) fn new(
        words: Words<'a>,
        shapes: Shapes<'a>,
        pages: &'a Pages,
        places: Places,
        scannable: u64,
    ) -> Scavenge<'a> {
        let ahead = Ahead::new(&words);
        Scavenge {
            words,
            shapes,
            pages,
            nursery: places.nursery,
            eden: places.eden,
            from: places.survivors,
            to: Queue::new(places.to),
            old: Queue::new(places.old),
            stay: places.stay,
            room: places.eden.len() + places.survivors.len(),
            scannable,
            ahead,
            outcome: Outcome::default(),
        }
    }

    /// The new value of a root, and whether it names an object that is old now.
    #[inline]
    pub(super) fn root(&mut self, reference: u32) -> Result<(u32, bool), HeapCorrupted> {
        if self.nursery.contains(reference) {
            let place = self.forward(reference)?;
            return Ok((place, !self.to.has(place)));
        }
        self.check_settled(reference)?;
        Ok((reference, true))
    }

    /// Asks the processor for the object that a slot names.
    #[inline(always)]
    pub(super) fn prefetch(&self, slot: u32) {
        if self.ahead.waits()
            && let Ok(reference) = self.words.get(slot)
        {
            self.words.prefetch(reference);
        }
    }

    /// Updates a slot outside the nursery, which may have been visited before.
    #[inline]
    pub(super) fn remembered_slot(&mut self, slot: u32) -> Result<(), HeapCorrupted> {
        let reference = self.words.get(slot)?;
        if reference & 1 != 0 || !self.nursery.contains(reference) || self.to.has(reference) {
            return Ok(());
        }
        let place = self.forward(reference)?;
        self.words.set(slot, place)?;
        if self.to.has(place) {
            self.outcome.slots.push(slot);
        }
        Ok(())
    }

    /// Updates all slots of the object at `at`, outside the nursery and no larger than `max` bytes.
    pub(super) fn remembered_object(&mut self, at: u32, max: u32) -> Result<(), HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        let shape = self.shapes.get(self.words.get(at)?)?.clone();
        let extent = shape.extent(&self.words, at, length_offset)?;
        let scannable = self.scannable.checked_sub(extent.size.into());
        let Some(scannable) = scannable.filter(|_| extent.size <= max && at.is_multiple_of(8)) else {
            return Err(HeapCorrupted { what: "object reaches beyond its place", at });
        };
        self.scannable = scannable;
        shape.for_each_slot(at, extent, |slot| self.remembered_slot(slot))
    }

    /// A reference out of the nursery must name an object, as far as the pages tell.
    #[inline(always)]
    fn check_settled(&self, reference: u32) -> Result<(), HeapCorrupted> {
        match self.pages.at(reference) {
            Use::Old if reference.is_multiple_of(8) => Ok(()),
            Use::Large if reference.is_multiple_of(PAGE) => Ok(()),
            _ => Err(outside(reference)),
        }
    }

    /// The new place of a nursery object, copying it if this is the first time it is met.
    #[inline(always)]
    fn forward(&mut self, at: u32) -> Result<u32, HeapCorrupted> {
        let (part, aged) = if self.eden.contains(at) {
            (self.eden, false)
        } else if self.from.contains(at) {
            (self.from, true)
        } else {
            return Err(outside(at));
        };
        if !at.is_multiple_of(8) {
            return Err(outside(at));
        }
        let word = self.words.get(at)?;
        if word & 1 == 0 {
            return self.copy(at, word, part.end - at, aged);
        }
        let place = word - 1;
        if !place.is_multiple_of(8) || !(self.to.has(place) || self.old.has(place)) {
            return Err(HeapCorrupted { what: "type word names no type", at: word });
        }
        Ok(place)
    }

    fn copy(&mut self, at: u32, type_word: u32, max: u32, aged: bool) -> Result<u32, HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        let size = self.shapes.get(type_word)?.extent(&self.words, at, length_offset)?.size;
        if size > max {
            return Err(HeapCorrupted { what: "object reaches beyond the nursery", at });
        }
        let Some(room) = self.room.checked_sub(size) else {
            return Err(HeapCorrupted { what: "objects overlap", at });
        };
        self.room = room;
        let queue =
            if (aged && !self.stay) || size > self.to.end - self.to.free { &mut self.old } else { &mut self.to };
        let place = queue.free;
        if size > queue.end - place {
            // Old space was given room for the whole nursery.
            return Err(HeapCorrupted { what: "objects overlap", at });
        }
        queue.free = place + size;
        self.words.copy_apart(place, at, size)?;
        self.words.set(at, place | 1)?;
        self.outcome.objects += 1;
        if aged {
            self.outcome.aged_bytes += u64::from(size);
        }
        Ok(place)
    }

    /// Updates the copies, which makes more of them, until none is left.
    pub(super) fn finish(mut self) -> Result<Outcome, HeapCorrupted> {
        loop {
            while self.to.scan < self.to.free {
                self.to.scan = self.scan::<false>(self.to.scan, self.to.free)?;
            }
            while self.old.scan < self.old.free {
                self.old.scan = self.scan::<true>(self.old.scan, self.old.free)?;
            }
            if self.to.scan == self.to.free {
                let Some((slot, reference)) = self.ahead.pop() else { break };
                self.settle(slot, reference)?;
            }
        }
        (self.outcome.survivors_end, self.outcome.old_end) = (self.to.free, self.old.free);
        Ok(self.outcome)
    }

    /// Updates the copy at `at` and returns its end.
    #[inline(always)]
    fn scan<const OLD: bool>(&mut self, at: u32, free: u32) -> Result<u32, HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        let shape = self.shapes.get(self.words.get(at)?)?;
        let extent = shape.extent(&self.words, at, length_offset)?;
        if extent.size > free - at {
            return Err(HeapCorrupted { what: "object reaches beyond its place", at });
        }
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
            Trace::Host => {
                let id = self.words.get(at + length_offset)?;
                let hosts = if OLD { &mut self.outcome.old_hosts } else { &mut self.outcome.young_hosts };
                hosts.push(id);
            }
        }
        Ok(at + extent.size)
    }

    /// Sees to it that a slot of a copy is updated, for the first and only time.
    #[inline(always)]
    fn update(&mut self, slot: u32) -> Result<(), HeapCorrupted> {
        let reference = self.words.get(slot)?;
        if reference == 0 || reference & 1 != 0 {
            return Ok(());
        }
        if !self.nursery.contains(reference) {
            return self.check_settled(reference);
        }
        if self.ahead.waits() {
            self.words.prefetch(reference);
        }
        match self.ahead.push((slot, reference)) {
            Some((slot, reference)) => self.settle(slot, reference),
            None => Ok(()),
        }
    }

    /// Updates a slot of a copy that names the nursery.
    #[inline(always)]
    fn settle(&mut self, slot: u32, reference: u32) -> Result<(), HeapCorrupted> {
        let place = self.forward(reference)?;
        self.words.set(slot, place)?;
        if self.to.has(place) && self.old.has(slot) {
            self.outcome.slots.push(slot);
        }
        Ok(())
    }
}

#[cold]
#[inline(never)]
fn outside(at: u32) -> HeapCorrupted {
    HeapCorrupted { what: "reference to where no object is", at }
}
