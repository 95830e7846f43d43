//! The barriers of the literature on a heap that never collects: the price of the barrier alone.
//!
//! [`heapwright_gc_heap::barrier::textbook`] declares them. The collector here does what each declaration asks of its
//! own: when it is told to collect, everything allocated so far becomes *old*, which sets the bits, the words or the
//! nursery's bounds that the programs look at; slow calls and full buffers are answered; nothing is ever freed.

use heapwright::Collector as Choice;
use heapwright_collectors::Registration;
use heapwright_gc_heap::barrier::{SlowCall, textbook};
use heapwright_gc_heap::{
    AllocOutcome, AllocRequest, Cause, CollectionReport, Collector, Heap, HeapCorrupted, NULL_PAGE_BYTES, NUM_BUFFERS,
    RootSet, Space, Spec,
};

/// Words in each buffer.
const BUFFER_WORDS: usize = 1024;

/// The textbook's barriers; those of collectors that mark while the mutator runs are there twice, the second time while
/// it does.
pub fn all() -> Vec<(String, Choice)> {
    let named = |(suffix, registration): &'static (&str, Registration)| {
        (format!("{}{suffix}", registration.spec.name), Choice::from_registration(registration))
    };
    REGISTRATIONS.iter().map(named).collect()
}

macro_rules! registrations {
    ($($spec:ident $marking:literal $suffix:literal,)*) => {
        [$((
            $suffix,
            Registration {
                spec: &textbook::$spec,
                create: || Box::new(Textbook::new(&textbook::$spec, $marking)),
            },
        )),*]
    };
}

static REGISTRATIONS: [(&str, Registration); 12] = registrations! {
    NONE false "",
    NURSERY_RANGE false "",
    CARD_MARKING false "",
    OBJECT_LOG false "",
    FIELD_LOG false "",
    SNAPSHOT false "",
    SNAPSHOT true ", marking",
    DIJKSTRA false "",
    DIJKSTRA true ", marking",
    COUNTING false "",
    COALESCING false "",
    BROOKS false "",
};

/// A collector that never frees.
struct Textbook {
    spec: &'static Spec,
    /// Whether it claims to be marking.
    marking: bool,
    buffers: [Box<[u32; BUFFER_WORDS]>; NUM_BUFFERS],
}

impl Textbook {
    fn new(spec: &'static Spec, marking: bool) -> Textbook {
        Textbook { spec, marking, buffers: core::array::from_fn(|_| Box::new([0; BUFFER_WORDS])) }
    }

    fn install(&mut self, heap: &mut Heap, index: usize) {
        let range = self.buffers[index].as_mut_ptr_range();
        let buffer = &mut heap.mutator_mut().buffers[index];
        (buffer.next, buffer.end) = (range.start, range.end);
    }

    /// Makes everything below `end` old.
    fn age(&mut self, heap: &mut Heap, end: u32) -> Result<(), HeapCorrupted> {
        let is = |spec: &'static Spec| core::ptr::eq(spec, self.spec);
        if is(&textbook::NURSERY_RANGE) {
            let size = NULL_PAGE_BYTES + heap.capacity() as u32 - end;
            let words = &mut heap.mutator_mut().collector;
            (words[0], words[1]) = (end, size);
        } else if is(&textbook::OBJECT_LOG) || is(&textbook::FIELD_LOG) {
            let (last, _) = self.spec.side_tables[0].entry(end - 1);
            heap.memory_mut().side_mut(0)[..=last as usize].fill(0xff);
        } else if is(&textbook::COALESCING) {
            let mut at = NULL_PAGE_BYTES;
            while at < end {
                heap.memory_mut().store_u32(at + 4, 0)?;
                at += heap.for_each_slot(at, |_, _| Ok::<(), HeapCorrupted>(()))?;
            }
        }
        Ok(())
    }
}

impl Collector for Textbook {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn attach(&mut self, heap: &mut Heap) {
        heap.open_region(NULL_PAGE_BYTES, NULL_PAGE_BYTES + heap.capacity() as u32);
        heap.mutator_mut().collector[0] = self.marking.into();
        (0..NUM_BUFFERS).for_each(|index| self.install(heap, index));
    }

    fn alloc_slow(&mut self, heap: &mut Heap, request: AllocRequest) -> Result<AllocOutcome, HeapCorrupted> {
        let end = NULL_PAGE_BYTES + heap.capacity() as u32;
        let cursor = heap.mutator().cursor;
        if request.size > end - cursor {
            return Ok(AllocOutcome::Full);
        }
        heap.mutator_mut().cursor += request.size;
        Ok(AllocOutcome::At(cursor))
    }

    fn barrier_slow(&mut self, heap: &mut Heap, call: SlowCall, args: [u32; 4]) -> Result<(), HeapCorrupted> {
        if call == textbook::LOG {
            heap.memory_mut().store_u32(args[0].wrapping_add(4), 1)?;
        }
        Ok(())
    }

    fn buffer_full(&mut self, heap: &mut Heap, index: usize) -> Result<(), HeapCorrupted> {
        self.install(heap, index);
        Ok(())
    }

    fn collect(&mut self, heap: &mut Heap, _: Cause, _: &mut dyn RootSet) -> Result<CollectionReport, HeapCorrupted> {
        let end = heap.mutator().cursor;
        self.age(heap, end)?;
        let used = u64::from(end - NULL_PAGE_BYTES);
        Ok(CollectionReport { bytes_before: used, bytes_after: used, ..CollectionReport::default() })
    }

    fn resized(&mut self, _: &mut Heap) {}

    fn space(&self, heap: &Heap) -> Space {
        let used = u64::from(heap.mutator().cursor - NULL_PAGE_BYTES);
        Space { used, free: heap.capacity() - used, committed: heap.capacity() }
    }

    fn may_be_object(&self, heap: &Heap, offset: u32) -> bool {
        offset.is_multiple_of(8) && offset < heap.mutator().cursor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;
    use crate::barriers::{CASES, module};

    /// Every loop runs under every barrier of the textbook, and each barrier does something in one of them.
    #[test]
    fn loops_run_under_every_barrier() {
        let here = |spec: &&Spec| REGISTRATIONS.iter().any(|(_, r)| core::ptr::eq(r.spec, *spec));
        assert!(textbook::ALL.iter().all(here), "each is measured");
        for (name, choice) in all() {
            let mut world = World::counting(choice, &module());
            for case in CASES {
                world.time(case.name, 2000);
            }
            let counts = world.barrier_counts();
            let runs: u64 = counts.iter().map(|count| count.runs).sum();
            let slow: u64 = counts.iter().map(|count| count.appends + count.calls).sum();
            let declared = choice.spec().barriers.programs().iter().any(Option::is_some);
            assert_eq!(runs > 0, declared, "{name}");
            // An idle marker, a card and a forwarding word ask nobody; all others log, remember or report.
            let quiet = ["none", "card-marking", "snapshot", "dijkstra", "brooks"].contains(&name.as_str());
            assert_eq!(slow > 0, !quiet, "{name}: {counts:?}");
        }
    }
}
