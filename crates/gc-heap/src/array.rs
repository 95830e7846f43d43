//! Bulk access to arrays from Rust.

use crate::canon::Layout;
use crate::object::Place;
use crate::planted::{Bug, planted};
use crate::types::StorageType;
use crate::{BadReference, BulkBarrier, GcRef, Heap, HeapCorrupted, Value};

/// A checked range of an array's elements, as far as the type's entry describes them.
#[derive(Clone, Copy)]
struct Range {
    /// Heap offset of the first.
    start: u32,
    count: u32,
    shift: u8,
    traced: bool,
}

impl Range {
    /// Heap offset of the `i`-th element.
    fn slot(&self, i: u32) -> u32 {
        self.start.wrapping_add(i << self.shift)
    }

    fn bytes(&self) -> u64 {
        u64::from(self.count) << self.shift
    }
}

/// A checked range of an array's elements, with what is stored in them.
#[derive(Clone, Copy)]
pub(crate) struct Elements {
    range: Range,
    storage: StorageType,
}

impl Elements {
    /// The place of the `i`-th element of the range.
    pub(crate) fn place(&self, i: u32) -> Place {
        Place { slot: self.range.slot(i), storage: self.storage, traced: self.range.traced }
    }
}

#[allow(clippy::missing_errors_doc, reason = "`BadReference` tells its kinds where it is declared")]
impl Heap {
    /// The elements `[start, start + count)` of the array `r`.
    pub(crate) fn elements(&mut self, r: GcRef, start: u32, count: u32) -> Result<Elements, BadReference> {
        let range = self.element_range(r, start, count)?;
        let entry = self.type_of(r)?;
        let (id, offset) = (entry.id, entry.elements_offset);
        let Layout::Array(layout) = self.layout(id)? else { return Err(changing(r)) };
        // The entry gave the extent and the registry gives the rest. They agree unless the type word is forged.
        if layout.elements_offset != offset || layout.element_shift != range.shift || layout.traced != range.traced {
            return Err(changing(r));
        }
        Ok(Elements { range, storage: layout.storage })
    }

    /// `count` elements from `start` on, which exist.
    #[inline]
    fn element_range(&self, r: GcRef, start: u32, count: u32) -> Result<Range, BadReference> {
        let entry = self.type_of(r)?;
        let (length, _) = self.array_extent(r.raw(), &entry)?;
        if u64::from(start) + u64::from(count) > u64::from(length) {
            return Err(BadReference::OutOfBounds);
        }
        // It wraps at most for no element at the very end of the address space.
        let first = r.raw().wrapping_add(entry.elements_offset).wrapping_add(start << entry.element_shift);
        Ok(Range { start: first, count, shift: entry.element_shift, traced: entry.elements_traced })
    }

    /// `array.fill`: [`BadReference::OutOfBounds`] leaves the array as it was. With `fresh`, init barriers.
    pub fn array_fill(
        &mut self,
        r: GcRef,
        start: u32,
        value: Value,
        count: u32,
        fresh: bool,
    ) -> Result<(), BadReference> {
        let result = self.elements(r, start, count).and_then(|elements| self.fill(r, elements, value, fresh));
        self.note(result)
    }

    fn fill(&mut self, r: GcRef, elements: Elements, value: Value, fresh: bool) -> Result<(), BadReference> {
        if elements.range.count == 0 {
            return Ok(());
        }
        let mut each = None;
        if let (true, Value::Ref(new)) = (elements.range.traced, value) {
            match self.spec.barriers.bulk {
                _ if fresh => each = self.spec.barriers.init,
                BulkBarrier::None => {}
                BulkBarrier::Object(program) => self.before_store(program, r, elements.range.start, new)?,
                BulkBarrier::Elements => each = self.spec.barriers.store,
            }
        }
        let Some(program) = each else { return self.fill_plain(elements, value) };
        for i in 0..elements.range.count {
            let place = elements.place(i);
            if let Value::Ref(new) = value {
                self.before_store(program, r, place.slot, new)?;
            }
            self.store_value(place, value)?;
        }
        Ok(())
    }

    /// Writes one element and copies it over the rest, twice as much each time.
    fn fill_plain(&mut self, elements: Elements, value: Value) -> Result<(), BadReference> {
        self.store_value(elements.place(0), value)?;
        let mut done = 1;
        while done < elements.range.count {
            let more = done.min(elements.range.count - done);
            self.memory.copy(
                elements.place(done).slot,
                elements.range.start,
                u64::from(more) << elements.range.shift,
            )?;
            done += more;
        }
        Ok(())
    }

    /// `array.copy` between arrays of the same element size; overlap is handled; `OutOfBounds` leaves the array as it
    /// was. [`BadReference::WrongKind`] when the elements differ in size or in being traced.
    pub fn array_copy(
        &mut self,
        to: GcRef,
        to_start: u32,
        from: GcRef,
        from_start: u32,
        count: u32,
    ) -> Result<(), BadReference> {
        let result = self.element_range(to, to_start, count).and_then(|target| {
            let source = self.element_range(from, from_start, count)?;
            self.copy(to, target, source)
        });
        self.note(result)
    }

    fn copy(&mut self, to: GcRef, target: Range, source: Range) -> Result<(), BadReference> {
        if target.shift != source.shift || target.traced != source.traced {
            return Err(BadReference::WrongKind);
        }
        if target.count == 0 {
            return Ok(());
        }
        if target.traced && !planted(Bug::MissingBulkBarrier) {
            match self.spec.barriers.bulk {
                BulkBarrier::None => {}
                BulkBarrier::Object(program) => self.before_store(program, to, target.start, GcRef::NULL)?,
                BulkBarrier::Elements => return self.copy_elements(to, target, source),
            }
        }
        Ok(self.memory.copy(target.start, source.start, target.bytes())?)
    }

    /// One store program an element, in the order that keeps the source of what is yet to be copied.
    fn copy_elements(&mut self, to: GcRef, target: Range, source: Range) -> Result<(), BadReference> {
        let upwards = target.start <= source.start;
        for i in 0..target.count {
            let i = if upwards { i } else { target.count - 1 - i };
            let slot = target.slot(i);
            let new = GcRef::from_raw(self.memory.load_u32(source.slot(i))?);
            if let Some(program) = self.spec.barriers.store {
                self.before_store(program, to, slot, new)?;
            }
            self.memory.store_u32(slot, new.raw())?;
        }
        Ok(())
    }

    /// The bytes of elements `[start, start + count)` of an array whose elements are not traced.
    pub fn array_bytes(&self, r: GcRef, start: u32, count: u32) -> Result<&[u8], BadReference> {
        let range = self.untraced_range(r, start, count)?;
        Ok(self.memory.slice(range.start, range.bytes())?)
    }

    /// The same, writable.
    pub fn array_bytes_mut(&mut self, r: GcRef, start: u32, count: u32) -> Result<&mut [u8], BadReference> {
        let range = self.untraced_range(r, start, count);
        let range = self.note(range)?;
        Ok(self.memory.slice_mut(range.start, range.bytes())?)
    }

    fn untraced_range(&self, r: GcRef, start: u32, count: u32) -> Result<Range, BadReference> {
        if self.type_of(r)?.elements_traced {
            return Err(BadReference::WrongKind);
        }
        self.element_range(r, start, count)
    }
}

#[cold]
fn changing(r: GcRef) -> BadReference {
    HeapCorrupted { what: "an array of a type that changes", at: r.raw() }.into()
}
