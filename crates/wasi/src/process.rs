//! Arguments, environment, exit, signals and yielding.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory;
use std::fmt;

/// How a guest ended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It called `proc_exit` with this code; 0 means success.
    Code(u32),
    /// It raised a signal whose action is to end the process.
    Signal(Signal),
}

impl Exit {
    /// The exit status a shell would show: the code itself, or 128 plus the signal's number.
    pub fn status(self) -> u32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + u32::from(signal.number()),
        }
    }

    /// Whether the guest ended with code 0.
    pub fn is_success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "the guest exited with code {code}"),
            Exit::Signal(signal) => write!(f, "the guest raised signal {signal}"),
        }
    }
}

impl std::error::Error for Exit {}

/// A signal a guest can raise, by the specification's numbering (which is not the host's).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(u8);

/// What raising a signal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Terminate,
    Ignore,
    Stop,
}

/// Names and actions in the specification's order.
const SIGNALS: [(&str, Action); 31] = [
    ("none", Action::Ignore),
    ("hup", Action::Terminate),
    ("int", Action::Terminate),
    ("quit", Action::Terminate),
    ("ill", Action::Terminate),
    ("trap", Action::Terminate),
    ("abrt", Action::Terminate),
    ("bus", Action::Terminate),
    ("fpe", Action::Terminate),
    ("kill", Action::Terminate),
    ("usr1", Action::Terminate),
    ("segv", Action::Terminate),
    ("usr2", Action::Terminate),
    ("pipe", Action::Ignore),
    ("alrm", Action::Terminate),
    ("term", Action::Terminate),
    ("chld", Action::Ignore),
    ("cont", Action::Ignore),
    ("stop", Action::Stop),
    ("tstp", Action::Stop),
    ("ttin", Action::Stop),
    ("ttou", Action::Stop),
    ("urg", Action::Ignore),
    ("xcpu", Action::Terminate),
    ("xfsz", Action::Terminate),
    ("vtalrm", Action::Terminate),
    ("prof", Action::Terminate),
    ("winch", Action::Ignore),
    ("poll", Action::Terminate),
    ("pwr", Action::Terminate),
    ("sys", Action::Terminate),
];

impl Signal {
    /// The signal with this number, if the specification has one.
    pub fn from_number(number: u32) -> Option<Signal> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < SIGNALS.len()).then_some(Signal(number))
    }

    /// The specification's number of this signal.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The specification's name of this signal, such as `"abrt"`.
    pub fn name(self) -> &'static str {
        SIGNALS[usize::from(self.0)].0
    }

    fn action(self) -> Action {
        SIGNALS[usize::from(self.0)].1
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({})", self.name())
    }
}

/// Strings as the guest gets them: one block of NUL-terminated bytes, and where each one starts.
#[derive(Debug, Default)]
pub(crate) struct StringList {
    block: Vec<u8>,
    starts: Vec<u32>,
}

impl StringList {
    /// `None` if the block would be larger than a guest's 32-bit sizes can say.
    pub(crate) fn new<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Option<StringList> {
        let mut list = StringList::default();
        for string in strings {
            list.starts.push(u32::try_from(list.block.len()).ok()?);
            list.block.extend_from_slice(string);
            list.block.push(0);
        }
        u32::try_from(list.block.len()).ok()?;
        // The array of pointers must be addressable too.
        u32::try_from(list.starts.len().checked_mul(4)?).ok()?;
        Some(list)
    }

    fn sizes(&self, mem: &mut [u8], count: u32, size: u32) -> Result<(), Errno> {
        memory::check(mem, size, 4)?;
        memory::store_u32(mem, count, self.starts.len() as u32)?;
        memory::store_u32(mem, size, self.block.len() as u32)
    }

    fn get(&self, mem: &mut [u8], pointers: u32, buf: u32) -> Result<(), Errno> {
        memory::check(mem, pointers, self.starts.len() as u32 * 4)?;
        memory::store(mem, buf, &self.block)?;
        for (i, start) in self.starts.iter().enumerate() {
            // Both addresses are inside regions checked above.
            memory::store_u32(mem, pointers + i as u32 * 4, buf + start)?;
        }
        Ok(())
    }
}

impl WasiCtx {
    /// `args_sizes_get`: stores the number of arguments at `argc` and the size of all of them with
    /// their terminators, in bytes, at `size` (both `u32`).
    pub fn args_sizes_get(&mut self, mem: &mut [u8], argc: u32, size: u32) -> Result<(), Errno> {
        self.args.sizes(mem, argc, size)
    }

    /// `args_get`: stores the arguments at `buf` and a pointer to each at `argv`.
    pub fn args_get(&mut self, mem: &mut [u8], argv: u32, buf: u32) -> Result<(), Errno> {
        self.args.get(mem, argv, buf)
    }

    /// `environ_sizes_get`: stores the number of environment variables at `count` and the size of all
    /// of them with their terminators, in bytes, at `size` (both `u32`).
    pub fn environ_sizes_get(&mut self, mem: &mut [u8], count: u32, size: u32) -> Result<(), Errno> {
        self.environ.sizes(mem, count, size)
    }

    /// `environ_get`: stores the environment variables, each as `key=value`, at `buf` and a pointer to
    /// each at `environ`.
    pub fn environ_get(&mut self, mem: &mut [u8], environ: u32, buf: u32) -> Result<(), Errno> {
        self.environ.get(mem, environ, buf)
    }

    /// `proc_exit`: sends pending output on and returns what the embedder is to unwind the guest with.
    ///
    /// Output which cannot be sent stays pending: [`WasiCtx::flush`] tries again and tells why.
    pub fn proc_exit(&mut self, code: u32) -> Exit {
        let _ = self.flush();
        Exit::Code(code)
    }

    /// `proc_raise`: does what the specification gives as the signal's action.
    ///
    /// Preview 1 has no handlers: those a C library offers run inside the guest. What is left is the
    /// action itself: to end the process, which is the outer `Err`, or nothing. Stopping is
    /// [`Errno::NotSup`]: nobody could let the guest continue.
    pub fn proc_raise(&mut self, signal: u32) -> Result<Result<(), Errno>, Exit> {
        let Some(signal) = Signal::from_number(signal) else {
            return Ok(Err(Errno::Inval));
        };
        match signal.action() {
            Action::Ignore => Ok(Ok(())),
            Action::Stop => Ok(Err(Errno::NotSup)),
            Action::Terminate => {
                let _ = self.flush();
                Err(Exit::Signal(signal))
            }
        }
    }

    /// `sched_yield`: lets other threads of the host run.
    pub fn sched_yield(&mut self) -> Result<(), Errno> {
        std::thread::yield_now();
        Ok(())
    }
}
