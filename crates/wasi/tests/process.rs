//! Arguments, environment, clocks, random bytes and how a guest ends.

mod support;

use heapwright_wasi::{
    BuildError, Clock, ClockId, Errno, Exit, OutputPipe, Random, SeededRandom, VirtualClock, WasiCtx,
};
use std::io;
use std::time::Duration;
use support::{Guest, errno};

/// Calls a `sizes_get` and a `get` function and collects the strings as a C library does.
fn strings(guest: &mut Guest, what: &str) -> Vec<Vec<u8>> {
    guest.reset();
    let (count, size) = (guest.alloc(4), guest.alloc(4));
    assert_eq!(guest.call(&format!("{what}_sizes_get"), &[count, size]), 0);
    let (count, size) = (guest.u32(count), guest.u32(size));
    let (pointers, buf) = (guest.alloc(count as usize * 4), guest.alloc(size as usize));
    assert_eq!(guest.call(&format!("{what}_get"), &[pointers, buf]), 0);
    let strings: Vec<Vec<u8>> = (0..u64::from(count))
        .map(|i| {
            let at = u64::from(guest.u32(pointers + i * 4));
            (0..).map(|i| guest.u8(at + i)).take_while(|byte| *byte != 0).collect()
        })
        .collect();
    let total: usize = strings.iter().map(|string| string.len() + 1).sum();
    assert_eq!(total, size as usize);
    strings
}

#[test]
fn arguments_and_environment() {
    let ctx = WasiCtx::builder()
        .args(["prog", "", "två"])
        .arg(vec![0xff, 0xfe])
        .env("KEY", "old")
        .envs([("EMPTY", ""), ("KEY", "a=b")])
        .build()
        .unwrap();
    let mut guest = Guest::new(ctx);
    let args = strings(&mut guest, "args");
    assert_eq!(args, [&b"prog"[..], b"", "två".as_bytes(), b"\xff\xfe"]);
    let environ = strings(&mut guest, "environ");
    assert_eq!(environ, [&b"KEY=a=b"[..], b"EMPTY="]);
}

#[test]
fn nothing_is_there_by_default() {
    let mut guest = Guest::bare();
    assert!(strings(&mut guest, "args").is_empty());
    assert!(strings(&mut guest, "environ").is_empty());
}

#[test]
fn strings_a_guest_could_not_read_back_are_refused() {
    let nul = WasiCtx::builder().args(["ok", "not\0ok"]).build();
    assert!(matches!(nul, Err(BuildError::NulInArgument(1))));
    for (key, value) in [("", "x"), ("a=b", "x"), ("a\0", "x"), ("a", "x\0")] {
        let built = WasiCtx::builder().env(key, value).build();
        assert!(matches!(built, Err(BuildError::InvalidEnvironment(_))), "{key:?}={value:?}");
    }
    let name = WasiCtx::builder().preopened_dir("/", "a\0b", heapwright_wasi::Perms::ReadOnly).build();
    assert!(matches!(name, Err(BuildError::InvalidDirectoryName(_))));
    let missing =
        WasiCtx::builder().preopened_dir("/nonexistent/nowhere", "/", heapwright_wasi::Perms::ReadOnly).build();
    assert!(matches!(missing, Err(BuildError::OpenDirectory { .. })));
    let few = WasiCtx::builder().max_descriptors(2).build();
    assert!(matches!(few, Err(BuildError::TooManyDescriptors)));
}

#[test]
fn exit_carries_its_code_and_loses_no_output() {
    let output = OutputPipe::new();
    let mut guest = Guest::new(WasiCtx::builder().stdout(output.clone()).build().unwrap());
    guest.write(1, b"unfinished line").unwrap();
    assert_eq!(output.contents(), b"");
    let exit = guest.try_call("proc_exit", &[u64::from(u32::MAX)]);
    assert_eq!(exit, Err(Exit::Code(u32::MAX)));
    assert_eq!(output.contents(), b"unfinished line");
    assert!(Exit::Code(0).is_success());
    assert!(!Exit::Code(1).is_success());
    assert_eq!(Exit::Code(3).status(), 3);
}

#[test]
fn raised_signals_do_what_the_specification_says() {
    let output = OutputPipe::new();
    let mut guest = Guest::new(WasiCtx::builder().stdout(output.clone()).build().unwrap());
    guest.write(1, b"dying").unwrap();
    // abrt = 6, as in C's abort().
    let exit = guest.try_call("proc_raise", &[6]).unwrap_err();
    let Exit::Signal(signal) = exit else { panic!("{exit:?}") };
    assert_eq!((signal.name(), signal.number(), exit.status()), ("abrt", 6, 134));
    assert_eq!(output.contents(), b"dying");
    // none, pipe, chld, cont, urg and winch are ignored.
    for ignored in [0, 13, 16, 17, 22, 27] {
        assert_eq!(guest.call("proc_raise", &[ignored]), errno::SUCCESS, "{ignored}");
    }
    // stop, tstp, ttin, ttou.
    for stop in 18..=21 {
        assert_eq!(guest.call("proc_raise", &[stop]), errno::NOTSUP, "{stop}");
    }
    assert!(guest.try_call("proc_raise", &[30]).is_err());
    assert_eq!(guest.call("proc_raise", &[31]), errno::INVAL);
    assert_eq!(guest.call("proc_raise", &[0x100]), errno::INVAL);
}

#[test]
fn yielding_succeeds() {
    assert_eq!(Guest::bare().call("sched_yield", &[]), errno::SUCCESS);
}

fn time(guest: &mut Guest, id: u64) -> Result<u64, u32> {
    guest.reset();
    let at = guest.alloc(8);
    match guest.call("clock_time_get", &[id, 0, at]) {
        errno::SUCCESS => Ok(guest.u64(at)),
        error => Err(error),
    }
}

#[test]
fn host_clocks() {
    let mut guest = Guest::bare();
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let realtime = time(&mut guest, 0).unwrap();
    assert!(realtime >= before && realtime < before + 60_000_000_000);
    let first = time(&mut guest, 1).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    assert!(time(&mut guest, 1).unwrap() >= first + 5_000_000);
    for id in 0..4 {
        guest.reset();
        let at = guest.alloc(8);
        assert_eq!(guest.call("clock_res_get", &[id, at]), errno::SUCCESS);
        // "Implementations are required to provide a non-zero value for supported clocks."
        assert_ne!(guest.u64(at), 0);
    }
    // "For unsupported clocks, return errno::inval."
    assert_eq!(guest.call("clock_res_get", &[4, 0]), errno::INVAL);
    assert_eq!(time(&mut guest, 4), Err(errno::INVAL));
    assert_eq!(time(&mut guest, u64::from(u32::MAX)), Err(errno::INVAL));
}

/// Has a realtime clock only.
struct HalfClock;

impl Clock for HalfClock {
    fn now(&mut self, id: ClockId) -> Option<u64> {
        (id == ClockId::Realtime).then_some(42)
    }

    fn resolution(&mut self, id: ClockId) -> Option<u64> {
        (id == ClockId::Realtime).then_some(1)
    }

    fn sleep(&mut self, _: Duration) {}
}

#[test]
fn an_embedders_clock_decides_what_there_is() {
    let mut guest = Guest::new(WasiCtx::builder().clock(HalfClock).build().unwrap());
    assert_eq!(time(&mut guest, 0), Ok(42));
    assert_eq!(time(&mut guest, 1), Err(errno::INVAL));
    assert_eq!(guest.call("clock_res_get", &[1, 0]), errno::INVAL);
}

fn random(guest: &mut Guest, len: usize) -> Vec<u8> {
    guest.reset();
    let at = guest.alloc(len);
    assert_eq!(guest.call("random_get", &[at, len as u64]), errno::SUCCESS);
    guest.bytes(at, len as u32)
}

#[test]
fn reproducible_runs_repeat() {
    let run = || {
        let ctx = WasiCtx::builder()
            .clock(VirtualClock::new(1_000).with_step(7))
            .random(SeededRandom::new(99))
            .build()
            .unwrap();
        let mut guest = Guest::new(ctx);
        let times: Vec<_> = (0..4).map(|id| time(&mut guest, id).unwrap()).collect();
        (times, random(&mut guest, 100), random(&mut guest, 1))
    };
    let (times, bytes, more) = run();
    assert_eq!(times, [1_000, 7, 14, 21]);
    assert_eq!(run(), (times, bytes, more));
}

#[test]
fn host_random_bytes_fill_the_buffer() {
    let mut guest = Guest::bare();
    let bytes = random(&mut guest, 1024);
    // All zero with probability 2^-8192; two equal draws alike.
    assert!(bytes.iter().any(|byte| *byte != 0));
    assert_ne!(bytes, random(&mut guest, 1024));
    assert_eq!(guest.call("random_get", &[0, 0]), errno::SUCCESS);
}

struct Broken;

impl Random for Broken {
    fn fill(&mut self, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[test]
fn a_failing_random_source_is_an_error() {
    let mut ctx = WasiCtx::builder().random(Broken).build().unwrap();
    assert_eq!(ctx.random_get(&mut [0; 8], 0, 8), Err(Errno::NotSup));
}

#[test]
fn nothing_is_a_socket() {
    let mut guest = Guest::bare();
    for fd in [0, 1, 2] {
        assert_eq!(guest.call("sock_accept", &[fd, 0, 0]), errno::NOTSOCK);
        assert_eq!(guest.call("sock_recv", &[fd, 0, 0, 0, 0, 0]), errno::NOTSOCK);
        assert_eq!(guest.call("sock_send", &[fd, 0, 0, 0, 0]), errno::NOTSOCK);
        assert_eq!(guest.call("sock_shutdown", &[fd, 3]), errno::NOTSOCK);
    }
    assert_eq!(guest.call("sock_accept", &[9, 0, 0]), errno::BADF);
    assert_eq!(guest.call("sock_recv", &[9, 0, 0, 0, 0, 0]), errno::BADF);
    assert_eq!(guest.call("sock_send", &[9, 0, 0, 0, 0]), errno::BADF);
    assert_eq!(guest.call("sock_shutdown", &[9, 1]), errno::BADF);
    assert_eq!(guest.call("sock_shutdown", &[1, 4]), errno::INVAL);
}
