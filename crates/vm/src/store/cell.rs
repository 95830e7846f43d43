//! Things at stable addresses that compiled code reads.

use std::ptr::NonNull;

/// A cell that compiled code points at: owned, or part of an instance's block.
pub(crate) struct CellBox<T> {
    at: NonNull<T>,
    owned: bool,
}

impl<T> CellBox<T> {
    /// A cell of its own.
    pub(crate) fn new(value: T) -> CellBox<T> {
        CellBox { at: NonNull::from(Box::leak(Box::new(value))), owned: true }
    }

    /// A cell that lives in an instance's block.
    pub(crate) fn in_block(at: NonNull<T>) -> CellBox<T> {
        CellBox { at, owned: false }
    }

    pub(crate) fn as_ptr(&self) -> *mut T {
        self.at.as_ptr()
    }
}

impl<T> Drop for CellBox<T> {
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: made by `Box::leak` in `new`. Cells go when their store does, and its compiled code has ended
            // then.
            drop(unsafe { Box::from_raw(self.at.as_ptr()) });
        }
    }
}
