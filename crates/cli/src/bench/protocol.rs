//! What a measured process is asked and what it reports, the same for every engine.
//!
//! It is started with `--module FILE --report FILE` and one of `--call N --calls C --millis M` (instantiate, call the
//! export `run` with N; at most C more times, and after three more not when M milliseconds have gone), `--command` (run
//! a WASI program once), or neither (only compile); and with `--collector NAME` if the engine has several. To the
//! report it writes JSON, an object a line:
//!
//! - `{"compile_ms", "code_bytes"}` once;
//! - `{"call_ms", "gc_ms", "result"}` for each call, `gc_ms` null where the engine does not say; for a program,
//!   `result` is its exit code;
//! - `{"restarted": true}` when the heap was full and the next call has a fresh one;
//! - `{"peak_rss_kib", "heap_kib"}` at the end.
//!
//! Standard output is the guest's. An error is said on standard error, with a nonzero exit code.

use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

/// After the first call and this many more, the time decides whether another follows.
pub(super) const LEAST_CALLS: u32 = 3;

/// What to do with a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Task {
    /// Compile it.
    Compile,
    /// Call its export `run` with this argument, again and again.
    Call(i32),
    /// Run it as a program, once.
    Command,
}

/// One call.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Call {
    /// Milliseconds, those of the collector included.
    pub(super) ms: f64,
    /// Milliseconds of the collector, if the engine says.
    pub(super) gc_ms: Option<f64>,
    /// What was returned.
    pub(super) result: String,
}

/// What a process reported.
#[derive(Clone, Default, Debug)]
pub(super) struct Report {
    /// Milliseconds to compile the module, as far as the engine does it ahead.
    pub(super) compile_ms: Option<f64>,
    /// Bytes of machine code, if the engine says.
    pub(super) code_bytes: Option<u64>,
    /// The calls in order.
    pub(super) calls: Vec<Call>,
    /// How often the heap was full.
    pub(super) restarts: u32,
    /// Most memory resident at a time.
    pub(super) peak_rss_kib: Option<u64>,
    /// Largest GC heap, if the engine says.
    pub(super) heap_kib: Option<u64>,
}

impl Report {
    /// Reads a finished report.
    pub(super) fn parse(text: &str) -> Result<Report, String> {
        let mut report = Report::default();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).map_err(|e| format!("unreadable report: {e}"))?;
            let (number, count) = (|key: &str| value[key].as_f64(), |key: &str| value[key].as_u64());
            if let Some(ms) = number("call_ms") {
                let result = value["result"].as_str().ok_or("a call without a result in the report")?;
                report.calls.push(Call { ms, gc_ms: number("gc_ms"), result: result.to_owned() });
            } else if let Some(ms) = number("compile_ms") {
                report.compile_ms = Some(ms);
                report.code_bytes = count("code_bytes");
            } else if value["restarted"] == true {
                report.restarts += 1;
            } else {
                report.peak_rss_kib = count("peak_rss_kib");
                report.heap_kib = count("heap_kib");
            }
        }
        Ok(report)
    }
}

/// The writing side, for our own engine.
pub(super) struct Writer(File);

impl Writer {
    pub(super) fn create(path: &Path) -> io::Result<Writer> {
        File::create(path).map(Writer)
    }

    fn line(&mut self, line: &Value) -> io::Result<()> {
        writeln!(self.0, "{line}")
    }

    pub(super) fn compiled(&mut self, took: Duration, code_bytes: usize) -> io::Result<()> {
        self.line(&json!({ "compile_ms": ms(took), "code_bytes": code_bytes }))
    }

    pub(super) fn called(&mut self, took: Duration, gc: Duration, result: &str) -> io::Result<()> {
        self.line(&json!({ "call_ms": ms(took), "gc_ms": ms(gc), "result": result }))
    }

    pub(super) fn restarted(&mut self) -> io::Result<()> {
        self.line(&json!({ "restarted": true }))
    }

    pub(super) fn finished(&mut self, heap_bytes: u64) -> io::Result<()> {
        self.line(&json!({ "peak_rss_kib": peak_rss_kib(), "heap_kib": heap_bytes >> 10 }))
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The most memory that this process had resident, as the kernel counts it.
fn peak_rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = Writer::create(file.path()).unwrap();
        writer.compiled(Duration::from_micros(1500), 64).unwrap();
        writer.called(Duration::from_millis(7), Duration::from_millis(2), "-3").unwrap();
        writer.restarted().unwrap();
        writer.called(Duration::from_millis(8), Duration::ZERO, "-3").unwrap();
        writer.finished(1 << 20).unwrap();
        let report = Report::parse(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
        assert_eq!((report.compile_ms, report.code_bytes, report.restarts), (Some(1.5), Some(64), 1));
        assert_eq!(report.calls[0], Call { ms: 7.0, gc_ms: Some(2.0), result: "-3".into() });
        assert_eq!((report.calls.len(), report.heap_kib), (2, Some(1024)));
        assert!(report.peak_rss_kib.unwrap() > 0);
    }

    #[test]
    fn half_a_report_is_an_error() {
        assert!(Report::parse("{\"call_ms\": 1.0").is_err());
        assert!(Report::parse("{\"call_ms\": 1.0}").is_err());
        let node = Report::parse("{\"call_ms\": 1.0, \"gc_ms\": null, \"result\": \"1\"}").unwrap();
        assert_eq!(node.calls[0].gc_ms, None);
    }
}
