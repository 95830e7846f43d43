//! A timeline in the Chrome trace format: it opens in Perfetto and in a browser's tracing page.

use super::cause;
use crate::{Event, EventSink};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};

/// Writes the events of a heap as one JSON array: each collection a slice with what it did, bytes in use and capacity as counters, slow
/// allocations as instants.
#[derive(Debug)]
pub struct Timeline<W: Write> {
    out: W,
    start: Instant,
    first: bool,
}

impl<W: Write + Send> Timeline<W> {
    /// A timeline that is written to `out` and completed when it is dropped. Errors of writing are ignored.
    pub fn new(out: W) -> Timeline<W> {
        Timeline { out, start: Instant::now(), first: true }
    }

    fn write(&mut self, event: &serde_json::Value) {
        let separator = if std::mem::take(&mut self.first) { "[" } else { ",\n" };
        let _ = write!(self.out, "{separator}{event}");
    }

    fn counter(&mut self, name: &str, at: f64, bytes: u64) {
        self.write(&json!({ "name": name, "ph": "C", "ts": at, "pid": 1, "args": { "bytes": bytes } }));
    }
}

/// The format counts in microseconds.
fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

impl<W: Write + Send> EventSink for Timeline<W> {
    fn event(&mut self, event: &Event) {
        let now = micros(self.start.elapsed());
        match event {
            Event::CollectionEnd { cause: why, report, pause } => {
                let began = (now - micros(*pause)).max(0.0);
                self.counter("bytes in use", began, report.bytes_before);
                self.write(&json!({
                    "name": if report.full { "full collection" } else { "young collection" },
                    "cat": "gc", "ph": "X", "ts": began, "dur": micros(*pause), "pid": 1, "tid": 1,
                    "args": {
                        "cause": cause(*why), "before": report.bytes_before, "after": report.bytes_after,
                        "copied": report.bytes_copied, "visited": report.objects_visited,
                    },
                }));
                self.counter("bytes in use", now, report.bytes_after);
            }
            Event::Resize { to, .. } => self.counter("capacity", now, *to),
            Event::SlowAllocation { size } => self.write(&json!({
                "name": "slow allocation", "cat": "alloc", "ph": "i", "s": "t", "ts": now, "pid": 1, "tid": 1,
                "args": { "size": size },
            })),
            _ => {}
        }
    }
}

impl<W: Write> Drop for Timeline<W> {
    fn drop(&mut self) {
        let _ = write!(self.out, "{}", if self.first { "[]\n" } else { "]\n" });
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CollectionReport};

    #[test]
    fn a_timeline_is_one_json_array() {
        let mut bytes = Vec::new();
        let mut timeline = Timeline::new(&mut bytes);
        timeline.event(&Event::SlowAllocation { size: 64 });
        let report = CollectionReport { bytes_before: 100, bytes_after: 10, ..Default::default() };
        timeline.event(&Event::CollectionEnd { cause: Cause::Zeal, report, pause: Duration::from_micros(5) });
        timeline.event(&Event::Resize { from: 1, to: 2 });
        drop(timeline);
        let events: Vec<serde_json::Value> = serde_json::from_slice(&bytes).expect("JSON");
        let phases: Vec<_> = events.iter().map(|e| e["ph"].as_str().expect("a phase")).collect();
        assert_eq!(phases, ["i", "C", "X", "C", "C"]);
        let duration = events[2]["dur"].as_f64().expect("a duration");
        assert!((duration - 5.0).abs() < 1e-6, "{duration}");
        let mut none = Vec::new();
        drop(Timeline::new(&mut none));
        assert_eq!(none, b"[]\n");
    }
}
