//! `/tmp/perf-PID.map`: lines of start address and size, both in hexadecimal digits, and name.

use super::Function;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// A perf map being written.
pub(super) struct PerfMap(BufWriter<File>);

impl PerfMap {
    pub(super) fn new(path: PathBuf) -> io::Result<PerfMap> {
        Ok(PerfMap(BufWriter::new(File::create(path)?)))
    }

    /// Adds functions. They are in the file when this returns: a profiler may read it at any time.
    pub(super) fn write<'a>(&mut self, functions: impl Iterator<Item = Function<'a>>) -> io::Result<()> {
        for Function { name, address, code, .. } in functions {
            writeln!(self.0, "{address:x} {:x} {name}", code.len())?;
        }
        self.0.flush()
    }
}
