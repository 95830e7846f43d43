//! One line a collection, in the style of unified GC logs.

use super::{cause, mebibytes};
use crate::{Event, EventSink, Phase};
use std::io::Write;
use std::time::{Duration, Instant};

/// Writes lines like
///
/// ```text
/// [0.012s][info][gc] GC(3) Pause Young (Allocation Failure) 4096K->512K(8192K) 0.214ms
/// [0.013s][info][gc,heap] Heap resized 8192K->16M
/// ```
///
/// `Young` is a collection that traced a part of the heap, `Full` one that traced all of it. Numbers are bytes in use
/// before and after, and in parentheses the heap's capacity when the collection began. A [detailed](GcLog::detailed)
/// log has lines for what the collection did, and for compilations and instantiations:
///
/// ```text
/// [0.012s][debug][gc,phases] GC(3) roots 0.011ms, remembered set 0.004ms, trace 0.195ms
/// [0.012s][debug][gc,remset] GC(3) remembered 17, copied 512K, promoted 128K
/// [0.001s][debug][compile] "program": 512 functions, 96K of machine code 41.302ms
/// [0.002s][debug][instantiate] "program" 0.120ms
/// ```
#[derive(Debug)]
pub struct GcLog<W> {
    out: W,
    start: Instant,
    detailed: bool,
    collections: u64,
    /// The heap's capacity when the collection under way began, in bytes.
    capacity: u64,
    /// The phases of the collection under way.
    phases: Vec<(Phase, Duration)>,
}

impl<W: Write + Send> GcLog<W> {
    /// A log that is written to `out`, whose clock starts now. Errors of writing are ignored.
    pub fn new(out: W) -> GcLog<W> {
        GcLog { out, start: Instant::now(), detailed: false, collections: 0, capacity: 0, phases: Vec::new() }
    }

    /// With lines of detail.
    pub fn detailed(self) -> GcLog<W> {
        GcLog { detailed: true, ..self }
    }

    fn line(&mut self, level: &str, tags: &str, text: std::fmt::Arguments<'_>) {
        let uptime = self.start.elapsed().as_secs_f64();
        let _ = writeln!(self.out, "[{uptime:.3}s][{level}][{tags}] {text}");
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A module's name in quotes, escaped: it comes from the module.
fn quoted(module: &Option<std::sync::Arc<str>>) -> String {
    module.as_ref().map_or_else(|| "a module".to_owned(), |name| format!("{name:?}"))
}

impl<W: Write + Send> EventSink for GcLog<W> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::CollectionStart { capacity, .. } => {
                self.capacity = *capacity;
                self.phases.clear();
            }
            Event::Phase { phase, time, .. } if self.detailed => self.phases.push((*phase, *time)),
            Event::CollectionEnd { cause: why, report, pause, .. } => {
                let kind = if report.full { "Full" } else { "Young" };
                let (number, capacity) = (self.collections, mebibytes(self.capacity));
                self.collections += 1;
                self.line(
                    "info",
                    "gc",
                    format_args!(
                        "GC({number}) Pause {kind} ({}) {}->{}({capacity}) {:.3}ms",
                        cause(*why),
                        mebibytes(report.bytes_before),
                        mebibytes(report.bytes_after),
                        ms(*pause),
                    ),
                );
                if self.detailed {
                    let phases = std::mem::take(&mut self.phases);
                    let phases: Vec<_> = phases.iter().map(|(p, t)| format!("{} {:.3}ms", p.name(), ms(*t))).collect();
                    if !phases.is_empty() {
                        self.line("debug", "gc,phases", format_args!("GC({number}) {}", phases.join(", ")));
                    }
                    let (copied, promoted) = (mebibytes(report.bytes_copied), mebibytes(report.bytes_promoted));
                    let remembered = report.remembered;
                    self.line(
                        "debug",
                        "gc,remset",
                        format_args!("GC({number}) remembered {remembered}, copied {copied}, promoted {promoted}"),
                    );
                }
            }
            Event::Resize { from, to } => {
                self.line("info", "gc,heap", format_args!("Heap resized {}->{}", mebibytes(*from), mebibytes(*to)));
            }
            Event::Compile { module, functions, code_bytes, time, .. } if self.detailed => {
                let (module, code, time) = (quoted(module), mebibytes(*code_bytes as u64), ms(*time));
                let text = format_args!("{module}: {functions} functions, {code} of machine code {time:.3}ms");
                self.line("debug", "compile", text);
            }
            Event::Instantiate { module, succeeded, time, .. } if self.detailed => {
                let (module, time) = (quoted(module), ms(*time));
                let failed = if *succeeded { "" } else { " failed" };
                self.line("debug", "instantiate", format_args!("{module}{failed} {time:.3}ms"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cause, CollectionReport};

    fn lines(log: GcLog<Vec<u8>>) -> Vec<String> {
        let text = String::from_utf8(log.out).expect("text");
        text.lines().map(|l| l.split_once("s]").expect("an uptime").1.to_owned()).collect()
    }

    fn collect(log: &mut GcLog<Vec<u8>>) {
        let at = Instant::now();
        log.event(&Event::CollectionStart { cause: Cause::Explicit, capacity: 8 << 20, at });
        for (phase, micros) in [(Phase::Roots, 14), (Phase::Trace, 200)] {
            log.event(&Event::Phase { phase, started: at, time: Duration::from_micros(micros) });
        }
        let report = CollectionReport {
            bytes_before: 4 << 20,
            bytes_after: 512 << 10,
            bytes_copied: 2048,
            remembered: 7,
            full: true,
            ..Default::default()
        };
        let pause = Duration::from_micros(214);
        log.event(&Event::CollectionEnd { cause: Cause::Explicit, report, started: at, pause });
    }

    #[test]
    fn a_collection_is_a_line() {
        let mut log = GcLog::new(Vec::new());
        collect(&mut log);
        log.event(&Event::Resize { from: 8 << 20, to: 16 << 20 });
        let expected = [
            "[info][gc] GC(0) Pause Full (Explicit) 4096K->512K(8192K) 0.214ms",
            "[info][gc,heap] Heap resized 8192K->16M",
        ];
        assert_eq!(lines(log), expected);
    }

    #[test]
    fn details_have_lines_of_their_own() {
        let mut log = GcLog::new(Vec::new()).detailed();
        (0..2).for_each(|_| collect(&mut log));
        let (started, time) = (Instant::now(), Duration::from_millis(2));
        let module = Some("x\n".into());
        log.event(&Event::Compile { module, functions: 3, wasm_bytes: 90, code_bytes: 4096, started, time });
        log.event(&Event::Instantiate { module: None, succeeded: false, started, time });
        let lines = lines(log);
        let expected = [
            "[debug][gc,phases] GC(1) roots 0.014ms, trace 0.200ms",
            "[debug][gc,remset] GC(1) remembered 7, copied 2K, promoted 0K",
            "[debug][compile] \"x\\n\": 3 functions, 4K of machine code 2.000ms",
            "[debug][instantiate] a module failed 2.000ms",
        ];
        assert_eq!(lines[4..], expected);
    }
}
