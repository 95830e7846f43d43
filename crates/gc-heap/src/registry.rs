//! Canonical types: equal recursion groups of all modules and of the host share one identity.
//!
//! A recursion group is brought into a canonical form (uses of its own members relative, all other uses canonical ids)
//! and looked up by value. As every id used by a live group names a live type, two groups are equal as
//! WebAssembly defines it exactly when their canonical forms are the same value.
//!
//! Groups are counted: by each [`RegisteredTypes`] and by each group that uses their members. A group whose count
//! falls to zero is taken down, and its entries' places are used again.

use crate::canon::{CanonicalGroups, Layout};
use crate::type_space::NewEntry;
use crate::types::{AbstractHeapType, CompositeType, FuncType, RecGroup, StorageType, SubType, TypeRef, ValType};
use crate::{ArrayLayout, HeaderLayout, HeapType, MemoryError, StructLayout, TypeId, TypeKind, TypeSpace};
use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The engine's types. Internally synchronised.
pub struct TypeRegistry {
    header: HeaderLayout,
    space: TypeSpace,
    extern_type: TypeId,
    groups: RwLock<CanonicalGroups>,
    /// How often types were released: whoever caches what belongs to an id drops it when this has changed.
    releases: AtomicU64,
}

/// Types that are kept alive; dropping it releases them, and an entry whose last user is gone is reused.
#[derive(Clone)]
pub struct RegisteredTypes {
    held: Arc<Held>,
}

struct Held {
    registry: Arc<TypeRegistry>,
    groups: Vec<u32>,
    ids: Box<[TypeId]>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let registry = &self.registry;
        if registry.write().release(&registry.space, core::mem::take(&mut self.groups)) {
            registry.releases.fetch_add(1, Release);
        }
    }
}

impl RegisteredTypes {
    /// The canonical types, in the order in which they were registered.
    pub fn ids(&self) -> &[TypeId] {
        &self.held.ids
    }

    /// The registry that they belong to.
    pub fn registry(&self) -> &Arc<TypeRegistry> {
        &self.held.registry
    }
}

impl core::fmt::Debug for RegisteredTypes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("RegisteredTypes").field(&self.ids()).finish()
    }
}

impl TypeRegistry {
    /// A registry whose layouts have this header.
    ///
    /// # Errors
    ///
    /// When the type space cannot be reserved.
    pub fn new(header: HeaderLayout) -> Result<TypeRegistry, MemoryError> {
        let space = TypeSpace::new()?;
        let extern_type = space.allocate(NewEntry::bytes(&[], 0))?;
        let size = (header.bytes() + 4).next_multiple_of(crate::layout::OBJECT_ALIGN);
        let entry = NewEntry { kind: TypeKind::Extern, size, array: None, traced: &[], supertypes: &[] };
        space.write(extern_type, &entry);
        Ok(TypeRegistry { header, space, extern_type, groups: RwLock::default(), releases: AtomicU64::new(0) })
    }

    /// The space that holds the entries.
    #[inline]
    pub fn space(&self) -> &TypeSpace {
        &self.space
    }

    /// The header that all layouts have.
    pub fn header(&self) -> HeaderLayout {
        self.header
    }

    fn read(&self) -> RwLockReadGuard<'_, CanonicalGroups> {
        // A panic under the lock can only be a refused group, and that changed nothing yet.
        self.groups.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, CanonicalGroups> {
        self.groups.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers recursion groups in order. A [`TypeRef::Module`] in group `g` names a type by its position in
    /// the concatenation of all groups, and must lie in `g` or before it. `Group` and `Canonical` uses are accepted
    /// too.
    ///
    /// # Errors
    ///
    /// When the type space is full.
    ///
    /// # Panics
    ///
    /// When a use names no type, or a declared supertype does not precede its subtype or is of another kind:
    /// validation has excluded that.
    pub fn register(self: &Arc<Self>, groups: &[RecGroup]) -> Result<RegisteredTypes, MemoryError> {
        let (groups, ids) = self.write().intern_all(&self.space, self.header, groups)?;
        Ok(RegisteredTypes { held: Arc::new(Held { registry: self.clone(), groups, ids: ids.into() }) })
    }

    /// Registers the function type (final, no supertype) alone in its group. Its uses of types are `Canonical`.
    ///
    /// # Errors
    ///
    /// When the type space is full.
    pub fn register_func(self: &Arc<Self>, ty: &FuncType) -> Result<RegisteredTypes, MemoryError> {
        self.register_alone(CompositeType::Func(ty.clone()))
    }

    /// Registers the exception layout for a tag with these parameters. Their uses of types are `Canonical`.
    ///
    /// # Errors
    ///
    /// When the type space is full.
    pub fn register_exception(self: &Arc<Self>, params: &[ValType]) -> Result<RegisteredTypes, MemoryError> {
        self.register_alone(CompositeType::Exception(params.into()))
    }

    fn register_alone(self: &Arc<Self>, composite: CompositeType) -> Result<RegisteredTypes, MemoryError> {
        let types = [SubType { is_final: true, supertype: None, composite }].into();
        self.register(&[RecGroup { types }])
    }

    /// One more holder of a registered type; [`ids`](RegisteredTypes::ids) is this type alone.
    ///
    /// # Panics
    ///
    /// When `id` is not registered.
    pub fn retain(self: &Arc<Self>, id: TypeId) -> RegisteredTypes {
        let group = self.write().retain(id);
        RegisteredTypes { held: Arc::new(Held { registry: self.clone(), groups: vec![group], ids: [id].into() }) }
    }

    /// As [`retain`](Self::retain), with the type's definition; `None` when `id` is not registered: an id that was read
    /// from the heap may be anything.
    pub fn try_retain(self: &Arc<Self>, id: TypeId) -> Option<(RegisteredTypes, Arc<SubType>)> {
        let mut groups = self.write();
        let definition = groups.get(id)?.definition.clone();
        let group = groups.retain(id);
        drop(groups);
        Some((
            RegisteredTypes { held: Arc::new(Held { registry: self.clone(), groups: vec![group], ids: [id].into() }) },
            definition,
        ))
    }

    /// The type of the objects that stand behind `externref`; always registered. No module defines it, so it has no
    /// [`definition`](Self::definition): after its header stands one word, the host id.
    pub fn extern_type(&self) -> TypeId {
        self.extern_type
    }

    /// The definition of a canonical type; its uses of types are all `Canonical`.
    ///
    /// # Panics
    ///
    /// When `id` is not registered.
    pub fn definition(&self, id: TypeId) -> Arc<SubType> {
        self.read().get(id).unwrap_or_else(|| unregistered(id)).definition.clone()
    }

    /// The layout of a struct or exception type, computed once.
    pub fn struct_layout(&self, id: TypeId) -> Option<Arc<StructLayout>> {
        match self.layout(id)? {
            Layout::Struct(layout) => Some(layout),
            _ => None,
        }
    }

    /// The layout of an array type.
    pub fn array_layout(&self, id: TypeId) -> Option<ArrayLayout> {
        match self.layout(id)? {
            Layout::Array(layout) => Some(layout),
            _ => None,
        }
    }

    pub(crate) fn layout(&self, id: TypeId) -> Option<Layout> {
        Some(self.read().get(id)?.layout.clone())
    }

    /// Changes whenever some type was released.
    pub(crate) fn releases(&self) -> u64 {
        self.releases.load(Acquire)
    }

    /// Whether the collector visits values of this storage type: references other than function references. Concrete
    /// uses must be `Canonical`.
    pub fn is_traced(&self, storage: StorageType) -> bool {
        crate::canon::is_traced(storage, |ty| self.concrete_kind(ty) == Some(TypeKind::Func))
    }

    /// Whether values of one type belong to another; concrete uses must be `Canonical`.
    pub fn val_type_matches(&self, sub: &ValType, sup: &ValType) -> bool {
        match (sub, sup) {
            (ValType::Ref(a), ValType::Ref(b)) => {
                (b.nullable || !a.nullable) && self.heap_type_matches(&a.heap, &b.heap)
            }
            _ => sub == sup,
        }
    }

    /// Whether a heap type is a subtype of another; concrete uses must be `Canonical`.
    pub fn heap_type_matches(&self, sub: &HeapType, sup: &HeapType) -> bool {
        use AbstractHeapType::*;
        if sub == sup {
            return true;
        }
        match (*sub, *sup) {
            (HeapType::Concrete(TypeRef::Canonical(a)), HeapType::Concrete(TypeRef::Canonical(b))) => {
                self.is_subtype(a, b)
            }
            (HeapType::Concrete(a), HeapType::Abstract(b)) => match self.concrete_kind(a) {
                Some(TypeKind::Func) => b == Func,
                Some(TypeKind::Struct) => matches!(b, Struct | Eq | Any),
                Some(TypeKind::Array) => matches!(b, Array | Eq | Any),
                Some(TypeKind::Exception) => b == Exn,
                Some(TypeKind::Extern) => b == Extern,
                Option::None => false,
            },
            (HeapType::Abstract(a), HeapType::Concrete(b)) => match self.concrete_kind(b) {
                Some(TypeKind::Func) => a == NoFunc,
                Some(TypeKind::Struct | TypeKind::Array) => a == None,
                Some(TypeKind::Exception) => a == NoExn,
                Some(TypeKind::Extern) => a == NoExtern,
                Option::None => false,
            },
            (HeapType::Abstract(a), HeapType::Abstract(b)) => match a {
                None => matches!(b, I31 | Struct | Array | Eq | Any),
                I31 | Struct | Array => matches!(b, Eq | Any),
                Eq => b == Any,
                NoFunc => b == Func,
                NoExtern => b == Extern,
                NoExn => b == Exn,
                Any | Func | Extern | Exn => false,
            },
            _ => false,
        }
    }

    fn concrete_kind(&self, ty: TypeRef) -> Option<TypeKind> {
        match ty {
            TypeRef::Canonical(id) => self.space.kind(id.0).ok(),
            _ => None,
        }
    }

    /// Whether `sub` is `sup` or a declared subtype of it.
    pub fn is_subtype(&self, sub: TypeId, sup: TypeId) -> bool {
        self.space().is_subtype(sub, sup)
    }

    /// An interned number for the way a function type is passed: the sequence of `i32/i64/f32/f64/v128` that its
    /// parameters and results are as machine values. Subtyping does not change it. Never 0.
    ///
    /// # Panics
    ///
    /// When `id` is not a registered function type.
    pub fn signature_id(&self, id: TypeId) -> u32 {
        match self.read().get(id).unwrap_or_else(|| unregistered(id)).layout {
            Layout::Func { signature } => signature,
            _ => panic!("{id:?} is no function type"),
        }
    }
}

fn unregistered(id: TypeId) -> ! {
    panic!("{id:?} is not registered")
}
