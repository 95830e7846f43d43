//! The engines that can be measured: how each is found and how a process of it is started.

mod heapwright;
mod node;
mod wasmtime;

use super::args::{BenchArgs, Peer};
use crate::failure::Failure;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One row of a table: an engine with a collector and settings.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    /// The engine, with what distinguishes it beside the collector.
    pub(super) engine: String,
    /// The collector's name; for engines that have one, the engine's.
    pub(super) collector: String,
    /// Whether it is ours: then nothing may fail.
    pub(super) ours: bool,
    program: PathBuf,
    args: Vec<OsString>,
}

impl Contender {
    /// The process, without what it is to measure. Its input is empty.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::null());
        command
    }

    /// How it is called in messages.
    pub(super) fn label(&self) -> String {
        format!("{}/{}", self.engine, self.collector)
    }
}

/// A peer that is not measured, and why.
pub(super) struct Skipped {
    pub(super) peer: &'static str,
    pub(super) reason: String,
}

/// All contenders that the command line asks for and the machine has.
pub(super) fn find(args: &BenchArgs) -> Result<(Vec<Contender>, Vec<Skipped>), Failure> {
    let mut contenders = heapwright::contenders(args)?;
    let mut skipped = Vec::new();
    let wanted = |peer| args.peers.is_empty() || args.peers.contains(&peer);
    if wanted(Peer::Wasmtime) {
        match wasmtime::contenders(args) {
            Ok(found) => contenders.extend(found),
            Err(reason) => skipped.push(Skipped { peer: "wasmtime", reason }),
        }
    }
    if wanted(Peer::Node) {
        match node::contenders(args.compile) {
            Ok(found) => contenders.extend(found),
            Err(reason) => skipped.push(Skipped { peer: "node", reason }),
        }
    }
    if contenders.is_empty() {
        let reasons: String = skipped.iter().map(|s| format!("; {}: {}", s.peer, s.reason)).collect();
        return Err(Failure::usage(format_args!("nothing to measure{reasons}")));
    }
    Ok((contenders, skipped))
}
