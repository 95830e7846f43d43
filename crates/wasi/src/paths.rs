//! The functions on paths, but for `path_open`.
//!
//! Every path is resolved beneath the directory it is given with, by the sandbox: neither "..", nor an
//! absolute path, nor a symbolic link leads out of it, even while others rename directories around it.
//! What would is [`Errno::NotCapable`].

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory;
use crate::types::{Filestat, Lookupflags, Rights};
use cap_fs_ext::DirExt;
use std::os::unix::ffi::OsStrExt;

impl WasiCtx {
    /// `path_create_directory`: makes a directory at the path, relative to directory `fd`.
    pub fn path_create_directory(&mut self, mem: &mut [u8], fd: u32, path: u32, path_len: u32) -> Result<(), Errno> {
        let dir = self.table.get(fd)?.dir(Rights::PATH_CREATE_DIRECTORY)?;
        let path = memory::path(mem, path, path_len)?;
        Ok(dir.dir.create_dir(path)?)
    }

    /// `path_filestat_get`: stores the attributes of the file at the path, relative to directory `fd`
    /// (a `filestat`, 64 bytes), at `result`; of a symbolic link itself unless `flags` says to follow.
    pub fn path_filestat_get(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        flags: u32,
        path: u32,
        path_len: u32,
        result: u32,
    ) -> Result<(), Errno> {
        let dir = self.table.get(fd)?.dir(Rights::PATH_FILESTAT_GET)?;
        let flags = Lookupflags::from_arg(flags)?;
        memory::check(mem, result, Filestat::SIZE as u32)?;
        let path = memory::path(mem, path, path_len)?;
        let meta = if flags.contains(Lookupflags::SYMLINK_FOLLOW) {
            dir.dir.metadata(path)?
        } else {
            dir.dir.symlink_metadata(path)?
        };
        memory::store(mem, result, &Filestat::from_host(&meta).encode())
    }

    /// `path_filestat_set_times`: sets the access and modification times, in nanoseconds since 1970, of
    /// the file at the path, relative to directory `fd`, as `fst_flags` says; of a symbolic link itself
    /// unless `flags` says to follow.
    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    pub fn path_filestat_set_times(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        flags: u32,
        path: u32,
        path_len: u32,
        atim: u64,
        mtim: u64,
        fst_flags: u32,
    ) -> Result<(), Errno> {
        self.table.get(fd)?.dir(Rights::PATH_FILESTAT_SET_TIMES)?;
        let flags = Lookupflags::from_arg(flags)?;
        let path = memory::path(mem, path, path_len)?;
        let (atim, mtim) = self.new_times(atim, mtim, fst_flags)?;
        let dir = self.table.get(fd)?.dir(Rights::PATH_FILESTAT_SET_TIMES)?;
        if flags.contains(Lookupflags::SYMLINK_FOLLOW) {
            dir.dir.set_times(path, atim.spec(), mtim.spec())?;
        } else {
            dir.dir.set_symlink_times(path, atim.spec(), mtim.spec())?;
        }
        Ok(())
    }

    /// `path_link`: makes the new path, relative to directory `new_fd`, another name of the file at the
    /// old path, relative to directory `old_fd`; of a symbolic link itself unless `old_flags` says to
    /// follow.
    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    pub fn path_link(
        &mut self,
        mem: &mut [u8],
        old_fd: u32,
        old_flags: u32,
        old_path: u32,
        old_path_len: u32,
        new_fd: u32,
        new_path: u32,
        new_path_len: u32,
    ) -> Result<(), Errno> {
        let old_dir = self.table.get(old_fd)?.dir(Rights::PATH_LINK_SOURCE)?;
        let new_dir = self.table.get(new_fd)?.dir(Rights::PATH_LINK_TARGET)?;
        let old_flags = Lookupflags::from_arg(old_flags)?;
        let old_path = memory::path(mem, old_path, old_path_len)?;
        let new_path = memory::path(mem, new_path, new_path_len)?;
        if old_flags.contains(Lookupflags::SYMLINK_FOLLOW) {
            // The sandbox links without following. The path without links is resolved beneath the
            // directory again, so nothing is lost if it changes in between.
            let resolved = old_dir.dir.canonicalize(old_path)?;
            old_dir.dir.hard_link(resolved, &new_dir.dir, new_path)?;
        } else {
            old_dir.dir.hard_link(old_path, &new_dir.dir, new_path)?;
        }
        Ok(())
    }

    /// `path_readlink`: stores the contents of the symbolic link at the path, relative to directory
    /// `fd`, cut to `buf_len` bytes, at `buf`, and how many bytes that is (a `u32`) at `used`.
    ///
    /// A link to an absolute path is [`Errno::NotCapable`]: it could not be followed, and names a place
    /// on the host.
    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    pub fn path_readlink(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        path: u32,
        path_len: u32,
        buf: u32,
        buf_len: u32,
        used: u32,
    ) -> Result<(), Errno> {
        let dir = self.table.get(fd)?.dir(Rights::PATH_READLINK)?;
        memory::check(mem, used, 4)?;
        memory::check(mem, buf, buf_len)?;
        let path = memory::path(mem, path, path_len)?;
        let target = dir.dir.read_link(path)?;
        let target = target.as_os_str().as_bytes();
        let n = target.len().min(buf_len as usize);
        memory::store(mem, buf, &target[..n])?;
        // At most `buf_len`, a u32.
        memory::store_u32(mem, used, n as u32)
    }

    /// `path_remove_directory`: removes the empty directory at the path, relative to directory `fd`.
    pub fn path_remove_directory(&mut self, mem: &mut [u8], fd: u32, path: u32, path_len: u32) -> Result<(), Errno> {
        let dir = self.table.get(fd)?.dir(Rights::PATH_REMOVE_DIRECTORY)?;
        let path = memory::path(mem, path, path_len)?;
        // POSIX lets a directory's name end in slashes; the sandbox takes that for the directory's own
        // ".", which cannot be removed. What is left of "/" is absolute still.
        let path = match path.trim_end_matches('/') {
            "" => path,
            name => name,
        };
        Ok(dir.dir.remove_dir(path)?)
    }

    /// `path_rename`: moves what is at the old path, relative to directory `fd`, to the new path,
    /// relative to directory `new_fd`.
    #[expect(clippy::too_many_arguments, reason = "the specification's signature")]
    pub fn path_rename(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        old_path: u32,
        old_path_len: u32,
        new_fd: u32,
        new_path: u32,
        new_path_len: u32,
    ) -> Result<(), Errno> {
        let old_dir = self.table.get(fd)?.dir(Rights::PATH_RENAME_SOURCE)?;
        let new_dir = self.table.get(new_fd)?.dir(Rights::PATH_RENAME_TARGET)?;
        let old_path = memory::path(mem, old_path, old_path_len)?;
        let new_path = memory::path(mem, new_path, new_path_len)?;
        Ok(old_dir.dir.rename(old_path, &new_dir.dir, new_path)?)
    }

    /// `path_symlink`: makes a symbolic link to the old path at the new path, relative to directory
    /// `fd`. A link to an absolute path is [`Errno::NotCapable`].
    pub fn path_symlink(
        &mut self,
        mem: &mut [u8],
        old_path: u32,
        old_path_len: u32,
        fd: u32,
        new_path: u32,
        new_path_len: u32,
    ) -> Result<(), Errno> {
        let dir = self.table.get(fd)?.dir(Rights::PATH_SYMLINK)?;
        let old_path = memory::path(mem, old_path, old_path_len)?;
        let new_path = memory::path(mem, new_path, new_path_len)?;
        Ok(dir.dir.symlink(old_path, new_path)?)
    }

    /// `path_unlink_file`: removes the file or symbolic link at the path, relative to directory `fd`.
    /// [`Errno::IsDir`] if a directory is there.
    pub fn path_unlink_file(&mut self, mem: &mut [u8], fd: u32, path: u32, path_len: u32) -> Result<(), Errno> {
        let dir = self.table.get(fd)?.dir(Rights::PATH_UNLINK_FILE)?;
        let path = memory::path(mem, path, path_len)?;
        match dir.dir.remove_file(path).map_err(Errno::from) {
            // What POSIX says of a directory, where Linux and this specification say "is a directory".
            Err(Errno::Perm) if dir.dir.symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) => Err(Errno::IsDir),
            result => result,
        }
    }
}
