//! Free lists: a collector that declares them passes the kit, and a list whose links were overwritten yields an error.

use heapwright_fuzzing::conformance;
use heapwright_fuzzing::samples::cell_sweep::{self, REGISTRATION};
use heapwright_gc_heap::cells::LINK_OFFSET;
use heapwright_gc_heap::*;
use std::sync::Arc;

#[test]
fn it_passes_the_kit() {
    cell_sweep::SPEC.check().unwrap();
    conformance::check(&REGISTRATION);
}

const CAPACITY: u64 = 256 << 10;

/// A heap and a type of 16 bytes: header, `i32`, `i64`.
fn heap(zeal: u32) -> (Heap, TypeId, RegisteredTypes) {
    let config = HeapConfig { initial: CAPACITY, max: CAPACITY, sizing: SizingPolicy::Fixed, zeal };
    let types = Arc::new(TypeRegistry::new(cell_sweep::SPEC.header_layout()).unwrap());
    let memory = HeapMemory::reserve().unwrap();
    let heap = Heap::standalone(config, (REGISTRATION.create)(), types.clone(), memory).unwrap();
    let field = |ty| FieldType { storage: StorageType::Val(ty), mutable: true };
    let composite = CompositeType::Struct(StructType { fields: [field(ValType::I32), field(ValType::I64)].into() });
    let group = RecGroup { types: [SubType { is_final: true, supertype: None, composite }].into() };
    let held = types.register(&[group]).unwrap();
    let ty = held.ids()[0];
    (heap, ty, held)
}

fn class_of(size: u64) -> usize {
    cell_sweep::SPEC.alloc.class(size).unwrap()
}

#[test]
fn a_class_is_the_smallest_that_fits() {
    assert_eq!([1, 8, 9, 16, 33, 512].map(class_of), [0, 0, 1, 1, 4, 9]);
    assert_eq!(cell_sweep::SPEC.alloc.class(513), None);
}

#[test]
fn cells_come_from_the_list_in_order() {
    let (mut heap, ty, _held) = heap(0);
    let first = heap.alloc(ty, 0, &mut NoRoots).unwrap().raw();
    for i in 1..100 {
        let head = heap.mutator().free[class_of(16)];
        assert_eq!(heap.alloc(ty, 0, &mut NoRoots).unwrap().raw(), head);
        assert_eq!(head, first + 16 * i);
    }
}

/// The whole heap can be used, up to the last cell, though compiled code leaves the last ones to the heap; and again
/// after a collection.
#[test]
fn every_cell_is_used() {
    let (mut heap, ty, _held) = heap(0);
    for _ in 0..3 {
        let before = heap.stats().collections;
        let mut count = 0;
        while heap.stats().collections == before {
            heap.alloc(ty, 0, &mut NoRoots).unwrap();
            count += 1;
        }
        assert!(16 * count > CAPACITY - 4096, "{count}");
    }
}

/// The compare of compiled code admits what lies in the heap with room behind it, and nothing else.
#[test]
fn the_inline_compare_admits_cells_only() {
    let (mut heap, ty, _held) = heap(0);
    heap.alloc(ty, 0, &mut NoRoots).unwrap();
    let limit = heap.mutator().limit;
    let admits = |cell: u32| cell.rotate_right(3).wrapping_sub(NULL_PAGE_BYTES / 8) < limit;
    let end = NULL_PAGE_BYTES + CAPACITY as u32;
    let largest = cell_sweep::SPEC.inline_limit;
    for cell in [NULL_PAGE_BYTES, NULL_PAGE_BYTES + 8, end - largest - 8] {
        assert!(admits(cell), "{cell:#x}");
    }
    for cell in
        [0, 8, NULL_PAGE_BYTES - 8, NULL_PAGE_BYTES + 4, NULL_PAGE_BYTES + 1, end - largest, end, 1 << 31, !7, !0]
    {
        assert!(!admits(cell), "{cell:#x}");
    }
    // Under zeal nothing is taken inline.
    assert_eq!(self::heap(1).0.mutator().limit, 0);
}

/// A link that does not lead to a cell: the allocation that follows it finds out.
#[test]
fn a_forged_link_is_an_error() {
    for zeal in [0, 1000] {
        for forged in
            [4, 8, NULL_PAGE_BYTES + 4, NULL_PAGE_BYTES - 8, NULL_PAGE_BYTES + CAPACITY as u32 - 8, 1 << 31, !7, !0]
        {
            let (mut heap, ty, _held) = heap(zeal);
            heap.alloc(ty, 0, &mut NoRoots).unwrap();
            let head = heap.mutator().free[class_of(16)];
            heap.memory_mut().store_u32(head + LINK_OFFSET, forged).unwrap();
            heap.alloc(ty, 0, &mut NoRoots).unwrap();
            let found = heap.alloc(ty, 0, &mut NoRoots);
            assert!(matches!(found, Err(AllocError::Corrupted(_))), "{forged:#x}: {found:?}");
        }
    }
}

#[test]
fn declarations_that_make_no_sense_are_refused() {
    let many: &'static [u32] = &[8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136];
    for classes in [&[][..], &[16, 16], &[32, 16], &[12], &[0, 8], &[520], many] {
        assert!(Spec { alloc: AllocSpec::FreeList { classes }, ..cell_sweep::SPEC }.check().is_err(), "{classes:?}");
    }
}
