//! Stores and the ways to reach one.

use crate::error::{ThrownException, from_resource};
use crate::gc_error::GcError;
use crate::refs::Identities;
use crate::shapes::Shape;
use crate::{Engine, ExnRef, GcHeapOutOfMemory, OwnedRooted, Result, Rooted, WasmBacktrace};
use anyhow::anyhow;
use hashbrown::HashMap;
use heapwright_gc_heap::{Cause, EventSink, GcRef, GcStats, Heap, HeapCorrupted, Space, TypeId};
use heapwright_jit::CallProfile;
use heapwright_vm::{self as vm, RootId};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A store owns instances, their state and one GC heap, and the embedder's data of type `T`. What belongs to one store
/// cannot be used with another: doing so is an error.
pub struct Store<T: 'static> {
    pub(crate) inner: Box<StoreInner<T>>,
}

pub(crate) struct StoreInner<T: 'static> {
    pub(crate) opaque: StoreOpaque,
    pub(crate) data: T,
}

/// The part of a store that does not depend on the embedder's data.
pub(crate) struct StoreOpaque {
    pub(crate) vm: vm::Store,
    pub(crate) engine: Engine,
    pub(crate) id: StoreId,
    pub(crate) dropped: Arc<DroppedRoots>,
    /// What is known of the types in use.
    pub(crate) shapes: HashMap<TypeId, Shape>,
    pub(crate) identities: Identities,
}

/// Identity of a store in this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct StoreId(u64);

/// Owned roots that were dropped since the store was last used.
#[derive(Default, Debug)]
pub(crate) struct DroppedRoots(Mutex<Vec<RootId>>);

impl DroppedRoots {
    pub(crate) fn push(&self, id: RootId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }
}

impl StoreOpaque {
    /// Checks that something belongs to this store.
    pub(crate) fn check(&self, id: StoreId) -> Result<(), GcError> {
        if self.id == id { Ok(()) } else { Err(GcError::WrongStore) }
    }

    /// Frees the owned roots that were dropped.
    pub(crate) fn flush_dropped(&mut self) {
        let dropped = core::mem::take(&mut *self.dropped.0.lock().unwrap_or_else(PoisonError::into_inner));
        for id in dropped {
            self.vm.roots_mut().remove(id);
        }
    }

    /// Roots a reference in the innermost scope.
    pub(crate) fn root<R>(&mut self, reference: GcRef) -> Rooted<R> {
        let id = self.vm.roots_mut().push(reference);
        Rooted::new(self.id, id)
    }

    /// Roots a reference until the result is dropped.
    pub(crate) fn root_owned<R>(&mut self, reference: GcRef) -> OwnedRooted<R> {
        self.flush_dropped();
        let id = self.vm.roots_mut().insert(reference);
        OwnedRooted::new(self.id, id, self.dropped.clone())
    }

    /// The heap, made at first use.
    pub(crate) fn heap(&mut self) -> Result<&mut Heap, GcError> {
        if self.vm.is_poisoned() {
            let found = self.vm.existing_heap().and_then(Heap::corruption);
            let unknown = HeapCorrupted { what: "compiled code or a collector found it so", at: 0 };
            return Err(GcError::Corrupted(found.unwrap_or(unknown)));
        }
        self.vm.heap().map_err(|e| GcError::NoHeap(e.to_string()))
    }

    /// Takes the exception that ended a call.
    pub(crate) fn take_thrown(&mut self) -> Result<ThrownException> {
        let exception = self.vm.take_exception().ok_or_else(|| anyhow!("an exception was thrown and taken already"))?;
        let backtrace = WasmBacktrace::of_exception(self);
        Ok(ThrownException { backtrace, ..ThrownException::new(self.root_owned::<ExnRef>(exception)) })
    }
}

impl<T> Store<T> {
    /// A store.
    ///
    /// # Errors
    ///
    /// When address space cannot be reserved; [`PoolConcurrencyLimitError`](crate::PoolConcurrencyLimitError) when the
    /// pool's GC heaps are all in use.
    pub fn new(engine: &Engine, data: T) -> Result<Store<T>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut vm = vm::Store::new(engine.runtime(), engine.store_config()).map_err(from_resource)?;
        vm.set_max_object(engine.config().max_object_size);
        let opaque = StoreOpaque {
            vm,
            engine: engine.clone(),
            id: StoreId(NEXT.fetch_add(1, Ordering::Relaxed)),
            dropped: Arc::default(),
            shapes: HashMap::new(),
            identities: Identities::default(),
        };
        let mut store = Store { inner: Box::new(StoreInner { opaque, data }) };
        if let Some(events) = engine.events() {
            store.set_event_sink(Some(Box::new(events.clone())));
        }
        Ok(store)
    }

    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.inner.data
    }

    /// The embedder's data, writable.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.inner.data
    }

    /// Ends the store and gives the data back.
    pub fn into_data(self) -> T {
        self.inner.data
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.inner.opaque.engine
    }

    /// Collects now. With an error that says the heap was full, nothing different is done.
    ///
    /// # Errors
    ///
    /// When the heap is found corrupted.
    pub fn gc(&mut self, why: Option<&GcHeapOutOfMemory>) -> Result<()> {
        let _ = why;
        self.as_context_mut().gc()
    }

    /// Totals of the GC heap so far; zeros when the store has none yet.
    pub fn gc_stats(&self) -> GcStats {
        self.inner.opaque.vm.existing_heap().map(Heap::stats).unwrap_or_default()
    }

    /// Whom the calls through references and tables of this store's instances have called so far, where they called
    /// functions of their own instance. Empty without [`Config::record_calls`](crate::Config::record_calls).
    pub fn call_profile(&self) -> CallProfile {
        self.inner.opaque.vm.call_profile()
    }

    /// The GC heap's current size; zeros when the store has none yet.
    pub fn gc_space(&self) -> Space {
        self.inner.opaque.vm.existing_heap().map(Heap::space).unwrap_or_default()
    }

    /// Replaces the listener of this store's events, which is [that of the engine](crate::Config::event_sink) unless
    /// set.
    pub fn set_event_sink(&mut self, sink: Option<Box<dyn EventSink>>) {
        self.inner.opaque.vm.set_event_sink(sink);
    }

    /// Replaces the limiter of what the store takes: growth of linear memories, tables and the GC heap, and how many
    /// instances, memories and tables there are. It is asked about what grows from now on.
    /// [`StoreLimits`](crate::StoreLimits) is the usual one.
    ///
    /// ```
    /// # use heapwright::{Engine, Memory, MemoryType, Store, StoreLimitsBuilder};
    /// # fn main() -> heapwright::Result<()> {
    /// let mut store = Store::new(&Engine::default(), ())?;
    /// let limits = StoreLimitsBuilder::new().memory_size(1 << 20).gc_heap_size(16 << 20).instances(1).build();
    /// store.limiter(Some(Box::new(limits)));
    /// let memory = Memory::new(&mut store, MemoryType::new(1, None))?;
    /// assert!(memory.grow(&mut store, 15).is_ok());
    /// assert!(memory.grow(&mut store, 1).is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn limiter(&mut self, limiter: Option<Box<dyn crate::ResourceLimiter>>) {
        self.inner.opaque.vm.set_limiter(limiter);
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("data", &self.inner.data).finish_non_exhaustive()
    }
}

/// A shared borrow of a store.
pub struct StoreContext<'a, T: 'static>(pub(crate) &'a StoreInner<T>);

/// An exclusive borrow of a store.
pub struct StoreContextMut<'a, T: 'static>(pub(crate) &'a mut StoreInner<T>);

impl<T> StoreContext<'_, T> {
    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.0.opaque.engine
    }
}

impl<T> StoreContextMut<'_, T> {
    /// The embedder's data.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// The embedder's data, writable.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.0.opaque.engine
    }

    /// Collects now.
    ///
    /// # Errors
    ///
    /// When the heap is found corrupted.
    pub fn gc(&mut self) -> Result<()> {
        self.0.opaque.flush_dropped();
        self.0.opaque.vm.gc(Cause::Explicit)?;
        Ok(())
    }

    /// The GC heap, made at first use, for tests that attack it. Writing to it breaks what the store knows of it, and
    /// nothing else.
    #[cfg(feature = "inject")]
    #[doc(hidden)]
    pub fn heap_under_attack(&mut self) -> Option<&mut Heap> {
        self.0.opaque.vm.heap().ok()
    }

    pub(crate) fn opaque(&mut self) -> &mut StoreOpaque {
        &mut self.0.opaque
    }

    /// Makes the store's address known to host functions; needed before every call into the vm that can run them.
    pub(crate) fn enter(&mut self) -> &mut StoreOpaque {
        let data: *mut StoreInner<T> = self.0;
        self.0.opaque.vm.set_host_data(data.cast::<c_void>());
        self.0.opaque.flush_dropped();
        &mut self.0.opaque
    }
}

/// Something that gives read access to a store.
pub trait AsContext {
    /// The embedder's data.
    type Data: 'static;
    /// Borrows the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// Something that gives write access to a store.
pub trait AsContextMut: AsContext {
    /// Borrows the store.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<T> AsContext for Store<T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(&self.inner)
    }
}

impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(&mut self.inner)
    }
}

impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;
    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}
