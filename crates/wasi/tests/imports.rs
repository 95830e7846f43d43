//! The import table against the specification's functions, lowered to WebAssembly types.

use heapwright_wasi::{Errno, IMPORTS, Import, MODULE, Ty, WasiCtx};
use std::collections::BTreeMap;

/// Name and parameters of each function: `i` for a 32-bit and `I` for a 64-bit integer.
const SIGNATURES: [(&str, &str); 46] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

#[test]
fn every_function_with_its_type() {
    assert_eq!(MODULE, "wasi_snapshot_preview1");
    let table: BTreeMap<&str, String> = IMPORTS
        .iter()
        .map(|import| {
            let params = import.params.iter().map(|ty| match ty {
                Ty::I32 => 'i',
                Ty::I64 => 'I',
            });
            (import.name, params.collect())
        })
        .collect();
    assert_eq!(table.len(), IMPORTS.len(), "a name is there twice");
    let expected: BTreeMap<&str, String> =
        SIGNATURES.iter().map(|(name, params)| (*name, (*params).to_string())).collect();
    assert_eq!(table, expected);
}

#[test]
fn results_are_an_errno() {
    for import in IMPORTS {
        if import.name == "proc_exit" {
            assert_eq!(import.results, []);
        } else {
            assert_eq!(import.results, [Ty::I32], "{}", import.name);
        }
    }
    assert!(Import::find("fd_dup").is_none());
}

#[test]
fn a_wrong_number_of_arguments_is_refused() {
    let mut ctx = WasiCtx::builder().build().unwrap();
    let mut memory = vec![0; 64];
    for import in IMPORTS {
        for len in [0, import.params.len() + 1] {
            if len == import.params.len() {
                continue;
            }
            let args = vec![0; len];
            assert_eq!((import.call)(&mut ctx, &mut memory, &args), Ok(Errno::Inval), "{}", import.name);
        }
    }
}

#[test]
fn the_upper_half_of_a_small_argument_is_ignored() {
    let mut ctx = WasiCtx::builder().build().unwrap();
    let mut memory = vec![0; 64];
    let get = Import::find("fd_fdstat_get").unwrap();
    let dirty = |value: u64| value | 0xdead_beef_0000_0000;
    assert_eq!(get.invoke(&mut ctx, &mut memory, &[dirty(1), dirty(8)]), Ok(Some(0)));
}
