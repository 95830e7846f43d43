//! What the collector did, for people to read.

use super::host::Host;
use crate::args::{RunArgs, StatsFormat};
use crate::failure::Failure;
use heapwright::Store;
use heapwright::listeners::{Fanout, GcFigures, GcLog, Recorder, Timeline};
use std::fs::File;
use std::io::{BufWriter, Write, stderr};
use std::time::Duration;

/// Attaches the listeners that the command line asks for. Without any, the heap builds no events.
pub(super) fn listen(args: &RunArgs, store: &mut Store<Host>) -> Result<Option<Recorder>, Failure> {
    let mut listeners = Fanout::new();
    let recorder = args.stats.map(|_| Recorder::new());
    if let Some(recorder) = &recorder {
        listeners.add(recorder.clone());
    }
    if args.gc_log {
        listeners.add(GcLog::new(stderr(), store.gc_space().committed));
    }
    if let Some(path) = &args.trace {
        let file =
            File::create(path).map_err(|e| Failure::unusable(format_args!("cannot write {}: {e}", path.display())))?;
        listeners.add(Timeline::new(BufWriter::new(file)));
    }
    if !listeners.is_empty() {
        store.set_event_sink(Some(Box::new(listeners)));
    }
    Ok(recorder)
}

/// Writes figures to standard error.
pub(super) fn print(figures: &GcFigures, format: StatsFormat, args: &RunArgs) {
    let text = match format {
        StatsFormat::Json => {
            let mut json = figures.to_json();
            json["collector"] = args.engine.collector.clone().into();
            format!("{json}\n")
        }
        StatsFormat::Text => format!(
            "collector:    {}\n\
             collections:  {} ({} of the whole heap)\n\
             allocated:    {}, {}/s of the program's time\n\
             copied:       {}\n\
             pauses:       {} in all, {} at most; p50 {}, p95 {}, p99 {}\n\
             time:         {} of the program, {} of the collector\n\
             peak heap:    {}\n",
            args.engine.collector,
            figures.collections,
            figures.full_collections,
            bytes(figures.bytes_allocated),
            bytes(figures.allocation_rate() as u64),
            bytes(figures.bytes_copied),
            time(figures.pause_total),
            time(figures.pause_max),
            time(figures.pause_p50),
            time(figures.pause_p95),
            time(figures.pause_p99),
            time(figures.elapsed.saturating_sub(figures.pause_total)),
            time(figures.pause_total),
            bytes(figures.peak_committed),
        ),
    };
    // Statistics that nobody reads are no reason to fail.
    let _ = stderr().write_all(text.as_bytes());
}

fn time(duration: Duration) -> String {
    format!("{:.3} ms", duration.as_secs_f64() * 1e3)
}

fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{count} bytes ({:.1} {unit})", count as f64 / *size as f64),
        None => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1536 bytes (1.5 KiB)");
        assert_eq!(bytes(3 << 30), "3221225472 bytes (3.0 GiB)");
        assert_eq!(time(Duration::from_micros(1500)), "1.500 ms");
    }
}
