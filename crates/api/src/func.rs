//! Functions and their calls.

use crate::error::{from_call, from_instantiate, to_call};
use crate::store::{AsContext, AsContextMut, StoreContext, StoreContextMut, StoreId, StoreInner, StoreOpaque};
use crate::types::Registered;
use crate::{Engine, Extern, FuncType, Instance, IntoFunc, Result, TypedFunc, Val, WasmParams, WasmResults};
use anyhow::ensure;
use heapwright_gc_heap::{self as gc, RegisteredTypes};
use heapwright_vm::{CallError, FuncId, HostCall, HostFn, InstanceId, ValRaw};
use smallvec::SmallVec;

/// A function of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Func {
    pub(crate) store: StoreId,
    pub(crate) id: FuncId,
}

impl Func {
    /// A host function of any type.
    ///
    /// # Errors
    ///
    /// When code for its signature cannot be made; [`GcError::WrongEngine`](crate::GcError::WrongEngine).
    pub fn new<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        f: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Func> {
        let mut store = store.as_context_mut();
        store.opaque().check_engine(ty.engine())?;
        let host = dynamic_host(&ty, f);
        Func::from_host(store.opaque(), ty.0.types, host)
    }

    /// A host function whose type is that of the closure.
    ///
    /// # Errors
    ///
    /// When code for its signature cannot be made.
    pub fn wrap<T: 'static, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        f: impl IntoFunc<T, Params, Results>,
    ) -> Result<Func> {
        let mut store = store.as_context_mut();
        let engine = store.engine().clone();
        let (ty, host) = f.into_func(&engine);
        Func::from_host(store.opaque(), ty.0.types, host)
    }

    pub(crate) fn from_host(store: &mut StoreOpaque, types: RegisteredTypes, host: Box<HostFn>) -> Result<Func> {
        let id = store.vm.func_new(types, host).map_err(|e| from_instantiate(store, e))?;
        Ok(Func { store: store.id, id })
    }

    /// The function's type.
    ///
    /// # Panics
    ///
    /// When the function belongs to another store.
    pub fn ty(&self, store: impl AsContext) -> FuncType {
        let store = &store.as_context().0.opaque;
        store.check(self.store).expect("a function used with its own store");
        FuncType(Registered::new(&store.engine, store.vm.func_type(self.id)))
    }

    /// Whether the function's type is `ty` or a subtype of it.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongStore`](crate::GcError::WrongStore), [`GcError::WrongEngine`](crate::GcError::WrongEngine).
    pub fn matches_ty(&self, store: impl AsContext, ty: &FuncType) -> Result<bool> {
        let store = &store.as_context().0.opaque;
        store.check(self.store)?;
        store.check_engine(ty.engine())?;
        Ok(store.engine.runtime().types().is_subtype(store.vm.func_type(self.id), ty.0.id))
    }

    /// Calls the function. `results` is as long as its result list; its contents are replaced.
    ///
    /// # Errors
    ///
    /// When numbers or types of values are wrong, and whatever the call ends with: a [`Trap`](crate::Trap),
    /// a [`ThrownException`](crate::ThrownException), [`GcHeapOutOfMemory`](crate::GcHeapOutOfMemory), or a host
    /// function's own error.
    pub fn call(&self, mut store: impl AsContextMut, params: &[Val], results: &mut [Val]) -> Result<()> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        store.check(self.store)?;
        let ty = definition(store, store.vm.func_type(self.id));
        ensure!(ty.params.len() == params.len(), "expected {} arguments, got {}", ty.params.len(), params.len());
        ensure!(ty.results.len() == results.len(), "expected {} results, got {}", ty.results.len(), results.len());
        let mut slots = SmallVec::<[ValRaw; 8]>::new();
        slots.resize(params.len().max(results.len()).max(1), ValRaw::default());
        for ((slot, value), ty) in slots.iter_mut().zip(params).zip(&ty.params) {
            *slot = value.checked(store, ty)?.into();
        }
        self.call_slots(store, &mut slots)?;
        for ((slot, result), ty) in slots.iter().zip(results).zip(&ty.results) {
            *result = Val::from_raw(store, *slot, ty);
        }
        Ok(())
    }

    pub(crate) fn call_slots(&self, store: &mut StoreOpaque, slots: &mut [ValRaw]) -> Result<()> {
        store.vm.call(self.id, slots).map_err(|e| from_call(store, e))
    }

    /// The function with a static type, for faster calls.
    ///
    /// # Errors
    ///
    /// When the types differ.
    pub fn typed<P: WasmParams, R: WasmResults>(&self, mut store: impl AsContextMut) -> Result<TypedFunc<P, R>> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        store.check(self.store)?;
        let ty = FuncType(Registered::new(&store.engine, store.vm.func_type(self.id)));
        P::check(&ty.params().collect::<Vec<_>>(), "parameter")?;
        R::check(&ty.results().collect::<Vec<_>>(), "result")?;
        Ok(TypedFunc::new(*self))
    }

    /// The value of a reference to it.
    pub(crate) fn funcref(&self, store: &StoreOpaque) -> Result<u32, crate::GcError> {
        store.check(self.store)?;
        Ok(self.id.as_funcref())
    }

    pub(crate) fn from_funcref(store: &StoreOpaque, id: u32) -> Option<Func> {
        store.vm.func_of_ref(id).map(|id| Func { store: store.id, id })
    }
}

pub(crate) fn definition(store: &StoreOpaque, ty: gc::TypeId) -> gc::FuncType {
    match &store.engine.runtime().types().definition(ty).composite {
        gc::CompositeType::Func(f) => f.clone(),
        other => unreachable!("a function type is {other:?}"),
    }
}

/// A host function that takes and gives [`Val`]s, checked against its type.
pub(crate) fn dynamic_host<T: 'static>(
    ty: &FuncType,
    f: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
) -> Box<HostFn> {
    let ty = ty.definition();
    Box::new(move |call, slots| {
        with_caller(call, |mut caller: Caller<'_, T>| {
            let store = caller.store.opaque();
            let params: SmallVec<[Val; 8]> =
                ty.params.iter().zip(slots.iter()).map(|(ty, slot)| Val::from_raw(store, *slot, ty)).collect();
            let mut results: SmallVec<[Val; 4]> = ty
                .results
                .iter()
                .map(|t| Val::default_for(&crate::ValType::from_gc(&store.engine, t)).unwrap_or(Val::I32(0)))
                .collect();
            f(caller.reborrow(), &params, &mut results)?;
            for ((slot, value), ty) in slots.iter_mut().zip(&results).zip(&ty.results) {
                *slot = value.checked(caller.store.opaque(), ty)?.into();
            }
            Ok(())
        })
    })
}

/// Runs the body of a host function with its caller; turns its error into the vm's.
pub(crate) fn with_caller<T: 'static>(
    call: &mut HostCall<'_>,
    body: impl FnOnce(Caller<'_, T>) -> Result<()>,
) -> Result<(), CallError> {
    let instance = call.instance();
    let data = call.host_data().cast::<StoreInner<T>>();
    // SAFETY: `StoreContextMut::enter` set the pointer to the `StoreInner<T>` that this call into the vm borrows
    // exclusively, and the vm does not touch its part of it until the host function returns. `T` is the store's: a
    // `Func` made with another store's closure cannot be used with this one (checked by store id).
    let inner = unsafe { &mut *data };
    let caller = Caller { store: StoreContextMut(&mut *inner), instance };
    body(caller).map_err(|e| to_call(&mut inner.opaque, e))
}

/// The calling side of a host function: gives access to the store and to the exports of the instance that imported the
/// function.
pub struct Caller<'a, T: 'static> {
    pub(crate) store: StoreContextMut<'a, T>,
    instance: Option<InstanceId>,
}

impl<T> Caller<'_, T> {
    /// The embedder's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// The embedder's data, writable.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        self.store.engine()
    }

    /// An export of the instance that imported the function; `None` when the host calls the function itself.
    pub fn get_export(&mut self, name: &str) -> Option<Extern> {
        let id = self.instance?;
        let store = self.store.opaque();
        let instance = Instance { store: store.id, id };
        instance.export_of(store, name)
    }

    /// Collects now.
    ///
    /// # Errors
    ///
    /// When the heap is found corrupted.
    pub fn gc(&mut self) -> Result<()> {
        self.store.gc()
    }

    pub(crate) fn reborrow(&mut self) -> Caller<'_, T> {
        Caller { store: StoreContextMut(&mut *self.store.0), instance: self.instance }
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}
