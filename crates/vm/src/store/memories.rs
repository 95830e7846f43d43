//! Linear memories.

use super::{CellBox, Store, StoreState};
use crate::pool::{MemoryImage, MemorySlot, Taken};
use crate::{CallError, InstantiateError, MemoryId};
use heapwright_gc_heap::MemoryError;
use heapwright_jit::abi::MemoryCell;
use heapwright_jit::module::MemoryInfo;
use std::sync::Arc;

/// A linear memory.
///
/// Invariant (kept by this module): the cell's base is the mapping's, its length is at most what is committed, and both
/// are what compiled code sees.
pub(crate) struct Memory {
    slot: Taken<MemorySlot>,
    cell: CellBox<MemoryCell>,
    ty: MemoryInfo,
    /// Bytes that it can ever have.
    limit: u64,
}

impl Memory {
    pub(crate) fn new(ty: MemoryInfo, slot: Taken<MemorySlot>, limit: u64) -> Memory {
        // The allocator has checked that it does not overflow.
        let length = ty.minimum << ty.page_size_log2;
        let cell = CellBox::new(MemoryCell { base: slot.mapping.base(), length });
        Memory { slot, cell, ty, limit }
    }

    /// Whether it came with the contents of its module's data segments.
    pub(crate) fn is_initialised(&self) -> bool {
        self.slot.has_image()
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
        unsafe { core::slice::from_raw_parts(self.slot.mapping.base(), self.bytes() as usize) }
    }

    pub(crate) fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`, and `&mut self`.
        unsafe { core::slice::from_raw_parts_mut(self.slot.mapping.base(), self.bytes() as usize) }
    }

    /// `[start, start + count)` as indices, if it is in bounds.
    pub(crate) fn range(&self, start: u64, count: u64) -> Option<core::ops::Range<usize>> {
        let end = start.checked_add(count).filter(|&end| end <= self.bytes())?;
        Some(start as usize..end as usize)
    }

    fn grow(&mut self, bytes: u64) -> Result<(), MemoryError> {
        self.slot.mapping.commit_to(bytes as usize)?;
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
        let memory = self.state.allocate_memory(ty, None, None)?;
        self.state.memories.push(memory);
        Ok(MemoryId(self.state.memories.len() as u32 - 1))
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
    /// A memory that the store does not know of yet, nor of `beside` others; without these it is the host's own.
    pub(crate) fn allocate_memory(
        &mut self,
        ty: MemoryInfo,
        image: Option<&Arc<MemoryImage>>,
        beside: Option<usize>,
    ) -> Result<Memory, InstantiateError> {
        let desired = ty.minimum.saturating_mul(1 << ty.page_size_log2);
        let count = self.memories.len() + beside.unwrap_or(0);
        self.check_count("memories", count, |limiter| limiter.memories())?;
        if !self.memory_may_grow(&ty, 0, desired)? {
            return Err(InstantiateError::Resource(format!("memory of {desired} bytes refused by the limiter")));
        }
        let (slot, limit) = self.runtime.allocator().memory(&ty, image, beside.is_some())?;
        Ok(Memory::new(ty, slot, limit))
    }

    fn memory_may_grow(&self, ty: &MemoryInfo, current: u64, desired: u64) -> Result<bool, CallError> {
        let Some(limiter) = &self.limiter else { return Ok(true) };
        let maximum = ty.maximum.map(|max| max.saturating_mul(1 << ty.page_size_log2));
        limiter.get().memory_growing(current, desired, maximum).map_err(CallError::host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{AllocationStrategy, Allocator, MemoryOptions, ResourceError};

    fn made(ty: MemoryInfo) -> Result<Memory, ResourceError> {
        let options = MemoryOptions { guard: 1 << 20, faults: true, reservation64: 64 << 30, images: true };
        let (slot, limit) = Allocator::new(&AllocationStrategy::OnDemand, options).memory(&ty, None, true)?;
        Ok(Memory::new(ty, slot, limit))
    }

    #[test]
    fn memories_grow_in_place_up_to_their_limit() {
        let ty = MemoryInfo { memory64: false, minimum: 1, maximum: Some(3), page_size_log2: 16 };
        let mut memory = made(ty).unwrap();
        memory.data_mut()[65535] = 9;
        let base = memory.data().as_ptr();
        memory.grow(2 << 16).unwrap();
        assert_eq!((memory.data()[65535], memory.data()[65536], memory.data().as_ptr()), (9, 0, base));
        assert_eq!((memory.ty().minimum, memory.limit), (2, 3 << 16));
        assert_eq!(memory.range(u64::MAX, 2), None);
        assert_eq!(memory.range(2 << 16, 0), Some(2 << 16..2 << 16));
        assert_eq!(memory.range((2 << 16) + 1, 0), None);
        let tiny = MemoryInfo { page_size_log2: 0, minimum: 5, maximum: None, ..ty };
        assert_eq!(made(tiny).unwrap().data().len(), 5);
        let huge = MemoryInfo { memory64: true, minimum: 1 << 40, maximum: None, page_size_log2: 16 };
        // Beyond any address space.
        let huge = MemoryInfo { minimum: 1 << 33, ..huge };
        assert!(made(huge).is_err());
    }
}
