//! Host values behind `externref`.

use crate::error::from_alloc;
use crate::gc_error::GcError;
use crate::values::{belongs, checked_heap_type};
use crate::{AnyRef, AsContext, AsContextMut, ExternRef, HeapType, Result, Rooted};
use heapwright_gc_heap::{self as gc, BadReference};
use std::any::Any;

impl ExternRef {
    /// Wraps a host value. It is dropped when the guest and the host hold no reference to it any more and a collection
    /// has found out. May collect.
    ///
    /// # Errors
    ///
    /// [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory); the value is dropped.
    pub fn new(mut store: impl AsContextMut, value: impl Any + Send + Sync) -> Result<Rooted<ExternRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        store.heap()?;
        let (heap, roots) = store.vm.heap_and_roots().map_err(|e| GcError::NoHeap(e.to_string()))?;
        match heap.alloc_extern(Box::new(value), roots) {
            Ok(r) => Ok(store.root(r)),
            Err(e) => Err(from_alloc(store, e)),
        }
    }

    /// `extern.convert_any`: the same value as an external reference.
    ///
    /// # Errors
    ///
    /// [`GcError::DeadRoot`], [`GcError::WrongStore`].
    pub fn convert_any(mut store: impl AsContextMut, value: Rooted<AnyRef>) -> Result<Rooted<ExternRef>> {
        let mut store = store.as_context_mut();
        let r = value.gc_ref(store.opaque())?;
        Ok(store.opaque().root(r))
    }
}

impl Rooted<ExternRef> {
    /// The host value; `None` when the reference is an internal one that was converted.
    ///
    /// # Errors
    ///
    /// [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn data<'a>(&self, store: &'a impl AsContext) -> Result<Option<&'a (dyn Any + Send + Sync)>> {
        let store = store.as_context().0;
        let r = self.gc_ref(&store.opaque)?;
        let Some(heap) = store.opaque.vm.existing_heap() else { return Ok(None) };
        match heap.host_id(r) {
            Ok(id) => Ok(heap.host().get(id)),
            Err(BadReference::Corrupted(e)) => Err(GcError::Corrupted(e).into()),
            Err(_) => Ok(None),
        }
    }

    /// As [`data`](Self::data), writable.
    ///
    /// # Errors
    ///
    /// As [`data`](Self::data).
    pub fn data_mut<'a>(&self, store: &'a mut impl AsContextMut) -> Result<Option<&'a mut (dyn Any + Send + Sync)>> {
        let store = &mut store.as_context_mut().0.opaque;
        let r = self.gc_ref(store)?;
        let heap = store.heap()?;
        match heap.host_id(r) {
            Ok(id) => Ok(heap.host_mut().get_mut(id)),
            Err(BadReference::Corrupted(e)) => Err(GcError::Corrupted(e).into()),
            Err(_) => Ok(None),
        }
    }

    /// Whether the reference belongs to a heap type.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongEngine`]; as [`data`](Self::data).
    pub fn matches_ty(&self, mut store: impl AsContextMut, ty: &HeapType) -> Result<bool> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let ty = checked_heap_type(store, ty)?;
        Ok(ty.top(false) == gc::AbstractHeapType::Extern && belongs(store, r, &ty)?)
    }
}
