//! `poll_oneoff`: waiting for times and for descriptors.

use crate::clocks::ClockId;
use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory;
use crate::stdio::InputStream;
use crate::table::{Kind, OpenFile};
use crate::types::{Event, Eventrwflags, Filetype, Rights, Subclockflags, Subscription, SubscriptionKind};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::Seek;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The most subscriptions one call may carry: bounds what a call makes the host remember.
const MAX_SUBSCRIPTIONS: u32 = 65_536;

/// The longest the host is asked to wait at once. Some hosts count the time in 32 bits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// What a subscription comes to when it is looked at.
enum State {
    /// It has happened.
    Ready { nbytes: u64, hangup: bool },
    /// It cannot happen.
    Failed(Errno),
    /// It happens when this much time has passed.
    After(Duration),
    /// It happens when the host says so of this subscription's descriptor.
    Host,
}

impl State {
    fn ready(nbytes: u64) -> State {
        State::Ready { nbytes, hangup: false }
    }
}

/// Asks the host about some descriptors, waiting for at most `timeout` (`None` for ever), and says for
/// each what it answered.
fn poll_host(fds: &[(BorrowedFd<'_>, PollFlags)], timeout: Option<Duration>) -> Result<Vec<PollFlags>, Errno> {
    let start = Instant::now();
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    loop {
        let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
        let wait = left.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
        let wait = Timespec {
            // At most an hour.
            tv_sec: wait.as_secs() as i64,
            tv_nsec: wait.subsec_nanos().into(),
        };
        match rustix::event::poll(&mut polled, Some(&wait)) {
            // Nothing, or a signal to the host: wait for the rest of the time, if there is any.
            Ok(0) | Err(rustix::io::Errno::INTR) if left != Some(Duration::ZERO) => {}
            Ok(_) | Err(rustix::io::Errno::INTR) => {
                return Ok(polled.iter().map(PollFd::revents).collect());
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a host's answer about one descriptor means; `None` if it is not ready.
fn answer(fd: BorrowedFd<'_>, revents: PollFlags, write: bool) -> Option<State> {
    if revents.is_empty() {
        return None;
    }
    if revents.contains(PollFlags::NVAL) {
        return Some(State::Failed(Errno::Badf));
    }
    // How much there is to read is asked only where that can be said; elsewhere "some" is 1.
    let nbytes = match write {
        true => 1,
        false => match rustix::io::ioctl_fionread(fd) {
            Ok(0) if !revents.contains(PollFlags::HUP) => 1,
            Ok(n) => n,
            Err(_) => 1,
        },
    };
    Some(State::Ready { nbytes, hangup: revents.contains(PollFlags::HUP) })
}

/// The state of a file opened by path. Regular files are always ready; what is left to be read is said,
/// from which a program can tell the end.
fn file_state(open: &OpenFile, write: bool) -> State {
    if open.filetype != Filetype::RegularFile {
        return State::Host;
    }
    if write {
        return State::ready(1);
    }
    match (open.file.metadata(), (&open.file).stream_position()) {
        (Ok(meta), Ok(position)) => State::ready(meta.len().saturating_sub(position)),
        (Err(error), _) | (_, Err(error)) => State::Failed(error.into()),
    }
}

impl WasiCtx {
    /// Whether a read from standard input would return at once.
    pub(crate) fn stdin_is_ready(&self) -> Result<bool, Errno> {
        match &self.stdin {
            InputStream::Host(file, _) => {
                let answers = poll_host(&[(file.as_fd(), PollFlags::IN)], Some(Duration::ZERO))?;
                Ok(answers.iter().any(|revents| !revents.is_empty()))
            }
            InputStream::Empty | InputStream::Bytes(..) | InputStream::Reader(_) => Ok(true),
        }
    }

    /// How long it is until a clock subscription happens.
    fn clock_wait(&mut self, id: u32, timeout: u64, flags: u16) -> Result<Duration, Errno> {
        let flags = Subclockflags::from_arg(flags.into())?;
        let id = ClockId::from_raw(id).ok_or(Errno::Inval)?;
        // A sleeping process uses no CPU time: waiting for some would never end.
        if !matches!(id, ClockId::Realtime | ClockId::Monotonic) {
            return Err(Errno::NotSup);
        }
        let remaining = if flags.contains(Subclockflags::ABSTIME) {
            timeout.saturating_sub(self.clock.now(id).ok_or(Errno::Inval)?)
        } else {
            timeout
        };
        Ok(Duration::from_nanos(remaining))
    }

    fn fd_state(&self, fd: u32, write: bool) -> State {
        let right = if write { Rights::FD_WRITE } else { Rights::FD_READ };
        let descriptor = match self.table.get(fd) {
            Ok(descriptor) => descriptor,
            Err(error) => return State::Failed(error),
        };
        if let Err(error) = descriptor.require(right | Rights::POLL_FD_READWRITE) {
            return State::Failed(error);
        }
        match &descriptor.kind {
            Kind::File(open) => file_state(open, write),
            // Bytes are taken into the buffer without waiting.
            Kind::Stdout => State::ready(self.stdout.room()),
            Kind::Stderr => State::ready(self.stderr.room()),
            Kind::Stdin => match &self.stdin {
                InputStream::Empty => State::Ready { nbytes: 0, hangup: true },
                InputStream::Bytes(bytes, at) => {
                    State::Ready { nbytes: (bytes.len() - at) as u64, hangup: bytes.len() == *at }
                }
                // It cannot be asked.
                InputStream::Reader(_) => State::ready(1),
                InputStream::Host(..) => State::Host,
            },
            // Unreachable: a directory lacks the rights.
            Kind::Dir(_) => State::Failed(Errno::Badf),
        }
    }

    /// The host's descriptor behind a guest's which was found to be in [`State::Host`].
    fn host_fd(&self, fd: u32) -> Option<BorrowedFd<'_>> {
        match (&self.table.get(fd).ok()?.kind, &self.stdin) {
            (Kind::File(open), _) => Some(open.file.as_fd()),
            (Kind::Stdin, InputStream::Host(file, _)) => Some(file.as_fd()),
            _ => None,
        }
    }

    /// `poll_oneoff`: waits until one of the `count` things subscribed to at `subscriptions` (48 bytes
    /// each) has happened, stores an event (32 bytes) at `events` for each which has, and how many those
    /// are (a `u32`) at `nevents`.
    ///
    /// What is wrong with one subscription is said in its event; a list which cannot be understood is
    /// [`Errno::Inval`].
    pub fn poll_oneoff(
        &mut self,
        mem: &mut [u8],
        subscriptions: u32,
        events: u32,
        count: u32,
        nevents: u32,
    ) -> Result<(), Errno> {
        if count == 0 || count > MAX_SUBSCRIPTIONS {
            return Err(Errno::Inval);
        }
        memory::check(mem, nevents, 4)?;
        memory::check(mem, events, count * Event::SIZE as u32)?;
        memory::check(mem, subscriptions, count * Subscription::SIZE as u32)?;
        // Read before any event is written: the two arrays may overlap.
        let subscriptions: Vec<Subscription> = (0..count)
            .map(|i| {
                let at = subscriptions + i * Subscription::SIZE as u32;
                Subscription::decode(&memory::load(mem, at)?)
            })
            .collect::<Result<_, Errno>>()?;

        let states = self.poll(&subscriptions)?;

        let mut stored = 0;
        for (subscription, state) in subscriptions.iter().zip(states) {
            let (error, nbytes, hangup) = match state {
                State::Ready { nbytes, hangup } => (Errno::Success, nbytes, hangup),
                State::Failed(error) => (error, 0, false),
                State::After(_) | State::Host => continue,
            };
            let event = Event {
                userdata: subscription.userdata,
                error,
                kind: match subscription.what {
                    SubscriptionKind::Clock { .. } => 0,
                    SubscriptionKind::FdRead(_) => 1,
                    SubscriptionKind::FdWrite(_) => 2,
                },
                nbytes,
                flags: if hangup { Eventrwflags::HANGUP } else { Eventrwflags::empty() },
            };
            memory::store(mem, events + stored * Event::SIZE as u32, &event.encode())?;
            stored += 1;
        }
        memory::store_u32(mem, nevents, stored)
    }

    /// Waits, and returns what has become of each subscription.
    fn poll(&mut self, subscriptions: &[Subscription]) -> Result<Vec<State>, Errno> {
        let mut states: Vec<State> = subscriptions
            .iter()
            .map(|subscription| match subscription.what {
                SubscriptionKind::Clock { id, timeout, flags } => match self.clock_wait(id, timeout, flags) {
                    Ok(wait) => State::After(wait),
                    Err(error) => State::Failed(error),
                },
                SubscriptionKind::FdRead(fd) => self.fd_state(fd, false),
                SubscriptionKind::FdWrite(fd) => self.fd_state(fd, true),
            })
            .collect();

        // How long to wait: not at all if something has happened; for ever if no time is awaited.
        let mut limit: Option<Duration> = None;
        for state in &states {
            let wait = match state {
                State::Ready { .. } | State::Failed(_) => Duration::ZERO,
                State::After(remaining) => *remaining,
                State::Host => continue,
            };
            limit = Some(limit.map_or(wait, |limit| limit.min(wait)));
        }
        if limit != Some(Duration::ZERO) {
            self.flush_before_waiting();
        }

        let on_host: Vec<usize> = (0..states.len()).filter(|&i| matches!(states[i], State::Host)).collect();
        let mut passed = Duration::ZERO;
        let mut happened = false;
        if !on_host.is_empty() {
            // Clocks which do not run with the host must not be waited for on it.
            let timeout = match limit {
                Some(_) if !self.clock.follows_host() => Some(Duration::ZERO),
                limit => limit,
            };
            let start = Instant::now();
            happened = self.poll_on_host(subscriptions, &on_host, timeout, &mut states)?;
            if self.clock.follows_host() {
                passed = start.elapsed();
            }
        }
        if let Some(limit) = limit
            && !happened
            && passed < limit
        {
            self.clock.sleep(limit - passed);
            passed = limit;
        }
        for state in &mut states {
            if matches!(state, State::After(remaining) if *remaining <= passed) {
                *state = State::ready(0);
            }
        }
        Ok(states)
    }

    /// Settles the states of the subscriptions at these indices by asking the host; says whether any was
    /// settled.
    fn poll_on_host(
        &self,
        subscriptions: &[Subscription],
        indices: &[usize],
        timeout: Option<Duration>,
        states: &mut [State],
    ) -> Result<bool, Errno> {
        let mut asked = Vec::with_capacity(indices.len());
        for &i in indices {
            let (fd, write) = match subscriptions[i].what {
                SubscriptionKind::FdRead(fd) => (fd, false),
                SubscriptionKind::FdWrite(fd) => (fd, true),
                SubscriptionKind::Clock { .. } => continue,
            };
            if let Some(host) = self.host_fd(fd) {
                let flags = if write { PollFlags::OUT } else { PollFlags::IN };
                asked.push((i, host, flags, write));
            }
        }
        let fds: Vec<_> = asked.iter().map(|&(_, fd, flags, _)| (fd, flags)).collect();
        let answers = poll_host(&fds, timeout)?;
        let mut settled = false;
        for (&(i, fd, _, write), revents) in asked.iter().zip(answers) {
            if let Some(state) = answer(fd, revents, write) {
                states[i] = state;
                settled = true;
            }
        }
        Ok(settled)
    }
}
