//! Free lists: allocation from cells of fixed sizes.
//!
//! A collector that declares [`AllocSpec::FreeList`] threads free cells of each class into a list: word 1 of a cell
//! names the next one, 0 ends the list, and [`MutatorState::free`](crate::MutatorState::free) has the first. Word 0 and
//! the rest of a cell have undefined contents. An allocation takes the first cell:
//!
//! ```text
//!  free[class] ──> | ?  next | … |    | ?  next | … |    | ?  0 | … |
//!                       └─────────────^    └─────────────^
//! ```
//!
//! **Links are not to be trusted**: they lie in the heap. A link is checked when it has become the first cell and is
//! taken, in one unsigned compare: rotated right by 3 bits, an offset is the number of its granule, and a misaligned
//! one exceeds every number. Less the null page, it must be below [`MutatorState::limit`](crate::MutatorState::limit),
//! which leaves room for the largest object behind the cell. So a cell that is taken inline lies wholly in committed
//! memory, whatever the list holds. What fails the test goes to the heap, which tells the end of a list, the last cells
//! before the heap's end, and corruption apart. A link to a cell that is in use makes two objects overlap; that harms
//! the guest that forged it, and no more than any other reference that it may forge.

use crate::{AllocSpec, Heap, HeapCorrupted, NULL_PAGE_BYTES};

/// Bytes from a cell's start to its link.
pub const LINK_OFFSET: u32 = 4;

impl Heap {
    /// Makes `first` the first free cell of a class, in front of none: the list that was there is forgotten. `cells` is
    /// how many there are, which count as allocated from now on.
    ///
    /// # Panics
    ///
    /// When no such class is declared.
    pub fn set_free_list(&mut self, class: usize, first: u32, cells: u32) {
        let AllocSpec::FreeList { classes } = self.spec.alloc else { panic!("{} has no free lists", self.spec.name) };
        self.stats.bytes_allocated += u64::from(classes[class]) * u64::from(cells);
        self.mutator_mut().free[class] = first;
    }

    /// Writes a cell's link.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] when the cell is not in the heap.
    pub fn link_cell(&mut self, cell: u32, next: u32) -> Result<(), HeapCorrupted> {
        self.memory.store_u32(cell.wrapping_add(LINK_OFFSET), next)
    }

    /// Takes a free cell for an object of `size` bytes.
    pub(crate) fn take_cell(&mut self, size: u32) -> Result<Option<u32>, HeapCorrupted> {
        let AllocSpec::FreeList { classes } = self.spec.alloc else { return Ok(None) };
        let Some(class) = self.spec.alloc.class(size.into()) else { return Ok(None) };
        let cell = self.mutator().free[class];
        if cell == 0 {
            return Ok(None);
        }
        if !cell.is_multiple_of(8) || self.memory.slice(cell, classes[class].into()).is_err() {
            return Err(self.set_corrupted(HeapCorrupted { what: "a free list leads to what is no cell", at: cell }));
        }
        let next = self.memory.load_u32(cell + LINK_OFFSET)?;
        self.mutator_mut().free[class] = next;
        Ok(Some(cell))
    }

    /// [`MutatorState::limit`](crate::MutatorState::limit) while allocation is inline.
    pub(crate) fn inline_limit(&self) -> u32 {
        match self.spec.alloc {
            AllocSpec::FreeList { .. } => (self.capacity.saturating_sub(u64::from(self.spec.inline_limit)) / 8) as u32,
            AllocSpec::Bump | AllocSpec::Call => self.region.map_or(0, |region| region.end),
        }
    }
}

// Offsets and granules of the largest heap fit 32 bits.
const _: () = assert!(crate::MAX_CAPACITY / 8 <= u32::MAX as u64 && NULL_PAGE_BYTES.is_multiple_of(8));
