//! Reading, writing and seeking.

use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory::{self, IoVecs};
use crate::stdio::retry;
use crate::table::{Kind, OpenFile};
use crate::types::{Fdflags, Filetype, Rights};
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

/// How many buffers go to the host in one vectored write. Few: the list is set up anew for each call, and
/// most calls have one or two.
const BATCH: usize = 16;

/// An end to a transfer of several buffers: an error only counts if nothing was transferred before it,
/// as the count of what was is all the guest can be told then.
fn finish(total: u32, result: io::Result<()>) -> Result<u32, Errno> {
    match result {
        Err(error) if total == 0 => Err(error.into()),
        _ => Ok(total),
    }
}

/// Fills the buffers in order by `read`, which is given a buffer and how many bytes came before it,
/// until one is not filled.
fn read_into(
    mem: &mut [u8],
    iovs: IoVecs,
    once: bool,
    mut read: impl FnMut(&mut [u8], u32) -> io::Result<usize>,
) -> Result<u32, Errno> {
    let mut total = 0u32;
    for i in 0..iovs.len() {
        let (buf, len) = iovs.get(mem, i)?;
        // The list may have been read over; the count must stay a u32 whatever it says now.
        let len = len.min(u32::MAX - total);
        if len == 0 {
            continue;
        }
        let n = match read(memory::bytes_mut(mem, buf, len)?, total) {
            // At most `len`, a u32.
            Ok(n) => n.min(len as usize) as u32,
            Err(error) => return finish(total, Err(error)),
        };
        total += n;
        // A stream which has given something may let the next read wait.
        if n < len || once {
            break;
        }
    }
    Ok(total)
}

/// Hands the buffers in order to `write`, several at a time, with how many bytes came before them,
/// until some are not written whole.
fn write_from(
    mem: &[u8],
    iovs: IoVecs,
    mut write: impl FnMut(&[IoSlice<'_>], u32) -> io::Result<usize>,
) -> Result<u32, Errno> {
    let mut total = 0u32;
    let mut i = 0;
    while i < iovs.len() {
        let mut batch = [IoSlice::new(&[]); BATCH];
        let (mut count, mut size) = (0, 0);
        while i < iovs.len() && count < BATCH {
            let (buf, len) = iovs.get(mem, i)?;
            i += 1;
            if len > 0 {
                batch[count] = IoSlice::new(memory::bytes(mem, buf, len)?);
                count += 1;
                // The sum over all buffers was found to fit.
                size += len;
            }
        }
        if count == 0 {
            continue;
        }
        let n = match write(&batch[..count], total) {
            Ok(n) => n.min(size as usize) as u32,
            Err(error) => return finish(total, Err(error)),
        };
        total += n;
        if n < size {
            break;
        }
    }
    Ok(total)
}

/// Makes written data durable as the descriptor's flags promise.
///
/// Done here, after each write, rather than by the host's own flags: those cannot be changed on an open
/// file, while `fd_fdstat_set_flags` can change the guest's.
fn sync_as_promised(file: &File, flags: Fdflags) -> io::Result<()> {
    if flags.contains(Fdflags::SYNC) {
        file.sync_all()
    } else if flags.contains(Fdflags::DSYNC) {
        file.sync_data()
    } else {
        Ok(())
    }
}

/// With `RSYNC`, a read waits for pending writes to be as durable as the other flags promise.
fn sync_before_read(file: &File, flags: Fdflags) -> io::Result<()> {
    if flags.contains(Fdflags::RSYNC) { sync_as_promised(file, flags) } else { Ok(()) }
}

impl OpenFile {
    /// Whether a read gives all it can, so that a short one means the end.
    fn reads_are_full(&self) -> bool {
        matches!(self.filetype, Filetype::RegularFile | Filetype::BlockDevice)
    }
}

fn offset_in_range(offset: u64, len: u32) -> Result<(), Errno> {
    match i64::try_from(offset) {
        Ok(offset) if offset.checked_add(i64::from(len)).is_some() => Ok(()),
        _ => Err(Errno::Inval),
    }
}

impl WasiCtx {
    /// `fd_read`: reads from descriptor `fd` into the `iovs_len` buffers listed at `iovs` and stores how
    /// many bytes were read (a `u32`) at `nread`; 0 means the end.
    pub fn fd_read(&mut self, mem: &mut [u8], fd: u32, iovs: u32, iovs_len: u32, nread: u32) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        let flags = descriptor.flags;
        let n = match &descriptor.kind {
            Kind::Dir(_) => return Err(Errno::IsDir),
            Kind::File(open) => {
                descriptor.require(Rights::FD_READ)?;
                memory::check(mem, nread, 4)?;
                let iovs = IoVecs::parse(mem, iovs, iovs_len)?;
                sync_before_read(&open.file, flags)?;
                read_into(mem, iovs, !open.reads_are_full(), |buf, _| retry(|| (&open.file).read(buf)))?
            }
            Kind::Stdin | Kind::Stdout | Kind::Stderr => {
                // Output streams lack the right.
                descriptor.require(Rights::FD_READ)?;
                memory::check(mem, nread, 4)?;
                let iovs = IoVecs::parse(mem, iovs, iovs_len)?;
                self.flush_before_waiting();
                if flags.contains(Fdflags::NONBLOCK) && !self.stdin_is_ready()? {
                    return Err(Errno::Again);
                }
                let stdin = &mut self.stdin;
                read_into(mem, iovs, true, |buf, _| stdin.read(buf))?
            }
        };
        memory::store_u32(mem, nread, n)
    }

    /// `fd_pread`: reads from `offset` of file `fd` into the `iovs_len` buffers listed at `iovs`,
    /// leaving its position alone, and stores how many bytes were read (a `u32`) at `nread`.
    pub fn fd_pread(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        offset: u64,
        nread: u32,
    ) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        let open = descriptor.file(Rights::FD_READ | Rights::FD_SEEK)?;
        memory::check(mem, nread, 4)?;
        let iovs = IoVecs::parse(mem, iovs, iovs_len)?;
        offset_in_range(offset, u32::MAX)?;
        sync_before_read(&open.file, descriptor.flags)?;
        let n =
            read_into(mem, iovs, false, |buf, before| retry(|| open.file.read_at(buf, offset + u64::from(before))))?;
        memory::store_u32(mem, nread, n)
    }

    /// `fd_write`: writes the `iovs_len` buffers listed at `iovs` to descriptor `fd` and stores how many
    /// bytes were written (a `u32`) at `nwritten`.
    pub fn fd_write(&mut self, mem: &mut [u8], fd: u32, iovs: u32, iovs_len: u32, nwritten: u32) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        let flags = descriptor.flags;
        if matches!(descriptor.kind, Kind::Dir(_)) {
            return Err(Errno::IsDir);
        }
        descriptor.require(Rights::FD_WRITE)?;
        memory::check(mem, nwritten, 4)?;
        let iovs = IoVecs::parse(mem, iovs, iovs_len)?;
        let n = match &descriptor.kind {
            Kind::File(open) => {
                let n = write_from(mem, iovs, |batch, _| retry(|| (&open.file).write_vectored(batch)))?;
                sync_as_promised(&open.file, flags)?;
                n
            }
            Kind::Stderr => self.write_stream(mem, iovs, flags, true)?,
            // Standard input lacks the right.
            Kind::Stdout | Kind::Stdin | Kind::Dir(_) => self.write_stream(mem, iovs, flags, false)?,
        };
        memory::store_u32(mem, nwritten, n)
    }

    fn write_stream(&mut self, mem: &[u8], iovs: IoVecs, flags: Fdflags, to_stderr: bool) -> Result<u32, Errno> {
        let n = write_from(mem, iovs, |batch, _| {
            let mut taken = 0;
            for data in batch {
                let stream = if to_stderr {
                    // In the order in which the guest said it, if both go to one place.
                    if self.stdout.has_pending() && self.stderr.would_send(data) {
                        let _ = self.stdout.flush();
                    }
                    &mut self.stderr
                } else {
                    &mut self.stdout
                };
                match stream.write(data) {
                    Ok(n) => {
                        taken += n;
                        if n < data.len() {
                            break;
                        }
                    }
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => break,
                }
            }
            Ok(taken)
        })?;
        if flags.intersects(Fdflags::SYNC | Fdflags::DSYNC) {
            self.flush()?;
        }
        Ok(n)
    }

    /// `fd_pwrite`: writes the `iovs_len` buffers listed at `iovs` to `offset` of file `fd`, leaving its
    /// position alone, and stores how many bytes were written (a `u32`) at `nwritten`.
    ///
    /// On a file opened for appending, a Linux host appends instead.
    pub fn fd_pwrite(
        &mut self,
        mem: &mut [u8],
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        offset: u64,
        nwritten: u32,
    ) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        let open = descriptor.file(Rights::FD_WRITE | Rights::FD_SEEK)?;
        memory::check(mem, nwritten, 4)?;
        let iovs = IoVecs::parse(mem, iovs, iovs_len)?;
        offset_in_range(offset, u32::MAX)?;
        let n = write_from(mem, iovs, |batch, before| {
            let mut taken = 0;
            for data in batch {
                let at = offset + u64::from(before) + taken as u64;
                match retry(|| open.file.write_at(data, at)) {
                    Ok(n) => {
                        taken += n;
                        if n < data.len() {
                            break;
                        }
                    }
                    Err(error) if taken == 0 => return Err(error),
                    Err(_) => break,
                }
            }
            Ok(taken)
        })?;
        sync_as_promised(&open.file, descriptor.flags)?;
        memory::store_u32(mem, nwritten, n)
    }

    /// `fd_seek`: moves the position of file `fd` by `offset` bytes from its start (`whence` 0), its
    /// current position (1) or its end (2), and stores the new position (a `u64`) at `result`.
    pub fn fd_seek(&mut self, mem: &mut [u8], fd: u32, offset: i64, whence: u32, result: u32) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        let open = descriptor.file(Rights::empty())?;
        let to = match whence {
            0 => SeekFrom::Start(u64::try_from(offset).map_err(|_| Errno::Inval)?),
            1 => SeekFrom::Current(offset),
            2 => SeekFrom::End(offset),
            _ => return Err(Errno::Inval),
        };
        // Asking where one is needs less than moving does.
        if to == SeekFrom::Current(0) {
            require_tell(descriptor)?;
        } else {
            descriptor.require(Rights::FD_SEEK)?;
        }
        memory::check(mem, result, 8)?;
        let position = (&open.file).seek(to)?;
        memory::store_u64(mem, result, position)
    }

    /// `fd_tell`: stores the position of file `fd` (a `u64`) at `result`.
    pub fn fd_tell(&mut self, mem: &mut [u8], fd: u32, result: u32) -> Result<(), Errno> {
        let descriptor = self.table.get(fd)?;
        let open = descriptor.file(Rights::empty())?;
        require_tell(descriptor)?;
        memory::check(mem, result, 8)?;
        let position = (&open.file).stream_position()?;
        memory::store_u64(mem, result, position)
    }
}

/// The right to seek implies the right to tell.
fn require_tell(descriptor: &crate::table::Descriptor) -> Result<(), Errno> {
    if descriptor.base.intersects(Rights::FD_TELL | Rights::FD_SEEK) { Ok(()) } else { Err(Errno::NotCapable) }
}
