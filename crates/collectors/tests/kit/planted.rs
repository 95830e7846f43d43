//! Collectors with faults, for the kit to find: what a scenario never fails for it does not test.

use crate::snapshot;
use heapwright_collectors::{Registration, copying, drc, generational};
use heapwright_fuzzing::conformance::{self, elisions};
use heapwright_fuzzing::samples::faulty::{Fault, Faulty};
use heapwright_fuzzing::{Case, Program, Random, SMALL};
use heapwright_gc_heap::*;
use libtest_mimic::Trial;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn copying(spec: &'static Spec, fault: Fault) -> Box<dyn Collector> {
    Box::new(Faulty { spec, inner: Box::new(copying::Copying::new()), fault })
}

static FORGETFUL: Spec = Spec { name: "forgets a root", ..copying::SPEC };
static IDLE: Spec = Spec { name: "ignores requests", ..copying::SPEC };
static HOARDER: Spec = Spec { name: "keeps host values", ..copying::SPEC };
static SECRETIVE: Spec = Spec { name: "moves without saying so", moves: Moves::Never, ..copying::SPEC };
static BARE: Spec = Spec { name: "needs a barrier", barriers: Barriers::NONE, elide: &[], ..generational::SPEC };
static BOLD: Spec = Spec { name: "elides too much", elide: &[Elision::SameObject], ..drc::SPEC };

static FORGETS_A_ROOT: Registration =
    Registration { spec: &FORGETFUL, create: || copying(&FORGETFUL, Fault::ForgetsARoot) };
static IGNORES_REQUESTS: Registration = Registration { spec: &IDLE, create: || copying(&IDLE, Fault::IgnoresRequests) };
static KEEPS_HOSTS: Registration = Registration { spec: &HOARDER, create: || copying(&HOARDER, Fault::KeepsHosts) };
static MOVES: Registration = Registration { spec: &SECRETIVE, create: || copying(&SECRETIVE, Fault::Declaration) };
static NEEDS_A_BARRIER: Registration = Registration {
    spec: &BARE,
    create: || {
        let inner = Box::new(generational::Generational::new());
        Box::new(Faulty { spec: &BARE, inner, fault: Fault::Declaration })
    },
};
static ELIDES_TOO_MUCH: Registration = Registration {
    spec: &BOLD,
    create: || Box::new(Faulty { spec: &BOLD, inner: Box::new(drc::Drc::new()), fault: Fault::Declaration }),
};

/// The fault is found by the scenario that is about it.
fn found_by(registration: &'static Registration, scenario: &str) {
    let scenario = conformance::scenarios().find(|s| s.name == scenario).expect("a scenario of this name");
    let result = catch_unwind(AssertUnwindSafe(|| (scenario.run)(registration)));
    assert!(result.is_err(), "{} does not find a collector that {}", scenario.name, registration.spec.name);
}

/// Random programs find the fault, and the program printed is short: at most so many steps.
fn found_by_a_short_program(registration: &'static Registration, steps: usize) {
    let cases = (1..).map(|seed| Case { config: SMALL, program: Program::from_bytes(&Random::new(seed).bytes(600)) });
    let case = cases.take(200).find(|case| case.check(registration).is_err()).expect("a program that fails");
    let (shortest, failure) = case.shrink(registration);
    let text = shortest.to_string();
    assert!(shortest.program.steps.len() <= steps, "{failure}\n{text}");
    assert_eq!(text.lines().count(), 1 + shortest.program.steps.len());
    assert!(shortest.check(registration).is_err(), "what is printed does not fail\n{text}");
}

fn a_snapshot_is_sound_without_elisions() {
    for stores in elisions::ALL {
        (0..elisions::PROGRAMS)
            .for_each(|seed| assert_eq!(elisions::run(&snapshot::REGISTRATION, stores, None, seed), 0));
    }
}

/// What a fresh object's slot held was not reachable through it when the snapshot was made.
fn a_snapshot_may_leave_fresh_objects_alone() {
    let (fresh, programs) = (Elision::FreshObject, elisions::PROGRAMS);
    let elided: usize =
        (0..programs).map(|seed| elisions::run(&snapshot::REGISTRATION, fresh, Some(fresh), seed)).sum();
    assert!(elided as u64 > 50 * programs || cfg!(miri), "applied {elided} times only");
}

/// Under a snapshot at the beginning every other store counts, whatever it stores.
fn a_snapshot_loses_objects_under_any_other_elision() {
    for elision in [Elision::NullStored, Elision::I31Stored, Elision::SameObject] {
        let fails = |seed| {
            let program = || elisions::run(&snapshot::REGISTRATION, elision, Some(elision), seed);
            catch_unwind(AssertUnwindSafe(program)).is_err()
        };
        assert!(cfg!(miri) || (0..elisions::PROGRAMS).any(fails), "{elision:?} was not found unsound");
    }
}

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let test = |name: &str, run: fn()| {
        Trial::test(format!("planted::{name}"), move || {
            run();
            Ok(())
        })
    };
    let mut trials = vec![
        test("a_snapshot_is_sound_without_elisions", a_snapshot_is_sound_without_elisions),
        test("a_snapshot_may_leave_fresh_objects_alone", a_snapshot_may_leave_fresh_objects_alone),
        test("a_snapshot_loses_objects_under_any_other_elision", a_snapshot_loses_objects_under_any_other_elision),
        test("a_forgotten_root", || found_by_a_short_program(&FORGETS_A_ROOT, 2)),
        test("a_missing_barrier", || found_by_a_short_program(&NEEDS_A_BARRIER, 6)),
        test("ignored_requests", || found_by_a_short_program(&IGNORES_REQUESTS, 3)),
        test("host_values_that_stay", || found_by_a_short_program(&KEEPS_HOSTS, 2)),
        test("undeclared_moves", || found_by(&MOVES, "declared::objects_move_only_if_declared")),
        test("an_unsound_elision", || found_by(&ELIDES_TOO_MUCH, "elisions::declared_elisions_lose_nothing")),
        test("stale_roots", || found_by(&FORGETS_A_ROOT, "shapes::many_roots_of_one_object")),
    ];
    if cfg!(miri) {
        trials.truncate(3);
    }
    trials
}
