//! `fd_readdir`: directory entries, cut to fit the guest's buffer.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory;
use crate::table::{Kind, OpenDir};
use crate::types::{Dirent, Filetype, Rights};
use std::fmt;

/// A place in a directory.
///
/// A cookie is the number of entries before it: 0 is ".", 1 is "..", the rest follow as the host gives
/// them. Reading on from where the last call stopped, as programs do, continues one pass over the
/// directory, and so sees each entry exactly once even while others come and go; any other cookie
/// starts a new pass and skips.
pub(crate) struct Cursor {
    /// The host's pass over the directory.
    pass: rustix::fs::Dir,
    /// The cookie of the next entry.
    at: u64,
    /// The next entry, if it was taken from the pass but did not fit into the guest's buffer.
    pending: Option<Entry>,
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor").field("at", &self.at).finish_non_exhaustive()
    }
}

struct Entry {
    name: Vec<u8>,
    ino: u64,
    filetype: Filetype,
}

impl Cursor {
    fn start(dir: &OpenDir) -> Result<Cursor, Errno> {
        Ok(Cursor { pass: rustix::fs::Dir::new(dir.readable()?)?, at: 0, pending: None })
    }

    /// The next entry; `None` at the end.
    fn next(&mut self, dir: &cap_std::fs::Dir) -> Result<Option<Entry>, Errno> {
        let entry = match self.pending.take() {
            Some(entry) => Some(entry),
            None if self.at < 2 => {
                use cap_std::fs::MetadataExt;
                // ".." gets this directory's own number: the parent's may lie outside what the guest
                // is given.
                Some(Entry {
                    name: if self.at == 0 { b".".to_vec() } else { b"..".to_vec() },
                    ino: dir.dir_metadata()?.ino(),
                    filetype: Filetype::Directory,
                })
            }
            None => self.next_host(dir)?,
        };
        if entry.is_some() {
            self.at += 1;
        }
        Ok(entry)
    }

    fn next_host(&mut self, dir: &cap_std::fs::Dir) -> Result<Option<Entry>, Errno> {
        for entry in &mut self.pass {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            return Ok(Some(Entry { name: name.to_vec(), ino: entry.ino(), filetype: filetype(&entry, dir) }));
        }
        Ok(None)
    }
}

fn filetype(entry: &rustix::fs::DirEntry, dir: &cap_std::fs::Dir) -> Filetype {
    match entry.file_type() {
        rustix::fs::FileType::RegularFile => Filetype::RegularFile,
        rustix::fs::FileType::Directory => Filetype::Directory,
        rustix::fs::FileType::Symlink => Filetype::SymbolicLink,
        rustix::fs::FileType::CharacterDevice => Filetype::CharacterDevice,
        rustix::fs::FileType::BlockDevice => Filetype::BlockDevice,
        rustix::fs::FileType::Socket => Filetype::SocketStream,
        rustix::fs::FileType::Fifo => Filetype::Unknown,
        // Some file systems leave the type to a second look.
        rustix::fs::FileType::Unknown => entry
            .file_name()
            .to_str()
            .ok()
            .and_then(|name| dir.symlink_metadata(name).ok())
            .map_or(Filetype::Unknown, |meta| meta.file_type().into()),
    }
}

impl WasiCtx {
    /// `fd_readdir`: fills up to `len` bytes at `buf` with the entries of directory `fd` from `cookie`
    /// on, and stores how many bytes were filled (a `u32`) at `used`. Fewer than `len` means that the
    /// directory has ended; otherwise the last entry may be cut off.
    pub fn fd_readdir(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        buf: u32,
        len: u32,
        cookie: u64,
        used: u32,
    ) -> Result<(), Errno> {
        memory::check(mem, used, 4)?;
        let descriptor = self.table.get_mut(fd)?;
        if matches!(descriptor.kind, Kind::Dir(_)) {
            descriptor.require(Rights::FD_READDIR)?;
        }
        let Kind::Dir(open) = &mut descriptor.kind else {
            return Err(Errno::NotDir);
        };
        let out = memory::bytes_mut(mem, buf, len)?;
        // Cookie 0 starts over, so that a rewound directory shows what has changed.
        let mut cursor = match open.cursor.take() {
            Some(cursor) if cookie != 0 && cursor.at <= cookie => cursor,
            _ => Cursor::start(open)?,
        };
        let mut filled = 0;
        let result = loop {
            // The end: a cookie past it skips to it and stops there too.
            let entry = match cursor.next(&open.dir) {
                Ok(Some(entry)) => entry,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            if cursor.at <= cookie {
                continue;
            }
            let header = Dirent {
                next: cursor.at,
                ino: entry.ino,
                // Host names are at most a few hundred bytes.
                name_len: entry.name.len() as u32,
                filetype: entry.filetype,
            }
            .encode();
            let mut whole = true;
            for part in [&header[..], &entry.name] {
                let n = part.len().min(out.len() - filled);
                out[filled..filled + n].copy_from_slice(&part[..n]);
                filled += n;
                whole &= n == part.len();
            }
            if !whole {
                cursor.at -= 1;
                cursor.pending = Some(entry);
                break Ok(());
            }
            if filled == out.len() {
                break Ok(());
            }
        };
        result?;
        open.cursor = Some(cursor);
        // At most `len`, a u32.
        memory::store_u32(mem, used, filled as u32)
    }
}
