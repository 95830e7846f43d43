//! The heap verifier: walks everything reachable from freshly enumerated roots and checks it.
//!
//! The walk is bounded by the heap's size: an object's start is visited once, and starts are multiples of 8 inside the
//! committed heap, remembered in one bit each.

use crate::{BadReference, GcRef, Heap, HeapCorrupted, RootSet, TypeKind};
use bitvec::prelude::*;

/// What a verification saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Reachable objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Objects found so far, and those still to be looked into.
struct Walk {
    /// Bit `offset / 8` is set when an object starts there.
    starts: Vec<u64>,
    pending: Vec<u32>,
}

impl Walk {
    /// Takes up a reference found in a slot; `collector` says whether an object can be there.
    fn found(&mut self, heap: &Heap, r: GcRef) -> Result<(), HeapCorrupted> {
        let Some(offset) = r.offset() else { return Ok(()) };
        if !offset.is_multiple_of(8) {
            return Err(HeapCorrupted { what: "misaligned reference", at: offset });
        }
        if u64::from(offset) >= heap.memory.committed_end() {
            return Err(HeapCorrupted { what: "reference outside the committed heap", at: offset });
        }
        let (starts, granule) = (self.starts.view_bits_mut::<Lsb0>(), offset as usize / 8);
        if starts[granule] {
            return Ok(());
        }
        if !heap.collector.as_ref().is_some_and(|collector| collector.may_be_object(heap, offset)) {
            return Err(HeapCorrupted { what: "reference to where no object is", at: offset });
        }
        starts.set(granule, true);
        self.pending.push(offset);
        Ok(())
    }
}

impl Heap {
    /// Walks the reachable graph: every reference is null, an i31, or the start of a well-formed object inside the
    /// collector's allocated space; no two objects overlap; each extern object's host id is in use. Then the collector
    /// checks its own invariants.
    ///
    /// # Errors
    ///
    /// The first violation; the heap is then poisoned.
    pub fn verify(&mut self, roots: &mut dyn RootSet) -> Result<Census, HeapCorrupted> {
        self.usable()?;
        self.walk(roots).map_err(|found| self.set_corrupted(found))
    }

    fn walk(&mut self, roots: &mut dyn RootSet) -> Result<Census, HeapCorrupted> {
        let granules = (self.memory.committed_end() / 8) as usize;
        // A view of words rather than the library's own vector, which Miri refuses.
        let mut walk = Walk { starts: vec![0; granules.div_ceil(64)], pending: Vec::new() };
        roots.for_each(&mut |_, root| walk.found(self, *root))?;
        while let Some(offset) = walk.pending.pop() {
            self.for_each_slot::<HeapCorrupted>(offset, |heap, slot| {
                let r = GcRef::from_raw(heap.memory.load_u32(slot)?);
                walk.found(heap, r)
            })?;
        }
        let mut census = Census::default();
        let mut previous_end = 0;
        for granule in walk.starts.view_bits::<Lsb0>().iter_ones() {
            let offset = granule as u32 * 8;
            let object = GcRef::from_raw(offset);
            if u64::from(offset) < previous_end {
                return Err(HeapCorrupted { what: "overlapping objects", at: offset });
            }
            let size = self.object_size(object).map_err(as_corruption(offset))?;
            previous_end = u64::from(offset) + size;
            census.objects += 1;
            census.bytes += size;
            if self.type_of(object).map_err(as_corruption(offset))?.kind == TypeKind::Extern {
                let id = self.host_id(object).map_err(as_corruption(offset))?;
                if self.host.get(id).is_none() {
                    return Err(HeapCorrupted { what: "host id not in use", at: offset });
                }
            }
        }
        self.collector.as_ref().map_or(Ok(()), |collector| collector.verify(self))?;
        Ok(census)
    }
}

fn as_corruption(offset: u32) -> impl Fn(BadReference) -> HeapCorrupted {
    move |bad| match bad {
        BadReference::Corrupted(found) => found,
        _ => HeapCorrupted { what: "malformed object", at: offset },
    }
}
