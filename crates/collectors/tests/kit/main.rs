//! The conformance kit, run for every registered collector: a test for each scenario and collector, named
//! `collector::scenario`.
//!
//! A new collector is tested by its line in the registry. The scenarios are [`heapwright_fuzzing::conformance`]; the
//! tests under `planted::` show that they find what they are there to find.

mod planted;
mod snapshot;

use heapwright_fuzzing::conformance;
use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut trials = planted::trials();
    for registration in heapwright_collectors::all() {
        for scenario in conformance::scenarios() {
            let name = format!("{}::{}", registration.spec.name, scenario.name);
            let trial = Trial::test(name, move || {
                (scenario.run)(registration);
                Ok(())
            });
            trials.push(trial.with_ignored_flag(scenario.slow));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
