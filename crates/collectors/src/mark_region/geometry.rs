//! Blocks and lines, as pure functions.
//!
//! ```text
//!  BASE                                                                top
//!   | block 0: line 0 … line 127 | block 1 | …            | a block cut short |
//! ```
//!
//! A set of a block's lines is one `u128`, so the search for a hole is a few instructions for 32 KiB.
//!
//! **Why these sizes.** The paper takes blocks of 32 KiB and lines of 128 bytes for Java objects with headers of 8
//! bytes and more. A line has to be large enough that a hole of one line pays for the slow call that opens it, and
//! small enough that one survivor does not hold up much. Objects here have a header of 4 bytes, and 24 bytes is a
//! common size: 256 bytes are ten of them, which is where measurements of later Immix implementations settled, too.

use heapwright_gc_heap::NULL_PAGE_BYTES;

/// Start of the memory.
pub(super) const BASE: u32 = NULL_PAGE_BYTES;
/// What one mark bit stands for: the alignment of objects.
pub(super) const GRANULE: u32 = 8;
/// The unit in which memory is reclaimed.
pub(super) const LINE: u32 = 256;
/// The unit in which memory is evacuated and given to large objects.
pub(super) const BLOCK: u32 = 32 << 10;
/// Lines of a block.
pub(super) const LINES: u32 = BLOCK / LINE;
/// Larger objects get blocks of their own. Half a block, so that they fill at least half of what they get.
pub(super) const MAX_MEDIUM: u32 = BLOCK / 2;

const _: () = assert!(LINES == LineSet::BITS, "a block's lines are one word");
const _: () = assert!(BASE.is_multiple_of(LINE) && LINE.is_multiple_of(GRANULE) && LINE.is_power_of_two());
const _: () = assert!(BLOCK.is_power_of_two() && BLOCK.is_multiple_of(GRANULE));
// What the inline path may allocate fits a fresh block.
const _: () = assert!(crate::INLINE_LIMIT <= MAX_MEDIUM && MAX_MEDIUM <= BLOCK);

/// A set of lines of one block: bit `i` is line `i`.
pub(super) type LineSet = u128;

/// A range of heap offsets, allocated from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// Cuts `size` bytes off the front.
    #[inline(always)]
    pub(super) fn take(&mut self, size: u32) -> Option<u32> {
        let at = self.start;
        if size > self.end - at {
            return None;
        }
        self.start = at + size;
        Some(at)
    }

    pub(super) fn len(self) -> u32 {
        self.end - self.start
    }

    pub(super) fn contains(self, at: u32) -> bool {
        (self.start..self.end).contains(&at)
    }
}

/// The block that `at` lies in; a number beyond every heap for an offset below [`BASE`].
#[inline(always)]
pub(super) fn block_of(at: u32) -> usize {
    (at.wrapping_sub(BASE) / BLOCK) as usize
}

/// Where a block starts.
#[inline(always)]
pub(super) const fn block_start(block: usize) -> u32 {
    BASE + block as u32 * BLOCK
}

/// The lines from number `first` to number `last`, both below [`LINES`].
#[inline(always)]
pub(super) fn line_range(first: u32, last: u32) -> LineSet {
    (LineSet::MAX << first) & (LineSet::MAX >> (LINES - 1 - last))
}

/// The lines that `[offset, offset + size)` touches, counted from the block's start; it does not reach beyond the
/// block's end, and `size` is not 0.
#[inline(always)]
pub(super) fn lines_of(offset: u32, size: u32) -> LineSet {
    let (first, last) = (offset / LINE, (offset + size - 1) / LINE);
    if first == last { 1 << first } else { line_range(first, last) }
}

/// The lines of `block` that lie at or above `top`.
pub(super) fn outside(block: usize, top: u32) -> LineSet {
    let inside = top.saturating_sub(block_start(block)) / LINE;
    if inside >= LINES { 0 } else { LineSet::MAX << inside }
}

/// The first run of at least `lines` lines that are not in `used`: its first line, and how many they are.
#[inline]
pub(super) fn find_hole(used: LineSet, lines: u32) -> Option<(u32, u32)> {
    let mut from = 0;
    while from < LINES {
        let first = from + (!used >> from).trailing_zeros();
        if first >= LINES {
            return None;
        }
        let length = (used >> first).trailing_zeros().min(LINES - first);
        if length >= lines {
            return Some((first, length));
        }
        from = first + length;
    }
    None
}

/// The number of such runs.
pub(super) fn count_holes(used: LineSet) -> u32 {
    let free = !used;
    (free & !(free << 1)).count_ones()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_found_in_order() {
        assert_eq!(find_hole(0, 1), Some((0, LINES)));
        assert_eq!(find_hole(LineSet::MAX, 1), None);
        let used = !(line_range(3, 3) | line_range(10, 14) | line_range(100, 127));
        assert_eq!(
            [1, 2, 5, 6, 28, 29].map(|lines| find_hole(used, lines)),
            [Some((3, 1)), Some((10, 5)), Some((10, 5)), Some((100, 28)), Some((100, 28)), None]
        );
        assert_eq!([count_holes(used), count_holes(0), count_holes(LineSet::MAX)], [3, 1, 0]);
    }

    #[test]
    fn lines_of_a_range() {
        assert_eq!(lines_of(0, 8), 1);
        assert_eq!(lines_of(LINE - 8, 8), 1);
        assert_eq!(lines_of(LINE - 8, 16), 0b11);
        assert_eq!(lines_of(BLOCK - 8, 8), 1 << (LINES - 1));
        assert_eq!(lines_of(0, BLOCK), LineSet::MAX);
        assert_eq!(outside(0, BASE + BLOCK), 0);
        assert_eq!(outside(0, BASE + 4096), LineSet::MAX << (4096 / LINE));
        assert_eq!(outside(1, BASE + BLOCK), LineSet::MAX);
    }
}
