//! Checked access to guest memory.
//!
//! Pointers and lengths come from the guest. They are widened to 64 bits before they are added, so a
//! region can neither wrap nor reach past the memory: it is wholly inside or the call fails with
//! [`Errno::Fault`].

use crate::errno::Errno;
use std::ops::Range;

/// The most scatter/gather vectors one call may carry. Far above what any C library sends (their
/// `IOV_MAX` is 1024), and low enough that walking the list is never a noticeable pause.
pub(crate) const MAX_IOVECS: u32 = 65_536;

/// The longest path a guest may name, in bytes; POSIX hosts take no more (`PATH_MAX` counts the
/// terminator). Checked here so that no path, however long, is ever copied or split up on the host.
pub(crate) const MAX_PATH: u32 = 4095;

fn range(mem: &[u8], ptr: u32, len: u32) -> Result<Range<usize>, Errno> {
    let end = u64::from(ptr) + u64::from(len);
    // No address past 2^32 can be named, even in a larger memory: a field's address, computed in 32
    // bits from the start of a checked record, cannot wrap.
    if end > (mem.len() as u64).min(1 << 32) {
        return Err(Errno::Fault);
    }
    // Both bounds are at most `mem.len()`, a usize.
    Ok(ptr as usize..end as usize)
}

/// Fails unless `len` bytes at `ptr` lie inside the memory.
///
/// Functions check the places of their results first, so that a bad pointer is reported before
/// anything has been read, written or opened.
pub(crate) fn check(mem: &[u8], ptr: u32, len: u32) -> Result<(), Errno> {
    range(mem, ptr, len).map(|_| ())
}

/// `len` bytes at `ptr`.
pub(crate) fn bytes(mem: &[u8], ptr: u32, len: u32) -> Result<&[u8], Errno> {
    Ok(&mem[range(mem, ptr, len)?])
}

/// `len` writable bytes at `ptr`.
pub(crate) fn bytes_mut(mem: &mut [u8], ptr: u32, len: u32) -> Result<&mut [u8], Errno> {
    let range = range(mem, ptr, len)?;
    Ok(&mut mem[range])
}

/// A fixed-size record at `ptr`.
pub(crate) fn load<const N: usize>(mem: &[u8], ptr: u32) -> Result<[u8; N], Errno> {
    let mut record = [0; N];
    record.copy_from_slice(bytes(mem, ptr, N as u32)?);
    Ok(record)
}

/// Stores `data` at `ptr`.
pub(crate) fn store(mem: &mut [u8], ptr: u32, data: &[u8]) -> Result<(), Errno> {
    let len = u32::try_from(data.len()).map_err(|_| Errno::Fault)?;
    bytes_mut(mem, ptr, len)?.copy_from_slice(data);
    Ok(())
}

/// Stores a little-endian `u32` at `ptr`.
pub(crate) fn store_u32(mem: &mut [u8], ptr: u32, value: u32) -> Result<(), Errno> {
    store(mem, ptr, &value.to_le_bytes())
}

/// Stores a little-endian `u64` at `ptr`.
pub(crate) fn store_u64(mem: &mut [u8], ptr: u32, value: u64) -> Result<(), Errno> {
    store(mem, ptr, &value.to_le_bytes())
}

/// A path argument: bounded, UTF-8 as the specification's `string` type demands, and free of NUL,
/// which no host path can hold.
pub(crate) fn path(mem: &[u8], ptr: u32, len: u32) -> Result<&str, Errno> {
    let raw = bytes(mem, ptr, len)?;
    if len > MAX_PATH {
        return Err(Errno::NameTooLong);
    }
    let path = std::str::from_utf8(raw).map_err(|_| Errno::Ilseq)?;
    if path.contains('\0') {
        return Err(Errno::Inval);
    }
    Ok(path)
}

/// A list of scatter/gather vectors which was wholly inside the memory when it was parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IoVecs {
    ptr: u32,
    count: u32,
}

impl IoVecs {
    /// Checks the list and every buffer in it, before any of them is used.
    pub(crate) fn parse(mem: &[u8], ptr: u32, count: u32) -> Result<IoVecs, Errno> {
        if count > MAX_IOVECS {
            return Err(Errno::Inval);
        }
        // At most 65536 * 8: no overflow.
        check(mem, ptr, count * 8)?;
        let iovs = IoVecs { ptr, count };
        let mut total = 0u64;
        for i in 0..count {
            let (buf, len) = iovs.get(mem, i)?;
            check(mem, buf, len)?;
            total += u64::from(len);
        }
        // The byte count returned is a `size`, 32 bits; POSIX refuses such a list the same way.
        if total > u64::from(u32::MAX) {
            return Err(Errno::Inval);
        }
        Ok(iovs)
    }

    /// How many vectors there are.
    pub(crate) fn len(self) -> u32 {
        self.count
    }

    /// Address and length of vector `i`.
    ///
    /// Read from memory each time: a guest may let a buffer overlap the list itself, so what was true
    /// at parse time need not hold after a read. The buffer is checked again when it is borrowed.
    pub(crate) fn get(self, mem: &[u8], i: u32) -> Result<(u32, u32), Errno> {
        let record: [u8; 8] = load(mem, self.ptr + i * 8)?;
        let [a, b, c, d, e, f, g, h] = record;
        Ok((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_whole_or_refused() {
        let mut mem = vec![0u8; 16];
        assert_eq!(check(&mem, 0, 16), Ok(()));
        assert_eq!(check(&mem, 16, 0), Ok(()));
        assert_eq!(check(&mem, 17, 0), Err(Errno::Fault));
        assert_eq!(check(&mem, 1, 16), Err(Errno::Fault));
        assert_eq!(check(&mem, u32::MAX, u32::MAX), Err(Errno::Fault));
        assert_eq!(check(&mem, u32::MAX, 1), Err(Errno::Fault));
        assert_eq!(store_u32(&mut mem, 12, 7), Ok(()));
        assert_eq!(store_u32(&mut mem, 13, 7), Err(Errno::Fault));
        assert_eq!(store_u64(&mut mem, 9, 7), Err(Errno::Fault));
        assert_eq!(mem[12], 7);
        assert_eq!(check(&[], 0, 0), Ok(()));
        assert_eq!(check(&[], 0, 1), Err(Errno::Fault));
    }

    #[test]
    fn paths_are_text() {
        let mem = b"dir/f\xc3\xa9\xff\0x";
        assert_eq!(path(mem, 0, 7), Ok("dir/fé"));
        assert_eq!(path(mem, 0, 8), Err(Errno::Ilseq));
        assert_eq!(path(mem, 8, 2), Err(Errno::Inval));
        assert_eq!(path(mem, 0, 40), Err(Errno::Fault));
        assert_eq!(path(&[b'a'; 4096], 0, 4095).map(str::len), Ok(4095));
        assert_eq!(path(&[b'a'; 4096], 0, 4096), Err(Errno::NameTooLong));
    }

    fn list(mem: &mut [u8], entries: &[(u32, u32)]) {
        for (i, (buf, len)) in entries.iter().enumerate() {
            store_u32(mem, i as u32 * 8, *buf).unwrap();
            store_u32(mem, i as u32 * 8 + 4, *len).unwrap();
        }
    }

    #[test]
    fn iovec_lists_are_checked_whole() {
        let mut mem = vec![0u8; 64];
        list(&mut mem, &[(16, 8), (60, 4)]);
        let iovs = IoVecs::parse(&mem, 0, 2).unwrap();
        assert_eq!(iovs.get(&mem, 1), Ok((60, 4)));
        list(&mut mem, &[(16, 8), (60, 5)]);
        assert_eq!(IoVecs::parse(&mem, 0, 2).err(), Some(Errno::Fault));
        assert_eq!(IoVecs::parse(&mem, 60, 1).err(), Some(Errno::Fault));
        assert_eq!(IoVecs::parse(&mem, 0, 9).err(), Some(Errno::Fault));
        assert_eq!(IoVecs::parse(&mem, 0, u32::MAX).err(), Some(Errno::Inval));
        assert_eq!(IoVecs::parse(&mem, 0, MAX_IOVECS + 1).err(), Some(Errno::Inval));
    }

    #[test]
    fn iovec_totals_fit_the_result() {
        // 65536 vectors of 65536 bytes each are 2^32 bytes, one more than a `size` can say.
        let mut mem = vec![0u8; MAX_IOVECS as usize * 8];
        let entries: Vec<_> = (0..MAX_IOVECS).map(|_| (0, 65_536)).collect();
        list(&mut mem, &entries);
        assert_eq!(IoVecs::parse(&mem, 0, MAX_IOVECS).err(), Some(Errno::Inval));
        assert!(IoVecs::parse(&mem, 0, MAX_IOVECS - 1).is_ok());
    }
}
