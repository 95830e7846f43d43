//! The store's function table: what a function reference is an index into.

use crate::pool::{Allocator, ClearedSlot, ResourceError, Taken};
use heapwright_gc_heap::MemoryError;
use heapwright_jit::abi::{self, FuncEntry};

/// Entries that a store can have.
const MAX_FUNCS: usize = abi::MAX_FUNCS as usize;
const ENTRY: usize = size_of::<FuncEntry>();

/// The function table. Entry 0 is null; entries are written once and never removed.
pub(crate) struct FuncTable {
    slot: Taken<ClearedSlot>,
    len: u32,
}

impl FuncTable {
    pub(crate) fn new(allocator: &Allocator) -> Result<FuncTable, ResourceError> {
        // All of it is reserved, in a pool too: compiled code checks no more of an id than that it is in here.
        let mut slot = allocator.funcs((MAX_FUNCS * ENTRY) as u64)?;
        // Fresh memory is zero, and so is the null entry.
        slot.mapping.commit_to(ENTRY)?;
        Ok(FuncTable { slot, len: 1 })
    }

    /// Address of entry 0; constant.
    pub(crate) fn base(&self) -> *mut FuncEntry {
        self.slot.mapping.base().cast()
    }

    /// The reservation.
    pub(crate) fn range(&self) -> (usize, usize) {
        let base = self.slot.mapping.base() as usize;
        (base, base + self.slot.mapping.size())
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Makes sure that `count` more entries can be added.
    pub(crate) fn reserve(&mut self, count: usize) -> Result<(), MemoryError> {
        let needed = self.len as usize + count;
        if needed > MAX_FUNCS {
            return Err(MemoryError("the store's function table is full".into()));
        }
        let memory = &mut self.slot.mapping;
        if needed * ENTRY > memory.committed() {
            memory.commit_to((2 * needed * ENTRY).min(memory.size()))?;
        }
        Ok(())
    }

    /// Adds an entry and gives it its id.
    pub(crate) fn push(&mut self, entry: FuncEntry) -> Result<u32, MemoryError> {
        self.reserve(1)?;
        let id = self.len;
        // SAFETY: the entry was committed just now; compiled code reads it only after its id is given out.
        unsafe { self.base().add(id as usize).write(FuncEntry { id, ..entry }) };
        self.len += 1;
        self.slot.used = self.len as usize * ENTRY;
        Ok(id)
    }

    /// The entry with this id; `None` for null and for ids that do not exist.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<FuncEntry> {
        // SAFETY: entries below `len` are written.
        (id != 0 && id < self.len).then(|| unsafe { self.base().add(id as usize).read() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{AllocationStrategy, MemoryOptions};

    #[test]
    fn ids_name_entries() {
        let options = MemoryOptions { guard: 0, faults: true, reservation64: 0, images: false };
        let mut table = FuncTable::new(&Allocator::new(&AllocationStrategy::OnDemand, options)).unwrap();
        for i in 1..2000 {
            let id = table.push(FuncEntry { type_word: i * 64, signature: i, ..FuncEntry::NULL }).unwrap();
            assert_eq!(id, i);
        }
        assert_eq!(table.get(0), None);
        assert_eq!(table.get(2000), None);
        let entry = table.get(1234).unwrap();
        assert_eq!((entry.id, entry.type_word, entry.signature), (1234, 1234 * 64, 1234));
        // SAFETY: entry 0 is committed.
        assert_eq!(unsafe { table.base().read() }, FuncEntry::NULL);
    }
}
