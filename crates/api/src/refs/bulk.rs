//! Ranges of numeric arrays as Rust slices: one check, then one copy.

use super::arrays::length_of;
use super::show_storage;
use crate::gc_error::GcError;
use crate::store::StoreOpaque;
use crate::{ArrayAllocator, ArrayRef, AsContextMut, Result, Rooted, V128};
use heapwright_gc_heap::{self as gc, GcRef, StorageType, ValType};

/// A Rust type that stands for the elements of a numeric array or for a numeric field: `i8` and `u8` for `i8`, `i16`
/// and `u16` for `i16`, and so on to `u64`; `f32`, `f64`; [`V128`].
pub trait Scalar: Copy + Default + Send + Sync + sealed::Sealed + 'static {}

pub(super) mod sealed {
    use super::{StorageType, gc};

    pub trait Sealed: Sized {
        const NAME: &'static str;
        #[doc(hidden)]
        const STORAGE: StorageType;
        #[doc(hidden)]
        fn read(bytes: &[u8], to: &mut [Self]);
        #[doc(hidden)]
        fn write(values: &[Self], bytes: &mut [u8]);
        #[doc(hidden)]
        fn from_value(value: gc::Value) -> Option<Self>;
        #[doc(hidden)]
        fn to_value(self) -> gc::Value;
    }
}

macro_rules! scalars {
    ($($ty:ty, $size:literal, $storage:expr, $value:ident, $v:ident, $to:expr, $from:expr;)*) => {$(
        impl Scalar for $ty {}
        impl sealed::Sealed for $ty {
            const NAME: &'static str = stringify!($ty);
            const STORAGE: StorageType = $storage;
            fn read(bytes: &[u8], to: &mut [Self]) {
                for (bytes, to) in bytes.as_chunks::<$size>().0.iter().zip(to) {
                    *to = <$ty>::from_le_bytes(*bytes);
                }
            }
            fn write(values: &[Self], bytes: &mut [u8]) {
                for (value, bytes) in values.iter().zip(bytes.as_chunks_mut::<$size>().0) {
                    *bytes = value.to_le_bytes();
                }
            }
            fn from_value(value: gc::Value) -> Option<Self> {
                match value { gc::Value::$value($v) => Some($from), _ => None }
            }
            fn to_value(self) -> gc::Value {
                let $v = self;
                gc::Value::$value($to)
            }
        }
    )*};
}

scalars! {
    i8, 1, StorageType::I8, I32, v, u32::from(v as u8), v as i8;
    u8, 1, StorageType::I8, I32, v, u32::from(v), v as u8;
    i16, 2, StorageType::I16, I32, v, u32::from(v as u16), v as i16;
    u16, 2, StorageType::I16, I32, v, u32::from(v), v as u16;
    i32, 4, StorageType::Val(ValType::I32), I32, v, v as u32, v as i32;
    u32, 4, StorageType::Val(ValType::I32), I32, v, v, v;
    i64, 8, StorageType::Val(ValType::I64), I64, v, v as u64, v as i64;
    u64, 8, StorageType::Val(ValType::I64), I64, v, v, v;
    f32, 4, StorageType::Val(ValType::F32), F32, v, v.to_bits(), f32::from_bits(v);
    f64, 8, StorageType::Val(ValType::F64), F64, v, v.to_bits(), f64::from_bits(v);
    V128, 16, StorageType::Val(ValType::V128), V128, v, v.as_u128(), V128::from(v);
}

impl V128 {
    fn from_le_bytes(bytes: [u8; 16]) -> V128 {
        u128::from_le_bytes(bytes).into()
    }

    fn to_le_bytes(self) -> [u8; 16] {
        self.as_u128().to_le_bytes()
    }
}

/// Checks that `T` stands for this storage type.
pub(super) fn check_scalar<T: Scalar>(store: &StoreOpaque, storage: &StorageType) -> Result<(), GcError> {
    if *storage == T::STORAGE { Ok(()) } else { Err(GcError::mismatch(T::NAME, show_storage(store, storage))) }
}

impl StoreOpaque {
    fn read_scalars<T: Scalar>(&mut self, r: GcRef, start: u32, to: &mut [T]) -> Result<(), GcError> {
        let storage = self.shape_of_array(r)?.element.storage;
        check_scalar::<T>(self, &storage)?;
        self.check_elements(r, start, to.len() as u64)?;
        // In range, so the count fits 32 bits.
        let read = self.heap()?.array_bytes(r, start, to.len() as u32).map(|bytes| T::read(bytes, to));
        read.map_err(|e| self.bad_reference(e))
    }

    fn write_scalars<T: Scalar>(&mut self, r: GcRef, start: u32, values: &[T]) -> Result<(), GcError> {
        let written = self.heap()?.array_bytes_mut(r, start, values.len() as u32).map(|bytes| T::write(values, bytes));
        written.map_err(|e| self.bad_elements(r, e, start, values.len() as u64))
    }
}

impl ArrayRef {
    /// Allocates an array of these numbers. May collect.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] when the array type's elements are no `T`; as [`new_fixed`](Self::new_fixed).
    pub fn from_slice<T: Scalar>(
        mut store: impl AsContextMut,
        allocator: &impl ArrayAllocator,
        values: &[T],
    ) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let shape = allocator.shape(store)?;
        check_scalar::<T>(store, &shape.element.storage)?;
        let r = store.alloc(shape.id, length_of(values.len())?)?;
        store.write_scalars(r, 0, values)?;
        Ok(store.root(r))
    }
}

impl Rooted<ArrayRef> {
    /// Copies elements from `start` into `target`, as many as it has room for.
    ///
    /// # Errors
    ///
    /// [`GcError::TypeMismatch`] when the elements are no `T`, [`GcError::OutOfBounds`]; [`GcError::DeadRoot`],
    /// [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn copy_to_slice<T: Scalar>(&self, mut store: impl AsContextMut, start: u32, target: &mut [T]) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        Ok(store.read_scalars(r, start, target)?)
    }

    /// Copies `values` to the elements from `start`.
    ///
    /// # Errors
    ///
    /// [`GcError::ImmutableElements`]; as [`copy_to_slice`](Self::copy_to_slice).
    pub fn copy_from_slice<T: Scalar>(&self, mut store: impl AsContextMut, start: u32, values: &[T]) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, shape) = store.writable(self)?;
        check_scalar::<T>(store, &shape.element.storage)?;
        store.check_elements(r, start, values.len() as u64)?;
        Ok(store.write_scalars(r, start, values)?)
    }

    /// Every element.
    ///
    /// # Errors
    ///
    /// As [`copy_to_slice`](Self::copy_to_slice).
    pub fn to_vec<T: Scalar>(&self, mut store: impl AsContextMut) -> Result<Vec<T>> {
        let length = self.len(&mut store)?;
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        // Before room is made: the length of an array of another element type says nothing about its size.
        let storage = store.shape_of_array(r)?.element.storage;
        check_scalar::<T>(store, &storage)?;
        let mut values = vec![T::default(); length as usize];
        store.read_scalars(r, 0, &mut values)?;
        Ok(values)
    }
}
