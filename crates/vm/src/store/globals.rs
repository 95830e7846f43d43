//! Globals.

use super::{CellBox, Store, StoreState};
use crate::{CallError, GlobalId, GlobalType, ValRaw};
use heapwright_gc_heap::{HeapCorrupted, HeapType, RefType, TypeKind, TypeRef, ValType, Value};
use heapwright_jit::abi::GlobalCell;

/// A global.
pub(crate) struct Global {
    pub(crate) cell: CellBox<GlobalCell>,
    pub(crate) ty: GlobalType,
    /// Whether it holds function references.
    is_func: bool,
}

impl Global {
    /// Whether the collector must see it.
    pub(crate) fn is_traced(&self) -> bool {
        matches!(self.ty.ty, ValType::Ref(_)) && !self.is_func
    }

    fn get(&self) -> Value {
        // SAFETY: the cell is alive as long as its store, and compiled code stands still while Rust code has the store.
        let bytes = unsafe { (*self.cell.as_ptr()).0 };
        ValRaw(bytes).to_value(&self.ty.ty, self.is_func)
    }
}

impl Store {
    /// A global. Types in `ty` must be kept alive ([`Store::retain_types`]).
    ///
    /// # Errors
    ///
    /// A corrupted heap.
    pub fn global_new(&mut self, ty: GlobalType, value: Value) -> Result<GlobalId, CallError> {
        let id = self.state.push_global(ty, CellBox::new(GlobalCell([0; 16])));
        self.global_set(id, value)?;
        Ok(id)
    }

    /// A global's type.
    pub fn global_type(&self, global: GlobalId) -> GlobalType {
        self.state.globals[global.0 as usize].ty
    }

    /// A global's value.
    pub fn global_get(&self, global: GlobalId) -> Value {
        self.state.globals[global.0 as usize].get()
    }

    /// Writes a global, whether mutable or not, with the collector's barrier.
    ///
    /// # Errors
    ///
    /// A corrupted heap.
    pub fn global_set(&mut self, global: GlobalId, value: Value) -> Result<(), HeapCorrupted> {
        if let (Value::Ref(old), Value::Ref(new)) = (self.global_get(global), value) {
            self.root_barrier(old, new)?;
        }
        // SAFETY: as in `Global::get`.
        unsafe { (*self.state.globals[global.0 as usize].cell.as_ptr()).0 = ValRaw::from(value).0 };
        Ok(())
    }
}

impl StoreState {
    pub(crate) fn push_global(&mut self, ty: GlobalType, cell: CellBox<GlobalCell>) -> GlobalId {
        let is_func = matches!(ty.ty, ValType::Ref(r) if self.is_func_ref(&r));
        self.globals.push(Global { cell, ty, is_func });
        GlobalId(self.globals.len() as u32 - 1)
    }

    /// Whether values of a canonical reference type are function ids.
    pub(crate) fn is_func_ref(&self, ty: &RefType) -> bool {
        use heapwright_gc_heap::AbstractHeapType::{Func, NoFunc};
        match ty.heap {
            HeapType::Abstract(a) => matches!(a, Func | NoFunc),
            HeapType::Concrete(TypeRef::Canonical(id)) => self.runtime.types().space().kind(id.0) == Ok(TypeKind::Func),
            HeapType::Concrete(_) => false,
        }
    }
}
