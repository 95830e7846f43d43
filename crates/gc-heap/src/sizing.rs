//! How large a heap is: a policy apart from the collector.
//!
//! Three rules decide, all for [`SizingPolicy::Growing`], and all only ever enlarge the heap; after a collection:
//!
//! - *Live rule*: what a collector can use of the capacity becomes at least [`LIVE_FACTOR`] times what lives. Half of
//!   a semi-space heap is unusable at any time, so the rule asks the collector's [`Space`] figures what share is.
//! - *Time rule*: while collections take more than [`MAX_SHARE`] of the time, the capacity doubles, up to [`TIME_FACTOR`] times
//!   what lives and [`TIME_ROOM`] more of usable space. Without it a program with little live data and much garbage, or with a deep stack
//!   to scan, would collect in a tiny heap all its life. When doubling twice does not lower the share (a collector whose work follows allocation, such as reference
//!   counting), it stops until the live data has doubled: a larger heap than the cache has its price too. Collections
//!   that a larger heap would have had as well ([`CollectionReport::would_recur`]) do not count.
//!
//! And before a collection of the whole heap that a collector with generations would have for want of room only:
//!
//! - *Delay rule*: when it would come so soon after the one before that both with the program between them spend more than
//!   [`MAX_SHARE`] of the time collecting, the heap grows instead, up to [`DELAY_FACTOR`] times what lived then and
//!   [`TIME_ROOM`]; up to [`URGENT_FACTOR`] times where it would be more than [`URGENT_SHARE`] of the time, and the one before
//!   found next to nothing but garbage. A heap that fills for the first time, with what will live for long,
//!   is else collected at each doubling, to no end. The pause is foreseen from what the last one took for each byte.
//!
//! What a collector says it needs for itself ([`CollectionReport::wanted`]) it gets at once, unless the heap is fixed.
//!
//! [`SizingPolicy::Adaptive`] has a rule of its own, in [`crate::balance`]. A collection of a part of the heap
//! ([`CollectionReport::partial`]) says nothing of what lives, so rules that ask for that wait for one that does; to them the
//! time in between, partial collections included, is the program's.
//!
//! *Idle memory goes back to the system* after a collection of the whole heap that left far less than there was room for, unless the heap is fixed: what lived
//! has died, and may not come back. Since it may, this is done no more often than costs a hundredth of the time.
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
/// The same multiple for the delay rule: two thirds of the capacity that a semi-space heap may have for the same live bytes.
const DELAY_FACTOR: f64 = 4.0;
/// The share of time above which it may be more, the share of the heap that must have been garbage, and how much: what a
/// semi-space heap may have, where much lives.
const URGENT_SHARE: f64 = 0.16;
const URGENT_GARBAGE: f64 = 0.75;
const URGENT_FACTOR: f64 = 6.0;
/// Share of time in collections above which the heap grows.
const MAX_SHARE: f64 = 0.08;
/// Seconds that a collection of the whole heap takes for each byte in use, until one has been seen.
const SECONDS_PER_BYTE: f64 = 3e-9;
/// What a doubling must make of the share to count as a success.
const IMPROVEMENT: f64 = 0.8;
/// Doublings in a row without success after which there are no more. One is not enough: objects that live just a little longer
/// than the room lasts survive in twice the room, too.
const FUTILE: u32 = 2;
/// Idle memory is kept below this, and below [`IDLE_FACTOR`] times what lives.
const IDLE_BYTES: u64 = 32 << 20;
const IDLE_FACTOR: u64 = 4;
/// Seconds that must pass for each byte given back: a hundred times what it takes the system to provide it again, a quarter of a microsecond a
/// page of 4 KiB.
const SECONDS_PER_BYTE_GIVEN: f64 = 100.0 * 0.25e-6 / 4096.0;
/// A collection with that many bytes in use tells what one takes for each.
const TELLING_BYTES: u64 = 256 << 10;
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
    /// When the last collection of the whole heap ended, or the heap began, and what such a one takes for each byte in use, in seconds.
    whole_since: Instant,
    whole_per_byte: f64,
    /// The share of what was in use that it freed.
    whole_garbage: f64,
    /// When idle memory was last given back, or the heap began.
    given_since: Instant,
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
            whole_since: Instant::now(),
            whole_per_byte: SECONDS_PER_BYTE,
            whole_garbage: 0.0,
            given_since: Instant::now(),
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
        if !report.partial {
            self.whole_since = self.mutator_since;
            // The fixed part of a collection that finds next to nothing says nothing of larger ones.
            if report.bytes_before >= TELLING_BYTES {
                self.whole_garbage = 1.0 - report.bytes_after as f64 / report.bytes_before as f64;
                self.whole_per_byte = pause.as_secs_f64() / report.bytes_before as f64;
            }
        }
        if self.policy == SizingPolicy::Fixed {
            return capacity;
        }
        let capacity_before = capacity;
        let capacity = capacity.max(report.wanted.next_multiple_of(GRAIN).min(self.max));
        let usable = usable_share(capacity_before, space);
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
                let most = most_for_time(report.bytes_after, usable);
                if capacity < most && self.wants_double(report.bytes_after) {
                    target = target.max(capacity.saturating_mul(2).min(most));
                }
            }
        }
        target.max(capacity).next_multiple_of(GRAIN).min(self.max).max(capacity)
    }

    /// The capacity to have instead of collecting the whole heap, `bytes` of which are in use, now; `None` when the time for it
    /// has come, or the heap is large enough for the `live` bytes found last.
    pub(crate) fn instead_of_whole(
        &self,
        capacity: u64,
        live: u64,
        bytes: u64,
        space: Space,
        now: Instant,
    ) -> Option<u64> {
        if self.policy != SizingPolicy::Growing {
            return None;
        }
        let pause = bytes as f64 * self.whole_per_byte;
        let since = now.saturating_duration_since(self.whole_since).as_secs_f64();
        if pause <= MAX_SHARE * (pause + since) {
            return None;
        }
        let urgent = pause > URGENT_SHARE * (pause + since) && self.whole_garbage >= URGENT_GARBAGE;
        let factor = if urgent { URGENT_FACTOR } else { DELAY_FACTOR };
        let most = ((live as f64 * factor + TIME_ROOM) / usable_share(capacity, space)) as u64;
        let next = (2 * capacity).min(most).next_multiple_of(GRAIN).min(self.max);
        (next > capacity).then_some(next)
    }

    /// Whether idle memory is to be given back, after a collection.
    pub(crate) fn gives_back(&mut self, report: &CollectionReport, space: Space, now: Instant) -> bool {
        if self.policy == SizingPolicy::Fixed || report.partial {
            return false;
        }
        let idle = space.committed.saturating_sub(space.used);
        let waited = now.saturating_duration_since(self.given_since).as_secs_f64();
        let given = idle > IDLE_BYTES.max(IDLE_FACTOR * space.used) && waited > idle as f64 * SECONDS_PER_BYTE_GIVEN;
        if given {
            self.given_since = now;
        }
        given
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

/// What part of the capacity a collector can use for objects.
fn usable_share(capacity: u64, space: Space) -> f64 {
    ((space.used + space.free) as f64 / capacity.max(1) as f64).clamp(0.25, 1.0)
}

/// The largest capacity that time alone is a reason for.
fn most_for_time(live: u64, usable: f64) -> u64 {
    ((live as f64 * TIME_FACTOR + TIME_ROOM) / usable) as u64
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

    /// A heap in which nothing has been found to live yet: how long after its beginning a collection of the whole heap may come.
    #[test]
    fn whole_collections_wait_while_growth_is_cheap() {
        let ask = |s: &Sizing, capacity: u64, live: u64, bytes: u64, ms: u64| {
            let space = Space { used: bytes, free: capacity - bytes, committed: capacity };
            s.instead_of_whole(capacity, live, bytes, space, s.whole_since + Duration::from_millis(ms))
        };
        let mut s = sizing(SizingPolicy::Growing);
        // 4 MiB take 12.6 ms at the rate assumed: 8 % of 157 ms.
        assert_eq!(ask(&s, 5 * MB, 0, 4 * MB, 144), Some(10 * MB));
        assert_eq!(ask(&s, 5 * MB, 0, 4 * MB, 145), None);
        // Up to the bound, then to the maximum.
        assert_eq!(ask(&s, 10 * MB, 0, 9 * MB, 0), Some(16 * MB));
        assert_eq!(ask(&s, 16 * MB, 0, 15 * MB, 0), None);
        assert_eq!(ask(&s, 40 * MB, 10 * MB, 39 * MB, 0), Some(56 * MB));
        // 39 MiB take 123 ms, which is 16 % of 767 ms: more than that, and the bound is higher, if three quarters were garbage.
        for (garbage, ms, bound) in [(0.74, 0, 44), (0.75, 650, 44), (0.75, 640, 58)] {
            s.whole_garbage = garbage;
            assert_eq!(ask(&s, 40 * MB, 7 * MB, 39 * MB, ms), Some(bound * MB), "{garbage}, {ms} ms");
        }
        s.whole_garbage = 0.0;
        assert_eq!(ask(&s, 50 * MB, 30 * MB, 49 * MB, 0), Some(64 * MB));
        assert_eq!(ask(&s, 64 * MB, 30 * MB, 63 * MB, 0), None);
        // One that took 10 ms for 1 MiB: 40 ms for 4 MiB, 8 % of 500 ms; counted from its end.
        let report = CollectionReport { bytes_before: MB, ..Default::default() };
        let (started, space) = (s.whole_since + Duration::from_secs(1), Space { free: MB, ..Space::default() });
        s.after_collection(MB, Cause::Explicit, &report, space, started, Duration::from_millis(10));
        assert_eq!(s.whole_since, started + Duration::from_millis(10));
        assert_eq!(ask(&s, 5 * MB, 0, 4 * MB, 459), Some(10 * MB));
        assert_eq!(ask(&s, 5 * MB, 0, 4 * MB, 461), None);
        // A partial one changes nothing.
        let since = s.whole_since;
        let report = CollectionReport { partial: true, ..report };
        s.after_collection(
            MB,
            Cause::AllocationFailure,
            &report,
            space,
            since + 2 * Duration::from_secs(1),
            Duration::ZERO,
        );
        assert_eq!((s.whole_since, ask(&s, 5 * MB, 0, 4 * MB, 461)), (since, None));
        for policy in [SizingPolicy::Fixed, SizingPolicy::Adaptive] {
            assert_eq!(ask(&sizing(policy), 5 * MB, 0, 4 * MB, 0), None);
        }
    }

    #[test]
    fn what_a_collector_wants_it_gets() {
        for (policy, expected) in
            [(SizingPolicy::Fixed, MB), (SizingPolicy::Growing, 4 * MB), (SizingPolicy::Adaptive, 4 * MB)]
        {
            for partial in [false, true] {
                let mut s = sizing(policy);
                let report = CollectionReport { wanted: 4 * MB - 5, partial, ..Default::default() };
                let space = Space { free: MB, ..Space::default() };
                let started = s.mutator_since + Duration::from_secs(1);
                let mut after = |report, capacity| {
                    s.after_collection(capacity, Cause::AllocationFailure, report, space, started, Duration::ZERO)
                };
                assert_eq!(after(&report, MB), expected, "{policy:?}");
                assert_eq!(after(&report, 8 * MB), 8 * MB);
                let report = CollectionReport { wanted: u64::MAX / 2, ..report };
                assert_eq!(after(&report, 8 * MB) > 8 * MB, policy != SizingPolicy::Fixed);
            }
        }
    }

    #[test]
    fn idle_memory_is_given_back_now_and_then() {
        let whole = CollectionReport::default();
        let space = |used, committed| Space { used, free: committed - used, committed };
        let mut s = sizing(SizingPolicy::Growing);
        let after = |s: &Sizing, ms| s.given_since + Duration::from_millis(ms);
        // 60 MiB cost the system 3.84 ms.
        assert!(!s.gives_back(&whole, space(4 * MB, 64 * MB), after(&s, 383)));
        assert!(!s.gives_back(&CollectionReport { partial: true, ..whole }, space(4 * MB, 64 * MB), after(&s, 9000)));
        assert!(!s.gives_back(&whole, space(13 * MB, 64 * MB), after(&s, 9000)));
        assert!(!s.gives_back(&whole, space(0, 32 * MB), after(&s, 9000)));
        assert!(s.gives_back(&whole, space(4 * MB, 64 * MB), after(&s, 385)));
        // The clock starts anew.
        assert!(!s.gives_back(&whole, space(4 * MB, 64 * MB), after(&s, 383)));
        assert!(!sizing(SizingPolicy::Fixed).gives_back(&whole, space(4 * MB, 64 * MB), after(&s, 9000)));
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
