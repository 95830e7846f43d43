//! Fields and elements whose place was looked up once.

use super::bulk::check_scalar;
use super::{checked_storage, loaded};
use crate::gc_error::GcError;
use crate::{ArrayRef, ArrayType, AsContextMut, Result, Rooted, Scalar, StructRef, StructType, Val};
use heapwright_gc_heap::{self as gc, BadReference, CompositeType, PreparedArray, PreparedField};

/// Reads and writes one field of the structs of a type and its subtypes. It serves every store of the type's engine.
///
/// ```
/// # use heapwright::{Engine, FieldType, Mutability, StorageType, Store, StructRef, StructType, Val, ValType};
/// # fn main() -> heapwright::Result<()> {
/// let engine = Engine::default();
/// let mut store = Store::new(&engine, ())?;
/// let point = StructType::new(&engine, [FieldType::new(Mutability::Var, StorageType::ValType(ValType::F64))])?;
/// let x = point.accessor(0)?;
/// let p = StructRef::new(&mut store, &point, &[Val::from(1.5)])?;
/// x.write(&mut store, &p, 2.5f64)?;
/// assert_eq!(x.read::<f64>(&mut store, &p)?, 2.5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FieldAccessor {
    ty: StructType,
    index: usize,
    field: gc::FieldType,
    place: PreparedField,
}

/// Reads and writes elements of the arrays of a type and its subtypes. It serves every store of the type's engine.
#[derive(Clone, Debug)]
pub struct ArrayAccessor {
    ty: ArrayType,
    element: gc::FieldType,
    place: PreparedArray,
}

impl StructType {
    /// Prepares access to a field.
    ///
    /// # Errors
    ///
    /// [`GcError::NoSuchField`].
    pub fn accessor(&self, index: usize) -> Result<FieldAccessor> {
        let types = self.engine().runtime().types();
        let definition = types.definition(self.0.id);
        let CompositeType::Struct(s) = &definition.composite else { unreachable!("a struct type is no struct") };
        let missing = GcError::NoSuchField { index, fields: s.fields.len() };
        let &field = s.fields.get(index).ok_or(missing.clone())?;
        let place = PreparedField::new(types, self.0.id, index as u32).ok_or(missing)?;
        Ok(FieldAccessor { ty: self.clone(), index, field, place })
    }
}

impl ArrayType {
    /// Prepares access to elements.
    pub fn accessor(&self) -> ArrayAccessor {
        let types = self.engine().runtime().types();
        let definition = types.definition(self.0.id);
        let CompositeType::Array(a) = &definition.composite else { unreachable!("an array type is no array") };
        let place = PreparedArray::new(types, self.0.id).expect("an array type has an array's layout");
        ArrayAccessor { ty: self.clone(), element: a.0, place }
    }
}

impl FieldAccessor {
    /// The struct type.
    pub fn ty(&self) -> &StructType {
        &self.ty
    }

    /// The field's index.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Reads the field; packed fields are zero-extended.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] when the struct does not belong to the accessor's type, [`GcError::WrongEngine`];
    /// [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn get(&self, mut store: impl AsContextMut, object: &Rooted<StructRef>) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        let r = object.gc_ref(store)?;
        let value = store.heap()?.get_prepared(r, &self.place);
        let value = value.map_err(|e| store.bad_reference(e))?;
        Ok(loaded(store, value, &self.field.storage))
    }

    /// Writes the field.
    ///
    /// # Errors
    ///
    /// [`GcError::ImmutableField`], [`GcError::PackedRange`], [`GcError::TypeMismatch`] of the value; as
    /// [`get`](Self::get).
    pub fn set(&self, mut store: impl AsContextMut, object: &Rooted<StructRef>, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        self.check_mutable()?;
        let r = object.gc_ref(store)?;
        let value = checked_storage(store, &value, &self.field.storage)?;
        let written = store.heap()?.set_prepared(r, &self.place, value, false);
        Ok(written.map_err(|e| store.bad_reference(e))?)
    }

    /// Reads a numeric field.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] when the field is no `T`; as [`get`](Self::get).
    pub fn read<T: Scalar>(&self, mut store: impl AsContextMut, object: &Rooted<StructRef>) -> Result<T> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        check_scalar::<T>(store, &self.field.storage)?;
        let r = object.gc_ref(store)?;
        let value = store.heap()?.get_prepared(r, &self.place);
        let value = value.map_err(|e| store.bad_reference(e))?;
        T::from_value(value).ok_or_else(|| store.bad_reference(BadReference::WrongKind).into())
    }

    /// Writes a numeric field.
    ///
    /// # Errors
    ///
    /// [`GcError::ImmutableField`]; as [`read`](Self::read).
    pub fn write<T: Scalar>(&self, mut store: impl AsContextMut, object: &Rooted<StructRef>, value: T) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        check_scalar::<T>(store, &self.field.storage)?;
        self.check_mutable()?;
        let r = object.gc_ref(store)?;
        let written = store.heap()?.set_prepared(r, &self.place, value.to_value(), false);
        Ok(written.map_err(|e| store.bad_reference(e))?)
    }

    fn check_mutable(&self) -> Result<(), GcError> {
        if self.field.mutable { Ok(()) } else { Err(GcError::ImmutableField { index: self.index }) }
    }
}

impl ArrayAccessor {
    /// The array type.
    pub fn ty(&self) -> &ArrayType {
        &self.ty
    }

    /// Reads an element; packed elements are zero-extended.
    ///
    /// # Errors
    ///
    /// [`GcError::OutOfBounds`], [`GcError::TypeMismatch`] when the array does not belong to the accessor's type,
    /// [`GcError::WrongEngine`]; [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn get(&self, mut store: impl AsContextMut, array: &Rooted<ArrayRef>, index: u32) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        let r = array.gc_ref(store)?;
        let value = store.heap()?.get_prepared_element(r, &self.place, index);
        let value = value.map_err(|e| store.bad_elements(r, e, index, 1))?;
        Ok(loaded(store, value, &self.element.storage))
    }

    /// Writes an element.
    ///
    /// # Errors
    ///
    /// [`GcError::ImmutableElements`], [`GcError::PackedRange`], [`GcError::TypeMismatch`] of the value; as
    /// [`get`](Self::get).
    pub fn set(&self, mut store: impl AsContextMut, array: &Rooted<ArrayRef>, index: u32, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        self.check_mutable()?;
        let r = array.gc_ref(store)?;
        let value = checked_storage(store, &value, &self.element.storage)?;
        let written = store.heap()?.set_prepared_element(r, &self.place, index, value, false);
        Ok(written.map_err(|e| store.bad_elements(r, e, index, 1))?)
    }

    /// Reads a numeric element.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] when the elements are no `T`; as [`get`](Self::get).
    pub fn read<T: Scalar>(&self, mut store: impl AsContextMut, array: &Rooted<ArrayRef>, index: u32) -> Result<T> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        check_scalar::<T>(store, &self.element.storage)?;
        let r = array.gc_ref(store)?;
        let value = store.heap()?.get_prepared_element(r, &self.place, index);
        let value = value.map_err(|e| store.bad_elements(r, e, index, 1))?;
        T::from_value(value).ok_or_else(|| store.bad_reference(BadReference::WrongKind).into())
    }

    /// Writes a numeric element.
    ///
    /// # Errors
    ///
    /// [`GcError::ImmutableElements`]; as [`read`](Self::read).
    pub fn write<T: Scalar>(
        &self,
        mut store: impl AsContextMut,
        array: &Rooted<ArrayRef>,
        index: u32,
        value: T,
    ) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(self.ty.engine())?;
        check_scalar::<T>(store, &self.element.storage)?;
        self.check_mutable()?;
        let r = array.gc_ref(store)?;
        let written = store.heap()?.set_prepared_element(r, &self.place, index, value.to_value(), false);
        Ok(written.map_err(|e| store.bad_elements(r, e, index, 1))?)
    }

    fn check_mutable(&self) -> Result<(), GcError> {
        if self.element.mutable { Ok(()) } else { Err(GcError::ImmutableElements) }
    }
}
