//! Slots whose referents are on their way to the cache.
//!
//! A collection that copies follows a reference as soon as it finds it, and waits for the memory each time: most of the time that it
//! takes in a heap larger than the cache. Here the slot waits instead, in a short queue, while its referent is asked for and
//! other slots are found (C.-Y. Cher, A. L. Hosking and T. N. Vijaykumar, Software Prefetching for Mark-Sweep Garbage
//! Collection, ASPLOS 2004; there in front of a mark stack, here in front of copying).

use heapwright_gc_heap::Words;

/// How many wait. Enough to cover the way to memory, few enough to stay in the first-level cache until they are wanted.
const LENGTH: usize = 16;

const _: () = assert!(LENGTH.is_power_of_two());

/// A slot and the reference in it. No slot has offset 0.
pub(crate) type Pending = (u32, u32);

/// The queue.
#[derive(Debug)]
pub(crate) struct Ahead {
    ring: [Pending; LENGTH],
    next: usize,
    waits: bool,
}

impl Ahead {
    /// An empty queue; nothing waits in it unless the heap's memory is asked for ahead.
    pub(crate) fn new(words: &Words<'_>) -> Ahead {
        Ahead { ring: Default::default(), next: 0, waits: words.prefetches() }
    }

    /// Whether anything waits, and is worth asking for.
    #[inline(always)]
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Takes in a slot, whose referent is asked for elsewhere; gives the one that has waited longest if the queue was full.
    #[inline(always)]
    pub(crate) fn push(&mut self, pending: Pending) -> Option<Pending> {
        if !self.waits {
            return Some(pending).filter(|due| due.0 != 0);
        }
        let place = &mut self.ring[self.next % LENGTH];
        self.next += 1;
        Some(core::mem::replace(place, pending)).filter(|due| due.0 != 0)
    }

    /// Gives the one that has waited longest.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Pending> {
        for _ in 0..LENGTH {
            if let Some(due) = self.push((0, 0)) {
                return Some(due);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapwright_gc_heap::{HeapMemory, NULL_PAGE_BYTES};

    fn queue(prefetch: bool) -> Ahead {
        let mut memory = HeapMemory::in_vec(4096);
        memory.set_prefetch(prefetch);
        Ahead::new(&memory.words(NULL_PAGE_BYTES, NULL_PAGE_BYTES).unwrap())
    }

    #[test]
    fn nothing_waits_where_nothing_is_asked_for() {
        let mut ahead = queue(false);
        assert!(!ahead.waits());
        assert_eq!([ahead.push((4, 8)), ahead.push((12, 8)), ahead.pop()], [Some((4, 8)), Some((12, 8)), None]);
    }

    #[test]
    fn first_in_first_out() {
        let mut ahead = queue(true);
        assert!(ahead.waits());
        let mut out = Vec::new();
        let (mut given, mut random) = (0, 1u32);
        for _ in 0..1000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if random >> 28 == 0 {
                out.extend(ahead.pop());
            } else {
                given += 4;
                out.extend(ahead.push((given, !given)));
            }
        }
        out.extend(core::iter::from_fn(|| ahead.pop()));
        assert_eq!(out, (1..=given / 4).map(|i| (4 * i, !(4 * i))).collect::<Vec<_>>());
        assert_eq!(ahead.pop(), None);
    }
}
