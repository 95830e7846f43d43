//! Address space: reservations of which a growing prefix is committed.

use crate::pool::faults;
use heapwright_gc_heap::MemoryError;
use rustix::fd::OwnedFd;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap, mmap_anonymous, mprotect, munmap};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr::{NonNull, null_mut};

/// A private mapping that nobody else uses.
///
/// Invariant (kept by this module): `[base, base + size)` is mapped by this value and unmapped only by its drop;
/// `[base, base + committed)` is readable and writable unless [`make_executable`](Reservation::make_executable) or
/// [`make_read_only`](Reservation::make_read_only) was called.
pub(crate) struct Reservation {
    base: *mut u8,
    size: usize,
    committed: usize,
}

// SAFETY: the mapping belongs to this value, which gives out only raw pointers.
unsafe impl Send for Reservation {}
// SAFETY: as above; every change of the mapping needs `&mut`.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves `size` bytes (rounded up to pages, at least one); nothing is committed.
    pub(crate) fn new(size: u64) -> Result<Reservation, MemoryError> {
        faults::point()?;
        let refused = || MemoryError(format!("cannot reserve {size} bytes of address space"));
        let size = usize::try_from(size).ok().and_then(|s| s.max(1).checked_next_multiple_of(page_size()));
        let size = size.ok_or_else(refused)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at a place of the system's choice touches no existing memory.
        let base = unsafe { mmap_anonymous(core::ptr::null_mut(), size, ProtFlags::empty(), flags) };
        let base = base.map_err(|_| refused())?;
        Ok(Reservation { base: base.cast(), size, committed: 0 })
    }

    /// Maps a range of a file, readable and perhaps executable; nothing is committed, and nothing can be.
    ///
    /// # Safety
    ///
    /// What is executed there must be code that may run in this process, and the file must not change.
    pub(crate) unsafe fn of_file(file: &File, range: &Range<usize>, execute: bool) -> Result<Reservation, MemoryError> {
        let size = range.len().max(1).next_multiple_of(page_size());
        let protection = if execute { ProtFlags::READ | ProtFlags::EXEC } else { ProtFlags::READ };
        // SAFETY: a new mapping at a place of the system's choice touches no existing memory; what it contains is the
        // caller's promise.
        let base = unsafe { mmap(null_mut(), size, protection, MapFlags::PRIVATE, file, range.start as u64) };
        let base = base.map_err(|e| MemoryError(format!("cannot map {size} bytes of a file: {e}")))?;
        Ok(Reservation { base: base.cast(), size, committed: 0 })
    }

    /// Maps whole pages of a file from `at` (a multiple of the page size, at or behind what is committed) on, readable
    /// and executable.
    ///
    /// # Safety
    ///
    /// As [`of_file`](Self::of_file).
    pub(crate) unsafe fn map_code(&mut self, at: usize, file: &File, range: &Range<usize>) -> Result<(), MemoryError> {
        if range.is_empty() {
            return Ok(());
        }
        let page = page_size();
        assert!(at >= self.committed && at.is_multiple_of(page) && range.len().is_multiple_of(page));
        assert!(range.len() <= self.size - at);
        let (protection, flags) = (ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE | MapFlags::FIXED);
        // SAFETY: the range lies inside this reservation, beyond what is committed, so nothing refers to what is
        // replaced; what it contains is the caller's promise.
        let mapped =
            unsafe { mmap(self.base.add(at).cast(), range.len(), protection, flags, file, range.start as u64) };
        mapped.map(drop).map_err(|e| MemoryError(format!("cannot map {} bytes of a file: {e}", range.len())))
    }

    /// Maps a file over everything from `at` (a multiple of the page size, at or behind what is committed) on, readable
    /// and executable. What is written to the file appears there.
    ///
    /// # Safety
    ///
    /// As [`of_file`](Self::of_file), for what is executed: the file may grow, but bytes that were executed must stay.
    pub(crate) unsafe fn map_growing_file(&mut self, at: usize, file: &File) -> Result<(), MemoryError> {
        assert!(at >= self.committed && at < self.size && at.is_multiple_of(page_size()));
        let (protection, flags) = (ProtFlags::READ | ProtFlags::EXEC, MapFlags::SHARED | MapFlags::FIXED);
        // SAFETY: the range lies inside this reservation, beyond what is committed, so nothing refers to what is
        // replaced.
        let mapped = unsafe { mmap(self.base.add(at).cast(), self.size - at, protection, flags, file, 0) };
        mapped.map(drop).map_err(|e| MemoryError(format!("cannot map code: {e}")))
    }

    pub(crate) fn base(&self) -> *mut u8 {
        self.base
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Bytes that are readable and writable.
    pub(crate) fn committed(&self) -> usize {
        self.committed
    }

    /// Makes the first `end` bytes (rounded up to pages) readable and writable; new ones are zero. Never shrinks.
    pub(crate) fn commit_to(&mut self, end: usize) -> Result<(), MemoryError> {
        let refused = || MemoryError(format!("cannot commit {end} of {} bytes", self.size));
        let end = end.checked_next_multiple_of(page_size()).filter(|&end| end <= self.size).ok_or_else(refused)?;
        if end > self.committed {
            faults::point()?;
            // SAFETY: the range lies inside the reservation, beyond what is committed, so nothing refers to it.
            let changed = unsafe {
                let start = self.base.add(self.committed).cast();
                mprotect(start, end - self.committed, MprotectFlags::READ | MprotectFlags::WRITE)
            };
            changed.map_err(|_| refused())?;
            self.committed = end;
        }
        Ok(())
    }

    /// Makes the first `end` bytes (rounded up to pages) and no others readable and writable; new ones are zero.
    pub(crate) fn commit_exactly(&mut self, end: usize) -> Result<(), MemoryError> {
        self.commit_to(end)?;
        let end = end.next_multiple_of(page_size());
        if end < self.committed {
            faults::point()?;
            // SAFETY: the range is this value's, and no reference into it is alive: `&mut self`.
            let changed = unsafe { mprotect(self.base.add(end).cast(), self.committed - end, MprotectFlags::empty()) };
            changed
                .map_err(|e| MemoryError(format!("cannot take access to {} bytes away: {e}", self.committed - end)))?;
            self.committed = end;
        }
        Ok(())
    }

    /// Makes the first `used` bytes what they were when they were mapped: zero, or a file's contents. Of these, the
    /// whole pages among the first `keep` bytes are overwritten with zeros (also where a file is mapped); the others
    /// are given back to the system.
    pub(crate) fn clear(&mut self, used: usize, keep: usize) -> Result<(), MemoryError> {
        assert!(used <= self.committed);
        let keep = keep / page_size() * page_size();
        let kept = keep.min(used);
        // SAFETY: committed bytes of this value, and no reference into them is alive: `&mut self`.
        unsafe { self.base.write_bytes(0, kept) };
        let end = used.next_multiple_of(page_size());
        if kept < used {
            // SAFETY: whole pages of this value's mapping, as above.
            let given = unsafe { madvise(self.base.add(kept).cast(), end - kept, Advice::LinuxDontNeed) };
            given.map_err(|e| MemoryError(format!("cannot give back {} bytes: {e}", end - kept)))?;
        }
        Ok(())
    }

    /// Maps a file from its beginning over whole committed pages, copy-on-write.
    pub(crate) fn map_file(&mut self, range: Range<usize>, file: &OwnedFd) -> Result<(), MemoryError> {
        faults::point()?;
        let (at, size) = self.whole_pages(&range);
        // SAFETY: replaces committed pages of this value's mapping, and no reference into them is alive: `&mut self`.
        let mapped = unsafe { mmap(at.cast(), size, rights(), MapFlags::PRIVATE | MapFlags::FIXED, file, 0) };
        mapped.map_err(|e| MemoryError(format!("cannot map {size} bytes of a memory image: {e}")))?;
        Ok(())
    }

    /// Maps zeros over whole committed pages, in place of a file.
    pub(crate) fn map_zeros(&mut self, range: Range<usize>) -> Result<(), MemoryError> {
        faults::point()?;
        let (at, size) = self.whole_pages(&range);
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: as in `map_file`.
        let mapped = unsafe { mmap_anonymous(at.cast(), size, rights(), flags) };
        mapped.map_err(|e| MemoryError(format!("cannot map {size} bytes: {e}")))?;
        Ok(())
    }

    fn whole_pages(&self, range: &Range<usize>) -> (*mut u8, usize) {
        let page = page_size();
        assert!(range.start.is_multiple_of(page) && range.end.is_multiple_of(page));
        assert!(range.start <= range.end && range.end <= self.committed);
        (self.base.wrapping_add(range.start), range.len())
    }

    /// Committed bytes.
    ///
    /// # Safety
    ///
    /// Nobody else may access them while the borrow lasts.
    pub(crate) unsafe fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        assert!(range.start <= range.end && range.end <= self.committed);
        // SAFETY: committed, and the caller's promise.
        unsafe { core::slice::from_raw_parts_mut(self.base.add(range.start), range.len()) }
    }

    /// Takes the right to write away and gives the right to execute, for good.
    pub(crate) fn make_executable(&mut self) -> Result<(), MemoryError> {
        self.seal(MprotectFlags::READ | MprotectFlags::EXEC)
    }

    /// Takes the right to write away, for good.
    pub(crate) fn make_read_only(&mut self) -> Result<(), MemoryError> {
        self.seal(MprotectFlags::READ)
    }

    fn seal(&mut self, rights: MprotectFlags) -> Result<(), MemoryError> {
        // SAFETY: the whole mapping is this value's, and no reference into it is alive: `&mut self`.
        let changed = unsafe { mprotect(self.base.cast(), self.size, rights) };
        changed.map_err(|e| MemoryError(format!("cannot protect {} bytes of code: {e}", self.size)))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's, and whoever lent pointers into it keeps the value alive while they are
        // used.
        let _ = unsafe { munmap(self.base.cast(), self.size) };
    }
}

/// A file's contents, mapped to be read.
pub(crate) struct FileBytes {
    base: *const u8,
    length: usize,
}

impl FileBytes {
    /// Maps a whole file.
    ///
    /// # Safety
    ///
    /// The file must not change while this value lives.
    pub(crate) unsafe fn map(file: &File) -> io::Result<FileBytes> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if length == 0 {
            return Ok(FileBytes { base: NonNull::dangling().as_ptr(), length });
        }
        // SAFETY: a new mapping at a place of the system's choice touches no existing memory.
        let base = unsafe { mmap(null_mut(), length, ProtFlags::READ, MapFlags::PRIVATE, file, 0) }?;
        Ok(FileBytes { base: base.cast(), length })
    }
}

impl core::ops::Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: mapped readable as long as `self`, and constant by the promise to `map`.
        unsafe { core::slice::from_raw_parts(self.base, self.length) }
    }
}

impl Drop for FileBytes {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: this value's own mapping, and borrows of it have ended.
            let _ = unsafe { munmap(self.base.cast_mut().cast(), self.length) };
        }
    }
}

fn rights() -> ProtFlags {
    ProtFlags::READ | ProtFlags::WRITE
}

pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_grow_and_keep_contents() {
        let mut r = Reservation::new(1 << 32).unwrap();
        r.commit_to(10).unwrap();
        // SAFETY: byte 9 is committed.
        unsafe { r.base().add(9).write(7) };
        r.commit_to(100_000).unwrap();
        r.commit_to(5).unwrap();
        // SAFETY: both bytes are committed.
        assert_eq!(unsafe { (r.base().add(9).read(), r.base().add(99_999).read()) }, (7, 0));
        assert!(r.commit_to((1 << 32) + 1).is_err());
        assert!(Reservation::new(u64::MAX).is_err());
    }
}
