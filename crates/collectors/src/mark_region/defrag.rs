//! Which blocks to evacuate, and when.
//!
//! Memory is wasted in two ways: dead bytes in lines that something else keeps, and holes so short that the slow calls
//! for them cost more than they give. The sweep measures both ([`Waste`]). When they matter, the next collection
//! moves the objects out of the emptiest blocks into what is free elsewhere: the most is freed for each byte copied.
//! How much will have to be copied is an estimate (what the last collection found in the block), so the room may run
//! out; the objects that are left then stay where they are.

use super::blocks::{Blocks, Kind};
use super::geometry::{BLOCK, LINE, LINES, outside};

/// Wasted bytes matter when they are more than this share of the memory ...
const SHARE_OF_MEMORY: u64 = 8;
/// ... and more than this share of the live bytes.
const SHARE_OF_LIVE: u64 = 2;
/// Holes are short when they have fewer lines than this on average.
const SHORT_HOLE: u64 = 4;
/// Blocks in which more than this lives are left alone, unless memory has run out.
const WELL_FILLED: u32 = BLOCK / 4 * 3;

/// Memory that is free but of little use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waste {
    /// Dead bytes in marked lines.
    pub(super) in_lines: u64,
    /// Runs of free lines in blocks that are not free.
    pub(super) holes: u64,
    /// Their lines.
    pub(super) hole_lines: u64,
}

impl Waste {
    /// Whether evacuation is worth its cost.
    pub(super) fn matters(&self, live: u64, memory: u64) -> bool {
        let short = if self.hole_lines < SHORT_HOLE * self.holes { self.hole_lines * u64::from(LINE) } else { 0 };
        let wasted = self.in_lines + short;
        wasted > memory / SHARE_OF_MEMORY && wasted > live / SHARE_OF_LIVE
    }
}

impl Blocks {
    fn free_bytes_in(&self, block: usize) -> u64 {
        u64::from(self.used[block].count_zeros()) * u64::from(LINE)
    }

    /// Chooses the emptiest blocks, as many as the rest of the memory can take in. With `all`, well-filled blocks too.
    /// Returns whether there are any.
    pub(super) fn choose_emptiest(&mut self, all: bool) -> bool {
        let fill = if all { BLOCK - LINE } else { WELL_FILLED };
        // Where nothing lived last time, all is new, and nothing is known of it.
        let fits = |block: &usize| self.kinds[*block] == Kind::Small && (1..=fill).contains(&self.live[*block]);
        let mut candidates: Vec<usize> = (0..self.kinds.len()).filter(fits).collect();
        candidates.sort_unstable_by_key(|&block| (self.live[block], block));
        let (mut room, mut needed) = (self.free_lines * u64::from(LINE), 0);
        let chosen = candidates.iter().take_while(|&&block| {
            needed += u64::from(self.live[block]);
            room = room.saturating_sub(self.free_bytes_in(block));
            needed <= room
        });
        let chosen = chosen.count();
        for &block in &candidates[..chosen] {
            self.kinds[block] = Kind::Leaving;
        }
        self.recyclable.retain(|&block| self.kinds[block] == Kind::Small);
        chosen > 0
    }

    /// Chooses neighbouring blocks that a large object of `size` bytes would fill, those with the least in them.
    /// Returns false when the rest of the memory cannot take in what lives there.
    pub(super) fn choose_window(&mut self, size: u32) -> bool {
        let count = size.div_ceil(BLOCK) as usize;
        let blocked =
            |block: usize| matches!(self.kinds[block], Kind::Large | Kind::Rest) || outside(block, self.top) != 0;
        let (mut obstacles, mut live, mut best) = (0, 0, None);
        for block in 0..self.kinds.len() {
            obstacles += usize::from(blocked(block));
            live += u64::from(self.live[block]);
            if let Some(first) = (block + 1).checked_sub(count) {
                if obstacles == 0 && best.is_none_or(|(least, _)| live < least) {
                    best = Some((live, first));
                }
                obstacles -= usize::from(blocked(first));
                live -= u64::from(self.live[first]);
            }
        }
        let Some((live, first)) = best else { return false };
        let window = first..first + count;
        let inside: u64 = window.clone().map(|block| self.free_bytes_in(block)).sum();
        if live > self.free_lines * u64::from(LINE) - inside {
            return false;
        }
        for block in window {
            if self.kinds[block] == Kind::Free {
                // Not a place to copy to.
                self.free -= 1;
                self.free_lines -= u64::from(LINES);
                self.used[block] = u128::MAX;
            }
            self.kinds[block] = Kind::Leaving;
        }
        self.recyclable.retain(|&block| self.kinds[block] == Kind::Small);
        true
    }

    /// Chooses everything: objects move if there is any room for them, be it in another hole of their own block.
    pub(super) fn choose_all(&mut self) {
        for kind in &mut self.kinds {
            if *kind == Kind::Small {
                *kind = Kind::Leaving;
            }
        }
    }
}
