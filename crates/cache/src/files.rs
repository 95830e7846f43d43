//! The files of a cache: their names, and how they come into being.

use crate::Key;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

const SUFFIX: &str = ".hwm";
const TEMPORARY: &str = ".new-";

/// A file of the cache.
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) used: SystemTime,
    pub(crate) temporary: bool,
}

/// The files of a cache.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) entries: Vec<Listed>,
    pub(crate) temporary: Vec<Listed>,
}

/// The file name of an entry.
pub(crate) fn name(key: &Key) -> String {
    let mut name: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
    name.push_str(SUFFIX);
    name
}

/// Whether a file name is that of an entry (`false`) or of one in the making (`true`); `None` for others.
fn is_temporary(name: &str) -> Option<bool> {
    let (key, rest) = name.split_at_checked(64)?;
    let hex = key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match rest.strip_prefix(SUFFIX) {
        Some("") if hex => Some(false),
        Some(rest) if hex && rest.starts_with(TEMPORARY) => Some(true),
        _ => None,
    }
}

/// Lists a cache's files. Those that vanish meanwhile are left out.
pub(crate) fn list(dir: &Path) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Some(temporary) = entry.file_name().to_str().and_then(is_temporary) else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() {
            continue;
        }
        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let listed = Listed { path: entry.path(), bytes: metadata.len(), used, temporary };
        if temporary { found.temporary.push(listed) } else { found.entries.push(listed) }
    }
    Ok(found)
}

/// Gives a file new contents at one stroke: they are written beside it and renamed. Who has the old file open keeps it
/// as it was; its permissions pass to the new one. A symbolic link stays and what it leads to is replaced. What is
/// neither a file nor absent, such as a device or a pipe, is written to and stays what it is.
///
/// # Errors
///
/// When the file cannot be written; there is then the old one, or none, as before.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let permissions = match fs::metadata(path) {
        Ok(there) if there.is_file() => Some(there.permissions()),
        Ok(_) => return OpenOptions::new().write(true).open(path)?.write_all(contents),
        // A link that leads nowhere is a name for what it leads to.
        Err(_) if path.is_symlink() => return fs::write(path, contents),
        Err(_) => None,
    };
    let path = if permissions.is_some() { path.canonicalize()? } else { path.to_owned() };
    Unplaced::write(&path, contents, permissions)?.place(&path)
}

/// A file that is written and has not got its name yet. Without one it goes when this value goes.
pub(crate) struct Unplaced {
    /// Its name until then; empty afterwards.
    temporary: PathBuf,
}

impl Unplaced {
    /// Writes a file beside `path`.
    pub(crate) fn write(path: &Path, contents: &[u8], permissions: Option<Permissions>) -> io::Result<Unplaced> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        // Unique among living processes of this machine; `create_new` sees to the rest.
        name.push(format!("{TEMPORARY}{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(name);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let unplaced = Unplaced { temporary };
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        file.write_all(contents)?;
        Ok(unplaced)
    }

    /// Gives it the name `path`, in place of what has it.
    pub(crate) fn place(mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.temporary, path)?;
        self.temporary = PathBuf::new();
        Ok(())
    }
}

impl Drop for Unplaced {
    fn drop(&mut self) {
        if !self.temporary.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_cache_are_its_own() {
        let key = Key([0xa7; 32]);
        let entry = name(&key);
        assert_eq!(is_temporary(&entry), Some(false));
        assert_eq!(is_temporary(&format!("{entry}.new-12-0")), Some(true));
        for other in ["", "x.hwm", "notes.txt", &entry[1..], &entry.to_uppercase(), &format!("{entry}.bak")] {
            assert_eq!(is_temporary(other), None, "{other}");
        }
    }
}
