//! Arrays, element by element and range by range.

use super::{checked_storage, loaded, show_storage};
use crate::gc_error::GcError;
use crate::shapes::ArrayShape;
use crate::store::{StoreId, StoreOpaque};
use crate::{ArrayRef, ArrayType, AsContextMut, Result, Rooted, Val};
use heapwright_gc_heap::{self as gc, BadReference, GcRef};
use std::sync::Arc;

/// An array type made ready for allocation in one store: its element type is looked up once, not an array.
#[derive(Clone)]
pub struct ArrayRefPre {
    store: StoreId,
    ty: ArrayType,
    shape: Arc<ArrayShape>,
}

impl ArrayRefPre {
    /// Makes a type ready.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongEngine`].
    pub fn new(mut store: impl AsContextMut, ty: &ArrayType) -> Result<ArrayRefPre> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        Ok(ArrayRefPre { store: store.id, ty: ty.clone(), shape: store.array_shape(ty)? })
    }

    /// The type.
    pub fn ty(&self) -> &ArrayType {
        &self.ty
    }
}

impl std::fmt::Debug for ArrayRefPre {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ArrayRefPre").field(&self.ty).finish()
    }
}

/// What arrays can be made from: an [`ArrayType`], or faster an [`ArrayRefPre`].
pub trait ArrayAllocator: sealed::Sealed {}

impl ArrayAllocator for ArrayType {}
impl ArrayAllocator for ArrayRefPre {}

pub(super) mod sealed {
    use super::{Arc, ArrayRefPre, ArrayShape, ArrayType, GcError, StoreOpaque};

    pub trait Sealed {
        #[doc(hidden)]
        #[allow(private_interfaces, reason = "the trait is sealed: nobody outside can name or call this")]
        fn shape(&self, store: &mut StoreOpaque) -> Result<Arc<ArrayShape>, GcError>;
    }

    impl Sealed for ArrayType {
        #[allow(private_interfaces, reason = "the trait is sealed: nobody outside can name or call this")]
        fn shape(&self, store: &mut StoreOpaque) -> Result<Arc<ArrayShape>, GcError> {
            store.array_shape(self)
        }
    }

    impl Sealed for ArrayRefPre {
        #[allow(private_interfaces, reason = "the trait is sealed: nobody outside can name or call this")]
        fn shape(&self, store: &mut StoreOpaque) -> Result<Arc<ArrayShape>, GcError> {
            store.check(self.store)?;
            Ok(self.shape.clone())
        }
    }
}

/// The number of elements, if an array can have so many.
pub(super) fn length_of(elements: usize) -> Result<u32, GcError> {
    u32::try_from(elements).map_err(|_| GcError::TooLong { elements })
}

impl StoreOpaque {
    /// What went wrong with elements `[start, start + count)`.
    #[cold]
    pub(super) fn bad_elements(&mut self, r: GcRef, error: BadReference, start: u32, count: u64) -> GcError {
        match (error, self.heap().map(|heap| heap.array_length(r))) {
            (BadReference::OutOfBounds, Ok(Ok(length))) => GcError::OutOfBounds { start, count, length },
            (error, _) => self.bad_reference(error),
        }
    }

    /// The array behind a root, if its elements may be written.
    pub(super) fn writable(&mut self, array: &Rooted<ArrayRef>) -> Result<(GcRef, Arc<ArrayShape>), GcError> {
        let r = array.gc_ref(self)?;
        let shape = self.shape_of_array(r)?;
        if shape.element.mutable { Ok((r, shape)) } else { Err(GcError::ImmutableElements) }
    }

    /// Checks a range of elements before anything is done with it.
    pub(super) fn check_elements(&mut self, r: GcRef, start: u32, count: u64) -> Result<(), GcError> {
        let length = self.heap()?.array_length(r);
        let length = length.map_err(|e| self.bad_reference(e))?;
        let inside = u64::from(start).checked_add(count).is_some_and(|end| end <= u64::from(length));
        if inside { Ok(()) } else { Err(GcError::OutOfBounds { start, count, length }) }
    }
}

impl ArrayRef {
    /// Allocates an array of `length` copies of `element`. May collect.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] and [`GcError::PackedRange`] for the element; [`GcError::WrongEngine`] or
    /// [`GcError::WrongStore`] for the type; [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory).
    pub fn new(
        mut store: impl AsContextMut,
        allocator: &impl ArrayAllocator,
        element: &Val,
        length: u32,
    ) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let shape = allocator.shape(store)?;
        checked_storage(store, element, &shape.element.storage)?;
        let r = store.alloc(shape.id, length)?;
        // The allocation may have moved what the value refers to: it is read again from its root.
        let value = checked_storage(store, element, &shape.element.storage)?;
        let filled = store.heap()?.array_fill(r, 0, value, length, true);
        filled.map_err(|e| store.bad_reference(e))?;
        Ok(store.root(r))
    }

    /// Allocates an array of default values: zero or null. May collect.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] when the element type has no default value; as [`new`](Self::new).
    pub fn new_default(
        mut store: impl AsContextMut,
        allocator: &impl ArrayAllocator,
        length: u32,
    ) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        let shape = allocator.shape(store.opaque())?;
        let element = super::default_of(&shape.ty(store.engine()).field_type())?;
        ArrayRef::new(store, allocator, &element, length)
    }

    /// Allocates an array of these elements. May collect. For numbers, [`from_slice`](Self::from_slice) is faster.
    ///
    /// # Errors
    ///
    /// [`GcError::TooLong`]; as [`new`](Self::new).
    pub fn new_fixed(
        mut store: impl AsContextMut,
        allocator: &impl ArrayAllocator,
        elements: &[Val],
    ) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let shape = allocator.shape(store)?;
        for element in elements {
            checked_storage(store, element, &shape.element.storage)?;
        }
        let r = store.alloc(shape.id, length_of(elements.len())?)?;
        for (i, element) in elements.iter().enumerate() {
            let value = checked_storage(store, element, &shape.element.storage)?;
            let written = store.heap()?.set_prepared_element(r, &shape.place, i as u32, value, true);
            written.map_err(|e| store.bad_reference(e))?;
        }
        Ok(store.root(r))
    }

    /// Copies `count` elements from `source` at `source_start` to `target` at `target_start`: `array.copy`. The ranges
    /// may overlap.
    ///
    /// # Errors
    ///
    /// [`GcError::OutOfBounds`], [`GcError::ImmutableElements`] of the target, [`GcError::TypeMismatch`] when the
    /// source's elements do not belong to the target's element type; [`GcError::DeadRoot`], [`GcError::WrongStore`],
    /// [`GcError::Corrupted`].
    pub fn copy(
        mut store: impl AsContextMut,
        target: &Rooted<ArrayRef>,
        target_start: u32,
        source: &Rooted<ArrayRef>,
        source_start: u32,
        count: u32,
    ) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (to, to_shape) = store.writable(target)?;
        let from = source.gc_ref(store)?;
        let from_shape = store.shape_of_array(from)?;
        let (wanted, given) = (to_shape.element.storage, from_shape.element.storage);
        let fits = match (&given, &wanted) {
            (gc::StorageType::Val(a), gc::StorageType::Val(b)) => store.engine.runtime().types().val_type_matches(a, b),
            (a, b) => a == b,
        };
        if !fits {
            return Err(GcError::mismatch(show_storage(store, &wanted), show_storage(store, &given)).into());
        }
        store.check_elements(to, target_start, count.into())?;
        store.check_elements(from, source_start, count.into())?;
        let copied = store.heap()?.array_copy(to, target_start, from, source_start, count);
        Ok(copied.map_err(|e| store.bad_reference(e))?)
    }
}

impl Rooted<ArrayRef> {
    /// The array's type.
    ///
    /// # Errors
    ///
    /// [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn ty(&self, mut store: impl AsContextMut) -> Result<ArrayType> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        Ok(store.shape_of_array(r)?.ty(&store.engine))
    }

    /// Number of elements.
    ///
    /// # Errors
    ///
    /// As [`ty`](Self::ty).
    pub fn len(&self, mut store: impl AsContextMut) -> Result<u32> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let length = store.heap()?.array_length(r);
        Ok(length.map_err(|e| store.bad_reference(e))?)
    }

    /// Whether there are no elements.
    ///
    /// # Errors
    ///
    /// As [`ty`](Self::ty).
    pub fn is_empty(&self, store: impl AsContextMut) -> Result<bool> {
        Ok(self.len(store)? == 0)
    }

    /// Reads an element; packed elements are zero-extended.
    ///
    /// # Errors
    ///
    /// [`GcError::OutOfBounds`]; as [`ty`](Self::ty).
    pub fn get(&self, mut store: impl AsContextMut, index: u32) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let shape = store.shape_of_array(r)?;
        let value = store.heap()?.get_prepared_element(r, &shape.place, index);
        let value = value.map_err(|e| store.bad_elements(r, e, index, 1))?;
        Ok(loaded(store, value, &shape.element.storage))
    }

    /// Writes an element.
    ///
    /// # Errors
    ///
    /// [`GcError::OutOfBounds`], [`GcError::ImmutableElements`], [`GcError::TypeMismatch`], [`GcError::PackedRange`];
    /// as [`ty`](Self::ty).
    pub fn set(&self, mut store: impl AsContextMut, index: u32, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, shape) = store.writable(self)?;
        let value = checked_storage(store, &value, &shape.element.storage)?;
        let written = store.heap()?.set_prepared_element(r, &shape.place, index, value, false);
        Ok(written.map_err(|e| store.bad_elements(r, e, index, 1))?)
    }

    /// Writes `value` to `count` elements from `start`: `array.fill`.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn fill(&self, mut store: impl AsContextMut, start: u32, value: Val, count: u32) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, shape) = store.writable(self)?;
        let value = checked_storage(store, &value, &shape.element.storage)?;
        let filled = store.heap()?.array_fill(r, start, value, count, false);
        Ok(filled.map_err(|e| store.bad_elements(r, e, start, count.into()))?)
    }

    /// Reads every element.
    ///
    /// # Errors
    ///
    /// As [`ty`](Self::ty).
    pub fn elems(&self, mut store: impl AsContextMut) -> Result<Vec<Val>> {
        let length = self.len(&mut store)?;
        self.elems_in(store, 0, length)
    }

    /// Reads `count` elements from `start`, of any type.
    ///
    /// # Errors
    ///
    /// [`GcError::OutOfBounds`]; as [`ty`](Self::ty).
    pub fn elems_in(&self, mut store: impl AsContextMut, start: u32, count: u32) -> Result<Vec<Val>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let shape = store.shape_of_array(r)?;
        store.check_elements(r, start, count.into())?;
        let mut values = Vec::with_capacity(count as usize);
        for index in start..start + count {
            let value = store.heap()?.get_prepared_element(r, &shape.place, index);
            let value = value.map_err(|e| store.bad_reference(e))?;
            values.push(loaded(store, value, &shape.element.storage));
        }
        Ok(values)
    }

    /// Writes elements of any type from `start`. Either all are written or, with an error, none.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn set_elems(&self, mut store: impl AsContextMut, start: u32, values: &[Val]) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, shape) = store.writable(self)?;
        store.check_elements(r, start, values.len() as u64)?;
        let storage = &shape.element.storage;
        let values = values.iter().map(|v| checked_storage(store, v, storage)).collect::<Result<Vec<_>, _>>()?;
        for (index, value) in (start..).zip(values) {
            let written = store.heap()?.set_prepared_element(r, &shape.place, index, value, false);
            written.map_err(|e| store.bad_reference(e))?;
        }
        Ok(())
    }
}
