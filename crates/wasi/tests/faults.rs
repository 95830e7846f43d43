//! Arguments no compiled program would pass. Whatever a guest says, a function answers with an error or
//! does something harmless; it does not panic.

mod support;

use heapwright_wasi::{IMPORTS, Import, Perms, SeededRandom, Ty, VirtualClock, WasiCtx};
use std::fs;
use support::{Guest, ROOT, errno, oflags, scratch};

/// A guest with a file open for everything as descriptor 4 and a directory as descriptor 5.
fn guest(dir: &std::path::Path) -> Guest {
    fs::write(dir.join("file"), b"content").unwrap();
    let ctx = WasiCtx::builder()
        .args(["prog", "arg"])
        .env("KEY", "value")
        .stdin_bytes("input")
        .preopened_dir(dir, "/preopened", Perms::ReadWrite)
        .clock(VirtualClock::new(0))
        .random(SeededRandom::new(0))
        .build()
        .unwrap();
    let mut guest = Guest::new(ctx);
    assert_eq!(guest.open_rw("file", 0), Ok(4));
    assert_eq!(guest.open_dir("."), Ok(5));
    guest
}

/// Calls with one pointer outside the memory. In each list of arguments, the `u64::MAX` are replaced one
/// after the other by bad pointers while the rest point to good places.
#[test]
fn every_pointer_is_checked() {
    const P: u64 = u64::MAX;
    let cases: &[(&str, &[u64])] = &[
        ("args_get", &[P, P]),
        ("args_sizes_get", &[P, P]),
        ("environ_get", &[P, P]),
        ("environ_sizes_get", &[P, P]),
        ("clock_res_get", &[0, P]),
        ("clock_time_get", &[0, 0, P]),
        ("fd_fdstat_get", &[4, P]),
        ("fd_filestat_get", &[4, P]),
        ("fd_pread", &[4, P, 1, 0, P]),
        ("fd_prestat_get", &[3, P]),
        ("fd_prestat_dir_name", &[3, P, 10]),
        ("fd_pwrite", &[4, P, 1, 0, P]),
        ("fd_read", &[4, P, 1, P]),
        ("fd_read", &[0, P, 1, P]),
        ("fd_readdir", &[5, P, 100, 0, P]),
        ("fd_seek", &[4, 0, 0, P]),
        ("fd_tell", &[4, P]),
        ("fd_write", &[4, P, 1, P]),
        ("fd_write", &[1, P, 1, P]),
        ("path_create_directory", &[3, P, 5]),
        ("path_filestat_get", &[3, 0, P, 5, P]),
        ("path_filestat_set_times", &[3, 0, P, 5, 0, 0, 0]),
        ("path_link", &[3, 0, P, 5, 3, P, 5]),
        ("path_open", &[3, 0, P, 5, 1, 0, 0, 0, P]),
        ("path_readlink", &[3, P, 5, P, 10, P]),
        ("path_remove_directory", &[3, P, 5]),
        ("path_rename", &[3, P, 5, 3, P, 5]),
        ("path_symlink", &[P, 5, 3, P, 5]),
        ("path_unlink_file", &[3, P, 5]),
        ("poll_oneoff", &[P, P, 1, P]),
        ("random_get", &[P, 10]),
    ];
    let dir = scratch();
    let mut guest = guest(dir.path());
    let before = guest.names(ROOT);
    for (name, args) in cases {
        for (bad_at, _) in args.iter().enumerate().filter(|(_, arg)| **arg == P) {
            for bad in [guest.mem.len() as u64 - 1, guest.mem.len() as u64 + 8, 0xffff_fff8, 0xffff_ffff] {
                // Zeros: an empty buffer, an invalid path, a clock to wait for not at all.
                guest.mem.fill(0);
                let args: Vec<u64> = args
                    .iter()
                    .enumerate()
                    .map(|(i, arg)| match (*arg, i == bad_at) {
                        (P, true) => bad,
                        (P, false) => 1024 + 256 * i as u64,
                        (arg, _) => arg,
                    })
                    .collect();
                // A path which is good but for its place.
                for (i, at) in args.iter().enumerate() {
                    if name.starts_with("path") && i != bad_at && *at >= 1024 && *at < 8192 {
                        guest.mem[*at as usize..][..5].copy_from_slice(b"no/xx");
                    }
                }
                let snapshot = guest.mem.clone();
                let error = guest.call(name, &args);
                assert_eq!(error, errno::FAULT, "{name} {args:x?}");
                // A call which fails has stored nothing, but for the first of two simple results.
                if !name.ends_with("_get") {
                    assert!(guest.mem == snapshot, "{name} {args:x?}");
                }
            }
        }
    }
    // Nor has any done half of its work.
    assert_eq!(guest.names(ROOT), before);
    assert_eq!(guest.tell(4), Ok(0));
    assert_eq!(guest.read(0, 10), Ok(b"input".to_vec()));
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), b"content");
}

#[test]
fn buffers_in_lists_are_checked_before_any_is_used() {
    let dir = scratch();
    let mut guest = guest(dir.path());
    for name in ["fd_read", "fd_write"] {
        for fd in [4, 1, 0] {
            guest.reset();
            guest.mem.fill(0);
            let (list, bufs) = guest.iovecs(&[4, 4]);
            guest.mem[list as usize + 12..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
            let n = guest.alloc(4);
            let error = guest.call(name, &[fd, list, 2, n]);
            let allowed = if (name == "fd_read") == (fd == 1) || (name == "fd_write" && fd == 0) {
                // The wrong direction for a stream is found first.
                [errno::NOTCAPABLE, errno::FAULT]
            } else {
                [errno::FAULT, errno::FAULT]
            };
            assert!(allowed.contains(&error), "{name} {fd}: {error}");
            assert_eq!(guest.bytes(bufs[0], 4), [0; 4]);
        }
    }
    assert_eq!(guest.tell(4), Ok(0));
    assert_eq!(guest.read(0, 10), Ok(b"input".to_vec()));
}

#[test]
fn long_lists_are_refused() {
    let dir = scratch();
    let mut guest = guest(dir.path());
    for count in [65_537u64, 1 << 29, u64::from(u32::MAX)] {
        for fd in [0u64, 1, 4] {
            let name = if fd == 0 { "fd_read" } else { "fd_write" };
            assert_eq!(guest.call(name, &[fd, 0, count, 8]), errno::INVAL);
        }
        assert_eq!(guest.call("poll_oneoff", &[0, 0, count, 8]), errno::INVAL);
    }
    // 32768 entries of 8 bytes do not fit into this memory.
    assert_eq!(guest.call("fd_write", &[1, 0, 32_768, 8]), errno::FAULT);
}

#[test]
fn a_guest_without_memory_gets_faults() {
    let dir = scratch();
    let mut guest = guest(dir.path());
    guest.mem = Vec::new();
    for import in IMPORTS {
        if ["proc_exit", "sched_yield"].contains(&import.name) {
            continue;
        }
        let args = vec![0; import.params.len()];
        guest.call(import.name, &args);
    }
    assert_eq!(guest.call("clock_time_get", &[0, 0, 0]), errno::FAULT);
    assert_eq!(guest.call("random_get", &[0, 1]), errno::FAULT);
    assert_eq!(guest.call("random_get", &[0, 0]), errno::SUCCESS);
    assert_eq!(guest.call("proc_raise", &[0]), errno::SUCCESS);
}

#[test]
fn descriptors_which_are_not_open() {
    let dir = scratch();
    let mut guest = guest(dir.path());
    for import in IMPORTS {
        if !(import.name.starts_with("fd_") || import.name.starts_with("path_")) {
            continue;
        }
        for fd in [6, 1 << 31, u64::from(u32::MAX)] {
            let mut args = vec![0; import.params.len()];
            args[if import.name == "path_symlink" { 2 } else { 0 }] = fd;
            assert_eq!(guest.call(import.name, &args), errno::BADF, "{}", import.name);
        }
    }
    assert_eq!(guest.call("fd_renumber", &[4, 6]), errno::BADF);
    assert_eq!(guest.read(4, 7), Ok(b"content".to_vec()));
}

/// A generator of arguments: numbers near the edges, small ones, and any.
struct Arguments(u64);

impl Arguments {
    fn next(&mut self) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn pick(&mut self, ty: Ty, memory: u64) -> u64 {
        let edges = [0, 1, 7, 8, memory - 8, memory - 1, memory, 0x7fff_ffff, 0xffff_ffff];
        let value = match self.next() % 4 {
            0 => edges[(self.next() % edges.len() as u64) as usize],
            1 => self.next() % 8,
            2 => self.next() % memory,
            _ => self.next(),
        };
        match ty {
            Ty::I32 => value & 0xffff_ffff,
            Ty::I64 => match self.next() % 4 {
                0 => u64::MAX - self.next() % 3,
                1 => (i64::MAX as u64).wrapping_add(self.next() % 3).wrapping_sub(1),
                _ => value,
            },
        }
    }
}

#[test]
fn random_arguments_do_no_harm() {
    let dir = scratch();
    let mut guest = guest(dir.path());
    let memory = 4096;
    guest.mem = vec![0; memory];
    let mut arguments = Arguments(0x5eed_5eed_5eed_5eed);
    // These could fill the disk, or wait for somebody.
    let spared = ["fd_allocate", "fd_pwrite", "fd_filestat_set_size", "fd_renumber", "fd_close"];
    let imports: Vec<&Import> = IMPORTS.iter().filter(|import| !spared.contains(&import.name)).collect();
    let mut succeeded = 0;
    for round in 0..60_000u32 {
        if round % 64 == 0 {
            // Data which is now and then a path, a list of buffers or of subscriptions.
            for at in (0..memory).step_by(8) {
                let word = match arguments.next() % 3 {
                    0 => *b"file\0\0\0\0",
                    1 => (arguments.next() % 64).to_le_bytes(),
                    _ => arguments.next().to_le_bytes(),
                };
                guest.mem[at..at + 8].copy_from_slice(&word);
            }
        }
        let import = imports[(arguments.next() % imports.len() as u64) as usize];
        let args: Vec<u64> = import.params.iter().map(|ty| arguments.pick(*ty, memory as u64)).collect();
        // An exit is an answer too.
        if let Ok(Some(0)) = import.invoke(&mut guest.ctx, &mut guest.mem, &args) {
            succeeded += 1;
        }
    }
    // The arguments are not so wild that only errors were tried.
    assert!(succeeded > 1000, "{succeeded}");
}

#[test]
fn random_descriptors_are_moved_and_closed() {
    let dir = scratch();
    let mut guest = guest(dir.path());
    let mut arguments = Arguments(42);
    for _ in 0..5_000 {
        let (a, b) = (arguments.next() % 9, arguments.next() % 9);
        match arguments.next() % 4 {
            0 => drop(guest.call("fd_renumber", &[a, b])),
            1 => drop(guest.close(a as u32)),
            2 => drop(guest.open(a as u32, "x", oflags::CREAT, 0)),
            _ => drop(guest.readdir(a as u32, 64, b)),
        }
    }
}
