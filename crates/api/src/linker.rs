//! Imports by name.

use crate::func::dynamic_host;
use crate::store::StoreOpaque;
use crate::{
    AsContextMut, Caller, Engine, Extern, ExternType, Func, FuncType, Instance, IntoFunc, LinkError, Module, Result,
    Val,
};
use anyhow::{bail, ensure};
use hashbrown::HashMap;
use heapwright_vm::HostFn;
use std::sync::Arc;

/// Resolves imports by their two names. Host functions defined here belong to no store, so one linker serves many.
pub struct Linker<T: 'static> {
    engine: Engine,
    items: HashMap<(Arc<str>, Arc<str>), Definition>,
    allow_shadowing: bool,
    marker: std::marker::PhantomData<fn(T)>,
}

#[derive(Clone)]
enum Definition {
    Extern(Extern),
    HostFunc(FuncType, Arc<HostFn>),
}

impl<T: 'static> Linker<T> {
    /// An empty linker.
    pub fn new(engine: &Engine) -> Linker<T> {
        Linker {
            engine: engine.clone(),
            items: HashMap::new(),
            allow_shadowing: false,
            marker: std::marker::PhantomData,
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether a name may be defined again. Default off.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.allow_shadowing = allow;
        self
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> Result<&mut Self> {
        let key = (Arc::from(module), Arc::from(name));
        if !self.allow_shadowing && self.items.contains_key(&key) {
            bail!("import of `{module}::{name}` defined twice");
        }
        self.items.insert(key, definition);
        Ok(self)
    }

    /// Defines an item of a store.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn define(&mut self, module: &str, name: &str, item: impl Into<Extern>) -> Result<&mut Self> {
        self.insert(module, name, Definition::Extern(item.into()))
    }

    /// Defines a host function whose type is that of the closure.
    ///
    /// # Errors
    ///
    /// When the name is taken.
    pub fn func_wrap<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        f: impl IntoFunc<T, Params, Results>,
    ) -> Result<&mut Self> {
        let (ty, host) = f.into_func(&self.engine);
        self.insert(module, name, Definition::HostFunc(ty, host.into()))
    }

    /// Defines a host function of any type.
    ///
    /// # Errors
    ///
    /// When the name is taken, or the type belongs to another engine.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        f: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        ensure!(Engine::same(ty.engine(), &self.engine), "the function type belongs to another engine");
        let host = dynamic_host(&ty, f);
        self.insert(module, name, Definition::HostFunc(ty, host.into()))
    }

    /// Defines every export of an instance.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub fn instance(&mut self, store: impl AsContextMut, module: &str, instance: Instance) -> Result<&mut Self> {
        for (name, item) in instance.exports(store) {
            self.define(module, &name, item)?;
        }
        Ok(self)
    }

    /// Defines every function import of `module` that is still unknown as one that traps with an error naming it. Other
    /// unknown imports stay unknown.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<&mut Self> {
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { continue };
            if self.lookup(import.module(), import.name()).is_none() {
                let (first, second) = (import.module().to_owned(), import.name().to_owned());
                self.func_new(&first.clone(), &second.clone(), ty, move |_, _, _| {
                    bail!("unknown import `{first}::{second}` was called")
                })?;
            }
        }
        Ok(self)
    }

    fn lookup(&self, module: &str, name: &str) -> Option<&Definition> {
        self.items.get(&(Arc::from(module), Arc::from(name)))
    }

    fn resolve(&self, store: &mut StoreOpaque, module: &str, name: &str) -> Result<Option<Extern>> {
        Ok(match self.lookup(module, name) {
            None => None,
            Some(Definition::Extern(item)) => Some(*item),
            Some(Definition::HostFunc(ty, host)) => {
                store.check_engine(&self.engine)?;
                let host = host.clone();
                let shared: Box<HostFn> = Box::new(move |call, slots| host(call, slots));
                Some(Func::from_host(store, ty.0.types.clone(), shared)?.into())
            }
        })
    }

    /// The item of these names.
    ///
    /// # Errors
    ///
    /// When a host function cannot be made in the store; [`GcError::WrongEngine`](crate::GcError::WrongEngine).
    pub fn get(&self, mut store: impl AsContextMut<Data = T>, module: &str, name: &str) -> Result<Option<Extern>> {
        self.resolve(store.as_context_mut().opaque(), module, name)
    }

    /// Resolves a module's imports and instantiates it.
    ///
    /// # Errors
    ///
    /// A [`LinkError`] for an unknown import; as [`Instance::new`].
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance> {
        let mut store = store.as_context_mut();
        let mut imports = Vec::new();
        for import in module.imports() {
            match self.resolve(store.opaque(), import.module(), import.name())? {
                Some(item) => imports.push(item),
                None => {
                    return Err(LinkError {
                        module: import.module().to_owned(),
                        name: import.name().to_owned(),
                        expected: import.ty().to_string(),
                        got: None,
                    }
                    .into());
                }
            }
        }
        Instance::new(store, module, &imports)
    }
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Linker {
            engine: self.engine.clone(),
            items: self.items.clone(),
            allow_shadowing: self.allow_shadowing,
            marker: std::marker::PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Linker<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linker").field("items", &self.items.len()).finish_non_exhaustive()
    }
}
