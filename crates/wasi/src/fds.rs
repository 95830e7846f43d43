//! The functions on descriptors which move no data: attributes, flags, rights, sizes, times, closing.

use crate::clocks::ClockId;
use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory;
use crate::table::{Descriptor, Kind, OpenDir};
use crate::types::{self, Advice, Fdflags, Fdstat, Filestat, Filetype, Fstflags, Rights};
use cap_fs_ext::{DirExt, SystemTimeSpec};
use rustix::fs::{OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use std::fs::File;
use std::time::{Duration, SystemTime};

/// What to do with one timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NewTime {
    Keep,
    /// The host's present time. Unlike a given time, a file's writer who is not its owner may set it.
    HostNow,
    /// Nanoseconds since 1970.
    At(u64),
}

impl NewTime {
    /// For `utimensat` and its kin.
    fn timespec(self) -> Timespec {
        match self {
            NewTime::Keep => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            NewTime::HostNow => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
            NewTime::At(nanoseconds) => Timespec {
                // 2^64 nanoseconds are 585 years: both fit.
                tv_sec: (nanoseconds / 1_000_000_000) as i64,
                tv_nsec: (nanoseconds % 1_000_000_000) as i64,
            },
        }
    }

    /// For the sandbox's path functions.
    pub(crate) fn spec(self) -> Option<SystemTimeSpec> {
        match self {
            NewTime::Keep => None,
            NewTime::HostNow => Some(SystemTimeSpec::SymbolicNow),
            NewTime::At(nanoseconds) => {
                let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
                Some(SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(time)))
            }
        }
    }
}

impl WasiCtx {
    /// Decodes the times given to a `set_times` function.
    pub(crate) fn new_times(&mut self, atim: u64, mtim: u64, flags: u32) -> Result<(NewTime, NewTime), Errno> {
        let flags = Fstflags::from_arg(flags)?;
        let mut one = |given: Fstflags, now: Fstflags, time: u64| {
            Ok(match (flags.contains(given), flags.contains(now)) {
                (true, true) => return Err(Errno::Inval),
                (true, false) => NewTime::At(time),
                (false, false) => NewTime::Keep,
                (false, true) if self.clock.follows_host() => NewTime::HostNow,
                (false, true) => NewTime::At(self.clock.now(ClockId::Realtime).ok_or(Errno::NotSup)?),
            })
        };
        Ok((one(Fstflags::ATIM, Fstflags::ATIM_NOW, atim)?, one(Fstflags::MTIM, Fstflags::MTIM_NOW, mtim)?))
    }

    /// The file type of a descriptor. A standard stream is a character device if a person is at the
    /// other end (C libraries take it for a terminal then) and of unknown type if not, as preview 1 has
    /// no type for a pipe.
    fn filetype(&self, descriptor: &Descriptor) -> Filetype {
        let terminal = match &descriptor.kind {
            Kind::File(open) => return open.filetype,
            Kind::Dir(_) => return Filetype::Directory,
            Kind::Stdin => self.stdin.is_terminal(),
            Kind::Stdout => self.stdout.is_terminal(),
            Kind::Stderr => self.stderr.is_terminal(),
        };
        if terminal { Filetype::CharacterDevice } else { Filetype::Unknown }
    }

    /// `fd_advise`: says how `len` bytes from `offset` of file `fd` (0 for all the rest) will be used.
    pub fn fd_advise(&mut self, fd: u32, offset: u64, len: u64, advice: u32) -> Result<(), Errno> {
        let open = self.table.get(fd)?.file(Rights::FD_ADVISE)?;
        let advice = Advice::from_arg(advice)?;
        if i64::try_from(offset).is_err() || i64::try_from(len).is_err() {
            return Err(Errno::Inval);
        }
        // Only regular files have pages to plan for; elsewhere advice is well-formed and of no use.
        if open.filetype == Filetype::RegularFile {
            advise(&open.file, offset, len, advice)?;
        }
        Ok(())
    }

    /// `fd_allocate`: makes sure that `len` bytes from `offset` of file `fd` have space on the device,
    /// extending the file if it is shorter. [`Errno::NotSup`] if its file system cannot promise that.
    pub fn fd_allocate(&mut self, fd: u32, offset: u64, len: u64) -> Result<(), Errno> {
        let open = self.table.get(fd)?.file(Rights::FD_ALLOCATE)?;
        let (Ok(start), Ok(size)) = (i64::try_from(offset), i64::try_from(len)) else {
            return Err(Errno::Inval);
        };
        if size == 0 {
            return Err(Errno::Inval);
        }
        if start.checked_add(size).is_none() {
            return Err(Errno::Fbig);
        }
        allocate(&open.file, offset, len)
    }

    /// `fd_close`: closes descriptor `fd`, sending pending output on first.
    pub fn fd_close(&mut self, fd: u32) -> Result<(), Errno> {
        let closed = self.table.remove(fd)?;
        self.closed(closed)
    }

    /// What is left to do for a descriptor which is gone from the table.
    fn closed(&mut self, closed: Descriptor) -> Result<(), Errno> {
        match closed.kind {
            Kind::Stdout | Kind::Stderr => Ok(self.flush()?),
            Kind::Stdin | Kind::File(_) | Kind::Dir(_) => Ok(()),
        }
    }

    /// `fd_datasync`: waits until the data of `fd` is durable. For an output stream: sends it on.
    pub fn fd_datasync(&mut self, fd: u32) -> Result<(), Errno> {
        self.sync(fd, Rights::FD_DATASYNC, File::sync_data)
    }

    /// `fd_sync`: waits until the data and attributes of `fd` are durable. For an output stream: sends
    /// it on.
    pub fn fd_sync(&mut self, fd: u32) -> Result<(), Errno> {
        self.sync(fd, Rights::FD_SYNC, File::sync_all)
    }

    fn sync(&mut self, fd: u32, right: Rights, sync: fn(&File) -> std::io::Result<()>) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        descriptor.require(right)?;
        match &descriptor.kind {
            Kind::File(open) => sync(&open.file)?,
            Kind::Dir(open) => sync(&open.readable()?)?,
            Kind::Stdin | Kind::Stdout | Kind::Stderr => self.flush()?,
        }
        Ok(())
    }

    /// `fd_fdstat_get`: stores the type, flags and rights of descriptor `fd` (an `fdstat`, 24 bytes) at
    /// `result`.
    pub fn fd_fdstat_get(&mut self, mem: &mut [u8], fd: u32, result: u32) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        let stat = Fdstat {
            filetype: self.filetype(descriptor),
            flags: descriptor.flags,
            base: descriptor.base,
            inheriting: descriptor.inheriting,
        };
        memory::store(mem, result, &stat.encode())
    }

    /// `fd_fdstat_set_flags`: sets the flags of descriptor `fd`.
    pub fn fd_fdstat_set_flags(&mut self, fd: u32, flags: u32) -> Result<(), Errno> {
        let descriptor = self.table.get_mut(fd)?;
        descriptor.require(Rights::FD_FDSTAT_SET_FLAGS)?;
        let flags = Fdflags::from_arg(flags)?;
        if let Kind::File(open) = &descriptor.kind {
            set_host_flags(&open.file, flags)?;
        }
        descriptor.flags = flags;
        Ok(())
    }

    /// `fd_fdstat_set_rights`: takes rights away from descriptor `fd`. [`Errno::NotCapable`] if any
    /// would be added.
    pub fn fd_fdstat_set_rights(&mut self, fd: u32, base: u64, inheriting: u64) -> Result<(), Errno> {
        let descriptor = self.table.get_mut(fd)?;
        let within = |wanted: u64, held: Rights| {
            Rights::from_bits(wanted).filter(|wanted| held.contains(*wanted)).ok_or(Errno::NotCapable)
        };
        let base = within(base, descriptor.base)?;
        let inheriting = within(inheriting, descriptor.inheriting)?;
        descriptor.base = base;
        descriptor.inheriting = inheriting;
        Ok(())
    }

    /// `fd_filestat_get`: stores the attributes of the file behind `fd` (a `filestat`, 64 bytes) at
    /// `result`. A standard stream has a type and nothing else.
    pub fn fd_filestat_get(&mut self, mem: &mut [u8], fd: u32, result: u32) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        descriptor.require(Rights::FD_FILESTAT_GET)?;
        let stat = match &descriptor.kind {
            Kind::File(open) => Filestat::from_host(&cap_std::fs::Metadata::from_file(&open.file)?),
            Kind::Dir(open) => Filestat::from_host(&open.dir.dir_metadata()?),
            Kind::Stdin | Kind::Stdout | Kind::Stderr => Filestat {
                dev: 0,
                ino: 0,
                filetype: self.filetype(descriptor),
                nlink: 0,
                size: 0,
                atim: 0,
                mtim: 0,
                ctim: 0,
            },
        };
        memory::store(mem, result, &stat.encode())
    }

    /// `fd_filestat_set_size`: makes file `fd` `size` bytes long, cutting it or filling it with zeros.
    pub fn fd_filestat_set_size(&mut self, fd: u32, size: u64) -> Result<(), Errno> {
        let open = match self.table.get(fd)?.file(Rights::FD_FILESTAT_SET_SIZE) {
            // What POSIX says of a stream's size; "invalid seek" would not fit.
            Err(Errno::Spipe) => return Err(Errno::Inval),
            open => open?,
        };
        Ok(open.file.set_len(size)?)
    }

    /// `fd_filestat_set_times`: sets the access and modification times of the file behind `fd`, in
    /// nanoseconds since 1970, as `flags` says.
    pub fn fd_filestat_set_times(&mut self, fd: u32, atim: u64, mtim: u64, flags: u32) -> Result<(), Errno> {
        self.table.get(fd)?.require(Rights::FD_FILESTAT_SET_TIMES)?;
        let (atim, mtim) = self.new_times(atim, mtim, flags)?;
        match &self.table.get(fd)?.kind {
            Kind::File(open) => {
                let times = Timestamps { last_access: atim.timespec(), last_modification: mtim.timespec() };
                rustix::fs::futimens(&open.file, &times)?;
            }
            Kind::Dir(open) => open.dir.set_times(".", atim.spec(), mtim.spec())?,
            // Unreachable: a standard stream lacks the right.
            Kind::Stdin | Kind::Stdout | Kind::Stderr => return Err(Errno::NotCapable),
        }
        Ok(())
    }

    /// `fd_prestat_get`: stores that `fd` is a preopened directory and how long its name is (a
    /// `prestat`, 8 bytes) at `result`. [`Errno::Badf`] if it is none, by which C libraries find out how
    /// many there are.
    pub fn fd_prestat_get(&mut self, mem: &mut [u8], fd: u32, result: u32) -> Result<(), Errno> {
        let name = self.preopen_name(fd)?;
        // A path's length: a small number.
        let len = name.len() as u32;
        memory::store(mem, result, &types::encode_prestat(len))
    }

    /// `fd_prestat_dir_name`: stores the name of preopened directory `fd` in the `len` bytes at `path`,
    /// without a terminator.
    pub fn fd_prestat_dir_name(&mut self, mem: &mut [u8], fd: u32, path: u32, len: u32) -> Result<(), Errno> {
        let name = self.preopen_name(fd)?;
        if (len as usize) < name.len() {
            return Err(Errno::NameTooLong);
        }
        memory::store(mem, path, name.as_bytes())
    }

    fn preopen_name(&self, fd: u32) -> Result<&str, Errno> {
        match &self.table.get(fd)?.kind {
            Kind::Dir(OpenDir { preopened_as: Some(name), .. }) => Ok(name),
            _ => Err(Errno::Badf),
        }
    }

    /// `fd_renumber`: closes descriptor `to` and gives its number to descriptor `fd`.
    pub fn fd_renumber(&mut self, fd: u32, to: u32) -> Result<(), Errno> {
        if let Some(replaced) = self.table.renumber(fd, to)? {
            // The renumbering has happened: what a replaced stream could not send stays pending and is
            // not an error of this call.
            let _ = self.closed(replaced);
        }
        Ok(())
    }
}

/// Sets the flags which the host must know of on its file. The sync flags are kept by us.
pub(crate) fn set_host_flags(file: &File, flags: Fdflags) -> Result<(), Errno> {
    let old = rustix::fs::fcntl_getfl(file)?;
    let mut new = old;
    new.set(OFlags::APPEND, flags.contains(Fdflags::APPEND));
    new.set(OFlags::NONBLOCK, flags.contains(Fdflags::NONBLOCK));
    if new != old {
        rustix::fs::fcntl_setfl(file, new)?;
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn advise(file: &File, offset: u64, len: u64, advice: Advice) -> Result<(), Errno> {
    use rustix::fs::Advice as Host;
    let host = match advice {
        Advice::Normal => Host::Normal,
        Advice::Sequential => Host::Sequential,
        Advice::Random => Host::Random,
        Advice::WillNeed => Host::WillNeed,
        Advice::DontNeed => Host::DontNeed,
        Advice::NoReuse => Host::NoReuse,
    };
    Ok(rustix::fs::fadvise(file, offset, std::num::NonZeroU64::new(len), host)?)
}

/// Advice may be disregarded, which is all that can be done with it on hosts which take none.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn advise(_: &File, _: u64, _: u64, _: Advice) -> Result<(), Errno> {
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos"))]
fn allocate(file: &File, offset: u64, len: u64) -> Result<(), Errno> {
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, len)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "macos")))]
fn allocate(_: &File, _: u64, _: u64) -> Result<(), Errno> {
    Err(Errno::NotSup)
}
