//! GC references: what can be done with the objects behind roots.

use crate::error::{from_alloc, from_bad_reference};
use crate::store::StoreOpaque;
use crate::types::Registered;
use crate::values::{belongs, kind_of};
use crate::{
    ArrayType, AsContext, AsContextMut, FieldType, HeapType, Mutability, Result, Rooted, StorageType, StructType, Tag,
    Val,
};
use anyhow::{anyhow, bail, ensure};
use heapwright_gc_heap::{self as gc, GcRef, TypeId, TypeKind};
use std::any::Any;

/// Marker of `anyref` roots: any internal reference.
#[derive(Debug)]
pub enum AnyRef {}
/// Marker of `eqref` roots.
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

/// What an internal reference is.
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

/// A 31-bit integer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct I31(u32);

impl I31 {
    /// From an unsigned value below 2³¹.
    pub fn new_u32(value: u32) -> Option<I31> {
        (value < 1 << 31).then_some(I31(value))
    }
    /// From a signed value in [-2³⁰, 2³⁰).
    pub fn new_i32(value: i32) -> Option<I31> {
        (-(1 << 30)..1 << 30).contains(&value).then_some(I31::wrapping_i32(value))
    }
    /// From the low 31 bits of a value.
    pub fn wrapping_u32(value: u32) -> I31 {
        I31(value & 0x7fff_ffff)
    }
    /// From the low 31 bits of a value.
    pub fn wrapping_i32(value: i32) -> I31 {
        I31::wrapping_u32(value as u32)
    }
    /// Zero-extended.
    pub fn get_u32(self) -> u32 {
        self.0
    }
    /// Sign-extended.
    pub fn get_i32(self) -> i32 {
        ((self.0 << 1) as i32) >> 1
    }
}

impl StoreOpaque {
    /// Allocates an object; its fields are to be written before anything else happens.
    fn alloc(&mut self, ty: TypeId, length: u32) -> Result<GcRef> {
        self.flush_dropped();
        if self.vm.is_poisoned() {
            bail!("the GC heap was found corrupted; the store can no longer be used");
        }
        let (heap, roots) = self.vm.heap_and_roots()?;
        match heap.alloc(ty, length, roots) {
            Ok(r) => Ok(r),
            Err(e) => Err(from_alloc(self, e)),
        }
    }

    fn field_types(&self, ty: TypeId) -> Vec<gc::FieldType> {
        match &self.engine.runtime().types().definition(ty).composite {
            gc::CompositeType::Struct(s) => s.fields.to_vec(),
            _ => Vec::new(),
        }
    }
}

/// A value for a field of this storage type: packed fields take any `i32`, of which they keep the low bits.
fn checked_storage(store: &mut StoreOpaque, value: &Val, storage: &gc::StorageType) -> Result<gc::Value> {
    match storage {
        gc::StorageType::I8 | gc::StorageType::I16 => value.checked(store, &gc::ValType::I32),
        gc::StorageType::Val(ty) => value.checked(store, ty),
    }
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

    /// `any.convert_extern`.
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

impl Rooted<AnyRef> {
    /// What the reference is.
    ///
    /// # Errors
    ///
    /// When the root is dead or belongs to another store, or the heap is corrupted.
    pub fn kind(&self, mut store: impl AsContextMut) -> Result<GcRefKind> {
        let mut store = store.as_context_mut();
        let r = self.gc_ref(store.opaque())?;
        if r.is_i31() {
            return Ok(GcRefKind::I31);
        }
        Ok(match kind_of(store.opaque().heap()?, r)? {
            None => GcRefKind::I31,
            Some(TypeKind::Struct) => GcRefKind::Struct,
            Some(TypeKind::Array) => GcRefKind::Array,
            Some(TypeKind::Exception) => GcRefKind::Exception,
            Some(TypeKind::Extern) => GcRefKind::Extern,
            Some(TypeKind::Func) => bail!("GC heap corrupted: an object has a function type"),
        })
    }

    /// The i31, if it is one.
    ///
    /// # Errors
    ///
    /// As [`kind`](Self::kind).
    pub fn as_i31(&self, store: impl AsContext) -> Result<Option<I31>> {
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

    /// The `eqref`, unless it is a host value.
    ///
    /// # Errors
    ///
    /// As [`kind`](Self::kind).
    pub fn as_eqref(&self, store: impl AsContextMut) -> Result<Option<Rooted<EqRef>>> {
        Ok((self.kind(store)? != GcRefKind::Extern).then(|| self.retype()))
    }

    /// Whether the reference belongs to a heap type.
    ///
    /// # Errors
    ///
    /// As [`kind`](Self::kind).
    pub fn matches_ty(&self, mut store: impl AsContextMut, ty: &HeapType) -> Result<bool> {
        let mut store = store.as_context_mut();
        let r = self.gc_ref(store.opaque())?;
        let ty = ty.to_gc(&store.opaque().engine.clone());
        belongs(store.opaque(), r, &ty)
    }
}

macro_rules! upcasts {
    ($($from:ident),*) => {$(
        impl Rooted<$from> {
            /// The same reference as an `anyref`.
            pub fn to_anyref(self) -> Rooted<AnyRef> {
                self.retype()
            }
        }
    )*};
}

upcasts!(EqRef, StructRef, ArrayRef);

impl Rooted<StructRef> {
    /// The same reference as an `eqref`.
    pub fn to_eqref(self) -> Rooted<EqRef> {
        self.retype()
    }
}

impl Rooted<ArrayRef> {
    /// The same reference as an `eqref`.
    pub fn to_eqref(self) -> Rooted<EqRef> {
        self.retype()
    }
}

/// The reference behind a root and its canonical type.
fn object<R>(store: &mut StoreOpaque, root: &Rooted<R>) -> Result<(GcRef, TypeId)> {
    let r = root.gc_ref(store)?;
    let entry = store.heap()?.type_of(r).map_err(from_bad_reference)?;
    // A corrupted heap may name any type; only these have fields or elements and a definition.
    ensure!(
        matches!(entry.kind, TypeKind::Struct | TypeKind::Array),
        "GC heap corrupted: a {:?} stands where a struct or an array was",
        entry.kind
    );
    Ok((r, entry.id))
}

impl StructRef {
    /// Allocates a struct. May collect.
    ///
    /// # Errors
    ///
    /// When the number or the types of `fields` are wrong, or the heap is full
    /// ([`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory)).
    pub fn new(mut store: impl AsContextMut, ty: &StructType, fields: &[Val]) -> Result<Rooted<StructRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        ensure!(crate::Engine::same(ty.engine(), &store.engine), "the struct type belongs to another engine");
        let types = store.field_types(ty.0.id);
        ensure!(types.len() == fields.len(), "expected {} fields, found {}", types.len(), fields.len());
        for (value, field) in fields.iter().zip(&types) {
            checked_storage(store, value, &field.storage)?;
        }
        store.vm.retain_types(ty.0.types.clone());
        let r = store.alloc(ty.0.id, 0)?;
        // The allocation may have moved what the values refer to: they are read again from their roots.
        for (i, (value, field)) in fields.iter().zip(&types).enumerate() {
            let value = checked_storage(store, value, &field.storage)?;
            store.heap()?.set_field(r, i as u32, value, true).map_err(from_bad_reference)?;
        }
        Ok(store.root(r))
    }
}

impl Rooted<StructRef> {
    /// The struct's type.
    ///
    /// # Errors
    ///
    /// When the root is dead or belongs to another store, or the heap is corrupted.
    pub fn ty(&self, mut store: impl AsContextMut) -> Result<StructType> {
        let mut store = store.as_context_mut();
        let (_, id) = object(store.opaque(), self)?;
        Ok(StructType(Registered::new(&store.opaque().engine, id)))
    }

    /// Reads a field; packed fields are zero-extended.
    ///
    /// # Errors
    ///
    /// When there is no such field; as [`ty`](Self::ty).
    pub fn field(&self, mut store: impl AsContextMut, index: usize) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, id) = object(store, self)?;
        let field = field_at(store, id, index)?;
        let value = store.heap()?.get_field(r, index as u32).map_err(from_bad_reference)?;
        Ok(loaded(store, value, &field.storage))
    }

    /// Reads every field.
    ///
    /// # Errors
    ///
    /// As [`ty`](Self::ty).
    pub fn fields(&self, mut store: impl AsContextMut) -> Result<Vec<Val>> {
        let count = self.ty(&mut store)?.fields().len();
        (0..count).map(|i| self.field(&mut store, i)).collect()
    }

    /// Writes a field.
    ///
    /// # Errors
    ///
    /// When there is no such field, it is immutable, or the value has another type; as [`ty`](Self::ty).
    pub fn set_field(&self, mut store: impl AsContextMut, index: usize, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, id) = object(store, self)?;
        let field = field_at(store, id, index)?;
        ensure!(field.mutable, "field {index} is immutable");
        let value = checked_storage(store, &value, &field.storage)?;
        store.heap()?.set_field(r, index as u32, value, false).map_err(from_bad_reference)
    }
}

fn field_at(store: &StoreOpaque, id: TypeId, index: usize) -> Result<gc::FieldType> {
    let fields = store.field_types(id);
    fields.get(index).copied().ok_or_else(|| anyhow!("the struct has {} fields, no field {index}", fields.len()))
}

/// The element of an array type.
fn element_of(store: &StoreOpaque, id: TypeId) -> Result<gc::FieldType> {
    match &store.engine.runtime().types().definition(id).composite {
        gc::CompositeType::Array(a) => Ok(a.0),
        _ => bail!("the object is no array"),
    }
}

impl ArrayRef {
    /// Allocates an array of `length` copies of `element`. May collect.
    ///
    /// # Errors
    ///
    /// When the element's type is wrong, or the heap is full.
    pub fn new(mut store: impl AsContextMut, ty: &ArrayType, element: &Val, length: u32) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let field = Self::prepare(store, ty, core::slice::from_ref(element))?;
        let r = store.alloc(ty.0.id, length)?;
        let value = checked_storage(store, element, &field.storage)?;
        store.heap()?.array_fill(r, 0, value, length, true).map_err(from_bad_reference)?;
        Ok(store.root(r))
    }

    /// Allocates an array of these elements. May collect.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn new_fixed(mut store: impl AsContextMut, ty: &ArrayType, elements: &[Val]) -> Result<Rooted<ArrayRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let field = Self::prepare(store, ty, elements)?;
        let length = u32::try_from(elements.len())?;
        let r = store.alloc(ty.0.id, length)?;
        for (i, element) in elements.iter().enumerate() {
            let value = checked_storage(store, element, &field.storage)?;
            store.heap()?.set_element(r, i as u32, value, true).map_err(from_bad_reference)?;
        }
        Ok(store.root(r))
    }

    fn prepare(store: &mut StoreOpaque, ty: &ArrayType, elements: &[Val]) -> Result<gc::FieldType> {
        ensure!(crate::Engine::same(ty.engine(), &store.engine), "the array type belongs to another engine");
        let field = element_of(store, ty.0.id)?;
        for element in elements {
            checked_storage(store, element, &field.storage)?;
        }
        store.vm.retain_types(ty.0.types.clone());
        Ok(field)
    }
}

impl Rooted<ArrayRef> {
    /// The array's type.
    ///
    /// # Errors
    ///
    /// When the root is dead or belongs to another store, or the heap is corrupted.
    pub fn ty(&self, mut store: impl AsContextMut) -> Result<ArrayType> {
        let mut store = store.as_context_mut();
        let (_, id) = object(store.opaque(), self)?;
        Ok(ArrayType(Registered::new(&store.opaque().engine, id)))
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
        store.heap()?.array_length(r).map_err(from_bad_reference)
    }

    /// Reads an element; packed elements are zero-extended.
    ///
    /// # Errors
    ///
    /// When the index is out of bounds; as [`ty`](Self::ty).
    pub fn get(&self, mut store: impl AsContextMut, index: u32) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, id) = object(store, self)?;
        let field = element_of(store, id)?;
        let value = store.heap()?.get_element(r, index).map_err(from_bad_reference)?;
        Ok(loaded(store, value, &field.storage))
    }

    /// Writes an element.
    ///
    /// # Errors
    ///
    /// When the index is out of bounds, the elements are immutable, or the value has another type; as [`ty`](Self::ty).
    pub fn set(&self, mut store: impl AsContextMut, index: u32, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, field) = Self::writable(self, store)?;
        let value = checked_storage(store, &value, &field.storage)?;
        store.heap()?.set_element(r, index, value, false).map_err(from_bad_reference)
    }

    /// Writes `count` elements from `start`.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set).
    pub fn fill(&self, mut store: impl AsContextMut, start: u32, value: Val, count: u32) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, field) = Self::writable(self, store)?;
        let value = checked_storage(store, &value, &field.storage)?;
        store.heap()?.array_fill(r, start, value, count, false).map_err(from_bad_reference)
    }

    fn writable(&self, store: &mut StoreOpaque) -> Result<(GcRef, gc::FieldType)> {
        let (r, id) = object(store, self)?;
        let field = element_of(store, id)?;
        ensure!(field.mutable, "the array's elements are immutable");
        Ok((r, field))
    }

    /// Reads every element.
    ///
    /// # Errors
    ///
    /// As [`ty`](Self::ty).
    pub fn elems(&self, mut store: impl AsContextMut) -> Result<Vec<Val>> {
        (0..self.len(&mut store)?).map(|i| self.get(&mut store, i)).collect()
    }

    /// A copy of the bytes of `count` elements from `start`; elements are little-endian and packed.
    ///
    /// # Errors
    ///
    /// When the range is out of bounds or the elements are references; as [`ty`](Self::ty).
    pub fn read_bytes(&self, mut store: impl AsContextMut, start: u32, count: u32) -> Result<Vec<u8>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let (r, _) = object(store, self)?;
        Ok(store.heap()?.array_bytes(r, start, count).map_err(from_bad_reference)?.to_vec())
    }
}

impl ExternRef {
    /// Wraps a host value. It is dropped when the guest and the host hold no reference to it any more and a collection has found
    /// out. May collect.
    ///
    /// # Errors
    ///
    /// When the heap is full.
    pub fn new(mut store: impl AsContextMut, value: impl Any + Send + Sync) -> Result<Rooted<ExternRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let (heap, roots) = store.vm.heap_and_roots()?;
        match heap.alloc_extern(Box::new(value), roots) {
            Ok(r) => Ok(store.root(r)),
            Err(e) => Err(from_alloc(store, e)),
        }
    }

    /// `extern.convert_any`.
    ///
    /// # Errors
    ///
    /// When the root is dead or belongs to another store.
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
    /// When the root is dead or belongs to another store, or the heap is corrupted.
    pub fn data<'a>(&self, store: &'a impl AsContext) -> Result<Option<&'a (dyn Any + Send + Sync)>> {
        let store = store.as_context().0;
        let r = self.gc_ref(&store.opaque)?;
        let Some(heap) = store.opaque.vm.existing_heap() else { return Ok(None) };
        if r.is_i31() {
            return Ok(None);
        }
        match heap.host_id(r) {
            Ok(id) => Ok(heap.host().get(id)),
            Err(gc::BadReference::Corrupted(e)) => Err(e.into()),
            Err(_) => Ok(None),
        }
    }
}

impl ExnRef {
    /// Allocates an exception. May collect.
    ///
    /// # Errors
    ///
    /// When the number or the types of `fields` do not fit the tag, or the heap is full.
    pub fn new(mut store: impl AsContextMut, tag: &Tag, fields: &[Val]) -> Result<Rooted<ExnRef>> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        let params = tag.definition(store)?.params;
        ensure!(params.len() == fields.len(), "expected {} values, found {}", params.len(), fields.len());
        let values = fields.iter().zip(&params).map(|(v, ty)| v.checked(store, ty)).collect::<Result<Vec<_>>>()?;
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
    /// When the root is dead or belongs to another store, or the heap is corrupted.
    pub fn tag(&self, mut store: impl AsContextMut) -> Result<Tag> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        let id = store.vm.exception_tag(r)?;
        Ok(Tag::from_vm(store, id))
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
            let value = store.heap()?.get_field(r, i as u32 + 1).map_err(from_bad_reference)?;
            values.push(Val::from_value(store, value, ty));
        }
        Ok(values)
    }
}

/// The type of a field as the embedder sees it; used in messages.
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
