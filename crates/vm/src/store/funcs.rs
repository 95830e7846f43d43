//! Functions as the host sees them.

use super::host::{HostContext, HostFunc};
use super::{CellBox, HostFn, Store, StoreState};
use crate::{FuncId, InstanceId, InstantiateError};
use heapwright_gc_heap::{CompositeType, MemoryError, RegisteredTypes, TypeId};
use heapwright_jit::abi::{FuncEntry, SignatureKinds};

/// Marks an entry of the function table whose context is a [`HostContext`].
const HOST: u32 = 1;

impl Store {
    /// A host function of a function type that is registered in this store's runtime.
    ///
    /// When an instance imports it, that instance gets a function of its own which knows the instance: see
    /// [`HostCall::instance`](crate::HostCall::instance).
    ///
    /// # Errors
    ///
    /// Stubs may have to be compiled, and the function table may be full.
    pub fn func_new(&mut self, ty: RegisteredTypes, f: Box<HostFn>) -> Result<FuncId, InstantiateError> {
        let state = &mut self.state;
        let not_a_func = || InstantiateError::Resource("the type of a host function must be a function type".into());
        let &id = ty.ids().first().ok_or_else(not_a_func)?;
        let definition = state.runtime.types().definition(id);
        let CompositeType::Func(func) = &definition.composite else { return Err(not_a_func()) };
        let kinds = SignatureKinds::of(func);
        let code =
            state.runtime.host_call_stub(&kinds).map_err(|e| InstantiateError::Resource(e.to_string()))? as *const u8;
        let signature = state.runtime.types().signature_id(id);
        let func = HostFunc::new(f);
        let slots = kinds.params.len().max(kinds.results.len());
        let context = CellBox::new(HostContext::new(state.context(), &func, slots, None));
        let entry =
            FuncEntry { code, context: context.as_ptr().cast(), type_word: id.0, signature, id: 0, reserved: HOST };
        let id = state.push_func(entry)?;
        state.host_funcs.push(func);
        state.host_contexts.push(context);
        state.retained.push(ty);
        Ok(id)
    }

    /// The canonical type of a function.
    ///
    /// # Panics
    ///
    /// When the function is not of this store.
    pub fn func_type(&self, func: FuncId) -> TypeId {
        TypeId(self.state.func_entry(func.0).expect("a function of this store").type_word)
    }

    /// The function behind a function reference: `None` when null, or forged.
    pub fn func_of_ref(&self, funcref: u32) -> Option<FuncId> {
        self.state.func_entry(funcref).map(|entry| FuncId(entry.id))
    }
}

impl StoreState {
    /// Adds a function.
    pub(crate) fn push_func(&mut self, entry: FuncEntry) -> Result<FuncId, MemoryError> {
        let id = self.funcs.push(entry)?;
        // SAFETY: the context is the store's own, and compiled code stands still.
        unsafe { (*self.context()).func_table_len = self.funcs.len() };
        Ok(FuncId(id))
    }

    /// The entry of an imported function as `instance` is to call it: a host function gets a context of its own.
    pub(crate) fn import_func(&mut self, func: FuncId, instance: InstanceId) -> Option<FuncEntry> {
        let entry = self.func_entry(func.0)?;
        if entry.reserved != HOST {
            return Some(entry);
        }
        // SAFETY: a host function's context is a `HostContext` that the store keeps.
        let context = unsafe { (*entry.context.cast::<HostContext>()).for_instance(instance) };
        let context = CellBox::new(context);
        let entry = FuncEntry { context: context.as_ptr().cast(), id: 0, ..entry };
        self.host_contexts.push(context);
        Some(entry)
    }
}
