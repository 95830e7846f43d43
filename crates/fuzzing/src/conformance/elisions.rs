//! Whether a store without its barrier loses anything, for each elision that a collector declares.
//!
//! The programs do mostly what the elision is about: they take a reference out of an object and overwrite it there, in
//! the way that the elision excuses from the barrier. Only that elision is applied; the model says what must be left.

use crate::model::Run;
use crate::op::Op;
use crate::world::{Kind, Random, SMALL};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{Cause, Elision, HeapConfig};

/// Values that [`Op::Store`] takes for null and for an i31.
const NULL: u8 = 12;
const I31: u8 = 13;
/// Values that it takes from roots are below.
const FROM_ROOTS: u32 = 12;

/// Programs for each collector and elision: seeds are below.
pub const PROGRAMS: u64 = if cfg!(miri) { 1 } else { 60 };

/// Runs a program dense in one elision, or in none but with the stores of that one, and gives the number of stores that
/// were elided.
///
/// # Panics
///
/// When heap and model differ.
pub fn run(registration: &Registration, stores: Elision, elided: Option<Elision>, seed: u64) -> usize {
    let config = HeapConfig { initial: 8 << 20, ..SMALL };
    let (mut run, mut random) = (Run::new(registration, config), Random::new(seed));
    run.elisions = elided.into_iter().collect();
    let kinds = [Kind::Pair, Kind::Pair, Kind::Refs, Kind::Mixed, Kind::Wide];
    for step in 0..if cfg!(miri) { 60 } else { 600 } {
        let (a, b) = (random.next(), random.next());
        let (root, slot, other) = ((a >> 8) as u8, b as u16, (a >> 16) as u8);
        let from_root = (other as u32 % FROM_ROOTS) as u8;
        let mut do_it = |op: Op| run.step(&op).unwrap();
        match a % 32 {
            0..7 => {
                let kind = kinds[b as usize % kinds.len()];
                // Beyond every threshold for "large", now and then.
                let length = if b & 0xff00 == 0 { 4000 } else { 1 + (b >> 16) as u16 % 9 };
                do_it(Op::Alloc { kind, length, payload: b, from: other, root: (a >> 24) as u8 });
            }
            // The reference survives in a root, and its place gets something else.
            7..19 if stores == Elision::FreshObject => {
                let (kind, into) = (kinds[b as usize % kinds.len()], (a >> 24) as u8);
                do_it(Op::Alloc { kind, length: 3, payload: b, from: other, root });
                do_it(Op::Load { root, slot, into });
                do_it(Op::Store { root, slot, value: if b & 0x100 == 0 { NULL } else { from_root } });
                do_it(Op::Store { root, slot: slot.wrapping_add(1), value: from_root });
            }
            7..19 => {
                do_it(Op::Load { root, slot, into: (a >> 24) as u8 });
                match stores {
                    Elision::FreshObject => unreachable!("done above"),
                    Elision::NullStored => do_it(Op::Store { root, slot, value: NULL }),
                    Elision::I31Stored => do_it(Op::Store { root, slot, value: I31 }),
                    Elision::SameObject => {
                        do_it(Op::Store { root, slot: slot.wrapping_add(1), value: from_root });
                        do_it(Op::Store { root, slot, value: from_root });
                        do_it(Op::Store { root, slot: slot.wrapping_add(7), value: NULL });
                    }
                }
            }
            19..26 => do_it(Op::Store { root, slot, value: from_root }),
            26..28 => do_it(Op::Clear { root }),
            28 => do_it(Op::Ring { count: 1 + (b % 6) as u8 }),
            _ => do_it(Op::Collect { cause: Cause::Internal }),
        }
        if step % 50 == 0 {
            run.check(false);
        }
    }
    run.step(&Op::Collect { cause: Cause::Internal }).unwrap();
    run.check(false);
    run.step(&Op::Collect { cause: Cause::Explicit }).unwrap();
    run.check(true);
    run.elided
}

/// Every elision.
pub const ALL: [Elision; 4] = [Elision::FreshObject, Elision::NullStored, Elision::I31Stored, Elision::SameObject];

pub(super) fn declared_elisions_lose_nothing(registration: &'static Registration) {
    for &elision in registration.spec.elide {
        let elided: usize = (0..PROGRAMS).map(|seed| run(registration, elision, Some(elision), seed)).sum();
        assert!(elided as u64 > 50 * PROGRAMS || cfg!(miri), "{elision:?} was applied {elided} times only");
    }
}

/// The same programs with all barriers: what the elision's programs find is the elision's fault.
pub(super) fn the_same_stores_with_their_barriers(registration: &'static Registration) {
    for stores in ALL {
        (0..PROGRAMS / 4).for_each(|seed| assert_eq!(run(registration, stores, None, seed), 0));
    }
}
