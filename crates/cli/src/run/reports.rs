//! Where reports about a run go: listeners of events, and the files that they write.
//!
//! A file that cannot be written is found before the program runs, as far as that is possible, and is otherwise a
//! failure at its end.

use crate::args::{LogLevel, RunArgs};
use crate::failure::Failure;
use heapwright::listeners::{Fanout, GcLog, Recorder, Timeline};
use heapwright::{CallProfile, Config};
use std::fs::File;
use std::io::{self, BufWriter, Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

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
        let kept = TraceFile { path: path.clone(), failed: Arc::default() };
        let failed = kept.failed.clone();
        all.add(Timeline::new(BufWriter::new(Noted { file, failed })));
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

/// What has become of a timeline's file.
pub(super) struct TraceFile {
    path: PathBuf,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl TraceFile {
    /// Whether all of it could be written: to be asked when the timeline is gone.
    pub(super) fn outcome(self) -> Result<(), Failure> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), |e| Err(unwritable(&self.path, &e)))
    }
}

/// A file whose first error is kept: a timeline ignores errors.
struct Noted {
    file: File,
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Write for Noted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.file.write(bytes) {
            Err(e) if e.kind() != io::ErrorKind::Interrupted => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                let kind = e.kind();
                failed.get_or_insert(e);
                Err(kind.into())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
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
