//! The error numbers a WASI function returns, and how host errors become them.

use std::fmt;
use std::io;

/// Writes the enum, its tables and the host mapping from one list, so that a number, its name and its
/// meaning cannot drift apart. The optional last column names the host error with the same meaning.
macro_rules! errnos {
    ($( $variant:ident = $value:literal, $name:literal, $doc:literal $(, $host:ident)? ; )*) => {
        /// A WASI preview 1 error number: the `errno` type of the specification, in its order.
        ///
        /// The numeric value (`errno as u16`) is the one which crosses into the guest.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Errno {
            $( #[doc = $doc] $variant = $value, )*
        }

        impl Errno {
            /// Every error number, ordered by value.
            pub const ALL: &[Errno] = &[$( Errno::$variant, )*];

            /// The specification's name of this error number, such as `"noent"`.
            pub const fn name(self) -> &'static str {
                match self { $( Errno::$variant => $name, )* }
            }

            /// A sentence describing this error number.
            pub const fn description(self) -> &'static str {
                match self { $( Errno::$variant => $doc, )* }
            }

            fn from_host(host: rustix::io::Errno) -> Errno {
                $( $( if host == rustix::io::Errno::$host { return Errno::$variant; } )? )*
                // Two names for one number on some hosts, two numbers on others.
                if host == rustix::io::Errno::OPNOTSUPP { return Errno::NotSup; }
                if host == rustix::io::Errno::WOULDBLOCK { return Errno::Again; }
                Errno::Io
            }
        }
    };
}

errnos! {
    Success = 0, "success", "No error occurred.";
    TooBig = 1, "2big", "Argument list too long.", TOOBIG;
    Acces = 2, "acces", "Permission denied.", ACCESS;
    AddrInUse = 3, "addrinuse", "Address in use.", ADDRINUSE;
    AddrNotAvail = 4, "addrnotavail", "Address not available.", ADDRNOTAVAIL;
    AfNoSupport = 5, "afnosupport", "Address family not supported.", AFNOSUPPORT;
    Again = 6, "again", "Resource unavailable, or operation would block.", AGAIN;
    Already = 7, "already", "Connection already in progress.", ALREADY;
    Badf = 8, "badf", "Bad file descriptor.", BADF;
    BadMsg = 9, "badmsg", "Bad message.", BADMSG;
    Busy = 10, "busy", "Device or resource busy.", BUSY;
    Canceled = 11, "canceled", "Operation canceled.", CANCELED;
    Child = 12, "child", "No child processes.", CHILD;
    ConnAborted = 13, "connaborted", "Connection aborted.", CONNABORTED;
    ConnRefused = 14, "connrefused", "Connection refused.", CONNREFUSED;
    ConnReset = 15, "connreset", "Connection reset.", CONNRESET;
    Deadlk = 16, "deadlk", "Resource deadlock would occur.", DEADLK;
    DestAddrReq = 17, "destaddrreq", "Destination address required.", DESTADDRREQ;
    Dom = 18, "dom", "Mathematics argument out of domain of function.", DOM;
    Dquot = 19, "dquot", "Disk quota exceeded (reserved).", DQUOT;
    Exist = 20, "exist", "File exists.", EXIST;
    Fault = 21, "fault", "Bad address.", FAULT;
    Fbig = 22, "fbig", "File too large.", FBIG;
    HostUnreach = 23, "hostunreach", "Host is unreachable.", HOSTUNREACH;
    Idrm = 24, "idrm", "Identifier removed.", IDRM;
    Ilseq = 25, "ilseq", "Illegal byte sequence.", ILSEQ;
    InProgress = 26, "inprogress", "Operation in progress.", INPROGRESS;
    Intr = 27, "intr", "Interrupted function.", INTR;
    Inval = 28, "inval", "Invalid argument.", INVAL;
    Io = 29, "io", "I/O error.", IO;
    IsConn = 30, "isconn", "Socket is connected.", ISCONN;
    IsDir = 31, "isdir", "Is a directory.", ISDIR;
    Loop = 32, "loop", "Too many levels of symbolic links.", LOOP;
    Mfile = 33, "mfile", "File descriptor value too large.", MFILE;
    Mlink = 34, "mlink", "Too many links.", MLINK;
    MsgSize = 35, "msgsize", "Message too large.", MSGSIZE;
    Multihop = 36, "multihop", "Multihop attempted (reserved).", MULTIHOP;
    NameTooLong = 37, "nametoolong", "Filename too long.", NAMETOOLONG;
    NetDown = 38, "netdown", "Network is down.", NETDOWN;
    NetReset = 39, "netreset", "Connection aborted by network.", NETRESET;
    NetUnreach = 40, "netunreach", "Network unreachable.", NETUNREACH;
    Nfile = 41, "nfile", "Too many files open in system.", NFILE;
    NoBufs = 42, "nobufs", "No buffer space available.", NOBUFS;
    NoDev = 43, "nodev", "No such device.", NODEV;
    NoEnt = 44, "noent", "No such file or directory.", NOENT;
    NoExec = 45, "noexec", "Executable file format error.", NOEXEC;
    NoLck = 46, "nolck", "No locks available.", NOLCK;
    NoLink = 47, "nolink", "Link has been severed (reserved).", NOLINK;
    NoMem = 48, "nomem", "Not enough space.", NOMEM;
    NoMsg = 49, "nomsg", "No message of the desired type.", NOMSG;
    NoProtoOpt = 50, "noprotoopt", "Protocol not available.", NOPROTOOPT;
    NoSpc = 51, "nospc", "No space left on device.", NOSPC;
    NoSys = 52, "nosys", "Function not supported.", NOSYS;
    NotConn = 53, "notconn", "The socket is not connected.", NOTCONN;
    NotDir = 54, "notdir", "Not a directory or a symbolic link to a directory.", NOTDIR;
    NotEmpty = 55, "notempty", "Directory not empty.", NOTEMPTY;
    NotRecoverable = 56, "notrecoverable", "State not recoverable.", NOTRECOVERABLE;
    NotSock = 57, "notsock", "Not a socket.", NOTSOCK;
    NotSup = 58, "notsup", "Not supported, or operation not supported on socket.", NOTSUP;
    NotTy = 59, "notty", "Inappropriate I/O control operation.", NOTTY;
    Nxio = 60, "nxio", "No such device or address.", NXIO;
    Overflow = 61, "overflow", "Value too large to be stored in data type.", OVERFLOW;
    OwnerDead = 62, "ownerdead", "Previous owner died.", OWNERDEAD;
    Perm = 63, "perm", "Operation not permitted.", PERM;
    Pipe = 64, "pipe", "Broken pipe.", PIPE;
    Proto = 65, "proto", "Protocol error.", PROTO;
    ProtoNoSupport = 66, "protonosupport", "Protocol not supported.", PROTONOSUPPORT;
    Prototype = 67, "prototype", "Protocol wrong type for socket.", PROTOTYPE;
    Range = 68, "range", "Result too large.", RANGE;
    Rofs = 69, "rofs", "Read-only file system.", ROFS;
    Spipe = 70, "spipe", "Invalid seek.", SPIPE;
    Srch = 71, "srch", "No such process.", SRCH;
    Stale = 72, "stale", "Stale file handle (reserved).", STALE;
    TimedOut = 73, "timedout", "Connection timed out.", TIMEDOUT;
    TxtBsy = 74, "txtbsy", "Text file busy.", TXTBSY;
    Xdev = 75, "xdev", "Cross-device link.", XDEV;
    NotCapable = 76, "notcapable", "Capabilities insufficient.";
}

impl Errno {
    /// The error number with this value, if the specification has one.
    pub fn from_raw(value: u16) -> Option<Errno> {
        Errno::ALL.get(usize::from(value)).copied()
    }

    /// The value which crosses into the guest.
    pub const fn raw(self) -> u16 {
        self as u16
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for Errno {}

impl From<rustix::io::Errno> for Errno {
    fn from(host: rustix::io::Errno) -> Errno {
        Errno::from_host(host)
    }
}

impl From<&io::Error> for Errno {
    fn from(error: &io::Error) -> Errno {
        if let Some(host) = rustix::io::Errno::from_io_error(error) {
            return Errno::from_host(host);
        }
        match error.kind() {
            // The sandbox reports a path which leads out of its directory this way, without a host
            // number: nothing the operating system refuses looks like it.
            io::ErrorKind::PermissionDenied => Errno::NotCapable,
            io::ErrorKind::NotFound => Errno::NoEnt,
            io::ErrorKind::AlreadyExists => Errno::Exist,
            io::ErrorKind::InvalidInput => Errno::Inval,
            io::ErrorKind::InvalidData => Errno::Ilseq,
            io::ErrorKind::WouldBlock => Errno::Again,
            io::ErrorKind::Interrupted => Errno::Intr,
            io::ErrorKind::BrokenPipe => Errno::Pipe,
            io::ErrorKind::TimedOut => Errno::TimedOut,
            io::ErrorKind::Unsupported => Errno::NotSup,
            io::ErrorKind::OutOfMemory => Errno::NoMem,
            io::ErrorKind::StorageFull => Errno::NoSpc,
            io::ErrorKind::FileTooLarge => Errno::Fbig,
            io::ErrorKind::NotADirectory => Errno::NotDir,
            io::ErrorKind::IsADirectory => Errno::IsDir,
            io::ErrorKind::DirectoryNotEmpty => Errno::NotEmpty,
            io::ErrorKind::ReadOnlyFilesystem => Errno::Rofs,
            io::ErrorKind::NotSeekable => Errno::Spipe,
            _ => Errno::Io,
        }
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Errno {
        Errno::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_dense_and_complete() {
        assert_eq!(Errno::ALL.len(), 77);
        for (value, errno) in Errno::ALL.iter().enumerate() {
            assert_eq!(usize::from(errno.raw()), value);
            assert_eq!(Errno::from_raw(errno.raw()), Some(*errno));
        }
        assert_eq!(Errno::from_raw(77), None);
    }

    // The numbers guests have compiled in, from the specification's enumeration order.
    #[test]
    fn values_guests_rely_on() {
        for (errno, value) in [
            (Errno::Acces, 2),
            (Errno::Again, 6),
            (Errno::Badf, 8),
            (Errno::Exist, 20),
            (Errno::Fault, 21),
            (Errno::Ilseq, 25),
            (Errno::Inval, 28),
            (Errno::Io, 29),
            (Errno::IsDir, 31),
            (Errno::Loop, 32),
            (Errno::NameTooLong, 37),
            (Errno::NoEnt, 44),
            (Errno::NoSys, 52),
            (Errno::NotDir, 54),
            (Errno::NotEmpty, 55),
            (Errno::NotSock, 57),
            (Errno::NotSup, 58),
            (Errno::Overflow, 61),
            (Errno::Perm, 63),
            (Errno::Pipe, 64),
            (Errno::Rofs, 69),
            (Errno::Spipe, 70),
            (Errno::Xdev, 75),
            (Errno::NotCapable, 76),
        ] {
            assert_eq!(errno.raw(), value, "{}", errno.name());
        }
    }

    #[test]
    fn host_errors_keep_their_meaning() {
        let host = |e: rustix::io::Errno| Errno::from(io::Error::from(e));
        assert_eq!(host(rustix::io::Errno::NOENT), Errno::NoEnt);
        assert_eq!(host(rustix::io::Errno::ACCESS), Errno::Acces);
        assert_eq!(host(rustix::io::Errno::NOTEMPTY), Errno::NotEmpty);
        assert_eq!(host(rustix::io::Errno::OPNOTSUPP), Errno::NotSup);
        assert_eq!(host(rustix::io::Errno::WOULDBLOCK), Errno::Again);
        assert_eq!(host(rustix::io::Errno::XDEV), Errno::Xdev);
        assert_eq!(Errno::from(io::Error::from(io::ErrorKind::InvalidInput)), Errno::Inval);
        assert_eq!(Errno::from(io::Error::other("odd")), Errno::Io);
    }
}
