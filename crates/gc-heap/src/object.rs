//! Reading and writing objects from Rust: validated, with the collector's barriers interpreted.

use crate::barrier::{Inputs, Program};
use crate::canon::Layout;
use crate::planted::{Bug, planted};
use crate::types::StorageType;
use crate::{BadReference, GcRef, Heap, HeapCorrupted, HostId, TypeEntry, TypeId, TypeKind, ValType};

/// A value in a field, an element, a global or a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// `i32`; packed fields hold their zero-extended bits.
    I32(u32),
    /// `i64`
    I64(u64),
    /// `f32`, as bits.
    F32(u32),
    /// `f64`, as bits.
    F64(u64),
    /// `v128`, as bits.
    V128(u128),
    /// A reference that the collector traces.
    Ref(GcRef),
    /// A function id; 0 is null.
    Func(u32),
}

/// One field or element: where it is and what it stores.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) slot: u32,
    pub(crate) storage: StorageType,
    pub(crate) traced: bool,
}

/// Where the traced slots of an object are.
enum Slots {
    Bitmap(u64),
    /// In the type entry's list.
    List,
    /// That many words from this heap offset.
    Words(u32, u32),
}

#[allow(clippy::missing_errors_doc, reason = "`BadReference` tells its kinds where it is declared")]
impl Heap {
    /// The type of the object that `r` points at. [`BadReference::WrongKind`] for an i31.
    #[inline]
    pub fn type_of(&self, r: GcRef) -> Result<TypeEntry<'_>, BadReference> {
        self.usable()?;
        Ok(self.entry_at(object_offset(r)?)?)
    }

    #[inline]
    fn entry_at(&self, offset: u32) -> Result<TypeEntry<'_>, HeapCorrupted> {
        if !offset.is_multiple_of(8) {
            return Err(HeapCorrupted { what: "misaligned reference", at: offset });
        }
        self.types.space().entry(self.memory.load_u32(offset)?)
    }

    /// The length of an array; [`BadReference::WrongKind`] when `r` is no array. The extent is checked against the
    /// heap's end.
    pub fn array_length(&self, r: GcRef) -> Result<u32, BadReference> {
        let entry = self.type_of(r)?;
        Ok(self.array_extent(r.raw(), &entry)?.0)
    }

    /// Length and size in bytes of the array at `offset`, whose extent is inside the committed heap.
    #[inline]
    pub(crate) fn array_extent(&self, offset: u32, entry: &TypeEntry<'_>) -> Result<(u32, u64), BadReference> {
        if entry.kind != TypeKind::Array {
            return Err(BadReference::WrongKind);
        }
        let length_offset = self.spec.header_layout().length_offset();
        let length = self.memory.load_u32(offset.wrapping_add(length_offset))?;
        let end = u64::from(entry.elements_offset) + (u64::from(length) << entry.element_shift);
        let size = end.next_multiple_of(u64::from(crate::layout::OBJECT_ALIGN));
        self.check_extent(offset, size)?;
        Ok((length, size))
    }

    #[inline]
    fn check_extent(&self, offset: u32, size: u64) -> Result<(), HeapCorrupted> {
        if u64::from(offset) + size > self.memory.committed_end() && !planted(Bug::UncheckedLength) {
            return Err(HeapCorrupted { what: "an object reaches beyond the heap", at: offset });
        }
        Ok(())
    }

    /// Object size in bytes, header and padding included.
    pub fn object_size(&self, r: GcRef) -> Result<u64, BadReference> {
        let entry = self.type_of(r)?;
        let offset = r.raw();
        match entry.kind {
            TypeKind::Array => Ok(self.array_extent(offset, &entry)?.1),
            TypeKind::Func => Err(no_object(offset).into()),
            _ => {
                self.check_extent(offset, entry.size.into())?;
                Ok(entry.size.into())
            }
        }
    }

    /// Reads a field of a struct or exception (checked: kind and index). Runs the load barrier for references.
    pub fn get_field(&mut self, r: GcRef, index: u32) -> Result<Value, BadReference> {
        let result = self.field(r, index).and_then(|place| self.read(r, place));
        self.note(result)
    }

    /// Writes a field; the caller has checked the value's type. Runs the store barrier for references. With `fresh`,
    /// runs the init barrier instead. [`BadReference::WrongKind`] when the value has another representation than the
    /// field.
    pub fn set_field(&mut self, r: GcRef, index: u32, value: Value, fresh: bool) -> Result<(), BadReference> {
        let result = self.field(r, index).and_then(|place| self.write(r, place, value, fresh));
        self.note(result)
    }

    /// Reads an array element.
    pub fn get_element(&mut self, r: GcRef, index: u32) -> Result<Value, BadReference> {
        let result = self.elements(r, index, 1).and_then(|elements| self.read(r, elements.place(0)));
        self.note(result)
    }

    /// Writes an array element; as [`Heap::set_field`].
    pub fn set_element(&mut self, r: GcRef, index: u32, value: Value, fresh: bool) -> Result<(), BadReference> {
        let result = self.elements(r, index, 1).and_then(|elements| self.write(r, elements.place(0), value, fresh));
        self.note(result)
    }

    /// A corruption found poisons the heap.
    pub(crate) fn note<T>(&mut self, result: Result<T, BadReference>) -> Result<T, BadReference> {
        if let Err(BadReference::Corrupted(found)) = result {
            self.set_corrupted(found);
        }
        result
    }

    fn field(&mut self, r: GcRef, index: u32) -> Result<Place, BadReference> {
        let entry = self.type_of(r)?;
        if !matches!(entry.kind, TypeKind::Struct | TypeKind::Exception) {
            return Err(BadReference::WrongKind);
        }
        let (id, size) = (entry.id, entry.size);
        self.check_extent(r.raw(), size.into())?;
        let Layout::Struct(layout) = self.layout(id)? else { return Err(no_object(r.raw()).into()) };
        let field = layout.fields.get(index as usize).ok_or(BadReference::OutOfBounds)?;
        // A type's entry may change under a forged type word; the sum is checked again on access.
        let slot = r.raw().wrapping_add(field.offset);
        Ok(Place { slot, storage: field.storage, traced: field.traced })
    }

    pub(crate) fn read(&mut self, r: GcRef, place: Place) -> Result<Value, BadReference> {
        let value = self.load_value(place.storage, place.traced, place.slot)?;
        if let (Value::Ref(new), Some(program)) = (value, self.spec.barriers.load) {
            let inputs = Inputs { object: r, slot: place.slot, old: GcRef::NULL, new };
            return Ok(Value::Ref(program.run_load(self, &inputs)?));
        }
        Ok(value)
    }

    pub(crate) fn write(&mut self, r: GcRef, place: Place, value: Value, fresh: bool) -> Result<(), BadReference> {
        if let (true, Value::Ref(new)) = (place.traced, value) {
            let program = if fresh { self.spec.barriers.init } else { self.spec.barriers.store };
            if let Some(program) = program {
                self.before_store(program, r, place.slot, new)?;
            }
        }
        self.store_value(place, value)
    }

    /// Runs a program that precedes a store. The old value is at hand: to find out whether the program looks at it
    /// costs more.
    pub(crate) fn before_store(
        &mut self,
        program: &Program,
        object: GcRef,
        slot: u32,
        new: GcRef,
    ) -> Result<(), HeapCorrupted> {
        let old = self.memory.load_u32(slot)?;
        program.run(self, &Inputs { object, slot, old: GcRef::from_raw(old), new })
    }

    /// The host id that an extern object holds; `WrongKind` when `r` is not one.
    pub fn host_id(&self, r: GcRef) -> Result<HostId, BadReference> {
        if self.type_of(r)?.kind != TypeKind::Extern {
            return Err(BadReference::WrongKind);
        }
        let at = r.raw().wrapping_add(self.spec.header_layout().bytes());
        Ok(HostId(self.memory.load_u32(at)?))
    }

    /// Visits the offset of every traced slot of the object at `offset` (validated), for collectors and verifiers.
    /// `visit` gets the slot's heap offset. Returns the object's size in bytes.
    #[inline]
    pub fn for_each_slot<E: From<HeapCorrupted>>(
        &mut self,
        offset: u32,
        mut visit: impl FnMut(&mut Heap, u32) -> Result<(), E>,
    ) -> Result<u32, E> {
        let entry = self.entry_at(offset)?;
        let word = entry.id.0;
        let (size, slots) = match entry.kind {
            TypeKind::Array => {
                let (length, size) = match self.array_extent(offset, &entry) {
                    Ok(extent) => extent,
                    Err(BadReference::Corrupted(found)) => return Err(found.into()),
                    Err(_) => return Err(no_object(offset).into()),
                };
                let count = if entry.elements_traced { length } else { 0 };
                (size as u32, Slots::Words(offset.wrapping_add(entry.elements_offset), count))
            }
            TypeKind::Func => return Err(no_object(offset).into()),
            _ => {
                self.check_extent(offset, entry.size.into())?;
                (entry.size, if entry.list.is_empty() { Slots::Bitmap(entry.bitmap) } else { Slots::List })
            }
        };
        match slots {
            Slots::Bitmap(mut bits) => {
                while bits != 0 {
                    visit(self, offset.wrapping_add(4 * bits.trailing_zeros()))?;
                    bits &= bits - 1;
                }
            }
            Slots::Words(start, count) => {
                for i in 0..count {
                    visit(self, start.wrapping_add(4 * i))?;
                }
            }
            Slots::List => {
                for i in 0.. {
                    // Looked up anew each time: `visit` has the heap in between.
                    match self.types.space().entry(word)?.list.get(i) {
                        Some(field) => visit(self, offset.wrapping_add(field))?,
                        None => break,
                    }
                }
            }
        }
        Ok(size)
    }

    /// Whether the object that `r` points at belongs to `ty`. I31s and null belong to no defined type.
    pub fn is_instance(&self, r: GcRef, ty: TypeId) -> Result<bool, HeapCorrupted> {
        self.usable()?;
        match r.offset() {
            Some(offset) => {
                let id = self.entry_at(offset)?.id;
                Ok(self.types.space().is_subtype(id, ty))
            }
            None => Ok(false),
        }
    }

    /// Reads a raw value at a heap offset.
    #[inline]
    pub fn load_value(&self, storage: StorageType, traced: bool, offset: u32) -> Result<Value, HeapCorrupted> {
        let memory = &self.memory;
        Ok(match storage {
            StorageType::I8 => Value::I32(memory.load_u8(offset)?.into()),
            StorageType::I16 => Value::I32(memory.load_u16(offset)?.into()),
            StorageType::Val(ValType::I32) => Value::I32(memory.load_u32(offset)?),
            StorageType::Val(ValType::I64) => Value::I64(memory.load_u64(offset)?),
            StorageType::Val(ValType::F32) => Value::F32(memory.load_u32(offset)?),
            StorageType::Val(ValType::F64) => Value::F64(memory.load_u64(offset)?),
            StorageType::Val(ValType::V128) => Value::V128(memory.load_u128(offset)?),
            StorageType::Val(ValType::Ref(_)) if traced => Value::Ref(GcRef::from_raw(memory.load_u32(offset)?)),
            StorageType::Val(ValType::Ref(_)) => Value::Func(memory.load_u32(offset)?),
        })
    }

    /// Writes a raw value, without a barrier.
    pub(crate) fn store_value(&mut self, place: Place, value: Value) -> Result<(), BadReference> {
        let memory = &mut self.memory;
        let slot = place.slot;
        match (place.storage, value) {
            (StorageType::I8, Value::I32(bits)) => memory.store_u8(slot, bits as u8)?,
            (StorageType::I16, Value::I32(bits)) => memory.store_u16(slot, bits as u16)?,
            (StorageType::Val(ValType::I32), Value::I32(bits)) | (StorageType::Val(ValType::F32), Value::F32(bits)) => {
                memory.store_u32(slot, bits)?
            }
            (StorageType::Val(ValType::I64), Value::I64(bits)) | (StorageType::Val(ValType::F64), Value::F64(bits)) => {
                memory.store_u64(slot, bits)?
            }
            (StorageType::Val(ValType::V128), Value::V128(bits)) => memory.store_u128(slot, bits)?,
            (StorageType::Val(ValType::Ref(_)), Value::Ref(r)) if place.traced => memory.store_u32(slot, r.raw())?,
            (StorageType::Val(ValType::Ref(_)), Value::Func(id)) if !place.traced => memory.store_u32(slot, id)?,
            _ => return Err(BadReference::WrongKind),
        }
        Ok(())
    }
}

#[inline]
pub(crate) fn object_offset(r: GcRef) -> Result<u32, BadReference> {
    r.offset().ok_or(if r.is_null() { BadReference::Null } else { BadReference::WrongKind })
}

#[cold]
fn no_object(at: u32) -> HeapCorrupted {
    HeapCorrupted { what: "an object of a type that no object has", at }
}
