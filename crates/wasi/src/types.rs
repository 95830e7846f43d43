//! The specification's flags, enumerations and records, with their layouts in guest memory.
//!
//! Records are written whole, padding included, so that no byte of a result is left as it was.

use crate::errno::Errno;
use bitflags::bitflags;

bitflags! {
    /// What may be done with a descriptor, and with descriptors opened through it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Rights: u64 {
        const FD_DATASYNC = 1 << 0;
        const FD_READ = 1 << 1;
        const FD_SEEK = 1 << 2;
        const FD_FDSTAT_SET_FLAGS = 1 << 3;
        const FD_SYNC = 1 << 4;
        const FD_TELL = 1 << 5;
        const FD_WRITE = 1 << 6;
        const FD_ADVISE = 1 << 7;
        const FD_ALLOCATE = 1 << 8;
        const PATH_CREATE_DIRECTORY = 1 << 9;
        const PATH_CREATE_FILE = 1 << 10;
        const PATH_LINK_SOURCE = 1 << 11;
        const PATH_LINK_TARGET = 1 << 12;
        const PATH_OPEN = 1 << 13;
        const FD_READDIR = 1 << 14;
        const PATH_READLINK = 1 << 15;
        const PATH_RENAME_SOURCE = 1 << 16;
        const PATH_RENAME_TARGET = 1 << 17;
        const PATH_FILESTAT_GET = 1 << 18;
        const PATH_FILESTAT_SET_SIZE = 1 << 19;
        const PATH_FILESTAT_SET_TIMES = 1 << 20;
        const FD_FILESTAT_GET = 1 << 21;
        const FD_FILESTAT_SET_SIZE = 1 << 22;
        const FD_FILESTAT_SET_TIMES = 1 << 23;
        const PATH_SYMLINK = 1 << 24;
        const PATH_REMOVE_DIRECTORY = 1 << 25;
        const PATH_UNLINK_FILE = 1 << 26;
        const POLL_FD_READWRITE = 1 << 27;
        const SOCK_SHUTDOWN = 1 << 28;
        const SOCK_ACCEPT = 1 << 29;
    }
}

impl Rights {
    /// What can apply to an open file.
    pub(crate) const FILE: Rights = Rights::FD_DATASYNC
        .union(Rights::FD_READ)
        .union(Rights::FD_SEEK)
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_SYNC)
        .union(Rights::FD_TELL)
        .union(Rights::FD_WRITE)
        .union(Rights::FD_ADVISE)
        .union(Rights::FD_ALLOCATE)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::FD_FILESTAT_SET_SIZE)
        .union(Rights::FD_FILESTAT_SET_TIMES)
        .union(Rights::POLL_FD_READWRITE);

    /// What can apply to an open directory.
    pub(crate) const DIRECTORY: Rights = Rights::FD_DATASYNC
        .union(Rights::FD_SYNC)
        .union(Rights::FD_READDIR)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::FD_FILESTAT_SET_TIMES)
        .union(Rights::PATH_CREATE_DIRECTORY)
        .union(Rights::PATH_CREATE_FILE)
        .union(Rights::PATH_LINK_SOURCE)
        .union(Rights::PATH_LINK_TARGET)
        .union(Rights::PATH_OPEN)
        .union(Rights::PATH_READLINK)
        .union(Rights::PATH_RENAME_SOURCE)
        .union(Rights::PATH_RENAME_TARGET)
        .union(Rights::PATH_FILESTAT_GET)
        .union(Rights::PATH_FILESTAT_SET_SIZE)
        .union(Rights::PATH_FILESTAT_SET_TIMES)
        .union(Rights::PATH_SYMLINK)
        .union(Rights::PATH_REMOVE_DIRECTORY)
        .union(Rights::PATH_UNLINK_FILE);

    /// Everything which changes a file or a directory. A read-only preopen is one without these.
    ///
    /// `PATH_LINK_SOURCE` is among them: a hard link made from a read-only directory into a writable
    /// one would be a writable name for the same file.
    pub(crate) const MUTATION: Rights = Rights::FD_WRITE
        .union(Rights::FD_ALLOCATE)
        .union(Rights::FD_FILESTAT_SET_SIZE)
        .union(Rights::FD_FILESTAT_SET_TIMES)
        .union(Rights::PATH_CREATE_DIRECTORY)
        .union(Rights::PATH_CREATE_FILE)
        .union(Rights::PATH_LINK_SOURCE)
        .union(Rights::PATH_LINK_TARGET)
        .union(Rights::PATH_RENAME_SOURCE)
        .union(Rights::PATH_RENAME_TARGET)
        .union(Rights::PATH_FILESTAT_SET_SIZE)
        .union(Rights::PATH_FILESTAT_SET_TIMES)
        .union(Rights::PATH_SYMLINK)
        .union(Rights::PATH_REMOVE_DIRECTORY)
        .union(Rights::PATH_UNLINK_FILE);

    /// What standard input offers.
    pub(crate) const INPUT: Rights = Rights::FD_READ
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::POLL_FD_READWRITE);

    /// What standard output and standard error offer.
    pub(crate) const OUTPUT: Rights = Rights::FD_WRITE
        .union(Rights::FD_DATASYNC)
        .union(Rights::FD_SYNC)
        .union(Rights::FD_FDSTAT_SET_FLAGS)
        .union(Rights::FD_FILESTAT_GET)
        .union(Rights::POLL_FD_READWRITE);
}

bitflags! {
    /// Descriptor flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Fdflags: u16 {
        const APPEND = 1 << 0;
        const DSYNC = 1 << 1;
        const NONBLOCK = 1 << 2;
        const RSYNC = 1 << 3;
        const SYNC = 1 << 4;
    }

    /// How `path_open` opens.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Oflags: u16 {
        const CREAT = 1 << 0;
        const DIRECTORY = 1 << 1;
        const EXCL = 1 << 2;
        const TRUNC = 1 << 3;
    }

    /// How a path is resolved.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Lookupflags: u32 {
        const SYMLINK_FOLLOW = 1 << 0;
    }

    /// Which timestamps to set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Fstflags: u16 {
        const ATIM = 1 << 0;
        const ATIM_NOW = 1 << 1;
        const MTIM = 1 << 2;
        const MTIM_NOW = 1 << 3;
    }

    /// How a clock subscription's timeout is meant.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Subclockflags: u16 {
        const ABSTIME = 1 << 0;
    }

    /// What is known about a descriptor which became ready.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Eventrwflags: u16 {
        const HANGUP = 1 << 0;
    }

    /// Which directions `sock_shutdown` closes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Sdflags: u8 {
        const RD = 1 << 0;
        const WR = 1 << 1;
    }
}

/// Decodes a flags argument: a bit the specification does not define is an invalid argument.
macro_rules! flags_from_arg {
    ($($flags:ty),*) => { $(
        impl $flags {
            pub(crate) fn from_arg(arg: u32) -> Result<Self, Errno> {
                let bits = arg.try_into().map_err(|_| Errno::Inval)?;
                Self::from_bits(bits).ok_or(Errno::Inval)
            }
        }
    )* };
}

flags_from_arg!(Fdflags, Oflags, Lookupflags, Fstflags, Subclockflags, Sdflags);

/// The type of a file or descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Filetype {
    Unknown = 0,
    BlockDevice = 1,
    CharacterDevice = 2,
    Directory = 3,
    RegularFile = 4,
    // 5, a datagram socket, is never reported: a socket's file does not say which kind it is, and guest
    // C libraries give both the same `st_mode`.
    SocketStream = 6,
    SymbolicLink = 7,
}

impl From<cap_std::fs::FileType> for Filetype {
    fn from(host: cap_std::fs::FileType) -> Filetype {
        use cap_std::fs::FileTypeExt;
        if host.is_file() {
            Filetype::RegularFile
        } else if host.is_dir() {
            Filetype::Directory
        } else if host.is_symlink() {
            Filetype::SymbolicLink
        } else if host.is_char_device() {
            Filetype::CharacterDevice
        } else if host.is_block_device() {
            Filetype::BlockDevice
        } else if host.is_socket() {
            Filetype::SocketStream
        } else {
            // Preview 1 has no number for a FIFO.
            Filetype::Unknown
        }
    }
}

/// File or memory access pattern advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    Normal,
    Sequential,
    Random,
    WillNeed,
    DontNeed,
    NoReuse,
}

impl Advice {
    pub(crate) fn from_arg(arg: u32) -> Result<Advice, Errno> {
        Ok(match arg {
            0 => Advice::Normal,
            1 => Advice::Sequential,
            2 => Advice::Random,
            3 => Advice::WillNeed,
            4 => Advice::DontNeed,
            5 => Advice::NoReuse,
            _ => return Err(Errno::Inval),
        })
    }
}

/// A record in the making: fields at their offsets, zeros between them.
struct Record<const N: usize>([u8; N]);

impl<const N: usize> Record<N> {
    fn new() -> Self {
        Record([0; N])
    }

    fn u8(mut self, at: usize, value: u8) -> Self {
        self.0[at] = value;
        self
    }

    fn u16(mut self, at: usize, value: u16) -> Self {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
        self
    }

    fn u32(mut self, at: usize, value: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(mut self, at: usize, value: u64) -> Self {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
        self
    }
}

fn u16_at(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

fn u32_at(record: &[u8], at: usize) -> u32 {
    u32::from(u16_at(record, at)) | u32::from(u16_at(record, at + 2)) << 16
}

fn u64_at(record: &[u8], at: usize) -> u64 {
    u64::from(u32_at(record, at)) | u64::from(u32_at(record, at + 4)) << 32
}

/// What `fd_fdstat_get` reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fdstat {
    pub(crate) filetype: Filetype,
    pub(crate) flags: Fdflags,
    pub(crate) base: Rights,
    pub(crate) inheriting: Rights,
}

impl Fdstat {
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        Record::<{ Self::SIZE }>::new()
            .u8(0, self.filetype as u8)
            .u16(2, self.flags.bits())
            .u64(8, self.base.bits())
            .u64(16, self.inheriting.bits())
            .0
    }
}

/// What `fd_filestat_get` and `path_filestat_get` report. Times are nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filestat {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) filetype: Filetype,
    pub(crate) nlink: u64,
    pub(crate) size: u64,
    pub(crate) atim: u64,
    pub(crate) mtim: u64,
    pub(crate) ctim: u64,
}

impl Filestat {
    pub(crate) const SIZE: usize = 64;

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        Record::<{ Self::SIZE }>::new()
            .u64(0, self.dev)
            .u64(8, self.ino)
            .u8(16, self.filetype as u8)
            .u64(24, self.nlink)
            .u64(32, self.size)
            .u64(40, self.atim)
            .u64(48, self.mtim)
            .u64(56, self.ctim)
            .0
    }

    pub(crate) fn from_host(meta: &cap_std::fs::Metadata) -> Filestat {
        use cap_std::fs::MetadataExt;
        Filestat {
            dev: meta.dev(),
            ino: meta.ino(),
            filetype: meta.file_type().into(),
            nlink: meta.nlink(),
            size: meta.len(),
            atim: nanoseconds(meta.atime(), meta.atime_nsec()),
            mtim: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            ctim: nanoseconds(meta.ctime(), meta.ctime_nsec()),
        }
    }
}

/// A host timestamp as the specification's unsigned nanoseconds: one before 1970 becomes 0 and one
/// after 2554 the greatest, as neither can be said.
fn nanoseconds(seconds: i64, nanoseconds: i64) -> u64 {
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    u64::try_from(total.max(0)).unwrap_or(u64::MAX)
}

/// The fixed part of a directory entry; the name follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dirent {
    /// The cookie which continues after this entry.
    pub(crate) next: u64,
    pub(crate) ino: u64,
    pub(crate) name_len: u32,
    pub(crate) filetype: Filetype,
}

impl Dirent {
    pub(crate) const SIZE: usize = 24;

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        Record::<{ Self::SIZE }>::new()
            .u64(0, self.next)
            .u64(8, self.ino)
            .u32(16, self.name_len)
            .u8(20, self.filetype as u8)
            .0
    }
}

/// What `fd_prestat_get` reports of a preopened directory.
pub(crate) fn encode_prestat(name_len: u32) -> [u8; 8] {
    Record::<8>::new().u8(0, 0).u32(4, name_len).0
}

/// One thing `poll_oneoff` is asked to wait for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subscription {
    pub(crate) userdata: u64,
    pub(crate) what: SubscriptionKind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum SubscriptionKind {
    Clock { id: u32, timeout: u64, flags: u16 },
    FdRead(u32),
    FdWrite(u32),
}

impl Subscription {
    pub(crate) const SIZE: usize = 48;

    pub(crate) fn decode(record: &[u8; Self::SIZE]) -> Result<Subscription, Errno> {
        let what = match record[8] {
            // The `precision` field at 32 says how late the event may come; none comes later than the
            // host's own timer, so nothing needs it.
            0 => SubscriptionKind::Clock {
                id: u32_at(record, 16),
                timeout: u64_at(record, 24),
                flags: u16_at(record, 40),
            },
            1 => SubscriptionKind::FdRead(u32_at(record, 16)),
            2 => SubscriptionKind::FdWrite(u32_at(record, 16)),
            _ => return Err(Errno::Inval),
        };
        Ok(Subscription { userdata: u64_at(record, 0), what })
    }
}

/// One thing which happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) userdata: u64,
    pub(crate) error: Errno,
    /// The tag of the subscription this answers.
    pub(crate) kind: u8,
    pub(crate) nbytes: u64,
    pub(crate) flags: Eventrwflags,
}

impl Event {
    pub(crate) const SIZE: usize = 32;

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        Record::<{ Self::SIZE }>::new()
            .u64(0, self.userdata)
            .u16(8, self.error.raw())
            .u8(10, self.kind)
            .u64(16, self.nbytes)
            .u16(24, self.flags.bits())
            .0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Bit numbers from the specification's `rights` list, which has thirty entries.
    #[test]
    fn rights_bits() {
        assert_eq!(Rights::all().bits(), (1 << 30) - 1);
        assert_eq!(Rights::FD_WRITE.bits(), 0x40);
        assert_eq!(Rights::PATH_OPEN.bits(), 0x2000);
        assert_eq!(Rights::FD_FILESTAT_GET.bits(), 0x20_0000);
        assert_eq!(Rights::SOCK_ACCEPT.bits(), 0x2000_0000);
        assert!(!Rights::DIRECTORY.intersects(Rights::FD_READ | Rights::FD_WRITE));
    }

    #[test]
    fn flags_reject_unknown_bits() {
        assert_eq!(Oflags::from_arg(15), Ok(Oflags::all()));
        assert_eq!(Oflags::from_arg(16), Err(Errno::Inval));
        assert_eq!(Fdflags::from_arg(0x1_0000), Err(Errno::Inval));
        assert_eq!(Lookupflags::from_arg(2), Err(Errno::Inval));
        assert_eq!(Sdflags::from_arg(0x101), Err(Errno::Inval));
    }

    #[test]
    fn times_saturate() {
        assert_eq!(nanoseconds(1, 5), 1_000_000_005);
        assert_eq!(nanoseconds(-1, 999_999_999), 0);
        assert_eq!(nanoseconds(i64::MAX, 0), u64::MAX);
    }

    #[test]
    fn subscriptions_decode_at_their_offsets() {
        let mut record = [0u8; Subscription::SIZE];
        record[0] = 9;
        record[16] = 1;
        record[24..32].copy_from_slice(&0x0102_0304_0506_0708u64.to_le_bytes());
        record[40] = 1;
        let sub = Subscription::decode(&record).unwrap();
        assert_eq!(sub.userdata, 9);
        match sub.what {
            SubscriptionKind::Clock { id, timeout, flags } => {
                assert_eq!((id, timeout, flags), (1, 0x0102_0304_0506_0708, 1));
            }
            other => panic!("{other:?}"),
        }
        record[8] = 3;
        assert_eq!(Subscription::decode(&record).err(), Some(Errno::Inval));
    }
}
