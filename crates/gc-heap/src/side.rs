//! Side tables: metadata beside the heap.
//!
//! A side table has one entry of a few bits for each *granule* of the heap: a card mark for each 512 bytes, a mark bit
//! for each 8. A collector declares its tables in its [`Spec`](crate::Spec); barrier programs and the collector read
//! and write them.
//!
//! ```text
//! base                          + reservation of table 0   + guard     …
//!  | committed entries | reserved … | guard (never mapped) | committed entries | reserved … | guard |
//! ```
//!
//! **Addressing.** An entry is named by a *heap offset*: the 32-bit offset, shifted right by the granule, is the
//! entry's number in a table that covers all 4 GiB. So whatever an offset holds, an access stays in its own table's
//! reservation, without a compare or a mask; compiled code does the same arithmetic in 32 bits. Guards keep a mistake
//! in it from reaching the next table.
//!
//! **What is committed** are the entries of the heap's committed part, the null page included, up to a page boundary.
//! They grow with the heap, and are zero at first. An access to another entry is [`HeapCorrupted`]; in compiled code it
//! faults, which the vm takes for the same.
//!
//! Entries of less than a byte fill a byte from its lowest bit, wider ones are little-endian: entry `i` of a table of
//! single bits is bit `i % 64` of the table's 64-bit word `i / 64`.

use crate::HeapCorrupted;
use crate::memory::{MemoryError, RESERVATION_BYTES};
use serde::Serialize;
use std::alloc::Layout;

/// Largest number of side tables that a collector may declare.
pub const NUM_SIDE_TABLES: usize = 4;

/// Unmapped bytes behind each table.
const GUARD: u64 = 64 << 10;
/// What a byte vector's tables are committed by.
const VEC_PAGE: u64 = 4096;

/// A table of metadata: `bits` bits for each `granule` bytes of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct SideTable {
    /// Name for tools.
    pub name: &'static str,
    /// Bytes of heap that an entry stands for: a power of two, 4 to 1 MiB.
    pub granule: u32,
    /// Bits in an entry: 1, 2, 4, 8, 16 or 32.
    pub bits: u8,
}

impl SideTable {
    /// Checks that granule and bits are in their ranges.
    ///
    /// # Errors
    ///
    /// What is wrong, for the collector's author.
    pub fn check(&self) -> Result<(), String> {
        if !self.granule.is_power_of_two() || !(4..=1 << 20).contains(&self.granule) {
            return Err(format!("side table {}: a granule of {} bytes", self.name, self.granule));
        }
        if !self.bits.is_power_of_two() || self.bits > 32 {
            return Err(format!("side table {}: entries of {} bits", self.name, self.bits));
        }
        Ok(())
    }

    /// Binary logarithm of the granule: an entry's number is a heap offset shifted right by this.
    #[inline]
    pub const fn shift(&self) -> u32 {
        self.granule.trailing_zeros()
    }

    /// An entry's bits, all set.
    #[inline]
    pub const fn mask(&self) -> u32 {
        u32::MAX >> (32 - self.bits as u32)
    }

    /// Where the entry for a heap offset is: the offset in the table of its first byte, and its lowest bit there.
    #[inline]
    pub const fn entry(&self, offset: u32) -> (u32, u32) {
        let entry = offset >> self.shift();
        match self.bits {
            // At least four bytes of heap have at most four bytes of table: no overflow.
            8.. => (entry * (self.bits as u32 / 8), 0),
            bits => {
                let per_byte = 8 / bits as u32;
                (entry / per_byte, entry % per_byte * bits as u32)
            }
        }
    }

    /// Bytes of table for the heap offsets below `end`.
    pub const fn bytes(&self, end: u64) -> u64 {
        (end.div_ceil(self.granule as u64) * self.bits as u64).div_ceil(8)
    }
}

/// A table's place in its reservation.
#[derive(Clone, Copy, Debug)]
struct Placed {
    table: SideTable,
    start: usize,
    committed: usize,
    /// What the system gives access to: at least `committed`.
    accessible: usize,
}

/// Where the memory came from.
enum Backing {
    /// There are no tables.
    None,
    /// A reservation.
    Mapped,
    /// A zeroed allocation.
    Vec(Layout),
}

/// The side tables of one heap.
///
/// Invariant (kept by this module): the `committed` bytes from each table's start are readable and writable,
/// initialised, and owned by this value alone, except that compiled code of the same store writes them while no Rust
/// reference to them exists (kept by whoever calls compiled code). Starts are multiples of a page.
pub(crate) struct SideMemory {
    base: *mut u8,
    bytes: usize,
    declared: &'static [SideTable],
    placed: [Placed; NUM_SIDE_TABLES],
    page: u64,
    backing: Backing,
}

// SAFETY: the memory belongs to this value (see its invariant), so it may move to another thread with it, and through a
// shared reference it is only read.
unsafe impl Send for SideMemory {}
// SAFETY: as above.
unsafe impl Sync for SideMemory {}

impl Drop for SideMemory {
    fn drop(&mut self) {
        match self.backing {
            Backing::None => {}
            // SAFETY: `reserve` made the mapping with this base and size, and no reference into it outlives the value.
            Backing::Mapped => unsafe {
                let _ = rustix::mm::munmap(self.base.cast(), self.bytes);
            },
            // SAFETY: allocated by `in_vec` with this layout.
            Backing::Vec(layout) => unsafe { std::alloc::dealloc(self.base, layout) },
        }
    }
}

impl SideMemory {
    /// No tables.
    pub(crate) fn none() -> SideMemory {
        SideMemory {
            base: core::ptr::null_mut(),
            bytes: 0,
            declared: &[],
            placed: [Placed {
                table: SideTable { name: "", granule: 8, bits: 8 },
                start: 0,
                committed: 0,
                accessible: 0,
            }; NUM_SIDE_TABLES],
            page: VEC_PAGE,
            backing: Backing::None,
        }
    }

    /// Places the tables one behind the other, each covering heap offsets below `end` and followed by `guard` bytes.
    fn place(tables: &'static [SideTable], end: u64, page: u64, guard: u64) -> Result<SideMemory, MemoryError> {
        if tables.len() > NUM_SIDE_TABLES {
            return Err(MemoryError(format!("{} side tables; at most {NUM_SIDE_TABLES} are possible", tables.len())));
        }
        let mut memory = SideMemory::none();
        (memory.declared, memory.page) = (tables, page);
        let mut at = 0;
        for (placed, table) in memory.placed.iter_mut().zip(tables) {
            table.check().map_err(MemoryError)?;
            *placed = Placed { table: *table, start: at as usize, committed: 0, accessible: 0 };
            at += table.bytes(end).next_multiple_of(page) + guard;
        }
        memory.bytes = at as usize;
        Ok(memory)
    }

    /// Reserves tables for all heap offsets; nothing is committed.
    pub(crate) fn reserve(tables: &'static [SideTable]) -> Result<SideMemory, MemoryError> {
        use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
        let page = (rustix::param::page_size() as u64).max(GUARD);
        let mut memory = SideMemory::place(tables, RESERVATION_BYTES, page, GUARD.max(page))?;
        memory.page = rustix::param::page_size() as u64;
        if memory.bytes > 0 {
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
            // SAFETY: a new mapping at a place of the system's choice touches no existing memory.
            let base = unsafe { mmap_anonymous(core::ptr::null_mut(), memory.bytes, ProtFlags::empty(), flags) };
            let refused = |e| MemoryError(format!("cannot reserve {} bytes for side tables: {e}", memory.bytes));
            memory.base = base.map_err(refused)?.cast();
            memory.backing = Backing::Mapped;
        }
        Ok(memory)
    }

    /// Tables over a zeroed byte vector, for heap offsets below `end`.
    pub(crate) fn in_vec(tables: &'static [SideTable], end: u64) -> Result<SideMemory, MemoryError> {
        let mut memory = SideMemory::place(tables, end, VEC_PAGE, 0)?;
        if memory.bytes > 0 {
            let layout = Layout::from_size_align(memory.bytes, VEC_PAGE as usize)
                .map_err(|e| MemoryError(format!("{} bytes of side tables: {e}", memory.bytes)))?;
            // SAFETY: the layout's size is not zero.
            memory.base = unsafe { std::alloc::alloc_zeroed(layout) };
            if memory.base.is_null() {
                std::alloc::handle_alloc_error(layout);
            }
            memory.backing = Backing::Vec(layout);
        }
        Ok(memory)
    }

    /// What the tables were made from.
    pub(crate) fn declared(&self) -> &'static [SideTable] {
        self.declared
    }

    /// Host addresses of the tables; null where there is none.
    pub(crate) fn bases(&self) -> [*mut u8; NUM_SIDE_TABLES] {
        let mut bases = [core::ptr::null_mut(); NUM_SIDE_TABLES];
        for (base, placed) in bases.iter_mut().zip(&self.placed).take(self.declared.len()) {
            *base = self.base.wrapping_add(placed.start);
        }
        bases
    }

    /// Host addresses of the whole reservation, guards included.
    pub(crate) fn range(&self) -> core::ops::Range<usize> {
        self.base as usize..self.base as usize + self.bytes
    }

    /// Commits the entries of the heap offsets below `end`. Never shrinks.
    pub(crate) fn commit_to(&mut self, end: u64) -> Result<(), MemoryError> {
        for placed in &mut self.placed[..self.declared.len()] {
            let to = placed.table.bytes(end).next_multiple_of(self.page) as usize;
            if to <= placed.committed {
                continue;
            }
            if let Backing::Mapped = self.backing
                && to > placed.accessible
            {
                use rustix::mm::{MprotectFlags, mprotect};
                let size = to - placed.accessible;
                // SAFETY: the bytes lie in the table's part of the reservation, beyond what is committed, so nothing
                // refers to them.
                let changed = unsafe {
                    let at = self.base.add(placed.start + placed.accessible);
                    mprotect(at.cast(), size, MprotectFlags::READ | MprotectFlags::WRITE)
                };
                changed.map_err(|e| MemoryError(format!("cannot commit {size} bytes of a side table: {e}")))?;
                placed.accessible = to;
            }
            placed.committed = to;
        }
        Ok(())
    }

    /// Takes away access to what is not committed.
    pub(crate) fn close(&mut self) -> Result<(), MemoryError> {
        let Backing::Mapped = self.backing else { return Ok(()) };
        for placed in &mut self.placed[..self.declared.len()] {
            let Placed { start, committed, accessible, .. } = *placed;
            if accessible > committed {
                use rustix::mm::{MprotectFlags, mprotect};
                let size = accessible - committed;
                // SAFETY: the bytes lie in the table's part of the reservation, beyond what is committed, so nothing
                // refers to them.
                let changed =
                    unsafe { mprotect(self.base.add(start + committed).cast(), size, MprotectFlags::empty()) };
                changed.map_err(|e| {
                    MemoryError(format!("cannot take access to {size} bytes of a side table away: {e}"))
                })?;
                placed.accessible = committed;
            }
        }
        Ok(())
    }

    /// Makes the tables as good as new: nothing is committed, everything is zero. Access rights stay.
    pub(crate) fn reset(&mut self) -> Result<(), MemoryError> {
        for placed in &mut self.placed[..self.declared.len()] {
            let all = core::mem::take(&mut placed.committed).max(placed.accessible);
            if all == 0 {
                continue;
            }
            // SAFETY: the bytes are accessible and part of the table, and `&mut self` proves that nobody looks at them.
            unsafe {
                let at = self.base.add(placed.start);
                match self.backing {
                    Backing::Mapped => rustix::mm::madvise(at.cast(), all, rustix::mm::Advice::LinuxDontNeed)
                        .map_err(|e| MemoryError(format!("cannot give back {all} bytes of a side table: {e}")))?,
                    Backing::Vec(_) | Backing::None => at.write_bytes(0, all),
                }
            }
        }
        Ok(())
    }

    /// A table and its committed bytes; of one that is not declared there are none.
    #[inline]
    fn table(&self, index: usize) -> (&SideTable, &[u8]) {
        let placed = &self.placed[index % NUM_SIDE_TABLES];
        if placed.committed == 0 {
            return (&placed.table, &[]);
        }
        // SAFETY: committed bytes (this type's invariant).
        let bytes = unsafe { core::slice::from_raw_parts(self.base.add(placed.start), placed.committed) };
        (&placed.table, bytes)
    }

    #[inline]
    fn table_mut(&mut self, index: usize) -> (&SideTable, &mut [u8]) {
        let placed = &self.placed[index % NUM_SIDE_TABLES];
        if placed.committed == 0 {
            return (&placed.table, &mut []);
        }
        // SAFETY: committed bytes (this type's invariant), and `&mut self` proves that nobody else looks at them.
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.base.add(placed.start), placed.committed) };
        (&placed.table, bytes)
    }

    /// The committed bytes of all tables, writable.
    pub(crate) fn all_mut(&mut self) -> [&mut [u8]; NUM_SIDE_TABLES] {
        let base = self.base;
        self.placed.each_ref().map(|placed| match placed.committed {
            0 => &mut [][..],
            // SAFETY: committed bytes (this type's invariant), `&mut self` proves that nobody else looks at them, and
            // tables do not overlap (`place`).
            bytes => unsafe { core::slice::from_raw_parts_mut(base.add(placed.start), bytes) },
        })
    }

    /// A table's committed bytes.
    pub(crate) fn bytes(&self, index: usize) -> &[u8] {
        self.table(index).1
    }

    /// As [`bytes`](Self::bytes), writable.
    pub(crate) fn bytes_mut(&mut self, index: usize) -> &mut [u8] {
        self.table_mut(index).1
    }

    /// The entry for a heap offset.
    pub(crate) fn get(&self, index: usize, offset: u32) -> Result<u32, HeapCorrupted> {
        let (table, bytes) = self.table(index);
        let (at, bit) = table.entry(offset);
        let at = at as usize;
        let value = match table.bits {
            32 => bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes),
            16 => bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(|b| u16::from_le_bytes(b).into()),
            _ => bytes.get(at).map(|&byte| u32::from(byte) >> bit & table.mask()),
        };
        value.ok_or(outside(offset))
    }

    /// Writes the low bits of `value` to the entry for a heap offset.
    pub(crate) fn set(&mut self, index: usize, offset: u32, value: u32) -> Result<(), HeapCorrupted> {
        let (table, bytes) = self.table_mut(index);
        let (at, bit) = table.entry(offset);
        let at = at as usize;
        match table.bits {
            32 => bytes.get_mut(at..at + 4).ok_or(outside(offset))?.copy_from_slice(&value.to_le_bytes()),
            16 => bytes.get_mut(at..at + 2).ok_or(outside(offset))?.copy_from_slice(&(value as u16).to_le_bytes()),
            _ => {
                let mask = table.mask();
                let byte = bytes.get_mut(at).ok_or(outside(offset))?;
                *byte = *byte & !((mask << bit) as u8) | ((value & mask) << bit) as u8;
            }
        }
        Ok(())
    }
}

#[cold]
fn outside(offset: u32) -> HeapCorrupted {
    HeapCorrupted { what: "side-table access outside the committed heap", at: offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn table(granule: u32, bits: u8) -> SideTable {
        SideTable { name: "test", granule, bits }
    }

    static TABLES: [SideTable; 4] = [table(8, 1), table(512, 8), table(4, 32), table(16, 4)];

    /// No offset has an entry beyond its table's reservation.
    #[test]
    fn every_offset_has_its_entry() {
        for bits in [1, 2, 4, 8, 16, 32] {
            for granule in [4, 8, 256, 1 << 20] {
                let t = table(granule, bits);
                let reserved = t.bytes(RESERVATION_BYTES);
                assert_eq!(reserved, (RESERVATION_BYTES / u64::from(granule) * u64::from(bits)).div_ceil(8));
                for offset in [0, granule - 1, granule, 0x1234_5678, 0x7fff_ffff, u32::MAX] {
                    let (byte, bit) = t.entry(offset);
                    let number = u64::from(offset) / u64::from(granule) * u64::from(bits);
                    assert_eq!(u64::from(byte) * 8 + u64::from(bit), number, "{t:?} at {offset:#x}");
                    assert!(u64::from(byte) + u64::from(bits.div_ceil(8)) <= reserved);
                }
            }
        }
    }

    #[test]
    fn entries_do_not_touch_each_other() {
        // Every byte is looked at, which Miri does slowly.
        let end = if cfg!(miri) { 1 << 14 } else { 1 << 20 };
        let mut memory = SideMemory::in_vec(&TABLES, end).unwrap();
        memory.commit_to(end).unwrap();
        for (i, t) in TABLES.iter().enumerate() {
            let at = end as u32 / 2;
            memory.set(i, at, u32::MAX).unwrap();
            assert_eq!(memory.get(i, at), Ok(t.mask()));
            assert_eq!(memory.get(i, at + t.granule - 1), Ok(t.mask()), "the same granule");
            assert_eq!(memory.get(i, at - 1), Ok(0), "the one before");
            assert_eq!(memory.get(i, at + t.granule), Ok(0), "the one behind");
            let set: u32 = memory.bytes(i).iter().map(|byte| byte.count_ones()).sum();
            assert_eq!(set, u32::from(t.bits));
            memory.set(i, at, 0).unwrap();
            assert!(memory.bytes(i).iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn tables_grow_by_pages_and_end_there() {
        let makers = [|| SideMemory::in_vec(&TABLES, 1 << 20), || SideMemory::reserve(&TABLES)];
        // Miri knows no reservations.
        for make in makers.into_iter().take(if cfg!(miri) { 1 } else { 2 }) {
            let mut memory = make().unwrap();
            assert_eq!(memory.get(0, 0).map_err(|e| e.at), Err(0), "nothing is committed at first");
            for end in [1u64 << 16, 1 << 18] {
                memory.commit_to(end).unwrap();
                for (i, t) in TABLES.iter().enumerate() {
                    let bytes = memory.bytes(i).len() as u64;
                    assert!(bytes >= t.bytes(end) && bytes < t.bytes(end) + memory.page);
                    let covered = (bytes * 8 / u64::from(t.bits)) as u32 * t.granule;
                    memory.set(i, covered - 1, 1).unwrap();
                    assert!(memory.get(i, covered).is_err() && memory.set(i, covered, 1).is_err());
                    assert!(memory.get(i, u32::MAX).is_err());
                }
            }
            let bases = memory.bases();
            assert!(bases.iter().all(|base| memory.range().contains(&(*base as usize))));
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(table(2, 1).check().is_err() && table(12, 1).check().is_err() && table(2 << 20, 1).check().is_err());
        assert!(table(8, 0).check().is_err() && table(8, 3).check().is_err() && table(8, 64).check().is_err());
        static FIVE: [SideTable; 5] = [table(8, 1); 5];
        assert!(SideMemory::in_vec(&FIVE, 4096).is_err());
        let none = SideMemory::none();
        assert!(none.get(0, 0).is_err() && none.bytes(3).is_empty() && none.range().is_empty());
    }
}
