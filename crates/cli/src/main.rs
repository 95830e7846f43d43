//! The `heapwright` command.
//!
//! Exit codes: the guest's own; 134 when the guest trapped, exhausted its heap or threw an exception that nothing caught; 1 when
//! something could not be loaded, linked or read, or an assertion of a script failed; 2 for wrong usage; 141 when whoever reads standard output
//! has gone away.

#![forbid(unsafe_code)]

mod args;
mod collectors;
mod failure;
mod inspect;
mod limits;
mod load;
mod output;
mod run;
mod script;
mod sizes;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run::run(*args),
        Command::Wast(args) => script::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Collectors(args) => collectors::run(&args),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => failure.report(),
    }
}
