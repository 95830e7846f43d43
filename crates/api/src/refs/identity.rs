//! Identity of objects, for hashing.
//!
//! An object's address is no identity: a collection may move the object and give the address to another. An
//! [`Identity`] instead is a number that the store gives to an object when it is first asked for, and it holds a root:
//! the number stays the object's as long as any copy of the identity lives, and so does the object. The store's table
//! from addresses to identities is only a way to find the number again; it is made anew from the roots after each
//! collection. Dropped identities leave it then, too.

use crate::store::{StoreId, StoreOpaque};
use crate::{AsContextMut, OwnedRooted, Result, Rooted};
use hashbrown::HashMap;
use heapwright_gc_heap::GcRef;
use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

/// Which object a reference names: a key for hash maps. Two identities are equal when they were taken from references
/// to the same object of the same store, or to equal i31s; type and kind of the reference do not matter. It keeps its
/// object alive.
///
/// ```
/// # use heapwright::{Engine, ExternRef, Store};
/// # use std::collections::HashMap;
/// # fn main() -> heapwright::Result<()> {
/// let mut store = Store::new(&Engine::default(), ())?;
/// let (a, b) = (ExternRef::new(&mut store, "same")?, ExternRef::new(&mut store, "same")?);
/// let names = HashMap::from([(a.identity(&mut store)?, 'a'), (b.identity(&mut store)?, 'b')]);
/// store.gc(None)?; // whatever it moves
/// assert_eq!(names[&b.identity(&mut store)?], 'b');
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Identity {
    store: StoreId,
    number: Number,
    /// Keeps the object alive; none for an i31. A [`Named`], which nobody looks into through here: what equality and
    /// hash are made of never changes.
    _keep: Option<Arc<dyn Any + Send + Sync>>,
}

/// An object with a number.
struct Named {
    number: u64,
    root: OwnedRooted<()>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Number {
    I31(u32),
    Object(u64),
}

impl Named {
    fn identity(self: Arc<Named>, store: StoreId) -> Identity {
        Identity { store, number: Number::Object(self.number), _keep: Some(self) }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.store == other.store && self.number == other.number
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.store.hash(state);
        self.number.hash(state);
    }
}

/// The identities of one store's objects.
#[derive(Default)]
pub(crate) struct Identities {
    /// By the addresses that objects had after the collection of this number.
    by_address: HashMap<u32, Weak<Named>>,
    collections: u64,
    /// Objects numbered so far.
    numbered: u64,
    /// Size of the table at which dead entries are looked for without a collection.
    crowded: usize,
}

/// Smallest table that is looked through for dead entries.
const MIN_CROWDED: usize = 1024;

impl StoreOpaque {
    fn identity(&mut self, r: GcRef) -> Result<Identity> {
        if let Some(value) = r.i31_u() {
            return Ok(Identity { store: self.id, number: Number::I31(value), _keep: None });
        }
        let collections = self.heap()?.stats().collections;
        if collections != self.identities.collections {
            self.rebuild_identities();
            self.identities.collections = collections;
        }
        if let Some(known) = self.identities.by_address.get(&r.raw()).and_then(Weak::upgrade) {
            return Ok(known.identity(self.id));
        }
        let root = self.root_owned(r);
        let table = &mut self.identities;
        table.numbered += 1;
        let named = Arc::new(Named { number: table.numbered, root });
        if table.by_address.len() >= table.crowded.max(MIN_CROWDED) {
            table.by_address.retain(|_, named| named.strong_count() > 0);
            table.crowded = 2 * table.by_address.len();
        }
        table.by_address.insert(r.raw(), Arc::downgrade(&named));
        Ok(named.identity(self.id))
    }

    fn rebuild_identities(&mut self) {
        for named in core::mem::take(&mut self.identities.by_address).into_values() {
            // Whoever dropped the identity has nothing to find again.
            let Some(alive) = named.upgrade() else { continue };
            if let Ok(r) = alive.root.gc_ref(self) {
                self.identities.by_address.insert(r.raw(), named);
            }
        }
    }
}

impl<R> Rooted<R> {
    /// Which object the reference names, as a key that compares and hashes.
    ///
    /// # Errors
    ///
    /// [`GcError::DeadRoot`](crate::GcError::DeadRoot), [`GcError::WrongStore`](crate::GcError::WrongStore).
    pub fn identity(&self, mut store: impl AsContextMut) -> Result<Identity> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        store.identity(r)
    }
}

impl<R> OwnedRooted<R> {
    /// Which object the reference names, as a key that compares and hashes.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongStore`](crate::GcError::WrongStore).
    pub fn identity(&self, mut store: impl AsContextMut) -> Result<Identity> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        let r = self.gc_ref(store)?;
        store.identity(r)
    }
}
