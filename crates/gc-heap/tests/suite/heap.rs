//! Allocation, growth, zeal, statistics and failure.

use crate::common::*;
use heapwright_gc_heap::*;
use std::sync::{Arc, Mutex};

/// `size` bytes in all, as an array of bytes.
fn length_for(size: u32) -> u32 {
    size - 8
}

#[test]
fn objects_get_their_headers() {
    static SPEC_2: Spec = Spec { header: &[HeaderWord { name: "mark", initial: 0xABC }], ..SPEC };
    let (mut heap, types, _) = heap_with(CONFIG, bump(&SPEC_2));
    let (ty, list) = (define(&types, structure(&[I64])), define(&types, array(I16)));
    let a = heap.alloc(ty, 99, &mut NoRoots).unwrap();
    let b = heap.alloc(list, 3, &mut NoRoots).unwrap();
    // Past the inline limit: the same header.
    let c = heap.alloc(list, 5000, &mut NoRoots).unwrap();
    let word = |r: GcRef, i: u32| heap.memory().load_u32(r.raw() + 4 * i).unwrap();
    assert_eq!([word(a, 0), word(a, 1)], [ty.0, 0xABC]);
    assert_eq!([word(b, 0), word(b, 1), word(b, 2)], [list.0, 0xABC, 3]);
    assert_eq!([word(c, 0), word(c, 1), word(c, 2)], [list.0, 0xABC, 5000]);
    assert_eq!(b.raw() - a.raw(), 16);
}

#[test]
fn the_heap_grows_and_then_says_how_full_it_is() {
    let (mut heap, types, log) = heap_with(CONFIG, bump(&PLAIN));
    let list = define(&types, array(I8));
    assert_eq!(heap.capacity(), 256 << 10);
    let mut allocated = 0u64;
    let error = loop {
        match heap.alloc(list, length_for(1 << 14), &mut NoRoots) {
            Ok(_) => allocated += 1 << 14,
            Err(error) => break error,
        }
    };
    assert_eq!(error, AllocError::OutOfMemory { requested: 1 << 14, live: 1 << 20, max: 1 << 20 });
    assert_eq!((allocated, heap.capacity()), (1 << 20, 1 << 20));
    let log = log.lock().unwrap();
    // Full for the last time: an ordinary collection, then one of last resort.
    assert!(log.collections.ends_with(&[Cause::AllocationFailure, Cause::LastResort]));
    assert!(log.resized > 0);
    let stats = heap.stats();
    assert_eq!(stats.bytes_allocated, allocated);
    assert_eq!((stats.peak_committed, stats.collections), (1 << 20, log.collections.len() as u64));
    assert!(stats.pause_max <= stats.pause_total);
    assert_eq!(heap.corruption(), None);
}

#[test]
fn sizes_are_computed_in_64_bits() {
    let (mut heap, types) = heap();
    let list = define(&types, array(V128));
    for length in [u32::MAX, 1 << 28, (1 << 28) - 1] {
        let requested = 8 + 16 * u64::from(length);
        let refused = heap.alloc(list, length, &mut NoRoots);
        assert_eq!(refused, Err(AllocError::TooLarge { requested }));
    }
    // Representable, but more than this heap may have: no collection is tried.
    let requested = 8 + 16 * u64::from(1u32 << 27);
    let refused = heap.alloc(list, 1 << 27, &mut NoRoots);
    assert_eq!(refused, Err(AllocError::OutOfMemory { requested, live: 0, max: 1 << 20 }));
    assert_eq!(heap.stats().collections, 0);
}

#[test]
fn a_large_object_makes_the_heap_grow_before_it_collects() {
    for sizing in [SizingPolicy::Fixed, SizingPolicy::Growing] {
        let (mut heap, types, log) = heap_with(HeapConfig { sizing, ..CONFIG }, bump(&PLAIN));
        let list = define(&types, array(I8));
        heap.alloc(list, length_for(400 << 10), &mut NoRoots).unwrap();
        assert_eq!(log.lock().unwrap().collections, []);
        assert!(heap.capacity() >= 400 << 10);
    }
}

#[test]
fn limits_of_zero_and_below_a_page_are_obeyed() {
    for max in [0, 1, 4095] {
        let (mut heap, types, _) = heap_with(HeapConfig { initial: 0, max, ..CONFIG }, bump(&PLAIN));
        assert_eq!(heap.capacity(), 0);
        let ty = define(&types, structure(&[]));
        let refused = heap.alloc(ty, 0, &mut NoRoots);
        assert_eq!(refused, Err(AllocError::OutOfMemory { requested: 8, live: 0, max: 0 }));
    }
    let (mut heap, types, _) = heap_with(HeapConfig { initial: u64::MAX, max: 5000, ..CONFIG }, bump(&PLAIN));
    assert_eq!(heap.capacity(), 4096);
    let ty = define(&types, structure(&[]));
    for _ in 0..4096 / 8 {
        heap.alloc(ty, 0, &mut NoRoots).unwrap();
    }
    assert!(heap.alloc(ty, 0, &mut NoRoots).is_err());
    // An initial size of zero is raised.
    let (heap, ..) = heap_with(HeapConfig { initial: 0, ..CONFIG }, bump(&PLAIN));
    assert!(heap.capacity() > 0);
}

#[test]
#[cfg(not(miri))]
fn the_largest_heap_leaves_room_for_an_inline_object() {
    let types = registry(&PLAIN);
    let config = HeapConfig { initial: u64::MAX, max: u64::MAX, ..CONFIG };
    let mut collector = bump(&PLAIN);
    collector.chunk = 0xFFF0_0000;
    let memory = HeapMemory::reserve().unwrap();
    let mut heap = Heap::standalone(config, Box::new(collector), types.clone(), memory).unwrap();
    assert_eq!(heap.capacity(), MAX_CAPACITY);
    assert!(heap.mutator().limit.checked_add(MAX_INLINE_LIMIT).is_some());
    // An object of nearly 4 GiB, and one that is a little too large.
    let list = define(&types, array(I8));
    let length = (MAX_CAPACITY - 8) as u32;
    let r = heap.alloc(list, length, &mut NoRoots).unwrap();
    heap.set_element(r, length - 1, Value::I32(1), true).unwrap();
    assert_eq!(heap.array_length(r), Ok(length));
    let refused = heap.alloc(list, length + 1, &mut NoRoots);
    assert!(matches!(refused, Err(AllocError::TooLarge { .. })));
}

#[test]
fn inline_allocations_are_counted() {
    let (mut heap, types) = heap();
    let ty = define(&types, structure(&[I64]));
    heap.alloc(ty, 0, &mut NoRoots).unwrap();
    assert_eq!(heap.stats().bytes_allocated, 16);
    // Compiled code advances the cursor on its own.
    heap.mutator_mut().cursor += 32;
    assert_eq!(heap.stats().bytes_allocated, 48);
    assert_eq!(heap.region().unwrap().1, NULL_PAGE_BYTES + 48);
    heap.collect(Cause::Explicit, &mut NoRoots).unwrap();
    heap.mutator_mut().cursor += 8;
    assert_eq!(heap.stats().bytes_allocated, 56);
    let (start, cursor, end) = heap.close_region().unwrap();
    assert_eq!((start, cursor, end), (NULL_PAGE_BYTES, NULL_PAGE_BYTES + 56, NULL_PAGE_BYTES + 4096));
    assert_eq!((heap.mutator().cursor, heap.mutator().limit), (0, 0));
    assert!(heap.close_region().is_none() && heap.region().is_none());
    heap.open_region(cursor, end);
    assert_eq!(heap.stats().bytes_allocated, 56);
    heap.mutator_mut().cursor += 16;
    // Opening another closes the one before.
    heap.open_region(cursor + 64, end);
    assert_eq!(heap.stats().bytes_allocated, 72);
}

#[test]
fn regions_lie_in_the_capacity() {
    let end = NULL_PAGE_BYTES + (256 << 10);
    for (start, stop) in [(0, 8), (NULL_PAGE_BYTES - 8, end), (end, end + 8), (end - 4, end), (end - 8, end - 16)] {
        let (mut heap, _) = heap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heap.open_region(start, stop)));
        assert!(caught.is_err(), "{start:#x} {stop:#x}");
    }
}

#[test]
fn zeal_collects_and_verifies_at_every_nth_allocation() {
    let config = HeapConfig { zeal: 3, ..CONFIG };
    let (mut heap, types, log) = heap_with(config, bump(&PLAIN));
    let ty = define(&types, structure(&[ANYREF]));
    // Compiled code finds no room, ever; the region is there all the same.
    assert_eq!(heap.mutator().limit, 0);
    assert!(heap.region().is_some());
    let mut roots = Vec::<GcRef>::new();
    for i in 0..10 {
        let r = heap.alloc(ty, 0, &mut roots).unwrap();
        heap.set_field(r, 0, Value::Ref(GcRef::NULL), true).unwrap();
        roots.push(r);
        assert_eq!(heap.mutator().limit, 0);
        assert_eq!(log.lock().unwrap().collections, vec![Cause::Zeal; (i + 1) / 3]);
    }
    assert_eq!(log.lock().unwrap().roots_seen, 2 + 5 + 8);
    assert_eq!(heap.stats().bytes_allocated, 80);
    // The verification finds what a collector leaves broken.
    heap.set_field(roots[0], 0, Value::Ref(GcRef::from_raw(NULL_PAGE_BYTES + 80)), true).unwrap();
    heap.alloc(ty, 0, &mut roots).unwrap();
    heap.memory_mut().store_u32(NULL_PAGE_BYTES + 80, 0xDADA_DADA).unwrap();
    let refused = heap.alloc(ty, 0, &mut roots).unwrap_err();
    assert!(matches!(refused, AllocError::Corrupted(found) if found.at == 0xDADA_DADA));
}

#[test]
fn the_true_limit_is_in_force_while_the_collector_runs() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut collector = bump(&PLAIN);
    let log = seen.clone();
    collector.on_collect = Some(Box::new(move |heap| {
        log.lock().unwrap().push(heap.mutator().limit);
        let (_, cursor, end) = heap.close_region().unwrap();
        heap.open_region(cursor, end + 8);
        log.lock().unwrap().push(heap.mutator().limit);
        Ok(())
    }));
    let (mut heap, ..) = heap_with(HeapConfig { zeal: 100, ..CONFIG }, collector);
    heap.collect(Cause::Explicit, &mut NoRoots).unwrap();
    let end = NULL_PAGE_BYTES + 4096;
    assert_eq!(*seen.lock().unwrap(), [end, end + 8]);
    assert_eq!(heap.mutator().limit, 0);
    assert_eq!(heap.region().unwrap().2, end + 8);
}

#[test]
fn poison_is_recognisable_and_only_under_zeal() {
    for zeal in [0, 1] {
        let (mut heap, ..) = heap_with(HeapConfig { zeal, ..CONFIG }, bump(&PLAIN));
        heap.poison(NULL_PAGE_BYTES, NULL_PAGE_BYTES + 16);
        let word = heap.memory().load_u32(NULL_PAGE_BYTES + 12).unwrap();
        assert_eq!(heap.memory().load_u32(NULL_PAGE_BYTES + 16), Ok(0));
        if zeal == 0 {
            assert_eq!(word, 0);
        } else {
            // Neither null, nor an i31, nor aligned as an object, nor a type word.
            assert!(word != 0 && GcRef::from_raw(word).is_object() && !word.is_multiple_of(8));
            assert!(heap.types().space().entry(word).is_err());
        }
        // Ranges outside the heap are left alone.
        heap.poison(0, 8);
        heap.poison(16, 8);
        heap.poison(u32::MAX - 8, u32::MAX);
    }
}

#[test]
fn a_corrupted_heap_says_so_for_ever() {
    let (mut heap, types) = heap();
    let ty = define(&types, structure(&[ANYREF]));
    let r = heap.alloc(ty, 0, &mut NoRoots).unwrap();
    heap.memory_mut().store_u32(r.raw(), 3).unwrap();
    let Err(BadReference::Corrupted(found)) = heap.get_field(r, 0) else { panic!() };
    let bad = BadReference::Corrupted(found);
    // Repairing it does not help.
    heap.memory_mut().store_u32(r.raw(), ty.0).unwrap();
    assert_eq!(heap.corruption(), Some(found));
    assert_eq!(heap.get_field(r, 0), Err(bad));
    assert_eq!(heap.type_of(r).map(|_| ()), Err(bad));
    assert_eq!(heap.alloc(ty, 0, &mut NoRoots), Err(AllocError::Corrupted(found)));
    assert!(heap.alloc_extern(Box::new(1), &mut NoRoots).is_err());
    assert_eq!(heap.collect(Cause::Explicit, &mut NoRoots), Err(found));
    assert_eq!(heap.verify(&mut NoRoots), Err(found));
    assert_eq!(heap.barrier_slow(barrier::SlowCall(0), [0; 4]), Err(found));
    assert_eq!(heap.buffer_full(0), Err(found));
    assert_eq!(heap.is_instance(r, ty), Err(found));
    let later = HeapCorrupted { what: "later", at: 0 };
    assert_eq!(heap.set_corrupted(later), found);
}

#[test]
fn an_error_of_the_collector_poisons_the_heap() {
    let found = HeapCorrupted { what: "found by the collector", at: 5 };
    let mut collector = bump(&PLAIN);
    collector.on_collect = Some(Box::new(move |_| Err(found)));
    let (mut heap, types, _) = heap_with(CONFIG, collector);
    let ty = define(&types, structure(&[]));
    assert_eq!(heap.collect(Cause::Explicit, &mut NoRoots), Err(found));
    assert_eq!(heap.alloc(ty, 0, &mut NoRoots), Err(AllocError::Corrupted(found)));
}

#[test]
fn a_collector_that_panics_is_not_entered_again() {
    let mut collector = bump(&PLAIN);
    collector.on_collect = Some(Box::new(|_| panic!("planted")));
    let (mut heap, ..) = heap_with(CONFIG, collector);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heap.collect(Cause::Explicit, &mut NoRoots)));
    assert!(caught.is_err());
    assert!(heap.collect(Cause::Explicit, &mut NoRoots).is_err());
    assert_eq!(heap.space(), Space::default());
}

#[test]
fn wrong_types_are_refused() {
    let (mut heap, types) = heap();
    let func = define(&types, function(&[], &[]));
    assert!(matches!(heap.alloc(func, 0, &mut NoRoots), Err(AllocError::Corrupted(_))));
    let (mut heap, _) = self::heap();
    assert!(matches!(heap.alloc(TypeId(640), 0, &mut NoRoots), Err(AllocError::Corrupted(_))));
}

#[test]
#[should_panic(expected = "header")]
fn a_registry_of_another_header_is_refused() {
    static OTHER: Spec = Spec { header: &[HeaderWord { name: "x", initial: 0 }], ..SPEC };
    let _ = Heap::standalone(CONFIG, Box::new(bump(&OTHER)), registry(&PLAIN), memory(1 << 20));
}

struct Recorder(Arc<Mutex<Vec<String>>>);

impl EventSink for Recorder {
    fn event(&mut self, event: &Event) {
        let line = match event {
            Event::CollectionStart { cause, .. } => format!("start {cause:?}"),
            Event::CollectionEnd { cause, report, .. } => format!("end {cause:?} {}", report.bytes_after),
            Event::Resize { from, to } => format!("resize {} {}", from >> 10, to >> 10),
            Event::SlowAllocation { size } => format!("slow {size}"),
            _ => "other".into(),
        };
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn events_come_in_order() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let (mut heap, types, _) = heap_with(HeapConfig { sizing: SizingPolicy::Fixed, ..CONFIG }, bump(&PLAIN));
    let list = define(&types, array(I8));
    heap.set_event_sink(Some(Box::new(Recorder(events.clone()))));
    heap.alloc(list, length_for(64), &mut NoRoots).unwrap();
    heap.alloc(list, length_for(256 << 10) - 64, &mut NoRoots).unwrap();
    heap.alloc(list, length_for(64), &mut NoRoots).unwrap();
    heap.set_event_sink(None);
    heap.collect(Cause::Explicit, &mut NoRoots).unwrap();
    assert_eq!(
        *events.lock().unwrap(),
        ["slow 262080", "slow 64", "start AllocationFailure", "end AllocationFailure 262144", "resize 256 384",]
    );
}

#[test]
fn without_a_listener_no_event_is_built() {
    let (mut heap, types, _) = heap_with(CONFIG, bump(&PLAIN));
    let list = define(&types, array(I8));
    assert!(!heap.has_event_sink());
    heap.emit(|| panic!("built for nobody"));
    assert!(!heap.phases().is_running());
    heap.alloc(list, length_for(64), &mut NoRoots).unwrap();
    heap.set_event_sink(Some(Box::new(Recorder(Default::default()))));
    assert!(heap.phases().is_running());
    heap.set_event_sink(None);
    heap.emit(|| panic!("built for nobody"));
    let timer = heap.phases();
    assert!(!timer.is_running());
    heap.phases_end(timer);
}

#[test]
fn heaps_move_between_threads() {
    let (mut heap, types) = heap();
    let ty = define(&types, structure(&[I32]));
    std::thread::spawn(move || heap.alloc(ty, 0, &mut NoRoots).map(|r| heap.get_field(r, 0).map(drop)))
        .join()
        .unwrap()
        .unwrap()
        .unwrap();
}
