//! What happens in a heap, as one typed stream.

use crate::{BarrierCount, Cause, CollectionReport, NUM_PROGRAMS};
use std::time::Duration;

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A collection starts.
    CollectionStart {
        /// Why.
        cause: Cause,
    },
    /// A collection ended.
    CollectionEnd {
        /// Why it ran.
        cause: Cause,
        /// What it did.
        report: CollectionReport,
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
}

/// A listener. No event is even built when a heap has none.
pub trait EventSink: Send {
    /// Receives an event, on the mutator's thread, in order.
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
    /// What the barrier programs did, in the order of [`Barriers::PLACES`](crate::Barriers::PLACES): on behalf of the host, and of
    /// compiled code that counts.
    pub barriers: [BarrierCount; NUM_PROGRAMS],
}
