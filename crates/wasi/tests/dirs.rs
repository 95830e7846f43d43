//! Directories: listing, creating and removing them.

mod support;

use heapwright_wasi::Perms;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use support::{Guest, ROOT, errno, filetype, oflags, rights, scratch};

fn guest() -> (Guest, tempfile::TempDir) {
    let dir = scratch();
    (Guest::with_dir(dir.path(), Perms::ReadWrite), dir)
}

#[test]
fn preopened_directories_have_names() {
    let (one, two) = (scratch(), scratch());
    let ctx = heapwright_wasi::WasiCtx::builder()
        .preopened_dir(one.path(), "/data", Perms::ReadWrite)
        .preopened_dir(two.path(), ".", Perms::ReadOnly)
        .build()
        .unwrap();
    let mut guest = Guest::new(ctx);
    let mut names = Vec::new();
    for fd in 3.. {
        guest.reset();
        let prestat = guest.alloc(8);
        // Only the tag of directories, 0, is written over this.
        guest.mem[prestat as usize] = 0xff;
        match guest.call("fd_prestat_get", &[fd, prestat]) {
            errno::SUCCESS => {}
            error => {
                assert_eq!(error, errno::BADF);
                break;
            }
        }
        assert_eq!(guest.u8(prestat), 0);
        let len = guest.u32(prestat + 4);
        let name = guest.alloc(len as usize);
        assert_eq!(guest.call("fd_prestat_dir_name", &[fd, name, (len - 1).into()]), errno::NAMETOOLONG);
        assert_eq!(guest.call("fd_prestat_dir_name", &[fd, name, len.into()]), errno::SUCCESS);
        names.push(guest.bytes(name, len));
        // A larger buffer is not touched behind the name.
        let name = guest.put(&[7; 16]);
        assert_eq!(guest.call("fd_prestat_dir_name", &[fd, name, 16]), errno::SUCCESS);
        assert_eq!(guest.u8(name + u64::from(len)), 7);
    }
    assert_eq!(names, [b"/data".to_vec(), b".".to_vec()]);
    // What is opened in one is not itself a preopened one.
    let fd = guest.open_dir(".").unwrap();
    assert_eq!(guest.call("fd_prestat_get", &[fd.into(), 0]), errno::BADF);
    assert_eq!(guest.call("fd_prestat_dir_name", &[1, 0, 10]), errno::BADF);
}

#[test]
fn an_empty_directory_lists_itself_and_its_parent() {
    let (mut guest, _dir) = guest();
    let ino = guest.filestat(ROOT).unwrap().ino;
    let (entries, ended) = guest.readdir(ROOT, 256, 0).unwrap();
    assert!(ended);
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0].name.as_str(), entries[0].ino), (".", ino));
    assert_eq!(entries[1].name, "..");
    assert!(entries.iter().all(|entry| entry.filetype == filetype::DIRECTORY));
}

#[test]
fn entries_have_types_and_numbers() {
    use std::os::unix::fs::MetadataExt;
    let (mut guest, dir) = guest();
    fs::write(dir.path().join("file"), b"").unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
    let (entries, _) = guest.readdir(ROOT, 4096, 0).unwrap();
    for (name, filetype) in
        [("file", filetype::REGULAR_FILE), ("sub", filetype::DIRECTORY), ("link", filetype::SYMBOLIC_LINK)]
    {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        let host = fs::symlink_metadata(dir.path().join(name)).unwrap();
        assert_eq!((entry.filetype, entry.ino), (filetype, host.ino()), "{name}");
    }
}

fn fill(dir: &std::path::Path, count: usize) -> BTreeSet<String> {
    (0..count)
        .map(|i| {
            let name = format!("file.{i}");
            fs::write(dir.join(&name), b"").unwrap();
            name
        })
        .collect()
}

#[test]
fn large_directories_come_in_pieces() {
    let (mut guest, dir) = guest();
    let names = fill(dir.path(), 200);
    // With room for not much more than one entry, for a few, and for all.
    for len in [40, 64, 256, 1000, 60_000] {
        let mut seen = BTreeSet::new();
        let mut cookie = 0;
        loop {
            let (entries, ended) = guest.readdir(ROOT, len, cookie).unwrap();
            for entry in entries {
                assert!(seen.insert(entry.name), "twice");
                cookie = entry.next;
            }
            if ended {
                break;
            }
        }
        assert!(seen.remove(".") && seen.remove(".."));
        assert_eq!(seen, names, "in pieces of {len}");
    }
}

#[test]
fn the_last_entry_is_cut_to_fit() {
    let (mut guest, dir) = guest();
    fs::write(dir.path().join("a-rather-long-name"), b"").unwrap();
    // ".", "..", and all of the third but its last byte.
    let whole = guest.readdir_raw(ROOT, 4096, 0).unwrap();
    let cut = guest.readdir_raw(ROOT, whole.len() - 1, 0).unwrap();
    assert_eq!(cut, whole[..whole.len() - 1]);
    // A cut header.
    assert_eq!(guest.readdir_raw(ROOT, 10, 0).unwrap(), whole[..10]);
    assert_eq!(guest.readdir_raw(ROOT, 0, 0).unwrap(), b"");
    // A buffer which the last entry just fills does not say that the directory has ended.
    let cookie = guest.readdir(ROOT, 4096, 0).unwrap().0[2].next;
    assert_eq!(guest.readdir_raw(ROOT, whole.len(), 0).unwrap(), whole);
    assert_eq!(guest.readdir_raw(ROOT, 100, cookie).unwrap(), b"");
}

#[test]
fn cookies_lead_to_their_place_again() {
    let (mut guest, dir) = guest();
    fill(dir.path(), 20);
    let (all, ended) = guest.readdir(ROOT, 8192, 0).unwrap();
    assert!(ended);
    for i in (0..all.len()).rev() {
        let (rest, _) = guest.readdir(ROOT, 8192, all[i].next).unwrap();
        assert_eq!(rest, all[i + 1..]);
    }
    assert_eq!(guest.readdir(ROOT, 100, u64::MAX), Ok((vec![], true)));
    // Cookie 0 shows what has come since.
    fs::write(dir.path().join("late"), b"").unwrap();
    let (again, _) = guest.readdir(ROOT, 8192, 0).unwrap();
    assert_eq!(again.len(), all.len() + 1);
}

#[test]
fn removing_while_listing_misses_nothing() {
    let (mut guest, dir) = guest();
    fill(dir.path(), 300);
    let mut cookie = 0;
    loop {
        let (entries, ended) = guest.readdir(ROOT, 300, cookie).unwrap();
        for entry in entries {
            cookie = entry.next;
            if entry.name.starts_with("file") {
                guest.unlink(ROOT, &entry.name).unwrap();
            }
        }
        if ended {
            break;
        }
    }
    assert!(guest.names(ROOT).is_empty());
}

#[test]
fn two_descriptors_list_independently() {
    let (mut guest, dir) = guest();
    fill(dir.path(), 10);
    let other = guest.open_dir(".").unwrap();
    let (first, _) = guest.readdir(ROOT, 80, 0).unwrap();
    let (entries, _) = guest.readdir(other, 4096, 0).unwrap();
    assert_eq!(entries.len(), 12);
    let (rest, _) = guest.readdir(ROOT, 4096, first.last().unwrap().next).unwrap();
    assert_eq!(first.len() + rest.len(), 12);
}

#[test]
fn names_which_are_no_text_are_listed() {
    let (mut guest, dir) = guest();
    let name = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    if fs::write(dir.path().join(name), b"").is_err() {
        // Some file systems have no such names.
        return;
    }
    let data = guest.readdir_raw(ROOT, 4096, 0).unwrap();
    assert!(data.ends_with(b"\xff\xfe"));
}

#[test]
fn creating_and_removing() {
    let (mut guest, dir) = guest();
    guest.create_directory(ROOT, "a").unwrap();
    guest.create_directory(ROOT, "a/b/").unwrap();
    assert!(dir.path().join("a/b").is_dir());
    assert_eq!(guest.create_directory(ROOT, "a"), Err(errno::EXIST));
    assert_eq!(guest.create_directory(ROOT, "x/y"), Err(errno::NOENT));
    // "Return errno::notempty if the directory is not empty."
    assert_eq!(guest.remove_directory(ROOT, "a"), Err(errno::NOTEMPTY));
    // "Return errno::isdir if the path refers to a directory."
    assert_eq!(guest.unlink(ROOT, "a"), Err(errno::ISDIR));
    assert_eq!(guest.unlink(ROOT, "a/"), Err(errno::ISDIR));
    guest.remove_directory(ROOT, "a/b/").unwrap();
    guest.remove_directory(ROOT, "a").unwrap();
    assert_eq!(guest.remove_directory(ROOT, "a"), Err(errno::NOENT));
    guest.open_rw("file", oflags::CREAT).unwrap();
    assert_eq!(guest.remove_directory(ROOT, "file"), Err(errno::NOTDIR));
    assert_eq!(guest.remove_directory(ROOT, "file/"), Err(errno::NOTDIR));
    assert_eq!(guest.unlink(ROOT, "file/"), Err(errno::NOTDIR));
    guest.unlink(ROOT, "file").unwrap();
    assert_eq!(guest.unlink(ROOT, "file"), Err(errno::NOENT));
}

#[test]
fn opening_directories() {
    let (mut guest, dir) = guest();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::write(dir.path().join("a/file"), b"inside").unwrap();
    let a = guest.open_dir("a").unwrap();
    assert_eq!(guest.fdstat(a).unwrap().filetype, filetype::DIRECTORY);
    assert_eq!(guest.names(a), ["b", "file"]);
    let file = guest.open(a, "file", 0, rights::FD_READ).unwrap();
    assert_eq!(guest.read(file, 10), Ok(b"inside".to_vec()));
    // Without the wish for a directory one is found all the same.
    let a = guest.open(ROOT, "a/", 0, rights::FD_READDIR | rights::FD_READ).unwrap();
    assert_eq!(guest.names(a), ["b", "file"]);
    assert_eq!(guest.open_dir("a/file"), Err(errno::NOTDIR));
    assert_eq!(guest.open(ROOT, "a/file/", 0, 0), Err(errno::NOTDIR));
    assert_eq!(guest.open_dir("nothing"), Err(errno::NOENT));
    // Directories are not written to, cut or made by this function.
    for oflags in [0, oflags::DIRECTORY] {
        let base = rights::FD_READ | rights::FD_WRITE;
        assert_eq!(guest.open(ROOT, "a", oflags, base), Err(errno::ISDIR));
    }
    assert_eq!(guest.open(ROOT, "a", oflags::TRUNC, 0), Err(errno::ISDIR));
    assert_eq!(guest.open(ROOT, "a", oflags::CREAT, 0), Err(errno::ISDIR));
    for with in [oflags::CREAT, oflags::EXCL, oflags::TRUNC] {
        let opened = guest.open(ROOT, "a", oflags::DIRECTORY | with, 0);
        assert_eq!(opened, Err(errno::INVAL));
    }
    // A file is no place to open things in.
    assert_eq!(guest.open(file, "x", 0, 0), Err(errno::NOTDIR));
    assert_eq!(guest.create_directory(file, "x"), Err(errno::NOTDIR));
}

#[test]
fn a_removed_directory_is_empty_and_stays_so() {
    let (mut guest, _dir) = guest();
    guest.create_directory(ROOT, "gone").unwrap();
    let fd = guest.open_dir("gone").unwrap();
    guest.remove_directory(ROOT, "gone").unwrap();
    assert_eq!(guest.open(fd, "file", oflags::CREAT, 0), Err(errno::NOENT));
    guest.create_directory(ROOT, "gone").unwrap();
    assert_eq!(guest.open(fd, "file", oflags::CREAT, 0), Err(errno::NOENT));
    guest.close(fd).unwrap();
}
