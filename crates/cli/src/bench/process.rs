//! Runs one measured process: with a time limit, an ear for interrupts, and its output collected.

use super::engines::Contender;
use super::interrupt::Interrupt;
use super::programs::Program;
use super::protocol::{Report, Task};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often somebody looks whether the process has ended. It measures itself, so this is in no figure.
const LOOK: Duration = Duration::from_millis(5);

/// What a process may do.
pub(super) struct Limits {
    pub(super) calls: u32,
    pub(super) millis: u64,
    pub(super) timeout: Duration,
}

/// What came of a process.
pub(super) struct Outcome {
    pub(super) report: Report,
    /// Standard output.
    pub(super) output: Vec<u8>,
    /// From the start of the process to its first output.
    pub(super) first_output: Option<Duration>,
}

/// Why a process gives no figures.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failed {
    /// What it said, or how it ended.
    Error(String),
    /// It took too long.
    TimedOut,
    /// Somebody asked for the end.
    Interrupted,
}

/// Runs a program once under an engine.
pub(super) fn run(
    contender: &Contender,
    program: &Program,
    limits: &Limits,
    scratch: &Path,
    interrupt: &Interrupt,
) -> Result<Outcome, Failed> {
    let error = |what: &str, e: std::io::Error| Failed::Error(format!("{what}: {e}"));
    let path = scratch.join("report");
    let mut errors = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(scratch.join("errors"))
        .map_err(|e| error("no place for messages", e))?;
    let stderr = errors.try_clone().map_err(|e| error("no place for messages", e))?;
    // The report of an earlier process must not be taken for this one's.
    let _ = std::fs::remove_file(&path);
    let mut command = contender.command();
    command.arg("--module").arg(&program.file).arg("--report").arg(&path);
    match program.task {
        Task::Compile => {}
        Task::Command => {
            command.arg("--command");
        }
        Task::Call(n) => {
            // One word each, or a negative number would be taken for an option.
            command.args([
                format!("--call={n}"),
                format!("--calls={}", limits.calls),
                format!("--millis={}", limits.millis),
            ]);
        }
    }
    let started = Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().map_err(|e| error("cannot start", e))?;
    let reader = child.stdout.take().map(|pipe| thread::spawn(move || collect(pipe, started)));
    let ended = wait(&mut child, started, limits.timeout, interrupt);
    let (output, first_output) = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let status = ended?;
    if !status.success() {
        let mut text = String::new();
        let _ = errors.seek(SeekFrom::Start(0)).and_then(|_| errors.read_to_string(&mut text));
        return Err(Failed::Error(message(&text, status)));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| error("no report", e))?;
    let report = Report::parse(&text).map_err(Failed::Error)?;
    Ok(Outcome { report, output, first_output })
}

/// Reads to the end, with the time of the first byte.
fn collect(mut pipe: ChildStdout, started: Instant) -> (Vec<u8>, Option<Duration>) {
    let mut output = vec![0];
    let first = match pipe.read(&mut output) {
        Ok(1) => Some(started.elapsed()),
        _ => {
            output.clear();
            None
        }
    };
    let _ = pipe.read_to_end(&mut output);
    (output, first)
}

fn wait(child: &mut Child, started: Instant, timeout: Duration, interrupt: &Interrupt) -> Result<ExitStatus, Failed> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) if !interrupt.came() => return Ok(status),
            Ok(Some(_)) => return Err(Failed::Interrupted),
            Ok(None) if interrupt.came() => return end(child, Failed::Interrupted),
            Ok(None) if started.elapsed() > timeout => return end(child, Failed::TimedOut),
            Ok(None) => thread::sleep(LOOK),
            Err(e) => return end(child, Failed::Error(format!("cannot wait: {e}"))),
        }
    }
}

fn end(child: &mut Child, why: Failed) -> Result<ExitStatus, Failed> {
    let _ = child.kill();
    let _ = child.wait();
    Err(why)
}

/// The line that says what went wrong: the first that says so, or the last.
fn message(text: &str, status: ExitStatus) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = lines().find(|line| line.to_lowercase().contains("error")).or_else(|| lines().next_back());
    match telling {
        Some(line) => line.trim_start_matches("error: ").to_owned(),
        None => status.to_string(),
    }
}
