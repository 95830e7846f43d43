//! The host's own standard streams. Each test starts this test program again as a child, whose guest
//! inherits what the child is given.

mod support;

use heapwright_wasi::{Exit, WasiCtx};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use support::{Guest, errno, filetype, rights};

const ROLE: &str = "HEAPWRIGHT_WASI_TEST_ROLE";

/// Not a test of its own: what the child does.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut guest = Guest::new(WasiCtx::builder().inherit_stdio().build().unwrap());
    match role.as_str() {
        "dialogue" => {
            guest.write(1, b"your name? ").unwrap();
            let name = guest.read(0, 100).unwrap();
            guest.writev(1, &[b"hello ", &name]).unwrap();
            assert_eq!(guest.read(0, 100).unwrap(), b"");
            guest.write(1, b"bye").unwrap();
            let exit = guest.try_call("proc_exit", &[7]).unwrap_err();
            assert_eq!(exit, Exit::Code(7));
            // As an embedder ends its process: nothing is dropped.
            std::process::exit(exit.status() as i32);
        }
        "order" => {
            for i in 0..3 {
                guest.write(1, format!("out {i}\n").as_bytes()).unwrap();
                guest.write(2, format!("err {i}\n").as_bytes()).unwrap();
            }
            guest.ctx.flush().unwrap();
            std::process::exit(0);
        }
        "poll" => {
            assert_eq!(poll_stdin(&mut guest, 20_000_000), None);
            // Not to be waited for.
            assert_eq!(guest.call("fd_fdstat_set_flags", &[0, 4]), errno::SUCCESS);
            assert_eq!(guest.read(0, 1), Err(errno::AGAIN));
            assert_eq!(guest.call("fd_fdstat_set_flags", &[0, 0]), errno::SUCCESS);
            guest.write(1, b"ready\n").unwrap();
            assert_eq!(poll_stdin(&mut guest, 30_000_000_000), Some((4, false)));
            assert_eq!(guest.read(0, 100).unwrap(), b"data");
            guest.write(1, b"got it\n").unwrap();
            // The other end is closed now.
            assert_eq!(poll_stdin(&mut guest, 30_000_000_000), Some((0, true)));
            guest.write(1, b"done\n").unwrap();
        }
        "types" => {
            let types: Vec<String> = (0..3)
                .map(|fd| {
                    let stat = guest.fdstat(fd).unwrap();
                    let seeks = stat.base & (rights::FD_SEEK | rights::FD_TELL) != 0;
                    format!("{}{seeks}", stat.filetype)
                })
                .collect();
            guest.write(1, format!("types {}\n", types.join(" ")).as_bytes()).unwrap();
        }
        other => panic!("{other}"),
    }
}

/// Waits for standard input or for some nanoseconds: what the event says, or `None` if time ran out.
fn poll_stdin(guest: &mut Guest, nanoseconds: u64) -> Option<(u64, bool)> {
    guest.reset();
    let mut list = [0u8; 96];
    list[8] = 1;
    list[48] = 1;
    list[48 + 16] = 1;
    list[48 + 24..48 + 32].copy_from_slice(&nanoseconds.to_le_bytes());
    let subs = guest.put(&list);
    let events = guest.alloc(64);
    let count = guest.alloc(4);
    assert_eq!(guest.call("poll_oneoff", &[subs, events, 2, count]), errno::SUCCESS);
    assert_eq!(guest.u32(count), 1);
    assert_eq!(guest.u16(events + 8), 0);
    (guest.u8(events + 10) == 1).then(|| (guest.u64(events + 16), guest.u16(events + 24) == 1))
}

fn spawn(role: &str, configure: impl FnOnce(&mut Command)) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture"]).env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
    configure(&mut command);
    command.spawn().unwrap()
}

/// Reads until `text` has come.
fn expect(from: &mut impl Read, text: &str) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(text.as_bytes()) {
        let n = from.read(&mut byte).unwrap();
        assert_ne!(n, 0, "ended with {:?}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
}

#[test]
fn a_dialogue_over_pipes() {
    let mut child = spawn("dialogue", |_| {});
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // The question comes before the answer is given, though it ends no line and the output is a pipe.
    expect(&mut stdout, "your name? ");
    stdin.write_all(b"Ada\n").unwrap();
    expect(&mut stdout, "hello Ada\n");
    drop(stdin);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "bye");
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn output_and_errors_keep_their_order() {
    let mut file = tempfile::tempfile().unwrap();
    let mut child = spawn("order", |command| {
        command.stdout(file.try_clone().unwrap()).stderr(file.try_clone().unwrap());
    });
    assert!(child.wait().unwrap().success());
    std::io::Seek::rewind(&mut file).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("out 0\nerr 0\nout 1\nerr 1\nout 2\nerr 2\n"), "{text}");
}

#[test]
fn input_from_a_pipe_is_waited_for() {
    let mut child = spawn("poll", |_| {});
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    expect(&mut stdout, "ready\n");
    stdin.write_all(b"data").unwrap();
    expect(&mut stdout, "got it\n");
    drop(stdin);
    expect(&mut stdout, "done\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_terminal_is_told_from_a_pipe() {
    let mut child = spawn("types", |_| {});
    let mut stdout = child.stdout.take().unwrap();
    let pipe = filetype::UNKNOWN;
    let stderr_is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let stderr = if stderr_is_terminal { filetype::CHARACTER_DEVICE } else { pipe };
    expect(&mut stdout, &format!("types {pipe}false {pipe}false {stderr}false\n"));
    assert!(child.wait().unwrap().success());

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let Ok(controller) = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY) else {
        // A host without pseudo-terminals.
        return;
    };
    grantpt(&controller).unwrap();
    unlockpt(&controller).unwrap();
    let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let (input, output, error) = (open(), open(), open());
    let mut child = spawn("types", |command| {
        command.stdin(input).stdout(output).stderr(error);
    });
    let tty = filetype::CHARACTER_DEVICE;
    let mut screen = std::fs::File::from(controller);
    // A terminal ends lines with a carriage return as well.
    expect(&mut screen, &format!("types {tty}false {tty}false {tty}false\r\n"));
    drop(screen);
    child.wait().unwrap();
}
