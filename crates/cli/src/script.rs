//! `heapwright wast`.

use crate::args::WastArgs;
use crate::engine_args::collectors;
use crate::failure::Failure;
use crate::load;
use crate::output::print;
use heapwright::{Collector, Config};
use heapwright_wast::{Dialect, Options, Summary, run_script};
use std::fmt::Write;

/// Runs scripts and prints what failed, and a line of totals.
pub(crate) fn run(args: &WastArgs) -> Result<u8, Failure> {
    let mut scripts = Vec::new();
    for path in &args.files {
        let name = path.display().to_string();
        let contents = load::text(path).map_err(|why| Failure::unusable(format_args!("cannot read {name}: {why}")))?;
        scripts.push((name, contents));
    }

    let mut total = Summary::default();
    let chosen = collectors(&args.collector);
    for (name, contents) in &scripts {
        for &collector in &chosen {
            let options = options(args, collector).map_err(Failure::usage)?;
            let summary = run_script(&options, name, contents).map_err(|e| Failure::unusable(format_args!("{e:#}")))?;
            let mark = if chosen.len() > 1 { format!(" [{}]", collector.name()) } else { String::new() };
            let mut text = String::new();
            for failure in &summary.failures {
                let _ = writeln!(text, "{failure}{mark}");
            }
            for skip in &summary.skips {
                let _ = writeln!(text, "{skip}{mark}");
            }
            print(&text)?;
            total += summary;
        }
    }

    let mut text = String::new();
    if total.validator_only > 0 {
        let (part, all) = (total.validator_only, total.total_passed());
        let _ = writeln!(text, "{part} of the {all} that passed test only the validator");
    }
    let _ = writeln!(text, "{} passed, {} failed, {} skipped", total.total_passed(), total.failed, total.skipped);
    print(&text)?;
    Ok(u8::from(total.failed > 0))
}

/// How the command line wants scripts to be run.
fn options(args: &WastArgs, collector: Collector) -> Result<Options, String> {
    let mut base = Config::new();
    args.dev.configure(&mut base)?;
    Ok(Options {
        base,
        collector,
        zeal: args.dev.zeal,
        target: args.dev.target.clone(),
        signals: !args.dev.no_signals,
        optimize: !args.dev.no_optimize,
        compilation: args.compile.into(),
        elide_barriers: !args.dev.no_elision,
        parallel: true,
        dialect: if args.strict { Dialect::Specification } else { Dialect::OtherEngines },
        print: true,
        ..Options::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::engine_args::Pass;
    use clap::{Parser, ValueEnum};

    #[test]
    fn every_switch_reaches_the_engine() {
        let config = |flags: &[&str]| {
            let cli = Cli::try_parse_from(["heapwright", "wast", "x.wast"].iter().chain(flags)).unwrap();
            let Command::Wast(args) = cli.command else { panic!("not wast") };
            format!("{:?}", options(&args, Collector::default()).unwrap().config().unwrap())
        };
        let plain = config(&[]);
        let switches = [
            "--no-signals",
            "--no-stack-watermark",
            "--no-huge-pages",
            "--no-gc-prefetch",
            "--no-optimize",
            "--no-elision",
        ];
        for switch in switches {
            assert_ne!(config(&[switch]), plain, "{switch}");
        }
        // On a single processor nothing is compiled ahead anyway.
        assert!(config(&["--no-compile-ahead"]).contains("ahead: false"));
        for pass in Pass::value_variants().iter().filter_map(Pass::to_possible_value) {
            assert_ne!(config(&["--without", pass.get_name()]), plain, "{}", pass.get_name());
        }
        for option in [["--zeal", "3"], ["--target", "pulley64"], ["--compile", "lazy"]] {
            assert_ne!(config(&option), plain, "{option:?}");
        }
    }
}
