//! The table of functions, for an engine to import from.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::process::Exit;
use std::fmt;

/// The name of the module a guest imports these functions from.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// The type of a parameter or result, as WebAssembly sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ty {
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
}

/// Calls a WASI function.
///
/// Takes the guest's memory and its arguments, one `u64` each, of which an [`Ty::I32`] fills the lower
/// half (the upper half is not looked at). `Err` means that the guest is to be unwound.
pub type Call = fn(&mut WasiCtx, &mut [u8], &[u64]) -> Result<Errno, Exit>;

/// A WASI function which a guest can import.
#[derive(Clone, Copy)]
pub struct Import {
    /// The function's name in [`MODULE`].
    pub name: &'static str,
    /// The types of its parameters.
    pub params: &'static [Ty],
    /// The types of its results: an errno for all but `proc_exit`, which has none.
    pub results: &'static [Ty],
    /// The function.
    pub call: Call,
}

impl Import {
    /// The function of this name.
    pub fn find(name: &str) -> Option<&'static Import> {
        IMPORTS.iter().find(|import| import.name == name)
    }

    /// Calls the function and gives the value of its result, if it has one.
    ///
    /// Arguments which do not agree in number with [`params`](Import::params) are [`Errno::Inval`].
    pub fn invoke(&self, ctx: &mut WasiCtx, memory: &mut [u8], args: &[u64]) -> Result<Option<u32>, Exit> {
        let errno = (self.call)(ctx, memory, args)?;
        Ok((!self.results.is_empty()).then_some(u32::from(errno.raw())))
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Import({}: {:?} -> {:?})", self.name, self.params, self.results)
    }
}

fn errno(result: Result<(), Errno>) -> Errno {
    result.err().unwrap_or(Errno::Success)
}

macro_rules! ty {
    (u32) => {
        Ty::I32
    };
    (u64) => {
        Ty::I64
    };
    (i64) => {
        Ty::I64
    };
}

/// Writes the table. A function is listed with its parameters as its method takes them, after the memory
/// if it is given that.
macro_rules! imports {
    (@call $name:ident mem [$($arg:ident: $ty:ident),*]) => {
        |ctx, mem, args| {
            let [$($arg),*] = *args else { return Ok(Errno::Inval) };
            Ok(errno(ctx.$name(mem $(, $arg as $ty)*)))
        }
    };
    (@call $name:ident nomem [$($arg:ident: $ty:ident),*]) => {
        |ctx, _, args| {
            let [$($arg),*] = *args else { return Ok(Errno::Inval) };
            Ok(errno(ctx.$name($($arg as $ty),*)))
        }
    };
    ($( $name:ident $kind:ident ($($arg:ident: $ty:ident),*); )*) => {
        &[
            $( Import {
                name: stringify!($name),
                params: &[$(ty!($ty)),*],
                results: &[Ty::I32],
                call: imports!(@call $name $kind [$($arg: $ty),*]),
            }, )*
            Import {
                name: "proc_exit",
                params: &[Ty::I32],
                results: &[],
                call: |ctx, _, args| {
                    let [code] = *args else { return Ok(Errno::Inval) };
                    Err(ctx.proc_exit(code as u32))
                },
            },
            Import {
                name: "proc_raise",
                params: &[Ty::I32],
                results: &[Ty::I32],
                call: |ctx, _, args| {
                    let [signal] = *args else { return Ok(Errno::Inval) };
                    ctx.proc_raise(signal as u32).map(errno)
                },
            },
        ]
    };
}

/// Every function of WASI preview 1.
pub static IMPORTS: &[Import] = imports! {
    args_get mem (argv: u32, buf: u32);
    args_sizes_get mem (argc: u32, size: u32);
    environ_get mem (environ: u32, buf: u32);
    environ_sizes_get mem (count: u32, size: u32);
    clock_res_get mem (id: u32, result: u32);
    clock_time_get mem (id: u32, precision: u64, result: u32);
    fd_advise nomem (fd: u32, offset: u64, len: u64, advice: u32);
    fd_allocate nomem (fd: u32, offset: u64, len: u64);
    fd_close nomem (fd: u32);
    fd_datasync nomem (fd: u32);
    fd_fdstat_get mem (fd: u32, result: u32);
    fd_fdstat_set_flags nomem (fd: u32, flags: u32);
    fd_fdstat_set_rights nomem (fd: u32, base: u64, inheriting: u64);
    fd_filestat_get mem (fd: u32, result: u32);
    fd_filestat_set_size nomem (fd: u32, size: u64);
    fd_filestat_set_times nomem (fd: u32, atim: u64, mtim: u64, flags: u32);
    fd_pread mem (fd: u32, iovs: u32, iovs_len: u32, offset: u64, nread: u32);
    fd_prestat_get mem (fd: u32, result: u32);
    fd_prestat_dir_name mem (fd: u32, path: u32, len: u32);
    fd_pwrite mem (fd: u32, iovs: u32, iovs_len: u32, offset: u64, nwritten: u32);
    fd_read mem (fd: u32, iovs: u32, iovs_len: u32, nread: u32);
    fd_readdir mem (fd: u32, buf: u32, len: u32, cookie: u64, used: u32);
    fd_renumber nomem (fd: u32, to: u32);
    fd_seek mem (fd: u32, offset: i64, whence: u32, result: u32);
    fd_sync nomem (fd: u32);
    fd_tell mem (fd: u32, result: u32);
    fd_write mem (fd: u32, iovs: u32, iovs_len: u32, nwritten: u32);
    path_create_directory mem (fd: u32, path: u32, path_len: u32);
    path_filestat_get mem (fd: u32, flags: u32, path: u32, path_len: u32, result: u32);
    path_filestat_set_times mem (fd: u32, flags: u32, path: u32, path_len: u32, atim: u64, mtim: u64, fst: u32);
    path_link mem (old_fd: u32, flags: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32);
    path_open mem (fd: u32, dirflags: u32, path: u32, path_len: u32, oflags: u32, base: u64, inheriting: u64, fdflags: u32, opened: u32);
    path_readlink mem (fd: u32, path: u32, path_len: u32, buf: u32, buf_len: u32, used: u32);
    path_remove_directory mem (fd: u32, path: u32, path_len: u32);
    path_rename mem (fd: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32);
    path_symlink mem (old: u32, old_len: u32, fd: u32, new: u32, new_len: u32);
    path_unlink_file mem (fd: u32, path: u32, path_len: u32);
    poll_oneoff mem (subscriptions: u32, events: u32, count: u32, nevents: u32);
    sched_yield nomem ();
    random_get mem (buf: u32, len: u32);
    sock_accept nomem (fd: u32, flags: u32, opened: u32);
    sock_recv nomem (fd: u32, iovs: u32, iovs_len: u32, ri_flags: u32, nread: u32, ro_flags: u32);
    sock_send nomem (fd: u32, iovs: u32, iovs_len: u32, si_flags: u32, nwritten: u32);
    sock_shutdown nomem (fd: u32, how: u32);
};
