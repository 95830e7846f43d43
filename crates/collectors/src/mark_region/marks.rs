//! The marks: side tables that the collector declares, so they are reserved and grow with the heap.
//!
//! They say what the last collection found: which objects lived, and which lines those touch. An offset, forged or not,
//! has its entry in its own table or none.

use super::geometry::{GRANULE, LINE, LINES, LineSet, block_start};
use heapwright_gc_heap::{HeapMemory, NUM_SIDE_TABLES, SideTable};

/// A bit for each 8 bytes: a marked object starts here.
const OBJECTS: SideTable = SideTable { name: "marks", granule: GRANULE, bits: 1 };
/// A bit for each line: a marked object touches it.
const LINE_MARKS: SideTable = SideTable { name: "line marks", granule: LINE, bits: 1 };

/// The declaration.
pub(super) static TABLES: [SideTable; 2] = [OBJECTS, LINE_MARKS];

/// Bytes of line marks for a block.
const SET_BYTES: usize = LINES as usize / 8;

// A block's line marks are one word of the table.
const _: () = assert!((block_start(0) / LINE).is_multiple_of(LINES));

/// The tables, to be read.
#[derive(Clone, Copy)]
pub(super) struct Marks<'a> {
    objects: &'a [u8],
    lines: &'a [u8],
}

impl<'a> Marks<'a> {
    pub(super) fn of(memory: &'a HeapMemory) -> Marks<'a> {
        Marks { objects: memory.side(0), lines: memory.side(1) }
    }

    /// Whether a marked object starts at `at`, a multiple of 8.
    #[inline(always)]
    pub(super) fn has(&self, at: u32) -> bool {
        is_set(self.objects, at)
    }

    /// The marked lines of a block.
    pub(super) fn lines(&self, block: usize) -> LineSet {
        let set = self.lines.get(place(block)..).and_then(|rest| rest.first_chunk());
        set.map_or(0, |set| LineSet::from_le_bytes(*set))
    }
}

/// The tables while a collection marks.
pub(super) struct MarksMut<'a> {
    objects: &'a mut [u8],
    lines: &'a mut [u8],
}

impl<'a> MarksMut<'a> {
    pub(super) fn new(tables: [&'a mut [u8]; NUM_SIDE_TABLES]) -> MarksMut<'a> {
        let [objects, lines, ..] = tables;
        MarksMut { objects, lines }
    }

    pub(super) fn clear(&mut self) {
        self.objects.fill(0);
        self.lines.fill(0);
    }

    /// As [`Marks::has`].
    #[inline(always)]
    pub(super) fn has(&self, at: u32) -> bool {
        is_set(self.objects, at)
    }

    /// Marks the object at `at`, a multiple of 8 inside the heap.
    #[inline(always)]
    pub(super) fn add(&mut self, at: u32) {
        let (byte, bit) = OBJECTS.entry(at);
        if let Some(byte) = self.objects.get_mut(byte as usize) {
            *byte |= 1 << bit;
        }
    }

    /// Marks lines of a block.
    #[inline(always)]
    pub(super) fn add_lines(&mut self, block: usize, lines: LineSet) {
        if let Some(set) = self.lines.get_mut(place(block)..).and_then(|rest| rest.first_chunk_mut()) {
            *set = (LineSet::from_le_bytes(*set) | lines).to_le_bytes();
        }
    }
}

#[inline(always)]
fn is_set(objects: &[u8], at: u32) -> bool {
    let (byte, bit) = OBJECTS.entry(at);
    objects.get(byte as usize).is_some_and(|byte| byte >> bit & 1 != 0)
}

/// Where a block's line marks begin in their table.
#[inline(always)]
fn place(block: usize) -> usize {
    (block_start(0) / LINE / LINES) as usize * SET_BYTES + block * SET_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapwright_gc_heap::NULL_PAGE_BYTES;

    /// The quick ways here and the side tables' own give the same entries.
    #[test]
    fn entries_are_those_of_the_declaration() {
        let mut memory = HeapMemory::in_vec(NULL_PAGE_BYTES + (1 << 20)).with_side_tables(&TABLES).unwrap();
        memory.commit_to(u64::from(NULL_PAGE_BYTES) + (1 << 20)).unwrap();
        let at = block_start(3) + 5 * LINE + 24;
        let (_, tables) = memory.words_with_sides(NULL_PAGE_BYTES, NULL_PAGE_BYTES + 8).unwrap();
        let mut marks = MarksMut::new(tables);
        marks.add(at);
        marks.add_lines(3, 1 << 5 | 1 << 127);
        assert!(marks.has(at) && !marks.has(at - 8) && !marks.has(at + 8) && !marks.has(!7));
        let line = |line: u32| memory.load_side(1, block_start(3) + line * LINE + 8).unwrap();
        assert_eq!([0, 4, 5, 6, 126, 127].map(line), [0, 0, 1, 0, 0, 1]);
        assert_eq!([at - 8, at, at + 8].map(|at| memory.load_side(0, at).unwrap()), [0, 1, 0]);
        assert_eq!([2, 3, 4].map(|block| Marks::of(&memory).lines(block)), [0, 1 << 5 | 1 << 127, 0]);
        let (_, tables) = memory.words_with_sides(NULL_PAGE_BYTES, NULL_PAGE_BYTES + 8).unwrap();
        MarksMut::new(tables).clear();
        assert!(!Marks::of(&memory).has(at) && Marks::of(&memory).lines(3) == 0);
    }
}
