//! Globals, tables, memories, tags, and what they have in common.

use crate::error::{from_call, from_instantiate};
use crate::func::definition;
use crate::gc_error::GcError;
use crate::store::{AsContext, AsContextMut, StoreId, StoreOpaque};
use crate::values::checked_heap_type;
use crate::{ExternType, Func, GlobalType, MemoryType, Mutability, Ref, Result, TableType, TagType, Val};
use anyhow::{anyhow, bail, ensure};
use heapwright_gc_heap as gc;
use heapwright_vm::{self as vm, GlobalId, MemoryId, TableId, TagId};

/// Something that can be imported or exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A global.
    Global(Global),
    /// A table.
    Table(Table),
    /// A memory.
    Memory(Memory),
    /// A tag.
    Tag(Tag),
}

macro_rules! accessors {
    ($($variant:ident $into:ident),*) => {
        impl Extern {
            $(
                #[doc = concat!("The ", stringify!($variant), ", if it is one.")]
                pub fn $into(self) -> Option<$variant> {
                    match self { Extern::$variant(x) => Some(x), _ => None }
                }
            )*

            pub(crate) fn to_vm(self, store: &StoreOpaque) -> Result<vm::Extern> {
                match self { $(Extern::$variant(x) => { store.check(x.store)?; Ok(vm::Extern::$variant(x.id)) })* }
            }

            pub(crate) fn from_vm(store: &StoreOpaque, item: vm::Extern) -> Extern {
                match item { $(vm::Extern::$variant(id) => Extern::$variant($variant { store: store.id, id }),)* }
            }
        }

        $(impl From<$variant> for Extern {
            fn from(x: $variant) -> Extern { Extern::$variant(x) }
        })*
    };
}

accessors!(Func into_func, Global into_global, Table into_table, Memory into_memory, Tag into_tag);

impl Extern {
    /// Its type.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        let store = &store.as_context().0.opaque;
        let item = self.to_vm(store).expect("an item used with its own store");
        ExternType::from_vm(&store.engine, &store.vm.extern_type(item))
    }
}

/// A global of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    pub(crate) store: StoreId,
    pub(crate) id: GlobalId,
}

impl Global {
    /// A global.
    ///
    /// # Errors
    ///
    /// When the value does not belong to the type; [`GcError::WrongEngine`](crate::GcError::WrongEngine).
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Global> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        check_type(store, ty.content())?;
        let content = ty.content().to_gc(&store.engine);
        retain(store, ty.content());
        let value = value.checked(store, &content)?;
        let vm_type = vm::GlobalType { ty: content, mutable: ty.mutability() == Mutability::Var };
        let id = store.vm.global_new(vm_type, value).map_err(|e| from_call(store, e))?;
        Ok(Global { store: store.id, id })
    }

    /// Its type.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> GlobalType {
        match Extern::from(*self).ty(store) {
            ExternType::Global(g) => g,
            other => unreachable!("a global is {other}"),
        }
    }

    /// Its value.
    ///
    /// # Errors
    ///
    /// When it belongs to another store.
    pub fn get(&self, mut store: impl AsContextMut) -> Result<Val> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store)?;
        let ty = store.vm.global_type(self.id).ty;
        let value = store.vm.global_get(self.id);
        Ok(Val::from_value(store, value, &ty))
    }

    /// Writes it.
    ///
    /// # Errors
    ///
    /// When it is immutable, the value has another type, or it belongs to another store.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store)?;
        let ty = store.vm.global_type(self.id);
        ensure!(ty.mutable, "immutable global cannot be set");
        let value = value.checked(store, &ty.ty)?;
        Ok(store.vm.global_set(self.id, value)?)
    }
}

/// Checks that a type is of the store's engine.
fn check_type(store: &StoreOpaque, ty: &crate::ValType) -> Result<(), GcError> {
    match ty {
        crate::ValType::Ref(r) => checked_heap_type(store, r.heap_type()).map(drop),
        _ => Ok(()),
    }
}

/// Keeps the defined types that `ty` uses alive as long as the store.
fn retain(store: &mut StoreOpaque, ty: &crate::ValType) {
    use crate::HeapType;
    if let crate::ValType::Ref(r) = ty {
        let types = match r.heap_type() {
            HeapType::ConcreteFunc(t) => t.0.types.clone(),
            HeapType::ConcreteStruct(t) => t.0.types.clone(),
            HeapType::ConcreteArray(t) => t.0.types.clone(),
            _ => return,
        };
        store.vm.retain_types(types);
    }
}

/// A table of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    pub(crate) store: StoreId,
    pub(crate) id: TableId,
}

impl Table {
    /// A table whose slots hold `init`.
    ///
    /// # Errors
    ///
    /// When the value does not belong to the element type, or memory is refused;
    /// [`GcError::WrongEngine`](crate::GcError::WrongEngine).
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Ref) -> Result<Table> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        check_type(store, &ty.element().clone().into())?;
        retain(store, &ty.element().clone().into());
        let vm_type = ty.to_vm(&store.engine);
        let init = Val::from(init).checked(store, &gc::ValType::Ref(vm_type.element))?;
        let id = store.vm.table_new(vm_type, init).map_err(|e| from_instantiate(store, e))?;
        Ok(Table { store: store.id, id })
    }

    /// Its type, with the current size as minimum.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        match Extern::from(*self).ty(store) {
            ExternType::Table(t) => t,
            other => unreachable!("a table is {other}"),
        }
    }

    /// Number of slots.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let store = &store.as_context().0.opaque;
        store.check(self.store).expect("a table used with its own store");
        store.vm.table_size(self.id)
    }

    fn enter<'a>(&self, store: &'a mut StoreOpaque) -> Result<(&'a mut StoreOpaque, gc::ValType)> {
        store.check(self.store)?;
        let element = gc::ValType::Ref(store.vm.table_type(self.id).element);
        Ok((store, element))
    }

    /// A slot's value; `None` beyond the end.
    ///
    /// # Errors
    ///
    /// When it belongs to another store.
    pub fn get(&self, mut store: impl AsContextMut, index: u64) -> Result<Option<Ref>> {
        let mut store = store.as_context_mut();
        let (store, element) = self.enter(store.opaque())?;
        let Some(value) = store.vm.table_get(self.id, index) else { return Ok(None) };
        let value = Val::from_value(store, value, &element);
        Ok(Some(value.as_ref_value().ok_or_else(|| anyhow!("a table slot holds no reference"))?))
    }

    /// Writes a slot.
    ///
    /// # Errors
    ///
    /// When the index is out of bounds, the value has another type, or the table belongs to another store.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: Ref) -> Result<()> {
        let mut store = store.as_context_mut();
        let (store, element) = self.enter(store.opaque())?;
        let value = Val::from(value).checked(store, &element)?;
        store.vm.table_set(self.id, index, value).map_err(|t| from_call(store, t.into()))
    }

    /// Grows by `delta` slots that hold `init`; returns the old size.
    ///
    /// # Errors
    ///
    /// When the table cannot grow that far, the value has another type, or the table belongs to another store.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Ref) -> Result<u64> {
        let mut store = store.as_context_mut();
        let (store, element) = self.enter(store.opaque())?;
        let value = Val::from(init).checked(store, &element)?;
        match store.vm.table_grow(self.id, delta, value) {
            Ok(Some(old)) => Ok(old),
            Ok(None) => bail!("failed to grow table by {delta} slots"),
            Err(t) => Err(from_call(store, t)),
        }
    }
}

/// A linear memory of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub(crate) store: StoreId,
    pub(crate) id: MemoryId,
}

impl Memory {
    /// A memory of zeros.
    ///
    /// # Errors
    ///
    /// When memory is refused.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Memory> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let id = store.vm.memory_new(ty.0).map_err(|e| from_instantiate(store, e))?;
        Ok(Memory { store: store.id, id })
    }

    /// Its type, with the current size as minimum.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        let store = &store.as_context().0.opaque;
        store.check(self.store).expect("a memory used with its own store");
        MemoryType(store.vm.memory_type(self.id))
    }

    /// Its bytes.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn data<'a, T: 'static>(&self, store: &'a impl AsContext<Data = T>) -> &'a [u8] {
        let store = &store.as_context().0.opaque;
        store.check(self.store).expect("a memory used with its own store");
        store.vm.memory_data(self.id)
    }

    /// Its bytes, writable.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn data_mut<'a, T: 'static>(&self, store: &'a mut impl AsContextMut<Data = T>) -> &'a mut [u8] {
        let store = &mut store.as_context_mut().0.opaque;
        store.check(self.store).expect("a memory used with its own store");
        store.vm.memory_data_mut(self.id)
    }

    /// Its bytes, writable, and the embedder's data.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn data_and_store_mut<'a, T: 'static>(
        &self,
        store: &'a mut impl AsContextMut<Data = T>,
    ) -> (&'a mut [u8], &'a mut T) {
        let inner = store.as_context_mut().0;
        inner.opaque.check(self.store).expect("a memory used with its own store");
        (inner.opaque.vm.memory_data_mut(self.id), &mut inner.data)
    }

    /// Copies bytes out.
    ///
    /// # Errors
    ///
    /// When the range is out of bounds.
    pub fn read(&self, store: impl AsContext, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let data = self.data(&store);
        let end = offset.checked_add(buffer.len()).filter(|&e| e <= data.len());
        let end = end.ok_or_else(|| anyhow!("out of bounds memory access"))?;
        buffer.copy_from_slice(&data[offset..end]);
        Ok(())
    }

    /// Copies bytes in.
    ///
    /// # Errors
    ///
    /// When the range is out of bounds.
    pub fn write(&self, mut store: impl AsContextMut, offset: usize, buffer: &[u8]) -> Result<()> {
        let data = self.data_mut(&mut store);
        let end = offset.checked_add(buffer.len()).filter(|&e| e <= data.len());
        let end = end.ok_or_else(|| anyhow!("out of bounds memory access"))?;
        data[offset..end].copy_from_slice(buffer);
        Ok(())
    }

    /// Size in pages.
    pub fn size(&self, store: impl AsContext) -> u64 {
        self.ty(store).minimum()
    }

    /// Grows by `delta` pages; returns the old size in pages.
    ///
    /// # Errors
    ///
    /// When the memory cannot grow that far, or belongs to another store.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store)?;
        let grown = store.vm.memory_grow(self.id, delta).map_err(|e| from_call(store, e))?;
        grown.ok_or_else(|| anyhow!("failed to grow memory by {delta} pages"))
    }
}

/// An exception tag of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub(crate) store: StoreId,
    pub(crate) id: TagId,
}

impl Tag {
    /// A tag.
    ///
    /// # Errors
    ///
    /// When memory is refused; [`GcError::WrongEngine`](crate::GcError::WrongEngine).
    pub fn new(mut store: impl AsContextMut, ty: &TagType) -> Result<Tag> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check_engine(ty.ty().engine())?;
        let id = store.vm.tag_new(ty.ty().0.types.clone())?;
        Ok(Tag { store: store.id, id })
    }

    /// Its type.
    ///
    /// # Panics
    ///
    /// When it belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> TagType {
        match Extern::from(*self).ty(store) {
            ExternType::Tag(t) => t,
            other => unreachable!("a tag is {other}"),
        }
    }

    pub(crate) fn from_vm(store: &StoreOpaque, id: TagId) -> Tag {
        Tag { store: store.id, id }
    }

    pub(crate) fn definition(&self, store: &StoreOpaque) -> Result<gc::FuncType> {
        store.check(self.store)?;
        Ok(definition(store, store.vm.tag_type(self.id)))
    }
}
