//! The command lines of the harness and of the process that it starts.

use crate::engine_args::{EngineArgs, collector_name_or_none};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Measure programs under collectors and engines, side by side.
///
/// Each run is a process of its own, and engines take turns, so that whatever disturbs the machine disturbs all.
/// Results are compared between engines, and a program's output with FILE.expected where that exists. A PROGRAM is one
/// of these:
///
///  - FILE=N: a module that exports `run: [i32] -> [i32]`; it is called with N several times in one process. In the
///    text format a comment `;; bench: n=N` says what N is if it is not given;
///
///  - FILE: a WASI command, which runs once in each process;
///
///  - the name of a built-in program, perhaps with =N (see --list). Without any, all of those.
///
/// Peers are looked for on the machine: `node`, version 22 or newer, on the PATH or where HEAPWRIGHT_NODE says;
/// `wasmtime` as built in benches/peers or where HEAPWRIGHT_WASMTIME_PEER says. One that is absent is named and
/// skipped.
///
/// The exit code is 1 if a result is wrong or a collector of Heapwright fails, 130 after an interrupt.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BenchArgs {
    /// The collectors of Heapwright, or `none` (default: all)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = collector_name_or_none())]
    pub(crate) collectors: Vec<String>,

    /// The other engines, or `none` (default: all that are there)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) peers: Vec<Peer>,

    /// The collectors of Wasmtime (default: all three)
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = ["null", "drc", "copying"])]
    pub(crate) wasmtime_collectors: Vec<String>,

    /// Processes for each program and engine
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,

    /// Calls in one process after the first, at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) calls: u32,

    /// Milliseconds after which a process makes no further call (but at least three after the first)
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    pub(crate) millis: u64,

    /// Seconds after which a process is ended and its engine given up for this program
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,

    /// Only compile, everything and ahead; V8 as it does by itself and, apart, optimising everything at once. Modules
    /// need no `run`
    #[arg(long)]
    pub(crate) compile: bool,

    /// Also measure Heapwright with these further options of `run`, such as `--with=--no-optimize`; may be repeated
    #[arg(long = "with", value_name = "OPTIONS", allow_hyphen_values = true)]
    pub(crate) variants: Vec<String>,

    /// Write one JSON object a line to FILE, for each program and engine
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// List the built-in programs
    #[arg(long)]
    pub(crate) list: bool,

    /// What to measure
    #[arg(value_name = "PROGRAM")]
    pub(crate) programs: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  heapwright bench
  heapwright bench --collectors copying,generational --peers node binary_trees=14 sieve
  heapwright bench --runs 11 --json out.json program.wasm tree.wat=1000
  heapwright bench --peers none --with=--no-optimize nbody
  heapwright bench --compile --runs 3 program.wasm huge_function";

/// An engine that is not ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Peer {
    /// Wasmtime, with its collectors.
    Wasmtime,
    /// V8, in Node.
    Node,
    /// No peer at all.
    None,
}

/// One measured process of our own engine. Not for people.
#[derive(Debug, Args)]
pub(crate) struct ChildArgs {
    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    #[arg(long)]
    pub(crate) module: PathBuf,

    #[arg(long)]
    pub(crate) report: PathBuf,

    #[arg(long, allow_negative_numbers = true, conflicts_with = "command")]
    pub(crate) call: Option<i32>,

    #[arg(long)]
    pub(crate) command: bool,

    #[arg(long, default_value_t = 10)]
    pub(crate) calls: u32,

    #[arg(long, default_value_t = 1000)]
    pub(crate) millis: u64,
}
