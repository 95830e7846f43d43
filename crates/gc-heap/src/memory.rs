//! The heap's address space.
//!
//! ```text
//! base                base+64 KiB                 base+committed          base+4 GiB      +GUARD_BYTES
//!  | null page (never mapped) | objects and collector spaces | reserved … | trailing guard |
//! ```
//!
//! Side tables, if the collector declares any, are mapped apart from it and committed together with it
//! ([`crate::SideTable`]).
//!
//! Every accessor checks its range against `[NULL_PAGE_BYTES, committed_end)` with a single comparison: the
//! offset is taken relative to the null page's end in 32 bits, so that an offset inside the null page wraps to a
//! number that no heap reaches.
//!
//! What the runtime reads to act on it, it reads by the loads here or, while the mutator stands still, through
//! [`Words`](crate::Words). Tests that attack the heap rely on that (feature `inject`).

use crate::inject::{Injector, Point};
use crate::planted::{Bug, planted};
use crate::side::{NUM_SIDE_TABLES, SideMemory, SideTable};
use crate::{HeapCorrupted, Words};
use std::alloc::Layout;

/// Bytes at the start of the heap that are never mapped: a null reference plus any constant field offset below
/// this faults.
pub const NULL_PAGE_BYTES: u32 = 64 << 10;
/// Size of the reservation that a 32-bit offset can address.
pub const RESERVATION_BYTES: u64 = 1 << 32;
/// Unmapped bytes after the reservation: a 32-bit offset plus a constant below `GUARD_BYTES - 16` never leaves it.
pub const GUARD_BYTES: u64 = 1 << 20;

/// Size of a huge page on the systems that have them.
const HUGE_PAGE: u64 = 2 << 20;
/// Below this offset no huge pages are asked for: clearing one costs more than the few pages that a small heap touches.
const HUGE_PAGES_FROM: u64 = 4 << 20;

const NULL_PAGE: u64 = NULL_PAGE_BYTES as u64;

/// Bytes before and after the reservation that are filled with [`CANARY`] in builds that attack heaps.
const CANARY_BYTES: usize = if cfg!(feature = "inject") { 64 << 10 } else { 0 };
const CANARY: u8 = 0xC5;
/// All that is mapped for a heap.
const MAPPED_BYTES: usize = (RESERVATION_BYTES + GUARD_BYTES) as usize + 2 * CANARY_BYTES;

// The single comparison of the accessors needs it: an offset in the null page wraps to at least this much.
const _: () = assert!(RESERVATION_BYTES - NULL_PAGE <= (0u32.wrapping_sub(NULL_PAGE_BYTES)) as u64);
// The null page must be whole pages on every supported system, and the guard too.
const _: () = assert!(NULL_PAGE_BYTES.is_multiple_of(64 << 10) && GUARD_BYTES.is_multiple_of(64 << 10));

/// The system would not give memory.
#[derive(Debug)]
pub struct MemoryError(pub String);

impl core::fmt::Display for MemoryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MemoryError {}

/// Where the memory came from. Accesses never look at it.
enum Backing {
    /// There is none: the memory was taken away.
    None,
    /// A mapping of `MAPPED_BYTES`, whose reservation and guard begin at the base.
    Mapped,
    /// A zeroed allocation at the base; the null page is part of it and refused by the accessors.
    Vec(Layout),
}

/// One heap's memory: a mapped reservation, or a byte vector for Miri.
///
/// Invariant (kept by this module): the `usable` bytes after the null page are readable and writable, initialised,
/// and owned by this value alone, except that compiled code of the same store writes them while no Rust reference
/// to them exists (kept by whoever calls compiled code).
pub struct HeapMemory {
    base: *mut u8,
    /// Committed bytes after the null page.
    usable: u64,
    /// Bytes after the null page that the system gives access to: at least `usable`. What is beyond `usable` is zero
    /// unless forged references wrote there.
    accessible: u64,
    /// What `usable` may become.
    max_usable: u64,
    page: u64,
    /// Whether the system is asked for huge pages.
    huge_pages: bool,
    /// Whether collectors ask the processor for memory ahead.
    prefetch: bool,
    backing: Backing,
    /// The side tables, which grow with the heap.
    side: SideMemory,
    injector: Injector,
}

// SAFETY: the memory belongs to this value (see its invariant), so it may move to another thread with it, and through
// a shared reference it is only read.
unsafe impl Send for HeapMemory {}
// SAFETY: as above.
unsafe impl Sync for HeapMemory {}

impl Drop for HeapMemory {
    fn drop(&mut self) {
        match self.backing {
            Backing::None => {}
            // SAFETY: the reservation was made by `reserve` with this base and size, and no reference into it
            // outlives the value that lent it.
            Backing::Mapped => unsafe {
                let _ = rustix::mm::munmap(self.base.sub(CANARY_BYTES).cast(), MAPPED_BYTES);
            },
            // SAFETY: allocated by `in_vec` with this layout.
            Backing::Vec(layout) => unsafe { std::alloc::dealloc(self.base, layout) },
        }
    }
}

macro_rules! accessors {
    ($load:ident, $store:ident, $ty:ty, $what:literal) => {
        #[doc = concat!("Reads ", $what, ", little-endian, at any alignment.")]
        #[inline]
        pub fn $load(&self, offset: u32) -> Result<$ty, HeapCorrupted> {
            let at = self.check(offset, size_of::<$ty>() as u64)?;
            // SAFETY: `check` has proved the range committed (this type's invariant).
            let value = <$ty>::from_le(unsafe { at.cast::<$ty>().read_unaligned() });
            Ok(self.injector.tap().seen(offset, value))
        }

        #[doc = concat!("Writes ", $what, ", little-endian, at any alignment.")]
        #[inline]
        pub fn $store(&mut self, offset: u32, value: $ty) -> Result<(), HeapCorrupted> {
            let at = self.check(offset, size_of::<$ty>() as u64)?;
            // SAFETY: `check` has proved the range committed, and `&mut self` that nobody else looks at it.
            unsafe { at.cast::<$ty>().write_unaligned(value.to_le()) };
            self.strike(Point::Step);
            Ok(())
        }
    };
}

#[allow(clippy::missing_errors_doc, reason = "`MemoryError` tells its kinds where it is declared")]
impl HeapMemory {
    /// Reserves 4 GiB and the guard; nothing is committed.
    pub fn reserve() -> Result<HeapMemory, MemoryError> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let size = MAPPED_BYTES;
        // SAFETY: a new mapping at a place of the system's choice touches no existing memory.
        let mapped = unsafe {
            mmap_anonymous(core::ptr::null_mut(), size, ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE)
        };
        let mapped = mapped.map_err(|e| MemoryError(format!("cannot reserve {size} bytes for a GC heap: {e}")))?;
        // SAFETY: the canary is part of the mapping.
        let base = unsafe { mapped.cast::<u8>().add(CANARY_BYTES) };
        let memory = HeapMemory {
            base,
            usable: 0,
            accessible: 0,
            max_usable: RESERVATION_BYTES - NULL_PAGE,
            page: rustix::param::page_size() as u64,
            huge_pages: false,
            prefetch: true,
            backing: Backing::Mapped,
            side: SideMemory::none(),
            injector: Injector::default(),
        };
        memory.lay_canaries()?;
        Ok(memory)
    }

    /// Host addresses of what stands before and after the reservation; empty unless heaps are attacked.
    fn canaries(&self) -> [*mut u8; 2] {
        let after = (RESERVATION_BYTES + GUARD_BYTES) as usize;
        [self.base.wrapping_sub(CANARY_BYTES), self.base.wrapping_add(after)]
    }

    fn lay_canaries(&self) -> Result<(), MemoryError> {
        use rustix::mm::{MprotectFlags, mprotect};
        if CANARY_BYTES == 0 {
            return Ok(());
        }
        for at in self.canaries() {
            // SAFETY: part of the mapping that `reserve` has just made, whole pages, and nothing refers to it.
            unsafe {
                mprotect(at.cast(), CANARY_BYTES, MprotectFlags::READ | MprotectFlags::WRITE)
                    .map_err(|e| MemoryError(format!("cannot lay canaries around a GC heap: {e}")))?;
                at.write_bytes(CANARY, CANARY_BYTES);
            }
        }
        Ok(())
    }

    /// Whether the memory around the reservation is as it was made. Says nothing of a byte vector.
    #[cfg(feature = "inject")]
    #[doc(hidden)]
    pub fn canaries_intact(&self) -> bool {
        let Backing::Mapped = self.backing else { return true };
        self.canaries().iter().all(|at| {
            // SAFETY: part of this value's mapping, readable and initialised by `lay_canaries`, and never borrowed for
            // writing.
            let bytes = unsafe { core::slice::from_raw_parts(*at, CANARY_BYTES) };
            bytes.iter().all(|byte| *byte == CANARY)
        })
    }

    /// Replaces who attacks this memory.
    #[cfg(feature = "inject")]
    #[doc(hidden)]
    pub fn set_attacker(&mut self, attacker: Option<Box<dyn crate::inject::Attacker>>) {
        self.injector.set(attacker);
    }

    /// Gives the attacker, if there is one, the occasion to overwrite words.
    #[inline(always)]
    #[doc(hidden)]
    pub fn strike(&mut self, point: Point) {
        #[cfg(feature = "inject")]
        while let Some((offset, word)) = self.injector.tap().overwrite(point) {
            if let Ok(at) = self.check(offset, 4) {
                // SAFETY: `check` has proved the range committed, and `&mut self` that nobody else looks at it.
                unsafe { at.cast::<[u8; 4]>().write(word.to_le_bytes()) };
            }
        }
        #[cfg(not(feature = "inject"))]
        let _ = point;
    }

    /// The words of `[start, end)` (the last ones, if the length is no multiple of 4, left out), for a collection.
    ///
    /// # Errors
    ///
    /// When the range is not committed.
    pub fn words(&mut self, start: u32, end: u32) -> Result<Words<'_>, HeapCorrupted> {
        Ok(self.words_with_sides(start, end)?.0)
    }

    /// The same, and the committed bytes of each side table.
    ///
    /// # Errors
    ///
    /// When the range is not committed.
    pub fn words_with_sides(
        &mut self,
        start: u32,
        end: u32,
    ) -> Result<(Words<'_>, [&mut [u8]; NUM_SIDE_TABLES]), HeapCorrupted> {
        let length = u64::from(end.saturating_sub(start));
        let at = self.check_range(start, length)?;
        // SAFETY: `check_range` has proved the range committed, and `&mut self`, borrowed as long as the words are,
        // that nobody else looks at it; side tables are memory of their own.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at, length as usize) };
        let words = Words::new(bytes.as_chunks_mut().0, start, self.injector.tap(), self.prefetch);
        Ok((words, self.side.all_mut()))
    }

    /// Heap memory over a zeroed byte vector, of which `max` bytes after the null page can be committed.
    pub fn in_vec(max: u32) -> HeapMemory {
        let max_usable = u64::from(max).next_multiple_of(4096).min(RESERVATION_BYTES - NULL_PAGE);
        let layout = Layout::from_size_align((NULL_PAGE + max_usable) as usize, 4096).expect("at most 4 GiB");
        // SAFETY: the layout's size is at least the null page.
        let base = unsafe { std::alloc::alloc_zeroed(layout) };
        if base.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        HeapMemory {
            base,
            usable: 0,
            accessible: 0,
            max_usable,
            page: 4096,
            huge_pages: false,
            prefetch: true,
            backing: Backing::Vec(layout),
            side: SideMemory::none(),
            injector: Injector::default(),
        }
    }

    /// Gives the memory its side tables, in place of any that it had: beside the reservation, or in another byte
    /// vector.
    pub fn with_side_tables(mut self, tables: &'static [SideTable]) -> Result<HeapMemory, MemoryError> {
        self.side = match self.backing {
            Backing::None => SideMemory::none(),
            Backing::Mapped => SideMemory::reserve(tables)?,
            Backing::Vec(_) => SideMemory::in_vec(tables, self.max_end())?,
        };
        self.side.commit_to(self.committed_end())?;
        Ok(self)
    }

    /// Host address of offset 0.
    #[inline]
    pub fn base(&self) -> *mut u8 {
        self.base
    }

    /// Offset one past the last committed byte; at least `NULL_PAGE_BYTES`, at most `RESERVATION_BYTES`.
    #[inline]
    pub fn committed_end(&self) -> u64 {
        NULL_PAGE + self.usable
    }

    /// Committed bytes after the null page: [`MutatorState::usable`](crate::MutatorState::usable).
    #[inline]
    pub fn usable(&self) -> u64 {
        self.usable
    }

    /// Offset beyond which nothing can be committed.
    #[inline]
    pub fn max_end(&self) -> u64 {
        NULL_PAGE + self.max_usable
    }

    /// Commits memory up to `end` (rounded up to pages). Never shrinks.
    pub fn commit_to(&mut self, end: u64) -> Result<(), MemoryError> {
        let end = end.max(NULL_PAGE).checked_next_multiple_of(self.page).unwrap_or(u64::MAX);
        if end > self.max_end() {
            return Err(MemoryError(format!("cannot commit a GC heap to {end:#x}: it ends at {:#x}", self.max_end())));
        }
        let start = self.committed_end();
        if end <= start {
            return Ok(());
        }
        let open = start.max(NULL_PAGE + self.accessible);
        if let Backing::Mapped = self.backing
            && open < end
        {
            use rustix::mm::{MprotectFlags, mprotect};
            let size = (end - open) as usize;
            // SAFETY: `[open, end)` lies inside the reservation, beyond what is committed, so nothing refers to it.
            let changed = unsafe {
                mprotect(self.base.add(open as usize).cast(), size, MprotectFlags::READ | MprotectFlags::WRITE)
            };
            changed.map_err(|e| MemoryError(format!("cannot commit {size} bytes of a GC heap: {e}")))?;
            self.accessible = end - NULL_PAGE;
            if self.huge_pages {
                self.ask_for_huge_pages(open, end);
            }
        }
        self.side.commit_to(end)?;
        self.usable = end - NULL_PAGE;
        Ok(())
    }

    /// Whether collections ask the processor for memory before they need it ([`Words::prefetches`]). They do, at first.
    pub fn set_prefetch(&mut self, enable: bool) {
        self.prefetch = enable;
    }

    /// Whether the system is asked to back what is committed from now on, beyond the first 4 MiB, with huge pages where
    /// it has them: far fewer page faults, and fewer misses of the processor's address cache, for up to 2 MiB more of
    /// resident memory. Off at first.
    pub fn set_huge_pages(&mut self, enable: bool) {
        self.huge_pages = enable;
    }

    /// A wish: what the system makes of it changes nothing that can be seen.
    fn ask_for_huge_pages(&self, start: u64, end: u64) {
        // Up to the next boundary, so that pages committed in small steps become part of one, too.
        let (start, end) = (start.max(HUGE_PAGES_FROM), end.next_multiple_of(HUGE_PAGE).min(RESERVATION_BYTES));
        if start < end {
            // SAFETY: the range is part of the reservation (the bound just above), which is this value's own until it
            // is dropped; advice of this kind changes neither its contents nor access to it.
            let _ = unsafe {
                let at = self.base.add(start as usize);
                rustix::mm::madvise(at.cast(), (end - start) as usize, rustix::mm::Advice::LinuxHugepage)
            };
        }
    }

    /// Takes away access to what is not committed: in memory that was used before, more may be accessible. Afterwards
    /// every access beyond the committed end faults, as in new memory.
    ///
    /// # Errors
    ///
    /// When the system refuses: then the memory must not be used.
    pub fn close(&mut self) -> Result<(), MemoryError> {
        if let Backing::Mapped = self.backing
            && self.accessible > self.usable
        {
            use rustix::mm::{MprotectFlags, mprotect};
            let size = (self.accessible - self.usable) as usize;
            // SAFETY: `[usable, accessible)` behind the null page is part of the reservation and not committed, so
            // nothing refers to it.
            let changed =
                unsafe { mprotect(self.base.add(self.committed_end() as usize).cast(), size, MprotectFlags::empty()) };
            changed.map_err(|e| MemoryError(format!("cannot take access to {size} bytes of a GC heap away: {e}")))?;
            self.accessible = self.usable;
        }
        self.side.close()
    }

    /// Gives the whole pages of `[start, end)` back to the system; they read as zero afterwards. What lies outside the
    /// committed part is left alone. Answers how many bytes that was.
    pub fn decommit(&mut self, start: u64, end: u64) -> u64 {
        let end = end.min(self.committed_end()) / self.page * self.page;
        let Some(start) = start.max(NULL_PAGE).checked_next_multiple_of(self.page) else { return 0 };
        if start >= end {
            return 0;
        }
        // SAFETY: `[start, end)` is committed, and `&mut self` proves that nobody looks at it.
        unsafe {
            let at = self.base.add(start as usize);
            let size = (end - start) as usize;
            let given_back = match self.backing {
                Backing::Mapped => rustix::mm::madvise(at.cast(), size, rustix::mm::Advice::LinuxDontNeed).is_ok(),
                Backing::Vec(_) | Backing::None => false,
            };
            if !given_back {
                at.write_bytes(0, size);
            }
        }
        end - start
    }

    /// Makes the memory as good as new, side tables included: nothing is committed, everything is zero. The first
    /// `keep` bytes of what was committed are overwritten and stay resident, the rest goes back to the system; access
    /// rights stay until [`close`](Self::close), so that the next use need not ask for them again.
    ///
    /// # Errors
    ///
    /// When the system refuses: then the memory must not be used again.
    pub fn reset(&mut self, keep: u64) -> Result<(), MemoryError> {
        let all = self.usable.max(self.accessible);
        let kept = match self.backing {
            Backing::Mapped => keep.min(all) / self.page * self.page,
            Backing::Vec(_) | Backing::None => all,
        };
        // SAFETY: the bytes after the null page are accessible, and `&mut self` proves that nobody looks at them.
        unsafe {
            if all > 0 {
                self.base.add(NULL_PAGE as usize).write_bytes(0, kept as usize);
            }
            if kept < all {
                let (at, size) = (self.base.add((NULL_PAGE + kept) as usize), (all - kept) as usize);
                rustix::mm::madvise(at.cast(), size, rustix::mm::Advice::LinuxDontNeed)
                    .map_err(|e| MemoryError(format!("cannot give back {size} bytes of a GC heap: {e}")))?;
            }
        }
        self.usable = 0;
        self.injector = Injector::default();
        self.side.reset()
    }

    /// Takes the memory out, leaving none: no offset is valid any more.
    pub(crate) fn take(&mut self) -> HeapMemory {
        let none = HeapMemory {
            base: core::ptr::null_mut(),
            usable: 0,
            accessible: 0,
            max_usable: 0,
            page: self.page,
            huge_pages: false,
            prefetch: true,
            backing: Backing::None,
            side: SideMemory::none(),
            injector: Injector::default(),
        };
        core::mem::replace(self, none)
    }

    /// The side tables' declaration.
    pub fn side_tables(&self) -> &'static [SideTable] {
        self.side.declared()
    }

    /// Host addresses of the side tables, for compiled code; null where there is none. They stay as long as this value.
    pub fn side_bases(&self) -> [*mut u8; NUM_SIDE_TABLES] {
        self.side.bases()
    }

    /// Host addresses of what is reserved for side tables: a fault there tells of a corrupted heap.
    pub fn side_range(&self) -> core::ops::Range<usize> {
        self.side.range()
    }

    /// Reads the entry of side table `table` for a heap offset.
    #[inline]
    pub fn load_side(&self, table: usize, offset: u32) -> Result<u32, HeapCorrupted> {
        self.side.get(table, offset)
    }

    /// Writes the low bits of `value` to the entry of side table `table` for a heap offset.
    #[inline]
    pub fn store_side(&mut self, table: usize, offset: u32, value: u32) -> Result<(), HeapCorrupted> {
        self.side.set(table, offset, value)
    }

    /// The committed bytes of a side table, whole pages that cover [`committed_end`](Self::committed_end); empty when
    /// it is not declared.
    pub fn side(&self, table: usize) -> &[u8] {
        self.side.bytes(table)
    }

    /// As [`side`](Self::side), writable.
    pub fn side_mut(&mut self, table: usize) -> &mut [u8] {
        self.side.bytes_mut(table)
    }

    /// The committed bytes of every side table, writable.
    pub fn sides_mut(&mut self) -> [&mut [u8]; NUM_SIDE_TABLES] {
        self.side.all_mut()
    }

    /// The host address of `[offset, offset + size)`, if it is committed.
    #[inline(always)]
    fn check(&self, offset: u32, size: u64) -> Result<*mut u8, HeapCorrupted> {
        if u64::from(offset.wrapping_sub(NULL_PAGE_BYTES)) + size <= self.usable {
            // SAFETY: the range is part of the mapping or allocation at `base`.
            Ok(unsafe { self.base.add(offset as usize) })
        } else {
            Err(out_of_bounds(offset))
        }
    }

    /// As `check`, for a length that may be anything.
    #[inline]
    fn check_range(&self, offset: u32, length: u64) -> Result<*mut u8, HeapCorrupted> {
        if length > RESERVATION_BYTES {
            return Err(out_of_bounds(offset));
        }
        if planted(Bug::UncheckedLength) {
            return Ok(self.base.wrapping_add(offset as usize));
        }
        self.check(offset, length)
    }

    accessors!(load_u8, store_u8, u8, "a byte");
    accessors!(load_u16, store_u16, u16, "a 16-bit value");
    accessors!(load_u32, store_u32, u32, "a 32-bit value");
    accessors!(load_u64, store_u64, u64, "a 64-bit value");
    accessors!(load_u128, store_u128, u128, "a 128-bit value");

    /// The bytes `[offset, offset + length)`, for the host: what they are must decide nothing here.
    #[inline]
    pub fn slice(&self, offset: u32, length: u64) -> Result<&[u8], HeapCorrupted> {
        let at = self.check_range(offset, length)?;
        // SAFETY: `check_range` has proved the range committed (this type's invariant).
        Ok(unsafe { core::slice::from_raw_parts(at, length as usize) })
    }

    /// The bytes `[offset, offset + length)`, writable.
    #[inline]
    pub fn slice_mut(&mut self, offset: u32, length: u64) -> Result<&mut [u8], HeapCorrupted> {
        let at = self.check_range(offset, length)?;
        // SAFETY: `check_range` has proved the range committed, and `&mut self` that nobody else looks at it.
        Ok(unsafe { core::slice::from_raw_parts_mut(at, length as usize) })
    }

    /// Copies bytes; the ranges may overlap.
    #[inline]
    pub fn copy(&mut self, to: u32, from: u32, length: u64) -> Result<(), HeapCorrupted> {
        let source = self.check_range(from, length)?;
        let target = self.check_range(to, length)?;
        // SAFETY: both ranges are committed, `&mut self` proves that nobody else looks at them, and the copy allows
        // for overlap.
        unsafe { core::ptr::copy(source, target, length as usize) };
        if self.injector.is_armed()
            && let Ok(end) = u32::try_from(u64::from(to) + length)
        {
            self.words(to, end)?.retell(to, from, length as u32);
        }
        Ok(())
    }

    /// Fills bytes.
    #[inline]
    pub fn fill(&mut self, offset: u32, length: u64, byte: u8) -> Result<(), HeapCorrupted> {
        self.slice_mut(offset, length)?.fill(byte);
        Ok(())
    }
}

/// Asks the processor to bring a value into its cache. Has no effect that a program can see.
#[inline(always)]
pub fn prefetch<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: the instruction belongs to the architecture's base, reads nothing and never faults.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(value).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = value;
}

#[cold]
fn out_of_bounds(offset: u32) -> HeapCorrupted {
    HeapCorrupted { what: "access outside the committed heap", at: offset }
}
