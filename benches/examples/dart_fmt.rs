//! Formats Dart sources with the Dart formatter, compiled to WebAssembly by dart2wasm.
//!
//! ```text
//! cargo run --release -p heapwright-benches --example dart_fmt -- [--collector NAME] [--eager] [--no-compile-ahead] [--cache DIR] [--repeat N] FILE.dart…
//! ```
//!
//! Prints the formatted texts; one that cannot be parsed gives what the formatter says about it. With `--repeat` each
//! file is formatted N times, the milliseconds of each round over all files go to the standard error output.
//! `corpus/dart/node-format.mjs` does the same in Node.

use heapwright::{Cache, Collector, Compilation, Config, DEFAULT_CACHE_LIMIT, Engine, Error, Module, Result};
use heapwright_benches::dart::{Formatter, MODULE};
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

struct Args {
    config: Config,
    repeat: Option<usize>,
    files: Vec<PathBuf>,
}

fn main() -> Result<()> {
    let args = args()?;
    let engine = Engine::new(&args.config)?;
    let module = Module::from_file(&engine, MODULE)?;
    let mut formatter = Formatter::new(&engine, &module)?;
    let sources = args.files.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let mut results = Vec::new();
    for _ in 0..args.repeat.unwrap_or(1) {
        let started = Instant::now();
        results = sources.iter().map(|source| formatter.format(source)).collect::<Result<_>>()?;
        if args.repeat.is_some() {
            eprintln!("{:.3}", started.elapsed().as_secs_f64() * 1e3);
        }
    }
    module.update_cache();
    let text: String = results.into_iter().map(|result| result.unwrap_or_else(|e| format!("error: {e}"))).collect();
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

fn args() -> Result<Args> {
    let usage = || {
        Error::msg(
            "usage: dart_fmt [--collector NAME] [--eager] [--no-compile-ahead] [--cache DIR] [--repeat N] FILE.dart…",
        )
    };
    let mut found = Args { config: Config::new(), repeat: None, files: Vec::new() };
    found.config.compilation(Compilation::Lazy);
    let mut args = std::env::args_os().skip(1);
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--collector") => {
                let name = args.next().ok_or_else(usage)?;
                let known = Collector::all().into_iter().find(|c| name.to_str() == Some(c.name()));
                found.config.collector(known.ok_or_else(|| Error::msg(format!("no collector is called {name:?}")))?);
            }
            Some("--eager") => drop(found.config.compilation(Compilation::Eager)),
            Some("--no-compile-ahead") => drop(found.config.compile_ahead(false)),
            Some("--cache") => {
                let cache = Cache::open(PathBuf::from(args.next().ok_or_else(usage)?), DEFAULT_CACHE_LIMIT)?;
                found.config.cache(Some(cache));
            }
            Some("--repeat") => {
                let rounds = args.next().and_then(|n| n.to_str()?.parse().ok()).filter(|&n| n > 0);
                found.repeat = Some(rounds.ok_or_else(usage)?);
            }
            _ => found.files.push(arg.into()),
        }
    }
    if found.files.is_empty() { Err(usage()) } else { Ok(found) }
}
