//! A collector's view of the heap while the mutator stands still: a slice of words, indexed by heap offset.
//!
//! Checked access through [`HeapMemory`](crate::HeapMemory) compares with the committed end and builds an error for
//! each word; a collection touches every live slot, so it takes the slice once and pays one compare for each word.

use crate::HeapCorrupted;
use crate::inject::{Point, Tap};

/// The 32-bit words of `[start, start + 4 * len)`: see [`HeapMemory::words`](crate::HeapMemory::words).
pub struct Words<'a> {
    words: &'a mut [[u8; 4]],
    start: u32,
    tap: Tap<'a>,
    prefetch: bool,
}

#[allow(clippy::missing_errors_doc, reason = "each fails for words outside the view")]
impl<'a> Words<'a> {
    pub(crate) fn new(words: &'a mut [[u8; 4]], start: u32, tap: Tap<'a>, prefetch: bool) -> Words<'a> {
        Words { words, start, tap, prefetch }
    }

    /// Whether collectors are to ask for memory ahead: on, but for those who want to know what it is worth.
    pub fn prefetches(&self) -> bool {
        self.prefetch
    }

    /// Offset one past the last word.
    pub fn end(&self) -> u64 {
        u64::from(self.start) + 4 * self.words.len() as u64
    }

    /// Cuts the view in two at heap offset `at`, which must lie in it.
    pub fn split(self, at: u32) -> Option<(Words<'a>, Words<'a>)> {
        let (low, high) = self.words.split_at_mut_checked(at.checked_sub(self.start)? as usize / 4)?;
        Some((Words { words: low, start: self.start, ..self }, Words { words: high, start: at, ..self }))
    }

    #[inline(always)]
    fn index(&self, at: u32) -> usize {
        // An offset below `start` wraps to an index beyond any slice.
        (at.wrapping_sub(self.start) / 4) as usize
    }

    /// The word at `at`, rounded down to a word boundary.
    #[inline(always)]
    pub fn get(&self, at: u32) -> Result<u32, HeapCorrupted> {
        match self.words.get(self.index(at)) {
            Some(word) => Ok(self.tap.seen(at, u32::from_le_bytes(*word))),
            None => Err(outside(at)),
        }
    }

    /// Every word in turn.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let at = (self.start..).step_by(4);
        self.words.iter().zip(at).map(|(word, at)| self.tap.seen(at, u32::from_le_bytes(*word)))
    }

    /// Asks the processor for the word at `at`, which will be needed soon.
    #[inline(always)]
    pub fn prefetch(&self, at: u32) {
        if let Some(word) = self.words.get(self.index(at)) {
            crate::prefetch(word);
        }
    }

    /// Writes the word at `at`.
    #[inline(always)]
    pub fn set(&mut self, at: u32, value: u32) -> Result<(), HeapCorrupted> {
        let index = self.index(at);
        match self.words.get_mut(index) {
            Some(word) => *word = value.to_le_bytes(),
            None => return Err(outside(at)),
        }
        self.struck();
        Ok(())
    }

    /// Lets the attacker overwrite words.
    #[inline(always)]
    fn struck(&mut self) {
        while let Some((at, word)) = self.tap.overwrite(Point::Step) {
            let index = self.index(at);
            if let Some(place) = self.words.get_mut(index) {
                *place = word.to_le_bytes();
            }
        }
    }

    /// What was copied was read, too: shows the attacker the words of `[to, to + bytes)`, which came from `from`.
    #[inline(always)]
    pub(crate) fn retell(&mut self, to: u32, from: u32, bytes: u32) {
        if !self.tap.is_armed() {
            return;
        }
        let first = self.index(to);
        for i in 0..bytes / 4 {
            if let Some(word) = self.words.get_mut(first.wrapping_add(i as usize)) {
                *word = self.tap.seen(from.wrapping_add(4 * i), u32::from_le_bytes(*word)).to_le_bytes();
            }
        }
    }

    /// Copies `bytes` (a multiple of 8) from `from` to `to`; the two ranges do not overlap.
    #[inline(always)]
    pub fn copy_apart(&mut self, to: u32, from: u32, bytes: u32) -> Result<(), HeapCorrupted> {
        let count = bytes as usize / 4;
        let (to_index, from_index) = (self.index(to), self.index(from));
        let ranges = [to_index..to_index + count, from_index..from_index + count];
        let Ok([target, source]) = self.words.get_disjoint_mut(ranges) else { return Err(outside(from)) };
        copy_words(target, source);
        self.retell(to, from, bytes);
        Ok(())
    }

    /// Moves `bytes` (a multiple of 8) from `from` down to `to`; the ranges may overlap.
    #[inline(always)]
    pub fn move_down(&mut self, to: u32, from: u32, bytes: u32) -> Result<(), HeapCorrupted> {
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
        self.retell(to, from, bytes);
        Ok(())
    }

    /// Copies `bytes` (a multiple of 8) from `from` in `source` to `to` here.
    #[inline(always)]
    pub fn copy_from(&mut self, to: u32, source: &Words<'_>, from: u32, bytes: u32) -> Result<(), HeapCorrupted> {
        let count = bytes as usize / 4;
        let (to_index, from_index) = (self.index(to), source.index(from));
        let Some(target) = self.words.get_mut(to_index..to_index + count) else { return Err(outside(to)) };
        let Some(source) = source.words.get(from_index..from_index + count) else { return Err(outside(from)) };
        copy_words(target, source);
        self.retell(to, from, bytes);
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
