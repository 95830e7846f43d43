//! The command line, as the harness gives it.

use anyhow::{Context as _, Result, anyhow};
use std::path::PathBuf;

/// What to do with the module.
pub enum Task {
    /// Compile it.
    Compile,
    /// Call its export `run` with this argument, several times.
    Call(i32),
    /// Run it as a WASI program, once.
    Command,
}

/// All options.
pub struct Options {
    /// The module in the binary format.
    pub module: PathBuf,
    /// Where the report goes.
    pub report: PathBuf,
    /// `null`, `drc` or `copying`.
    pub collector: String,
    /// What to do.
    pub task: Task,
    /// Calls after the first, at most.
    pub calls: u32,
    /// Milliseconds after which no call follows.
    pub millis: u64,
}

impl Options {
    /// Reads the process's arguments.
    pub fn from_env() -> Result<Options> {
        let (mut module, mut report, mut task) = (None, None, Task::Compile);
        let (mut collector, mut calls, mut millis) = ("copying".to_owned(), 10, 1000);
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            if arg == "--command" {
                task = Task::Command;
                continue;
            }
            let (name, value) = match arg.split_once('=') {
                Some((name, value)) => (name, value.to_owned()),
                None => (arg.as_str(), args.next().with_context(|| format!("{arg} without a value"))?),
            };
            match name {
                "--module" => module = Some(value.into()),
                "--report" => report = Some(value.into()),
                "--collector" => collector = value,
                "--call" => task = Task::Call(value.parse()?),
                "--calls" => calls = value.parse()?,
                "--millis" => millis = value.parse()?,
                _ => return Err(anyhow!("unknown option {arg}")),
            }
        }
        let module = module.context("--module is missing")?;
        let report = report.context("--report is missing")?;
        Ok(Options { module, report, collector, task, calls, millis })
    }
}
