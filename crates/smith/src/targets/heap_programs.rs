//! Heap programs, without code: every registered collector against the model.

use super::{Outcome, Target};
use arbitrary::Unstructured;
use heapwright::Result;
use heapwright_fuzzing::Case;

/// The target.
pub const TARGET: Target = Target { name: "heap_programs", run, bytes: 900, smoke: 60 };

/// Runs the program that the bytes stand for under every collector.
///
/// # Errors
///
/// None.
///
/// # Panics
///
/// When heap and model differ: with the shortest program found that makes them.
pub fn run(bytes: &[u8]) -> Result<Outcome> {
    let case: Case = Unstructured::new(bytes).arbitrary()?;
    for registration in heapwright_collectors::all() {
        case.require(registration);
    }
    Ok(Outcome::Checked)
}
