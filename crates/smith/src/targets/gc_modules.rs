//! Generated modules: all settings agree on what a module does.

use super::{Outcome, Target};
use crate::oracle::{self, Setting, compare};
use crate::{Options, generate};
use anyhow::Context;
use arbitrary::Unstructured;
use heapwright::Result;

/// The target.
pub const TARGET: Target = Target { name: "gc_modules", run, bytes: 9000, smoke: 12 };

/// Bytes in front of a module's that choose what it runs under.
const CHOICE: usize = 32;

/// Settings of one input, beside the plainest.
const SETTINGS: u32 = 3;

/// Makes a module of the bytes, runs it under the plainest setting and a few that the bytes choose, and compares.
///
/// # Errors
///
/// What differed, or what a run died of.
pub fn run(bytes: &[u8]) -> Result<Outcome> {
    let (choice, rest) = bytes.split_at(bytes.len().min(CHOICE));
    let generated = generate(&mut Unstructured::new(rest), Options::default())?;
    let reference = Setting::reference();
    let expected = match oracle::run(&generated, &reference).with_context(|| reference.to_string())? {
        oracle::Outcome::Seen(seen) => seen,
        oracle::Outcome::Limited(limit) => return Ok(limit.into()),
    };
    let mut choice = Unstructured::new(choice);
    let mut outcome = None;
    for _ in 0..SETTINGS {
        let setting = Setting::arbitrary(&mut choice)?;
        match oracle::run(&generated, &setting).with_context(|| setting.to_string())? {
            oracle::Outcome::Seen(seen) => {
                compare(&expected, &seen).map_err(|e| anyhow::anyhow!("{setting}: {e}"))?;
                outcome = Some(Outcome::Checked);
            }
            oracle::Outcome::Limited(limit) => outcome = outcome.or(Some(limit.into())),
        }
    }
    Ok(outcome.unwrap_or(Outcome::Checked))
}
