//! Exceptions.

use crate::gc_error::GcError;
use crate::values::{belongs, checked_heap_type};
use crate::{AsContextMut, ExnRef, HeapType, Result, Rooted, Tag, Val};
use heapwright_gc_heap as gc;

impl ExnRef {
    /// Allocates an exception. May collect.
    ///
    /// # Errors
    ///
    /// [`GcError::ValueCount`] and [`GcError::TypeMismatch`] when `fields` do not fit the tag, [`GcError::WrongStore`];
    /// [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory).
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<Rooted<ExnRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let params = tag.definition(store)?.params;
        if params.len() != fields.len() {
            return Err(GcError::ValueCount { expected: params.len(), found: fields.len() }.into());
        }
        let values = fields.iter().zip(&params).map(|(v, ty)| v.checked(store, ty)).collect::<Result<Vec<_>, _>>()?;
        match store.vm.exception_new(tag.id, &values) {
            Ok(r) => Ok(store.root(r)),
            Err(e) => Err(crate::error::from_call(store, e)),
        }
    }
}

impl Rooted<ExnRef> {
    /// The exception's tag.
    ///
    /// # Errors
    ///
    /// [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn tag(&self, mut store: impl AsContextMut) -> Result<Tag> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let id = store.vm.exception_tag(r).map_err(GcError::Corrupted)?;
        Ok(Tag::from_vm(store, id))
    }

    /// One of the values that it carries.
    ///
    /// # Errors
    ///
    /// [`GcError::NoSuchField`]; as [`tag`](Self::tag).
    pub fn field(&self, mut store: impl AsContextMut, index: usize) -> Result<Val> {
        let tag = self.tag(&mut store)?;
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let params = tag.definition(store)?.params;
        let ty = params.get(index).ok_or(GcError::NoSuchField { index, fields: params.len() })?;
        let r = self.gc_ref(store)?;
        let value = store.heap()?.get_field(r, index as u32 + 1);
        let value = value.map_err(|e| store.bad_reference(e))?;
        Ok(Val::from_value(store, value, ty))
    }

    /// The values that it carries.
    ///
    /// # Errors
    ///
    /// As [`tag`](Self::tag).
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<Vec<Val>> {
        let tag = self.tag(&mut store)?;
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let params = tag.definition(store)?.params;
        let r = self.gc_ref(store)?;
        let mut values = Vec::with_capacity(params.len());
        for (i, ty) in params.iter().enumerate() {
            let value = store.heap()?.get_field(r, i as u32 + 1);
            let value = value.map_err(|e| store.bad_reference(e))?;
            values.push(Val::from_value(store, value, ty));
        }
        Ok(values)
    }

    /// Whether the reference belongs to a heap type.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongEngine`]; as [`tag`](Self::tag).
    pub fn matches_ty(&self, mut store: impl AsContextMut, ty: &HeapType) -> Result<bool> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let ty = checked_heap_type(store, ty)?;
        Ok(ty.top(false) == gc::AbstractHeapType::Exn && belongs(store, r, &ty)?)
    }
}
