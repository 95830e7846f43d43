//! A stand-in for a guest: a memory, and calls through the import table with the arguments a compiled
//! program would pass. The numbers are the specification's.

// Each test crate uses a part of this.
#![allow(dead_code, unreachable_pub, reason = "each test that has it uses a part")]

use heapwright_wasi::{Exit, Import, Perms, WasiCtx};
use std::path::Path;
use tempfile::TempDir;

/// Error numbers, by the specification's enumeration.
pub mod errno {
    pub const SUCCESS: u32 = 0;
    pub const ACCES: u32 = 2;
    pub const AGAIN: u32 = 6;
    pub const BADF: u32 = 8;
    pub const EXIST: u32 = 20;
    pub const FAULT: u32 = 21;
    pub const FBIG: u32 = 22;
    pub const ILSEQ: u32 = 25;
    pub const INVAL: u32 = 28;
    pub const ISDIR: u32 = 31;
    pub const LOOP: u32 = 32;
    pub const MFILE: u32 = 33;
    pub const NAMETOOLONG: u32 = 37;
    pub const NOENT: u32 = 44;
    pub const NOSPC: u32 = 51;
    pub const NOTDIR: u32 = 54;
    pub const NOTEMPTY: u32 = 55;
    pub const NOTSOCK: u32 = 57;
    pub const NOTSUP: u32 = 58;
    pub const PERM: u32 = 63;
    pub const SPIPE: u32 = 70;
    pub const NOTCAPABLE: u32 = 76;
}

/// Rights, by the specification's bit numbers.
pub mod rights {
    pub const FD_DATASYNC: u64 = 1 << 0;
    pub const FD_READ: u64 = 1 << 1;
    pub const FD_SEEK: u64 = 1 << 2;
    pub const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub const FD_SYNC: u64 = 1 << 4;
    pub const FD_TELL: u64 = 1 << 5;
    pub const FD_WRITE: u64 = 1 << 6;
    pub const FD_ADVISE: u64 = 1 << 7;
    pub const FD_ALLOCATE: u64 = 1 << 8;
    pub const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
    pub const PATH_CREATE_FILE: u64 = 1 << 10;
    pub const PATH_LINK_SOURCE: u64 = 1 << 11;
    pub const PATH_LINK_TARGET: u64 = 1 << 12;
    pub const PATH_OPEN: u64 = 1 << 13;
    pub const FD_READDIR: u64 = 1 << 14;
    pub const PATH_READLINK: u64 = 1 << 15;
    pub const PATH_RENAME_SOURCE: u64 = 1 << 16;
    pub const PATH_RENAME_TARGET: u64 = 1 << 17;
    pub const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
    pub const FD_FILESTAT_GET: u64 = 1 << 21;
    pub const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub const PATH_SYMLINK: u64 = 1 << 24;
    pub const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
    pub const PATH_UNLINK_FILE: u64 = 1 << 26;
    pub const POLL_FD_READWRITE: u64 = 1 << 27;
    /// Everything, as programs ask for it.
    pub const ALL: u64 = u64::MAX;
}

pub mod oflags {
    pub const CREAT: u32 = 1;
    pub const DIRECTORY: u32 = 2;
    pub const EXCL: u32 = 4;
    pub const TRUNC: u32 = 8;
}

pub mod fdflags {
    pub const APPEND: u32 = 1;
    pub const DSYNC: u32 = 2;
    pub const NONBLOCK: u32 = 4;
    pub const RSYNC: u32 = 8;
    pub const SYNC: u32 = 16;
}

pub mod filetype {
    pub const UNKNOWN: u8 = 0;
    pub const CHARACTER_DEVICE: u8 = 2;
    pub const DIRECTORY: u8 = 3;
    pub const REGULAR_FILE: u8 = 4;
    pub const SYMBOLIC_LINK: u8 = 7;
}

pub const SYMLINK_FOLLOW: u32 = 1;

/// The first preopened directory.
pub const ROOT: u32 = 3;

/// What a call which can fail gives.
pub type Outcome<T> = Result<T, u32>;

/// Attributes of a file, as `fd_filestat_get` and `path_filestat_get` store them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filestat {
    pub dev: u64,
    pub ino: u64,
    pub filetype: u8,
    pub nlink: u64,
    pub size: u64,
    pub atim: u64,
    pub mtim: u64,
    pub ctim: u64,
}

/// Attributes of a descriptor, as `fd_fdstat_get` stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fdstat {
    pub filetype: u8,
    pub flags: u32,
    pub base: u64,
    pub inheriting: u64,
}

/// A directory entry, as `fd_readdir` stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub next: u64,
    pub ino: u64,
    pub filetype: u8,
    pub name: String,
}

pub struct Guest {
    pub ctx: WasiCtx,
    pub mem: Vec<u8>,
    /// Where the next argument is put.
    top: u32,
}

impl Guest {
    pub fn new(ctx: WasiCtx) -> Guest {
        Guest { ctx, mem: vec![0; 2 * 65_536], top: 0 }
    }

    /// A guest with nothing.
    pub fn bare() -> Guest {
        Guest::new(WasiCtx::builder().build().unwrap())
    }

    /// A guest whose descriptor 3 is `dir`.
    pub fn with_dir(dir: &Path, perms: Perms) -> Guest {
        Guest::new(WasiCtx::builder().preopened_dir(dir, "/", perms).build().unwrap())
    }

    /// Calls a function by name; unless the guest exits, gives its result.
    pub fn try_call(&mut self, name: &str, args: &[u64]) -> Result<u32, Exit> {
        let import = Import::find(name).unwrap_or_else(|| panic!("no function {name}"));
        assert_eq!(args.len(), import.params.len(), "arguments of {name}");
        let result = import.invoke(&mut self.ctx, &mut self.mem, args)?;
        Ok(result.expect("an errno"))
    }

    /// Calls a function which does not end the guest.
    pub fn call(&mut self, name: &str, args: &[u64]) -> u32 {
        self.try_call(name, args).expect("no exit")
    }

    fn ok(&mut self, name: &str, args: &[u64]) -> Outcome<()> {
        match self.call(name, args) {
            errno::SUCCESS => Ok(()),
            error => Err(error),
        }
    }

    /// Forgets what `alloc` and `put` have placed.
    pub fn reset(&mut self) {
        self.top = 0;
    }

    pub fn alloc(&mut self, len: usize) -> u64 {
        let at = self.top.next_multiple_of(8);
        self.top = at + len as u32;
        assert!(self.top as usize <= self.mem.len(), "guest memory is full");
        u64::from(at)
    }

    pub fn put(&mut self, data: &[u8]) -> u64 {
        let at = self.alloc(data.len());
        self.mem[at as usize..][..data.len()].copy_from_slice(data);
        at
    }

    pub fn u8(&self, at: u64) -> u8 {
        self.mem[at as usize]
    }

    pub fn u16(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.mem[at as usize..][..2].try_into().unwrap())
    }

    pub fn u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.mem[at as usize..][..4].try_into().unwrap())
    }

    pub fn u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.mem[at as usize..][..8].try_into().unwrap())
    }

    pub fn bytes(&self, at: u64, len: u32) -> Vec<u8> {
        self.mem[at as usize..][..len as usize].to_vec()
    }

    /// Lists buffers of these lengths, and says where the list and each buffer is.
    pub fn iovecs(&mut self, lens: &[usize]) -> (u64, Vec<u64>) {
        let bufs: Vec<u64> = lens.iter().map(|len| self.alloc(*len)).collect();
        let list: Vec<u8> = bufs
            .iter()
            .zip(lens)
            .flat_map(|(buf, len)| [(*buf as u32).to_le_bytes(), (*len as u32).to_le_bytes()])
            .flatten()
            .collect();
        (self.put(&list), bufs)
    }

    pub fn writev(&mut self, fd: u32, parts: &[&[u8]]) -> Outcome<u32> {
        self.reset();
        let lens: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let (list, bufs) = self.iovecs(&lens);
        for (buf, part) in bufs.iter().zip(parts) {
            self.mem[*buf as usize..][..part.len()].copy_from_slice(part);
        }
        let n = self.alloc(4);
        self.ok("fd_write", &[fd.into(), list, parts.len() as u64, n])?;
        Ok(self.u32(n))
    }

    pub fn write(&mut self, fd: u32, data: &[u8]) -> Outcome<u32> {
        self.writev(fd, &[data])
    }

    pub fn read(&mut self, fd: u32, len: usize) -> Outcome<Vec<u8>> {
        self.reset();
        let (list, bufs) = self.iovecs(&[len]);
        let n = self.alloc(4);
        self.ok("fd_read", &[fd.into(), list, 1, n])?;
        Ok(self.bytes(bufs[0], self.u32(n)))
    }

    pub fn pread(&mut self, fd: u32, len: usize, offset: u64) -> Outcome<Vec<u8>> {
        self.reset();
        let (list, bufs) = self.iovecs(&[len]);
        let n = self.alloc(4);
        self.ok("fd_pread", &[fd.into(), list, 1, offset, n])?;
        Ok(self.bytes(bufs[0], self.u32(n)))
    }

    pub fn pwrite(&mut self, fd: u32, data: &[u8], offset: u64) -> Outcome<u32> {
        self.reset();
        let (list, bufs) = self.iovecs(&[data.len()]);
        self.mem[bufs[0] as usize..][..data.len()].copy_from_slice(data);
        let n = self.alloc(4);
        self.ok("fd_pwrite", &[fd.into(), list, 1, offset, n])?;
        Ok(self.u32(n))
    }

    pub fn seek(&mut self, fd: u32, offset: i64, whence: u32) -> Outcome<u64> {
        self.reset();
        let at = self.alloc(8);
        self.ok("fd_seek", &[fd.into(), offset as u64, whence.into(), at])?;
        Ok(self.u64(at))
    }

    pub fn tell(&mut self, fd: u32) -> Outcome<u64> {
        self.reset();
        let at = self.alloc(8);
        self.ok("fd_tell", &[fd.into(), at])?;
        Ok(self.u64(at))
    }

    pub fn close(&mut self, fd: u32) -> Outcome<()> {
        self.ok("fd_close", &[fd.into()])
    }

    pub fn fdstat(&mut self, fd: u32) -> Outcome<Fdstat> {
        self.reset();
        let at = self.alloc(24);
        self.ok("fd_fdstat_get", &[fd.into(), at])?;
        Ok(Fdstat {
            filetype: self.u8(at),
            flags: self.u16(at + 2).into(),
            base: self.u64(at + 8),
            inheriting: self.u64(at + 16),
        })
    }

    fn filestat_at(&self, at: u64) -> Filestat {
        Filestat {
            dev: self.u64(at),
            ino: self.u64(at + 8),
            filetype: self.u8(at + 16),
            nlink: self.u64(at + 24),
            size: self.u64(at + 32),
            atim: self.u64(at + 40),
            mtim: self.u64(at + 48),
            ctim: self.u64(at + 56),
        }
    }

    pub fn filestat(&mut self, fd: u32) -> Outcome<Filestat> {
        self.reset();
        let at = self.alloc(64);
        self.ok("fd_filestat_get", &[fd.into(), at])?;
        Ok(self.filestat_at(at))
    }

    pub fn path_filestat(&mut self, fd: u32, flags: u32, path: &str) -> Outcome<Filestat> {
        self.reset();
        let at = self.alloc(64);
        let p = self.put(path.as_bytes());
        let args = [fd.into(), flags.into(), p, path.len() as u64, at];
        self.ok("path_filestat_get", &args)?;
        Ok(self.filestat_at(at))
    }

    /// Opens a path with everything said.
    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    pub fn path_open(
        &mut self,
        fd: u32,
        dirflags: u32,
        path: &[u8],
        oflags: u32,
        base: u64,
        inheriting: u64,
        fdflags: u32,
    ) -> Outcome<u32> {
        self.reset();
        let p = self.put(path);
        let opened = self.alloc(4);
        let args =
            [fd.into(), dirflags.into(), p, path.len() as u64, oflags.into(), base, inheriting, fdflags.into(), opened];
        self.ok("path_open", &args)?;
        Ok(self.u32(opened))
    }

    /// Opens a path, not following a link at its end.
    pub fn open(&mut self, fd: u32, path: &str, oflags: u32, base: u64) -> Outcome<u32> {
        self.path_open(fd, 0, path.as_bytes(), oflags, base, rights::ALL, 0)
    }

    /// Opens a path with the rights programs ask for when they read and write.
    pub fn open_rw(&mut self, path: &str, oflags: u32) -> Outcome<u32> {
        self.path_open(ROOT, SYMLINK_FOLLOW, path.as_bytes(), oflags, rights::ALL, rights::ALL, 0)
    }

    pub fn open_ro(&mut self, path: &str) -> Outcome<u32> {
        let base = rights::ALL & !rights::FD_WRITE;
        let base = base & !(rights::FD_ALLOCATE | rights::FD_FILESTAT_SET_SIZE);
        self.path_open(ROOT, SYMLINK_FOLLOW, path.as_bytes(), 0, base, rights::ALL, 0)
    }

    pub fn open_dir(&mut self, path: &str) -> Outcome<u32> {
        let base = rights::ALL & !rights::FD_WRITE;
        self.path_open(ROOT, SYMLINK_FOLLOW, path.as_bytes(), oflags::DIRECTORY, base, rights::ALL, 0)
    }

    fn on_path(&mut self, name: &str, fd: u32, path: &str) -> Outcome<()> {
        self.reset();
        let p = self.put(path.as_bytes());
        self.ok(name, &[fd.into(), p, path.len() as u64])
    }

    pub fn create_directory(&mut self, fd: u32, path: &str) -> Outcome<()> {
        self.on_path("path_create_directory", fd, path)
    }

    pub fn remove_directory(&mut self, fd: u32, path: &str) -> Outcome<()> {
        self.on_path("path_remove_directory", fd, path)
    }

    pub fn unlink(&mut self, fd: u32, path: &str) -> Outcome<()> {
        self.on_path("path_unlink_file", fd, path)
    }

    pub fn rename(&mut self, fd: u32, old: &str, new_fd: u32, new: &str) -> Outcome<()> {
        self.reset();
        let (o, n) = (self.put(old.as_bytes()), self.put(new.as_bytes()));
        let (ol, nl) = (old.len() as u64, new.len() as u64);
        self.ok("path_rename", &[fd.into(), o, ol, new_fd.into(), n, nl])
    }

    pub fn link(&mut self, fd: u32, flags: u32, old: &str, new_fd: u32, new: &str) -> Outcome<()> {
        self.reset();
        let (o, n) = (self.put(old.as_bytes()), self.put(new.as_bytes()));
        let (ol, nl) = (old.len() as u64, new.len() as u64);
        self.ok("path_link", &[fd.into(), flags.into(), o, ol, new_fd.into(), n, nl])
    }

    pub fn symlink(&mut self, target: &str, fd: u32, path: &str) -> Outcome<()> {
        self.reset();
        let (t, p) = (self.put(target.as_bytes()), self.put(path.as_bytes()));
        let (tl, pl) = (target.len() as u64, path.len() as u64);
        self.ok("path_symlink", &[t, tl, fd.into(), p, pl])
    }

    pub fn readlink(&mut self, fd: u32, path: &str, len: usize) -> Outcome<Vec<u8>> {
        self.reset();
        let p = self.put(path.as_bytes());
        let buf = self.alloc(len);
        let used = self.alloc(4);
        self.ok("path_readlink", &[fd.into(), p, path.len() as u64, buf, len as u64, used])?;
        Ok(self.bytes(buf, self.u32(used)))
    }

    pub fn set_times(&mut self, fd: u32, flags: u32, path: &str, atim: u64, mtim: u64, fst: u32) -> Outcome<()> {
        self.reset();
        let p = self.put(path.as_bytes());
        let len = path.len() as u64;
        let args = [fd.into(), flags.into(), p, len, atim, mtim, fst.into()];
        self.ok("path_filestat_set_times", &args)
    }

    /// One call of `fd_readdir`: the bytes it stored.
    pub fn readdir_raw(&mut self, fd: u32, len: usize, cookie: u64) -> Outcome<Vec<u8>> {
        self.reset();
        let buf = self.alloc(len);
        let used = self.alloc(4);
        self.ok("fd_readdir", &[fd.into(), buf, len as u64, cookie, used])?;
        let used = self.u32(used);
        assert!(used as usize <= len);
        Ok(self.bytes(buf, used))
    }

    /// One call of `fd_readdir`: its whole entries, and whether the directory has ended.
    pub fn readdir(&mut self, fd: u32, len: usize, cookie: u64) -> Outcome<(Vec<Entry>, bool)> {
        let data = self.readdir_raw(fd, len, cookie)?;
        let ended = data.len() < len;
        let mut entries = Vec::new();
        let mut rest = &data[..];
        while rest.len() >= 24 {
            let name_len = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
            if rest.len() < 24 + name_len {
                break;
            }
            entries.push(Entry {
                next: u64::from_le_bytes(rest[..8].try_into().unwrap()),
                ino: u64::from_le_bytes(rest[8..16].try_into().unwrap()),
                filetype: rest[20],
                name: String::from_utf8(rest[24..24 + name_len].to_vec()).unwrap(),
            });
            rest = &rest[24 + name_len..];
        }
        Ok((entries, ended))
    }

    /// The names in a directory but "." and "..", sorted.
    pub fn names(&mut self, fd: u32) -> Vec<String> {
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let (entries, ended) = self.readdir(fd, 4096, cookie).unwrap();
            cookie = entries.last().map_or(cookie, |entry| entry.next);
            names.extend(entries.into_iter().map(|entry| entry.name));
            if ended {
                break;
            }
        }
        names.retain(|name| name != "." && name != "..");
        names.sort();
        names
    }
}

/// A directory on the host which goes away with the test.
pub fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}
