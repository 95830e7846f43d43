//! Steps of heap programs: what they are, how bytes are read as one, how one is printed.

use crate::world::{KINDS, Kind};
use arbitrary::{Result, Unstructured};
use heapwright_gc_heap::Cause;
use std::fmt;

/// Number of roots.
pub(crate) const ROOTS: usize = 12;

/// A step of a heap program. Numbers are reduced to what exists when the step runs, so that any list of steps is a
/// program and a failing one can be shortened by leaving steps out: a root is taken modulo the number of roots, and
/// where a step needs an object, the first root from there on that holds one is meant; a slot is taken modulo the
/// object's references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make an object, initialise its first references from roots, and root it.
    Alloc {
        /// Its kind.
        kind: Kind,
        /// Arrays: number of elements.
        length: u16,
        /// What its payload says.
        payload: u32,
        /// The value of its first reference; the next ones follow.
        from: u8,
        /// Where it is rooted.
        root: u8,
    },
    /// Store into a reference of a rooted object.
    Store {
        /// The object.
        root: u8,
        /// Which reference.
        slot: u16,
        /// A root, null or an i31.
        value: u8,
    },
    /// Root what a reference of a rooted object names.
    Load {
        /// The object.
        root: u8,
        /// Which reference.
        slot: u16,
        /// The root that gets it.
        into: u8,
    },
    /// Overwrite the payload.
    Payload {
        /// The object.
        root: u8,
        /// The new payload.
        payload: u32,
    },
    /// `array.fill`.
    Fill {
        /// The array.
        root: u8,
        /// First element.
        start: u16,
        /// Elements, as far as there are so many.
        count: u16,
        /// A root, null or an i31.
        value: u8,
    },
    /// `array.copy`.
    Copy {
        /// The array written to.
        to: u8,
        /// First element there.
        to_start: u16,
        /// The array read from.
        from: u8,
        /// First element there.
        from_start: u16,
        /// Elements, as far as there are so many.
        count: u16,
    },
    /// Forget a root.
    Clear {
        /// Which.
        root: u8,
    },
    /// Make garbage: a ring of so many pairs.
    Ring {
        /// How many.
        count: u8,
    },
    /// Collect.
    Collect {
        /// Why.
        cause: Cause,
    },
}

impl Op {
    /// Reads a step from bytes. Steps that build and change graphs are more frequent than others, and lengths are
    /// mostly small, some beyond every threshold for "large".
    pub(crate) fn arbitrary(u: &mut Unstructured<'_>) -> Result<Op> {
        let weight = u.int_in_range(0..=42u8)?;
        Ok(match weight {
            0..8 => {
                let kind = if u.ratio(3, 7)? { Kind::Pair } else { *u.choose(&KINDS)? };
                let length = match u.int_in_range(0..=11u8)? {
                    0..8 => u.int_in_range(0..=11)?,
                    8..11 => u.int_in_range(12..=299)?,
                    _ => u.int_in_range(300..=4999)?,
                };
                Op::Alloc { kind, length, payload: u.arbitrary()?, from: u.arbitrary()?, root: u.arbitrary()? }
            }
            8..22 => Op::Store { root: u.arbitrary()?, slot: u.arbitrary()?, value: u.arbitrary()? },
            22..28 => Op::Load { root: u.arbitrary()?, slot: u.arbitrary()?, into: u.arbitrary()? },
            28..30 => Op::Payload { root: u.arbitrary()?, payload: u.arbitrary()? },
            30..32 => {
                let (root, start) = (u.arbitrary()?, u.arbitrary()?);
                Op::Fill { root, start, count: u.int_in_range(0..=599)?, value: u.arbitrary()? }
            }
            32..34 => Op::Copy {
                to: u.arbitrary()?,
                to_start: u.arbitrary()?,
                from: u.arbitrary()?,
                from_start: u.arbitrary()?,
                count: u.int_in_range(0..=599)?,
            },
            34..38 => Op::Clear { root: u.arbitrary()? },
            38 => Op::Ring { count: u.int_in_range(1..=39)? },
            // Ordinary collections mostly: what a collector remembers between them is what goes wrong.
            _ => Op::Collect {
                cause: match u.int_in_range(0..=9u8)? {
                    0..6 => Cause::Internal,
                    6..8 => Cause::AllocationFailure,
                    8 => Cause::Explicit,
                    _ => Cause::LastResort,
                },
            },
        })
    }

    /// Steps that do less of the same kind, the simplest first.
    pub(crate) fn simpler(&self) -> Vec<Op> {
        let mut simpler = Vec::new();
        match *self {
            Op::Alloc { kind, length, payload, from, root } => {
                for kind in [Kind::Leaf, Kind::Pair].into_iter().take_while(|simple| *simple != kind) {
                    simpler.push(Op::Alloc { kind, length: 0, payload: 0, from, root });
                }
                for less in [0, 1, length / 2, length.saturating_sub(1)].into_iter().filter(|less| *less < length) {
                    simpler.push(Op::Alloc { kind, length: less, payload, from, root });
                }
                simpler.push(Op::Alloc { kind, length, payload: 0, from, root });
                simpler.push(Op::Alloc { kind, length, payload, from: ROOTS as u8, root });
                simpler.push(Op::Alloc { kind, length, payload, from, root: reduced(root) });
            }
            Op::Store { root, slot, value } => {
                simpler.push(Op::Store { root, slot, value: ROOTS as u8 });
                simpler.push(Op::Store { root, slot: 0, value });
                simpler.push(Op::Store { root: reduced(root), slot, value: value % VALUES });
            }
            Op::Load { root, slot, into } => {
                simpler.push(Op::Load { root, slot: 0, into });
                simpler.push(Op::Load { root: reduced(root), slot, into: reduced(into) });
            }
            Op::Payload { root, payload: _ } => simpler.push(Op::Payload { root: reduced(root), payload: 0 }),
            Op::Fill { root, start, count, value } => {
                simpler.push(Op::Store { root, slot: start, value });
                simpler.push(Op::Fill { root, start: 0, count, value });
                simpler.push(Op::Fill { root, start, count: count / 2, value });
            }
            Op::Copy { to, to_start, from, from_start, count } => {
                simpler.push(Op::Copy { to, to_start: 0, from, from_start: 0, count });
                simpler.push(Op::Copy { to, to_start, from, from_start, count: count / 2 });
            }
            Op::Clear { root } => simpler.push(Op::Clear { root: reduced(root) }),
            Op::Ring { count } => {
                let less = [1, count / 2].into_iter().filter(|less| *less < count);
                simpler.extend(less.map(|count| Op::Ring { count }));
            }
            Op::Collect { cause } => {
                let simple = [Cause::Explicit, Cause::Internal].into_iter().take_while(|simple| *simple != cause);
                simpler.extend(simple.map(|cause| Op::Collect { cause }));
            }
        }
        simpler.retain(|op| op != self);
        simpler
    }
}

/// Values that a step can store: what the roots hold, null, and two i31s.
const VALUES: u8 = ROOTS as u8 + 3;

fn reduced(root: u8) -> u8 {
    root % ROOTS as u8
}

/// A value to store, in print.
struct Stored(u8);

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % VALUES {
            12 => f.write_str("null"),
            13 | 14 => write!(f, "i31({})", self.0),
            root => write!(f, "r{root}"),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Op::Alloc { kind, length, payload, from, root } => {
                let elements = if kind.is_array() { format!("[{length}]") } else { String::new() };
                let (root, from) = (reduced(root), Stored(from));
                write!(f, "r{root} = new {kind:?}{elements}, payload {payload:#x}, references from {from} on")
            }
            Op::Store { root, slot, value } => write!(f, "r{}.{slot} = {}", reduced(root), Stored(value)),
            Op::Load { root, slot, into } => write!(f, "r{} = r{}.{slot}", reduced(into), reduced(root)),
            Op::Payload { root, payload } => write!(f, "r{}.payload = {payload:#x}", reduced(root)),
            Op::Fill { root, start, count, value } => {
                write!(f, "fill r{} from {start}, {count} elements, with {}", reduced(root), Stored(value))
            }
            Op::Copy { to, to_start, from, from_start, count } => {
                let (to, from) = (reduced(to), reduced(from));
                write!(f, "copy {count} elements of r{from} from {from_start} to r{to} from {to_start}")
            }
            Op::Clear { root } => write!(f, "r{} = null", reduced(root)),
            Op::Ring { count } => write!(f, "a ring of {count} pairs, dropped"),
            Op::Collect { cause } => write!(f, "collect ({cause:?})"),
        }
    }
}
