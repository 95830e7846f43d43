//! Standard input, output and error: where their bytes come from and go to, and when.

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

/// When bytes written to standard output or standard error reach their destination.
///
/// Whatever the setting, they do before the guest reads standard input or waits in `poll_oneoff`, when
/// it closes or syncs the stream or exits, at [`WasiCtx::flush`](crate::WasiCtx::flush), and when the
/// context is dropped. What is pending on standard output goes out before anything on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffering {
    /// At once, with every call.
    None,
    /// When a line ends.
    Line,
    /// When 16 KiB have gathered.
    Block,
}

const CAPACITY: usize = 16 * 1024;

/// An output stream of the guest with the bytes which are still to go out.
pub(crate) struct OutputStream {
    sink: Box<dyn Write + Send>,
    pending: Vec<u8>,
    buffering: Buffering,
    terminal: bool,
}

impl OutputStream {
    pub(crate) fn new(sink: Box<dyn Write + Send>, buffering: Buffering) -> OutputStream {
        OutputStream { sink, pending: Vec::new(), buffering, terminal: false }
    }

    pub(crate) fn host_stdout() -> OutputStream {
        let terminal = io::stdout().is_terminal();
        let buffering = if terminal { Buffering::Line } else { Buffering::Block };
        let mut stream = OutputStream::new(Box::new(io::stdout()), buffering);
        stream.terminal = terminal;
        stream
    }

    pub(crate) fn host_stderr() -> OutputStream {
        let mut stream = OutputStream::new(Box::new(io::stderr()), Buffering::Line);
        stream.terminal = io::stderr().is_terminal();
        stream
    }

    pub(crate) fn set_buffering(&mut self, buffering: Buffering) {
        self.buffering = buffering;
    }

    /// Whether a person sees this stream.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether bytes are waiting.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// How many bytes can be written without waiting for the destination.
    pub(crate) fn room(&self) -> u64 {
        CAPACITY.saturating_sub(self.pending.len()).max(1) as u64
    }

    /// Whether writing `data` would send bytes out rather than only keep them.
    pub(crate) fn would_send(&self, data: &[u8]) -> bool {
        match self.buffering {
            Buffering::None => true,
            Buffering::Line if data.contains(&b'\n') => true,
            Buffering::Line | Buffering::Block => self.pending.len() + data.len() > CAPACITY,
        }
    }

    /// Takes bytes in and says how many. An error means that none of `data` was taken; what was taken
    /// before and could not be sent is still there to be tried again.
    pub(crate) fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.pending.len() + data.len() > CAPACITY {
            self.send_pending()?;
        }
        let send_now = match self.buffering {
            Buffering::None => true,
            Buffering::Line => data.contains(&b'\n'),
            Buffering::Block => false,
        };
        if data.len() > CAPACITY {
            // Nothing is pending now. This is too much to keep, so it goes through: the buffer's size is
            // bounded whatever the guest writes.
            let (sent, result) = send(&mut *self.sink, data);
            return match result {
                Err(error) if sent == 0 => Err(error),
                Ok(()) if send_now => self.sink.flush().map(|()| sent),
                // After a partial send the error, if it lasts, comes back at the next call.
                _ => Ok(sent),
            };
        }
        self.pending.extend_from_slice(data);
        let before = self.pending.len();
        if send_now
            && let Err(error) = self.flush()
            && self.pending.len() == before
        {
            // Nothing moved. The call's bytes are not taken, so that a guest which tries again does not
            // have them written twice.
            self.pending.truncate(before - data.len());
            return Err(error);
        }
        // If some bytes are out and some are not, the rest is kept, and an error which lasts comes back
        // at the next attempt.
        Ok(data.len())
    }

    /// Sends everything on.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.send_pending()?;
        self.sink.flush()
    }

    fn send_pending(&mut self) -> io::Result<()> {
        let (sent, result) = send(&mut *self.sink, &self.pending);
        self.pending.drain(..sent);
        result
    }
}

/// Writes all of `data`, or up to an error, and says how much.
fn send(sink: &mut (dyn Write + Send), data: &[u8]) -> (usize, io::Result<()>) {
    let mut sent = 0;
    while sent < data.len() {
        match sink.write(&data[sent..]) {
            Ok(0) => return (sent, Err(io::Error::from(io::ErrorKind::WriteZero))),
            // A sink which claims more than it was given must not make us panic.
            Ok(n) => sent = sent.saturating_add(n).min(data.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (sent, Err(error)),
        }
    }
    (sent, Ok(()))
}

impl Drop for OutputStream {
    fn drop(&mut self) {
        // The last chance for bytes nobody flushed. There is nobody left to tell of an error.
        let _ = self.flush();
    }
}

impl fmt::Debug for OutputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputStream")
            .field("pending", &self.pending.len())
            .field("buffering", &self.buffering)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

/// The input stream of the guest.
pub(crate) enum InputStream {
    /// Ended from the start.
    Empty,
    /// Bytes in memory and how many of them have been read.
    Bytes(Vec<u8>, usize),
    /// Whatever the embedder reads from.
    Reader(Box<dyn Read + Send>),
    /// The host's own standard input, unbuffered so that what `poll` says of it is the whole truth.
    Host(File, bool),
}

impl InputStream {
    pub(crate) fn host_stdin() -> InputStream {
        let stdin = io::stdin();
        let terminal = stdin.is_terminal();
        match stdin.as_fd().try_clone_to_owned() {
            Ok(fd) => InputStream::Host(File::from(fd), terminal),
            // A host started without a standard input has none to give.
            Err(_) => InputStream::Empty,
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self, InputStream::Host(_, true))
    }

    /// Reads some bytes; 0 is the end.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = match self {
            InputStream::Empty => Ok(0),
            InputStream::Bytes(bytes, at) => {
                let rest = &bytes[*at..];
                let n = rest.len().min(buf.len());
                buf[..n].copy_from_slice(&rest[..n]);
                *at += n;
                Ok(n)
            }
            InputStream::Reader(reader) => retry(|| reader.read(buf)),
            InputStream::Host(file, _) => retry(|| file.read(buf)),
        };
        // A reader which claims more than the buffer holds must not become a wrong count in the guest.
        result.map(|n| n.min(buf.len()))
    }
}

impl fmt::Debug for InputStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InputStream::Empty => "Empty",
            InputStream::Bytes(..) => "Bytes",
            InputStream::Reader(_) => "Reader",
            InputStream::Host(..) => "Host",
        })
    }
}

/// Repeats a call which a signal to the host interrupted: a guest has no signals to learn of.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A destination in memory for what a guest prints; clones share the bytes.
///
/// It holds a bounded number of bytes, so that a guest cannot make the host's memory grow without end:
/// a write which would pass the limit takes what fits and then fails with "no space left".
///
/// ```
/// use heapwright_wasi::{OutputPipe, WasiCtx};
///
/// let output = OutputPipe::new();
/// let ctx = WasiCtx::builder().stdout(output.clone()).build()?;
/// // ... run a guest ...
/// drop(ctx);
/// assert_eq!(output.contents(), b"");
/// # Ok::<(), heapwright_wasi::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct OutputPipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    limit: usize,
}

impl OutputPipe {
    /// The number of bytes [`OutputPipe::new`] holds: 64 MiB.
    pub const DEFAULT_LIMIT: usize = 64 * 1024 * 1024;

    /// An empty pipe which holds up to [`OutputPipe::DEFAULT_LIMIT`] bytes.
    pub fn new() -> OutputPipe {
        OutputPipe::with_limit(OutputPipe::DEFAULT_LIMIT)
    }

    /// An empty pipe which holds up to `limit` bytes.
    pub fn with_limit(limit: usize) -> OutputPipe {
        OutputPipe { bytes: Arc::default(), limit }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        // The bytes are whole at every moment: a panic elsewhere cannot have left them half-written.
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the bytes which have arrived.
    pub fn contents(&self) -> Vec<u8> {
        self.lock().clone()
    }

    /// Takes the bytes which have arrived, leaving the pipe empty.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.lock())
    }
}

impl Default for OutputPipe {
    fn default() -> OutputPipe {
        OutputPipe::new()
    }
}

impl Write for OutputPipe {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let mut bytes = self.lock();
        let n = data.len().min(self.limit.saturating_sub(bytes.len()));
        if n == 0 && !data.is_empty() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        bytes.extend_from_slice(&data[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(pipe: &OutputPipe, buffering: Buffering) -> OutputStream {
        OutputStream::new(Box::new(pipe.clone()), buffering)
    }

    #[test]
    fn lines_go_out_whole() {
        let pipe = OutputPipe::new();
        let mut out = stream(&pipe, Buffering::Line);
        out.write(b"he").unwrap();
        out.write(b"llo").unwrap();
        assert_eq!(pipe.contents(), b"");
        out.write(b"\nwor").unwrap();
        assert_eq!(pipe.contents(), b"hello\nwor");
        out.write(b"ld").unwrap();
        drop(out);
        assert_eq!(pipe.take(), b"hello\nworld");
        assert_eq!(pipe.contents(), b"");
    }

    #[test]
    fn blocks_gather() {
        let pipe = OutputPipe::new();
        let mut out = stream(&pipe, Buffering::Block);
        for _ in 0..CAPACITY {
            out.write(b"\n").unwrap();
        }
        assert_eq!(pipe.contents().len(), 0);
        out.write(b"x").unwrap();
        assert_eq!(pipe.contents().len(), CAPACITY);
        out.write(&vec![b'y'; CAPACITY * 2]).unwrap();
        assert_eq!(pipe.contents().len(), CAPACITY * 3 + 1);
        assert!(!out.has_pending());
    }

    #[test]
    fn full_pipes_say_so_and_lose_nothing_taken() {
        let pipe = OutputPipe::with_limit(4);
        let mut out = stream(&pipe, Buffering::None);
        out.write(b"abc").unwrap();
        // One byte of this call goes out, so the call counts; the rest waits.
        out.write(b"def").unwrap();
        assert_eq!(pipe.contents(), b"abcd");
        assert_eq!(out.flush().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(out.write(b"g").unwrap_err().kind(), io::ErrorKind::StorageFull);
        pipe.take();
        out.flush().unwrap();
        assert_eq!(pipe.contents(), b"ef");
        // A write too large to keep says how much of it fitted.
        assert_eq!(out.write(&vec![b'h'; CAPACITY + 1]).unwrap(), 2);
        assert_eq!(pipe.contents(), b"efhh");
        assert!(out.write(&vec![b'h'; CAPACITY + 1]).is_err());
    }

    /// Claims to have written and read more than it was given.
    struct Liar;

    impl Write for Liar {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            Ok(data.len() + 100)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Liar {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            Ok(buf.len() + 100)
        }
    }

    #[test]
    fn wrong_counts_are_contained() {
        let mut out = OutputStream::new(Box::new(Liar), Buffering::Line);
        out.write(b"abc\n").unwrap();
        assert!(!out.has_pending());
        assert_eq!(out.write(&vec![0; CAPACITY + 1]).unwrap(), CAPACITY + 1);
        let mut input = InputStream::Reader(Box::new(Liar));
        assert_eq!(input.read(&mut [0; 4]).unwrap(), 4);
    }
}
