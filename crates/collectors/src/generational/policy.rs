//! When to collect everything, how large eden should be, and what probably lives.
//!
//! Nothing here looks at a clock: a program's collections repeat. Pauses are bounded by what is copied instead.

use super::geometry::{FIRST_EDEN, MAX_EDEN};

/// A full collection waits until this much has been added to what lived after the last one, or as much as lived then, or
/// this part of the heap: whichever is most. The work of a full collection follows what lives, so each byte that is
/// promoted pays for a constant share of it.
const MIN_GROWTH: u64 = 4 << 20;
/// See there. Less than the share that heap sizing leaves free, or a heap would grow instead of being collected.
const CAPACITY_PER_GROWTH: u64 = 8;
/// Bytes copied by a minor collection above which eden does not grow: about a millisecond.
const MAX_COPIED: u64 = 1 << 20;
/// Minor collections in a row that must ask for another eden: laying it out promotes everything.
const PATIENCE: u8 = 4;
/// Denominator of [`Policy::kept`].
const WHOLE: u64 = 256;

/// The policy's state.
#[derive(Debug)]
pub(super) struct Policy {
    /// The eden wanted, in bytes.
    pub(super) eden: u32,
    /// Collections in a row that wanted a larger (or smaller) one.
    wants: [u8; 2],
    /// Bytes that lived outside the nursery after the last full collection.
    lived: u64,
    /// What part of the growth since the full collection before it that was, in 256ths.
    kept: u64,
}

impl Policy {
    pub(super) fn new() -> Policy {
        Policy { eden: FIRST_EDEN, wants: [0; 2], lived: 0, kept: WHOLE }
    }

    /// Whether `settled` bytes outside the nursery call for a full collection of a heap of `capacity`.
    pub(super) fn full_is_due(&self, settled: u64, capacity: u64) -> bool {
        settled > self.lived + self.lived.max(MIN_GROWTH).max(capacity / CAPACITY_PER_GROWTH)
    }

    /// What probably lives of `settled` bytes outside the nursery, if as much of the growth survives as last time. Heap
    /// sizing multiplies this; to multiply garbage that waits for a full collection would put that off for ever.
    pub(super) fn estimate(&self, settled: u64) -> u64 {
        let growth = settled.saturating_sub(self.lived);
        settled - growth + growth * self.kept / WHOLE
    }

    /// After a full collection: `before` bytes in use, of which `live` live.
    pub(super) fn note_full(&mut self, before: u64, live: u64) {
        let growth = before.saturating_sub(self.lived);
        if growth >= MIN_GROWTH / 4 {
            self.kept = live.saturating_sub(self.lived).min(growth) * WHOLE / growth;
        }
        self.lived = live;
    }

    /// After a minor collection that copied `copied` bytes of `used`. Many survivors: objects need more time to die. Next to
    /// none: less would do, and stay in the cache.
    pub(super) fn note_minor(&mut self, used: u64, copied: u64) {
        let larger = copied > used / 8 && copied < used / 2 && copied <= MAX_COPIED && self.eden < MAX_EDEN;
        let smaller = copied < used / 64 && self.eden > FIRST_EDEN;
        for (wants, wanted) in self.wants.iter_mut().zip([larger, smaller]) {
            *wants = if wanted { *wants + 1 } else { 0 };
        }
        if self.wants[0] == PATIENCE {
            (self.eden, self.wants) = (self.eden * 2, [0; 2]);
        } else if self.wants[1] == PATIENCE {
            (self.eden, self.wants) = (self.eden / 2, [0; 2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eden_follows_survival_within_its_bounds() {
        let mut policy = Policy::new();
        for _ in 0..100 {
            policy.note_minor(1 << 20, 1 << 18);
        }
        assert_eq!(policy.eden, MAX_EDEN);
        for _ in 0..100 {
            // Between the bounds, and above both: no reason to change.
            policy.note_minor(1 << 20, 1 << 16);
            policy.note_minor(1 << 20, 1 << 20);
        }
        assert_eq!(policy.eden, MAX_EDEN);
        for _ in 0..100 {
            policy.note_minor(1 << 20, 0);
        }
        assert_eq!(policy.eden, FIRST_EDEN);
    }

    #[test]
    fn live_bytes_are_estimated_from_the_last_full_collection() {
        const MB: u64 = 1 << 20;
        let mut policy = Policy::new();
        assert_eq!(policy.estimate(5 * MB), 5 * MB);
        assert!(
            policy.full_is_due(5 * MB, 0) && !policy.full_is_due(4 * MB, 0) && !policy.full_is_due(5 * MB, 64 * MB)
        );
        policy.note_full(8 * MB, 2 * MB);
        assert_eq!(policy.estimate(6 * MB), 3 * MB);
        assert!(!policy.full_is_due(6 * MB, 0));
        policy.note_full(6 * MB, 6 * MB);
        assert_eq!(policy.estimate(12 * MB), 12 * MB);
        assert!(!policy.full_is_due(12 * MB, 0) && policy.full_is_due(12 * MB + 1, 0));
        // Less than last time: never more than there is.
        assert_eq!(policy.estimate(MB), MB);
    }
}
