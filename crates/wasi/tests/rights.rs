//! Rights: what is reported, what is passed on, and what follows when one is missing.

mod support;

use heapwright_wasi::Perms;
use std::fs;
use support::rights::*;
use support::{Guest, Outcome, ROOT, SYMLINK_FOLLOW, errno, fdflags, oflags, scratch};

fn guest(perms: Perms) -> (Guest, tempfile::TempDir) {
    let dir = scratch();
    fs::write(dir.path().join("file"), b"content").unwrap();
    fs::create_dir(dir.path().join("dir")).unwrap();
    std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
    (Guest::with_dir(dir.path(), perms), dir)
}

const DIRECTORY: [u64; 16] = [
    PATH_CREATE_DIRECTORY,
    PATH_CREATE_FILE,
    PATH_LINK_SOURCE,
    PATH_LINK_TARGET,
    PATH_OPEN,
    FD_READDIR,
    PATH_READLINK,
    PATH_RENAME_SOURCE,
    PATH_RENAME_TARGET,
    PATH_SYMLINK,
    PATH_REMOVE_DIRECTORY,
    PATH_UNLINK_FILE,
    PATH_FILESTAT_GET,
    PATH_FILESTAT_SET_TIMES,
    FD_FILESTAT_GET,
    FD_FILESTAT_SET_TIMES,
];

const FILE: [u64; 13] = [
    FD_DATASYNC,
    FD_READ,
    FD_SEEK,
    FD_FDSTAT_SET_FLAGS,
    FD_SYNC,
    FD_TELL,
    FD_WRITE,
    FD_ADVISE,
    FD_ALLOCATE,
    FD_FILESTAT_GET,
    FD_FILESTAT_SET_SIZE,
    FD_FILESTAT_SET_TIMES,
    POLL_FD_READWRITE,
];

#[test]
fn a_preopened_directory_can_and_passes_on_everything() {
    let (mut guest, _dir) = guest(Perms::ReadWrite);
    let stat = guest.fdstat(ROOT).unwrap();
    for right in DIRECTORY {
        assert_ne!(stat.base & right, 0, "{right:#x}");
    }
    for right in DIRECTORY.into_iter().chain(FILE) {
        assert_ne!(stat.inheriting & right, 0, "{right:#x}");
    }
    // What applies to files only is not a right on a directory.
    assert_eq!(stat.base & (FD_READ | FD_WRITE | FD_SEEK | FD_FILESTAT_SET_SIZE), 0);
    assert_eq!(stat.flags, 0);
    // As C libraries open: with what the directory has, and with what it can pass on.
    let same = guest.path_open(ROOT, 0, b".", 0, stat.base, stat.inheriting, 0).unwrap();
    assert_eq!(guest.fdstat(same), Ok(stat));
}

#[test]
fn rights_asked_for_are_those_given() {
    let (mut guest, _dir) = guest(Perms::ReadWrite);
    let base = FD_READ | FD_TELL | FD_FILESTAT_GET;
    let fd = guest.path_open(ROOT, 0, b"file", 0, base, ALL, 0).unwrap();
    let stat = guest.fdstat(fd).unwrap();
    // A file passes nothing on.
    assert_eq!((stat.base, stat.inheriting), (base, 0));
    // Rights which do not apply to the kind of file are left out.
    let fd = guest.path_open(ROOT, 0, b"file", 0, base | PATH_OPEN | FD_READDIR, 0, 0).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().base, base);
    let fd = guest.path_open(ROOT, 0, b"dir", 0, FD_READ | FD_READDIR, FD_READ, 0).unwrap();
    let stat = guest.fdstat(fd).unwrap();
    assert_eq!((stat.base, stat.inheriting), (FD_READDIR, FD_READ));
}

#[test]
fn rights_pass_down_and_never_grow() {
    let (mut guest, dir) = guest(Perms::ReadWrite);
    fs::write(dir.path().join("dir/file"), b"x").unwrap();
    let sub = guest.path_open(ROOT, 0, b"dir", oflags::DIRECTORY, PATH_OPEN, FD_READ | FD_TELL, 0).unwrap();
    let fd = guest.path_open(sub, 0, b"file", 0, ALL & !FD_WRITE, ALL, 0).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().base, FD_READ | FD_TELL);
    // To write is not a right to be left out silently.
    assert_eq!(guest.open(sub, "file", 0, ALL), Err(errno::NOTCAPABLE));
    assert_eq!(guest.open(sub, "file", 0, FD_WRITE), Err(errno::NOTCAPABLE));
    // What the directory itself may not.
    assert_eq!(guest.open(sub, "new", oflags::CREAT, 0), Err(errno::NOTCAPABLE));
    assert_eq!(guest.open(sub, "file", oflags::TRUNC, 0), Err(errno::NOTCAPABLE));
    assert_eq!(guest.readdir(sub, 100, 0), Err(errno::NOTCAPABLE));
    assert_eq!(guest.filestat(sub), Err(errno::NOTCAPABLE));
    assert_eq!(guest.path_filestat(sub, 0, "file"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.create_directory(sub, "new"), Err(errno::NOTCAPABLE));
    let bare = guest.path_open(ROOT, 0, b"dir", oflags::DIRECTORY, 0, ALL, 0).unwrap();
    assert_eq!(guest.open(bare, "file", 0, 0), Err(errno::NOTCAPABLE));
}

fn set_rights(guest: &mut Guest, fd: u32, base: u64, inheriting: u64) -> u32 {
    guest.call("fd_fdstat_set_rights", &[fd.into(), base, inheriting])
}

#[test]
fn rights_can_be_dropped_but_not_taken() {
    let (mut guest, _dir) = guest(Perms::ReadWrite);
    let fd = guest.open_rw("file", 0).unwrap();
    let base = guest.fdstat(fd).unwrap().base;
    assert_eq!(set_rights(&mut guest, fd, base, 0), errno::SUCCESS);
    let fewer = base & !(FD_READ | FD_WRITE);
    assert_eq!(set_rights(&mut guest, fd, fewer, 0), errno::SUCCESS);
    assert_eq!(guest.fdstat(fd).unwrap().base, fewer);
    assert_eq!(guest.read(fd, 1), Err(errno::NOTCAPABLE));
    assert_eq!(guest.write(fd, b"x"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.seek(fd, 0, 0), Ok(0));
    for (base, inheriting) in [(base, 0), (fewer, FD_READ), (fewer | FD_READ, 0), (1 << 63, 0)] {
        assert_eq!(set_rights(&mut guest, fd, base, inheriting), errno::NOTCAPABLE);
    }
    assert_eq!(guest.fdstat(fd).unwrap().base, fewer);
    assert_eq!(set_rights(&mut guest, 99, 0, 0), errno::BADF);
}

#[test]
fn cutting_by_path_is_a_right_of_its_own() {
    let (mut guest, dir) = guest(Perms::ReadWrite);
    let stat = guest.fdstat(ROOT).unwrap();
    let inheriting = stat.inheriting & !FD_FILESTAT_SET_SIZE;
    assert_eq!(set_rights(&mut guest, ROOT, stat.base, inheriting), errno::SUCCESS);
    guest.open(ROOT, "file", oflags::TRUNC, 0).unwrap();
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"");
    let base = stat.base & !PATH_FILESTAT_SET_SIZE;
    assert_eq!(set_rights(&mut guest, ROOT, base, inheriting), errno::SUCCESS);
    assert_eq!(guest.open(ROOT, "file", oflags::TRUNC, 0), Err(errno::NOTCAPABLE));
}

/// Calls each function on an open file with only one right at a time: it must succeed with its own right
/// and lack something without it.
#[test]
fn each_function_on_files_needs_its_right() {
    type Call = fn(&mut Guest, u32) -> Outcome<()>;
    fn status(error: u32) -> Outcome<()> {
        if error == 0 { Ok(()) } else { Err(error) }
    }
    let cases: [(&str, u64, Call); 16] = [
        ("fd_read", FD_READ, |g, fd| g.read(fd, 1).map(drop)),
        ("fd_write", FD_WRITE, |g, fd| g.write(fd, b"x").map(drop)),
        ("fd_pread", FD_READ | FD_SEEK, |g, fd| g.pread(fd, 1, 0).map(drop)),
        ("fd_pwrite", FD_WRITE | FD_SEEK, |g, fd| g.pwrite(fd, b"x", 0).map(drop)),
        ("fd_seek", FD_SEEK, |g, fd| g.seek(fd, 1, 0).map(drop)),
        ("fd_seek by 0", FD_TELL, |g, fd| g.seek(fd, 0, 1).map(drop)),
        // "This flag implies `rights::fd_tell`."
        ("fd_tell", FD_SEEK, |g, fd| g.tell(fd).map(drop)),
        ("fd_tell", FD_TELL, |g, fd| g.tell(fd).map(drop)),
        ("fd_sync", FD_SYNC, |g, fd| status(g.call("fd_sync", &[fd.into()]))),
        ("fd_datasync", FD_DATASYNC, |g, fd| status(g.call("fd_datasync", &[fd.into()]))),
        ("fd_advise", FD_ADVISE, |g, fd| status(g.call("fd_advise", &[fd.into(), 0, 0, 0]))),
        ("fd_fdstat_set_flags", FD_FDSTAT_SET_FLAGS, |g, fd| {
            status(g.call("fd_fdstat_set_flags", &[fd.into(), fdflags::APPEND.into()]))
        }),
        ("fd_filestat_get", FD_FILESTAT_GET, |g, fd| g.filestat(fd).map(drop)),
        ("fd_filestat_set_size", FD_FILESTAT_SET_SIZE, |g, fd| status(g.call("fd_filestat_set_size", &[fd.into(), 3]))),
        ("fd_filestat_set_times", FD_FILESTAT_SET_TIMES, |g, fd| {
            status(g.call("fd_filestat_set_times", &[fd.into(), 0, 0, 0]))
        }),
        ("fd_allocate", FD_ALLOCATE, |g, fd| match g.call("fd_allocate", &[fd.into(), 0, 1]) {
            // Not every file system can.
            errno::NOTSUP => Ok(()),
            error => status(error),
        }),
    ];
    let (mut guest, _dir) = guest(Perms::ReadWrite);
    for (name, needed, call) in cases {
        let fd = guest.open(ROOT, "file", 0, needed).unwrap();
        assert_eq!(call(&mut guest, fd), Ok(()), "{name}");
        guest.close(fd).unwrap();
        let implied = if name == "fd_tell" || name == "fd_seek by 0" { FD_SEEK | FD_TELL } else { 0 };
        for bit in 0..30 {
            let right = 1 << bit;
            if needed & right == 0 {
                continue;
            }
            let fd = guest.open(ROOT, "file", 0, ALL & !right & !implied).unwrap();
            assert_eq!(call(&mut guest, fd), Err(errno::NOTCAPABLE), "{name} without {right:#x}");
            guest.close(fd).unwrap();
        }
    }
}

#[test]
fn each_function_on_paths_needs_its_right() {
    type Call = fn(&mut Guest, u32) -> Outcome<()>;
    let cases: [(u64, Call); 14] = [
        (PATH_OPEN, |g, fd| g.open(fd, "file", 0, 0).map(drop)),
        (PATH_CREATE_FILE, |g, fd| g.open(fd, "new", oflags::CREAT, 0).map(drop)),
        (PATH_FILESTAT_SET_SIZE, |g, fd| g.open(fd, "file", oflags::TRUNC, 0).map(drop)),
        (PATH_CREATE_DIRECTORY, |g, fd| g.create_directory(fd, "newdir")),
        (PATH_REMOVE_DIRECTORY, |g, fd| g.remove_directory(fd, "newdir")),
        (PATH_SYMLINK, |g, fd| g.symlink("file", fd, "newlink")),
        (PATH_READLINK, |g, fd| g.readlink(fd, "newlink", 10).map(drop)),
        (PATH_LINK_SOURCE, |g, fd| g.link(fd, 0, "file", ROOT, "hard1")),
        (PATH_LINK_TARGET, |g, fd| g.link(ROOT, 0, "file", fd, "hard2")),
        (PATH_RENAME_SOURCE, |g, fd| g.rename(fd, "hard1", ROOT, "hard3")),
        (PATH_RENAME_TARGET, |g, fd| g.rename(ROOT, "hard2", fd, "hard4")),
        (PATH_UNLINK_FILE, |g, fd| g.unlink(fd, "hard3")),
        (PATH_FILESTAT_GET, |g, fd| g.path_filestat(fd, 0, "file").map(drop)),
        (PATH_FILESTAT_SET_TIMES, |g, fd| g.set_times(fd, 0, "file", 0, 0, 0)),
    ];
    let (mut guest, _dir) = guest(Perms::ReadWrite);
    for (right, call) in cases {
        let base = ALL & !FD_WRITE;
        let without = guest.path_open(ROOT, 0, b".", oflags::DIRECTORY, base & !right, ALL, 0).unwrap();
        assert_eq!(call(&mut guest, without), Err(errno::NOTCAPABLE), "without {right:#x}");
        let with = guest.path_open(ROOT, 0, b".", oflags::DIRECTORY, right | PATH_OPEN, ALL, 0).unwrap();
        assert_eq!(call(&mut guest, with), Ok(()), "with {right:#x}");
    }
}

#[test]
fn a_read_only_directory_can_be_read() {
    let (mut guest, _dir) = guest(Perms::ReadOnly);
    let fd = guest.open_ro("file").unwrap();
    assert_eq!(guest.read(fd, 10), Ok(b"content".to_vec()));
    assert_eq!(guest.seek(fd, -3, 2), Ok(4));
    assert_eq!(guest.filestat(fd).unwrap().size, 7);
    assert_eq!(guest.names(ROOT), ["dir", "file", "link"]);
    assert_eq!(guest.readlink(ROOT, "link", 10), Ok(b"file".to_vec()));
    assert_eq!(guest.path_filestat(ROOT, SYMLINK_FOLLOW, "link").unwrap().size, 7);
    // As a Rust program opens for reading: with every right but those of writing, and with all
    // inheriting ones.
    let sub = guest.open_dir("dir").unwrap();
    assert_eq!(guest.names(sub), [""; 0]);
}

#[test]
fn a_read_only_directory_stays_as_it_is() {
    let (mut guest, dir) = guest(Perms::ReadOnly);
    let sub = guest.open_dir("dir").unwrap();
    for root in [ROOT, sub] {
        assert_eq!(guest.open(root, "new", oflags::CREAT, 0), Err(errno::NOTCAPABLE));
        assert_eq!(guest.create_directory(root, "new"), Err(errno::NOTCAPABLE));
        assert_eq!(guest.symlink("file", root, "new"), Err(errno::NOTCAPABLE));
    }
    for base in [FD_WRITE, FD_READ | FD_WRITE, ALL] {
        assert_eq!(guest.open(ROOT, "file", 0, base), Err(errno::NOTCAPABLE));
    }
    assert_eq!(guest.open(ROOT, "file", oflags::TRUNC, 0), Err(errno::NOTCAPABLE));
    assert_eq!(guest.unlink(ROOT, "file"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.remove_directory(ROOT, "dir"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.rename(ROOT, "file", ROOT, "new"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.link(ROOT, 0, "file", ROOT, "new"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.set_times(ROOT, 0, "file", 0, 0, 4), Err(errno::NOTCAPABLE));

    // The rights to change sizes and times are left out of an open file's, whatever was asked for.
    let fd = guest.open(ROOT, "file", 0, ALL & !FD_WRITE).unwrap();
    assert_eq!(guest.write(fd, b"x"), Err(errno::NOTCAPABLE));
    assert_eq!(guest.pwrite(fd, b"x", 0), Err(errno::NOTCAPABLE));
    assert_eq!(guest.call("fd_filestat_set_size", &[fd.into(), 0]), errno::NOTCAPABLE);
    assert_eq!(guest.call("fd_allocate", &[fd.into(), 0, 1]), errno::NOTCAPABLE);
    for fd in [fd, ROOT, sub] {
        let times = guest.call("fd_filestat_set_times", &[fd.into(), 0, 0, 1 | 4]);
        assert_eq!(times, errno::NOTCAPABLE);
    }
    // A guest's own flags on a file it reads are no change of the file.
    let append = guest.call("fd_fdstat_set_flags", &[fd.into(), fdflags::APPEND.into()]);
    assert_eq!(append, errno::SUCCESS);

    // And it could not have been lent a right: the rights say what the directory is.
    let stat = guest.fdstat(ROOT).unwrap();
    assert_eq!(stat.inheriting & (FD_WRITE | PATH_CREATE_FILE | PATH_UNLINK_FILE), 0);
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"content");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    assert_eq!(fs::read_dir(dir.path().join("dir")).unwrap().count(), 0);
}
