//! The square-root rule of MemBalancer.
//!
//! M. Kirisame, P. Shenoy, P. Panchekha, "Optimal Heap Limits for Reducing Browser Memory Use", OOPSLA 2022: of all
//! ways to share memory between heaps, total collection time is least when each heap's room above its live bytes `L` is
//! `sqrt(L * g / (c * s))`, with `g` the rate of allocation, `s` the speed of collection (live bytes per second of
//! pause), and `c` one constant for all heaps that trades memory for time.
//!
//! Departures: both rates are smoothed with a factor of one half per collection, as in the paper's prototype but
//! without its separate sampling thread; and a heap never shrinks, because no collector here gives capacity back.

use std::time::Duration;

/// The trade of memory for time, per byte: larger means smaller heaps. A heap with 16 MiB live that allocates 1/4 as
/// fast as it is collected gets as much room again.
const TRADE: f64 = 0.25 / (16.0 * 1024.0 * 1024.0);
/// Room that every heap gets, in bytes: below it a collection's fixed cost dominates.
const LEAST_ROOM: f64 = 512.0 * 1024.0;

/// Smoothed rates of one heap.
#[derive(Default)]
pub(crate) struct Balance {
    allocated: f64,
    mutator: f64,
    collected: f64,
    pause: f64,
}

impl Balance {
    /// Notes a collection: what was allocated since the one before, in which time, and what lived through it in which
    /// pause.
    pub(crate) fn note(&mut self, allocated: u64, mutator: Duration, live: u64, pause: Duration) {
        let mix = |old: &mut f64, new: f64| *old = *old / 2.0 + new;
        mix(&mut self.allocated, allocated as f64);
        mix(&mut self.mutator, mutator.as_secs_f64());
        mix(&mut self.collected, live as f64);
        mix(&mut self.pause, pause.as_secs_f64());
    }

    /// The usable space to have with `live` bytes in use.
    pub(crate) fn wanted(&self, live: u64) -> f64 {
        let live = live as f64;
        let allocation = self.allocated / self.mutator.max(1e-6);
        let collection = (self.collected / self.pause.max(1e-6)).max(1.0);
        live + (live * allocation / (TRADE * collection)).sqrt().max(LEAST_ROOM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    #[test]
    fn room_follows_the_square_root() {
        let second = Duration::from_secs(1);
        let wanted = |live: u64, allocated: u64| {
            let mut balance = Balance::default();
            (0..20).for_each(|_| balance.note(allocated, second, live, second));
            balance.wanted(live) - live as f64
        };
        // With live bytes collected per second of pause, the room is sqrt(g / c): the constant's own example.
        let room = wanted(16 * MB, 4 * MB);
        assert!((room / (16.0 * MB as f64) - 1.0).abs() < 0.01, "{room}");
        // Four times the rate of allocation: twice the room.
        assert!((wanted(16 * MB, 16 * MB) / room - 2.0).abs() < 0.01);
        // Without live data the least room is left.
        assert_eq!(wanted(0, 100 * MB), LEAST_ROOM);
    }
}
