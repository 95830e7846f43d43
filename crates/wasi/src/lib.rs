//! WASI preview 1 for Heapwright.
//!
//! A [`WasiCtx`] is what one guest can reach: arguments, environment, standard streams, clocks, random
//! bytes and preopened directories. Every function of preview 1 works on a context, the guest's memory
//! as a byte slice and plain integers; [`IMPORTS`] lists them with their WebAssembly types, and
//! [`add_to_linker`] gives them to an engine.
//!
//! ```
//! use heapwright_wasi::{IMPORTS, Import, OutputPipe, WasiCtx};
//!
//! let output = OutputPipe::new();
//! let mut ctx = WasiCtx::builder().stdout(output.clone()).build()?;
//!
//! // What an engine does when a guest writes "hi" to standard output: a list of one buffer of two
//! // bytes at address 8, with the count to be stored at address 12.
//! let mut memory = vec![0; 65_536];
//! memory[0] = 8;
//! memory[4] = 2;
//! memory[8..10].copy_from_slice(b"hi");
//! let fd_write = Import::find("fd_write").unwrap();
//! assert_eq!(fd_write.invoke(&mut ctx, &mut memory, &[1, 0, 1, 12]), Ok(Some(0)));
//! assert_eq!(memory[12], 2);
//!
//! ctx.flush().unwrap();
//! assert_eq!(output.contents(), b"hi");
//! assert_eq!(IMPORTS.len(), 46);
//! # Ok::<(), heapwright_wasi::BuildError>(())
//! ```
//!
//! # What a guest can do to the host
//!
//! Nothing a guest passes makes a function panic: pointers and lengths are checked in 64 bits, lists are
//! bounded, and no allocation is larger than a constant times what a bound allows. Files outside the
//! preopened directories cannot be reached. Inside, what a guest may do is what its descriptors' rights
//! say: the rights of preview 1 are kept, reported and enforced, and a directory opened
//! [read-only](Perms::ReadOnly) is one without the rights to change anything.
//!
//! What a guest can do is use up time and space: it can sleep, wait for input, fill a disk it may write
//! to, and print without end. An embedder which minds limits those itself; [`OutputPipe`] has a limit.
//!
//! # Paths and names
//!
//! Paths are UTF-8, as the specification says; others are [`Errno::Ilseq`]. Names which the host has and
//! which are not UTF-8 are listed by `fd_readdir` as they are.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

#[cfg(not(unix))]
compile_error!("heapwright-wasi stands on a Unix host's file descriptors");

mod builder;
mod clocks;
mod ctx;
mod errno;
mod fdio;
mod fds;
mod imports;
mod linker;
mod memory;
mod open;
mod paths;
mod poll;
mod process;
mod random;
mod readdir;
mod sock;
mod stdio;
mod table;
mod types;

pub use builder::{BuildError, Perms, WasiCtxBuilder};
pub use clocks::{Clock, ClockId, SystemClock, VirtualClock};
pub use ctx::WasiCtx;
pub use errno::Errno;
pub use imports::{Call, IMPORTS, Import, MODULE, Ty};
pub use linker::add_to_linker;
pub use process::{Exit, Signal};
pub use random::{Random, SeededRandom, SystemRandom};
pub use stdio::{Buffering, OutputPipe};
