//! Heaps under attack: nothing outside may change, and nothing may end the process.

use super::{Outcome, Target};
use crate::corruption;
use anyhow::anyhow;
use heapwright::Result;

/// The target.
pub const TARGET: Target = Target { name: "heap_corruption", run, bytes: 3000, smoke: 60 };

/// Runs a program while its heap is attacked; the bytes choose both, and the settings.
///
/// # Errors
///
/// What the attack changed that it must not reach, or what went on that is not to be explained by a corrupted heap.
pub fn run(bytes: &[u8]) -> Result<Outcome> {
    let report = corruption::run(bytes).map_err(|e| anyhow!(e))?;
    let attacked = report.deeds.strikes + report.deeds.lies > 0;
    Ok(if attacked { Outcome::Checked } else { Outcome::Discarded("never attacked") })
}
