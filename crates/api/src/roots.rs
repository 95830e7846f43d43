//! References held by the host.

use crate::Result;
use crate::gc_error::GcError;
use crate::store::{AsContext, AsContextMut, DroppedRoots, StoreContext, StoreContextMut, StoreId, StoreOpaque};
use heapwright_gc_heap::GcRef;
use heapwright_vm::{RootId, RootScope as VmScope};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A reference that lives until the [`RootScope`] in which it was made ends: the innermost one, or the call of the host
/// function. Made outside of any scope, it lives as long as the store. Using it afterwards is an error.
pub struct Rooted<R> {
    store: StoreId,
    id: RootId,
    marker: PhantomData<fn() -> R>,
}

/// A reference that lives until this value is dropped.
pub struct OwnedRooted<R> {
    root: Rooted<R>,
    dropped: Arc<DroppedRoots>,
}

impl<R> Rooted<R> {
    pub(crate) fn new(store: StoreId, id: RootId) -> Rooted<R> {
        Rooted { store, id, marker: PhantomData }
    }

    /// The reference.
    pub(crate) fn gc_ref(&self, store: &StoreOpaque) -> Result<GcRef, GcError> {
        store.check(self.store)?;
        store.vm.roots().get(self.id).ok_or(GcError::DeadRoot)
    }

    /// The same root under another type, which the caller has checked.
    pub(crate) fn retype<S>(self) -> Rooted<S> {
        Rooted::new(self.store, self.id)
    }

    /// A root that lives until the result is dropped.
    ///
    /// # Errors
    ///
    /// When this root is dead or belongs to another store.
    pub fn to_owned_rooted(&self, mut store: impl AsContextMut) -> Result<OwnedRooted<R>> {
        let mut store = store.as_context_mut();
        let reference = self.gc_ref(store.opaque())?;
        Ok(store.opaque().root_owned(reference))
    }

    /// Whether two roots hold the same object, or equal i31s: `ref.eq`, for references of every kind. To hash by
    /// identity, see [`identity`](Self::identity).
    ///
    /// # Errors
    ///
    /// [`GcError::DeadRoot`], [`GcError::WrongStore`].
    pub fn ref_eq<S>(store: impl AsContext, a: &Rooted<R>, b: &Rooted<S>) -> Result<bool> {
        let store = store.as_context();
        Ok(a.gc_ref(&store.0.opaque)? == b.gc_ref(&store.0.opaque)?)
    }
}

impl<R> OwnedRooted<R> {
    pub(crate) fn new(store: StoreId, id: RootId, dropped: Arc<DroppedRoots>) -> OwnedRooted<R> {
        OwnedRooted { root: Rooted::new(store, id), dropped }
    }

    pub(crate) fn gc_ref(&self, store: &StoreOpaque) -> Result<GcRef, GcError> {
        self.root.gc_ref(store)
    }

    /// Whether two roots hold the same object, or equal i31s.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongStore`].
    pub fn ref_eq<S>(store: impl AsContext, a: &OwnedRooted<R>, b: &OwnedRooted<S>) -> Result<bool> {
        Rooted::ref_eq(store, &a.root, &b.root)
    }

    /// A root in the innermost scope for the same reference.
    ///
    /// # Errors
    ///
    /// When this root belongs to another store.
    pub fn to_rooted(&self, mut store: impl AsContextMut) -> Result<Rooted<R>> {
        let mut store = store.as_context_mut();
        let reference = self.gc_ref(store.opaque())?;
        Ok(store.opaque().root(reference))
    }
}

impl<R> Drop for OwnedRooted<R> {
    fn drop(&mut self) {
        self.dropped.push(self.root.id);
    }
}

impl<R> Clone for Rooted<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Rooted<R> {}

impl<R> fmt::Debug for Rooted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooted").field("id", &self.id).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for OwnedRooted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRooted").field("id", &self.root.id).finish_non_exhaustive()
    }
}

/// A scope for [`Rooted`] references: those made inside it end with it.
///
/// ```
/// # use heapwright::{AsContextMut, Engine, ExternRef, RootScope, Store};
/// # fn main() -> heapwright::Result<()> {
/// let mut store = Store::new(&Engine::default(), ())?;
/// let outlived = {
///     let mut scope = RootScope::new(&mut store);
///     ExternRef::new(&mut scope, "hello")?
/// };
/// assert!(outlived.data(&store).is_err());
/// # Ok(())
/// # }
/// ```
pub struct RootScope<C: AsContextMut> {
    store: C,
    scope: VmScope,
}

impl<C: AsContextMut> RootScope<C> {
    /// Opens a scope.
    pub fn new(mut store: C) -> RootScope<C> {
        let scope = store.as_context_mut().opaque().vm.roots_mut().enter();
        RootScope { store, scope }
    }
}

impl<C: AsContextMut> Drop for RootScope<C> {
    fn drop(&mut self) {
        let scope = self.scope;
        self.store.as_context_mut().opaque().vm.roots_mut().exit(scope);
    }
}

impl<C: AsContextMut> AsContext for RootScope<C> {
    type Data = C::Data;
    fn as_context(&self) -> StoreContext<'_, C::Data> {
        self.store.as_context()
    }
}

impl<C: AsContextMut> AsContextMut for RootScope<C> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        self.store.as_context_mut()
    }
}
