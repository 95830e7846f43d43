//! The work of one collection: counting, freeing, tracing.
//!
//! All three go through the graph with a list of pending objects, never by recursion, and treat an object in the same
//! two steps: a reference to it changes its count word, and when that decides its fate it is put on the list; taken
//! from the list, it is measured, its range changes sets (young to live, or live to free), and its own references
//! are followed. The sets refuse what does not add up, and since each range changes sets once, the work is bounded
//! by the heap's size whatever the heap holds.

use super::count::{COUNT_OFFSET, LOGGED, ONE, down, is_zero, up};
use super::extents::Extents;
use super::log::Log;
use crate::shapes::{Shapes, Trace};
use heapwright_gc_heap::{HeapCorrupted, Words};

/// A collection at work.
pub(super) struct Cycle<'a> {
    pub(super) words: Words<'a>,
    pub(super) shapes: Shapes<'a>,
    /// Where live objects are.
    pub(super) live: &'a mut Extents,
    /// What may become live: allocated ranges of which no object has been found yet.
    pub(super) candidates: &'a mut Extents,
    /// Objects whose fate is decided and whose references are not yet followed.
    pub(super) pending: Vec<u32>,
    /// Bytes in `live`.
    pub(super) live_bytes: u64,
    /// Host ids of the boxes that became live.
    pub(super) hosts_found: Vec<u32>,
    /// Host ids of the boxes that were freed.
    pub(super) hosts_lost: Vec<u32>,
    /// Objects that became live or were freed.
    pub(super) visited: u64,
    /// When zeal asks for it, the ranges that were freed.
    pub(super) freed: Option<Vec<(u32, u32)>>,
}

impl Cycle<'_> {
    /// Counts a reference. The first one to a young object makes it live.
    #[inline(always)]
    pub(super) fn increment(&mut self, reference: u32) -> Result<(), HeapCorrupted> {
        increment(&mut self.words, &mut self.pending, reference)
    }

    /// Takes a counted reference away. With the last one the object is to be freed.
    #[inline(always)]
    pub(super) fn decrement(&mut self, reference: u32) -> Result<(), HeapCorrupted> {
        decrement(&mut self.words, &mut self.pending, reference)
    }

    /// Counts a reference in a full trace, where `seen` says whose count has begun.
    #[inline(always)]
    pub(super) fn trace(&mut self, seen: &mut Extents, reference: u32) -> Result<(), HeapCorrupted> {
        trace(&mut self.words, &mut self.pending, seen, reference)
    }

    /// Counts what the logged slots hold now, and lets stores into their objects be logged again.
    pub(super) fn count_logged(&mut self, log: &Log) -> Result<(), HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        let Cycle { words, shapes, pending, .. } = self;
        // Logged objects do not overlap, so together they are no larger than the heap.
        let mut budget = words.end();
        for &at in &log.objects {
            unlog(words, at)?;
            let shape = shapes.get(words.get(at)?)?;
            let extent = shape.extent(words, at, length_offset)?;
            budget = spend(budget, extent.size, at)?;
            shape.for_each_slot(at, extent, |slot| increment_slot(words, pending, slot))?;
        }
        for &at in &log.arrays {
            unlog(words, at)?;
        }
        for &(start, end) in &log.ranges {
            for slot in (start..end).step_by(4) {
                increment_slot(words, pending, slot)?;
            }
        }
        Ok(())
    }

    /// Makes the pending young objects live, and all that they reach.
    pub(super) fn promote_pending(&mut self) -> Result<(), HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        while let Some(at) = self.pending.pop() {
            let Cycle { words, shapes, pending, .. } = self;
            let shape = shapes.get(words.get(at)?)?;
            let extent = shape.extent(words, at, length_offset)?;
            shape.for_each_slot(at, extent, |slot| increment_slot(words, pending, slot))?;
            let is_host = matches!(shape.trace, Trace::Host);
            self.make_live(at, extent.size, is_host)?;
        }
        Ok(())
    }

    /// The same for a full trace.
    pub(super) fn trace_pending(&mut self, seen: &mut Extents) -> Result<(), HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        while let Some(at) = self.pending.pop() {
            let Cycle { words, shapes, pending, .. } = self;
            let shape = shapes.get(words.get(at)?)?;
            let extent = shape.extent(words, at, length_offset)?;
            shape.for_each_slot(at, extent, |slot| {
                let reference = words.get(slot)?;
                if is_object(reference) { trace(words, pending, seen, reference) } else { Ok(()) }
            })?;
            let is_host = matches!(shape.trace, Trace::Host);
            self.make_live(at, extent.size, is_host)?;
        }
        Ok(())
    }

    /// Frees the pending objects, and all that lose their last reference by it.
    pub(super) fn free_pending(&mut self) -> Result<(), HeapCorrupted> {
        let length_offset = self.shapes.length_offset();
        while let Some(at) = self.pending.pop() {
            let Cycle { words, shapes, pending, live, .. } = self;
            let shape = shapes.get(words.get(at)?)?;
            let extent = shape.extent(words, at, length_offset)?;
            let end = object_end(at, extent.size)?;
            if !live.remove(at, end) {
                return Err(HeapCorrupted { what: "drc: freed memory that no live object occupies", at });
            }
            shape.for_each_slot(at, extent, |slot| {
                let reference = words.get(slot)?;
                if is_object(reference) { decrement(words, pending, reference) } else { Ok(()) }
            })?;
            if let Trace::Host = shape.trace {
                self.hosts_lost.push(words.get(at.wrapping_add(length_offset))?);
            }
            if let Some(freed) = &mut self.freed {
                freed.push((at, end));
            }
            self.live_bytes = self.live_bytes.saturating_sub(u64::from(extent.size));
            self.visited += 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn make_live(&mut self, at: u32, size: u32, is_host: bool) -> Result<(), HeapCorrupted> {
        let end = object_end(at, size)?;
        if !self.candidates.remove(at, end) {
            return Err(HeapCorrupted { what: "reference to memory that no object occupies", at });
        }
        self.live.insert(at, end);
        self.live_bytes += u64::from(size);
        self.visited += 1;
        if is_host {
            let id = self.words.get(at.wrapping_add(self.shapes.length_offset()))?;
            self.hosts_found.push(id);
        }
        Ok(())
    }
}

#[inline(always)]
fn is_object(reference: u32) -> bool {
    reference != 0 && reference & 1 == 0
}

#[inline(always)]
fn increment_slot(words: &mut Words<'_>, pending: &mut Vec<u32>, slot: u32) -> Result<(), HeapCorrupted> {
    let reference = words.get(slot)?;
    if is_object(reference) { increment(words, pending, reference) } else { Ok(()) }
}

#[inline(always)]
fn increment(words: &mut Words<'_>, pending: &mut Vec<u32>, at: u32) -> Result<(), HeapCorrupted> {
    let word = count_word(words, at)?;
    if is_zero(word) {
        // Stores into it are logged from now on.
        pending.push(at);
        words.set(at.wrapping_add(COUNT_OFFSET), ONE)
    } else {
        words.set(at.wrapping_add(COUNT_OFFSET), up(word))
    }
}

#[inline(always)]
fn decrement(words: &mut Words<'_>, pending: &mut Vec<u32>, at: u32) -> Result<(), HeapCorrupted> {
    let word = count_word(words, at)?;
    if is_zero(word) {
        return Err(HeapCorrupted { what: "drc: a count fell below zero", at });
    }
    let word = down(word);
    if is_zero(word) {
        pending.push(at);
    }
    words.set(at.wrapping_add(COUNT_OFFSET), word)
}

#[inline(always)]
fn trace(words: &mut Words<'_>, pending: &mut Vec<u32>, seen: &mut Extents, at: u32) -> Result<(), HeapCorrupted> {
    let word = count_word(words, at)?;
    if seen.insert(at, at.wrapping_add(8)) {
        pending.push(at);
        words.set(at.wrapping_add(COUNT_OFFSET), ONE)
    } else {
        words.set(at.wrapping_add(COUNT_OFFSET), up(word))
    }
}

#[inline(always)]
fn count_word(words: &Words<'_>, at: u32) -> Result<u32, HeapCorrupted> {
    if !at.is_multiple_of(8) {
        return Err(HeapCorrupted { what: "misaligned reference", at });
    }
    words.get(at.wrapping_add(COUNT_OFFSET))
}

fn unlog(words: &mut Words<'_>, at: u32) -> Result<(), HeapCorrupted> {
    let word = count_word(words, at)?;
    words.set(at.wrapping_add(COUNT_OFFSET), word & !LOGGED)
}

fn spend(budget: u64, size: u32, at: u32) -> Result<u64, HeapCorrupted> {
    budget.checked_sub(u64::from(size)).ok_or(HeapCorrupted { what: "objects overlap", at })
}

#[inline(always)]
fn object_end(at: u32, size: u32) -> Result<u32, HeapCorrupted> {
    at.checked_add(size).ok_or(HeapCorrupted { what: "object reaches beyond the heap", at })
}
