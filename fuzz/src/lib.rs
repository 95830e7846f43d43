//! What fuzz targets share: how an input is run under libFuzzer, a count of what came of the inputs, and the other
//! engines that ours is compared with.

#[cfg(feature = "peers")]
pub mod differential;
pub mod node;
#[cfg(feature = "peers")]
mod peer;
mod seen;

use heapwright_smith::targets::{Outcome, Target};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[doc(hidden)]
pub use libfuzzer_sys;

/// The entry point that libFuzzer calls, for a [`Target`]. Inputs that say nothing are kept out of the corpus.
#[macro_export]
macro_rules! target {
    ($target:expr) => {
        $crate::libfuzzer_sys::fuzz_target!(|bytes: &[u8]| -> $crate::libfuzzer_sys::Corpus {
            match $crate::run(&$target, bytes) {
                true => $crate::libfuzzer_sys::Corpus::Keep,
                false => $crate::libfuzzer_sys::Corpus::Reject,
            }
        });
    };
}

/// What came of the inputs so far.
struct Tally {
    outcomes: BTreeMap<&'static str, u64>,
    printed: Instant,
}

static TALLY: Mutex<Option<Tally>> = Mutex::new(None);

/// Time between two lines of the tally.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs an input. Returns whether anything was checked.
///
/// # Panics
///
/// When the target finds something.
pub fn run(target: &Target, bytes: &[u8]) -> bool {
    let outcome = match (target.run)(bytes) {
        Ok(outcome) => outcome,
        Err(error) => panic!("{} finds: {error:?}", target.name),
    };
    let name = match outcome {
        Outcome::Checked => "checked",
        Outcome::Discarded(why) => why,
    };
    let mut tally = TALLY.lock().unwrap_or_else(PoisonError::into_inner);
    let tally = tally.get_or_insert_with(|| Tally { outcomes: BTreeMap::new(), printed: Instant::now() });
    *tally.outcomes.entry(name).or_default() += 1;
    if tally.printed.elapsed() > PAUSE {
        tally.printed = Instant::now();
        let total: u64 = tally.outcomes.values().sum();
        eprintln!("TALLY of {total} inputs: {:?}", tally.outcomes);
    }
    outcome == Outcome::Checked
}
