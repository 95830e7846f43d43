//! What the collector did, for people to read.

use crate::args::{RunArgs, StatsFormat};
use heapwright::Phase;
use heapwright::listeners::{GcFigures, PhaseFigures};
use std::io::{Write, stderr};
use std::time::Duration;

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
             copied:       {}; {} of them promoted\n\
             remembered:   {} entries, {} at most in one collection\n\
             slow paths:   {} allocations; the heap grew {} times\n\
             pauses:       {} in all, {} at most; p50 {}, p95 {}, p99 {}\n\
             {}\
             time:         {} of the program, {} of the collector, {} of the compiler\n\
             compiled:     {} functions, {} of machine code\n\
             peak heap:    {}\n",
            args.engine.collector,
            figures.collections,
            figures.full_collections,
            bytes(figures.bytes_allocated),
            bytes(figures.allocation_rate() as u64),
            bytes(figures.bytes_copied),
            bytes(figures.bytes_promoted),
            figures.remembered,
            figures.remembered_max,
            figures.slow_allocations,
            figures.growths,
            time(figures.pause_total),
            time(figures.pause_max),
            time(figures.pause_p50),
            time(figures.pause_p95),
            time(figures.pause_p99),
            phases(figures),
            time(figures.mutator()),
            time(figures.pause_total),
            time(figures.compile_total),
            figures.functions_compiled,
            bytes(figures.code_bytes),
            bytes(figures.peak_committed),
        ),
    };
    // Statistics that nobody reads are no reason to fail.
    let _ = stderr().write_all(text.as_bytes());
}

/// A line for each phase that ran.
fn phases(figures: &GcFigures) -> String {
    let line = |(phase, f): (Phase, &PhaseFigures)| {
        let name = format!("  {}:", phase.name());
        format!("{name:<17} {} in all, {} at most\n", time(f.total), time(f.max))
    };
    figures.phases().map(line).collect()
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
