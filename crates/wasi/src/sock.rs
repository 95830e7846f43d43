//! The socket functions. No descriptor here is a socket: preview 1 can only be given open sockets, and
//! this implementation gives none. So each says of an open descriptor that it is not one.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::types::{Fdflags, Sdflags};

impl WasiCtx {
    fn not_a_socket(&self, fd: u32) -> Result<(), Errno> {
        self.table.get(fd)?;
        Err(Errno::NotSock)
    }

    /// `sock_accept`: always fails, as no descriptor is a socket.
    pub fn sock_accept(&mut self, fd: u32, flags: u32, _opened: u32) -> Result<(), Errno> {
        Fdflags::from_arg(flags)?;
        self.not_a_socket(fd)
    }

    /// `sock_recv`: always fails, as no descriptor is a socket.
    pub fn sock_recv(
        &mut self,
        fd: u32,
        _iovs: u32,
        _iovs_len: u32,
        _ri_flags: u32,
        _nread: u32,
        _ro_flags: u32,
    ) -> Result<(), Errno> {
        self.not_a_socket(fd)
    }

    /// `sock_send`: always fails, as no descriptor is a socket.
    pub fn sock_send(
        &mut self,
        fd: u32,
        _iovs: u32,
        _iovs_len: u32,
        _si_flags: u32,
        _nwritten: u32,
    ) -> Result<(), Errno> {
        self.not_a_socket(fd)
    }

    /// `sock_shutdown`: always fails, as no descriptor is a socket.
    pub fn sock_shutdown(&mut self, fd: u32, how: u32) -> Result<(), Errno> {
        Sdflags::from_arg(how)?;
        self.not_a_socket(fd)
    }
}
