//! Limits on what a program may take.

use crate::sizes;
use clap::Args;
use heapwright::{Config, Engine, Store, StoreLimitsBuilder};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Heading of these options.
pub(crate) const LIMITS: &str = "Limits";

/// Limits of one run.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Stop the program after so much work: an operator of the language costs 1, an operation on a range more by its
    /// length. A program costs the same under every collector and setting
    #[arg(long, value_name = "UNITS", help_heading = LIMITS)]
    fuel: Option<u64>,

    /// Stop the program after so much time, such as `500ms`, `10s`, `2m`, `1h`; what a function of the host is doing
    /// then is finished
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = LIMITS)]
    timeout: Option<Duration>,

    /// Largest size of each linear memory: growth beyond it fails
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse, help_heading = LIMITS)]
    max_memory: Option<u64>,

    /// Largest number of slots of each table: growth beyond it fails
    #[arg(long, value_name = "SLOTS", help_heading = LIMITS)]
    max_table: Option<u64>,

    /// Largest GC object, at least 64k: a larger one traps, whatever room there is
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse, help_heading = LIMITS)]
    max_object: Option<u64>,
}

/// Moves the epoch on when the time is over. Dropped, it waits no longer.
pub(crate) struct Watchdog(Option<Sender<()>>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        // The thread sees that nobody is left to wait for.
        self.0.take();
    }
}

impl LimitArgs {
    /// What compiled code must do for the limits.
    pub(crate) fn configure(&self, config: &mut Config) {
        config.consume_fuel(self.fuel.is_some()).epoch_interruption(self.timeout.is_some());
        if let Some(bytes) = self.max_object {
            config.max_object_size(bytes);
        }
    }

    /// Sets the limits of the program's store, and starts the clock.
    pub(crate) fn apply<T>(&self, engine: &Engine, store: &mut Store<T>) -> heapwright::Result<Watchdog> {
        if let Some(fuel) = self.fuel {
            store.set_fuel(fuel)?;
        }
        if self.max_memory.is_some() || self.max_table.is_some() {
            let mut limits = StoreLimitsBuilder::new();
            if let Some(bytes) = self.max_memory {
                limits = limits.memory_size(bytes);
            }
            if let Some(slots) = self.max_table {
                limits = limits.table_elements(slots);
            }
            store.limiter(Some(Box::new(limits.build())));
        }
        let Some(time) = self.timeout else { return Ok(Watchdog(None)) };
        store.set_epoch_deadline(1);
        let (alive, over) = channel();
        let engine = engine.clone();
        std::thread::Builder::new().name("timeout".into()).spawn(move || {
            if over.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        })?;
        Ok(Watchdog(Some(alive)))
    }
}

/// A time: a whole number with `ms`, `s`, `m` or `h`; seconds without.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let milliseconds: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("a time is a number of seconds, or has `ms`, `s`, `m` or `h` behind it".into()),
    };
    let number: u64 = match digits.parse() {
        Ok(number) if !digits.starts_with('+') => number,
        _ => return Err("a time is a whole number, such as `500ms`, `10s` or `2m`".into()),
    };
    let time = number.checked_mul(milliseconds).ok_or("this is more than 64 bits can count")?;
    Ok(Duration::from_millis(time))
}

#[cfg(test)]
mod tests {
    use super::duration;
    use std::time::Duration;

    #[test]
    fn times() {
        for (text, ms) in
            [("500ms", 500), ("10", 10_000), ("10s", 10_000), ("2m", 120_000), ("1h", 3_600_000), ("0", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "1.5s", "-1", "+1", "1 s", "1d", "18446744073709551616", "18446744073709551615h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
