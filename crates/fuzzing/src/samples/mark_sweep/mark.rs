//! Finding what lives, and what is left between it.

use heapwright_gc_heap::{BadReference, GcRef, Heap, HeapCorrupted, HostId, NULL_PAGE_BYTES, TypeKind};

// ANCHOR: mark
/// A collection at work. All of it lies outside the heap.
pub(crate) struct Marker {
    /// Bit `i` of word `j`: an object starts at `8 * (64 * j + i)` from the heap's start.
    marks: Vec<u64>,
    /// Objects found whose references are not yet followed.
    pending: Vec<u32>,
    top: u32,
    objects: u64,
    hosts: Vec<HostId>,
}

impl Marker {
    /// Nothing is marked in the memory below `top`.
    pub(crate) fn new(top: u32) -> Marker {
        let granules = (top - NULL_PAGE_BYTES) as usize / 8;
        let marks = vec![0; granules.div_ceil(64)];
        Marker { marks, pending: Vec::new(), top, objects: 0, hosts: Vec::new() }
    }

    /// Marks what a reference names. A reference is not to be trusted: it may come from a heap that a faulty guest has
    /// overwritten.
    pub(crate) fn reach(&mut self, reference: GcRef) -> Result<(), HeapCorrupted> {
        let Some(at) = reference.offset() else { return Ok(()) };
        if !at.is_multiple_of(8) || !(NULL_PAGE_BYTES..self.top).contains(&at) {
            return Err(HeapCorrupted { what: "mark-sweep: a reference to no object", at });
        }
        let granule = (at - NULL_PAGE_BYTES) as usize / 8;
        let (word, bit) = (&mut self.marks[granule / 64], 1 << (granule % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.pending.push(at);
        }
        Ok(())
    }

    /// Follows references until none is left. The mark stack is a vector: a long list costs memory, not the host's
    /// stack.
    pub(crate) fn trace(&mut self, heap: &mut Heap) -> Result<(), HeapCorrupted> {
        // Objects do not overlap, so together they are no larger than the heap. Without this bound a forged heap of
        // overlapping arrays would take the square of its size.
        let mut room = u64::from(self.top - NULL_PAGE_BYTES);
        while let Some(at) = self.pending.pop() {
            self.objects += 1;
            let object = GcRef::from_raw(at);
            let size = heap.object_size(object).map_err(|_| no_object(at))?;
            room = room.checked_sub(size).ok_or(HeapCorrupted { what: "mark-sweep: objects overlap", at })?;
            if heap.type_of(object).map_err(|_| no_object(at))?.kind == TypeKind::Extern {
                self.hosts.push(heap.host_id(object).map_err(|_| no_object(at))?);
            }
            heap.for_each_slot(at, |heap, slot| self.reach(GcRef::from_raw(heap.memory().load_u32(slot)?)))?;
        }
        Ok(())
    }
    // ANCHOR_END: mark

    // ANCHOR: sweep
    /// The gaps between the marked objects, and the bytes of those objects.
    pub(crate) fn sweep(&self, heap: &Heap) -> Result<(Vec<(u32, u32)>, u64), HeapCorrupted> {
        let (mut gaps, mut live, mut end) = (Vec::new(), 0, NULL_PAGE_BYTES);
        for (i, &word) in self.marks.iter().enumerate() {
            let mut word = word;
            while word != 0 {
                let at = NULL_PAGE_BYTES + 8 * (64 * i as u32 + word.trailing_zeros());
                word &= word - 1;
                if at < end {
                    return Err(HeapCorrupted { what: "mark-sweep: objects overlap", at });
                }
                if at > end {
                    gaps.push((end, at));
                }
                // Checked when it was marked: it ends inside the heap.
                let size = heap.object_size(GcRef::from_raw(at)).map_err(|_: BadReference| no_object(at))?;
                live += size;
                end = at + size as u32;
            }
        }
        if end < self.top {
            gaps.push((end, self.top));
        }
        Ok((gaps, live))
    }
    // ANCHOR_END: sweep

    // ANCHOR: hosts
    /// Lets go of the host values whose boxes were not found.
    pub(crate) fn release_hosts(&self, heap: &mut Heap) {
        heap.host_mut().clear_marks();
        for &id in &self.hosts {
            heap.host_mut().mark(id);
        }
        heap.host_mut().release_unmarked();
    }
    // ANCHOR_END: hosts

    /// Number of objects found.
    pub(crate) fn objects(&self) -> u64 {
        self.objects
    }
}

fn no_object(at: u32) -> HeapCorrupted {
    HeapCorrupted { what: "mark-sweep: a reference to no object", at }
}
