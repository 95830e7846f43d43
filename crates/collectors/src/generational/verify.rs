//! What must hold between collections.

use super::geometry::PAGE;
use super::pages::Use;
use super::remember::is_marked;
use super::{Generational, SPEC};
use crate::shapes::Shape;
use heapwright_gc_heap::{GcRef, Heap, HeapCorrupted};
use std::collections::HashSet;

impl Generational {
    /// Checks that pages, spaces and the mutator's words agree.
    pub(super) fn verify_spaces(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        self.pages.verify()?;
        self.large.verify(&self.pages)?;
        for segment in self.old.segments() {
            if (segment.start..segment.end).step_by(PAGE as usize).any(|at| self.pages.at(at) != Use::Old) {
                return Err(HeapCorrupted { what: "generational: an old segment lacks its pages", at: segment.start });
            }
        }
        let nursery = self.young.layout.whole();
        if heap.mutator().collector[..2] != self.barrier_words() {
            return Err(HeapCorrupted { what: "generational: the barrier has another nursery", at: nursery.start });
        }
        Ok(())
    }

    /// Checks that every reference from outside the nursery into it is remembered, in dead objects too, and that old
    /// segments are filled with objects; nothing when a full collection comes next.
    pub(super) fn verify_remembered(&self, heap: &Heap) -> Result<(), HeapCorrupted> {
        let objects = self.remembered.objects.iter().chain(&self.large.fresh);
        let known: HashSet<u32> = objects.chain(self.remembered.pending(heap)).copied().collect();
        if self.young.unlogged {
            return Ok(());
        }
        for segment in self.old.segments() {
            let mut at = segment.start;
            while at < segment.end {
                at += self.verify_object(heap, &known, at, segment.end - at)?;
            }
        }
        self.large.iter().try_for_each(|(at, size)| self.verify_object(heap, &known, at, size).map(|_| ()))
    }

    /// Checks the object at `at`, of at most `max` bytes, and returns its size. All slots of objects in `known` are remembered.
    fn verify_object(&self, heap: &Heap, known: &HashSet<u32>, at: u32, max: u32) -> Result<u32, HeapCorrupted> {
        let (memory, header) = (heap.memory(), SPEC.header_layout());
        let shape = Shape::decode(heap.types().space(), memory.load_u32(at)?, header.bytes())?;
        let extent = match shape.struct_extent() {
            Some(extent) => extent,
            None => shape.array_extent(at, memory.load_u32(at + header.length_offset())?)?,
        };
        if extent.size > max {
            return Err(HeapCorrupted { what: "generational: an old object reaches beyond its place", at });
        }
        if !known.contains(&at) {
            let nursery = self.young.layout.whole();
            shape.for_each_slot(at, extent, |slot| {
                let reference = GcRef::from_raw(memory.load_u32(slot)?);
                if reference.is_object() && nursery.contains(reference.raw()) && !is_marked(heap, slot) {
                    return Err(HeapCorrupted { what: "generational: a slot is not remembered", at: slot });
                }
                Ok(())
            })?;
        }
        Ok(extent.size)
    }
}
