//! Files: reading, writing, seeking, sizes, times and flags.

mod support;

use heapwright_wasi::{Perms, VirtualClock, WasiCtx};
use std::fs;
use support::{Guest, ROOT, SYMLINK_FOLLOW, errno, fdflags, filetype, oflags, rights, scratch};

fn guest() -> (Guest, tempfile::TempDir) {
    let dir = scratch();
    (Guest::with_dir(dir.path(), Perms::ReadWrite), dir)
}

#[test]
fn written_data_is_on_the_host_at_once() {
    let (mut guest, dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    assert_eq!(fd, 4);
    assert_eq!(guest.writev(fd, &[b"hello ", b"", b"world"]), Ok(11));
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"hello world");
    assert_eq!(guest.tell(fd), Ok(11));
    assert_eq!(guest.seek(fd, 6, 0), Ok(6));
    assert_eq!(guest.read(fd, 100), Ok(b"world".to_vec()));
    assert_eq!(guest.read(fd, 100), Ok(vec![]));
    guest.close(fd).unwrap();
    assert_eq!(guest.read(fd, 1), Err(errno::BADF));
}

#[test]
fn a_file_fills_every_buffer_it_can() {
    let (mut guest, dir) = guest();
    fs::write(dir.path().join("file"), b"0123456789").unwrap();
    let fd = guest.open_ro("file").unwrap();
    guest.reset();
    let (list, bufs) = guest.iovecs(&[3, 0, 4, 8, 5]);
    let n = guest.alloc(4);
    assert_eq!(guest.call("fd_read", &[fd.into(), list, 5, n]), errno::SUCCESS);
    assert_eq!(guest.u32(n), 10);
    assert_eq!(guest.bytes(bufs[0], 3), b"012");
    assert_eq!(guest.bytes(bufs[2], 4), b"3456");
    assert_eq!(guest.bytes(bufs[3], 3), b"789");
}

#[test]
fn many_small_buffers_are_written_in_order() {
    let (mut guest, dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    let parts: Vec<Vec<u8>> = (0..500).map(|i| format!("{i},").into_bytes()).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let whole = parts.concat();
    assert_eq!(guest.writev(fd, &parts), Ok(whole.len() as u32));
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), whole);
}

#[test]
fn reading_over_the_buffer_list_stays_inside_memory() {
    // The first buffer lies on the list itself; the file holds a second entry of 4 GiB at the end of
    // the address space.
    let (mut guest, dir) = guest();
    let mut evil = Vec::new();
    for word in [0u32, 16, 0xffff_fff0, 0xffff_ffff] {
        evil.extend_from_slice(&word.to_le_bytes());
    }
    evil.extend_from_slice(&[1; 64]);
    fs::write(dir.path().join("file"), &evil).unwrap();
    let fd = guest.open_ro("file").unwrap();
    guest.reset();
    let list = guest.alloc(16);
    let n = guest.alloc(4);
    assert_eq!(list, 0);
    guest.mem[4] = 16;
    guest.mem[8] = 64;
    guest.mem[12] = 4;
    assert_eq!(guest.call("fd_read", &[fd.into(), list, 2, n]), errno::FAULT);
}

#[test]
fn seeking() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    guest.write(fd, &[0; 100]).unwrap();
    assert_eq!(guest.seek(fd, -50, 1), Ok(50));
    assert_eq!(guest.seek(fd, -10, 2), Ok(90));
    assert_eq!(guest.seek(fd, 0, 0), Ok(0));
    assert_eq!(guest.seek(fd, 1000, 1), Ok(1000));
    assert_eq!(guest.tell(fd), Ok(1000));
    assert_eq!(guest.seek(fd, -2000, 1), Err(errno::INVAL));
    assert_eq!(guest.seek(fd, -1, 0), Err(errno::INVAL));
    assert_eq!(guest.seek(fd, i64::MIN, 2), Err(errno::INVAL));
    assert_eq!(guest.seek(fd, 0, 3), Err(errno::INVAL));
    assert_eq!(guest.tell(fd), Ok(1000));
    // Past the end there is nothing to read, and writing leaves a gap of zeros.
    assert_eq!(guest.read(fd, 1), Ok(vec![]));
    guest.write(fd, b"x").unwrap();
    assert_eq!(guest.filestat(fd).unwrap().size, 1001);
    assert_eq!(guest.pread(fd, 2, 999), Ok(vec![0, b'x']));
}

#[test]
fn reading_and_writing_at_an_offset() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    assert_eq!(guest.pwrite(fd, &[0, 1, 2, 3], 0), Ok(4));
    assert_eq!(guest.pread(fd, 4, 0), Ok(vec![0, 1, 2, 3]));
    assert_eq!(guest.pread(fd, 4, 2), Ok(vec![2, 3]));
    assert_eq!(guest.pwrite(fd, &[1, 0], 2), Ok(2));
    assert_eq!(guest.pread(fd, 4, 0), Ok(vec![0, 1, 1, 0]));
    assert_eq!(guest.pread(fd, 4, 100), Ok(vec![]));
    assert_eq!(guest.tell(fd), Ok(0));
    for offset in [u64::MAX, 1 << 63] {
        assert_eq!(guest.pread(fd, 1, offset), Err(errno::INVAL));
        assert_eq!(guest.pwrite(fd, b"x", offset), Err(errno::INVAL));
    }
    // Several buffers continue where the one before ended.
    guest.reset();
    let (list, bufs) = guest.iovecs(&[2, 1, 9]);
    let n = guest.alloc(4);
    assert_eq!(guest.call("fd_pread", &[fd.into(), list, 3, 1, n]), errno::SUCCESS);
    assert_eq!(guest.u32(n), 3);
    assert_eq!((guest.bytes(bufs[0], 2), guest.u8(bufs[1])), (vec![1, 1], 0));
    guest.mem[bufs[0] as usize..][..3].copy_from_slice(b"abc");
    assert_eq!(guest.call("fd_pwrite", &[fd.into(), list, 2, 4, n]), errno::SUCCESS);
    assert_eq!(guest.u32(n), 3);
    let expected = [&b"ab"[..], &guest.bytes(bufs[1], 1)].concat();
    assert_eq!(guest.pread(fd, 3, 4), Ok(expected));
}

#[test]
fn appending() {
    let (mut guest, dir) = guest();
    fs::write(dir.path().join("log"), b"one\n").unwrap();
    let append =
        |guest: &mut Guest, oflags| guest.path_open(ROOT, 0, b"log", oflags, rights::ALL, rights::ALL, fdflags::APPEND);
    let fd = append(&mut guest, 0).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().flags, fdflags::APPEND);
    guest.write(fd, b"two\n").unwrap();
    guest.seek(fd, 0, 0).unwrap();
    guest.write(fd, b"three\n").unwrap();
    assert_eq!(fs::read(dir.path().join("log")).unwrap(), b"one\ntwo\nthree\n");
    // The flag can be taken off an open file and put back.
    assert_eq!(guest.call("fd_fdstat_set_flags", &[fd.into(), 0]), errno::SUCCESS);
    guest.seek(fd, 0, 0).unwrap();
    guest.write(fd, b"ONE").unwrap();
    assert_eq!(fs::read(dir.path().join("log")).unwrap(), b"ONE\ntwo\nthree\n");
    assert_eq!(guest.call("fd_fdstat_set_flags", &[fd.into(), fdflags::APPEND.into()]), errno::SUCCESS);
    guest.write(fd, b"four\n").unwrap();
    assert_eq!(fs::read(dir.path().join("log")).unwrap(), b"ONE\ntwo\nthree\nfour\n");
    // Cut and append, as C's open(O_TRUNC | O_APPEND).
    let fd = append(&mut guest, oflags::TRUNC).unwrap();
    guest.write(fd, b"new\n").unwrap();
    assert_eq!(fs::read(dir.path().join("log")).unwrap(), b"new\n");
}

#[test]
fn creating() {
    let (mut guest, dir) = guest();
    let file = dir.path().join("file");
    assert_eq!(guest.open_rw("file", 0), Err(errno::NOENT));
    // A file can be created without the wish to write, and it is not cut when it exists.
    let fd = guest.open(ROOT, "file", oflags::CREAT, 0).unwrap();
    assert_eq!(guest.write(fd, b"x"), Err(errno::NOTCAPABLE));
    fs::write(&file, b"content").unwrap();
    for base in [0, rights::FD_READ, rights::FD_WRITE, rights::ALL] {
        guest.open(ROOT, "file", oflags::CREAT, base).unwrap();
    }
    assert_eq!(fs::read(&file).unwrap(), b"content");
    for base in [0, rights::ALL] {
        let exclusive = guest.open(ROOT, "file", oflags::CREAT | oflags::EXCL, base);
        assert_eq!(exclusive, Err(errno::EXIST));
    }
    guest.open(ROOT, "new", oflags::CREAT | oflags::EXCL, 0).unwrap();
    assert!(dir.path().join("new").exists());
    let fd = guest.open(ROOT, "file", oflags::TRUNC, rights::FD_READ).unwrap();
    assert_eq!(guest.read(fd, 10), Ok(vec![]));
    assert_eq!(fs::read(&file).unwrap(), b"");
    assert_eq!(guest.open_rw("missing", oflags::TRUNC), Err(errno::NOENT));
    assert_eq!(guest.open_rw("no/such", oflags::CREAT), Err(errno::NOENT));
    assert_eq!(guest.open_rw("file/x", oflags::CREAT), Err(errno::NOTDIR));
    assert_eq!(guest.open(ROOT, "file", 16, 0), Err(errno::INVAL));
}

#[cfg(unix)]
#[test]
fn a_file_the_host_lets_only_read_can_be_opened_with_creat() {
    use std::os::unix::fs::PermissionsExt;
    let (mut guest, dir) = guest();
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let fd = guest.open(ROOT, "file", oflags::CREAT, rights::FD_READ).unwrap();
    assert_eq!(guest.read(fd, 10), Ok(b"x".to_vec()));
}

#[test]
fn sizes() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    guest.write(fd, b"0123456789").unwrap();
    let resize = |guest: &mut Guest, size| guest.call("fd_filestat_set_size", &[fd.into(), size]);
    assert_eq!(resize(&mut guest, 4), errno::SUCCESS);
    assert_eq!(guest.pread(fd, 10, 0), Ok(b"0123".to_vec()));
    assert_eq!(resize(&mut guest, 6), errno::SUCCESS);
    assert_eq!(guest.pread(fd, 10, 0), Ok(b"0123\0\0".to_vec()));
    assert_eq!(resize(&mut guest, u64::MAX), errno::INVAL);
    assert_eq!(guest.filestat(fd).unwrap().size, 6);
}

#[test]
fn allocating() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    let allocate = |guest: &mut Guest, offset, len| guest.call("fd_allocate", &[fd.into(), offset, len]);
    assert_eq!(allocate(&mut guest, 0, 0), errno::INVAL);
    assert_eq!(allocate(&mut guest, u64::MAX, 1), errno::INVAL);
    assert_eq!(allocate(&mut guest, i64::MAX as u64, 1), errno::FBIG);
    match allocate(&mut guest, 0, 100) {
        errno::SUCCESS => {
            assert_eq!(guest.filestat(fd).unwrap().size, 100);
            assert_eq!(allocate(&mut guest, 10, 10), errno::SUCCESS);
            assert_eq!(guest.filestat(fd).unwrap().size, 100);
            assert_eq!(allocate(&mut guest, 90, 20), errno::SUCCESS);
            assert_eq!(guest.filestat(fd).unwrap().size, 110);
        }
        // Not every file system can.
        error => assert_eq!(error, errno::NOTSUP),
    }
}

#[test]
fn advice() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    for advice in 0..6 {
        assert_eq!(guest.call("fd_advise", &[fd.into(), 0, 0, advice]), errno::SUCCESS);
        assert_eq!(guest.call("fd_advise", &[fd.into(), 10, 100, advice]), errno::SUCCESS);
    }
    assert_eq!(guest.call("fd_advise", &[fd.into(), 0, 0, 6]), errno::INVAL);
    assert_eq!(guest.call("fd_advise", &[fd.into(), u64::MAX, 0, 0]), errno::INVAL);
    assert_eq!(guest.call("fd_advise", &[fd.into(), 0, u64::MAX, 0]), errno::INVAL);
}

const ATIM: u32 = 1;
const ATIM_NOW: u32 = 2;
const MTIM: u32 = 4;
const MTIM_NOW: u32 = 8;

fn set_times(guest: &mut Guest, fd: u32, atim: u64, mtim: u64, flags: u32) -> u32 {
    guest.call("fd_filestat_set_times", &[fd.into(), atim, mtim, flags.into()])
}

#[test]
fn times_of_open_files() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    let dir_fd = guest.open_dir(".").unwrap();
    for fd in [fd, dir_fd] {
        let old = guest.filestat(fd).unwrap();
        assert_eq!(set_times(&mut guest, fd, 1, 1_500_000_000_123_456_789, MTIM), errno::SUCCESS);
        let new = guest.filestat(fd).unwrap();
        assert_eq!((new.atim, new.mtim), (old.atim, 1_500_000_000_123_456_789));
        assert_eq!(set_times(&mut guest, fd, 7, 9, ATIM | MTIM), errno::SUCCESS);
        let new = guest.filestat(fd).unwrap();
        assert_eq!((new.atim, new.mtim), (7, 9));
        assert_eq!(set_times(&mut guest, fd, 0, 0, 0), errno::SUCCESS);
        assert_eq!(guest.filestat(fd).unwrap().mtim, 9);
        assert_eq!(set_times(&mut guest, fd, 0, 0, MTIM_NOW), errno::SUCCESS);
        let new = guest.filestat(fd).unwrap();
        assert_eq!(new.atim, 7);
        assert!(new.mtim >= old.mtim);
        for flags in [ATIM | ATIM_NOW, MTIM | MTIM_NOW, 16] {
            assert_eq!(set_times(&mut guest, fd, 0, 0, flags), errno::INVAL);
        }
    }
}

#[test]
fn now_is_the_guests_now() {
    let dir = scratch();
    let ctx = WasiCtx::builder()
        .preopened_dir(dir.path(), "/", Perms::ReadWrite)
        .clock(VirtualClock::new(5_000_000_000).with_step(0))
        .build()
        .unwrap();
    let mut guest = Guest::new(ctx);
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    assert_eq!(set_times(&mut guest, fd, 0, 0, ATIM_NOW | MTIM_NOW), errno::SUCCESS);
    let stat = guest.filestat(fd).unwrap();
    assert_eq!((stat.atim, stat.mtim), (5_000_000_000, 5_000_000_000));
    guest.set_times(ROOT, 0, "file", 3, 0, ATIM | MTIM_NOW).unwrap();
    assert_eq!(guest.filestat(fd).unwrap().atim, 3);
}

#[test]
fn attributes() {
    use std::os::unix::fs::MetadataExt;
    let (mut guest, dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    guest.write(fd, b"12345").unwrap();
    let host = fs::metadata(dir.path().join("file")).unwrap();
    let stat = guest.filestat(fd).unwrap();
    assert_eq!((stat.dev, stat.ino, stat.nlink), (host.dev(), host.ino(), 1));
    assert_eq!((stat.filetype, stat.size), (filetype::REGULAR_FILE, 5));
    assert_eq!(stat.ctim, host.ctime() as u64 * 1_000_000_000 + host.ctime_nsec() as u64);
    assert_eq!(guest.path_filestat(ROOT, SYMLINK_FOLLOW, "file"), Ok(stat));
    let root = guest.filestat(ROOT).unwrap();
    assert_eq!(root.filetype, filetype::DIRECTORY);
    assert_eq!(root.ino, fs::metadata(dir.path()).unwrap().ino());
}

#[test]
fn syncing() {
    let (mut guest, _dir) = guest();
    let flags = fdflags::SYNC | fdflags::DSYNC | fdflags::RSYNC | fdflags::NONBLOCK;
    let fd = guest.path_open(ROOT, 0, b"file", oflags::CREAT, rights::ALL, rights::ALL, flags).unwrap();
    assert_eq!(guest.fdstat(fd).unwrap().flags, flags);
    guest.write(fd, b"durable").unwrap();
    assert_eq!(guest.pread(fd, 7, 0), Ok(b"durable".to_vec()));
    assert_eq!(guest.call("fd_fdstat_set_flags", &[fd.into(), fdflags::DSYNC.into()]), errno::SUCCESS);
    assert_eq!(guest.fdstat(fd).unwrap().flags, fdflags::DSYNC);
    guest.pwrite(fd, b"D", 0).unwrap();
    for fd in [fd, ROOT] {
        assert_eq!(guest.call("fd_sync", &[fd.into()]), errno::SUCCESS);
        assert_eq!(guest.call("fd_datasync", &[fd.into()]), errno::SUCCESS);
    }
    assert_eq!(guest.call("fd_sync", &[77]), errno::BADF);
}

#[test]
fn directories_are_no_files() {
    let (mut guest, _dir) = guest();
    assert_eq!(guest.read(ROOT, 10), Err(errno::ISDIR));
    assert_eq!(guest.write(ROOT, b"x"), Err(errno::ISDIR));
    assert_eq!(guest.pread(ROOT, 10, 0), Err(errno::ISDIR));
    assert_eq!(guest.pwrite(ROOT, b"x", 0), Err(errno::ISDIR));
    assert_eq!(guest.seek(ROOT, 0, 1), Err(errno::ISDIR));
    assert_eq!(guest.tell(ROOT), Err(errno::ISDIR));
    assert_eq!(guest.call("fd_allocate", &[ROOT.into(), 0, 1]), errno::ISDIR);
    assert_eq!(guest.call("fd_advise", &[ROOT.into(), 0, 1, 0]), errno::ISDIR);
    assert_eq!(guest.call("fd_filestat_set_size", &[ROOT.into(), 0]), errno::ISDIR);
}

#[test]
fn a_removed_file_lives_while_it_is_open() {
    let (mut guest, _dir) = guest();
    let fd = guest.open_rw("file", oflags::CREAT).unwrap();
    guest.write(fd, b"ghost").unwrap();
    guest.unlink(ROOT, "file").unwrap();
    assert_eq!(guest.pread(fd, 5, 0), Ok(b"ghost".to_vec()));
    assert_eq!(guest.filestat(fd).unwrap().nlink, 0);
    assert_eq!(guest.open_rw("file", 0), Err(errno::NOENT));
}

#[test]
fn descriptors_run_out() {
    let dir = scratch();
    let ctx = WasiCtx::builder().preopened_dir(dir.path(), "/", Perms::ReadWrite).max_descriptors(6).build().unwrap();
    let mut guest = Guest::new(ctx);
    assert_eq!(guest.open_rw("a", oflags::CREAT), Ok(4));
    assert_eq!(guest.open_rw("b", oflags::CREAT), Ok(5));
    assert_eq!(guest.open_rw("c", oflags::CREAT), Err(errno::MFILE));
    // The call which failed has made nothing.
    assert!(!dir.path().join("c").exists());
    guest.close(4).unwrap();
    assert_eq!(guest.open_rw("c", oflags::CREAT), Ok(4));
}
