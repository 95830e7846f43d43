//! `path_open`.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::fds::set_host_flags;
use crate::memory;
use crate::stdio::retry;
use crate::table::{Descriptor, Kind, OpenDir, OpenFile};
use crate::types::{Fdflags, Filetype, Lookupflags, Oflags, Rights};
use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, OpenOptions};
use std::io::{self, IsTerminal};

/// What opening a path gave.
enum Opened {
    File(std::fs::File, Filetype),
    Dir(Dir),
}

/// What of the guest's wishes matters to the host.
struct Request<'a> {
    path: &'a str,
    follow: bool,
    oflags: Oflags,
    base: Rights,
    nonblock: bool,
}

impl Request<'_> {
    fn open(&self, dir: &Dir) -> Result<Opened, Errno> {
        if self.oflags.contains(Oflags::DIRECTORY) {
            // None of these has a meaning for a directory, which is made by another function.
            if self.oflags.intersects(Oflags::CREAT | Oflags::EXCL | Oflags::TRUNC) {
                return Err(Errno::Inval);
            }
            let opened = if self.follow { dir.open_dir(self.path)? } else { dir.open_dir_nofollow(self.path)? };
            return self.directory(opened);
        }
        let file = retry(|| self.open_file(dir))?;
        let filetype = Filetype::from(cap_std::fs::Metadata::from_file(&file)?.file_type());
        if filetype == Filetype::Directory {
            return self.directory(Dir::from_std_file(file));
        }
        Ok(Opened::File(file, filetype))
    }

    /// A directory was found: as on POSIX it cannot be opened for writing, nor is it what `CREAT` makes.
    fn directory(&self, dir: Dir) -> Result<Opened, Errno> {
        if self.base.contains(Rights::FD_WRITE) || self.oflags.contains(Oflags::CREAT) {
            return Err(Errno::IsDir);
        }
        Ok(Opened::Dir(dir))
    }

    fn open_file(&self, dir: &Dir) -> io::Result<std::fs::File> {
        let truncate = self.oflags.contains(Oflags::TRUNC);
        let read = self.base.contains(Rights::FD_READ);
        // The rights for which a host wants a handle open for writing.
        let write = self.base.intersects(Rights::FD_WRITE | Rights::FD_ALLOCATE | Rights::FD_FILESTAT_SET_SIZE);
        let mut options = OpenOptions::new();
        options
            .follow(if self.follow { FollowSymlinks::Yes } else { FollowSymlinks::No })
            .nonblock(self.nonblock)
            .write(write || truncate)
            // A descriptor without either right must be opened somehow.
            .read(read || !write)
            .truncate(truncate);
        if self.oflags.contains(Oflags::CREAT) {
            // The sandbox creates files only when they are opened for writing too, which must not keep
            // the guest from opening a file it may only read: so that is tried first. Whether the guest
            // may write is a matter of its rights, not of the host's handle.
            let exclusive = self.oflags.contains(Oflags::EXCL);
            if !exclusive && !write && !truncate {
                match dir.open_with(self.path, &options) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    result => return result.map(cap_std::fs::File::into_std),
                }
            }
            options.write(true);
            if exclusive {
                options.create_new(true);
            } else {
                options.create(true);
            }
        }
        dir.open_with(self.path, &options).map(cap_std::fs::File::into_std)
    }
}

impl WasiCtx {
    /// `path_open`: opens the `path_len` bytes of path at `path`, relative to directory `fd`, and stores
    /// the new descriptor (a `u32`) at `opened`.
    ///
    /// `rights_base` are the rights the new descriptor is to have and `rights_inheriting` those it can
    /// pass on; neither can exceed what `fd` can pass on. Rights to read and write which `fd` cannot
    /// pass on are [`Errno::NotCapable`]; other excess rights are left out, as programs ask for all
    /// there are.
    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    pub fn path_open(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        dirflags: u32,
        path: u32,
        path_len: u32,
        oflags: u32,
        rights_base: u64,
        rights_inheriting: u64,
        fdflags: u32,
        opened: u32,
    ) -> Result<(), Errno> {
        memory::check(mem, opened, 4)?;
        let lookup = Lookupflags::from_arg(dirflags)?;
        let oflags = Oflags::from_arg(oflags)?;
        let flags = Fdflags::from_arg(fdflags)?;
        let base = Rights::from_bits_truncate(rights_base);
        let inheriting = Rights::from_bits_truncate(rights_inheriting);

        let mut needed = Rights::PATH_OPEN;
        if oflags.contains(Oflags::CREAT) {
            needed |= Rights::PATH_CREATE_FILE;
        }
        if oflags.contains(Oflags::TRUNC) {
            needed |= Rights::PATH_FILESTAT_SET_SIZE;
        }
        let parent = self.table.get(fd)?;
        let dir = parent.dir(needed)?;
        let grantable = parent.inheriting;
        let access = base & (Rights::FD_READ | Rights::FD_WRITE);
        if !grantable.contains(access) {
            return Err(Errno::NotCapable);
        }
        let base = base & grantable;
        let inheriting = inheriting & grantable;
        // Before the host creates a file that no descriptor would be left for.
        if !self.table.has_room() {
            return Err(Errno::Mfile);
        }

        let request = Request {
            path: memory::path(mem, path, path_len)?,
            follow: lookup.contains(Lookupflags::SYMLINK_FOLLOW),
            oflags,
            base,
            nonblock: flags.contains(Fdflags::NONBLOCK),
        };
        let descriptor = match request.open(&dir.dir)? {
            Opened::Dir(dir) => Descriptor {
                kind: Kind::Dir(OpenDir { dir, preopened_as: None, cursor: None }),
                base: base & Rights::DIRECTORY,
                inheriting,
                flags: Fdflags::empty(),
            },
            Opened::File(file, filetype) => {
                set_host_flags(&file, flags)?;
                let mut can = Rights::FILE;
                // A terminal is told by these missing, so one must not have them.
                if filetype == Filetype::CharacterDevice && file.is_terminal() {
                    can -= Rights::FD_SEEK | Rights::FD_TELL;
                }
                Descriptor {
                    kind: Kind::File(OpenFile { file, filetype }),
                    base: base & can,
                    inheriting: Rights::empty(),
                    flags,
                }
            }
        };
        let number = self.table.insert(descriptor)?;
        memory::store_u32(mem, opened, number)
    }
}
