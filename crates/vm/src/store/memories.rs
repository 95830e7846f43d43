//! Linear memories.

use super::{CellBox, Store, StoreState};
use crate::mapping::Reservation;
use crate::{CallError, InstantiateError, MemoryId};
use heapwright_gc_heap::MemoryError;
use heapwright_jit::abi::MemoryCell;
use heapwright_jit::module::MemoryInfo;

const GIB: u64 = 1 << 30;
/// Address space for a memory with 64-bit addresses, at most.
const MAX_MEMORY64: u64 = 64 * GIB;
/// Unmapped bytes behind the last constant offset that goes unchecked: the largest access is 16 bytes.
const SLACK: u64 = 64 << 10;

/// A linear memory.
///
/// Invariant (kept by this module): the cell's base is the mapping's, its length is at most what is committed, and both are
/// what compiled code sees.
pub(crate) struct Memory {
    mapping: Reservation,
    cell: CellBox<MemoryCell>,
    ty: MemoryInfo,
    /// Bytes that it can ever have.
    limit: u64,
}

impl Memory {
    pub(crate) fn new(ty: MemoryInfo, guard: u64) -> Result<Memory, MemoryError> {
        let too_large = || MemoryError(format!("a memory of {} pages", ty.minimum));
        let bytes = |pages: u64| pages.checked_mul(1 << ty.page_size_log2);
        let minimum = bytes(ty.minimum).ok_or_else(too_large)?;
        let declared = ty.maximum.map_or(u64::MAX, |max| bytes(max).unwrap_or(u64::MAX));
        let (reserved, limit) = if ty.memory64 {
            let limit = declared.min(MAX_MEMORY64);
            (limit, limit)
        } else {
            (4 * GIB, declared.min(4 * GIB))
        };
        if minimum > limit {
            return Err(too_large());
        }
        let mut mapping = Reservation::new(reserved.saturating_add(guard).saturating_add(SLACK))?;
        mapping.commit_to(minimum as usize)?;
        let cell = CellBox::new(MemoryCell { base: mapping.base(), length: minimum });
        Ok(Memory { mapping, cell, ty, limit })
    }

    /// Moves the cell into an instance's block.
    pub(crate) fn set_cell(&mut self, cell: CellBox<MemoryCell>) {
        // SAFETY: both cells are alive, and no compiled code knows this memory yet.
        unsafe { *cell.as_ptr() = *self.cell.as_ptr() };
        self.cell = cell;
    }

    pub(crate) fn cell(&self) -> *mut MemoryCell {
        self.cell.as_ptr()
    }

    pub(crate) fn bytes(&self) -> u64 {
        // SAFETY: the cell is alive as long as the memory, and written only by this module.
        unsafe { (*self.cell.as_ptr()).length }
    }

    pub(crate) fn ty(&self) -> MemoryInfo {
        MemoryInfo { minimum: self.bytes() >> self.ty.page_size_log2, ..self.ty }
    }

    pub(crate) fn data(&self) -> &[u8] {
        // SAFETY: the type's invariant; compiled code, which writes there, stands still while Rust code has the store.
        unsafe { core::slice::from_raw_parts(self.mapping.base(), self.bytes() as usize) }
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`, and `&mut self`.
        unsafe { core::slice::from_raw_parts_mut(self.mapping.base(), self.bytes() as usize) }
    }

    /// `[start, start + count)` as indices, if it is in bounds.
    pub(crate) fn range(&self, start: u64, count: u64) -> Option<core::ops::Range<usize>> {
        let end = start.checked_add(count).filter(|&end| end <= self.bytes())?;
        Some(start as usize..end as usize)
    }

    fn grow(&mut self, bytes: u64) -> Result<(), MemoryError> {
        self.mapping.commit_to(bytes as usize)?;
        // SAFETY: the cell is alive, and compiled code stands still.
        unsafe { (*self.cell.as_ptr()).length = bytes };
        Ok(())
    }
}

impl Store {
    /// A memory.
    ///
    /// # Errors
    ///
    /// When the limiter or the system refuses.
    pub fn memory_new(&mut self, ty: MemoryInfo) -> Result<MemoryId, InstantiateError> {
        let state = &mut self.state;
        let desired = ty.minimum.saturating_mul(1 << ty.page_size_log2);
        state.check_count("memories", state.memories.len(), |limiter| limiter.memories())?;
        if !state.memory_may_grow(&ty, 0, desired)? {
            return Err(InstantiateError::Resource(format!("memory of {desired} bytes refused by the limiter")));
        }
        let guard = state.runtime.compiler().settings().memory_guard;
        state.memories.push(Memory::new(ty, guard)?);
        Ok(MemoryId(state.memories.len() as u32 - 1))
    }

    /// A memory's type with its current size as minimum.
    pub fn memory_type(&self, memory: MemoryId) -> MemoryInfo {
        self.state.memories[memory.0 as usize].ty()
    }

    /// Size in pages.
    pub fn memory_size(&self, memory: MemoryId) -> u64 {
        self.memory_type(memory).minimum
    }

    /// A memory's bytes.
    pub fn memory_data(&self, memory: MemoryId) -> &[u8] {
        self.state.memories[memory.0 as usize].data()
    }

    /// A memory's bytes, writable.
    pub fn memory_data_mut(&mut self, memory: MemoryId) -> &mut [u8] {
        self.state.memories[memory.0 as usize].data_mut()
    }

    /// Grows a memory and returns the old size in pages; `None` when refused.
    ///
    /// # Errors
    ///
    /// The limiter's.
    pub fn memory_grow(&mut self, memory: MemoryId, delta: u64) -> Result<Option<u64>, CallError> {
        let state = &mut self.state;
        let ty = state.memories[memory.0 as usize].ty();
        let current = ty.minimum << ty.page_size_log2;
        // What no number names is not allowed either.
        let desired = ty.minimum.checked_add(delta).and_then(|pages| pages.checked_mul(1 << ty.page_size_log2));
        if !state.memory_may_grow(&ty, current, desired.unwrap_or(u64::MAX))? {
            return Ok(None);
        }
        let memory = &mut state.memories[memory.0 as usize];
        let fits = desired.filter(|&desired| desired <= memory.limit);
        if fits.is_some_and(|desired| memory.grow(desired).is_ok()) {
            return Ok(Some(ty.minimum));
        }
        if let Some(limiter) = &self.state.limiter {
            limiter.get().memory_grow_failed().map_err(CallError::host)?;
        }
        Ok(None)
    }
}

impl StoreState {
    fn memory_may_grow(&self, ty: &MemoryInfo, current: u64, desired: u64) -> Result<bool, CallError> {
        let Some(limiter) = &self.limiter else { return Ok(true) };
        let maximum = ty.maximum.map(|max| max.saturating_mul(1 << ty.page_size_log2));
        limiter.get().memory_growing(current, desired, maximum).map_err(CallError::host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_grow_in_place_up_to_their_limit() {
        let ty = MemoryInfo { memory64: false, minimum: 1, maximum: Some(3), page_size_log2: 16 };
        let mut memory = Memory::new(ty, 1 << 20).unwrap();
        memory.data_mut()[65535] = 9;
        let base = memory.data().as_ptr();
        memory.grow(2 << 16).unwrap();
        assert_eq!((memory.data()[65535], memory.data()[65536], memory.data().as_ptr()), (9, 0, base));
        assert_eq!((memory.ty().minimum, memory.limit), (2, 3 << 16));
        assert_eq!(memory.range(u64::MAX, 2), None);
        assert_eq!(memory.range(2 << 16, 0), Some(2 << 16..2 << 16));
        assert_eq!(memory.range((2 << 16) + 1, 0), None);
        let tiny = MemoryInfo { page_size_log2: 0, minimum: 5, maximum: None, ..ty };
        assert_eq!(Memory::new(tiny, 0).unwrap().data().len(), 5);
        let huge = MemoryInfo { memory64: true, minimum: 1 << 40, maximum: None, page_size_log2: 16 };
        assert!(Memory::new(huge, 0).is_err());
    }
}
