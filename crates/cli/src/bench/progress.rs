//! What is being done just now, on a terminal.

use super::engines::Contender;
use super::programs::Program;
use std::io::{IsTerminal, Write, stderr};

/// A line that is written over. Where standard error is no terminal, nothing is written.
pub(super) struct Progress {
    shown: bool,
    done: usize,
    total: usize,
}

impl Progress {
    /// So many processes are to come.
    pub(super) fn new(total: usize) -> Progress {
        Progress { shown: stderr().is_terminal(), done: 0, total }
    }

    /// The next process starts.
    pub(super) fn step(&mut self, program: &Program, contender: &Contender, run: u32, runs: u32) {
        self.done += 1;
        if self.shown {
            let label = contender.label();
            let text = format!("[{}/{}] {}: {label}, run {} of {runs}", self.done, self.total, program.name, run + 1);
            let _ = write!(stderr(), "\r\x1b[K{text}");
        }
    }

    /// Makes room for something else.
    pub(super) fn clear(&self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
