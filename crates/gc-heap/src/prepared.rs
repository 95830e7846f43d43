//! Access to fields and elements whose place was looked up beforehand.
//!
//! The plain accessors of [`Heap`] find a field's place anew each time, through the object's own type. A prepared one
//! has it from a type that the host names; what is left for each access is to check that the object belongs to that
//! type, which for the type itself is one compare. A subtype keeps the places of its supertype's fields, so the same
//! place serves both.
//!
//! Whoever holds a prepared place keeps the type registered: an id that was released may name another type.

use crate::canon::Layout;
use crate::object::{Place, object_offset};
use crate::{BadReference, GcRef, Heap, HeapCorrupted, StorageType, TypeId, TypeRegistry, Value};

/// Where a field of a struct type is.
#[derive(Clone, Copy, Debug)]
pub struct PreparedField {
    ty: TypeId,
    offset: u32,
    storage: StorageType,
    traced: bool,
}

impl PreparedField {
    /// The place of field `index` of the struct or exception type `ty`; `None` when there is no such type or field.
    pub fn new(types: &TypeRegistry, ty: TypeId, index: u32) -> Option<PreparedField> {
        let Layout::Struct(layout) = types.layout(ty)? else { return None };
        let field = layout.fields.get(index as usize)?;
        Some(PreparedField { ty, offset: field.offset, storage: field.storage, traced: field.traced })
    }

    fn at(&self, offset: u32) -> Place {
        // It may wrap only under a forged reference; each access checks its address.
        Place { slot: offset.wrapping_add(self.offset), storage: self.storage, traced: self.traced }
    }
}

/// How the elements of an array type are laid out.
#[derive(Clone, Copy, Debug)]
pub struct PreparedArray {
    ty: TypeId,
    elements_offset: u32,
    shift: u8,
    storage: StorageType,
    traced: bool,
}

impl PreparedArray {
    /// The layout of the array type `ty`; `None` when there is no such type.
    pub fn new(types: &TypeRegistry, ty: TypeId) -> Option<PreparedArray> {
        let Layout::Array(layout) = types.layout(ty)? else { return None };
        Some(PreparedArray {
            ty,
            elements_offset: layout.elements_offset,
            shift: layout.element_shift,
            storage: layout.storage,
            traced: layout.traced,
        })
    }
}

#[allow(clippy::missing_errors_doc, reason = "`BadReference` tells its kinds where it is declared")]
impl Heap {
    /// Reads a prepared field; with the load barrier for references. [`BadReference::WrongKind`] when the object does
    /// not belong to the type that the field was prepared from.
    pub fn get_prepared(&mut self, r: GcRef, field: &PreparedField) -> Result<Value, BadReference> {
        let result = self.instance_offset(r, field.ty).and_then(|offset| self.read(r, field.at(offset)));
        self.note(result)
    }

    /// Writes a prepared field; as [`Heap::set_field`].
    pub fn set_prepared(
        &mut self,
        r: GcRef,
        field: &PreparedField,
        value: Value,
        fresh: bool,
    ) -> Result<(), BadReference> {
        let result = self.instance_offset(r, field.ty).and_then(|offset| self.write(r, field.at(offset), value, fresh));
        self.note(result)
    }

    /// Reads an element of an array of a prepared type.
    pub fn get_prepared_element(&mut self, r: GcRef, array: &PreparedArray, index: u32) -> Result<Value, BadReference> {
        let result = self.prepared_element(r, array, index).and_then(|place| self.read(r, place));
        self.note(result)
    }

    /// Writes an element of an array of a prepared type; as [`Heap::set_element`].
    pub fn set_prepared_element(
        &mut self,
        r: GcRef,
        array: &PreparedArray,
        index: u32,
        value: Value,
        fresh: bool,
    ) -> Result<(), BadReference> {
        let result = self.prepared_element(r, array, index).and_then(|place| self.write(r, place, value, fresh));
        self.note(result)
    }

    fn prepared_element(&self, r: GcRef, array: &PreparedArray, index: u32) -> Result<Place, BadReference> {
        let offset = self.instance_offset(r, array.ty)?;
        let length = self.memory.load_u32(offset.wrapping_add(self.spec.header_layout().length_offset()))?;
        if index >= length {
            return Err(BadReference::OutOfBounds);
        }
        // In 64 bits: a forged length must not lead back to the beginning.
        let at = u64::from(offset) + u64::from(array.elements_offset) + (u64::from(index) << array.shift);
        let beyond = HeapCorrupted { what: "an object reaches beyond the heap", at: offset };
        let slot = u32::try_from(at).map_err(|_| beyond)?;
        Ok(Place { slot, storage: array.storage, traced: array.traced })
    }

    /// The offset of the object behind `r`, which belongs to `ty`.
    #[inline]
    fn instance_offset(&self, r: GcRef, ty: TypeId) -> Result<u32, BadReference> {
        self.usable()?;
        let offset = object_offset(r)?;
        if !offset.is_multiple_of(8) {
            return Err(HeapCorrupted { what: "misaligned reference", at: offset }.into());
        }
        let word = self.memory.load_u32(offset)?;
        if word != ty.0 {
            self.types.space().kind(word)?;
            if !self.types.space().is_subtype(TypeId(word), ty) {
                return Err(BadReference::WrongKind);
            }
        }
        Ok(offset)
    }
}
