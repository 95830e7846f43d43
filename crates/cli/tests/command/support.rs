//! Running the command on files made for a test.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A directory with a test's files, in which the command runs.
pub(crate) struct Here {
    dir: TempDir,
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Here {
    pub(crate) fn new() -> Here {
        Here { dir: TempDir::new().unwrap() }
    }

    /// A directory with one file.
    pub(crate) fn with(name: &str, contents: impl AsRef<[u8]>) -> Here {
        let here = Here::new();
        here.file(name, contents);
        here
    }

    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), contents).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heapwright"));
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        // The compile cache is the test's own.
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    pub(crate) fn heapwright<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Ended {
        self.command(args).output().unwrap().into()
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Checks the exit code, that nothing was printed, and that the message says all of this.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        for what in says {
            assert!(self.err.contains(what), "no {what:?} in: {}", self.err);
        }
    }

    /// Checks that all went well, and what was printed.
    #[track_caller]
    pub(crate) fn prints(&self, out: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (Some(0), out, ""));
    }
}
