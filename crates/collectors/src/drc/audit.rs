//! The collector checks its own invariants.
//!
//! Between collections that is the sets, the previous roots and the log. Right after a collection, when nothing was
//! allocated or logged yet, all counts must also be exact, and they are recomputed by a walk over the live ranges:
//! objects stand in them one behind the other.

use super::count::{COUNT_OFFSET, LOGGED, is_stuck, is_zero, references};
use super::log::Log;
use super::space::Space;
use crate::shapes::{Extent, Shape};
use heapwright_gc_heap::{HeaderLayout, Heap, HeapCorrupted, NULL_PAGE_BYTES};

/// Checks everything; `held` are the targets of the roots of the last collection.
pub(super) fn audit(
    heap: &Heap,
    header: HeaderLayout,
    space: &Space,
    log: &Log,
    held: &[u32],
) -> Result<(), HeapCorrupted> {
    let broken = |what, at| Err(HeapCorrupted { what, at });
    if space.live.bytes() != space.live_bytes {
        return broken("drc: live bytes do not add up", space.live_bytes as u32);
    }
    if space.live.meets(&space.young) {
        return broken("drc: memory is both old and young", 0);
    }
    let count_of = |at: u32| heap.memory().load_u32(at.wrapping_add(COUNT_OFFSET));
    for &at in held {
        if !space.live.contains(at) || is_zero(count_of(at)?) {
            return broken("drc: a root's target was freed", at);
        }
    }
    for &at in log.objects.iter().chain(&log.arrays) {
        if !space.live.contains(at) || count_of(at)? & LOGGED == 0 {
            return broken("drc: what is in the log is not logged", at);
        }
    }
    if log.is_empty() && space.young.bytes() == 0 {
        return audit_counts(heap, header, space, held);
    }
    Ok(())
}

/// Compares each count with the references there are.
fn audit_counts(heap: &Heap, header: HeaderLayout, space: &Space, held: &[u32]) -> Result<(), HeapCorrupted> {
    let mut expected = vec![0u32; ((space.top - NULL_PAGE_BYTES) / 8) as usize];
    let mut note = |reference: u32| {
        if reference != 0 && reference & 1 == 0 {
            match expected.get_mut((reference.wrapping_sub(NULL_PAGE_BYTES) / 8) as usize) {
                Some(count) => *count += 1,
                None => return Err(HeapCorrupted { what: "reference outside the collected heap", at: reference }),
            }
        }
        Ok(())
    };
    held.iter().try_for_each(|at| note(*at))?;
    let mut objects = Vec::new();
    for (mut at, end) in space.live.ranges() {
        while at < end {
            let (shape, extent) = measure(heap, header, at)?;
            shape.for_each_slot(at, extent, |slot| note(heap.memory().load_u32(slot)?))?;
            objects.push(at);
            at = match at.checked_add(extent.size) {
                Some(next) if next <= end => next,
                _ => return Err(HeapCorrupted { what: "drc: a live object reaches into free memory", at }),
            };
        }
    }
    for at in objects {
        let word = heap.memory().load_u32(at.wrapping_add(COUNT_OFFSET))?;
        if word & LOGGED != 0 {
            return Err(HeapCorrupted { what: "drc: an object stayed logged", at });
        }
        let expected = expected[((at - NULL_PAGE_BYTES) / 8) as usize];
        if !is_stuck(word) && references(word) != expected {
            return Err(HeapCorrupted { what: "drc: a count is not the number of references", at });
        }
    }
    Ok(())
}

fn measure(heap: &Heap, header: HeaderLayout, at: u32) -> Result<(Shape, Extent), HeapCorrupted> {
    let shape = Shape::decode(heap.types().space(), heap.memory().load_u32(at)?, header.bytes())?;
    let extent = match shape.struct_extent() {
        Some(extent) => extent,
        None => shape.array_extent(at, heap.memory().load_u32(at.wrapping_add(header.length_offset()))?)?,
    };
    Ok((shape, extent))
}
