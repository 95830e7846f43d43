//! Random heap programs against the model.

use crate::model::{Op, Run};
use crate::world::{KINDS, Kind, Random, SMALL, each};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, HeapConfig, SizingPolicy};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Pair), 4 => proptest::sample::select(&KINDS[..])]
}

fn cause() -> impl Strategy<Value = Cause> {
    // Ordinary collections mostly: what a collector remembers between them is what goes wrong.
    prop_oneof![
        6 => Just(Cause::Internal),
        2 => Just(Cause::AllocationFailure),
        1 => Just(Cause::Explicit),
        1 => Just(Cause::LastResort),
    ]
}

/// Array lengths: mostly small, some beyond every threshold for "large".
fn length() -> impl Strategy<Value = u16> {
    prop_oneof![8 => 0u16..12, 3 => 12u16..300, 1 => 300u16..5000]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (kind(), length(), any::<u32>(), any::<u8>(), any::<u8>())
            .prop_map(|(kind, length, payload, from, root)| Op::Alloc { kind, length, payload, from, root }),
        14 => (any::<u8>(), any::<u16>(), any::<u8>()).prop_map(|(root, slot, value)| Op::Store { root, slot, value }),
        6 => (any::<u8>(), any::<u16>(), any::<u8>()).prop_map(|(root, slot, into)| Op::Load { root, slot, into }),
        2 => (any::<u8>(), any::<u32>()).prop_map(|(root, payload)| Op::Payload { root, payload }),
        2 => (any::<u8>(), any::<u16>(), 0u16..600, any::<u8>())
            .prop_map(|(root, start, count, value)| Op::Fill { root, start, count, value }),
        2 => (any::<u8>(), any::<u16>(), any::<u8>(), any::<u16>(), 0u16..600)
            .prop_map(|(to, to_start, from, from_start, count)| Op::Copy { to, to_start, from, from_start, count }),
        4 => any::<u8>().prop_map(|root| Op::Clear { root }),
        1 => (1u8..40).prop_map(|count| Op::Ring { count }),
        4 => cause().prop_map(|cause| Op::Collect { cause }),
    ]
}

fn run(registration: &Registration, config: HeapConfig, ops: &[Op]) {
    let mut run = Run::new(registration, config);
    for op in ops {
        run.step(op).unwrap();
        if matches!(op, Op::Collect { .. }) {
            run.check(false);
        }
    }
    run.step(&Op::Collect { cause: Cause::Internal }).unwrap();
    run.check(false);
    run.step(&Op::Collect { cause: Cause::Explicit }).unwrap();
    // Once more, with nothing but the result of a collection to start from.
    run.step(&Op::Collect { cause: Cause::Internal }).unwrap();
    run.check(true);
}

fn programs(config: HeapConfig, cases: u32, ops: usize) {
    each(|registration| {
        let max = if registration.spec.needs_roots { config.max } else { 1 << 30 };
        let config = HeapConfig { max, ..config };
        let config_of_runner = Config { cases, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(
            config_of_runner,
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        let result = runner.run(&proptest::collection::vec(op(), 1..ops), |ops| {
            run(registration, config, &ops);
            Ok(())
        });
        if let Err(error) = result {
            panic!("collector {}: {error}", registration.spec.name);
        }
    });
}

#[test]
fn programs_match_the_model() {
    programs(SMALL, if cfg!(miri) { 2 } else { 300 }, 120);
}

#[test]
fn programs_match_the_model_under_zeal() {
    programs(HeapConfig { zeal: 1, max: 4 << 20, ..SMALL }, if cfg!(miri) { 1 } else { 40 }, 80);
    programs(HeapConfig { zeal: 7, max: 4 << 20, ..SMALL }, if cfg!(miri) { 1 } else { 40 }, 150);
}

/// Long programs in a heap that is hardly large enough: collections happen when they are needed, and the collector's
/// state goes through many epochs.
#[test]
fn long_programs_in_a_tight_heap() {
    each(|registration| {
        for seed in 1..if cfg!(miri) { 2 } else { 9 } {
            let room = if registration.spec.needs_roots { 2 << 20 } else { 512 << 20 };
            let config = HeapConfig { max: room, sizing: SizingPolicy::Fixed, ..SMALL };
            let (mut run, mut random) = (Run::new(registration, config), Random::new(seed));
            for step in 0..if cfg!(miri) { 300 } else { 20_000 } {
                let (a, b, c) = (random.next(), random.next(), random.next());
                let (root, other) = ((a >> 8) as u8, (a >> 16) as u8);
                let op = match a % 64 {
                    0..16 => {
                        let kind = KINDS[(b % 16) as usize % KINDS.len()];
                        let length = if b & 0xf00 == 0 { c % 3000 } else { c % 20 } as u16;
                        Op::Alloc { kind, length, payload: c, from: other, root }
                    }
                    16..38 => Op::Store { root, slot: b as u16, value: other },
                    38..48 => Op::Load { root, slot: b as u16, into: other },
                    48..51 => Op::Fill { root, start: b as u16, count: (c % 500) as u16, value: other },
                    51..54 => Op::Copy {
                        to: root,
                        to_start: b as u16,
                        from: other,
                        from_start: c as u16,
                        count: (c >> 16) as u16 % 500,
                    },
                    54..60 => Op::Clear { root },
                    60..63 => Op::Ring { count: b as u8 },
                    _ if b % 8 == 0 => Op::Collect { cause: Cause::Internal },
                    _ => Op::Payload { root, payload: c },
                };
                run.step(&op).unwrap();
                if step % 2000 == 1999 {
                    run.check(false);
                }
            }
            run.step(&Op::Collect { cause: Cause::Explicit }).unwrap();
            run.check(true);
        }
    });
}
