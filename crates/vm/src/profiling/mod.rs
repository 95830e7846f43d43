//! Telling profilers about generated code: a perf map or a jitdump.
//!
//! A profiler samples addresses; what is at an address of compiled code only this process knows. Both files are of the
//! whole process: every engine that profiles in the same way writes to the same one.

mod jit_dump;
mod perf_map;
#[cfg(test)]
mod tests;

use crate::LoadedModule;
use heapwright_jit::Target;
use jit_dump::JitDump;
use perf_map::PerfMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How profilers learn of compiled code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProfilingStrategy {
    /// Not at all.
    #[default]
    None,
    /// A line of text for each function in `/tmp/perf-PID.map`: names for `perf report`.
    PerfMap,
    /// Code, names and addresses of Wasm instructions in `jit-PID.dump` in the working directory. `perf inject --jit`
    /// makes of it what `perf annotate` shows.
    JitDump,
}

/// A function as profilers are told of it.
struct Function<'a> {
    name: String,
    address: u64,
    code: &'a [u8],
    /// Address and source line of each range of code, ascending. The line is the instruction's offset in the module.
    lines: Vec<(u64, u32)>,
    /// The file that the lines are of.
    file: &'a str,
}

/// Files of this process. They stay open to its end.
static PERF_MAP: Mutex<Option<PerfMap>> = Mutex::new(None);
static JIT_DUMP: Mutex<Option<JitDump>> = Mutex::new(None);

fn lock<T>(file: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProfilingStrategy {
    /// Opens this process's file, unless that is done.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn start(self) -> io::Result<()> {
        match self {
            ProfilingStrategy::None => {}
            ProfilingStrategy::PerfMap => {
                let mut file = lock(&PERF_MAP);
                if file.is_none() {
                    *file = Some(PerfMap::new(PathBuf::from(format!("/tmp/perf-{}.map", std::process::id())))?);
                }
            }
            ProfilingStrategy::JitDump => {
                let mut file = lock(&JIT_DUMP);
                if file.is_none() {
                    *file = Some(JitDump::new(PathBuf::from(format!("jit-{}.dump", std::process::id())))?);
                }
            }
        }
        Ok(())
    }

    /// Tells of a module's functions. Bytecode is no code that a profiler could sample.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn module(self, module: &LoadedModule) -> io::Result<()> {
        if self == ProfilingStrategy::None || module.runtime().compiler().settings().target != Target::Native {
            return Ok(());
        }
        self.start()?;
        let info = module.info();
        let file = format!("{}.wasm", info.name.as_deref().unwrap_or("module"));
        let functions = functions(module, &file);
        match self {
            ProfilingStrategy::None => Ok(()),
            ProfilingStrategy::PerfMap => lock(&PERF_MAP).as_mut().map_or(Ok(()), |map| map.write(functions)),
            ProfilingStrategy::JitDump => lock(&JIT_DUMP).as_mut().map_or(Ok(()), |dump| dump.write(functions)),
        }
    }
}

/// The functions of a module, by address.
fn functions<'a>(module: &'a LoadedModule, file: &'a str) -> impl Iterator<Item = Function<'a>> {
    let (info, compiled, text) = (module.info(), module.compiled(), module.text());
    let base = text.as_ptr() as u64;
    compiled.funcs.iter().enumerate().filter(|(_, range)| range.length > 0).map(move |(defined, range)| {
        let index = info.imported_funcs + defined as u32;
        let name = match info.func_names.get(&index) {
            Some(name) => one_line(name),
            None => format!("wasm-function[{index}]"),
        };
        let addresses = &compiled.tables.addresses;
        let first = addresses.code.partition_point(|&code| code < range.start);
        let entries = addresses.code[first..].iter().zip(&addresses.wasm[first..]);
        let entries = entries.take_while(|(code, _)| **code < range.end()).filter(|(_, wasm)| **wasm != u32::MAX);
        Function {
            name,
            address: base + u64::from(range.start),
            code: &text[range.start as usize..range.end() as usize],
            lines: entries.map(|(&code, &wasm)| (base + u64::from(code), wasm)).collect(),
            file,
        }
    })
}

/// A name comes from the module and may be anything; a line of text must stay one.
fn one_line(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
