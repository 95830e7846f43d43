//! Standard streams: what arrives, when, and in which order.

mod support;

use heapwright_wasi::{Buffering, OutputPipe, WasiCtx};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use support::{Guest, errno, fdflags, filetype, rights};

fn printing() -> (Guest, OutputPipe, OutputPipe) {
    let (out, err) = (OutputPipe::new(), OutputPipe::new());
    let ctx =
        WasiCtx::builder().stdin_bytes("first\nsecond\n").stdout(out.clone()).stderr(err.clone()).build().unwrap();
    (Guest::new(ctx), out, err)
}

#[test]
fn writes_gather_their_buffers() {
    let (mut guest, out, err) = printing();
    assert_eq!(guest.writev(1, &[b"a", b"", b"bc", b"d\n"]), Ok(5));
    assert_eq!(guest.writev(2, &[b"e", b"\n"]), Ok(2));
    assert_eq!(guest.writev(1, &[]), Ok(0));
    assert_eq!((out.contents(), err.contents()), (b"abcd\n".to_vec(), b"e\n".to_vec()));
    // More buffers than go to the host at once.
    let many: Vec<&[u8]> = (0..1000).map(|_| &b"x\n"[..]).collect();
    assert_eq!(guest.writev(1, &many), Ok(2000));
    assert_eq!(out.contents().len(), 2005);
}

#[test]
fn characters_gather_to_lines() {
    let (mut guest, out, _) = printing();
    for byte in b"hello" {
        assert_eq!(guest.write(1, &[*byte]), Ok(1));
    }
    assert_eq!(out.contents(), b"");
    guest.write(1, b"\n").unwrap();
    assert_eq!(out.contents(), b"hello\n");
}

#[test]
fn pending_output_is_sent_when_it_matters() {
    // Before standard input is read.
    let (mut guest, out, _) = printing();
    guest.write(1, b"name? ").unwrap();
    assert_eq!(guest.read(0, 3), Ok(b"fir".to_vec()));
    assert_eq!(out.contents(), b"name? ");

    // When the stream is synced or closed.
    for call in ["fd_sync", "fd_datasync", "fd_close"] {
        let (mut guest, out, _) = printing();
        guest.write(1, b"x").unwrap();
        assert_eq!(guest.call(call, &[1]), errno::SUCCESS);
        assert_eq!(out.contents(), b"x", "{call}");
    }

    // When the embedder asks, and when the context goes.
    let (mut guest, out, err) = printing();
    guest.write(1, b"o").unwrap();
    guest.write(2, b"e").unwrap();
    guest.ctx.flush().unwrap();
    assert_eq!((out.contents(), err.contents()), (b"o".to_vec(), b"e".to_vec()));
    guest.write(1, b"p").unwrap();
    drop(guest);
    assert_eq!(out.contents(), b"op");
}

#[test]
fn buffering_can_be_chosen() {
    let out = OutputPipe::new();
    let ctx = WasiCtx::builder().stdout(out.clone()).stdout_buffering(Buffering::Block).build().unwrap();
    let mut guest = Guest::new(ctx);
    guest.write(1, b"line\n").unwrap();
    assert_eq!(out.contents(), b"");

    let out = OutputPipe::new();
    let ctx = WasiCtx::builder().stderr(out.clone()).stderr_buffering(Buffering::None).build().unwrap();
    let mut guest = Guest::new(ctx);
    guest.write(2, b"x").unwrap();
    assert_eq!(out.contents(), b"x");
}

/// Two streams to one place.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_follow_the_output_before_them() {
    let both = Shared::default();
    let ctx = WasiCtx::builder()
        .stdout(both.clone())
        .stdout_buffering(Buffering::Block)
        .stderr(both.clone())
        .build()
        .unwrap();
    let mut guest = Guest::new(ctx);
    guest.write(1, b"working").unwrap();
    guest.write(2, b"failed\n").unwrap();
    assert_eq!(*both.0.lock().unwrap(), b"workingfailed\n");
}

#[test]
fn a_full_destination_is_an_error() {
    let out = OutputPipe::with_limit(3);
    let mut guest = Guest::new(WasiCtx::builder().stdout(out.clone()).build().unwrap());
    assert_eq!(guest.write(1, b"ab\n"), Ok(3));
    assert_eq!(guest.write(1, b"cd\n"), Err(errno::NOSPC));
    assert_eq!(out.contents(), b"ab\n");
    // Nothing of the failed write is sent later.
    out.take();
    assert_eq!(guest.write(1, b"e\n"), Ok(2));
    assert_eq!(out.contents(), b"e\n");
}

#[test]
fn output_in_large_pieces() {
    let (mut guest, out, _) = printing();
    let piece = vec![b'z'; 50_000];
    guest.write(1, b"start").unwrap();
    assert_eq!(guest.write(1, &piece), Ok(50_000));
    assert_eq!(out.contents().len(), 50_005);
    assert!(out.contents().starts_with(b"startzz"));
}

#[test]
fn input_from_memory() {
    let (mut guest, ..) = printing();
    assert_eq!(guest.read(0, 6), Ok(b"first\n".to_vec()));
    assert_eq!(guest.read(0, 0), Ok(vec![]));
    assert_eq!(guest.read(0, 100), Ok(b"second\n".to_vec()));
    assert_eq!(guest.read(0, 100), Ok(vec![]));
    let mut empty = Guest::bare();
    assert_eq!(empty.read(0, 100), Ok(vec![]));
}

/// Gives one byte at a time and counts how often it is asked.
struct Dripping(Arc<Mutex<u32>>);

impl Read for Dripping {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        *self.0.lock().unwrap() += 1;
        buf[0] = b'd';
        Ok(1)
    }
}

#[test]
fn a_stream_is_not_asked_for_more_than_it_gives() {
    // A second read for the second buffer could wait for ever, with bytes for the guest at hand.
    let asked = Arc::new(Mutex::new(0));
    let ctx = WasiCtx::builder().stdin(Dripping(asked.clone())).build().unwrap();
    let mut guest = Guest::new(ctx);
    let (list, bufs) = guest.iovecs(&[0, 1, 1]);
    let n = guest.alloc(4);
    assert_eq!(guest.call("fd_read", &[0, list, 3, n]), errno::SUCCESS);
    assert_eq!((guest.u32(n), guest.u8(bufs[1])), (1, b'd'));
    assert_eq!(*asked.lock().unwrap(), 1);
}

#[test]
fn what_streams_are_and_can() {
    let (mut guest, ..) = printing();
    let input = guest.fdstat(0).unwrap();
    assert_eq!(input.filetype, filetype::UNKNOWN);
    assert_ne!(input.base & rights::FD_READ, 0);
    assert_eq!(input.base & rights::FD_WRITE, 0);
    for fd in [1, 2] {
        let output = guest.fdstat(fd).unwrap();
        assert_ne!(output.base & rights::FD_WRITE, 0);
        // C libraries take a stream one can seek in for no terminal.
        assert_eq!(output.base & (rights::FD_READ | rights::FD_SEEK | rights::FD_TELL), 0);
        assert_eq!(guest.read(fd, 1), Err(errno::NOTCAPABLE));
    }
    assert_eq!(guest.write(0, b"x"), Err(errno::NOTCAPABLE));
    for fd in [0, 1, 2] {
        assert_eq!(guest.seek(fd, 0, 1), Err(errno::SPIPE));
        assert_eq!(guest.tell(fd), Err(errno::SPIPE));
        assert_eq!(guest.pread(fd, 1, 0), Err(errno::SPIPE));
        assert_eq!(guest.pwrite(fd, b"x", 0), Err(errno::SPIPE));
        assert_eq!(guest.call("fd_advise", &[fd.into(), 0, 0, 0]), errno::SPIPE);
        assert_eq!(guest.call("fd_allocate", &[fd.into(), 0, 1]), errno::SPIPE);
        assert_eq!(guest.call("fd_filestat_set_size", &[fd.into(), 0]), errno::INVAL);
        assert_eq!(guest.filestat(fd).unwrap().size, 0);
        assert_eq!(guest.open(fd, "x", 0, 0), Err(errno::NOTDIR));
        assert_eq!(guest.readdir(fd, 100, 0), Err(errno::NOTDIR));
        assert_eq!(guest.call("fd_prestat_get", &[fd.into(), 0]), errno::BADF);
    }
}

#[test]
fn flags_of_streams() {
    let (mut guest, out, _) = printing();
    let set = |guest: &mut Guest, fd: u64, flags: u32| guest.call("fd_fdstat_set_flags", &[fd, flags.into()]);
    assert_eq!(set(&mut guest, 0, fdflags::NONBLOCK), errno::SUCCESS);
    assert_eq!(guest.fdstat(0).unwrap().flags, fdflags::NONBLOCK);
    assert_eq!(guest.read(0, 5), Ok(b"first".to_vec()));
    // A synchronous stream keeps nothing back.
    assert_eq!(set(&mut guest, 1, fdflags::SYNC), errno::SUCCESS);
    guest.write(1, b"x").unwrap();
    assert_eq!(out.contents(), b"x");
    assert_eq!(set(&mut guest, 1, 32), errno::INVAL);
    assert_eq!(set(&mut guest, 9, 0), errno::BADF);
}

#[test]
fn closed_and_renumbered_streams() {
    let (mut guest, out, _) = printing();
    assert_eq!(guest.call("fd_renumber", &[1, 2]), errno::SUCCESS);
    assert_eq!(guest.write(1, b"x"), Err(errno::BADF));
    guest.write(2, b"by another number\n").unwrap();
    assert_eq!(out.contents(), b"by another number\n");
    assert_eq!(guest.close(2), Ok(()));
    assert_eq!(guest.close(2), Err(errno::BADF));
    assert_eq!(guest.call("fd_renumber", &[0, 2]), errno::BADF);
    assert_eq!(guest.call("fd_renumber", &[0, 0]), errno::SUCCESS);
    assert_eq!(guest.read(0, 5), Ok(b"first".to_vec()));
}
