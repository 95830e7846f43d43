//! Tables and element segments.

use super::chunks::{Unit, in_chunks};
use crate::{CallError, InstanceId, Store, TableId};
use heapwright_gc_heap::{GcRef, Value};
use heapwright_jit::abi::Trap;

fn table(store: &Store, id: InstanceId, table: u32) -> TableId {
    store.state.instances[id.0 as usize].table(table)
}

/// A raw operand as a value of the table's element type.
fn value(store: &Store, table: TableId, raw: u32) -> Value {
    match store.state.tables[table.0 as usize].is_func() {
        true => Value::Func(raw),
        false => Value::Ref(GcRef::from_raw(raw)),
    }
}

pub(super) fn grow(store: &mut Store, id: InstanceId, index: u32, delta: u64, raw: u32) -> Result<i64, CallError> {
    let table = table(store, id, index);
    let value = value(store, table, raw);
    Ok(store.table_grow(table, delta, value)?.map_or(-1, |old| old as i64))
}

pub(super) fn set_func(store: &mut Store, id: InstanceId, index: u32, at: u64, func: u32) -> Result<(), CallError> {
    let table = table(store, id, index);
    Ok(store.table_set(table, at, Value::Func(func))?)
}

pub(super) fn fill(
    store: &mut Store,
    id: InstanceId,
    index: u32,
    start: u64,
    raw: u32,
    count: u64,
) -> Result<(), CallError> {
    let table = table(store, id, index);
    let value = value(store, table, raw);
    check(store, table, start, count)?;
    in_chunks(store, Unit::Element, count, true, |store, offset, count| {
        Ok(store.table_fill(table, start + offset, value, count)?)
    })
}

pub(super) fn copy(
    store: &mut Store,
    id: InstanceId,
    to: u32,
    from: u32,
    at: u64,
    start: u64,
    count: u64,
) -> Result<(), CallError> {
    let (to, from) = (table(store, id, to), table(store, id, from));
    check(store, from, start, count)?;
    check(store, to, at, count)?;
    // From the end on which the ranges overlap.
    let upwards = to != from || at <= start;
    in_chunks(store, Unit::Element, count, upwards, |store, offset, count| {
        Ok(store.table_copy(to, at + offset, from, start + offset, count)?)
    })
}

/// Checks a whole range before its first chunk is written.
fn check(store: &Store, table: TableId, start: u64, count: u64) -> Result<(), Trap> {
    let inside = start.checked_add(count).is_some_and(|end| end <= store.table_size(table));
    if inside { Ok(()) } else { Err(Trap::TableOutOfBounds) }
}

pub(super) fn init(
    store: &mut Store,
    id: InstanceId,
    table: u32,
    segment: u32,
    at: u64,
    start: u32,
    count: u32,
) -> Result<(), CallError> {
    store.table_init(id, table, segment, at, start.into(), count.into())
}

pub(super) fn elem_drop(store: &mut Store, id: InstanceId, segment: u32) -> Result<(), CallError> {
    store.elem_drop(id, segment);
    Ok(())
}
