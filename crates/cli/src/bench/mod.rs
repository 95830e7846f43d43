//! `heapwright bench`: programs under collectors and engines, side by side.
//!
//! `programs` says what is measured and `engines` by whom; `measure` lets them take turns, a process (`process`) each
//! time, and compares what they compute; `figures` draws medians from what the processes report (`protocol`); `table`
//! and `json` write them down. `child` is our own engine's side of the protocol.

pub(crate) mod args;
pub(crate) mod child;
mod engines;
mod figures;
mod generate;
mod interrupt;
mod json;
mod measure;
mod process;
mod programs;
mod progress;
mod protocol;
mod table;

use crate::failure::{self, Failure};
use crate::output::{columns, print};
use args::BenchArgs;
use interrupt::Interrupt;
use process::Limits;
use progress::Progress;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

/// What a shell shows for a process that ended at Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs) -> Result<u8, Failure> {
    if args.list {
        print(&columns(&programs::list(), &[1]))?;
        return Ok(0);
    }
    if cfg!(debug_assertions) {
        failure::warn("heapwright: this is a debug build; only a release build is worth measuring");
    }
    let scratch = tempfile::tempdir().map_err(|e| Failure::unusable(format_args!("no temporary folder: {e}")))?;
    let programs = programs::resolve(&args.programs, args.compile, &scratch)?;
    let (contenders, skipped) = engines::find(args)?;
    for skipped in skipped {
        print(&format!("{} is skipped: {}\n", skipped.peer, skipped.reason))?;
    }
    let mut json = match &args.json {
        Some(path) => Some(
            File::create(path).map_err(|e| Failure::unusable(format_args!("cannot write {}: {e}", path.display())))?,
        ),
        None => None,
    };
    let limits = Limits { calls: args.calls, millis: args.millis, timeout: Duration::from_secs(args.timeout) };
    let interrupt = Interrupt::listen()?;
    let mut progress = Progress::new(programs.len() * contenders.len() * args.runs as usize);
    let mut all = Vec::new();
    for program in &programs {
        let measured =
            measure::measure(program, &contenders, args.runs, &limits, scratch.path(), &interrupt, &mut progress);
        progress.clear();
        if let Some(measured) = measured {
            print(&format!("{}\n", table::of_program(&measured)))?;
            if let Some(file) = &mut json {
                file.write_all(json::lines(&measured).as_bytes())
                    .map_err(|e| Failure::unusable(format_args!("cannot write the JSON file: {e}")))?;
            }
            all.push(measured);
        }
        if interrupt.came() {
            break;
        }
    }
    if !all.is_empty() {
        print(&table::summary(&all))?;
    }
    Ok(if interrupt.came() { INTERRUPTED } else { u8::from(all.iter().any(measure::Measured::has_failed)) })
}
