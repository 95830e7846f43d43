//! A collector's view of the heap while the mutator stands still: a slice of words, indexed by heap offset.
//!
//! Checked access through [`HeapMemory`] compares with the committed end and builds an error for each word; a
//! collection touches every live slot, so it takes the slice once and pays one compare for each word.

use heapwright_gc_heap::{HeapCorrupted, HeapMemory};

/// The 32-bit words of `[start, start + 4 * len)`.
pub(crate) struct Words<'a> {
    words: &'a mut [[u8; 4]],
    start: u32,
}

impl<'a> Words<'a> {
    /// The words of `[start, end)`.
    pub(crate) fn new(memory: &'a mut HeapMemory, start: u32, end: u32) -> Result<Words<'a>, HeapCorrupted> {
        let bytes = memory.slice_mut(start, u64::from(end.saturating_sub(start)))?;
        Ok(Words { words: bytes.as_chunks_mut().0, start })
    }

    /// Offset one past the last word.
    pub(crate) fn end(&self) -> u64 {
        u64::from(self.start) + 4 * self.words.len() as u64
    }

    /// Cuts the view in two at heap offset `at`, which must lie in it.
    pub(crate) fn split(self, at: u32) -> Option<(Words<'a>, Words<'a>)> {
        let (low, high) = self.words.split_at_mut_checked(at.checked_sub(self.start)? as usize / 4)?;
        Some((Words { words: low, start: self.start }, Words { words: high, start: at }))
    }

    #[inline(always)]
    fn index(&self, at: u32) -> usize {
        // An offset below `start` wraps to an index beyond any slice.
        (at.wrapping_sub(self.start) / 4) as usize
    }

    /// The word at `at`, rounded down to a word boundary.
    #[inline(always)]
    pub(crate) fn get(&self, at: u32) -> Result<u32, HeapCorrupted> {
        match self.words.get(self.index(at)) {
            Some(word) => Ok(u32::from_le_bytes(*word)),
            None => Err(outside(at)),
        }
    }

    /// Asks the processor for the word at `at`, which will be needed soon.
    #[inline(always)]
    pub(crate) fn prefetch(&self, at: u32) {
        if let Some(word) = self.words.get(self.index(at)) {
            heapwright_gc_heap::prefetch(word);
        }
    }

    /// Writes the word at `at`.
    #[inline(always)]
    pub(crate) fn set(&mut self, at: u32, value: u32) -> Result<(), HeapCorrupted> {
        let index = self.index(at);
        match self.words.get_mut(index) {
            Some(word) => *word = value.to_le_bytes(),
            None => return Err(outside(at)),
        }
        Ok(())
    }

    /// Copies `bytes` (a multiple of 8) from `from` to `to`; the two ranges do not overlap.
    #[inline(always)]
    pub(crate) fn copy_apart(&mut self, to: u32, from: u32, bytes: u32) -> Result<(), HeapCorrupted> {
        let count = bytes as usize / 4;
        let (to_index, from_index) = (self.index(to), self.index(from));
        let ranges = [to_index..to_index + count, from_index..from_index + count];
        let Ok([target, source]) = self.words.get_disjoint_mut(ranges) else { return Err(outside(from)) };
        copy_words(target, source);
        Ok(())
    }

    /// Moves `bytes` (a multiple of 8) from `from` down to `to`; the ranges may overlap.
    #[inline(always)]
    pub(crate) fn move_down(&mut self, to: u32, from: u32, bytes: u32) -> Result<(), HeapCorrupted> {
        let count = bytes as usize / 4;
        let (to_index, from_index) = (self.index(to), self.index(from));
        let Some(by) = from_index.checked_sub(to_index) else { return Err(outside(from)) };
        let Some(area) = self.words.get_mut(to_index..from_index + count) else { return Err(outside(from)) };
        if count <= 16 {
            for i in 0..count {
                area[i] = area[i + by];
            }
        } else {
            area.copy_within(by.., 0);
        }
        Ok(())
    }

    /// Copies `bytes` (a multiple of 8) from `from` in `source` to `to` here.
    #[inline(always)]
    pub(crate) fn copy_from(
        &mut self,
        to: u32,
        source: &Words<'_>,
        from: u32,
        bytes: u32,
    ) -> Result<(), HeapCorrupted> {
        let count = bytes as usize / 4;
        let (to_index, from_index) = (self.index(to), source.index(from));
        let Some(target) = self.words.get_mut(to_index..to_index + count) else { return Err(outside(to)) };
        let Some(source) = source.words.get(from_index..from_index + count) else { return Err(outside(from)) };
        copy_words(target, source);
        Ok(())
    }
}

/// Copies an even number of words between slices of equal length.
#[inline(always)]
fn copy_words(target: &mut [[u8; 4]], source: &[[u8; 4]]) {
    if source.len() <= 16 {
        // Most objects are small: a call to `memcpy` would cost more than the copy.
        for (target, source) in target.as_chunks_mut::<2>().0.iter_mut().zip(source.as_chunks::<2>().0) {
            *target = *source;
        }
    } else {
        target.copy_from_slice(source);
    }
}

#[cold]
#[inline(never)]
fn outside(at: u32) -> HeapCorrupted {
    HeapCorrupted { what: "reference outside the collected heap", at }
}
