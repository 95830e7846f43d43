//! GC references: what can be done with the values behind roots.
//!
//! What this module guarantees: a root of another store or of a scope that has ended, a value of another type, an index
//! out of range, a write to what is immutable are [`GcError`]s; nothing here panics, and each reference written passes
//! the collector's barrier program. What an object's type says is validated, for the heap is not trusted.

mod accessor;
mod arrays;
mod bulk;
mod exns;
mod externs;
mod i31;
mod identity;
mod strings;
mod structs;

pub use accessor::{ArrayAccessor, FieldAccessor};
pub use arrays::{ArrayAllocator, ArrayRefPre};
pub use bulk::Scalar;
pub use i31::I31;
pub(crate) use identity::Identities;
pub use identity::Identity;
pub use strings::StringEncoding;
pub use structs::{StructAllocator, StructRefPre};

use crate::error::from_alloc;
use crate::gc_error::GcError;
use crate::store::StoreOpaque;
use crate::values::{belongs, checked_heap_type, kind_of};
use crate::{
    ArrayType, AsContextMut, FieldType, HeapType, Mutability, RefType, Result, Rooted, StorageType, StructType, Val,
};
use heapwright_gc_heap::{self as gc, GcRef, TypeId, TypeKind};

/// Marker of `anyref` roots: any internal reference.
#[derive(Debug)]
pub enum AnyRef {}
/// Marker of `eqref` roots: an i31, a struct or an array.
#[derive(Debug)]
pub enum EqRef {}
/// Marker of struct roots.
#[derive(Debug)]
pub enum StructRef {}
/// Marker of array roots.
#[derive(Debug)]
pub enum ArrayRef {}
/// Marker of `externref` roots: a host value.
#[derive(Debug)]
pub enum ExternRef {}
/// Marker of exception roots.
#[derive(Debug)]
pub enum ExnRef {}

/// What a reference is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GcRefKind {
    /// An i31.
    I31,
    /// A struct.
    Struct,
    /// An array.
    Array,
    /// An exception.
    Exception,
    /// A host value.
    Extern,
}

impl StoreOpaque {
    /// Allocates an object; its fields are to be written before anything else happens.
    fn alloc(&mut self, ty: TypeId, length: u32) -> Result<GcRef> {
        self.flush_dropped();
        self.heap()?;
        let (heap, roots) = self.vm.heap_and_roots().map_err(|e| GcError::NoHeap(e.to_string()))?;
        match heap.alloc(ty, length, roots) {
            Ok(r) => Ok(r),
            Err(e) => Err(from_alloc(self, e)),
        }
    }

    /// Whether a reference that is not null is an i31, a struct, …
    fn ref_kind(&mut self, r: GcRef) -> Result<GcRefKind, GcError> {
        Ok(match kind_of(self, r)? {
            None => GcRefKind::I31,
            Some(TypeKind::Struct) => GcRefKind::Struct,
            Some(TypeKind::Array) => GcRefKind::Array,
            Some(TypeKind::Exception) => GcRefKind::Exception,
            Some(TypeKind::Extern) => GcRefKind::Extern,
            Some(TypeKind::Func) => {
                let found = gc::HeapCorrupted { what: "an object has a function type", at: r.raw() };
                return Err(self.corrupted(found));
            }
        })
    }
}

/// A value for a field of this storage type. A packed field takes what fits it, signed or unsigned.
fn checked_storage(store: &mut StoreOpaque, value: &Val, storage: &gc::StorageType) -> Result<gc::Value, GcError> {
    let bits = match storage {
        gc::StorageType::I8 => 8,
        gc::StorageType::I16 => 16,
        gc::StorageType::Val(ty) => return value.checked(store, ty),
    };
    if let Val::I32(value) = *value
        && !(-(1 << (bits - 1))..1 << bits).contains(&value)
    {
        return Err(GcError::PackedRange { value, bits });
    }
    value.checked(store, &gc::ValType::I32)
}

fn loaded(store: &mut StoreOpaque, value: gc::Value, storage: &gc::StorageType) -> Val {
    match storage {
        gc::StorageType::I8 | gc::StorageType::I16 => Val::from_value(store, value, &gc::ValType::I32),
        gc::StorageType::Val(ty) => Val::from_value(store, value, ty),
    }
}

impl AnyRef {
    /// An i31 as an `anyref`.
    pub fn from_i31(mut store: impl AsContextMut, value: I31) -> Rooted<AnyRef> {
        store.as_context_mut().opaque().root(GcRef::i31(value.0))
    }

    /// `any.convert_extern`: the same value as an internal reference.
    ///
    /// # Errors
    ///
    /// When the root is dead or belongs to another store.
    pub fn convert_extern(mut store: impl AsContextMut, value: Rooted<ExternRef>) -> Result<Rooted<AnyRef>> {
        let mut store = store.as_context_mut();
        let r = value.gc_ref(store.opaque())?;
        Ok(store.opaque().root(r))
    }
}

impl EqRef {
    /// An i31 as an `eqref`.
    pub fn from_i31(mut store: impl AsContextMut, value: I31) -> Rooted<EqRef> {
        store.as_context_mut().opaque().root(GcRef::i31(value.0))
    }
}

macro_rules! queries {
    ($($marker:ident),*) => {$(
        impl Rooted<$marker> {
            /// The most precise type of the reference: `i31`, the defined type of a struct or array, `any` for a host
            /// value that became an internal reference.
            ///
            /// # Errors
            ///
            /// [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
            pub fn heap_type(&self, mut store: impl AsContextMut) -> Result<HeapType> {
                let mut store = store.as_context_mut();
                let store = store.opaque();
                let r = self.gc_ref(store)?;
                Ok(match store.ref_kind(r)? {
                    GcRefKind::I31 => HeapType::I31,
                    GcRefKind::Struct => HeapType::ConcreteStruct(store.shape_of_struct(r)?.ty(&store.engine)),
                    GcRefKind::Array => HeapType::ConcreteArray(store.shape_of_array(r)?.ty(&store.engine)),
                    GcRefKind::Exception => HeapType::Exn,
                    GcRefKind::Extern => HeapType::Any,
                })
            }

            /// Whether the reference belongs to a heap type: `ref.test`. A type of another hierarchy has none of these
            /// references.
            ///
            /// # Errors
            ///
            /// [`GcError::WrongEngine`]; as [`heap_type`](Self::heap_type).
            pub fn matches_ty(&self, mut store: impl AsContextMut, ty: &HeapType) -> Result<bool> {
                let mut store = store.as_context_mut();
                let store = store.opaque();
                let r = self.gc_ref(store)?;
                let ty = checked_heap_type(store, ty)?;
                Ok(ty.top(false) == gc::AbstractHeapType::Any && belongs(store, r, &ty)?)
            }
        }
    )*};
}

queries!(AnyRef, EqRef, StructRef, ArrayRef);

macro_rules! downcasts {
    ($($marker:ident),*) => {$(
        impl Rooted<$marker> {
            /// What the reference is.
            ///
            /// # Errors
            ///
            /// [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
            pub fn kind(&self, mut store: impl AsContextMut) -> Result<GcRefKind> {
                let mut store = store.as_context_mut();
                let r = self.gc_ref(store.opaque())?;
                Ok(store.opaque().ref_kind(r)?)
            }

            /// The i31, if it is one.
            ///
            /// # Errors
            ///
            /// [`GcError::DeadRoot`], [`GcError::WrongStore`].
            pub fn as_i31(&self, store: impl crate::AsContext) -> Result<Option<I31>> {
                Ok(self.gc_ref(&store.as_context().0.opaque)?.i31_u().map(I31))
            }

            /// The struct, if it is one.
            ///
            /// # Errors
            ///
            /// As [`kind`](Self::kind).
            pub fn as_struct(&self, store: impl AsContextMut) -> Result<Option<Rooted<StructRef>>> {
                Ok((self.kind(store)? == GcRefKind::Struct).then(|| self.retype()))
            }

            /// The array, if it is one.
            ///
            /// # Errors
            ///
            /// As [`kind`](Self::kind).
            pub fn as_array(&self, store: impl AsContextMut) -> Result<Option<Rooted<ArrayRef>>> {
                Ok((self.kind(store)? == GcRefKind::Array).then(|| self.retype()))
            }
        }
    )*};
}

downcasts!(AnyRef, EqRef);

impl Rooted<AnyRef> {
    /// The `eqref`, unless it is a host value.
    ///
    /// # Errors
    ///
    /// As [`kind`](Self::kind).
    pub fn as_eqref(&self, store: impl AsContextMut) -> Result<Option<Rooted<EqRef>>> {
        let kind = self.kind(store)?;
        Ok(matches!(kind, GcRefKind::I31 | GcRefKind::Struct | GcRefKind::Array).then(|| self.retype()))
    }
}

macro_rules! upcasts {
    ($($from:ident $method:ident $to:ident $text:literal;)*) => {$(
        impl Rooted<$from> {
            #[doc = concat!("The same reference as an `", $text, "`.")]
            pub fn $method(self) -> Rooted<$to> {
                self.retype()
            }
        }
    )*};
}

upcasts! {
    EqRef to_anyref AnyRef "anyref";
    StructRef to_anyref AnyRef "anyref";
    ArrayRef to_anyref AnyRef "anyref";
    StructRef to_eqref EqRef "eqref";
    ArrayRef to_eqref EqRef "eqref";
}

/// The default value of a field: zero or null.
fn default_of(field: &FieldType) -> Result<Val, GcError> {
    let ty = field.element_type().unpack();
    Val::default_for(&ty).ok_or_else(|| GcError::mismatch("a type with a default value", ty))
}

/// The message's words for a storage type.
fn show_storage(store: &StoreOpaque, storage: &gc::StorageType) -> String {
    FieldType::from_gc(&store.engine, &gc::FieldType { storage: *storage, mutable: false }).to_string()
}

impl FieldType {
    /// Whether a field of this type can be written.
    pub fn is_mutable(&self) -> bool {
        self.mutability() == Mutability::Var
    }

    /// Whether it is packed.
    pub fn is_packed(&self) -> bool {
        matches!(self.element_type(), StorageType::I8 | StorageType::I16)
    }
}

impl RefType {
    /// Whether a value belongs to this type.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongEngine`], [`GcError::DeadRoot`], [`GcError::WrongStore`], [`GcError::Corrupted`].
    pub fn contains(&self, store: impl AsContextMut, value: &Val) -> Result<bool> {
        value.matches_ty(store, &crate::ValType::Ref(self.clone()))
    }
}

impl From<StructType> for HeapType {
    fn from(ty: StructType) -> HeapType {
        HeapType::ConcreteStruct(ty)
    }
}

impl From<ArrayType> for HeapType {
    fn from(ty: ArrayType) -> HeapType {
        HeapType::ConcreteArray(ty)
    }
}
