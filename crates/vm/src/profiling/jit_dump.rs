//! A jitdump: records of code, of the names of functions, and of the lines that code comes from.
//!
//! The format is specified with the Linux kernel's perf tool (`jitdump-specification.txt`). All numbers have the byte
//! order of the machine. perf finds the file because the process maps its first page as executable.

use super::Function;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Magic number of the file, `JiTD`.
const MAGIC: u32 = 0x4a69_5444;
const VERSION: u32 = 1;
/// Bytes of the file's header.
const HEADER: u32 = 40;
/// Bytes of a record's header.
const RECORD: usize = 16;

/// Kinds of records.
const CODE_LOAD: u32 = 0;
const CODE_DEBUG_INFO: u32 = 2;

/// ELF machine numbers.
const MACHINE: u32 = if cfg!(target_arch = "x86_64") {
    62
} else if cfg!(target_arch = "aarch64") {
    183
} else {
    0
};

/// A jitdump being written.
pub(super) struct JitDump {
    file: BufWriter<std::fs::File>,
    /// Number of the next function.
    next: u64,
}

impl JitDump {
    pub(super) fn new(path: PathBuf) -> io::Result<JitDump> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut dump = JitDump { file: BufWriter::new(file), next: 0 };
        let words = [MAGIC, VERSION, HEADER, MACHINE, 0, std::process::id()];
        let mut header: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        header.extend(now().to_ne_bytes());
        header.extend(0u64.to_ne_bytes());
        dump.file.write_all(&header)?;
        dump.file.flush()?;
        announce(dump.file.get_ref())?;
        Ok(dump)
    }

    /// Adds functions. They are in the file when this returns.
    pub(super) fn write<'a>(&mut self, functions: impl Iterator<Item = Function<'a>>) -> io::Result<()> {
        for function in functions {
            if !function.lines.is_empty() {
                self.record(CODE_DEBUG_INFO, &debug_info(&function))?;
            }
            let load = code_load(&function, self.next);
            self.next += 1;
            self.record(CODE_LOAD, &load)?;
        }
        self.file.flush()
    }

    fn record(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidData, "a record of more than 4 GiB");
        let size = u32::try_from(RECORD + body.len()).map_err(too_large)?;
        self.file.write_all(&kind.to_ne_bytes())?;
        self.file.write_all(&size.to_ne_bytes())?;
        self.file.write_all(&now().to_ne_bytes())?;
        self.file.write_all(body)
    }
}

/// The body of a record of code: who made it, where it is, its name, its bytes.
fn code_load(function: &Function<'_>, number: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(48 + function.name.len() + function.code.len());
    body.extend(std::process::id().to_ne_bytes());
    body.extend(rustix::thread::gettid().as_raw_nonzero().get().to_ne_bytes());
    for word in [function.address, function.address, function.code.len() as u64, number] {
        body.extend(word.to_ne_bytes());
    }
    string(&mut body, &function.name);
    body.extend(function.code);
    body
}

/// The body of a record of lines. It stands before that of the code.
fn debug_info(function: &Function<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(function.address.to_ne_bytes());
    body.extend((function.lines.len() as u64).to_ne_bytes());
    for (i, &(address, line)) in function.lines.iter().enumerate() {
        body.extend(address.to_ne_bytes());
        body.extend(line.to_ne_bytes());
        // Column or discriminator: none.
        body.extend(0u32.to_ne_bytes());
        if i == 0 {
            string(&mut body, function.file);
        } else {
            // The same file as in the entry before.
            body.extend([0xff, 0]);
        }
    }
    body
}

/// Text ends with a zero byte; it has none inside, because control characters were replaced.
fn string(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().filter(|byte| *byte != 0));
    body.push(0);
}

/// Nanoseconds of the monotonic clock, which `perf record -k mono` uses too.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Maps the file's first page as executable, for perf to see. The mapping stays for the life of the process.
fn announce(file: &std::fs::File) -> io::Result<()> {
    use rustix::mm::{MapFlags, ProtFlags, mmap};
    let page = rustix::param::page_size();
    // SAFETY: a new private mapping at a place that the system chooses; nothing reads, writes or runs it.
    unsafe { mmap(std::ptr::null_mut(), page, ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE, file, 0)? };
    Ok(())
}
