//! Structs.

use super::{checked_storage, loaded};
use crate::gc_error::GcError;
use crate::shapes::StructShape;
use crate::store::{StoreId, StoreOpaque};
use crate::{AsContextMut, Result, Rooted, StructRef, StructType, Val};
use std::sync::Arc;

/// A struct type made ready for allocation in one store: fields and places are looked up once, not a struct.
///
/// ```
/// # use heapwright::{Engine, FieldType, Mutability, StorageType, Store, StructRef, StructRefPre, StructType, Val, ValType};
/// # fn main() -> heapwright::Result<()> {
/// let engine = Engine::default();
/// let mut store = Store::new(&engine, ())?;
/// let field = FieldType::new(Mutability::Var, StorageType::ValType(ValType::I64));
/// let ty = StructType::new(&engine, [field])?;
/// let pre = StructRefPre::new(&mut store, &ty)?;
/// let seven = StructRef::new(&mut store, &pre, &[Val::I64(7)])?;
/// assert_eq!(seven.field(&mut store, 0)?.unwrap_i64(), 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StructRefPre {
    store: StoreId,
    ty: StructType,
    shape: Arc<StructShape>,
}

impl StructRefPre {
    /// Makes a type ready.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongEngine`].
    pub fn new(mut store: impl AsContextMut, ty: &StructType) -> Result<StructRefPre> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        Ok(StructRefPre { store: store.id, ty: ty.clone(), shape: store.struct_shape(ty)? })
    }

    /// The type.
    pub fn ty(&self) -> &StructType {
        &self.ty
    }
}

impl std::fmt::Debug for StructRefPre {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StructRefPre").field(&self.ty).finish()
    }
}

/// What structs can be made from: a [`StructType`], or faster a [`StructRefPre`].
pub trait StructAllocator: sealed::Sealed {}

impl StructAllocator for StructType {}
impl StructAllocator for StructRefPre {}

mod sealed {
    use super::{Arc, GcError, StoreOpaque, StructRefPre, StructShape, StructType};

    pub trait Sealed {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "the trait is sealed: nobody outside can name or call this")]
        fn shape(&self, store: &mut StoreOpaque) -> Result<Arc<StructShape>, GcError>;
    }

    impl Sealed for StructType {
        #[allow(private_interfaces, reason = "the trait is sealed: nobody outside can name or call this")]
        fn shape(&self, store: &mut StoreOpaque) -> Result<Arc<StructShape>, GcError> {
            store.struct_shape(self)
        }
    }

    impl Sealed for StructRefPre {
        #[allow(private_interfaces, reason = "the trait is sealed: nobody outside can name or call this")]
        fn shape(&self, store: &mut StoreOpaque) -> Result<Arc<StructShape>, GcError> {
            store.check(self.store)?;
            Ok(self.shape.clone())
        }
    }
}

impl StructRef {
    /// Allocates a struct. May collect.
    ///
    /// # Errors
    ///
    /// [`GcError::ValueCount`], [`GcError::TypeMismatch`] and [`GcError::PackedRange`] for the values;
    /// [`GcError::WrongEngine`] or [`GcError::WrongStore`] for the type;
    /// [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory).
    pub fn new(
        mut store: impl AsContextMut,
        allocator: &impl StructAllocator,
        fields: &[Val],
    ) -> Result<Rooted<StructRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let shape = allocator.shape(store)?;
        if shape.fields.len() != fields.len() {
            return Err(GcError::ValueCount { expected: shape.fields.len(), found: fields.len() }.into());
        }
        for (value, (ty, _)) in fields.iter().zip(&shape.fields) {
            checked_storage(store, value, &ty.storage)?;
        }
        let r = store.alloc(shape.id, 0)?;
        // The allocation may have moved what the values refer to: they are read again from their roots.
        for (value, (ty, place)) in fields.iter().zip(&shape.fields) {
            let value = checked_storage(store, value, &ty.storage)?;
            let written = store.heap()?.set_prepared(r, place, value, true);
            written.map_err(|e| store.bad_reference(e))?;
        }
        Ok(store.root(r))
    }

    /// Allocates a struct whose fields have their default values: zero or null. May collect.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] when a field has no default value; as [`new`](Self::new).
    pub fn new_default(mut store: impl AsContextMut, allocator: &impl StructAllocator) -> Result<Rooted<StructRef>> {
        let mut store = store.as_context_mut();
        let shape = allocator.shape(store.opaque())?;
        let fields = shape.ty(store.engine()).fields().map(|f| super::default_of(&f)).collect::<Result<Vec<_>, _>>()?;
        StructRef::new(store, allocator, &fields)
    }
}

impl Rooted<StructRef> {
    /// The struct's type.
    ///
    /// # Errors
    ///
    /// [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn ty(&self, mut store: impl AsContextMut) -> Result<StructType> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        Ok(store.shape_of_struct(r)?.ty(&store.engine))
    }

    /// Reads a field; packed fields are zero-extended. For many structs of one type, a
    /// [`FieldAccessor`](crate::FieldAccessor) is faster.
    ///
    /// # Errors
    ///
    /// [`GcError::NoSuchField`]; as [`ty`](Self::ty).
    pub fn field(&self, mut store: impl AsContextMut, index: usize) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let shape = store.shape_of_struct(r)?;
        let (ty, place) = shape.field(index)?;
        let value = store.heap()?.get_prepared(r, place);
        let value = value.map_err(|e| store.bad_reference(e))?;
        Ok(loaded(store, value, &ty.storage))
    }

    /// Reads every field.
    ///
    /// # Errors
    ///
    /// As [`ty`](Self::ty).
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<Vec<Val>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let shape = store.shape_of_struct(r)?;
        let mut values = Vec::with_capacity(shape.fields.len());
        for (ty, place) in &shape.fields {
            let value = store.heap()?.get_prepared(r, place);
            let value = value.map_err(|e| store.bad_reference(e))?;
            values.push(loaded(store, value, &ty.storage));
        }
        Ok(values)
    }

    /// Writes a field.
    ///
    /// # Errors
    ///
    /// [`GcError::NoSuchField`], [`GcError::ImmutableField`], [`GcError::TypeMismatch`], [`GcError::PackedRange`]; as
    /// [`ty`](Self::ty).
    pub fn set_field(&self, mut store: impl AsContextMut, index: usize, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let shape = store.shape_of_struct(r)?;
        let (ty, place) = shape.field(index)?;
        if !ty.mutable {
            return Err(GcError::ImmutableField { index }.into());
        }
        let value = checked_storage(store, &value, &ty.storage)?;
        let written = store.heap()?.set_prepared(r, place, value, false);
        Ok(written.map_err(|e| store.bad_reference(e))?)
    }
}
