//! What the store barrier remembers between two collections.
//!
//! A coalescing collector does not follow each store. It needs, for every slot that changed, the value that the last
//! collection counted and the value that the next one finds; what stood there in between cancels out. So before the
//! first store into an object its references are copied here (they lose one count at the next collection), the object
//! is noted (what it then holds gains one count), and its LOGGED bit lets further stores pass.
//!
//! A large array is logged in chunks of [`CHUNK`] bytes instead, so that one store into a table of a million elements
//! does not copy it all. LOGGED then stays clear and stores keep coming here, where a set of chunk addresses tells what
//! is logged. When as many calls have come as the array has chunks, the rest is logged and the bit is set: the calls
//! and the copying cost about the same, so neither is ever more than twice what the better choice would have cost.
//!
//! Every slot is in the log at most once, so the log is never larger than the heap; more means a corrupted heap.

use super::count::{COUNT_OFFSET, LOGGED};
use super::extents::Extents;
use crate::shapes::{Extent, Shape, Trace};
use heapwright_gc_heap::{HeaderLayout, HeapCorrupted, HeapMemory, NULL_PAGE_BYTES, TypeSpace};

/// Arrays with more elements than this are logged in chunks.
pub(super) const LARGE_ELEMENTS: u32 = 64;
/// Bytes of a chunk.
const CHUNK: u32 = 256;
/// Places for call counts of large arrays. Arrays that share a place restart each other's count, which only delays
/// the point where one is logged whole.
const CALL_PLACES: usize = 16;

// A chunk's address identifies it in a set with 8-byte granules: chunks of one array are CHUNK apart, and between the
// last chunk of an array and the first of the next one lie at least an element and a header.
const _: () = assert!(CHUNK >= 8 && CALL_PLACES.is_power_of_two());

/// The log of one epoch.
#[derive(Debug)]
pub(super) struct Log {
    /// Objects with LOGGED set whose current references are to be counted, arrays excepted.
    pub(super) objects: Vec<u32>,
    /// Arrays with LOGGED set; their slots are in `ranges`.
    pub(super) arrays: Vec<u32>,
    /// Slot ranges `[start, end)` whose current references are to be counted.
    pub(super) ranges: Vec<(u32, u32)>,
    /// Object references that stood in the logged slots.
    pub(super) old: Vec<u32>,
    /// Start addresses of the logged chunks of large arrays.
    chunks: Extents,
    /// End of the memory that `chunks` covers; 0 until a large array is logged.
    chunks_top: u32,
    /// How often large arrays came here in this epoch: (array, calls).
    calls: [(u32, u32); CALL_PLACES],
}

/// Where the objects are that the log is about.
pub(super) struct Place<'a> {
    pub(super) memory: &'a mut HeapMemory,
    pub(super) types: &'a TypeSpace,
    pub(super) header: HeaderLayout,
    pub(super) top: u32,
}

impl Log {
    pub(super) fn new() -> Log {
        Log {
            objects: Vec::new(),
            arrays: Vec::new(),
            ranges: Vec::new(),
            old: Vec::new(),
            chunks: Extents::new(NULL_PAGE_BYTES),
            chunks_top: 0,
            calls: [(0, 0); CALL_PLACES],
        }
    }

    /// Objects and slot ranges that the next collection has to count.
    pub(super) fn entries(&self) -> u64 {
        (self.objects.len() + self.ranges.len()) as u64
    }

    /// Forgets everything. The LOGGED bits are the caller's.
    pub(super) fn clear(&mut self) {
        self.objects.clear();
        self.arrays.clear();
        self.ranges.clear();
        self.old.clear();
        if self.chunks_top != 0 {
            self.chunks.clear();
        }
        self.calls = [(0, 0); CALL_PLACES];
    }

    /// Whether nothing is logged.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.arrays.is_empty() && self.ranges.is_empty() && self.old.is_empty()
    }

    /// Logs what a store into `slot` of `object` is about to overwrite; without a slot, the whole object. The caller
    /// has checked that `object` is in old allocated space.
    pub(super) fn log(&mut self, place: &mut Place<'_>, object: u32, slot: Option<u32>) -> Result<(), HeapCorrupted> {
        let count_at = object.wrapping_add(COUNT_OFFSET);
        let word = place.memory.load_u32(count_at)?;
        if word & LOGGED != 0 {
            return Ok(());
        }
        let shape = Shape::decode(place.types, place.memory.load_u32(object)?, place.header.bytes())?;
        if let Trace::Elements = shape.trace {
            let length = place.memory.load_u32(object.wrapping_add(place.header.length_offset()))?;
            let end = u64::from(object) + u64::from(shape.array_extent(object, length)?.elements_end);
            let (start, end) = match u32::try_from(end) {
                Ok(end) if end <= place.top => (object + shape.elements(), end),
                _ => return Err(HeapCorrupted { what: "array reaches beyond the heap", at: object }),
            };
            if length > LARGE_ELEMENTS && !self.log_large(place, object, start, end, slot)? {
                return Ok(());
            }
            if length <= LARGE_ELEMENTS {
                self.log_range(place, start, end)?;
            }
            self.arrays.push(object);
        } else {
            let extent = shape.struct_extent().unwrap_or(Extent { size: 0, elements_end: 0 });
            shape.for_each_slot(object, extent, |slot| self.log_old(place.memory.load_u32(slot)?, place.top))?;
            self.objects.push(object);
        }
        if self.objects.len() + self.arrays.len() > place.top as usize / 8 {
            return Err(too_large(object));
        }
        place.memory.store_u32(count_at, word | LOGGED)
    }

    /// Logs the chunk of `slot`, or all that is not logged yet. Answers whether the array is logged whole.
    fn log_large(
        &mut self,
        place: &mut Place<'_>,
        object: u32,
        start: u32,
        end: u32,
        slot: Option<u32>,
    ) -> Result<bool, HeapCorrupted> {
        if self.chunks_top < place.top {
            self.chunks.resize(place.top);
            self.chunks_top = place.top;
        }
        let calls = &mut self.calls[(object / 8) as usize % CALL_PLACES];
        if calls.0 != object {
            *calls = (object, 0);
        }
        calls.1 += 1;
        let chunks = (end - start).div_ceil(CHUNK);
        match slot {
            Some(slot) if calls.1 < chunks => {
                if slot < start || slot >= end {
                    return Err(HeapCorrupted { what: "slot outside the array stored into", at: slot });
                }
                self.log_chunk(place, start + (slot - start) / CHUNK * CHUNK, end)?;
                Ok(false)
            }
            _ => {
                for chunk in (start..end).step_by(CHUNK as usize) {
                    self.log_chunk(place, chunk, end)?;
                }
                Ok(true)
            }
        }
    }

    fn log_chunk(&mut self, place: &mut Place<'_>, chunk: u32, end: u32) -> Result<(), HeapCorrupted> {
        let granule = chunk & !7;
        if self.chunks.insert(granule, granule + 8) {
            self.log_range(place, chunk, end.min(chunk.saturating_add(CHUNK)))?;
        }
        Ok(())
    }

    fn log_range(&mut self, place: &mut Place<'_>, start: u32, end: u32) -> Result<(), HeapCorrupted> {
        for word in place.memory.words(start, end)?.iter() {
            self.log_old(word, place.top)?;
        }
        self.ranges.push((start, end));
        if self.ranges.len() > place.top as usize / 8 {
            return Err(too_large(start));
        }
        Ok(())
    }

    #[inline(always)]
    fn log_old(&mut self, reference: u32, top: u32) -> Result<(), HeapCorrupted> {
        if reference != 0 && reference & 1 == 0 {
            if self.old.len() >= top as usize / 4 {
                return Err(too_large(reference));
            }
            self.old.push(reference);
        }
        Ok(())
    }
}

#[cold]
fn too_large(at: u32) -> HeapCorrupted {
    HeapCorrupted { what: "drc: more was logged than the heap holds", at }
}
