//! `heapwright wast`.

use crate::args::{WastArgs, collectors};
use crate::failure::Failure;
use crate::output::print;
use heapwright_wast::{Dialect, Options, Summary, run_script};
use std::fmt::Write;

/// Runs scripts and prints what failed, and a line of totals.
pub(crate) fn run(args: &WastArgs) -> Result<u8, Failure> {
    let mut scripts = Vec::new();
    for path in &args.files {
        let name = path.display().to_string();
        let contents = std::fs::read(path).map_err(|e| Failure::unusable(format_args!("cannot read {name}: {e}")))?;
        let contents = String::from_utf8(contents)
            .map_err(|_| Failure::unusable(format_args!("cannot read {name}: it is not text in UTF-8")))?;
        scripts.push((name, contents));
    }

    let mut total = Summary::default();
    let chosen = collectors(&args.collector);
    for (name, contents) in &scripts {
        for &collector in &chosen {
            let options = Options {
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
            };
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
