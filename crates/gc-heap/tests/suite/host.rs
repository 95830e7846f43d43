use crate::common::*;
use heapwright_gc_heap::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[test]
fn ids_are_reused_but_never_zero() {
    let mut table = HostTable::default();
    let a = table.insert(Box::new(1u8));
    let b = table.insert(Box::new("two"));
    assert!(a.0 != 0 && b.0 != 0 && a != b);
    assert_eq!(table.get(a).unwrap().downcast_ref::<u8>(), Some(&1));
    *table.get_mut(a).unwrap().downcast_mut::<u8>().unwrap() = 5;
    assert_eq!(table.get(a).unwrap().downcast_ref::<u8>(), Some(&5));
    table.release(a);
    assert_eq!(table.len(), 1);
    assert!(table.get(a).is_none() && table.get_mut(a).is_none());
    assert_eq!(table.insert(Box::new(3u8)), a);
    assert_eq!(table.len(), 2);
}

#[test]
fn forged_ids_name_nothing() {
    let mut table = HostTable::default();
    let a = table.insert(Box::new(1u8));
    for forged in [HostId(0), HostId(2), HostId(u32::MAX)] {
        assert!(table.get(forged).is_none());
        table.mark(forged);
        table.release(forged);
    }
    table.release(a);
    table.release(a);
    assert!(table.is_empty());
    // A double release must not make one place vacant twice.
    assert_ne!(table.insert(Box::new(1u8)), table.insert(Box::new(2u8)));
}

struct Counted(Arc<AtomicU32>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn unmarked_values_are_released_and_dropped_later() {
    let drops = Arc::new(AtomicU32::new(0));
    let mut table = HostTable::default();
    let ids: Vec<_> = (0..5).map(|_| table.insert(Box::new(Counted(drops.clone())))).collect();
    table.clear_marks();
    table.mark(ids[1]);
    table.mark(ids[3]);
    // Stored while the trace runs: reached.
    let late = table.insert(Box::new(Counted(drops.clone())));
    table.release_unmarked();
    assert_eq!(table.len(), 3);
    assert!(table.get(ids[1]).is_some() && table.get(ids[3]).is_some() && table.get(late).is_some());
    assert_eq!(drops.load(Relaxed), 0);
    table.drop_released();
    assert_eq!(drops.load(Relaxed), 3);
    drop(table);
    assert_eq!(drops.load(Relaxed), 6);
}

#[test]
fn extern_objects_hold_host_values() {
    let (mut heap, types) = heap();
    let r = heap.alloc_extern(Box::new(42u64), &mut NoRoots).unwrap();
    assert_eq!(heap.type_of(r).unwrap().id, types.extern_type());
    let id = heap.host_id(r).unwrap();
    assert_eq!(heap.host().get(id).unwrap().downcast_ref::<u64>(), Some(&42));
    assert_eq!(heap.verify(&mut vec![r]).unwrap(), Census { objects: 1, bytes: 8 });
    let other = define(&types, structure(&[I32]));
    let other = heap.alloc(other, 0, &mut NoRoots).unwrap();
    assert_eq!(heap.host_id(other), Err(BadReference::WrongKind));
    // A box whose value is gone is a violation.
    heap.host_mut().release(id);
    assert_eq!(heap.verify(&mut vec![r]).unwrap_err().what, "host id not in use");
}

#[test]
fn a_refused_box_drops_its_value() {
    let drops = Arc::new(AtomicU32::new(0));
    let (mut heap, ..) = heap_with(HeapConfig { max: 0, ..CONFIG }, bump(&PLAIN));
    let refused = heap.alloc_extern(Box::new(Counted(drops.clone())), &mut NoRoots);
    assert!(matches!(refused, Err(AllocError::OutOfMemory { .. })));
    assert_eq!((drops.load(Relaxed), heap.host().len()), (1, 0));
}

#[test]
fn values_released_by_a_collection_are_dropped_after_it() {
    let drops = Arc::new(AtomicU32::new(0));
    let seen = drops.clone();
    let mut collector = bump(&PLAIN);
    collector.on_collect = Some(Box::new(move |heap| {
        heap.host_mut().clear_marks();
        heap.host_mut().release_unmarked();
        assert_eq!(seen.load(Relaxed), 0);
        Ok(())
    }));
    let (mut heap, ..) = heap_with(CONFIG, collector);
    heap.alloc_extern(Box::new(Counted(drops.clone())), &mut NoRoots).unwrap();
    heap.collect(Cause::Explicit, &mut NoRoots).unwrap();
    assert_eq!((drops.load(Relaxed), heap.host().len()), (1, 0));
}
