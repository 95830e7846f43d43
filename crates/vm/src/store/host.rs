//! Host functions.

use super::Store;
use crate::{CallError, InstanceId, ValRaw, unwind};
use core::ffi::c_void;
use core::marker::PhantomData;
use heapwright_jit::abi::HostFuncContext;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

/// A host function: parameters are in the slots when it is called, results when it returns. There are as many slots as
/// the larger of both numbers, and at least one.
///
/// References among the parameters are unrooted: they are valid until the function does something that may collect.
/// Roots that it adds to the innermost scope of [`HostRoots`](crate::HostRoots) are dropped when it returns; references
/// among the results need no root.
pub type HostFn = dyn Fn(&mut HostCall<'_>, &mut [ValRaw]) -> Result<(), CallError> + Send + Sync;

/// A call of a host function by compiled code or by the host.
pub struct HostCall<'a> {
    store: *mut Store,
    instance: Option<InstanceId>,
    _borrow: PhantomData<&'a mut Store>,
}

impl HostCall<'_> {
    /// A call that no function made: the host is asked something.
    pub(super) fn of_store(store: &mut Store) -> HostCall<'_> {
        HostCall { store, instance: None, _borrow: PhantomData }
    }

    /// The store.
    pub fn store(&mut self) -> &mut Store {
        // SAFETY: the pointer comes from the `&mut Store` of the innermost call, which is not used until this call
        // returns (kept by the host-call path), and the borrow is of `self`.
        unsafe { &mut *self.store }
    }

    /// The store as a pointer: valid during the call.
    pub fn store_ptr(&self) -> *mut Store {
        self.store
    }

    /// The instance that imported the function; `None` when the host calls the function that it made itself.
    pub fn instance(&self) -> Option<InstanceId> {
        self.instance
    }

    /// What the embedder keeps with the store.
    pub fn host_data(&mut self) -> *mut c_void {
        self.store().host_data()
    }
}

/// A host function's code, at a stable address.
pub(crate) struct HostFunc(NonNull<HostFn>);

impl HostFunc {
    pub(crate) fn new(f: Box<HostFn>) -> HostFunc {
        HostFunc(NonNull::from(Box::leak(f)))
    }
}

impl Drop for HostFunc {
    fn drop(&mut self) {
        // SAFETY: made by `Box::leak` in `new`; it goes with its store, when no call is in progress.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The context of a host function as one instance imported it.
#[repr(C)]
pub(crate) struct HostContext {
    abi: HostFuncContext,
    func: NonNull<HostFn>,
    slots: usize,
    instance: Option<InstanceId>,
}

impl HostContext {
    /// A context for `func`, which the store keeps, in that store.
    pub(crate) fn new(
        store: *mut heapwright_jit::abi::StoreContext,
        func: &HostFunc,
        slots: usize,
        instance: Option<InstanceId>,
    ) -> HostContext {
        let abi = HostFuncContext { store, call: call_host };
        HostContext { abi, func: func.0, slots: slots.max(1), instance }
    }

    /// The same function for another instance.
    pub(crate) fn for_instance(&self, instance: InstanceId) -> HostContext {
        let abi = HostFuncContext { ..self.abi };
        HostContext { abi, instance: Some(instance), ..*self }
    }
}

/// What host-call stubs of machine code call.
unsafe extern "C" fn call_host(context: *mut HostFuncContext, slots: *mut [u8; 16]) {
    // SAFETY: the stub's promise; nothing is owned here.
    unsafe { interpret_host_call(context, slots).unwrap_or_else(|target| unwind::jump(target)) }
}

/// Runs a host function. An error is where compiled code is to go on.
///
/// # Safety
///
/// Called by a host-call stub with its context and as many slots as that says.
pub(crate) unsafe fn interpret_host_call(
    context: *mut HostFuncContext,
    slots: *mut [u8; 16],
) -> Result<(), unwind::Target> {
    let context: *const HostContext = context.cast();
    // SAFETY: the stub passes the context of the function called, which lives as long as its store; the store's pointer
    // is set during calls (kept by `Store::enter`), and compiled code stands still, so the store may be borrowed.
    let (store, func, slots, instance) = unsafe {
        let HostContext { abi, func, slots: count, instance } = &*context;
        let store: *mut Store = (*abi.store).store.cast();
        let slots = core::slice::from_raw_parts_mut(slots.cast::<ValRaw>(), *count);
        (store, func.as_ref(), slots, *instance)
    };
    // SAFETY: as above.
    let scope = unsafe { (*store).state.roots.enter() };
    let mut call = HostCall { store, instance, _borrow: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| func(&mut call, slots)));
    // SAFETY: as above.
    unsafe {
        check_identity(store, (*context).abi.store);
        (*store).state.roots.exit(scope);
        settle(store, result)
    }
}

/// Ends the process when host code exchanged the store for another during a call.
///
/// # Safety
///
/// `store` must point at a store.
pub(crate) unsafe fn check_identity(store: *const Store, context: *const heapwright_jit::abi::StoreContext) {
    // SAFETY: the caller's promise.
    if unsafe { (*store).state.context() }.cast_const() != context {
        log::error!("a store was replaced during a call");
        std::process::abort();
    }
}

/// The result for compiled code, or where that is to go on instead.
///
/// # Safety
///
/// `store` is the store whose compiled code called the builtin or host function, through a stub.
pub(crate) unsafe fn settle<R>(
    store: *mut Store,
    result: std::thread::Result<Result<R, CallError>>,
) -> Result<R, unwind::Target> {
    let error = match result {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(error)) => error,
        Err(panic) => CallError::Panic(panic),
    };
    // SAFETY: the caller's promise.
    Err(unsafe { unwind::prepare(&mut *store, error) })
}
