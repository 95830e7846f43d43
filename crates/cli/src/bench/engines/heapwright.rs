//! Our own engine: this very program, in a hidden command.

use super::Contender;
use crate::args::Cli;
use crate::bench::args::BenchArgs;
use crate::failure::Failure;
use clap::Parser;
use heapwright::Collector;
use std::ffi::OsString;

/// The hidden command.
const CHILD: &str = "bench-child";

/// One for each collector, and again for each set of further options.
pub(super) fn contenders(args: &BenchArgs) -> Result<Vec<Contender>, Failure> {
    let program = std::env::current_exe().map_err(|e| Failure::unusable(format_args!("cannot find myself: {e}")))?;
    // Where only compilation is measured the collector matters little.
    let all = |c: &Collector| !args.compile || *c == Collector::default();
    let chosen: Vec<Collector> = match args.collectors.as_slice() {
        [] => Collector::all().filter(all).collect(),
        names => Collector::all().filter(|c| names.iter().any(|name| name == c.name())).collect(),
    };
    let mut contenders = Vec::new();
    for variant in std::iter::once("").chain(args.variants.iter().map(String::as_str)) {
        let options: Vec<&str> = variant.split_whitespace().collect();
        check(variant, &options)?;
        for collector in &chosen {
            let mut command = vec![OsString::from(CHILD), "--collector".into(), collector.name().into()];
            command.extend(options.iter().map(OsString::from));
            contenders.push(Contender {
                engine: format!("heapwright {variant}").trim_end().to_owned(),
                collector: collector.name().to_owned(),
                ours: true,
                program: program.clone(),
                args: command,
            });
        }
    }
    Ok(contenders)
}

/// A wrong option is said at once, not by each process.
fn check(variant: &str, options: &[&str]) -> Result<(), Failure> {
    let line = ["heapwright", CHILD, "--module", "m", "--report", "r"].iter().chain(options);
    match Cli::try_parse_from(line) {
        Ok(_) => Ok(()),
        Err(e) => {
            // The rest tells how to use a command that is not for people.
            let text = e.to_string();
            let why = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Err(Failure::usage(format_args!("--with={variant}: {why}")))
        }
    }
}
