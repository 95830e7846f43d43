//! Where references live outside the heap.

use crate::{GcRef, HeapCorrupted};

/// What kind of root a slot is; for statistics and for finding lost roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RootKind {
    /// A stack-map slot of a compiled frame.
    Frame,
    /// A global.
    Global,
    /// A table slot.
    Table,
    /// A passive element segment.
    Segment,
    /// A reference that the host holds.
    Host,
    /// The pending exception.
    Exception,
}

/// Every root of a store, enumerable as often as a collector wants.
pub trait RootSet {
    /// Calls `visit` with each root slot; what `visit` leaves in the slot is written back.
    ///
    /// # Errors
    ///
    /// The first error of `visit`.
    fn for_each(
        &mut self,
        visit: &mut dyn FnMut(RootKind, &mut GcRef) -> Result<(), HeapCorrupted>,
    ) -> Result<(), HeapCorrupted>;

    /// As [`for_each`](Self::for_each), for a collection of a part of the heap. `visit` answers whether what the slot
    /// now holds is *settled*: no later collection that enumerates roots in this way will move it, or needs this root
    /// to keep it alive. Slots for which the answer was yes last time, and which have not been written since, may be
    /// left out; a collector that unsettles what was settled cannot use this.
    ///
    /// # Errors
    ///
    /// The first error of `visit`.
    fn for_each_unsettled(
        &mut self,
        visit: &mut dyn FnMut(RootKind, &mut GcRef) -> Result<bool, HeapCorrupted>,
    ) -> Result<(), HeapCorrupted> {
        self.for_each(&mut |kind, slot| visit(kind, slot).map(drop))
    }
}

/// The empty root set.
pub struct NoRoots;

impl RootSet for NoRoots {
    fn for_each(
        &mut self,
        _visit: &mut dyn FnMut(RootKind, &mut GcRef) -> Result<(), HeapCorrupted>,
    ) -> Result<(), HeapCorrupted> {
        Ok(())
    }
}

/// References that the host holds.
impl RootSet for Vec<GcRef> {
    fn for_each(
        &mut self,
        visit: &mut dyn FnMut(RootKind, &mut GcRef) -> Result<(), HeapCorrupted>,
    ) -> Result<(), HeapCorrupted> {
        self.iter_mut().try_for_each(|root| visit(RootKind::Host, root))
    }
}
