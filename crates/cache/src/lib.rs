//! Files by key in a directory of the user's, bounded in size, shared by any number of processes.
//!
//! What this crate guarantees:
//!
//! - **Entries are whole.** An entry is written under another name and renamed; a reader sees all of it or nothing. An
//!   entry is never changed in place, so that it may be mapped; a newer one takes its name, and who has the old one
//!   open keeps it. Nobody waits for anybody to do so.
//! - **Entries can be added to.** [`Cache::put_if`] replaces only the entry that was seen, so that of several who add
//!   to one at the same time none undoes what another did. For the moment of comparing and renaming they take turns.
//! - **Only the user writes.** A directory that belongs to somebody else, or that others may write to, is refused: what
//!   is cached is executed.
//! - **The size is bounded.** Whoever adds an entry removes those not used for longest, until all fit.
//! - **Only its own files are touched.** Whatever else stands in the directory stays there.
//!
//! What an entry *means* is not this crate's business: its reader must check the contents.

#![forbid(unsafe_code)]

mod files;
mod turns;

use files::{Listed, Unplaced};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

pub use files::replace;

/// Size to which a cache is bounded unless told otherwise: 1 GiB.
pub const DEFAULT_LIMIT: u64 = 1 << 30;

/// What is left of a writer that died goes after this time.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The name of an entry: a hash of everything that its contents depend on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(pub [u8; 32]);

/// A cache. Cloning gives another handle to the same directory.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
    limit: u64,
}

/// What became of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Put {
    /// It is kept.
    Kept,
    /// It is larger than the whole cache may be, and is not kept.
    TooLarge,
    /// Somebody else has changed the entry since it was seen: it is left as it is.
    Changed,
}

/// What is, or was, in a cache.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Number of entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Cache {
    /// The cache in a directory, which is made if need be (for the user alone). Entries beyond `limit` bytes in all are
    /// removed whenever one is added.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, is not the user's own, or may be written to by others.
    pub fn open(dir: impl Into<PathBuf>, limit: u64) -> io::Result<Cache> {
        let dir = dir.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        // Relative paths would follow the process's working directory.
        let dir = dir.canonicalize()?;
        let metadata = fs::metadata(&dir)?;
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user || metadata.mode() & 0o022 != 0 {
            let message = format!("{} may be written to by others than its user", dir.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok(Cache { dir, limit })
    }

    /// Where a user's caches are kept: `$XDG_CACHE_HOME/heapwright`, else `$HOME/.cache/heapwright`; `None` when
    /// neither is an absolute path.
    pub fn default_dir() -> Option<PathBuf> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        Some(base.join("heapwright"))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Size in bytes to which the cache is bounded.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// The entry of a key, which counts as used now. Its contents never change.
    pub fn get(&self, key: &Key) -> Option<File> {
        let file = File::open(self.path(key)).ok()?;
        if let Err(e) = file.set_modified(SystemTime::now()) {
            log::debug!("the age of a cache entry cannot be set: {e}");
        }
        Some(file)
    }

    /// Adds an entry, or replaces it, and then removes what is too much. Says whether the entry is kept: not if it
    /// alone is larger than the limit.
    ///
    /// # Errors
    ///
    /// When it cannot be written: the cache is then as it was before.
    pub fn put(&self, key: &Key, contents: &[u8]) -> io::Result<bool> {
        if contents.len() as u64 > self.limit {
            return Ok(false);
        }
        let path = self.path(key);
        Unplaced::write(&path, contents, Some(Permissions::from_mode(0o600)))?.place(&path)?;
        self.evict(&path);
        Ok(true)
    }

    /// As [`put`](Self::put), provided that the entry is the one that was seen before: `seen` is what
    /// [`get`](Self::get) gave then. To be used by who adds to an entry; on [`Put::Changed`] the newer one is to be
    /// read and added to.
    ///
    /// Where the file system has no locks, or another process holds one for seconds, nobody waits: of two that replace
    /// an entry in the same moment one may then be lost, which costs its additions and nothing else.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn put_if(&self, key: &Key, seen: Option<&File>, contents: &[u8]) -> io::Result<Put> {
        if contents.len() as u64 > self.limit {
            return Ok(Put::TooLarge);
        }
        let path = self.path(key);
        // What takes time is done before the others have to wait.
        let entry = Unplaced::write(&path, contents, Some(Permissions::from_mode(0o600)))?;
        {
            let _turn = turns::take(&self.dir);
            // An entry that is open keeps its number on the device, so no other can have it.
            let number = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
            let seen = seen.map(|file| file.metadata().map(number)).transpose()?;
            let now = match fs::symlink_metadata(&path) {
                Ok(metadata) => Some(number(metadata)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            };
            if seen != now {
                return Ok(Put::Changed);
            }
            entry.place(&path)?;
        }
        self.evict(&path);
        Ok(Put::Kept)
    }

    /// Removes an entry, if it is there.
    pub fn remove(&self, key: &Key) {
        let _ = fs::remove_file(self.path(key));
    }

    /// What is in the cache.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn contents(&self) -> io::Result<Contents> {
        let mut contents = Contents::default();
        for entry in files::list(&self.dir)?.entries {
            contents.entries += 1;
            contents.bytes += entry.bytes;
        }
        Ok(contents)
    }

    /// Removes all entries, and says what they were.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read or written.
    pub fn clear(&self) -> io::Result<Contents> {
        let mut removed = Contents::default();
        let found = files::list(&self.dir)?;
        for entry in found.entries.iter().chain(&found.temporary) {
            match fs::remove_file(&entry.path) {
                Ok(()) => {}
                // Somebody else was faster.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            }
            if !entry.temporary {
                removed.entries += 1;
                removed.bytes += entry.bytes;
            }
        }
        Ok(removed)
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(files::name(key))
    }

    /// Removes what was not used for longest until the rest fits, but not `keep`; and what dead writers left.
    fn evict(&self, keep: &Path) {
        let Ok(mut found) = files::list(&self.dir) else { return };
        let gone = |entry: &Listed| fs::remove_file(&entry.path).is_ok();
        let now = SystemTime::now();
        let abandoned = |e: &&Listed| now.duration_since(e.used).is_ok_and(|age| age > ABANDONED);
        found.temporary.iter().filter(abandoned).for_each(|entry| _ = gone(entry));

        let mut bytes: u64 = found.entries.iter().map(|e| e.bytes).sum();
        found.entries.sort_by_key(|entry| entry.used);
        for entry in found.entries.iter().filter(|entry| entry.path != keep) {
            if bytes <= self.limit {
                break;
            }
            if gone(entry) {
                log::debug!("{} made room in the cache", entry.path.display());
            }
            bytes -= entry.bytes;
        }
    }
}
