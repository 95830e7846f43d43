//! Figures of a heap's whole life.

use crate::{Event, EventSink, GcStats};
use hdrhistogram::Histogram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longer pauses, in nanoseconds, count as this long: an hour.
const LONGEST_PAUSE: u64 = 3_600_000_000_000;

/// Records pauses and sizes. Clones share what they record, so that one can be given to a store and another be read.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    start: Instant,
    /// Pauses in nanoseconds.
    pauses: Histogram<u64>,
    full: u64,
    copied: u64,
    slow_allocations: u64,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GcFigures {
    /// Collections run.
    pub collections: u64,
    /// Of those, collections that traced the whole heap.
    pub full_collections: u64,
    /// Bytes that collections copied.
    pub bytes_copied: u64,
    /// Allocations that took the slow path.
    pub slow_allocations: u64,
    /// Bytes allocated.
    pub bytes_allocated: u64,
    /// Largest committed heap, in bytes.
    pub peak_committed: u64,
    /// Time since the recorder was made.
    pub elapsed: Duration,
    /// Time in collections.
    pub pause_total: Duration,
    /// Median pause.
    pub pause_p50: Duration,
    /// 95th percentile of pauses.
    pub pause_p95: Duration,
    /// 99th percentile of pauses.
    pub pause_p99: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl Recorder {
    /// A recorder whose clock starts now.
    pub fn new() -> Recorder {
        let pauses = Histogram::new_with_bounds(1, LONGEST_PAUSE, 3).expect("the bounds are in order");
        let state = State { start: Instant::now(), pauses, full: 0, copied: 0, slow_allocations: 0 };
        Recorder(Arc::new(Mutex::new(state)))
    }

    /// What was recorded so far, together with the heap's own totals.
    pub fn figures(&self, totals: &GcStats) -> GcFigures {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let quantile = |q| Duration::from_nanos(state.pauses.value_at_quantile(q));
        GcFigures {
            collections: totals.collections,
            full_collections: state.full,
            bytes_copied: state.copied,
            slow_allocations: state.slow_allocations,
            bytes_allocated: totals.bytes_allocated,
            peak_committed: totals.peak_committed,
            elapsed: state.start.elapsed(),
            pause_total: totals.pause_total,
            pause_p50: quantile(0.5),
            pause_p95: quantile(0.95),
            pause_p99: quantile(0.99),
            pause_max: totals.pause_max,
        }
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Recorder::new()
    }
}

impl EventSink for Recorder {
    fn event(&mut self, event: &Event) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::CollectionEnd { report, pause, .. } => {
                state.pauses.saturating_record(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
                state.full += u64::from(report.full);
                state.copied += report.bytes_copied;
            }
            Event::SlowAllocation { .. } => state.slow_allocations += 1,
            _ => {}
        }
    }
}

impl GcFigures {
    /// Bytes allocated per second of the mutator's time.
    pub fn allocation_rate(&self) -> f64 {
        let mutator = self.elapsed.saturating_sub(self.pause_total).as_secs_f64();
        if mutator > 0.0 { self.bytes_allocated as f64 / mutator } else { 0.0 }
    }

    /// As one JSON object: times in milliseconds, sizes in bytes.
    pub fn to_json(&self) -> serde_json::Value {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        serde_json::json!({
            "collections": self.collections,
            "full_collections": self.full_collections,
            "bytes_allocated": self.bytes_allocated,
            "bytes_copied": self.bytes_copied,
            "slow_allocations": self.slow_allocations,
            "peak_heap_bytes": self.peak_committed,
            "elapsed_ms": ms(self.elapsed),
            "mutator_ms": ms(self.elapsed.saturating_sub(self.pause_total)),
            "collector_ms": ms(self.pause_total),
            "allocation_rate_bytes_per_s": self.allocation_rate(),
            "pause_ms": {
                "p50": ms(self.pause_p50), "p95": ms(self.pause_p95), "p99": ms(self.pause_p99), "max": ms(self.pause_max),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CollectionReport};

    #[test]
    fn quantiles_of_a_hundred_pauses() {
        let recorder = Recorder::new();
        let mut sink = recorder.clone();
        for ms in 1..=100 {
            let report = CollectionReport { full: ms > 90, bytes_copied: 10, ..Default::default() };
            let pause = Duration::from_millis(ms);
            sink.event(&Event::CollectionEnd { cause: Cause::AllocationFailure, report, pause });
        }
        let figures = recorder.figures(&GcStats { collections: 100, ..Default::default() });
        let near =
            |d: Duration, ms: f64| assert!((d.as_secs_f64() * 1e3 / ms - 1.0).abs() < 0.002, "{d:?}, not {ms} ms");
        near(figures.pause_p50, 50.0);
        near(figures.pause_p95, 95.0);
        near(figures.pause_p99, 99.0);
        assert_eq!((figures.full_collections, figures.bytes_copied), (10, 1000));
        assert_eq!(figures.to_json()["pause_ms"]["p50"].as_f64().map(f64::round), Some(50.0));
    }
}
