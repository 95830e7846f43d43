//! Building a [`WasiCtx`].

use crate::clocks::{Clock, SystemClock};
use crate::ctx::WasiCtx;
use crate::process::StringList;
use crate::random::{Random, SystemRandom};
use crate::stdio::{Buffering, InputStream, OutputStream};
use crate::table::{Descriptor, Kind, OpenDir, Table};
use crate::types::{Fdflags, Rights};
use std::fmt;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What a guest may do in a preopened directory and everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Perms {
    /// Look and read.
    ReadOnly,
    /// Look, read, write, create, rename and remove.
    ReadWrite,
}

/// Why a context could not be built.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// An argument contains a NUL byte, which ends an argument in the guest. Holds its index.
    NulInArgument(usize),
    /// An environment variable's key is empty or contains `=` or NUL, or its value contains NUL. Holds
    /// the key.
    InvalidEnvironment(String),
    /// The arguments or the environment exceed what a guest's 32-bit sizes can say.
    TooLarge,
    /// The guest's name of a directory contains a NUL byte, or is longer than a path may be. Holds the
    /// name.
    InvalidDirectoryName(String),
    /// A directory could not be opened.
    OpenDirectory {
        /// The directory on the host.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are more directories than descriptors.
    TooManyDescriptors,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NulInArgument(index) => {
                write!(f, "argument {index} contains a NUL byte")
            }
            BuildError::InvalidEnvironment(key) => {
                write!(f, "the environment variable {key:?} is not well-formed")
            }
            BuildError::TooLarge => f.write_str("the arguments or the environment are too large"),
            BuildError::InvalidDirectoryName(name) => {
                write!(f, "{name:?} cannot be a guest's name of a directory")
            }
            BuildError::OpenDirectory { path, .. } => {
                write!(f, "cannot open the directory {}", path.display())
            }
            BuildError::TooManyDescriptors => {
                f.write_str("there are more directories than the guest may have descriptors")
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::OpenDirectory { source, .. } => Some(source),
            _ => None,
        }
    }
}

struct Preopen {
    host: PathBuf,
    guest: String,
    perms: Perms,
}

/// Makes a [`WasiCtx`].
///
/// A context built from nothing gives a guest no arguments, no environment and no directory; its
/// standard input is at its end, and what it prints is dropped. Its clocks and random bytes are the
/// host's.
///
/// ```
/// use heapwright_wasi::{OutputPipe, SeededRandom, VirtualClock, WasiCtx};
///
/// let output = OutputPipe::new();
/// let mut ctx = WasiCtx::builder()
///     .args(["program", "--fast"])
///     .env("LANG", "C.UTF-8")
///     .stdin_bytes("one line\n")
///     .stdout(output.clone())
///     .clock(VirtualClock::new(0))
///     .random(SeededRandom::new(1))
///     .build()?;
/// # ctx.flush().unwrap();
/// # Ok::<(), heapwright_wasi::BuildError>(())
/// ```
pub struct WasiCtxBuilder {
    args: Vec<Vec<u8>>,
    environ: Vec<(Vec<u8>, Vec<u8>)>,
    stdin: InputStream,
    stdout: OutputStream,
    stderr: OutputStream,
    preopens: Vec<Preopen>,
    clock: Box<dyn Clock>,
    random: Box<dyn Random>,
    max_descriptors: usize,
}

impl WasiCtxBuilder {
    /// How many descriptors a guest may have open unless
    /// [`max_descriptors`](WasiCtxBuilder::max_descriptors) says otherwise.
    pub const DEFAULT_MAX_DESCRIPTORS: usize = 1024;

    /// A builder for a context with nothing in it.
    pub fn new() -> WasiCtxBuilder {
        WasiCtxBuilder {
            args: Vec::new(),
            environ: Vec::new(),
            stdin: InputStream::Empty,
            stdout: OutputStream::new(Box::new(io::sink()), Buffering::Line),
            stderr: OutputStream::new(Box::new(io::sink()), Buffering::Line),
            preopens: Vec::new(),
            clock: Box::new(SystemClock::new()),
            random: Box::new(SystemRandom),
            max_descriptors: WasiCtxBuilder::DEFAULT_MAX_DESCRIPTORS,
        }
    }

    /// Adds an argument. The first one is the program's name.
    pub fn arg(mut self, arg: impl Into<Vec<u8>>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<Vec<u8>>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable, in place of an earlier value of the same key.
    pub fn env(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        let (key, value) = (key.into(), value.into());
        match self.environ.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.environ.push((key, value)),
        }
        self
    }

    /// Sets environment variables.
    pub fn envs<K: Into<Vec<u8>>, V: Into<Vec<u8>>>(self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        vars.into_iter().fold(self, |builder, (key, value)| builder.env(key, value))
    }

    /// Gives the guest the host's standard input, output and error.
    pub fn inherit_stdio(self) -> Self {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Gives the guest the host's standard input.
    ///
    /// It is read directly, past the buffer of [`std::io::stdin`]: bytes the embedder has read ahead
    /// there do not reach the guest.
    pub fn inherit_stdin(mut self) -> Self {
        self.stdin = InputStream::host_stdin();
        self
    }

    /// Gives the guest the host's standard output: sent on by lines if it is a terminal, by blocks if
    /// not.
    pub fn inherit_stdout(mut self) -> Self {
        self.stdout = OutputStream::host_stdout();
        self
    }

    /// Gives the guest the host's standard error, sent on by lines.
    pub fn inherit_stderr(mut self) -> Self {
        self.stderr = OutputStream::host_stderr();
        self
    }

    /// Lets the guest read its standard input from these bytes.
    pub fn stdin_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = InputStream::Bytes(bytes.into(), 0);
        self
    }

    /// Lets the guest read its standard input from `reader`.
    ///
    /// A reader cannot say whether it has bytes, so `poll_oneoff` finds it ready always, and a read
    /// waits as long as the reader does.
    pub fn stdin(mut self, reader: impl Read + Send + 'static) -> Self {
        self.stdin = InputStream::Reader(Box::new(reader));
        self
    }

    /// Sends the guest's standard output to `writer`, by lines. For memory, use an
    /// [`OutputPipe`](crate::OutputPipe).
    pub fn stdout(mut self, writer: impl Write + Send + 'static) -> Self {
        self.stdout = OutputStream::new(Box::new(writer), Buffering::Line);
        self
    }

    /// Sends the guest's standard error to `writer`, by lines.
    pub fn stderr(mut self, writer: impl Write + Send + 'static) -> Self {
        self.stderr = OutputStream::new(Box::new(writer), Buffering::Line);
        self
    }

    /// Sets when standard output is sent on. To be called after the output is chosen, which sets it too.
    pub fn stdout_buffering(mut self, buffering: Buffering) -> Self {
        self.stdout.set_buffering(buffering);
        self
    }

    /// Sets when standard error is sent on. To be called after the output is chosen, which sets it too.
    pub fn stderr_buffering(mut self, buffering: Buffering) -> Self {
        self.stderr.set_buffering(buffering);
        self
    }

    /// Gives the guest the host's directory `host` under the name `guest`, such as `"/"` or `"."`.
    ///
    /// The directory is opened by [`build`](WasiCtxBuilder::build). Preopened directories get the
    /// descriptors from 3 on, in the order in which they are added. A guest reaches nothing outside
    /// them: not by `..`, not by an absolute path and not through a symbolic link.
    pub fn preopened_dir(mut self, host: impl AsRef<Path>, guest: impl Into<String>, perms: Perms) -> Self {
        self.preopens.push(Preopen { host: host.as_ref().to_owned(), guest: guest.into(), perms });
        self
    }

    /// Sets the guest's clocks; see [`VirtualClock`](crate::VirtualClock) for runs which repeat.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets the guest's random bytes; see [`SeededRandom`](crate::SeededRandom) for runs which repeat.
    pub fn random(mut self, random: impl Random + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// Sets how many descriptors the guest may have open at once, standard streams and preopened
    /// directories included.
    pub fn max_descriptors(mut self, count: usize) -> Self {
        self.max_descriptors = count;
        self
    }

    /// Opens the directories and makes the context.
    pub fn build(self) -> Result<WasiCtx, BuildError> {
        if let Some(index) = self.args.iter().position(|arg| arg.contains(&0)) {
            return Err(BuildError::NulInArgument(index));
        }
        let args = StringList::new(self.args.iter().map(Vec::as_slice)).ok_or(BuildError::TooLarge)?;

        let mut pairs = Vec::with_capacity(self.environ.len());
        for (key, value) in &self.environ {
            if key.is_empty() || key.contains(&b'=') || key.contains(&0) || value.contains(&0) {
                let key = String::from_utf8_lossy(key).into_owned();
                return Err(BuildError::InvalidEnvironment(key));
            }
            pairs.push([key, &b"="[..], value].concat());
        }
        let environ = StringList::new(pairs.iter().map(Vec::as_slice)).ok_or(BuildError::TooLarge)?;

        let mut table = Table::new(self.max_descriptors);
        for (kind, base) in
            [(Kind::Stdin, Rights::INPUT), (Kind::Stdout, Rights::OUTPUT), (Kind::Stderr, Rights::OUTPUT)]
        {
            add(&mut table, kind, base, Rights::empty())?;
        }
        for preopen in self.preopens {
            let guest = preopen.guest;
            if guest.contains('\0') || guest.len() > crate::memory::MAX_PATH as usize {
                return Err(BuildError::InvalidDirectoryName(guest));
            }
            let dir = cap_std::fs::Dir::open_ambient_dir(&preopen.host, cap_std::ambient_authority())
                .map_err(|source| BuildError::OpenDirectory { path: preopen.host, source })?;
            let allowed = match preopen.perms {
                Perms::ReadOnly => Rights::all().difference(Rights::MUTATION),
                Perms::ReadWrite => Rights::all(),
            };
            let open = OpenDir { dir, preopened_as: Some(guest), cursor: None };
            add(
                &mut table,
                Kind::Dir(open),
                Rights::DIRECTORY & allowed,
                (Rights::DIRECTORY | Rights::FILE) & allowed,
            )?;
        }

        Ok(WasiCtx {
            args,
            environ,
            table,
            stdin: self.stdin,
            stdout: self.stdout,
            stderr: self.stderr,
            clock: self.clock,
            random: self.random,
        })
    }
}

fn add(table: &mut Table, kind: Kind, base: Rights, inheriting: Rights) -> Result<(), BuildError> {
    table
        .insert(Descriptor { kind, base, inheriting, flags: Fdflags::empty() })
        .map(|_| ())
        .map_err(|_| BuildError::TooManyDescriptors)
}

impl Default for WasiCtxBuilder {
    fn default() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }
}

impl fmt::Debug for WasiCtxBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiCtxBuilder")
            .field("args", &self.args.len())
            .field("environ", &self.environ.len())
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("preopens", &self.preopens.len())
            .field("max_descriptors", &self.max_descriptors)
            .finish_non_exhaustive()
    }
}
