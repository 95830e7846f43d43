//! Where reports about a run go: listeners of events, and the files that they write.
//!
//! A file that cannot be written is found before the program runs, as far as that is possible, and is otherwise a
//! failure at its end.

use crate::args::{LogLevel, RunArgs};
use crate::failure::Failure;
use heapwright::listeners::{Fanout, GcLog, Recorder, Timeline};
use heapwright::{CallProfile, Config};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use std::fs::File;
use std::io::{self, BufWriter, Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The listeners that the command line asks for.
pub(super) struct Listeners {
    /// Figures, for `--stats`.
    pub(super) recorder: Option<Recorder>,
    /// The file of `--trace`.
    pub(super) trace: Option<TraceFile>,
}

/// Sets up the listeners. Without any, no events are built.
pub(super) fn listen(args: &RunArgs, config: &mut Config) -> Result<Listeners, Failure> {
    let mut all = Fanout::new();
    let recorder = args.stats.map(|_| Recorder::new());
    if let Some(recorder) = &recorder {
        all.add(recorder.clone());
    }
    match args.gc_log {
        Some(LogLevel::Info) => _ = all.add(GcLog::new(stderr())),
        Some(LogLevel::Debug) => _ = all.add(GcLog::new(stderr()).detailed()),
        None => {}
    }
    let mut trace = None;
    if let Some(path) = &args.trace {
        let file = File::create(path).map_err(|e| unwritable(path, &e))?;
        let kept = TraceFile { path: path.clone(), output: Output::new(file) };
        kept.output.complete_at_the_end_of_the_process().map_err(Failure::unusable)?;
        all.add(Timeline::new(kept.output.clone()));
        trace = Some(kept);
    }
    if !all.is_empty() {
        config.event_sink(all);
    }
    Ok(Listeners { recorder, trace })
}

fn unwritable(path: &Path, e: &io::Error) -> Failure {
    Failure::unusable(format_args!("cannot write {}: {e}", path.display()))
}

/// The file of a timeline.
pub(super) struct TraceFile {
    path: PathBuf,
    output: Output,
}

impl TraceFile {
    /// Whether all of it could be written: to be asked when the timeline is gone.
    pub(super) fn outcome(self) -> Result<(), Failure> {
        let failed = self.output.lock().failed.take();
        failed.map_or(Ok(()), |e| Err(unwritable(&self.path, &e)))
    }
}

/// Buffered output whose first error is kept, for a timeline ignores errors.
#[derive(Clone)]
struct Output(Arc<Mutex<Buffered>>);

struct Buffered {
    file: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Output {
    fn new(file: File) -> Output {
        Output(Arc::new(Mutex::new(Buffered { file: BufWriter::new(file), failed: None })))
    }

    fn lock(&self) -> MutexGuard<'_, Buffered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ctrl-C ends the process as ever, but what was recorded until then is in the file, and its array is closed.
    fn complete_at_the_end_of_the_process(&self) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let output = self.clone();
        thread::Builder::new().name("interrupt".into()).spawn(move || {
            if let Some(signal) = signals.forever().next() {
                let mut buffered = output.lock();
                // There is nobody left to tell.
                let _ = writeln!(buffered.file, "]").and_then(|()| buffered.file.flush());
                let _ = emulate_default_handler(signal);
            }
        })?;
        Ok(())
    }

    fn noted<T>(&self, work: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
        let mut buffered = self.lock();
        work(&mut buffered.file).map_err(|e| {
            let kind = e.kind();
            buffered.failed.get_or_insert(e);
            kind.into()
        })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // All of it under one lock: a signal finds whole events.
        self.noted(|file| file.write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.noted(BufWriter::flush)
    }
}

/// The file of `--record-calls`. What is in it stays until the program has ended: it may be the profile that this run
/// uses.
pub(super) struct CallFile {
    path: PathBuf,
    file: File,
}

impl CallFile {
    /// Opens it, or makes it.
    pub(super) fn open(path: &Path) -> Result<CallFile, Failure> {
        let opened = File::options().write(true).create(true).truncate(false).open(path);
        Ok(CallFile { path: path.to_owned(), file: opened.map_err(|e| unwritable(path, &e))? })
    }

    /// Writes a profile in place of what is there.
    pub(super) fn write(mut self, profile: &CallProfile) -> Result<(), Failure> {
        let mut write = || {
            // A device or a pipe has no length.
            if self.file.metadata()?.is_file() {
                self.file.set_len(0)?;
            }
            self.file.write_all(profile.to_string().as_bytes())
        };
        write().map_err(|e| unwritable(&self.path, &e))
    }
}
