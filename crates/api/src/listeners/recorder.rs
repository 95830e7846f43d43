//! Figures of a heap's whole life.

use crate::{Event, EventSink, GcStats, Phase};
use hdrhistogram::Histogram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Longer pauses, in nanoseconds, count as this long: an hour.
const LONGEST_PAUSE: u64 = 3_600_000_000_000;
/// Width of the first class of the pauses' histogram, in nanoseconds; each following class ends at twice the time.
const FIRST_CLASS: u64 = 1000;

/// Records pauses, phases, sizes and compilations. Clones share what they record, so that one can be given to an engine
/// or a store and another be read.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    start: Instant,
    /// Pauses in nanoseconds.
    pauses: Histogram<u64>,
    /// What is counted; the rest is made up when figures are asked for.
    figures: GcFigures,
}

/// What was recorded of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PhaseFigures {
    /// How often it ran.
    pub count: u64,
    /// Time in all.
    pub total: Duration,
    /// Longest time.
    pub max: Duration,
}

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GcFigures {
    /// Collections run.
    pub collections: u64,
    /// Of those, collections that traced the whole heap.
    pub full_collections: u64,
    /// Bytes that collections copied.
    pub bytes_copied: u64,
    /// Of those, bytes copied to a space that is collected less often.
    pub bytes_promoted: u64,
    /// Bytes in use before collections less those in use after, over all collections.
    pub bytes_reclaimed: u64,
    /// Entries of remembered sets that collections went through.
    pub remembered: u64,
    /// Most of them in one collection.
    pub remembered_max: u64,
    /// Allocations that took the slow path.
    pub slow_allocations: u64,
    /// How often the heap grew.
    pub growths: u64,
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
    /// How many pauses there were up to each time (and above the time before): 1 µs, 2 µs, 4 µs and so on.
    pub pause_histogram: Vec<(Duration, u64)>,
    /// By [`Phase::index`].
    pub phases: [PhaseFigures; Phase::ALL.len()],
    /// Times that a compilation was heard of: modules, and functions compiled on their own.
    pub modules_compiled: u64,
    /// Functions compiled.
    pub functions_compiled: u64,
    /// Bytes of machine code made.
    pub code_bytes: u64,
    /// Time of compilations.
    pub compile_total: Duration,
    /// Modules instantiated.
    pub instances: u64,
    /// Time of instantiations, start functions included.
    pub instantiate_total: Duration,
}

impl Recorder {
    /// A recorder whose clock starts now.
    pub fn new() -> Recorder {
        let pauses = Histogram::new_with_bounds(1, LONGEST_PAUSE, 3).expect("the bounds are in order");
        let state = State { start: Instant::now(), pauses, figures: GcFigures::default() };
        Recorder(Arc::new(Mutex::new(state)))
    }

    /// What was recorded so far, together with the heap's own totals.
    pub fn figures(&self, totals: &GcStats) -> GcFigures {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The histogram rounds up.
        let longest = state.figures.pause_max;
        let quantile = |q| Duration::from_nanos(state.pauses.value_at_quantile(q)).min(longest);
        let classes = state.pauses.iter_log(FIRST_CLASS, 2.0).scan(FIRST_CLASS, |end, class| {
            let upto = Duration::from_nanos(*end);
            *end = end.saturating_mul(2);
            Some((upto, class.count_since_last_iteration()))
        });
        let pause_histogram = if state.pauses.is_empty() { Vec::new() } else { classes.collect() };
        GcFigures {
            collections: totals.collections,
            bytes_allocated: totals.bytes_allocated,
            peak_committed: totals.peak_committed,
            elapsed: state.start.elapsed(),
            pause_total: totals.pause_total,
            pause_p50: quantile(0.5),
            pause_p95: quantile(0.95),
            pause_p99: quantile(0.99),
            pause_max: longest.max(totals.pause_max),
            pause_histogram,
            ..state.figures.clone()
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
        let State { pauses, figures, .. } = &mut *state;
        match event {
            Event::CollectionEnd { report, pause, .. } => {
                pauses.saturating_record(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
                figures.pause_max = figures.pause_max.max(*pause);
                figures.full_collections += u64::from(report.full);
                figures.bytes_copied += report.bytes_copied;
                figures.bytes_promoted += report.bytes_promoted;
                figures.bytes_reclaimed += report.bytes_before.saturating_sub(report.bytes_after);
                figures.remembered += report.remembered;
                figures.remembered_max = figures.remembered_max.max(report.remembered);
            }
            Event::Phase { phase, time, .. } => {
                let phase = &mut figures.phases[phase.index()];
                phase.count += 1;
                phase.total += *time;
                phase.max = phase.max.max(*time);
            }
            Event::SlowAllocation { .. } => figures.slow_allocations += 1,
            Event::Resize { from, to } => figures.growths += u64::from(to > from),
            Event::Compile { functions, code_bytes, time, .. } => {
                figures.modules_compiled += 1;
                figures.functions_compiled += *functions as u64;
                figures.code_bytes += *code_bytes as u64;
                figures.compile_total += *time;
            }
            Event::Instantiate { succeeded, time, .. } => {
                figures.instances += u64::from(*succeeded);
                figures.instantiate_total += *time;
            }
            _ => {}
        }
    }
}

impl GcFigures {
    /// Time that was neither the collector's nor the compiler's.
    pub fn mutator(&self) -> Duration {
        self.elapsed.saturating_sub(self.pause_total).saturating_sub(self.compile_total)
    }

    /// Bytes allocated per second of the mutator's time.
    pub fn allocation_rate(&self) -> f64 {
        let mutator = self.mutator().as_secs_f64();
        if mutator > 0.0 { self.bytes_allocated as f64 / mutator } else { 0.0 }
    }

    /// The phases that ran.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, &PhaseFigures)> {
        Phase::ALL.into_iter().zip(&self.phases).filter(|(_, figures)| figures.count > 0)
    }

    /// As one JSON object: times in milliseconds, sizes in bytes.
    pub fn to_json(&self) -> serde_json::Value {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        let phases: serde_json::Map<_, _> = self
            .phases()
            .map(|(phase, f)| {
                let figures = serde_json::json!({ "count": f.count, "total": ms(f.total), "max": ms(f.max) });
                (phase.name().replace(' ', "_"), figures)
            })
            .collect();
        let histogram: Vec<_> =
            self.pause_histogram.iter().map(|(upto, n)| serde_json::json!([ms(*upto), n])).collect();
        serde_json::json!({
            "collections": self.collections,
            "full_collections": self.full_collections,
            "bytes_allocated": self.bytes_allocated,
            "bytes_copied": self.bytes_copied,
            "bytes_promoted": self.bytes_promoted,
            "bytes_reclaimed": self.bytes_reclaimed,
            "remembered": self.remembered,
            "remembered_max": self.remembered_max,
            "slow_allocations": self.slow_allocations,
            "heap_growths": self.growths,
            "peak_heap_bytes": self.peak_committed,
            "elapsed_ms": ms(self.elapsed),
            "mutator_ms": ms(self.mutator()),
            "collector_ms": ms(self.pause_total),
            "compiler_ms": ms(self.compile_total),
            "allocation_rate_bytes_per_s": self.allocation_rate(),
            "pause_ms": {
                "p50": ms(self.pause_p50), "p95": ms(self.pause_p95), "p99": ms(self.pause_p99), "max": ms(self.pause_max),
                "histogram": histogram,
            },
            "phases_ms": phases,
            "functions_compiled": self.functions_compiled,
            "code_bytes": self.code_bytes,
            "instances": self.instances,
            "instantiate_ms": ms(self.instantiate_total),
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
            let report = CollectionReport { full: ms > 90, bytes_copied: 10, remembered: ms, ..Default::default() };
            let (started, pause) = (Instant::now(), Duration::from_millis(ms));
            sink.event(&Event::Phase { phase: Phase::Trace, started, time: pause / 2 });
            sink.event(&Event::CollectionEnd { cause: Cause::AllocationFailure, report, started, pause });
        }
        let figures = recorder.figures(&GcStats { collections: 100, ..Default::default() });
        let near =
            |d: Duration, ms: f64| assert!((d.as_secs_f64() * 1e3 / ms - 1.0).abs() < 0.002, "{d:?}, not {ms} ms");
        near(figures.pause_p50, 50.0);
        near(figures.pause_p95, 95.0);
        near(figures.pause_p99, 99.0);
        assert_eq!((figures.full_collections, figures.bytes_copied), (10, 1000));
        assert_eq!((figures.remembered, figures.remembered_max), (5050, 100));
        let trace = PhaseFigures { count: 100, total: Duration::from_millis(5050) / 2, max: Duration::from_millis(50) };
        assert_eq!(figures.phases().collect::<Vec<_>>(), [(Phase::Trace, &trace)]);
        let json = figures.to_json();
        assert_eq!(json["pause_ms"]["p50"].as_f64().map(f64::round), Some(50.0));
        assert_eq!(json["phases_ms"]["trace"]["count"], 100);
        // Of 1 to 100 ms, those up to 1.024 ms, 2.048 ms, ... 131 ms: one, one, two, four, ...
        let classes: Vec<u64> = figures.pause_histogram.iter().map(|class| class.1).filter(|n| *n > 0).collect();
        assert_eq!(classes, [1, 1, 2, 4, 8, 16, 33, 35]);
    }

    #[test]
    fn the_compilers_time_is_not_the_programs() {
        let recorder = Recorder::new();
        let time = Duration::from_secs(3600);
        let started = Instant::now();
        let event = Event::Compile { module: None, functions: 2, wasm_bytes: 8, code_bytes: 64, started, time };
        recorder.clone().event(&event);
        let figures = recorder.figures(&GcStats::default());
        assert_eq!((figures.functions_compiled, figures.code_bytes, figures.compile_total), (2, 64, time));
        assert_eq!(figures.mutator(), Duration::ZERO);
        assert!(figures.pause_histogram.is_empty());
    }
}
