//! What happens in a heap and around it, as one typed stream.
//!
//! Whoever has something to tell builds its [`Event`] inside a closure that runs only when somebody listens, and a
//! collector's [`PhaseTimer`] reads the clock only then: without a listener the price is one test.
//!
//! **Order.** Between a [`Event::CollectionStart`] and its [`Event::CollectionEnd`] stand the collection's phases and
//! nothing else, in the order in which they ended; phases of one collection do not overlap. A collection that finds the
//! heap corrupted has no end.

use crate::{BarrierCount, Cause, CollectionReport, Heap, NUM_PROGRAMS};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A collection starts.
    CollectionStart {
        /// Why.
        cause: Cause,
        /// The heap's capacity in bytes.
        capacity: u64,
        /// When.
        at: Instant,
    },
    /// A part of a collection is done.
    Phase {
        /// Which.
        phase: Phase,
        /// When it began.
        started: Instant,
        /// How long it took.
        time: Duration,
    },
    /// A collection ended.
    CollectionEnd {
        /// Why it ran.
        cause: Cause,
        /// What it did.
        report: CollectionReport,
        /// When it began.
        started: Instant,
        /// How long the mutator stood still.
        pause: Duration,
    },
    /// The heap's capacity changed.
    Resize {
        /// Capacity before, in bytes.
        from: u64,
        /// Capacity after, in bytes.
        to: u64,
    },
    /// An allocation took the slow path.
    SlowAllocation {
        /// Object size in bytes.
        size: u32,
    },
    /// Code was compiled.
    Compile {
        /// The module's own name, if it has one.
        module: Option<Arc<str>>,
        /// Number of functions.
        functions: usize,
        /// Bytes of the module.
        wasm_bytes: usize,
        /// Bytes of machine code.
        code_bytes: usize,
        /// When it began.
        started: Instant,
        /// How long it took.
        time: Duration,
    },
    /// A module was instantiated, its start function included; or that failed.
    Instantiate {
        /// The module's own name, if it has one.
        module: Option<Arc<str>>,
        /// Whether there is an instance now.
        succeeded: bool,
        /// When it began.
        started: Instant,
        /// How long it took.
        time: Duration,
    },
}

/// A part of a collection. A collector reports those that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Enumerating roots, and what is done for each at once.
    Roots,
    /// Going through the remembered set, or a log of stores.
    Remembered,
    /// Following references: marking, evacuating, counting what survives.
    Trace,
    /// Taking counts back and freeing what has none left.
    Release,
    /// Looking for garbage that counting cannot find.
    Cycles,
    /// Reclaiming what was not reached.
    Sweep,
    /// Moving objects together, and what refers to them.
    Compact,
    /// Releasing host values whose boxes died.
    HostTable,
    /// Laying memory out anew, and giving idle memory back to the system.
    Layout,
}

impl Phase {
    /// Every phase; [`Phase::index`] counts in this order.
    pub const ALL: [Phase; 9] = [
        Phase::Roots,
        Phase::Remembered,
        Phase::Trace,
        Phase::Release,
        Phase::Cycles,
        Phase::Sweep,
        Phase::Compact,
        Phase::HostTable,
        Phase::Layout,
    ];

    /// Position in [`Phase::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Name for logs and statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Roots => "roots",
            Phase::Remembered => "remembered set",
            Phase::Trace => "trace",
            Phase::Release => "release",
            Phase::Cycles => "cycles",
            Phase::Sweep => "sweep",
            Phase::Compact => "compact",
            Phase::HostTable => "host table",
            Phase::Layout => "layout",
        }
    }
}

/// The clock of a collection's phases: [`Heap::phases`] starts one, [`Heap::phases_end`] hands its times to the
/// listener. In between the collector may hold the heap's memory. It stands still unless somebody listens.
#[derive(Debug)]
#[must_use = "its times are reported by `Heap::phases_end`"]
pub struct PhaseTimer(Option<Laps>);

#[derive(Debug, Default)]
struct Laps {
    open: Option<(Phase, Instant)>,
    done: Vec<(Phase, Instant, Duration)>,
}

impl PhaseTimer {
    /// Ends the phase at hand, if any, and begins another. One that is entered again, without another in between, goes
    /// on.
    #[inline]
    pub fn enter(&mut self, phase: Phase) {
        if let Some(laps) = &mut self.0 {
            laps.enter(Some(phase));
        }
    }

    /// Ends the phase at hand: what follows belongs to none.
    #[inline]
    pub fn leave(&mut self) {
        if let Some(laps) = &mut self.0 {
            laps.enter(None);
        }
    }

    /// Whether somebody listens.
    pub fn is_running(&self) -> bool {
        self.0.is_some()
    }
}

impl Laps {
    #[cold]
    fn enter(&mut self, next: Option<Phase>) {
        if self.open.map(|(phase, _)| phase) == next {
            return;
        }
        let now = Instant::now();
        if let Some((phase, started)) = self.open.take() {
            self.done.push((phase, started, now - started));
        }
        self.open = next.map(|phase| (phase, now));
    }
}

impl Heap {
    /// Starts the clock of a collection's phases.
    #[inline]
    pub fn phases(&self) -> PhaseTimer {
        PhaseTimer(self.has_event_sink().then(Laps::default))
    }

    /// Ends the phase at hand and tells the listener of all phases that `timer` has seen.
    pub fn phases_end(&mut self, timer: PhaseTimer) {
        let Some(mut laps) = timer.0 else { return };
        laps.enter(None);
        for (phase, started, time) in laps.done {
            self.emit(|| Event::Phase { phase, started, time });
        }
    }
}

/// A listener. No event is even built when a heap has none.
pub trait EventSink: Send {
    /// Receives an event, in order, on the thread where it happened. The mutator waits meanwhile.
    fn event(&mut self, event: &Event);
}

/// Totals of a heap's life.
#[derive(Clone, Copy, Debug, Default)]
pub struct GcStats {
    /// Collections run.
    pub collections: u64,
    /// Bytes allocated, inline allocations included (exact at collections and when read through the heap).
    pub bytes_allocated: u64,
    /// Total time in collections.
    pub pause_total: Duration,
    /// Longest collection.
    pub pause_max: Duration,
    /// Largest committed heap size, in bytes.
    pub peak_committed: u64,
    /// Bytes of idle memory given back to the system. They stay committed: the system has them again when they are
    /// touched.
    pub bytes_given_back: u64,
    /// Allocations that came to the heap: the host's, and those that compiled code could not serve itself.
    pub requests: u64,
    /// What the barrier programs did, in the order of [`Barriers::PLACES`](crate::Barriers::PLACES): on behalf of the
    /// host, and of compiled code that counts.
    pub barriers: [BarrierCount; NUM_PROGRAMS],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_numbered_in_order() {
        for (i, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase.index(), i);
            assert!(Phase::ALL[..i].iter().all(|other| other.name() != phase.name()));
        }
    }

    #[test]
    fn laps_follow_one_another() {
        let mut timer = PhaseTimer(Some(Laps::default()));
        for phase in [Phase::Roots, Phase::Trace, Phase::Trace, Phase::Roots] {
            timer.enter(phase);
        }
        timer.leave();
        timer.leave();
        let laps = timer.0.expect("it was running").done;
        let phases: Vec<_> = laps.iter().map(|lap| lap.0).collect();
        assert_eq!(phases, [Phase::Roots, Phase::Trace, Phase::Roots]);
        assert!(laps.windows(2).all(|pair| pair[0].1 + pair[0].2 == pair[1].1), "{laps:?}");
    }

    #[test]
    fn a_clock_that_nobody_reads_stands_still() {
        let mut timer = PhaseTimer(None);
        timer.enter(Phase::Roots);
        timer.leave();
        assert!(!timer.is_running() && timer.0.is_none());
    }
}
