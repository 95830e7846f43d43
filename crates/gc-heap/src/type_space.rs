//! The type space: canonical type entries at 32-bit offsets, readable by compiled code.
//!
//! An object's word 0 is the offset of its type's entry here. The reservation is 4 GiB and the guest's
//! mapping of it is read-only, so a wild type word reads a wrong entry or faults; it never leaves the reservation.
//! Host code validates a type word ([`TypeSpace::entry`]) before it acts on it.
//!
//! ```text
//!  0  tag      kind in bits 2.., low two bits 0b11: no other word of an entry has them, so a 64-byte line
//!              inside a long entry is never mistaken for an entry
//!  4  size     struct, exception, extern: object size in bytes. array: 0
//!  8  depth    length of the supertype chain above this type
//! 12  layout   array: elements offset << 8 | traced << 4 | element shift
//! 16  traced   number of traced fields
//! 20  bitmap   when bit i is set, the 32-bit word i of the object is a traced reference (i < 64), else 0
//!              (two words, low first); with more, `list` is used and the bitmap is 0
//! 28  list     offset from the entry's start of a list of traced field offsets (0 when the bitmap says all)
//! 32  display  type words of the supertypes by depth, this type's own at `depth`; zero-padded to 8
//! 64… display continued, then the list
//! ```
//!
//! The first line is no entry. It holds, at [`TYPE_SPACE_BOUND_OFFSET`], how much of the space may be read, for code
//! that must not fault.
//!
//! Readers take no lock. An entry is complete before its id is published, and is taken down (its tag first) only
//! when nothing legitimate names it any more. A *forged* type word may name an entry that another store's thread
//! is writing at this moment: therefore all words are read and written as relaxed atomics, and a reader may see a
//! mixture of two entries. That is harmless, because whoever follows an entry checks each access against the heap.

use crate::planted::{Bug, planted};
use crate::space_map::SpaceMap;
use crate::{HeapCorrupted, MemoryError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::Release};
use std::sync::{Mutex, PoisonError};

/// Depths below this are checked by compiled code with a single load from the display.
pub const DISPLAY_INLINE_DEPTH: u32 = 8;
/// Offset of the depth word in an entry.
pub const ENTRY_DEPTH_OFFSET: u32 = 8;
/// Offset of the display in an entry.
pub const ENTRY_DISPLAY_OFFSET: u32 = 32;

/// Offset in the type space of the number of its bytes that may be read, a 64-bit word.
pub const TYPE_SPACE_BOUND_OFFSET: u32 = 8;

const TAG: u32 = 0;
const SIZE: u32 = 4;
const DEPTH: u32 = ENTRY_DEPTH_OFFSET;
const LAYOUT: u32 = 12;
const TRACED: u32 = 16;
const BITMAP: u32 = 20;
const LIST: u32 = 28;
const DISPLAY: u32 = ENTRY_DISPLAY_OFFSET;

/// Entries start at, and are padded to, multiples of this.
const LINE: u32 = 64;
const TAG_LOW_BITS: u32 = 0b11;

// The inline display ends with the first line, so that an entry of a shallow type is one cache line.
const _: () = assert!(DISPLAY + 4 * DISPLAY_INLINE_DEPTH == LINE);

/// A canonical type: the offset of its entry in the type space, a non-zero multiple of 64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(transparent)]
pub struct TypeId(pub u32);

/// What kind of object a type describes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum TypeKind {
    /// A function type: no object has it.
    Func = 1,
    /// A struct.
    Struct = 2,
    /// An array.
    Array = 3,
    /// An exception.
    Exception = 4,
    /// A host value behind `externref`: one word, its [`HostId`](crate::HostId).
    Extern = 5,
}

impl TypeKind {
    #[inline]
    fn from_tag(tag: u32) -> Option<TypeKind> {
        if tag & 0b11 != TAG_LOW_BITS {
            return None;
        }
        Some(match tag >> 2 {
            1 => TypeKind::Func,
            2 => TypeKind::Struct,
            3 => TypeKind::Array,
            4 => TypeKind::Exception,
            5 => TypeKind::Extern,
            _ => return None,
        })
    }

    fn tag(self) -> u32 {
        (self as u32) << 2 | TAG_LOW_BITS
    }
}

/// A validated view of an entry.
#[derive(Clone, Copy, Debug)]
pub struct TypeEntry<'a> {
    /// The type.
    pub id: TypeId,
    /// Its kind.
    pub kind: TypeKind,
    /// Object size in bytes (structs, exceptions, externs), else 0.
    pub size: u32,
    /// Length of the supertype chain.
    pub depth: u32,
    /// Arrays: offset of element 0.
    pub elements_offset: u32,
    /// Arrays: log2 of the element size.
    pub element_shift: u8,
    /// Arrays: whether the elements are traced.
    pub elements_traced: bool,
    /// Which of the first 64 words are traced references, when `list` is empty.
    pub bitmap: u64,
    /// Offsets of the traced fields, when they do not fit the bitmap.
    pub list: OffsetList<'a>,
}

/// Offsets of traced fields. A list of atomics rather than a plain slice: a forged type word may name an entry that
/// is being written.
#[derive(Clone, Copy, Debug)]
pub struct OffsetList<'a>(&'a [AtomicU32]);

impl<'a> OffsetList<'a> {
    /// The offsets, ascending.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = u32> + 'a {
        self.0.iter().map(|word| word.load(Relaxed))
    }

    /// The `i`-th offset.
    #[inline]
    pub fn get(self, i: usize) -> Option<u32> {
        Some(self.0.get(i)?.load(Relaxed))
    }

    /// Number of offsets.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

/// What the registry knows of a type when it writes the entry.
pub(crate) struct NewEntry<'a> {
    pub(crate) kind: TypeKind,
    pub(crate) size: u32,
    /// Arrays: elements offset, element shift, whether traced.
    pub(crate) array: Option<(u32, u8, bool)>,
    /// Offsets of traced fields, ascending.
    pub(crate) traced: &'a [u32],
    /// Supertypes from the root down, without the type itself.
    pub(crate) supertypes: &'a [TypeId],
}

impl NewEntry<'_> {
    /// Bytes of the entry: a multiple of 64.
    pub(crate) fn bytes(traced: &[u32], depth: u32) -> u32 {
        let display = (depth + 1).max(DISPLAY_INLINE_DEPTH);
        let list = if Self::needs_list(traced) { traced.len() as u32 } else { 0 };
        (DISPLAY + 4 * display + 4 * list).next_multiple_of(LINE)
    }

    fn needs_list(traced: &[u32]) -> bool {
        traced.last().is_some_and(|&last| last / 4 >= u64::BITS)
    }
}

/// The engine-wide type space.
pub struct TypeSpace {
    map: SpaceMap,
    /// Everything at and above this has never been part of an entry.
    used_end: AtomicU32,
    free: Mutex<FreeRuns>,
}

/// Unused runs of lines below `used_end`: start -> length in bytes, never adjacent.
#[derive(Default)]
struct FreeRuns(BTreeMap<u32, u32>);

impl TypeSpace {
    /// Reserves a type space.
    ///
    /// # Errors
    ///
    /// When the system refuses the reservation.
    pub fn new() -> Result<TypeSpace, MemoryError> {
        let map = SpaceMap::new()?;
        // Entry 0 does not exist: a type word of 0 is never valid.
        let space = TypeSpace { map, used_end: AtomicU32::new(LINE), free: Mutex::default() };
        space.publish_bound();
        Ok(space)
    }

    /// The guest's read-only mapping.
    pub fn base(&self) -> *const u8 {
        self.map.guest_base()
    }

    /// Size in bytes of the reservation at [`base`](Self::base), trailing guard included: what a fault handler
    /// attributes to the type space.
    pub fn reservation_bytes(&self) -> u64 {
        self.map.guest_bytes()
    }

    /// Bytes of the space that have ever held entries.
    pub fn used_bytes(&self) -> u32 {
        self.used_end.load(Relaxed)
    }

    /// Every word that has ever been part of an entry: tests that attack heaps see from it that the space has not
    /// changed.
    #[cfg(feature = "inject")]
    #[doc(hidden)]
    pub fn words(&self) -> Vec<u32> {
        (0..self.used_bytes()).step_by(4).map(|at| self.word(at)).collect()
    }

    /// The entry that a type word names.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] when no live entry starts there.
    #[inline]
    pub fn entry(&self, word: u32) -> Result<TypeEntry<'_>, HeapCorrupted> {
        let kind = self.kind(word)?;
        let (mut bitmap, mut list) = (0, OffsetList(&[]));
        let (mut elements_offset, mut element_shift, mut elements_traced) = (0, 0, false);
        if kind == TypeKind::Array {
            let layout = self.word(word + LAYOUT);
            (elements_offset, element_shift, elements_traced) =
                (layout >> 8, (layout & 0b111) as u8, layout & 0b1_0000 != 0);
        } else {
            bitmap = u64::from(self.word(word + BITMAP)) | u64::from(self.word(word + BITMAP + 4)) << 32;
            let at = self.word(word + LIST);
            if at != 0 {
                list = self.list(word, at)?;
            }
        }
        Ok(TypeEntry {
            id: TypeId(word),
            kind,
            size: self.word(word + SIZE),
            depth: self.word(word + DEPTH),
            elements_offset,
            element_shift,
            elements_traced,
            bitmap,
            list,
        })
    }

    /// The kind of the type that a type word names.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] when no live entry starts there.
    #[inline]
    pub fn kind(&self, word: u32) -> Result<TypeKind, HeapCorrupted> {
        if word.is_multiple_of(LINE)
            && word != 0
            && word < self.used_end.load(Relaxed)
            && let Some(kind) = TypeKind::from_tag(self.word(word + TAG))
        {
            return Ok(kind);
        }
        if planted(Bug::UnvalidatedTypeWord) && word.is_multiple_of(4) {
            return Ok(TypeKind::from_tag(self.word(word + TAG)).unwrap_or(TypeKind::Array));
        }
        Err(no_entry(word))
    }

    #[cold]
    fn list(&self, word: u32, at: u32) -> Result<OffsetList<'_>, HeapCorrupted> {
        let count = self.word(word + TRACED);
        let start = u64::from(word) + u64::from(at);
        if !at.is_multiple_of(4) || start + 4 * u64::from(count) > u64::from(self.used_end.load(Relaxed)) {
            return Err(no_entry(word));
        }
        Ok(OffsetList(self.map.words(start as u32, count)))
    }

    /// Whether `sub` is `sup` or one of its subtypes, by the display. Ids that name no live entry are no one's subtype.
    pub fn is_subtype(&self, sub: TypeId, sup: TypeId) -> bool {
        if sub == sup {
            return true;
        }
        if self.kind(sub.0).is_err() || self.kind(sup.0).is_err() {
            return false;
        }
        let depth = self.word(sup.0 + DEPTH);
        let place = u64::from(sub.0) + u64::from(DISPLAY) + 4 * u64::from(depth);
        depth < self.word(sub.0 + DEPTH)
            && place + 4 <= u64::from(self.used_end.load(Relaxed))
            && self.word(place as u32) == sup.0
    }

    /// The word at `at`, a multiple of 4 below the used end.
    #[inline]
    fn word(&self, at: u32) -> u32 {
        self.map.words(at, 1)[0].load(Relaxed)
    }

    /// Tells compiled code how much of the space may be read. It never becomes less.
    fn publish_bound(&self) {
        let bound = self.map.committed();
        let words = self.map.words_mut(TYPE_SPACE_BOUND_OFFSET, 2);
        words[1].store((bound >> 32) as u32, Relaxed);
        words[0].store(bound as u32, Relaxed);
    }

    /// Room for an entry of `bytes`, a multiple of 64. It reads as zero: no entry starts in it.
    pub(crate) fn allocate(&self, bytes: u32) -> Result<TypeId, MemoryError> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(start) = free.take(bytes) {
            return Ok(TypeId(start));
        }
        let start = self.used_end.load(Relaxed);
        let end = start.checked_add(bytes).ok_or_else(|| MemoryError("the type space is full".into()))?;
        self.map.commit_to(end)?;
        self.publish_bound();
        self.used_end.store(end, Release);
        Ok(TypeId(start))
    }

    /// Writes the entry for which [`allocate`](Self::allocate) gave room; its tag comes last.
    pub(crate) fn write(&self, id: TypeId, entry: &NewEntry<'_>) {
        let depth = entry.supertypes.len() as u32;
        let words = self.map.words_mut(id.0, NewEntry::bytes(entry.traced, depth) / 4);
        let set = |at: u32, value: u32| words[at as usize / 4].store(value, Relaxed);
        set(SIZE, entry.size);
        set(DEPTH, depth);
        if let Some((offset, shift, traced)) = entry.array {
            set(LAYOUT, offset << 8 | u32::from(traced) << 4 | u32::from(shift));
        }
        set(TRACED, entry.traced.len() as u32);
        for (i, word) in entry.supertypes.iter().chain([&id]).enumerate() {
            set(DISPLAY + 4 * i as u32, word.0);
        }
        if NewEntry::needs_list(entry.traced) {
            let list = DISPLAY + 4 * (depth + 1).max(DISPLAY_INLINE_DEPTH);
            for (i, &offset) in entry.traced.iter().enumerate() {
                set(list + 4 * i as u32, offset);
            }
            set(LIST, list);
        } else {
            let last = entry.traced.len().saturating_sub(usize::from(planted(Bug::WrongTraceMask)));
            let bitmap = entry.traced[..last].iter().fold(0u64, |map, offset| map | 1 << (offset / 4));
            set(BITMAP, bitmap as u32);
            set(BITMAP + 4, (bitmap >> 32) as u32);
        }
        words[TAG as usize / 4].store(entry.kind.tag(), Release);
    }

    /// Takes an entry down; its place may be reused at once.
    pub(crate) fn release(&self, id: TypeId, bytes: u32) {
        for word in self.map.words_mut(id.0, bytes / 4) {
            word.store(0, Relaxed);
        }
        self.free.lock().unwrap_or_else(PoisonError::into_inner).give(id.0, bytes);
    }
}

impl FreeRuns {
    /// First fit by address.
    fn take(&mut self, bytes: u32) -> Option<u32> {
        let (&start, &length) = self.0.iter().find(|&(_, &length)| length >= bytes)?;
        self.0.remove(&start);
        if length > bytes {
            self.0.insert(start + bytes, length - bytes);
        }
        Some(start)
    }

    fn give(&mut self, mut start: u32, mut bytes: u32) {
        if let Some((&before, &length)) = self.0.range(..start).next_back()
            && before + length == start
        {
            self.0.remove(&before);
            (start, bytes) = (before, bytes + length);
        }
        if let Some(length) = self.0.remove(&(start + bytes)) {
            bytes += length;
        }
        self.0.insert(start, bytes);
    }
}

#[cold]
fn no_entry(word: u32) -> HeapCorrupted {
    HeapCorrupted { what: "type word names no type", at: word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_runs_merge_and_split() {
        let mut free = FreeRuns::default();
        assert_eq!(free.take(64), None);
        free.give(64, 64);
        free.give(256, 128);
        assert_eq!(free.take(128), Some(256));
        free.give(256, 128);
        // Between the two: one run.
        free.give(128, 128);
        assert_eq!(free.0.iter().collect::<Vec<_>>(), [(&64, &320)]);
        assert_eq!(free.take(64), Some(64));
        assert_eq!(free.take(256), Some(128));
        assert!(free.0.is_empty());
    }

    #[test]
    fn a_full_space_is_an_error() {
        let space = TypeSpace::new().unwrap();
        assert!(space.allocate(u32::MAX - 63).is_err());
        assert!(space.allocate(1 << 30).is_err());
        let id = space.allocate(64).unwrap();
        assert!(space.entry(id.0).is_err());
    }
}
