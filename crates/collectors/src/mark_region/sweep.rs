//! After marking: what is free now.
//!
//! The sweep looks at the tables alone, one word for the lines of a block, and never at the heap.

use super::blocks::{Blocks, Kind};
use super::defrag::Waste;
use super::geometry::{BASE, BLOCK, LINE, LINES, Span, block_of, block_start, count_holes, outside};
use super::marks::Marks;
use heapwright_gc_heap::{Heap, HeapCorrupted};

impl Blocks {
    /// Frees what is not marked and lists what can be allocated in.
    pub(super) fn sweep(&mut self, marks: Marks<'_>) -> Waste {
        let mut waste = Waste::default();
        (self.free, self.free_lines, self.probe, self.lowest_free) = (0, 0, 0, 0);
        self.recyclable.clear();
        for block in (0..self.kinds.len()).rev() {
            let dead = match self.kinds[block] {
                Kind::Free => true,
                Kind::Small | Kind::Leaving => {
                    let cut = outside(block, self.top);
                    self.used[block] = marks.lines(block) | cut;
                    self.used[block] == 0
                }
                // Freed with its start, which comes later.
                Kind::Rest => false,
                Kind::Large if marks.has(block_start(block)) => false,
                Kind::Large => {
                    let size = self.large.remove(&block).unwrap_or_default();
                    for rest in block + 1..block + size.div_ceil(BLOCK) as usize {
                        self.release(rest);
                    }
                    true
                }
            };
            if dead {
                self.release(block);
            } else if matches!(self.kinds[block], Kind::Small | Kind::Leaving) {
                self.kinds[block] = Kind::Small;
                let used = self.used[block];
                let lines = u64::from(used.count_zeros());
                waste.in_lines += u64::from(marks.lines(block).count_ones() * LINE - self.live[block]);
                if lines != 0 {
                    waste.holes += u64::from(count_holes(used));
                    waste.hole_lines += lines;
                    self.free_lines += lines;
                    self.recyclable.push(block);
                }
            }
        }
        waste
    }

    fn release(&mut self, block: usize) {
        self.kinds[block] = Kind::Free;
        self.used[block] = 0;
        self.free += 1;
        self.free_lines += u64::from(LINES);
        self.lowest_free = block;
    }

    /// Before the sweep: overwrites all that was in use and holds no live object. `extents` are the live ones.
    pub(super) fn poison_dead(&self, heap: &mut Heap, mut extents: Vec<Span>) {
        extents.sort_unstable_by_key(|extent| extent.start);
        extents.push(Span { start: self.top, end: self.top });
        let mut at = BASE;
        for live in extents {
            while at < live.start {
                let block = block_of(at);
                let end = live.start.min(block_start(block) + BLOCK);
                if self.kinds[block] != Kind::Free {
                    heap.poison(at, end);
                }
                at = end;
            }
            at = at.max(live.end);
        }
    }

    /// Gives free memory back to the system.
    pub(super) fn give_back_free(&self, heap: &mut Heap) {
        let mut block = 0;
        for run in self.kinds.chunk_by(|a, b| (*a == Kind::Free) == (*b == Kind::Free)) {
            let next = block + run.len();
            if run[0] == Kind::Free {
                heap.give_back(block_start(block), block_start(next));
            }
            block = next;
        }
    }

    /// Checks that the tables agree with each other.
    pub(super) fn verify(&self, marks: Marks<'_>) -> Result<(), HeapCorrupted> {
        let broken = |what, block| Err(HeapCorrupted { what, at: block_start(block) });
        let (mut free, mut free_lines) = (0, 0);
        for (block, &kind) in self.kinds.iter().enumerate() {
            let (used, marked) = (self.used[block], marks.lines(block));
            free += usize::from(kind == Kind::Free);
            free_lines += u64::from(used.count_zeros());
            let lines_fit = match kind {
                Kind::Free => used == 0 && marked == 0,
                Kind::Small => used & marked == marked && used & outside(block, self.top) == outside(block, self.top),
                Kind::Leaving => false,
                Kind::Large | Kind::Rest => used == u128::MAX && marked == 0,
            };
            if !lines_fit {
                return broken("mark-region: lines do not fit their block", block);
            }
            if kind == Kind::Rest && !matches!(self.kinds[..block].last(), Some(Kind::Large | Kind::Rest)) {
                return broken("mark-region: part of no large object", block);
            }
            if (kind == Kind::Large) != self.large.contains_key(&block) {
                return broken("mark-region: a large object is not in the table", block);
            }
        }
        if (free, free_lines) != (self.free, self.free_lines) {
            return broken("mark-region: miscounted free memory", 0);
        }
        Ok(())
    }
}
