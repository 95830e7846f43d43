//! Allocation, barriers and exceptions.

use crate::{CallError, InstanceId, Store};
use heapwright_gc_heap::barrier::SlowCall;
use heapwright_gc_heap::{GcRef, TypeId};
use heapwright_jit::abi::Trap;

pub(super) fn alloc_object(store: &mut Store, _: InstanceId, ty: u32, length: u32) -> Result<(), CallError> {
    let (heap, state) = store.heap_for_code()?;
    let object = heap.alloc(TypeId(ty), length, state)?;
    // SAFETY: the context is the store's own, and compiled code stands still.
    unsafe { (*state.context()).slow_result = object.raw() };
    Ok(())
}

pub(super) fn barrier_slow(
    store: &mut Store,
    _: InstanceId,
    call: u32,
    a0: u32,
    a1: u32,
    a2: u32,
    a3: u32,
) -> Result<(), CallError> {
    let (heap, _) = store.heap_for_code()?;
    Ok(heap.barrier_slow(SlowCall(call as u8), [a0, a1, a2, a3])?)
}

pub(super) fn buffer_full(store: &mut Store, _: InstanceId, index: u32) -> Result<(), CallError> {
    let (heap, _) = store.heap_for_code()?;
    Ok(heap.buffer_full(index as usize)?)
}

pub(super) fn throw(store: &mut Store, _: InstanceId, exception: u32) -> Result<(), CallError> {
    if exception == 0 {
        return Err(CallError::trap(Trap::NullExceptionReference));
    }
    store.set_exception(GcRef::from_raw(exception));
    Err(CallError::Exception)
}
