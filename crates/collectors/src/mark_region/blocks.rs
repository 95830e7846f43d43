//! The block table: what each block and each line is used for. All of it is outside the heap, as are the marks, which
//! are side tables ([`super::marks`]).
//!
//! | table | for each | says |
//! |---|---|---|
//! | `kinds` | block | what it holds |
//! | `used` | line | not free: objects were marked there, or it was handed out since |
//! | `live` | block | bytes of the marked objects that start in it |
//! | `large` | large object | its size |

use super::geometry::{BASE, block_of};
use super::geometry::{BLOCK, LINE, LINES, LineSet, Span, block_start, find_hole, line_range, outside};
use std::collections::BTreeMap;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Nothing. Such a block is whole: the one that the end of memory cuts short is never free.
    Free,
    /// Objects, or holes only if it is the one cut short.
    Small,
    /// While a collection runs: objects that are to be moved.
    Leaving,
    /// The start of a large object.
    Large,
    /// A large object goes on.
    Rest,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) kinds: Vec<Kind>,
    pub(super) used: Vec<LineSet>,
    pub(super) live: Vec<u32>,
    /// First block -> bytes.
    pub(super) large: BTreeMap<usize, u32>,
    /// Blocks with holes, the lowest last. One may be listed twice, or have been filled since.
    pub(super) recyclable: Vec<usize>,
    /// Number of free blocks.
    pub(super) free: usize,
    /// Lines that are not used, those of free blocks included.
    pub(super) free_lines: u64,
    /// No free block is below this one.
    pub(super) lowest_free: usize,
    /// Where the search for a hole of several lines goes on, in `recyclable`.
    pub(super) probe: usize,
    /// End of the memory, a multiple of [`LINE`].
    pub(super) top: u32,
}

impl Blocks {
    /// Covers memory up to `top`. Memory never goes away.
    pub(super) fn grow(&mut self, top: u32) {
        let (top, before, old_top) = (top / LINE * LINE, self.kinds.len(), self.top.max(BASE));
        if top <= old_top {
            return;
        }
        self.top = top;
        let count = (top - BASE).div_ceil(BLOCK) as usize;
        self.kinds.resize(count, Kind::Small);
        self.used.resize(count, LineSet::MAX);
        self.live.resize(count, 0);
        // From the top, so that the lowest block is the last in the list.
        for block in (before.saturating_sub(1)..count).rev() {
            let gained = outside(block, old_top) & !outside(block, top);
            self.used[block] &= !gained;
            self.free_lines += u64::from(gained.count_ones());
            if self.used[block] == 0 && self.kinds[block] == Kind::Small {
                self.kinds[block] = Kind::Free;
                self.free += 1;
                self.lowest_free = self.lowest_free.min(block);
            } else if gained != 0 {
                self.recyclable.push(block);
            }
        }
    }

    /// Whether the lines of a block are handed out one by one.
    fn has_lines(&self, block: usize) -> bool {
        matches!(self.kinds[block], Kind::Small | Kind::Leaving)
    }

    /// Takes lines of a block; what remains of it stays as it is.
    fn take(&mut self, block: usize, first: u32, lines: u32) -> Span {
        self.used[block] |= line_range(first, first + lines - 1);
        self.free_lines -= u64::from(lines);
        let start = block_start(block) + first * LINE;
        Span { start, end: start + lines * LINE }
    }

    /// Takes the next hole, whatever its size; if there is none, a free block, but leaves `reserve` of those.
    pub(super) fn take_hole(&mut self, reserve: usize) -> Option<Span> {
        while let Some(&block) = self.recyclable.last() {
            if self.has_lines(block)
                && let Some((first, lines)) = find_hole(self.used[block], 1)
            {
                return Some(self.take(block, first, lines));
            }
            self.recyclable.pop();
        }
        self.take_block(reserve)
    }

    /// Takes the lowest free block, but leaves `reserve` of them.
    fn take_block(&mut self, reserve: usize) -> Option<Span> {
        if self.free <= reserve {
            return None;
        }
        let block = self.lowest_free + self.kinds[self.lowest_free..].iter().position(|kind| *kind == Kind::Free)?;
        self.kinds[block] = Kind::Small;
        self.free -= 1;
        self.lowest_free = block + 1;
        Some(self.take(block, 0, LINES))
    }

    /// Allocates an object of more than a line in the `overflow` block, or in a new one; the rest of the old one is for
    /// small objects then.
    pub(super) fn alloc_overflow(&mut self, overflow: &mut Span, size: u32, reserve: usize) -> Option<u32> {
        if let Some(at) = overflow.take(size) {
            return Some(at);
        }
        let fresh = self.take_block(reserve).or_else(|| self.take_hole_for(size))?;
        self.give_back(core::mem::replace(overflow, fresh));
        overflow.take(size)
    }

    /// Takes a hole for an object of more than a line. Next fit: the search goes on where the last one ended, and
    /// passes each block once.
    fn take_hole_for(&mut self, size: u32) -> Option<Span> {
        let (count, lines) = (self.recyclable.len(), size.div_ceil(LINE));
        for i in 0..count {
            let at = (self.probe + i) % count;
            let block = self.recyclable[at];
            if self.has_lines(block)
                && let Some((first, lines)) = find_hole(self.used[block], lines)
            {
                self.probe = at;
                return Some(self.take(block, first, lines));
            }
        }
        None
    }

    /// Gives back the lines of a hole in which nothing was allocated.
    pub(super) fn give_back(&mut self, rest: Span) {
        let start = rest.start.next_multiple_of(LINE);
        if start >= rest.end {
            return;
        }
        let block = block_of(start);
        let (first, lines) = ((start - block_start(block)) / LINE, (rest.end - start) / LINE);
        self.used[block] &= !line_range(first, first + lines - 1);
        self.free_lines += u64::from(lines);
        self.recyclable.push(block);
    }

    /// Takes blocks for a large object, the highest that are free, so that small and large objects keep apart.
    pub(super) fn take_large(&mut self, size: u32, reserve: usize) -> Option<u32> {
        let count = size.div_ceil(BLOCK) as usize;
        if self.free < count + reserve {
            return None;
        }
        let mut run = 0;
        let low = self.lowest_free;
        let first = (low..self.kinds.len()).rev().find(|&block| {
            run = if self.kinds[block] == Kind::Free { run + 1 } else { 0 };
            run == count
        })?;
        self.kinds[first..first + count].fill(Kind::Rest);
        self.kinds[first] = Kind::Large;
        self.used[first..first + count].fill(LineSet::MAX);
        self.free -= count;
        self.free_lines -= count as u64 * u64::from(LINES);
        self.large.insert(first, size);
        Some(block_start(first))
    }
}
