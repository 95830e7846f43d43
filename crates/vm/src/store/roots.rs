//! References that the host holds.
//!
//! Two ways: *owned* roots live until they are removed; *scoped* roots form a stack and live until their scope ends.
//! Both are named by ids with a generation, so that a stale id is noticed. Generations are 64 bits wide: they are never
//! used up.

use heapwright_gc_heap::GcRef;

/// A root. Ids of different stores must not be mixed: the caller checks that.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RootId {
    index: u32,
    generation: u64,
}

/// A scope of the stack of scoped roots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RootScope {
    depth: u32,
}

/// The references that the host holds in one store.
#[derive(Default)]
pub struct HostRoots {
    slots: Vec<Slot>,
    free: Option<u32>,
    scoped: Vec<Scoped>,
    /// Generation of the next scoped root.
    next: u64,
}

struct Slot {
    generation: u64,
    content: Content,
}

enum Content {
    Used(GcRef),
    Free { next: Option<u32> },
}

struct Scoped {
    generation: u64,
    reference: GcRef,
}

/// Marks the index of a scoped root.
const SCOPED: u32 = 1 << 31;

impl HostRoots {
    /// An owned root.
    ///
    /// # Panics
    ///
    /// With 2³¹ roots.
    pub fn insert(&mut self, reference: GcRef) -> RootId {
        match self.free {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                let Content::Free { next } = slot.content else { unreachable!("the free list holds free slots") };
                self.free = next;
                slot.content = Content::Used(reference);
                RootId { index, generation: slot.generation }
            }
            None => {
                let index = self.slots.len() as u32;
                assert!(index < SCOPED, "too many roots");
                self.slots.push(Slot { generation: 0, content: Content::Used(reference) });
                RootId { index, generation: 0 }
            }
        }
    }

    /// Removes an owned root and returns its reference; `None` when the id is stale or scoped.
    pub fn remove(&mut self, id: RootId) -> Option<GcRef> {
        let slot = self.slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation)?;
        let Content::Used(reference) = slot.content else { return None };
        slot.content = Content::Free { next: self.free };
        slot.generation += 1;
        self.free = Some(id.index);
        Some(reference)
    }

    /// A root of the innermost scope.
    ///
    /// # Panics
    ///
    /// With 2³¹ roots.
    pub fn push(&mut self, reference: GcRef) -> RootId {
        let index = self.scoped.len() as u32;
        assert!(index < SCOPED, "too many roots");
        let generation = self.next;
        self.next += 1;
        self.scoped.push(Scoped { generation, reference });
        RootId { index: index | SCOPED, generation }
    }

    /// Opens a scope.
    pub fn enter(&mut self) -> RootScope {
        RootScope { depth: self.scoped.len() as u32 }
    }

    /// Ends a scope and every scope opened after it.
    pub fn exit(&mut self, scope: RootScope) {
        self.scoped.truncate(scope.depth as usize);
    }

    /// The reference that a root holds; `None` when the id is stale.
    pub fn get(&self, id: RootId) -> Option<GcRef> {
        if id.is_scoped() {
            let scoped = self.scoped.get((id.index & !SCOPED) as usize)?;
            return (scoped.generation == id.generation).then_some(scoped.reference);
        }
        let slot = self.slots.get(id.index as usize).filter(|s| s.generation == id.generation)?;
        match slot.content {
            Content::Used(reference) => Some(reference),
            Content::Free { .. } => None,
        }
    }

    /// Replaces the reference that a root holds; false when the id is stale.
    pub fn set(&mut self, id: RootId, reference: GcRef) -> bool {
        if id.is_scoped() {
            let scoped = self.scoped.get_mut((id.index & !SCOPED) as usize).filter(|s| s.generation == id.generation);
            return scoped.map(|s| s.reference = reference).is_some();
        }
        match self.slots.get_mut(id.index as usize).filter(|s| s.generation == id.generation) {
            Some(Slot { content: Content::Used(r), .. }) => {
                *r = reference;
                true
            }
            _ => false,
        }
    }

    /// Roots in use.
    pub fn len(&self) -> usize {
        self.slots.iter().filter(|s| matches!(s.content, Content::Used(_))).count() + self.scoped.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Visits each reference.
    pub(crate) fn for_each<E>(&mut self, mut visit: impl FnMut(&mut GcRef) -> Result<(), E>) -> Result<(), E> {
        for slot in &mut self.slots {
            if let Content::Used(reference) = &mut slot.content {
                visit(reference)?;
            }
        }
        self.scoped.iter_mut().try_for_each(|s| visit(&mut s.reference))
    }
}

impl RootId {
    /// Whether the root ends with its scope.
    pub fn is_scoped(self) -> bool {
        self.index & SCOPED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_ids_are_noticed() {
        let mut roots = HostRoots::default();
        let a = roots.insert(GcRef::from_raw(8));
        let b = roots.insert(GcRef::from_raw(16));
        assert_eq!(roots.remove(a), Some(GcRef::from_raw(8)));
        assert_eq!((roots.get(a), roots.remove(a), roots.set(a, GcRef::NULL)), (None, None, false));
        let c = roots.insert(GcRef::from_raw(24));
        assert_eq!(
            (roots.get(a), roots.get(b), roots.get(c)),
            (None, Some(GcRef::from_raw(16)), Some(GcRef::from_raw(24)))
        );
        assert_eq!(roots.len(), 2);
    }

    #[test]
    fn scopes_nest() {
        let mut roots = HostRoots::default();
        let outer = roots.push(GcRef::from_raw(8));
        let scope = roots.enter();
        let inner = roots.push(GcRef::from_raw(16));
        assert!(inner.is_scoped() && roots.set(inner, GcRef::from_raw(32)));
        assert_eq!(roots.get(inner), Some(GcRef::from_raw(32)));
        roots.exit(scope);
        assert_eq!((roots.get(outer), roots.get(inner)), (Some(GcRef::from_raw(8)), None));
        let again = roots.push(GcRef::from_raw(40));
        assert_eq!((roots.get(inner), roots.get(again)), (None, Some(GcRef::from_raw(40))));
        let mut seen = 0;
        roots
            .for_each::<()>(|_| {
                seen += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!(seen, 2);
    }
}
