//! WebAssembly GC modules made of arbitrary bytes, and what must be the same about every run of one.
//!
//! [`generate`] makes a module that allocates, mutates, casts, throws and calls in every way that the language has, and
//! ends by itself. [`oracle`] runs it under a [`Setting`](oracle::Setting): a collector, a heap, a way of trapping, a
//! set of optimiser passes. What the guest can observe (results, traps, memory, globals, the graph of objects that they
//! reach, how many host values are dropped) may depend on none of them.
//!
//! `corruption` (a feature, because it needs an engine whose heaps can be attacked) runs programs while their heap is
//! overwritten.
//!
//! [`targets`] are what fuzzing runs, and ordinary tests too: functions from bytes to a verdict. Nothing of the engine
//! depends on this crate.

#![deny(unsafe_code)]

#[cfg(feature = "corruption")]
pub mod corruption;
mod module;
pub mod oracle;
pub mod shrink;
pub mod targets;
mod token;

pub use module::{COUNTERS, Generated, Options, generate};

/// Bytes for a generator, of a seed: the same on every machine.
pub fn bytes_of(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016).
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
