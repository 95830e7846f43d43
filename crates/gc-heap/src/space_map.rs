//! The memory behind the type space: one file in memory, mapped twice.
//!
//! ```text
//! guest   | read-only words | nothing mapped … up to 4 GiB | guard |     what compiled code sees
//! engine  | the same words, writable | nothing mapped … |                what the registry writes
//! ```
//!
//! Compiled code holds only the guest address, so whatever it computes from a forged type word it can neither write
//! an entry nor leave the reservation. Under Miri there is one plain allocation instead.

use std::sync::atomic::AtomicU32;

/// Bytes after the guest's 4 GiB that stay unmapped: any constant offset into an entry of the inline display lies
/// below.
const GUARD: u64 = 64 << 10;

const _: () = assert!(GUARD >= 4096 + (crate::ENTRY_DISPLAY_OFFSET + 4 * crate::DISPLAY_INLINE_DEPTH) as u64);

pub(crate) use backing::SpaceMap;

impl SpaceMap {
    /// `count` words from offset `at`, a multiple of 4, for reading.
    #[inline]
    pub(crate) fn words(&self, at: u32, count: u32) -> &[AtomicU32] {
        debug_assert!(at.is_multiple_of(4) && u64::from(at) + 4 * u64::from(count) <= self.committed());
        // SAFETY: the caller, `TypeSpace`, asks only for aligned ranges below its used end, which is committed before
        // it is published and never shrinks; the memory is initialised, and only ever accessed atomically. A read
        // through the read-only mapping is a plain aligned load.
        unsafe { core::slice::from_raw_parts(self.guest_base().add(at as usize).cast(), count as usize) }
    }

    /// `count` words from offset `at`, a multiple of 4, for writing.
    pub(crate) fn words_mut(&self, at: u32, count: u32) -> &[AtomicU32] {
        assert!(at.is_multiple_of(4) && u64::from(at) + 4 * u64::from(count) <= self.committed());
        // SAFETY: checked to be committed just now; shared access is atomic.
        unsafe { core::slice::from_raw_parts(self.engine_base().add(at as usize).cast(), count as usize) }
    }
}

#[cfg(not(miri))]
mod backing {
    use super::GUARD;
    use crate::MemoryError;
    use rustix::fd::OwnedFd;
    use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
    use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};

    const GUEST: u64 = crate::RESERVATION_BYTES + GUARD;
    /// Room for four million one-line entries; the engine's mapping needs no more.
    const ENGINE: u64 = 256 << 20;
    /// Growth step. Only pages that are written cost memory.
    const CHUNK: u64 = 1 << 20;

    /// The two mappings. Offsets below `committed` are mapped in both.
    pub(crate) struct SpaceMap {
        file: OwnedFd,
        guest: *mut u8,
        engine: *mut u8,
        committed: AtomicU64,
    }

    // SAFETY: the mappings belong to this value and their words are accessed atomically.
    unsafe impl Send for SpaceMap {}
    // SAFETY: as above.
    unsafe impl Sync for SpaceMap {}

    impl SpaceMap {
        pub(crate) fn new() -> Result<SpaceMap, MemoryError> {
            let file = rustix::fs::memfd_create("heapwright-types", rustix::fs::MemfdFlags::CLOEXEC)
                .map_err(|e| MemoryError(format!("cannot create the type space: {e}")))?;
            let guest = reserve(GUEST)?;
            let engine = reserve(ENGINE).inspect_err(|_| unmap(guest, GUEST))?;
            let map = SpaceMap { file, guest, engine, committed: AtomicU64::new(0) };
            map.commit_to(CHUNK as u32)?;
            Ok(map)
        }

        #[inline]
        pub(crate) fn guest_base(&self) -> *const u8 {
            self.guest
        }

        pub(crate) fn guest_bytes(&self) -> u64 {
            GUEST
        }

        pub(super) fn engine_base(&self) -> *mut u8 {
            self.engine
        }

        pub(crate) fn committed(&self) -> u64 {
            self.committed.load(Acquire)
        }

        /// Makes offsets below `end` usable. Callers take turns (the type space holds its lock).
        pub(crate) fn commit_to(&self, end: u32) -> Result<(), MemoryError> {
            let start = self.committed();
            let end = u64::from(end).next_multiple_of(CHUNK);
            if end <= start {
                return Ok(());
            }
            if end > ENGINE {
                return Err(MemoryError("the type space is full".into()));
            }
            let refused = |e| MemoryError(format!("cannot grow the type space: {e}"));
            rustix::fs::ftruncate(&self.file, end).map_err(refused)?;
            for (base, prot) in [(self.guest, ProtFlags::READ), (self.engine, ProtFlags::READ | ProtFlags::WRITE)] {
                // SAFETY: the range lies in a reservation of ours that nothing refers to yet, being uncommitted.
                unsafe {
                    let at = base.add(start as usize).cast();
                    let flags = MapFlags::SHARED | MapFlags::FIXED;
                    mmap(at, (end - start) as usize, prot, flags, &self.file, start).map_err(refused)?;
                }
            }
            self.committed.store(end, Release);
            Ok(())
        }
    }

    impl Drop for SpaceMap {
        fn drop(&mut self) {
            unmap(self.guest, GUEST);
            unmap(self.engine, ENGINE);
        }
    }

    fn reserve(bytes: u64) -> Result<*mut u8, MemoryError> {
        // SAFETY: a new mapping at a place of the system's choice touches no existing memory.
        let base = unsafe {
            mmap_anonymous(
                core::ptr::null_mut(),
                bytes as usize,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )
        };
        base.map(|at| at.cast()).map_err(|e| MemoryError(format!("cannot reserve {bytes} bytes for types: {e}")))
    }

    fn unmap(base: *mut u8, bytes: u64) {
        // SAFETY: called once for each reservation, by its owner, when nothing borrows from it.
        unsafe {
            let _ = munmap(base.cast(), bytes as usize);
        }
    }
}

#[cfg(miri)]
mod backing {
    use crate::MemoryError;
    use std::alloc::Layout;

    const BYTES: usize = 1 << 20;

    /// A single allocation for both views.
    pub(crate) struct SpaceMap(*mut u8);

    // SAFETY: the allocation belongs to this value and its words are accessed atomically.
    unsafe impl Send for SpaceMap {}
    // SAFETY: as above.
    unsafe impl Sync for SpaceMap {}

    impl SpaceMap {
        fn layout() -> Layout {
            Layout::from_size_align(BYTES, 64).expect("constant")
        }

        pub(crate) fn new() -> Result<SpaceMap, MemoryError> {
            // SAFETY: the size is not zero.
            let base = unsafe { std::alloc::alloc_zeroed(Self::layout()) };
            if base.is_null() {
                return Err(MemoryError("no memory for types".into()));
            }
            Ok(SpaceMap(base))
        }

        pub(crate) fn guest_base(&self) -> *const u8 {
            self.0
        }

        pub(crate) fn guest_bytes(&self) -> u64 {
            BYTES as u64
        }

        pub(super) fn engine_base(&self) -> *mut u8 {
            self.0
        }

        pub(crate) fn committed(&self) -> u64 {
            BYTES as u64
        }

        pub(crate) fn commit_to(&self, end: u32) -> Result<(), MemoryError> {
            if end as usize > BYTES {
                return Err(MemoryError("the type space is full".into()));
            }
            Ok(())
        }
    }

    impl Drop for SpaceMap {
        fn drop(&mut self) {
            // SAFETY: allocated by `new` with this layout.
            unsafe { std::alloc::dealloc(self.0, Self::layout()) }
        }
    }
}
