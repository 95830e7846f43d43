//! What a program can import.

use super::chars::CharOutput;
use crate::args::RunArgs;
use crate::failure::Failure;
use heapwright::{Caller, Engine, Linker, Result};
use heapwright_wasi::{BuildError, Perms, WasiCtx, add_to_linker};
use std::io;
use std::os::unix::ffi::OsStringExt;

/// The host's side of a guest.
#[derive(Debug)]
pub(crate) struct Host {
    wasi: WasiCtx,
    chars: CharOutput,
}

impl Host {
    /// The guest's world, as the command line describes it.
    pub(crate) fn new(args: &RunArgs) -> Result<Host, Failure> {
        let mut wasi = WasiCtx::builder().inherit_stdio().arg(args.program[0].clone().into_vec());
        if args.invoke.is_none() {
            wasi = wasi.args(args.args().iter().map(|a| a.clone().into_vec()));
        }
        wasi = wasi.envs(args.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        for dir in &args.dirs {
            let (host, guest) = dir.split_once("::").unwrap_or((dir, dir));
            wasi = wasi.preopened_dir(host, guest, Perms::ReadWrite);
        }
        let wasi = wasi.build().map_err(|e| match &e {
            BuildError::OpenDirectory { source, .. } => Failure::usage(format_args!("--dir: {e}: {source}")),
            _ => Failure::usage(&e),
        })?;
        Ok(Host { wasi, chars: CharOutput::new() })
    }

    /// A world with standard streams and nothing else but one environment variable: some hosts cannot offer none.
    pub(crate) fn bare(name: &str) -> Result<Host, Failure> {
        let wasi = WasiCtx::builder().inherit_stdio().arg(name).env("LANG", "C");
        Ok(Host { wasi: wasi.build().map_err(Failure::unusable)?, chars: CharOutput::new() })
    }

    /// Sends what the guest has printed.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let wasi = self.wasi.flush();
        let chars = self.chars.flush();
        wasi.and(chars)
    }
}

/// Everything that the host offers.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker, |host: &mut Host| &mut host.wasi)?;
    linker.func_wrap("spectest", "print_char", |mut caller: Caller<'_, Host>, unit: i32| -> Result<()> {
        Ok(caller.data_mut().chars.put(unit)?)
    })?;
    Ok(linker)
}
