//! Heapwright's swappable garbage collectors.
//!
//! A collector is one folder here and one line in the registry below. It reaches the heap only through
//! [`heapwright_gc_heap`]: what compiled code must do for it is the constant [`Spec`] that it declares, and the
//! rest is its implementation of [`Collector`]. Every collector keeps these promises, and the conformance kit
//! (`tests/kit`) runs the same heap programs against each of them:
//!
//! - Its bookkeeping is outside the heap. What it reads from the heap it validates, and no loop over heap
//!   contents runs longer than the heap is large, whatever the heap holds.
//! - It never recurses on the shape of the heap's graph.
//! - Nothing reachable is lost; after a collection for [`Cause::Explicit`] or [`Cause::LastResort`] nothing
//!   unreachable is left (a collector that declares `needs_roots: false` never frees).
//! - Behaviour depends on no address of the process and on no hash order: a program's collections repeat.
//!
//! [`Cause::Explicit`]: heapwright_gc_heap::Cause::Explicit
//! [`Cause::LastResort`]: heapwright_gc_heap::Cause::LastResort

#![forbid(unsafe_code)]

use heapwright_gc_heap::{Collector, Heap, NULL_PAGE_BYTES, Spec};

pub mod copying;
pub mod drc;
pub mod generational;
pub mod mark_region;
pub mod null;

mod ahead;
mod shapes;

/// Objects above this size take the slow path under every collector here, so that comparisons between them compare
/// the collectors. Filling 8 KiB costs far more than the call.
const INLINE_LIMIT: u32 = 8 << 10;

/// A collector that can be chosen by name.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// Its declaration.
    pub spec: &'static Spec,
    /// Makes a collector for one heap.
    pub create: fn() -> Box<dyn Collector>,
}

/// The registry: one line a collector. The first is the reference that the others are compared with.
static REGISTRY: [Registration; 5] = [
    Registration { spec: &null::SPEC, create: || Box::new(null::Null::new()) },
    Registration { spec: &copying::SPEC, create: || Box::new(copying::Copying::new()) },
    Registration { spec: &drc::SPEC, create: || Box::new(drc::Drc::new()) },
    Registration { spec: &generational::SPEC, create: || Box::new(generational::Generational::new()) },
    Registration { spec: &mark_region::SPEC, create: || Box::new(mark_region::MarkRegion::new()) },
];

/// Position of the default in the registry.
const DEFAULT: usize = 3;

/// Every collector, in a fixed order.
pub fn all() -> &'static [Registration] {
    &REGISTRY
}

/// The collector with this name.
pub fn by_name(name: &str) -> Option<&'static Registration> {
    REGISTRY.iter().find(|registration| registration.spec.name == name)
}

/// The collector that is used when none is named.
pub fn default() -> &'static Registration {
    &REGISTRY[DEFAULT]
}

/// End of the memory that a collector may use. The largest capacity leaves room for the null page and the inline limit,
/// so this fits.
fn top(heap: &Heap) -> u32 {
    u32::try_from(u64::from(NULL_PAGE_BYTES) + heap.capacity()).unwrap_or(u32::MAX) & !7
}

/// Takes `size` bytes from the current bump region, which ends at `end`. Under zeal the mutator's limit hides the
/// region from the inline path; the region is there all the same.
#[inline]
fn bump(heap: &mut Heap, end: u32, size: u32) -> Option<u32> {
    let cursor = heap.mutator().cursor;
    if size > end.checked_sub(cursor)? {
        return None;
    }
    heap.mutator_mut().cursor = cursor + size;
    Some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for (i, registration) in all().iter().enumerate() {
            let name = registration.spec.name;
            assert!(all()[..i].iter().all(|other| other.spec.name != name), "{name} is registered twice");
            assert!(core::ptr::eq(by_name(name).unwrap(), registration));
            assert!(core::ptr::eq((registration.create)().spec(), registration.spec), "{name} makes another collector");
            assert!(!registration.spec.summary.is_empty() && !registration.spec.cites.is_empty());
        }
        assert!(by_name("no such collector").is_none());
    }
}
