//! The memory of an instance context.

use crate::pool::{Allocator, ClearedSlot, ResourceError, Taken, faults};
use heapwright_gc_heap::MemoryError;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// The context block that compiled code gets as its first argument: zeroed, 16-aligned, at a stable address.
///
/// Rust code reads and writes it through raw pointers only, and only while compiled code stands still.
pub(crate) struct Block {
    at: NonNull<u8>,
    layout: Layout,
    /// Whose memory it is; our own when `None`.
    pooled: Option<Taken<ClearedSlot>>,
}

impl Block {
    pub(crate) fn new(allocator: &Allocator, size: u32) -> Result<Block, ResourceError> {
        let size = (size as usize).max(16);
        let refused = || MemoryError(format!("no memory for an instance of {size} bytes"));
        let layout = Layout::from_size_align(size, 16).map_err(|_| refused())?;
        let mut pooled = allocator.block(size)?;
        let at = match &mut pooled {
            Some(slot) => {
                slot.used = size;
                slot.mapping.base()
            }
            None => {
                faults::point()?;
                // SAFETY: the layout is not empty.
                unsafe { alloc_zeroed(layout) }
            }
        };
        let at = NonNull::new(at).ok_or_else(refused)?;
        Ok(Block { at, layout, pooled })
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.at.as_ptr()
    }

    /// The place of a `T` at an offset of the instance layout.
    pub(crate) fn place<T>(&self, offset: i32) -> NonNull<T> {
        let offset = offset as usize;
        assert!(offset + size_of::<T>() <= self.layout.size() && offset.is_multiple_of(align_of::<T>()));
        // SAFETY: in bounds, as just checked.
        unsafe { self.at.add(offset).cast() }
    }

    pub(crate) fn write<T: Copy>(&self, offset: i32, value: T) {
        // SAFETY: `place` has checked bounds and alignment; see the type's description for who else looks.
        unsafe { self.place::<T>(offset).write(value) };
    }

    pub(crate) fn read_u32(&self, offset: i32) -> u32 {
        // SAFETY: as in `write`; the block is initialised from the start.
        unsafe { self.place::<u32>(offset).read() }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.pooled.is_none() {
            // SAFETY: allocated in `new` with this layout; the block goes with its store, whose compiled code has
            // ended.
            unsafe { dealloc(self.at.as_ptr(), self.layout) };
        }
    }
}
