//! The state of one guest's WASI world.

use crate::builder::WasiCtxBuilder;
use crate::clocks::Clock;
use crate::process::StringList;
use crate::random::Random;
use crate::stdio::{InputStream, OutputStream};
use crate::table::Table;
use std::fmt;
use std::io;

/// Everything one guest can reach through WASI: its arguments, environment, streams, clocks and
/// directories. Made by [`WasiCtx::builder`].
///
/// Each WASI function is a method. It takes the guest's memory as a byte slice (empty if the guest has
/// none) and the guest's arguments as they come: pointers and lengths are bytes in that memory, 64-bit
/// values such as offsets and times are unsigned or signed as in the specification. Results go into the
/// memory, at the pointers given for them. No argument makes a method panic: a region which is not
/// wholly inside the memory is [`Errno::Fault`](crate::Errno::Fault).
///
/// The context can be sent to another thread, and belongs to one guest at a time.
pub struct WasiCtx {
    pub(crate) args: StringList,
    pub(crate) environ: StringList,
    pub(crate) table: Table,
    pub(crate) stdin: InputStream,
    pub(crate) stdout: OutputStream,
    pub(crate) stderr: OutputStream,
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) random: Box<dyn Random>,
}

impl WasiCtx {
    /// A builder for a context.
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }

    /// Sends what the guest has printed to its destination.
    ///
    /// To be called when the guest has ended, in whatever way: by returning, by
    /// [`Exit`](crate::Exit) or by a trap. (Dropping the context does it as well, but cannot report an
    /// error.) What could not be sent stays pending, so another call tries again.
    pub fn flush(&mut self) -> io::Result<()> {
        let stdout = self.stdout.flush();
        let stderr = self.stderr.flush();
        stdout.and(stderr)
    }

    /// Flushes before the guest waits for something, so that whoever it waits for sees what it has
    /// said. An error is left to the next write to report.
    pub(crate) fn flush_before_waiting(&mut self) {
        for stream in [&mut self.stdout, &mut self.stderr] {
            if stream.has_pending() {
                let _ = stream.flush();
            }
        }
    }
}

impl fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiCtx")
            .field("table", &self.table)
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn sendable<T: Send>() {}
    sendable::<WasiCtx>();
    sendable::<WasiCtxBuilder>();
};
