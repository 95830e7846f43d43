//! Fuzz targets: functions over bytes that must always come to a verdict.
//!
//! A target takes any bytes, makes an input of them and checks what must hold of it. What it returns as an error, or
//! panics with, is a finding; what it says nothing about is [discarded](Outcome::Discarded) and counted. The binaries
//! in `fuzz/` hand over bytes from libFuzzer, and `tests/targets.rs` bytes from seeds, so that every target runs in an
//! ordinary test run too.

pub mod api;
pub mod gc_modules;
#[cfg(feature = "corruption")]
pub mod heap_corruption;
pub mod heap_programs;
pub mod modules;

use crate::oracle::Limit;
use heapwright::Result;
use std::fmt;

/// What came of an input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// All that must hold was checked, and holds.
    Checked,
    /// Nothing can be said.
    Discarded(&'static str),
}

impl From<Limit> for Outcome {
    fn from(limit: Limit) -> Outcome {
        Outcome::Discarded(match limit {
            Limit::Heap => "heap full",
            Limit::Stack => "stack full",
            Limit::Graph => "graph too large",
        })
    }
}

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, that of its binary.
    pub name: &'static str,
    /// Runs one input.
    ///
    /// # Errors
    ///
    /// A finding.
    ///
    /// # Panics
    ///
    /// A finding too.
    pub run: fn(&[u8]) -> Result<Outcome>,
    /// Bytes of an input that is neither trivial nor slow.
    pub bytes: usize,
    /// Inputs of an ordinary test run, which has seconds for each target.
    pub smoke: u64,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every target that needs no other engine.
pub const ALL: &[Target] = &[
    heap_programs::TARGET,
    gc_modules::TARGET,
    modules::TARGET,
    api::TARGET,
    #[cfg(feature = "corruption")]
    heap_corruption::TARGET,
];

/// The target with this name.
pub fn by_name(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
