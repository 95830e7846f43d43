//! Linear memories and data segments.

use super::chunks::{Unit, in_chunks};
use crate::{CallError, InstanceId, Store};
use heapwright_jit::abi::Trap;

fn out_of_bounds() -> CallError {
    CallError::trap(Trap::MemoryOutOfBounds)
}

pub(super) fn grow(store: &mut Store, id: InstanceId, memory: u32, delta: u64) -> Result<i64, CallError> {
    let memory = store.state.instances[id.0 as usize].memory(memory);
    Ok(store.memory_grow(memory, delta)?.map_or(-1, |old| old as i64))
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
    let instance = &store.state.instances[id.0 as usize];
    let (to, from) = (instance.memory(to).0 as usize, instance.memory(from).0 as usize);
    store.state.memories[from].range(start, count).ok_or_else(out_of_bounds)?;
    store.state.memories[to].range(at, count).ok_or_else(out_of_bounds)?;
    // From the end on which the ranges overlap, so that no chunk is overwritten before it is read.
    let upwards = to != from || at <= start;
    in_chunks(store, Unit::Byte, count, upwards, |store, offset, count| {
        let memories = &mut store.state.memories;
        // A memory never shrinks, whatever ran between the chunks.
        let source = memories[from].range(start + offset, count).ok_or_else(out_of_bounds)?;
        let target = memories[to].range(at + offset, count).ok_or_else(out_of_bounds)?;
        if to == from {
            memories[to].data_mut().copy_within(source, target.start);
        } else if let Ok([to, from]) = memories.get_disjoint_mut([to, from]) {
            to.data_mut()[target].copy_from_slice(&from.data()[source]);
        }
        Ok(())
    })
}

pub(super) fn fill(
    store: &mut Store,
    id: InstanceId,
    memory: u32,
    at: u64,
    byte: u32,
    count: u64,
) -> Result<(), CallError> {
    let memory = store.state.instances[id.0 as usize].memory(memory).0 as usize;
    store.state.memories[memory].range(at, count).ok_or_else(out_of_bounds)?;
    in_chunks(store, Unit::Byte, count, true, |store, offset, count| {
        let memory = &mut store.state.memories[memory];
        let range = memory.range(at + offset, count).ok_or_else(out_of_bounds)?;
        memory.data_mut()[range].fill(byte as u8);
        Ok(())
    })
}

pub(super) fn init(
    store: &mut Store,
    id: InstanceId,
    memory: u32,
    segment: u32,
    at: u64,
    start: u32,
    count: u32,
) -> Result<(), CallError> {
    store.memory_init(id, memory, segment, at, start.into(), count.into())
}

pub(super) fn data_drop(store: &mut Store, id: InstanceId, segment: u32) -> Result<(), CallError> {
    store.data_drop(id, segment);
    Ok(())
}
