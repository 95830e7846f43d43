//! Paths: links, renames, attributes by path, and what a path may look like.

mod support;

use heapwright_wasi::Perms;
use std::fs;
use support::{Guest, ROOT, SYMLINK_FOLLOW, errno, filetype, oflags, rights, scratch};

fn guest() -> (Guest, tempfile::TempDir) {
    let dir = scratch();
    (Guest::with_dir(dir.path(), Perms::ReadWrite), dir)
}

fn file(guest: &mut Guest, path: &str) {
    let fd = guest.open(ROOT, path, oflags::CREAT, 0).unwrap();
    guest.close(fd).unwrap();
}

#[test]
fn odd_paths() {
    let (mut guest, _dir) = guest();
    guest.create_directory(ROOT, "dir").unwrap();
    guest.create_directory(ROOT, "dir/nested").unwrap();
    file(&mut guest, "dir/nested/file");
    guest.open(ROOT, "dir/.//nested/../../dir/nested/../nested///./file", 0, 0).unwrap();
    for (path, error) in [
        (&b""[..], errno::NOENT),
        (b"dir/nested/file\0", errno::INVAL),
        (b"\0", errno::INVAL),
        (b"dir/\xff", errno::ILSEQ),
        (b"dir/nested/file/", errno::NOTDIR),
        (b"dir/nested/file///", errno::NOTDIR),
        (b"dir/nested/file/.", errno::NOTDIR),
        (b"nowhere/../dir", errno::NOENT),
        (&[b'a'; 256], errno::NAMETOOLONG),
        (&[b'a'; 5000], errno::NAMETOOLONG),
        (&b"./".repeat(3000), errno::NAMETOOLONG),
    ] {
        let opened = guest.path_open(ROOT, SYMLINK_FOLLOW, path, 0, 0, 0, 0);
        assert_eq!(opened, Err(error), "{:?}", String::from_utf8_lossy(path));
    }
    for path in ["dir/nested/", "dir/nested///", ".", "./", "dir/.."] {
        guest.open(ROOT, path, 0, 0).unwrap();
    }
    // Text of any script.
    file(&mut guest, "имя-名前-🐪");
    assert_eq!(guest.names(ROOT), ["dir", "имя-名前-🐪"]);
}

#[test]
fn symbolic_links() {
    let (mut guest, dir) = guest();
    fs::create_dir(dir.path().join("dir")).unwrap();
    fs::write(dir.path().join("dir/file"), b"content").unwrap();
    guest.symlink("dir/file", ROOT, "to-file").unwrap();
    guest.symlink("dir", ROOT, "to-dir").unwrap();
    guest.symlink("missing", ROOT, "dangling").unwrap();
    guest.symlink("loop", ROOT, "loop").unwrap();
    assert_eq!(fs::read_link(dir.path().join("to-file")).unwrap().to_str(), Some("dir/file"));

    let open = |guest: &mut Guest, flags, path: &str, oflags| {
        guest.path_open(ROOT, flags, path.as_bytes(), oflags, rights::FD_READ, 0, 0)
    };
    let fd = open(&mut guest, SYMLINK_FOLLOW, "to-file", 0).unwrap();
    assert_eq!(guest.read(fd, 10), Ok(b"content".to_vec()));
    open(&mut guest, SYMLINK_FOLLOW, "to-dir", oflags::DIRECTORY).unwrap();
    // Links on the way are followed always.
    open(&mut guest, 0, "to-dir/file", 0).unwrap();
    // Not to be followed, a link cannot be opened.
    for path in ["to-file", "to-dir", "dangling", "loop"] {
        assert_eq!(open(&mut guest, 0, path, 0), Err(errno::LOOP), "{path}");
        let as_dir = open(&mut guest, 0, path, oflags::DIRECTORY).unwrap_err();
        assert!([errno::LOOP, errno::NOTDIR].contains(&as_dir), "{path}");
    }
    assert_eq!(open(&mut guest, SYMLINK_FOLLOW, "dangling", 0), Err(errno::NOENT));
    assert_eq!(open(&mut guest, SYMLINK_FOLLOW, "loop", 0), Err(errno::LOOP));
    assert_eq!(open(&mut guest, SYMLINK_FOLLOW, "to-file", oflags::DIRECTORY), Err(errno::NOTDIR));
    // A file is created where a dangling link points.
    open(&mut guest, SYMLINK_FOLLOW, "dangling", oflags::CREAT).unwrap();
    assert!(dir.path().join("missing").is_file());
    let excl = open(&mut guest, SYMLINK_FOLLOW, "to-file", oflags::CREAT | oflags::EXCL);
    assert_eq!(excl, Err(errno::EXIST));

    // Removing a link leaves what it points to.
    guest.unlink(ROOT, "to-dir").unwrap();
    assert!(dir.path().join("dir").is_dir());
}

#[test]
fn making_links_over_things() {
    let (mut guest, _dir) = guest();
    assert_eq!(guest.symlink("source", ROOT, "target/"), Err(errno::NOENT));
    guest.create_directory(ROOT, "target").unwrap();
    assert_eq!(guest.symlink("source", ROOT, "target/"), Err(errno::EXIST));
    assert_eq!(guest.symlink("source", ROOT, "target"), Err(errno::EXIST));
    assert_eq!(guest.symlink("", ROOT, "empty"), Err(errno::NOENT));
}

#[test]
fn reading_links() {
    let (mut guest, dir) = guest();
    guest.symlink("target", ROOT, "link").unwrap();
    assert_eq!(guest.readlink(ROOT, "link", 10), Ok(b"target".to_vec()));
    assert_eq!(guest.readlink(ROOT, "link", 4), Ok(b"targ".to_vec()));
    assert_eq!(guest.readlink(ROOT, "link", 0), Ok(vec![]));
    // Bytes behind the contents are left alone.
    guest.reset();
    let path = guest.put(b"link");
    let buf = guest.put(&[9; 10]);
    let used = guest.alloc(4);
    assert_eq!(guest.call("path_readlink", &[ROOT.into(), path, 4, buf, 10, used]), errno::SUCCESS);
    assert_eq!(guest.bytes(buf, 10), b"target\x09\x09\x09\x09");
    file(&mut guest, "file");
    assert_eq!(guest.readlink(ROOT, "file", 10), Err(errno::INVAL));
    assert_eq!(guest.readlink(ROOT, "none", 10), Err(errno::NOENT));
    // The names of places on the host are not given away.
    std::os::unix::fs::symlink("/etc", dir.path().join("absolute")).unwrap();
    assert_eq!(guest.readlink(ROOT, "absolute", 10), Err(errno::NOTCAPABLE));
}

#[test]
fn hard_links() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    guest.write(fd, b"shared").unwrap();
    guest.create_directory(ROOT, "sub").unwrap();
    let sub = guest.open_dir("sub").unwrap();
    guest.link(ROOT, 0, "file", sub, "link").unwrap();
    let (one, two) = (guest.path_filestat(ROOT, 0, "file").unwrap(), guest.path_filestat(sub, 0, "link").unwrap());
    assert_eq!(one, two);
    assert_eq!(one.nlink, 2);
    assert_eq!(guest.link(ROOT, 0, "file", sub, "link"), Err(errno::EXIST));
    assert_eq!(guest.link(ROOT, 0, "file", ROOT, "file"), Err(errno::EXIST));
    assert_eq!(guest.link(ROOT, 0, "file", ROOT, "sub"), Err(errno::EXIST));
    assert_eq!(guest.link(ROOT, 0, "none", ROOT, "x"), Err(errno::NOENT));
    assert_eq!(guest.link(ROOT, 0, "file", ROOT, "x/"), Err(errno::NOENT));
    let dir = guest.link(ROOT, 0, "sub", ROOT, "x").unwrap_err();
    assert!([errno::PERM, errno::ACCES].contains(&dir));
    assert_eq!(guest.link(ROOT, 2, "file", ROOT, "x"), Err(errno::INVAL));

    // A link to a symbolic link, and to what it points to.
    guest.symlink("file", ROOT, "soft").unwrap();
    guest.link(ROOT, 0, "soft", ROOT, "same-soft").unwrap();
    assert_eq!(guest.path_filestat(ROOT, 0, "same-soft").unwrap().filetype, filetype::SYMBOLIC_LINK);
    guest.link(ROOT, SYMLINK_FOLLOW, "soft", ROOT, "followed").unwrap();
    assert_eq!(guest.path_filestat(ROOT, 0, "followed").unwrap().ino, one.ino);
    guest.symlink("nothing", ROOT, "dangling").unwrap();
    guest.link(ROOT, 0, "dangling", ROOT, "same-dangling").unwrap();
    assert_eq!(guest.link(ROOT, SYMLINK_FOLLOW, "dangling", ROOT, "x"), Err(errno::NOENT));
}

#[test]
fn renaming() {
    let (mut guest, dir) = guest();
    file(&mut guest, "source");
    fs::write(dir.path().join("target"), b"old").unwrap();
    guest.rename(ROOT, "source", ROOT, "target").unwrap();
    assert_eq!(guest.names(ROOT), ["target"]);
    assert_eq!(guest.path_filestat(ROOT, 0, "target").unwrap().size, 0);
    assert_eq!(guest.rename(ROOT, "source", ROOT, "target"), Err(errno::NOENT));
    guest.create_directory(ROOT, "dir").unwrap();
    assert_eq!(guest.rename(ROOT, "target", ROOT, "dir"), Err(errno::ISDIR));
    assert_eq!(guest.rename(ROOT, "dir", ROOT, "target"), Err(errno::NOTDIR));
    // From directory to directory, with slashes and without.
    let sub = guest.open_dir("dir").unwrap();
    guest.rename(ROOT, "target", sub, "moved").unwrap();
    assert_eq!(guest.names(sub), ["moved"]);
    for (from, to) in [("dir/", "d2"), ("d2", "d3/"), ("d3/", "d4/")] {
        guest.rename(ROOT, from, ROOT, to).unwrap();
    }
    // An open directory keeps standing for the same one.
    assert_eq!(guest.names(sub), ["moved"]);
    // Onto an empty directory, but not onto a full one.
    guest.create_directory(ROOT, "empty").unwrap();
    guest.create_directory(ROOT, "empty2").unwrap();
    guest.rename(ROOT, "empty", ROOT, "empty2").unwrap();
    assert_eq!(guest.rename(ROOT, "empty2", ROOT, "d4"), Err(errno::NOTEMPTY));
    assert_eq!(guest.rename(ROOT, "d4", ROOT, "d4/inside"), Err(errno::INVAL));
}

#[test]
fn attributes_by_path() {
    let (mut guest, dir) = guest();
    fs::write(dir.path().join("file"), b"12345").unwrap();
    guest.symlink("file", ROOT, "link").unwrap();
    let file = guest.path_filestat(ROOT, 0, "file").unwrap();
    assert_eq!((file.filetype, file.size), (filetype::REGULAR_FILE, 5));
    let link = guest.path_filestat(ROOT, 0, "link").unwrap();
    // "For symbolic links, the length in bytes of the pathname contained in the symbolic link."
    assert_eq!((link.filetype, link.size), (filetype::SYMBOLIC_LINK, 4));
    assert_eq!(guest.path_filestat(ROOT, SYMLINK_FOLLOW, "link"), Ok(file));
    assert_eq!(guest.path_filestat(ROOT, 0, ".").unwrap().filetype, filetype::DIRECTORY);
    assert_eq!(guest.path_filestat(ROOT, 0, "none"), Err(errno::NOENT));
    assert_eq!(guest.path_filestat(ROOT, 2, "file"), Err(errno::INVAL));
    assert_eq!(guest.path_filestat(99, 0, "file"), Err(errno::BADF));
}

#[test]
fn times_by_path() {
    let (mut guest, dir) = guest();
    fs::write(dir.path().join("file"), b"").unwrap();
    guest.symlink("file", ROOT, "link").unwrap();
    let (atim, mtim) = (1, 4);
    guest.set_times(ROOT, SYMLINK_FOLLOW, "link", 1_000, 2_000, atim | mtim).unwrap();
    let file = guest.path_filestat(ROOT, 0, "file").unwrap();
    assert_eq!((file.atim, file.mtim), (1_000, 2_000));
    // The link itself.
    guest.set_times(ROOT, 0, "link", 0, 3_000, mtim).unwrap();
    assert_eq!(guest.path_filestat(ROOT, 0, "link").unwrap().mtim, 3_000);
    assert_eq!(guest.path_filestat(ROOT, 0, "file").unwrap().mtim, 2_000);
    guest.create_directory(ROOT, "dir").unwrap();
    guest.set_times(ROOT, SYMLINK_FOLLOW, "dir", 0, 5_000, mtim).unwrap();
    assert_eq!(guest.path_filestat(ROOT, 0, "dir").unwrap().mtim, 5_000);
    // Both a given time and now.
    assert_eq!(guest.set_times(ROOT, 0, "file", 0, 0, 4 | 8), Err(errno::INVAL));
    assert_eq!(guest.set_times(ROOT, 0, "file", 0, 0, 1 | 2), Err(errno::INVAL));
    assert_eq!(guest.path_filestat(ROOT, 0, "file").unwrap().mtim, 2_000);
    assert_eq!(guest.set_times(ROOT, 0, "none", 0, 0, mtim), Err(errno::NOENT));
    // The far future, in 2554, is no reason to fall over.
    let far = guest.set_times(ROOT, 0, "file", u64::MAX, u64::MAX, atim | mtim);
    assert!(far.is_ok() || far == Err(errno::INVAL), "{far:?}");
}
