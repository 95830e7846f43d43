//! What the engine's log says, on standard error.

use crate::failure::warn;
use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("heapwright")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            warn(format_args!("heapwright: {}", record.args()));
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
