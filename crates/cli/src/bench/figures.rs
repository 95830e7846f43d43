//! From processes to figures.

use super::process::Outcome;
use super::protocol::Task;

/// The figures of one program under one engine. Times are in milliseconds.
#[derive(Clone, Default, Debug)]
pub(super) struct Figures {
    /// Median over the processes.
    pub(super) compile_ms: Option<f64>,
    /// The first call of a process: median over the processes.
    pub(super) first_ms: Option<f64>,
    /// Steady state: the later half of each process's calls. A program that runs once a process has only first calls.
    /// Where only compilation is measured, this is the time that it takes.
    pub(super) steady: Vec<f64>,
    /// Mean time of the collector in a steady call, median over the processes; absent if the engine does not say.
    pub(super) gc_ms: Option<f64>,
    /// Median over the processes.
    pub(super) peak_rss_kib: Option<u64>,
    /// Largest GC heap of any process, if the engine says.
    pub(super) heap_kib: Option<u64>,
    /// Machine code in bytes, if the engine says.
    pub(super) code_bytes: Option<u64>,
    /// From the start of a process to its first output: median.
    pub(super) output_ms: Option<f64>,
    /// Calls after which the heap was full.
    pub(super) restarts: u32,
    /// What was computed: the value that `run` returns, or exit code and digest of the output.
    pub(super) result: Option<String>,
}

impl Figures {
    /// What processes that went well say together. Their results are known to be equal.
    pub(super) fn of(task: Task, outcomes: &[Outcome]) -> Figures {
        let compiles: Vec<f64> = outcomes.iter().filter_map(|o| o.report.compile_ms).collect();
        let steady = |o: &Outcome| later_half(&o.report.calls).to_vec();
        let gc = |o: &Outcome| {
            let calls = steady(o);
            let times: Option<Vec<f64>> = calls.iter().map(|call| call.gc_ms).collect();
            times.filter(|t| !t.is_empty()).map(|t| t.iter().sum::<f64>() / t.len() as f64)
        };
        let firsts: Vec<f64> = outcomes.iter().filter_map(|o| o.report.calls.first()).map(|call| call.ms).collect();
        let peaks: Vec<f64> = outcomes.iter().filter_map(|o| o.report.peak_rss_kib).map(|kib| kib as f64).collect();
        let outputs: Vec<f64> = outcomes.iter().filter_map(|o| o.first_output).map(|d| d.as_secs_f64() * 1e3).collect();
        Figures {
            compile_ms: median(&compiles),
            first_ms: median(&firsts),
            steady: match task {
                Task::Compile => compiles,
                Task::Command => firsts,
                Task::Call(_) => outcomes.iter().flat_map(steady).map(|call| call.ms).collect(),
            },
            gc_ms: median(&outcomes.iter().filter_map(gc).collect::<Vec<_>>()),
            peak_rss_kib: median(&peaks).map(|kib| kib as u64),
            heap_kib: outcomes.iter().filter_map(|o| o.report.heap_kib).max(),
            code_bytes: outcomes.iter().find_map(|o| o.report.code_bytes),
            output_ms: median(&outputs),
            restarts: outcomes.iter().map(|o| o.report.restarts).sum(),
            result: outcomes.iter().find_map(|o| result(o, task)),
        }
    }

    /// Median of the steady state.
    pub(super) fn median_ms(&self) -> Option<f64> {
        median(&self.steady)
    }

    /// The fastest.
    pub(super) fn min_ms(&self) -> Option<f64> {
        self.steady.iter().copied().reduce(f64::min)
    }

    /// The slowest.
    pub(super) fn max_ms(&self) -> Option<f64> {
        self.steady.iter().copied().reduce(f64::max)
    }
}

/// What a process computed, in a form in which engines can be compared.
pub(super) fn result(outcome: &Outcome, task: Task) -> Option<String> {
    let call = outcome.report.calls.last()?;
    Some(match task {
        Task::Command => format!("{}:{:016x}", call.result, digest(&outcome.output)),
        _ => call.result.clone(),
    })
}

/// FNV-1a: equal outputs have equal ones, and it is short enough for a table.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Without the calls in which an engine may still be getting ready.
fn later_half<T>(calls: &[T]) -> &[T] {
    &calls[calls.len() / 2..]
}

/// The middle one, or the mean of the two.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// The geometric mean.
pub(super) fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    if ratios.is_empty() {
        return None;
    }
    Some((ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::protocol::{Call, Report};

    #[test]
    fn means() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(geometric_mean(&[]), None);
        let mean = geometric_mean(&[0.5, 2.0, 8.0]).unwrap();
        assert!((mean - 2.0).abs() < 1e-12);
    }

    #[test]
    fn digests() {
        // Values of the definition of FNV-1a.
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn steady_state_is_the_later_half() {
        let call = |ms| Call { ms, gc_ms: Some(ms / 2.0), result: "7".into() };
        let report = |times: &[f64]| Report {
            compile_ms: Some(1.0),
            calls: times.iter().copied().map(call).collect(),
            ..Report::default()
        };
        let outcome = |times| Outcome { report: report(times), output: Vec::new(), first_output: None };
        let outcomes = [outcome(&[100.0, 50.0, 10.0, 12.0]), outcome(&[90.0, 50.0, 11.0, 13.0, 15.0])];
        let figures = Figures::of(Task::Call(1), &outcomes);
        assert_eq!(figures.first_ms, Some(95.0));
        assert_eq!(figures.steady, [10.0, 12.0, 11.0, 13.0, 15.0]);
        assert_eq!((figures.median_ms(), figures.min_ms(), figures.max_ms()), (Some(12.0), Some(10.0), Some(15.0)));
        assert_eq!(figures.gc_ms, Some((5.5 + 6.5) / 2.0));
        assert_eq!(figures.result.as_deref(), Some("7"));
        assert_eq!(Figures::of(Task::Command, &outcomes).steady, [100.0, 90.0]);
        assert_eq!(Figures::of(Task::Compile, &outcomes).steady, [1.0, 1.0]);
    }
}
