//! One line a collection, in the style of unified GC logs.

use super::{cause, mebibytes};
use crate::{Event, EventSink};
use std::io::Write;
use std::time::Instant;

/// Writes lines like
///
/// ```text
/// [0.012s][info][gc] GC(3) Pause Young (Allocation Failure) 4096K->512K(8192K) 0.214ms
/// [0.013s][info][gc,heap] Heap resized 8192K->16M
/// ```
///
/// `Young` is a collection that traced a part of the heap, `Full` one that traced all of it. Numbers are bytes in use before and after, and
/// in parentheses the heap's capacity.
#[derive(Debug)]
pub struct GcLog<W> {
    out: W,
    start: Instant,
    collections: u64,
    capacity: u64,
}

impl<W: Write + Send> GcLog<W> {
    /// A log that is written to `out`, for a heap of the given capacity in bytes. Errors of writing are ignored.
    pub fn new(out: W, capacity: u64) -> GcLog<W> {
        GcLog { out, start: Instant::now(), collections: 0, capacity }
    }

    fn line(&mut self, tags: &str, text: std::fmt::Arguments<'_>) {
        let uptime = self.start.elapsed().as_secs_f64();
        let _ = writeln!(self.out, "[{uptime:.3}s][info][{tags}] {text}");
    }
}

impl<W: Write + Send> EventSink for GcLog<W> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::CollectionEnd { cause: why, report, pause } => {
                let kind = if report.full { "Full" } else { "Young" };
                let (number, capacity) = (self.collections, mebibytes(self.capacity));
                self.collections += 1;
                self.line(
                    "gc",
                    format_args!(
                        "GC({number}) Pause {kind} ({}) {}->{}({capacity}) {:.3}ms",
                        cause(*why),
                        mebibytes(report.bytes_before),
                        mebibytes(report.bytes_after),
                        pause.as_secs_f64() * 1e3,
                    ),
                );
            }
            Event::Resize { from, to } => {
                self.capacity = *to;
                self.line("gc,heap", format_args!("Heap resized {}->{}", mebibytes(*from), mebibytes(*to)));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CollectionReport};
    use std::time::Duration;

    #[test]
    fn a_collection_is_a_line() {
        let mut log = GcLog::new(Vec::new(), 8 << 20);
        log.event(&Event::CollectionStart { cause: Cause::Explicit });
        let report =
            CollectionReport { bytes_before: 4 << 20, bytes_after: 512 << 10, full: true, ..Default::default() };
        log.event(&Event::CollectionEnd { cause: Cause::Explicit, report, pause: Duration::from_micros(214) });
        log.event(&Event::Resize { from: 8 << 20, to: 16 << 20 });
        let text = String::from_utf8(log.out).expect("text");
        let lines: Vec<_> = text.lines().map(|l| l.split_once("s]").expect("an uptime").1).collect();
        assert_eq!(
            lines,
            [
                "[info][gc] GC(0) Pause Full (Explicit) 4096K->512K(8192K) 0.214ms",
                "[info][gc,heap] Heap resized 8192K->16M"
            ]
        );
    }
}
