//! Turns: processes, and threads of one, that do something in a directory one after the other.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long a turn is waited for: many times what one takes. Somebody who takes longer was stopped, or sits behind a
/// network.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(2);

/// A turn, which ends with this value, and with the process at the latest. It may be none.
pub(crate) struct Turn(#[expect(dead_code, reason = "closing it gives the lock back")] Option<File>);

/// Waits for a turn in a directory, whose own lock it is: nothing is left behind in it. None is given where there are
/// no locks, or when patience ends: turns keep work from being lost, and nothing else depends on them.
pub(crate) fn take(dir: &Path) -> Turn {
    let Ok(file) = File::open(dir) else { return Turn(None) };
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Turn(Some(file)),
            Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => thread::sleep(PAUSE),
            Err(e) => {
                log::debug!("no turn in {}: {e}", dir.display());
                return Turn(None);
            }
        }
    }
}
