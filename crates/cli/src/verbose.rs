//! What the engine's log says, on standard error.

use crate::failure::printable;
use log::{LevelFilter, Log, Metadata, Record};
use std::io::{Write, stderr};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("heapwright")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let message = record.args().to_string();
            // Nobody can be told that nobody can be told.
            let _ = writeln!(stderr(), "heapwright: {}", printable(&message));
        }
    }

    fn flush(&self) {}
}

/// Writes notes and warnings from now on.
pub(crate) fn start() {
    if log::set_logger(&Stderr).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}
