//! Clocks: the host's, a virtual one for reproducible runs, and the functions which read them.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory;
use std::time::{Duration, Instant, SystemTime};

/// The clocks a guest can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ClockId {
    /// Wall-clock time; zero is 1970-01-01T00:00:00Z.
    Realtime = 0,
    /// A clock which never goes back; its zero has no meaning.
    Monotonic = 1,
    /// The CPU time the process has used.
    ProcessCpuTime = 2,
    /// The CPU time the calling thread has used.
    ThreadCpuTime = 3,
}

impl ClockId {
    /// The clock with this number, if the specification has one.
    pub fn from_raw(value: u32) -> Option<ClockId> {
        Some(match value {
            0 => ClockId::Realtime,
            1 => ClockId::Monotonic,
            2 => ClockId::ProcessCpuTime,
            3 => ClockId::ThreadCpuTime,
            _ => return None,
        })
    }
}

/// A source of time for a guest.
///
/// Every time a guest can see comes from here, and every wait goes through here, so a run with a
/// [`VirtualClock`] sees the same times whenever it is repeated. (The exceptions are the timestamps of
/// files which a guest writes to: those the host's file system sets.)
pub trait Clock: Send {
    /// The time of a clock in nanoseconds, or `None` if there is no such clock here.
    fn now(&mut self, id: ClockId) -> Option<u64>;

    /// The resolution of a clock in nanoseconds, never zero, or `None` if there is no such clock here.
    fn resolution(&mut self, id: ClockId) -> Option<u64>;

    /// Waits until `duration` has passed on the realtime and monotonic clocks.
    fn sleep(&mut self, duration: Duration);

    /// Whether these clocks run with the host's, so that waiting on the host (for input, say) passes
    /// time on them too. `false` unless overridden.
    fn follows_host(&self) -> bool {
        false
    }
}

/// The host's clocks.
///
/// The monotonic clock starts near zero when this is made.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Clocks whose monotonic time starts now.
    pub fn new() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn host_clock(id: ClockId) -> rustix::time::ClockId {
    match id {
        ClockId::Realtime => rustix::time::ClockId::Realtime,
        ClockId::Monotonic => rustix::time::ClockId::Monotonic,
        ClockId::ProcessCpuTime => rustix::time::ClockId::ProcessCPUTime,
        ClockId::ThreadCpuTime => rustix::time::ClockId::ThreadCPUTime,
    }
}

fn timespec_nanos(time: rustix::time::Timespec) -> u64 {
    let total = i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec);
    u64::try_from(total.max(0)).unwrap_or(u64::MAX)
}

impl Clock for SystemClock {
    fn now(&mut self, id: ClockId) -> Option<u64> {
        Some(match id {
            // A host whose date is before 1970 reads as 1970: the type has no earlier time.
            ClockId::Realtime => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, saturating_nanos),
            ClockId::Monotonic => saturating_nanos(self.start.elapsed()),
            ClockId::ProcessCpuTime | ClockId::ThreadCpuTime => {
                timespec_nanos(rustix::time::clock_gettime(host_clock(id)))
            }
        })
    }

    fn resolution(&mut self, id: ClockId) -> Option<u64> {
        Some(timespec_nanos(rustix::time::clock_getres(host_clock(id))).max(1))
    }

    fn sleep(&mut self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn follows_host(&self) -> bool {
        true
    }
}

/// Clocks which the host does not move: time passes by a fixed step at each reading, and by the full
/// duration at each sleep, which returns at once.
///
/// A run's times then depend only on what the guest does. The step lets a guest which spins until a
/// time has come get there.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    realtime_start: u64,
    elapsed: u64,
    step: u64,
}

impl VirtualClock {
    /// Clocks at `realtime` nanoseconds after 1970 and monotonic time zero, moving on by one
    /// microsecond at each reading.
    pub fn new(realtime: u64) -> VirtualClock {
        VirtualClock { realtime_start: realtime, elapsed: 0, step: 1_000 }
    }

    /// Sets by how many nanoseconds a reading moves time on. Zero stops time but for sleeps.
    pub fn with_step(mut self, nanoseconds: u64) -> VirtualClock {
        self.step = nanoseconds;
        self
    }
}

impl Clock for VirtualClock {
    fn now(&mut self, id: ClockId) -> Option<u64> {
        let now = match id {
            ClockId::Realtime => self.realtime_start.saturating_add(self.elapsed),
            // With no host behind it, CPU time is the time which has passed.
            ClockId::Monotonic | ClockId::ProcessCpuTime | ClockId::ThreadCpuTime => self.elapsed,
        };
        self.elapsed = self.elapsed.saturating_add(self.step);
        Some(now)
    }

    fn resolution(&mut self, _: ClockId) -> Option<u64> {
        Some(self.step.max(1))
    }

    fn sleep(&mut self, duration: Duration) {
        self.elapsed = self.elapsed.saturating_add(saturating_nanos(duration));
    }
}

impl WasiCtx {
    /// `clock_res_get`: stores the resolution of clock `id` in nanoseconds (a `u64`) at `result`.
    pub fn clock_res_get(&mut self, mem: &mut [u8], id: u32, result: u32) -> Result<(), Errno> {
        let id = ClockId::from_raw(id).ok_or(Errno::Inval)?;
        let resolution = self.clock.resolution(id).ok_or(Errno::Inval)?;
        memory::store_u64(mem, result, resolution)
    }

    /// `clock_time_get`: stores the time of clock `id` in nanoseconds (a `u64`) at `result`.
    ///
    /// `precision`, the lag the caller would accept, is not used: the answer never lags.
    pub fn clock_time_get(&mut self, mem: &mut [u8], id: u32, precision: u64, result: u32) -> Result<(), Errno> {
        let _ = precision;
        memory::check(mem, result, 8)?;
        let id = ClockId::from_raw(id).ok_or(Errno::Inval)?;
        let now = self.clock.now(id).ok_or(Errno::Inval)?;
        memory::store_u64(mem, result, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_moves_only_when_looked_at() {
        let mut clock = VirtualClock::new(1_000_000).with_step(10);
        assert_eq!(clock.now(ClockId::Realtime), Some(1_000_000));
        assert_eq!(clock.now(ClockId::Monotonic), Some(10));
        clock.sleep(Duration::from_secs(1));
        assert_eq!(clock.now(ClockId::Monotonic), Some(1_000_000_020));
        assert_eq!(clock.resolution(ClockId::Realtime), Some(10));
        clock.sleep(Duration::MAX);
        assert_eq!(clock.now(ClockId::Realtime), Some(u64::MAX));
    }

    #[test]
    fn host_clocks_run() {
        let mut clock = SystemClock::new();
        for raw in 0..4 {
            let id = ClockId::from_raw(raw).unwrap();
            assert_eq!(id as u32, raw);
            let first = clock.now(id).unwrap();
            assert!(clock.now(id).unwrap() >= first);
            assert!(clock.resolution(id).unwrap() > 0);
        }
        assert_eq!(ClockId::from_raw(4), None);
        // 2020-01-01 in nanoseconds.
        assert!(clock.now(ClockId::Realtime).unwrap() > 1_577_836_800_000_000_000);
    }
}
