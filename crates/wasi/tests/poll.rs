//! Waiting.

mod support;

use heapwright_wasi::{OutputPipe, Perms, VirtualClock, WasiCtx};
use std::io::Write;
use std::time::{Duration, Instant};
use support::{Guest, ROOT, errno, rights, scratch};

#[derive(Clone, Copy)]
enum Sub {
    Clock { id: u32, timeout: u64, absolute: bool },
    Read(u32),
    Write(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    userdata: u64,
    error: u32,
    kind: u8,
    nbytes: u64,
    hangup: bool,
}

fn encode(userdata: u64, sub: Sub) -> [u8; 48] {
    let mut record = [0u8; 48];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    match sub {
        Sub::Clock { id, timeout, absolute } => {
            record[16..20].copy_from_slice(&id.to_le_bytes());
            record[24..32].copy_from_slice(&timeout.to_le_bytes());
            record[40] = absolute.into();
        }
        Sub::Read(fd) => {
            record[8] = 1;
            record[16..20].copy_from_slice(&fd.to_le_bytes());
        }
        Sub::Write(fd) => {
            record[8] = 2;
            record[16..20].copy_from_slice(&fd.to_le_bytes());
        }
    }
    record
}

/// Polls; each subscription's userdata is 100 plus its place.
fn poll(guest: &mut Guest, subs: &[Sub]) -> Result<Vec<Event>, u32> {
    guest.reset();
    let input: Vec<u8> = subs.iter().enumerate().flat_map(|(i, sub)| encode(100 + i as u64, *sub)).collect();
    let input = guest.put(&input);
    let output = guest.put(&vec![0xee; subs.len() * 32]);
    let count = guest.alloc(4);
    match guest.call("poll_oneoff", &[input, output, subs.len() as u64, count]) {
        errno::SUCCESS => {}
        error => return Err(error),
    }
    let count = u64::from(guest.u32(count));
    assert!(count <= subs.len() as u64);
    Ok((0..count)
        .map(|i| {
            let at = output + i * 32;
            Event {
                userdata: guest.u64(at),
                error: guest.u16(at + 8).into(),
                kind: guest.u8(at + 10),
                nbytes: guest.u64(at + 16),
                hangup: guest.u16(at + 24) == 1,
            }
        })
        .collect())
}

const MONOTONIC: u32 = 1;

fn after(nanoseconds: u64) -> Sub {
    Sub::Clock { id: MONOTONIC, timeout: nanoseconds, absolute: false }
}

fn clock_event(place: u64) -> Event {
    Event { userdata: 100 + place, error: 0, kind: 0, nbytes: 0, hangup: false }
}

fn virtual_guest() -> Guest {
    let clock = VirtualClock::new(1_000_000_000).with_step(0);
    Guest::new(WasiCtx::builder().clock(clock).build().unwrap())
}

fn now(guest: &mut Guest, id: u64) -> u64 {
    guest.reset();
    let at = guest.alloc(8);
    assert_eq!(guest.call("clock_time_get", &[id, 0, at]), errno::SUCCESS);
    guest.u64(at)
}

#[test]
fn sleeping_takes_the_time() {
    let mut guest = Guest::bare();
    let start = Instant::now();
    assert_eq!(poll(&mut guest, &[after(30_000_000)]), Ok(vec![clock_event(0)]));
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[test]
fn virtual_sleep_takes_virtual_time() {
    let mut guest = virtual_guest();
    let start = Instant::now();
    let year = 31_536_000_000_000_000;
    assert_eq!(poll(&mut guest, &[after(year)]), Ok(vec![clock_event(0)]));
    assert!(start.elapsed() < Duration::from_secs(60));
    assert_eq!(now(&mut guest, 1), year);
    assert_eq!(now(&mut guest, 0), 1_000_000_000 + year);
}

#[test]
fn the_earliest_time_comes_first() {
    let mut guest = virtual_guest();
    let events = poll(&mut guest, &[after(500), after(200), after(200), after(u64::MAX)]);
    assert_eq!(events, Ok(vec![clock_event(1), clock_event(2)]));
    assert_eq!(now(&mut guest, 1), 200);
}

#[test]
fn times_on_a_clock() {
    let mut guest = virtual_guest();
    let at = |id, timeout| Sub::Clock { id, timeout, absolute: true };
    assert_eq!(poll(&mut guest, &[at(0, 1_000_000_300)]), Ok(vec![clock_event(0)]));
    assert_eq!(now(&mut guest, 1), 300);
    // One which has passed comes at once, and with it nothing else.
    assert_eq!(poll(&mut guest, &[after(1), at(1, 200), at(0, 0)]), Ok(vec![clock_event(1), clock_event(2)]));
    assert_eq!(now(&mut guest, 1), 300);
    assert_eq!(poll(&mut guest, &[after(0)]), Ok(vec![clock_event(0)]));
}

#[test]
fn what_is_wrong_is_said_in_the_event() {
    let mut guest = virtual_guest();
    let clock = |id| Sub::Clock { id, timeout: 1_000, absolute: false };
    let subs =
        [clock(9), clock(2), clock(3), Sub::Read(99), Sub::Read(1), Sub::Write(0), Sub::Write(99), after(1_000_000)];
    let errors: Vec<_> = poll(&mut guest, &subs)
        .unwrap()
        .into_iter()
        .map(|event| (event.userdata - 100, event.kind, event.error))
        .collect();
    assert_eq!(
        errors,
        [
            (0, 0, errno::INVAL),
            (1, 0, errno::NOTSUP),
            (2, 0, errno::NOTSUP),
            (3, 1, errno::BADF),
            (4, 1, errno::NOTCAPABLE),
            (5, 2, errno::NOTCAPABLE),
            (6, 2, errno::BADF),
        ]
    );
    assert_eq!(now(&mut guest, 1), 0);
}

#[test]
fn lists_which_make_no_sense() {
    let mut guest = virtual_guest();
    // "If `nsubscriptions` is 0, returns `errno::inval`."
    assert_eq!(poll(&mut guest, &[]), Err(errno::INVAL));
    guest.reset();
    let mut record = encode(1, after(1));
    record[8] = 3;
    let at = guest.put(&record);
    assert_eq!(guest.call("poll_oneoff", &[at, 64, 1, 128]), errno::INVAL);
    let mut record = encode(1, after(1));
    record[40] = 2;
    guest.reset();
    let at = guest.put(&record);
    assert_eq!(guest.call("poll_oneoff", &[at, 64, 1, 128]), errno::SUCCESS);
    assert_eq!(u32::from(guest.u16(64 + 8)), errno::INVAL);
    assert_eq!(guest.call("poll_oneoff", &[at, 64, u64::from(u32::MAX), 128]), errno::INVAL);
    assert_eq!(guest.call("poll_oneoff", &[at, 64, 3000, 128]), errno::FAULT);
}

#[test]
fn events_may_be_stored_over_the_subscriptions() {
    let mut guest = virtual_guest();
    guest.reset();
    let list: Vec<u8> = (0..4).flat_map(|i| encode(i, after(5))).collect();
    let at = guest.put(&list);
    let count = guest.alloc(4);
    assert_eq!(guest.call("poll_oneoff", &[at, at, 4, count]), errno::SUCCESS);
    assert_eq!(guest.u32(count), 4);
    for i in 0..4 {
        assert_eq!(guest.u64(at + i * 32), i);
        assert_eq!(guest.u16(at + i * 32 + 8), 0);
    }
}

#[test]
fn streams_in_memory_are_ready() {
    let ctx = WasiCtx::builder().stdin_bytes("12345").build().unwrap();
    let mut guest = Guest::new(ctx);
    let subs = [after(u64::MAX), Sub::Read(0), Sub::Write(1), Sub::Write(2)];
    let events = poll(&mut guest, &subs).unwrap();
    assert_eq!(
        events.iter().map(|e| (e.userdata, e.kind, e.error)).collect::<Vec<_>>(),
        [(101, 1, 0), (102, 2, 0), (103, 2, 0)]
    );
    assert_eq!((events[0].nbytes, events[0].hangup), (5, false));
    assert!(events[1].nbytes > 0);
    guest.read(0, 10).unwrap();
    // The end can be read too: it is no reason to wait.
    let events = poll(&mut guest, &[Sub::Read(0)]).unwrap();
    assert_eq!((events[0].nbytes, events[0].hangup), (0, true));
}

#[test]
fn regular_files_are_ready() {
    let dir = scratch();
    std::fs::write(dir.path().join("file"), b"12345678").unwrap();
    let mut guest = Guest::with_dir(dir.path(), Perms::ReadWrite);
    let fd = guest.open_rw("file", 0).unwrap();
    guest.seek(fd, 3, 0).unwrap();
    let events = poll(&mut guest, &[Sub::Read(fd), Sub::Write(fd), after(u64::MAX)]).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].kind, events[0].nbytes), (1, 5));
    assert_eq!(events[1].kind, 2);
    // The right to poll is one of its own.
    let fd = guest.open(ROOT, "file", 0, rights::FD_READ).unwrap();
    assert_eq!(poll(&mut guest, &[Sub::Read(fd)]).unwrap()[0].error, errno::NOTCAPABLE);
    assert_eq!(poll(&mut guest, &[Sub::Read(ROOT)]).unwrap()[0].error, errno::NOTCAPABLE);
}

#[test]
fn waiting_sends_output_on() {
    let output = OutputPipe::new();
    let ctx = WasiCtx::builder().stdout(output.clone()).clock(VirtualClock::new(0)).build().unwrap();
    let mut guest = Guest::new(ctx);
    guest.write(1, b"soon...").unwrap();
    poll(&mut guest, &[Sub::Write(1)]).unwrap();
    assert_eq!(output.contents(), b"");
    poll(&mut guest, &[after(1)]).unwrap();
    assert_eq!(output.contents(), b"soon...");
}

#[cfg(target_os = "linux")]
#[test]
fn named_pipes_are_waited_for() {
    let dir = scratch();
    let handle = std::fs::File::open(dir.path()).unwrap();
    rustix::fs::mknodat(&handle, "fifo", rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let mut guest = Guest::with_dir(dir.path(), Perms::ReadWrite);
    // Linux opens a FIFO for both directions without waiting.
    let fd = guest.open_rw("fifo", 0).unwrap();
    let start = Instant::now();
    let events = poll(&mut guest, &[Sub::Read(fd), after(20_000_000)]);
    assert_eq!(events, Ok(vec![clock_event(1)]));
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(poll(&mut guest, &[Sub::Write(fd)]).unwrap()[0].kind, 2);

    // Somebody else writes while the guest waits.
    let path = dir.path().join("fifo");
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        std::fs::OpenOptions::new().write(true).open(path).unwrap().write_all(b"abc").unwrap();
    });
    let events = poll(&mut guest, &[Sub::Read(fd), after(30_000_000_000)]).unwrap();
    assert_eq!((events.len(), events[0].userdata, events[0].nbytes), (1, 100, 3));
    // A read gives what is there, and does not wait for more.
    guest.reset();
    let (list, _) = guest.iovecs(&[3, 3]);
    let n = guest.alloc(4);
    assert_eq!(guest.call("fd_read", &[fd.into(), list, 2, n]), errno::SUCCESS);
    assert_eq!(guest.u32(n), 3);
    writer.join().unwrap();

    // Not to be waited for, an empty pipe says so.
    assert_eq!(guest.call("fd_fdstat_set_flags", &[fd.into(), 4]), errno::SUCCESS);
    assert_eq!(guest.read(fd, 1), Err(errno::AGAIN));
}

#[cfg(target_os = "linux")]
#[test]
fn virtual_time_does_not_wait_on_the_host() {
    let dir = scratch();
    let handle = std::fs::File::open(dir.path()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(&handle, "fifo", rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let ctx = WasiCtx::builder()
        .preopened_dir(dir.path(), "/", Perms::ReadWrite)
        .clock(VirtualClock::new(0).with_step(0))
        .build()
        .unwrap();
    let mut guest = Guest::new(ctx);
    let fd = guest.open_rw("fifo", 0).unwrap();
    let hour = 3_600_000_000_000;
    assert_eq!(poll(&mut guest, &[Sub::Read(fd), after(hour)]), Ok(vec![clock_event(1)]));
    assert_eq!(now(&mut guest, 1), hour);
    guest.write(fd, b"x").unwrap();
    let events = poll(&mut guest, &[Sub::Read(fd), after(hour)]).unwrap();
    assert_eq!((events.len(), events[0].nbytes), (1, 1));
    assert_eq!(now(&mut guest, 1), hour);
}
