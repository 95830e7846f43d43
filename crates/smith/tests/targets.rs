//! Every fuzz target over inputs made of seeds.
//!
//! `HEAPWRIGHT_SEEDS=FROM..TO` runs other seeds than the few of an ordinary run.

use heapwright_smith::bytes_of;
use heapwright_smith::targets::{ALL, Outcome, Target, by_name};
use std::collections::BTreeMap;
use std::panic;

mod seeds;

/// Runs a target; inputs are of different lengths up to twice the usual one.
fn smoke(name: &str) {
    let target = by_name(name).expect("a target");
    let range = seeds::range(0..target.smoke);
    let count = range.end - range.start;
    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    for seed in range {
        *outcomes.entry(format!("{:?}", verdict(target, seed))).or_default() += 1;
    }
    println!("{name}: {outcomes:?}");
    let checked = outcomes.get("Checked").copied().unwrap_or_default();
    assert!(2 * checked >= count, "only {checked} of {count} inputs of {name} were checked: {outcomes:?}");
}

fn verdict(target: &Target, seed: u64) -> Outcome {
    let length = target.bytes / 2 + (seed as usize).wrapping_mul(7919) % (target.bytes * 3 / 2);
    let bytes = bytes_of(seed, length);
    match panic::catch_unwind(|| (target.run)(&bytes)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => panic!("{} finds with seed {seed}: {error:?}", target.name),
        Err(panic) => {
            eprintln!("{} finds with seed {seed}", target.name);
            panic::resume_unwind(panic)
        }
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { smoke(stringify!($name)); })*

        #[test]
        fn every_target_is_tested() {
            let tested = [$(stringify!($name)),*];
            let all: Vec<&str> = ALL.iter().map(|target| target.name).collect();
            assert_eq!(all, tested);
        }
    };
}

targets! { heap_programs gc_modules modules api heap_corruption }

/// Bytes run out early, or there are none: still a verdict.
#[test]
fn short_inputs() {
    for target in ALL {
        for length in [0, 1, 7, 31, 64] {
            let bytes = bytes_of(3, length);
            (target.run)(&bytes).unwrap_or_else(|e| panic!("{} of {length} bytes: {e:?}", target.name));
        }
    }
}
