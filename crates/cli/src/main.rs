//! The `heapwright` command.
//!
//! Exit codes: the guest's own; 134 when the guest trapped, exhausted its heap or threw an exception that nothing
//! caught; 1 when something could not be loaded, linked or read, or an assertion of a script failed; 2 for wrong usage;
//! 141 when whoever reads standard output has gone away.

// One exception, in `load`: a compiled module that the user names is executed.
#![deny(unsafe_code)]

mod args;
mod bench;
mod cache;
mod collectors;
mod compile;
mod engine_args;
mod explore;
mod failure;
mod inspect;
mod limits;
mod load;
mod output;
mod run;
mod script;
mod sizes;
mod verbose;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.verbose {
        verbose::start();
    }
    let ended = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Compile(args) => compile::run(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Wast(args) => script::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::BenchChild(args) => bench::child::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Collectors(args) => collectors::run(&args),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
