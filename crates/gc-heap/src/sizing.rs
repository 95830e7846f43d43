//! How large a heap is: a policy apart from the collector.
//!
//! Two rules decide after a collection, both for [`SizingPolicy::Growing`], and both only ever enlarge the heap:
//!
//! - *Live rule*: what a collector can use of the capacity becomes at least [`LIVE_FACTOR`] times what lives. Half of
//!   a semi-space heap is unusable at any time, so the rule asks the collector's [`Space`] figures what share is.
//! - *Time rule*: while collections take more than [`MAX_SHARE`] of the time, the capacity doubles, up to [`TIME_FACTOR`] times
//!   what lives and [`TIME_ROOM`] more of usable space. Without it a program with little live data and much garbage, or with a deep stack
//!   to scan, would collect in a tiny heap all its life. When doubling twice does not lower the share (a collector whose work follows allocation, such as reference
//!   counting), it stops until the live data has doubled: a larger heap than the cache has its price too. Collections
//!   that a larger heap would have had as well ([`CollectionReport::would_recur`]) do not count.
//!
//! [`SizingPolicy::Adaptive`] has a rule of its own, in [`crate::balance`]. A collection of a part of the heap
//! ([`CollectionReport::partial`]) says nothing of what lives, so rules that ask for that wait for one that does; to them the
//! time in between, partial collections included, is the program's.
//!
//! When an object does not fit after a collection, every policy grows the heap just enough.

use crate::balance::Balance;
use crate::{Cause, CollectionReport, SizingPolicy, Space};
use std::time::{Duration, Instant};

/// Usable space wanted, as a multiple of live bytes.
const LIVE_FACTOR: f64 = 2.0;
/// Usable space that the time rule may ask for: a multiple of live bytes, and room that is worth having whatever lives.
const TIME_FACTOR: f64 = 3.0;
const TIME_ROOM: f64 = (16 << 20) as f64;
/// Share of time in collections above which the heap grows.
const MAX_SHARE: f64 = 0.08;
/// What a doubling must make of the share to count as a success.
const IMPROVEMENT: f64 = 0.8;
/// Doublings in a row without success after which there are no more. One is not enough: objects that live just a little longer
/// than the room lasts survive in twice the room, too.
const FUTILE: u32 = 2;
/// Capacities are multiples of this.
pub(crate) const GRAIN: u64 = 64 << 10;

/// Pause and mutator time of late, in seconds; old samples count half as much as new ones.
#[derive(Default)]
struct Times {
    pause: f64,
    mutator: f64,
    samples: u32,
}

impl Times {
    fn add(&mut self, pause: Duration, mutator: Duration) {
        self.pause = self.pause / 2.0 + pause.as_secs_f64();
        self.mutator = self.mutator / 2.0 + mutator.as_secs_f64();
        self.samples += 1;
    }

    fn share(&self) -> f64 {
        self.pause / (self.pause + self.mutator).max(1e-9)
    }
}

/// The state of a heap's sizing.
pub(crate) struct Sizing {
    policy: SizingPolicy,
    max: u64,
    times: Times,
    mutator_since: Instant,
    /// Time since the last sample that belongs to collections which would have come in any heap, and to the mutator
    /// between them.
    unavoidable: Duration,
    /// The share and the live bytes when the time rule last doubled the heap with success, or first, and the number of
    /// doublings since.
    doubled: Option<(f64, u64, u32)>,
    /// The adaptive rule's rates, and what lived after the collection before.
    balance: Balance,
    live: u64,
}

impl Sizing {
    /// `max` is the largest capacity.
    pub(crate) fn new(policy: SizingPolicy, max: u64) -> Sizing {
        Sizing {
            policy,
            max,
            times: Times::default(),
            mutator_since: Instant::now(),
            unavoidable: Duration::ZERO,
            doubled: None,
            balance: Balance::default(),
            live: 0,
        }
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The capacity to have after a collection; at least `capacity`.
    pub(crate) fn after_collection(
        &mut self,
        capacity: u64,
        cause: Cause,
        report: &CollectionReport,
        space: Space,
        started: Instant,
        pause: Duration,
    ) -> u64 {
        let mutator = started.saturating_duration_since(self.mutator_since);
        self.mutator_since = started + pause;
        if self.policy == SizingPolicy::Fixed {
            return capacity;
        }
        let usable = ((space.used + space.free) as f64 / capacity.max(1) as f64).clamp(0.25, 1.0);
        let own_choice = !matches!(cause, Cause::Zeal | Cause::Explicit);
        if self.policy == SizingPolicy::Adaptive {
            if report.partial {
                self.unavoidable += mutator + pause;
                return capacity;
            }
            let mutator = mutator + core::mem::take(&mut self.unavoidable);
            if own_choice {
                let allocated = report.bytes_before.saturating_sub(self.live);
                self.balance.note(allocated, mutator, report.bytes_after, pause);
            }
            self.live = report.bytes_after;
            let target = (self.balance.wanted(report.bytes_after) / usable) as u64;
            return target.max(capacity).next_multiple_of(GRAIN).min(self.max).max(capacity);
        }
        let live = if report.partial { 0 } else { report.bytes_after };
        let mut target = (live as f64 * LIVE_FACTOR / usable) as u64;
        // Zeal and the host choose their own moments: those say nothing of the program.
        if own_choice {
            if report.would_recur {
                // Time that no growth can save counts as the program's own.
                self.unavoidable += mutator + pause;
            } else {
                self.times.add(pause, mutator + core::mem::take(&mut self.unavoidable));
                let most = ((report.bytes_after as f64 * TIME_FACTOR + TIME_ROOM) / usable) as u64;
                if capacity < most && self.wants_double(report.bytes_after) {
                    target = target.max(capacity.saturating_mul(2).min(most));
                }
            }
        }
        target.max(capacity).next_multiple_of(GRAIN).min(self.max).max(capacity)
    }

    fn wants_double(&mut self, live: u64) -> bool {
        let share = self.times.share();
        if share <= MAX_SHARE {
            self.doubled = None;
            return false;
        }
        // One slow collection is no trend.
        if self.times.samples < 2 {
            return false;
        }
        self.doubled = match self.doubled {
            Some((before, live_before, times)) if share > before * IMPROVEMENT && live < 2 * live_before.max(GRAIN) => {
                if times == FUTILE {
                    return false;
                }
                Some((before, live_before, times + 1))
            }
            _ => Some((share, live, 1)),
        };
        self.times = Times::default();
        true
    }

    /// The capacity to try when an object of `size` found no room; `None` at the maximum.
    pub(crate) fn to_fit(&self, capacity: u64, size: u64) -> Option<u64> {
        // Twice the size: a semi-space needs it, and others round large objects up.
        let enough = capacity + 2 * size + GRAIN;
        let step = match self.policy {
            SizingPolicy::Fixed => 0,
            SizingPolicy::Growing | SizingPolicy::Adaptive => capacity / 2,
        };
        let next = enough.max(capacity + step).next_multiple_of(GRAIN).min(self.max);
        (next > capacity).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn sizing(policy: SizingPolicy) -> Sizing {
        Sizing::new(policy, 64 * MB)
    }

    /// Lets the mutator run and a collection take place, on a clock of our own.
    fn step(s: &mut Sizing, capacity: u64, live: u64, usable: u64, mutator_ms: u64, pause_ms: u64) -> u64 {
        let report = CollectionReport { bytes_after: live, ..Default::default() };
        let space = Space { used: live, free: usable - live, committed: capacity };
        let started = s.mutator_since + Duration::from_millis(mutator_ms);
        let pause = Duration::from_millis(pause_ms);
        s.after_collection(capacity, Cause::AllocationFailure, &report, space, started, pause)
    }

    #[test]
    fn live_data_gets_twice_its_room() {
        let mut s = sizing(SizingPolicy::Growing);
        assert_eq!(step(&mut s, MB, MB, MB, 1000, 1), 2 * MB);
        // A semi-space uses half of its capacity.
        assert_eq!(step(&mut s, 4 * MB, 3 * MB / 2, 2 * MB, 1000, 1), 6 * MB);
        // It never shrinks, and never exceeds the maximum.
        assert_eq!(step(&mut s, 6 * MB, MB, 6 * MB, 1000, 1), 6 * MB);
        assert_eq!(step(&mut s, 40 * MB, 36 * MB, 40 * MB, 1000, 1), 64 * MB);
        assert_eq!(step(&mut s, 0, 0, 0, 0, 0), 0);
    }

    #[test]
    fn a_program_that_only_collects_gets_room() {
        let mut s = sizing(SizingPolicy::Growing);
        let mut capacity = MB;
        let mut collections = 0;
        // A fixed pause, and a mutator that fills 1 MiB in a millisecond.
        while collections < 20 {
            capacity = step(&mut s, capacity, 1000, capacity, capacity / MB, 1);
            collections += 1;
        }
        // 1 ms pause to 16 ms of work is below the threshold; 8 ms is not.
        assert_eq!(capacity, 16 * MB);
    }

    #[test]
    fn time_asks_for_no_more_than_a_bound() {
        let mut s = sizing(SizingPolicy::Growing);
        let mut capacity = MB;
        // Collections take a smaller share as the heap grows, but it stays large. Of a semi-space half is usable.
        for _ in 0..40 {
            capacity = step(&mut s, capacity, MB / 4, capacity / 2, capacity / MB, 10);
        }
        assert_eq!(capacity, (3 * MB / 4 + 16 * MB) * 2);
    }

    #[test]
    fn growth_that_does_not_help_ends() {
        let mut s = sizing(SizingPolicy::Growing);
        let mut capacity = MB;
        // The pause follows the allocation: the share stays.
        for _ in 0..20 {
            capacity = step(&mut s, capacity, 1000, capacity, capacity / MB, capacity / MB);
        }
        assert_eq!(capacity, 4 * MB);
        // More live data: another attempt.
        for _ in 0..20 {
            capacity = step(&mut s, capacity, MB / 2, capacity, capacity / MB, capacity / MB);
        }
        assert_eq!(capacity, 16 * MB);
    }

    #[test]
    fn the_hosts_collections_say_nothing_of_the_program() {
        let mut s = sizing(SizingPolicy::Growing);
        for cause in [Cause::Explicit, Cause::Zeal] {
            for _ in 0..5 {
                let started = s.mutator_since;
                let (report, space) = (CollectionReport::default(), Space { free: MB, ..Space::default() });
                let second = Duration::from_secs(1);
                assert_eq!(s.after_collection(MB, cause, &report, space, started, second), MB);
            }
        }
    }

    #[test]
    fn collections_that_would_recur_are_no_reason_to_grow() {
        let mut s = sizing(SizingPolicy::Growing);
        let space = Space { free: MB, ..Space::default() };
        let half = Duration::from_millis(500);
        let collect = |s: &mut Sizing, would_recur| {
            let report = CollectionReport { would_recur, ..CollectionReport::default() };
            let started = s.mutator_since + half;
            s.after_collection(MB, Cause::AllocationFailure, &report, space, started, half)
        };
        // Half of the time goes to collections, next to nothing of it to those that a larger heap could avoid.
        for _ in 0..3 {
            (0..20).for_each(|_| assert_eq!(collect(&mut s, true), MB));
            assert_eq!(collect(&mut s, false), MB);
        }
        assert!((0..6).any(|_| collect(&mut s, false) == 2 * MB));
    }

    /// Partial collections between full ones, on a clock of our own: the capacity after each.
    fn generations(policy: SizingPolicy, promoted: u64, minor_ms: u64, full_ms: u64) -> Vec<u64> {
        let mut s = sizing(policy);
        let (mut capacity, mut capacities, mut used) = (8 * MB, Vec::new(), MB);
        for _ in 0..400 {
            let partial = used + promoted <= capacity;
            let bytes_before = used + MB / 4;
            used = if partial { used + promoted } else { MB };
            let report = CollectionReport {
                bytes_before,
                bytes_after: MB,
                partial,
                would_recur: partial,
                full: !partial,
                ..CollectionReport::default()
            };
            let space = Space { used, free: capacity - used, committed: capacity };
            let started = s.mutator_since + Duration::from_millis(10);
            let pause = Duration::from_millis(if partial { minor_ms } else { full_ms });
            capacity = s.after_collection(capacity, Cause::AllocationFailure, &report, space, started, pause);
            capacities.push(capacity);
        }
        capacities
    }

    #[test]
    fn partial_collections_are_the_programs_time() {
        // Nothing is promoted, so there is no full collection, and nothing to grow for whatever the partial ones take.
        for policy in [SizingPolicy::Adaptive, SizingPolicy::Growing] {
            assert!(generations(policy, 0, 10, 0).iter().all(|capacity| *capacity == 8 * MB));
        }
        // The square-root rule sees what full collections find (1 MiB, in 10 ms) and what they had to wait for: 1/4 MiB
        // each 11 ms. sqrt(1 MiB * 22.7 MiB/s / (TRADE * 100 MiB/s)) is 3.8 MiB of room: less than there is.
        let adaptive = generations(SizingPolicy::Adaptive, MB / 4, 1, 10);
        assert!(adaptive.iter().all(|capacity| *capacity == 8 * MB), "{adaptive:?}");
        // Promotion 16 times as fast, collection a tenth as fast: room 12.6 times as large.
        let adaptive = generations(SizingPolicy::Adaptive, 4 * MB, 1, 100);
        let last = adaptive[399] as f64 / MB as f64;
        assert!((32.0..64.0).contains(&last), "{last}");
        // Full collections that take half of the time: the time rule grows the heap until they take less, or it is large for what lives.
        let growing = generations(SizingPolicy::Growing, 4 * MB, 1, 100);
        assert_eq!(growing[399], 3 * MB + 16 * MB);
    }

    #[test]
    fn a_fixed_heap_grows_only_to_fit() {
        let mut s = sizing(SizingPolicy::Fixed);
        assert_eq!(step(&mut s, MB, MB, MB, 0, 1000), MB);
        assert_eq!(s.to_fit(MB, 8), Some(MB + 2 * GRAIN));
        assert_eq!(s.to_fit(MB, 10 * MB), Some(21 * MB + GRAIN));
        assert_eq!(s.to_fit(MB, 40 * MB), Some(64 * MB));
        assert_eq!(s.to_fit(64 * MB, 8), None);
        assert_eq!(sizing(SizingPolicy::Growing).to_fit(8 * MB, 8), Some(12 * MB));
    }
}
