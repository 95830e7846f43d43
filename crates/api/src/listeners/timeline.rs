//! A timeline in the Chrome trace format: it opens in Perfetto and in a browser's tracing page.

use super::cause;
use crate::{Event, EventSink};
use serde_json::json;
use std::io::Write;
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Writes events as one JSON array: collections as slices with their phases in them and with what they did,
/// compilations and instantiations as slices, bytes in use and capacity as counters, slow allocations as instants. Each
/// thread has a track.
#[derive(Debug)]
pub struct Timeline<W: Write> {
    out: W,
    start: Instant,
    first: bool,
    /// Threads met so far; their position is their number.
    threads: Vec<ThreadId>,
}

impl<W: Write + Send> Timeline<W> {
    /// A timeline that is written to `out` and completed when it is dropped; its time begins now. Errors of writing are
    /// ignored.
    pub fn new(out: W) -> Timeline<W> {
        let mut timeline = Timeline { out, start: Instant::now(), first: true, threads: Vec::new() };
        timeline.write(json!({ "name": "process_name", "ph": "M", "pid": 1, "args": { "name": "heapwright" } }));
        timeline
    }

    fn write(&mut self, event: serde_json::Value) {
        let separator = if std::mem::take(&mut self.first) { "[" } else { ",\n" };
        // At one stroke, so that whoever looks at the output meanwhile finds whole events.
        let _ = self.out.write_all(format!("{separator}{event}").as_bytes());
    }

    /// The track of the thread at work.
    fn thread(&mut self) -> usize {
        let thread = thread::current();
        if let Some(known) = self.threads.iter().position(|id| *id == thread.id()) {
            return known + 1;
        }
        self.threads.push(thread.id());
        let number = self.threads.len();
        let name = thread.name().map_or_else(|| format!("thread {number}"), str::to_owned);
        self.write(json!({ "name": "thread_name", "ph": "M", "pid": 1, "tid": number, "args": { "name": name } }));
        number
    }

    fn counter(&mut self, name: &str, at: f64, bytes: u64) {
        self.write(json!({ "name": name, "ph": "C", "ts": at, "pid": 1, "args": { "bytes": bytes } }));
    }

    /// A time in the format's microseconds; what began before the timeline did began with it.
    fn at(&self, instant: Instant) -> f64 {
        micros(instant.saturating_duration_since(self.start))
    }

    fn slice(&mut self, name: &str, category: &str, started: Instant, time: Duration, args: serde_json::Value) {
        let (tid, at) = (self.thread(), self.at(started));
        self.write(json!({
            "name": name, "cat": category, "ph": "X", "ts": at, "dur": micros(time), "pid": 1, "tid": tid, "args": args,
        }));
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

impl<W: Write + Send> EventSink for Timeline<W> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::CollectionStart { capacity, at, .. } => self.counter("capacity", self.at(*at), *capacity),
            Event::Phase { phase, started, time } => self.slice(phase.name(), "phase", *started, *time, json!({})),
            Event::CollectionEnd { cause: why, report, started, pause } => {
                let args = json!({
                    "cause": cause(*why), "before": report.bytes_before, "after": report.bytes_after,
                    "copied": report.bytes_copied, "promoted": report.bytes_promoted,
                    "visited": report.objects_visited, "remembered": report.remembered,
                });
                let name = if report.full { "full collection" } else { "young collection" };
                self.counter("bytes in use", self.at(*started), report.bytes_before);
                self.slice(name, "gc", *started, *pause, args);
                self.counter("bytes in use", self.at(*started + *pause), report.bytes_after);
            }
            Event::Resize { to, .. } => self.counter("capacity", self.at(Instant::now()), *to),
            Event::SlowAllocation { size } => {
                let (tid, now) = (self.thread(), self.at(Instant::now()));
                self.write(json!({
                    "name": "slow allocation", "cat": "alloc", "ph": "i", "s": "t", "ts": now, "pid": 1, "tid": tid,
                    "args": { "size": size },
                }));
            }
            Event::Compile { module, functions, wasm_bytes, code_bytes, started, time } => {
                let args = json!({
                    "module": module.as_deref(), "functions": functions, "wasm": wasm_bytes, "code": code_bytes,
                });
                self.slice("compile", "compile", *started, *time, args);
            }
            Event::Instantiate { module, succeeded, started, time } => {
                let args = json!({ "module": module.as_deref(), "succeeded": succeeded });
                self.slice("instantiate", "instantiate", *started, *time, args);
            }
            _ => {}
        }
    }
}

impl<W: Write> Drop for Timeline<W> {
    fn drop(&mut self) {
        let _ = writeln!(self.out, "]");
        let _ = self.out.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CollectionReport, Phase};

    #[test]
    fn a_timeline_is_one_json_array() {
        let mut bytes = Vec::new();
        let mut timeline = Timeline::new(&mut bytes);
        timeline.event(&Event::SlowAllocation { size: 64 });
        let report = CollectionReport { bytes_before: 100, bytes_after: 10, ..Default::default() };
        let (started, pause) = (Instant::now(), Duration::from_micros(5));
        timeline.event(&Event::CollectionStart { cause: Cause::Zeal, capacity: 1, at: started });
        timeline.event(&Event::Phase { phase: Phase::Roots, started, time: Duration::from_micros(3) });
        timeline.event(&Event::CollectionEnd { cause: Cause::Zeal, report, started, pause });
        timeline.event(&Event::Resize { from: 1, to: 2 });
        drop(timeline);
        let events: Vec<serde_json::Value> = serde_json::from_slice(&bytes).expect("JSON");
        let kinds: Vec<_> = events.iter().map(|e| e["ph"].as_str().expect("a kind")).collect();
        // Names of the process and of the thread stand before what needs them.
        assert_eq!(kinds, ["M", "M", "i", "C", "X", "C", "X", "C", "C"]);
        let (phase, collection) = (&events[4], &events[6]);
        assert_eq!((&phase["name"], &phase["ts"]), (&json!("roots"), &collection["ts"]));
        let duration = collection["dur"].as_f64().expect("a duration");
        assert!((duration - 5.0).abs() < 1e-6, "{duration}");
        let mut none = Vec::new();
        drop(Timeline::new(&mut none));
        assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&none).expect("JSON").len(), 1);
    }
}
