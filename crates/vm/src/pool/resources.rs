//! What slots hold.

use super::slots::Recycle;
use super::{MemoryImage, faults};
use crate::mapping::Reservation;
use heapwright_gc_heap::MemoryError;
use std::sync::Arc;

/// A mapping of which a prefix is used and is zero when the slot is taken: a table, an instance's context, a function
/// table.
pub(crate) struct ClearedSlot {
    pub(crate) mapping: Reservation,
    /// Bytes that may not be zero. Kept by the user.
    pub(crate) used: usize,
}

impl ClearedSlot {
    pub(crate) fn new(mapping: Reservation) -> ClearedSlot {
        ClearedSlot { mapping, used: 0 }
    }

    /// A slot of which everything is accessible.
    pub(crate) fn committed(bytes: usize) -> Result<ClearedSlot, MemoryError> {
        let mut mapping = Reservation::new(bytes as u64)?;
        mapping.commit_to(bytes)?;
        Ok(ClearedSlot::new(mapping))
    }
}

impl Recycle for ClearedSlot {
    fn recycle(&mut self, keep: usize) -> Result<(), MemoryError> {
        let used = core::mem::take(&mut self.used).min(self.mapping.committed());
        self.mapping.clear(used, keep)
    }
}

/// A linear memory's address space.
pub(crate) struct MemorySlot {
    pub(crate) mapping: Reservation,
    /// The initial contents that are mapped, privately, at their place.
    image: Option<Arc<MemoryImage>>,
}

impl MemorySlot {
    pub(crate) fn new(mapping: Reservation) -> MemorySlot {
        MemorySlot { mapping, image: None }
    }

    /// Whether initial contents are in place.
    pub(crate) fn has_image(&self) -> bool {
        self.image.is_some()
    }

    /// Makes exactly the first `length` bytes (rounded up to pages) accessible, with the contents of `image` or zero.
    /// To be called on a new or cleared slot.
    pub(crate) fn prepare(&mut self, length: usize, image: Option<&Arc<MemoryImage>>) -> Result<(), MemoryError> {
        faults::point()?;
        let same = match (&self.image, image) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if !same && let Some(old) = self.image.take() {
            // Inside what is accessible: a memory never becomes smaller than its image while it has it.
            self.mapping.map_zeros(old.range())?;
        }
        self.mapping.commit_exactly(length)?;
        if !same && let Some(image) = image {
            self.mapping.map_file(image.range(), image.file())?;
            self.image = Some(image.clone());
        }
        Ok(())
    }
}

impl Recycle for MemorySlot {
    fn recycle(&mut self, keep: usize) -> Result<(), MemoryError> {
        // Giving back pages of a private file mapping brings the file's contents back.
        self.mapping.clear(self.mapping.committed(), keep)?;
        if let Some(image) = &self.image
            && keep > image.range().start
        {
            let end = image.range().end.min(keep);
            // SAFETY: the image is inside what is accessible: `prepare` commits before it maps, and what is committed
            // shrinks only there, when the image is gone. Nobody else looks: a slot that is recycled has no user
            // (`Taken` owns it alone until its drop).
            let bytes = unsafe { self.mapping.bytes_mut(image.range().start..end) };
            image.read(bytes)?;
        }
        Ok(())
    }
}
