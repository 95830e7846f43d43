//! Random heap programs against the model.

use crate::op::Op;
use crate::world::{KINDS, Random, SMALL};
use crate::{Case, Program, Run};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, HeapConfig, SizingPolicy};

/// Runs so many programs from up to so many bytes, a step being some 7 of them.
fn programs(registration: &Registration, config: HeapConfig, cases: u64, bytes: u32) {
    for seed in 0..cases {
        let mut random = Random::new(seed + 1);
        let length = 8 + random.below(bytes) as usize;
        let program = Program::from_bytes(&random.bytes(length));
        Case { config, program }.require(registration);
    }
}

pub(super) fn programs_match_the_model(registration: &'static Registration) {
    programs(registration, SMALL, if cfg!(miri) { 2 } else { 300 }, 900);
}

pub(super) fn programs_match_the_model_under_zeal(registration: &'static Registration) {
    let cases = if cfg!(miri) { 1 } else { 40 };
    programs(registration, HeapConfig { zeal: 1, max: 4 << 20, ..SMALL }, cases, 600);
    programs(registration, HeapConfig { zeal: 7, max: 4 << 20, ..SMALL }, cases, 1100);
}

/// Cases as fuzzing finds them, heap settings included.
pub(super) fn arbitrary_cases_match_the_model(registration: &'static Registration) {
    for seed in 0..if cfg!(miri) { 1 } else { 60 } {
        let bytes = Random::new(1000 + seed).bytes(700);
        let case: Case = arbitrary::Unstructured::new(&bytes).arbitrary().expect("enough bytes");
        case.require(registration);
    }
}

/// Long programs in a heap that is hardly large enough: collections happen when they are needed, and the collector's
/// state goes through many epochs.
pub(super) fn long_programs_in_a_tight_heap(registration: &'static Registration) {
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
}
