//! Instances.

use crate::error::from_instantiate;
use crate::store::{AsContextMut, StoreId, StoreOpaque};
use crate::{
    Engine, Event, Extern, Func, Global, Memory, Module, Result, Table, Tag, TypedFunc, WasmParams, WasmResults,
};
use anyhow::{anyhow, ensure};
use heapwright_vm::InstanceId;
use std::sync::Arc;
use std::time::Instant;

/// An instance of a module in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    pub(crate) store: StoreId,
    pub(crate) id: InstanceId,
}

macro_rules! get {
    ($($name:ident $into:ident $ty:ident),*) => {$(
        #[doc = concat!("The exported ", stringify!($ty), " of this name.")]
        pub fn $name(&self, store: impl AsContextMut, name: &str) -> Option<$ty> {
            self.get_export(store, name)?.$into()
        }
    )*};
}

impl Instance {
    /// Instantiates a module with imports in order, and runs its start function.
    ///
    /// # Errors
    ///
    /// A [`LinkError`](crate::LinkError) when the imports do not fit; what initialisation or the start function ended
    /// with, as [`Func::call`].
    pub fn new(mut store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        ensure!(Engine::same(module.engine(), &store.engine), "the module belongs to another engine");
        let expected = module.loaded().info().imports.len();
        ensure!(expected == imports.len(), "expected {expected} imports, found {}", imports.len());
        let imports = imports.iter().map(|i| i.to_vm(store)).collect::<Result<Vec<_>>>()?;
        let started = store.vm.has_event_sink().then(Instant::now);
        let instantiated = store.vm.instantiate(module.loaded(), &imports);
        if let Some(started) = started {
            let (module, succeeded) = (module.name().map(Arc::from), instantiated.is_ok());
            store.vm.emit(|| Event::Instantiate { module, succeeded, started, time: started.elapsed() });
        }
        let id = instantiated.map_err(|e| from_instantiate(store, e))?;
        Ok(Instance { store: store.id, id })
    }

    /// The export of this name.
    pub fn get_export(&self, mut store: impl AsContextMut, name: &str) -> Option<Extern> {
        self.export_of(store.as_context_mut().opaque(), name)
    }

    pub(crate) fn export_of(&self, store: &StoreOpaque, name: &str) -> Option<Extern> {
        store.check(self.store).ok()?;
        store.vm.instance_export(self.id, name).map(|e| Extern::from_vm(store, e))
    }

    /// Every export, in the module's order.
    pub fn exports(&self, mut store: impl AsContextMut) -> Vec<(String, Extern)> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        if store.check(self.store).is_err() {
            return Vec::new();
        }
        let module = store.vm.instance_module(self.id).clone();
        let names = module.info().exports.iter().map(|e| e.name.clone());
        names
            .enumerate()
            .filter_map(|(i, name)| Some((name, Extern::from_vm(store, store.vm.instance_export_at(self.id, i)?))))
            .collect()
    }

    get!(
        get_func into_func Func,
        get_global into_global Global,
        get_memory into_memory Memory,
        get_table into_table Table,
        get_tag into_tag Tag
    );

    /// The exported function of this name with a static type.
    ///
    /// # Errors
    ///
    /// When there is no such function or its type differs.
    pub fn typed_func<P: WasmParams, R: WasmResults>(
        &self,
        mut store: impl AsContextMut,
        name: &str,
    ) -> Result<TypedFunc<P, R>> {
        let func = self.get_func(&mut store, name).ok_or_else(|| anyhow!("no exported function `{name}`"))?;
        func.typed(store)
    }
}
