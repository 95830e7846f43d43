//! Bulk operations on arrays.

use super::chunks::{Unit, in_chunks};
use crate::instance::part;
use crate::{CallError, InstanceId, Store, StoreState};
use heapwright_gc_heap::{BadReference, GcRef, Heap, TypeId, Value};
use heapwright_jit::abi::Trap;

fn bad_array(e: BadReference) -> CallError {
    match e {
        BadReference::Null => CallError::trap(Trap::NullArrayReference),
        BadReference::OutOfBounds => CallError::trap(Trap::ArrayOutOfBounds),
        BadReference::WrongKind => CallError::trap(Trap::HeapCorrupted),
        BadReference::Corrupted(e) => e.into(),
    }
}

/// The canonical type and the element's log2 size of an array type of the instance's module.
fn array_type(store: &Store, id: InstanceId, ty: u32) -> (TypeId, u8) {
    let module = &store.state.instances[id.0 as usize].module;
    (module.type_id(ty), module.info().array_layout(ty).element_shift)
}

/// The part of a data segment that `length` elements take.
fn data(
    state: &StoreState,
    id: InstanceId,
    segment: u32,
    start: u32,
    length: u32,
    shift: u8,
) -> Result<&[u8], CallError> {
    let bytes = u64::from(length) << shift;
    part(state.data_bytes(id, segment), start.into(), bytes).ok_or_else(|| CallError::trap(Trap::MemoryOutOfBounds))
}

pub(super) fn new_data(
    store: &mut Store,
    id: InstanceId,
    ty: u32,
    segment: u32,
    start: u32,
    length: u32,
) -> Result<u32, CallError> {
    let (canonical, shift) = array_type(store, id, ty);
    data(&store.state, id, segment, start, length, shift)?;
    let (heap, state) = store.heap_for_code()?;
    let array = heap.alloc(canonical, length, state)?;
    write_data(store, id, array, 0, segment, start, length, shift)?;
    Ok(array.raw())
}

pub(super) fn init_data(
    store: &mut Store,
    id: InstanceId,
    ty: u32,
    segment: u32,
    array: u32,
    at: u32,
    start: u32,
    length: u32,
) -> Result<(), CallError> {
    let (_, shift) = array_type(store, id, ty);
    write_data(store, id, GcRef::from_raw(array), at, segment, start, length, shift)
}

fn write_data(
    store: &mut Store,
    id: InstanceId,
    array: GcRef,
    at: u32,
    segment: u32,
    start: u32,
    length: u32,
    shift: u8,
) -> Result<(), CallError> {
    store.heap_for_code()?;
    let Store { heap: Some(heap), state } = store else { return Err(CallError::trap(Trap::Internal)) };
    // First the array's bounds, then the segment's, then the write.
    let target = heap.array_bytes_mut(array, at, length).map_err(bad_array)?;
    let bytes = data(state, id, segment, start, length, shift)?;
    if target.len() != bytes.len() {
        return Err(CallError::trap(Trap::HeapCorrupted));
    }
    target.copy_from_slice(bytes);
    Ok(())
}

pub(super) fn new_elem(
    store: &mut Store,
    id: InstanceId,
    ty: u32,
    segment: u32,
    start: u32,
    length: u32,
) -> Result<u32, CallError> {
    let (canonical, _) = array_type(store, id, ty);
    elements(store, id, segment, start, length)?;
    let (heap, state) = store.heap_for_code()?;
    let array = heap.alloc(canonical, length, state)?;
    write_elements(store, id, array, 0, segment, start, length, true)?;
    Ok(array.raw())
}

pub(super) fn init_elem(
    store: &mut Store,
    id: InstanceId,
    _ty: u32,
    segment: u32,
    array: u32,
    at: u32,
    start: u32,
    length: u32,
) -> Result<(), CallError> {
    let array = GcRef::from_raw(array);
    let available = existing_heap(store)?.array_length(array).map_err(bad_array)?;
    if u64::from(at) + u64::from(length) > u64::from(available) {
        return Err(CallError::trap(Trap::ArrayOutOfBounds));
    }
    elements(store, id, segment, start, length)?;
    write_elements(store, id, array, at, segment, start, length, false)
}

/// The part of an element segment.
fn elements(store: &Store, id: InstanceId, segment: u32, start: u32, length: u32) -> Result<&[u32], CallError> {
    let segment = &store.state.instances[id.0 as usize].elements[segment as usize];
    part(&segment.values, start.into(), length.into()).ok_or_else(|| CallError::trap(Trap::TableOutOfBounds))
}

fn write_elements(
    store: &mut Store,
    id: InstanceId,
    array: GcRef,
    at: u32,
    segment: u32,
    start: u32,
    length: u32,
    fresh: bool,
) -> Result<(), CallError> {
    let Store { heap: Some(heap), state } = store else { return Err(CallError::trap(Trap::Internal)) };
    let segment = &state.instances[id.0 as usize].elements[segment as usize];
    for i in 0..length {
        let raw = segment.values[(start + i) as usize];
        let value = if segment.traced { Value::Ref(GcRef::from_raw(raw)) } else { Value::Func(raw) };
        heap.set_element(array, at + i, value, fresh).map_err(bad_array)?;
    }
    Ok(())
}

pub(super) fn copy(
    store: &mut Store,
    _: InstanceId,
    to: u32,
    at: u32,
    from: u32,
    start: u32,
    length: u32,
) -> Result<(), CallError> {
    let (to, from) = (GcRef::from_raw(to), GcRef::from_raw(from));
    check(store, to, at, length)?;
    check(store, from, start, length)?;
    // From the end on which the ranges overlap.
    let upwards = to != from || at <= start;
    in_chunks(store, Unit::Element, length.into(), upwards, |store, offset, count| {
        let (offset, count) = (offset as u32, count as u32);
        existing_heap(store)?.array_copy(to, at + offset, from, start + offset, count).map_err(bad_array)
    })
}

pub(super) fn fill_ref(
    store: &mut Store,
    _: InstanceId,
    array: u32,
    at: u32,
    value: u32,
    length: u32,
) -> Result<(), CallError> {
    let (array, value) = (GcRef::from_raw(array), Value::Ref(GcRef::from_raw(value)));
    check(store, array, at, length)?;
    in_chunks(store, Unit::Element, length.into(), true, |store, offset, count| {
        existing_heap(store)?.array_fill(array, at + offset as u32, value, count as u32, false).map_err(bad_array)
    })
}

/// Checks a whole range before its first chunk is written.
fn check(store: &mut Store, array: GcRef, start: u32, count: u32) -> Result<(), CallError> {
    let length = existing_heap(store)?.array_length(array).map_err(bad_array)?;
    let inside = u64::from(start) + u64::from(count) <= u64::from(length);
    if inside { Ok(()) } else { Err(CallError::trap(Trap::ArrayOutOfBounds)) }
}

fn existing_heap(store: &mut Store) -> Result<&mut Heap, CallError> {
    store.heap_for_code().map(|(heap, _)| heap)
}
