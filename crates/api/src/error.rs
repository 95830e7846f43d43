//! Errors: what lies behind an [`Error`](crate::Error) that a call returned. Use `downcast_ref` to find out.

use crate::store::StoreOpaque;
use crate::{Error, ExnRef, OwnedRooted, WasmBacktrace};
use heapwright_gc_heap::AllocError;
use heapwright_vm::{CallError, GrowthRefused, InstantiateError, ResourceError, TrapDetail};
use std::fmt;
use std::sync::Arc;

pub use heapwright_jit::abi::Trap as TrapCode;
pub use heapwright_vm::LinkError;

/// Why execution stopped.
#[derive(Clone, Debug)]
pub struct Trap {
    code: TrapCode,
    message: String,
    backtrace: WasmBacktrace,
}

impl Trap {
    /// The trap's number and name.
    pub fn code(&self) -> TrapCode {
        self.code
    }

    /// The compiled frames at the trap, innermost first.
    pub fn backtrace(&self) -> &WasmBacktrace {
        &self.backtrace
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trap {}

/// The GC heap was full. The store is still usable: what can be collected will be.
#[derive(Clone, Debug)]
pub struct GcHeapOutOfMemory {
    /// Bytes asked for.
    pub requested: u64,
    /// Bytes live after the last collection.
    pub live: u64,
    /// The heap's maximum size in bytes.
    pub max: u64,
    /// The compiled frames at the allocation, innermost first.
    pub backtrace: WasmBacktrace,
}

impl fmt::Display for GcHeapOutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GcHeapOutOfMemory { requested, live, max, .. } = self;
        write!(f, "GC heap out of memory: {requested} bytes asked for, {live} live, {max} at most")
    }
}

impl std::error::Error for GcHeapOutOfMemory {}

/// An exception that no handler caught. It holds the exception, so it can be examined or thrown again.
#[derive(Clone, Debug)]
pub struct ThrownException {
    pub(crate) exception: Arc<OwnedRooted<ExnRef>>,
    pub(crate) backtrace: WasmBacktrace,
}

impl ThrownException {
    /// An error that, returned by a host function, throws `exception` into its caller.
    pub fn new(exception: OwnedRooted<ExnRef>) -> ThrownException {
        ThrownException { exception: Arc::new(exception), backtrace: WasmBacktrace::default() }
    }

    /// The compiled frames where it was thrown (or last thrown again), innermost first. Empty for an exception that
    /// only the host has had in its hands.
    pub fn backtrace(&self) -> &WasmBacktrace {
        &self.backtrace
    }

    /// The exception.
    pub fn exception(&self) -> &OwnedRooted<ExnRef> {
        &self.exception
    }
}

impl fmt::Display for ThrownException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("uncaught exception")
    }
}

impl std::error::Error for ThrownException {}

/// Turns the vm's answer into an error of this crate. A panic goes on unwinding.
pub(crate) fn from_call(store: &mut StoreOpaque, error: CallError) -> Error {
    match error {
        CallError::Trap(info) => {
            let backtrace = WasmBacktrace::from_vm(&store.engine, &info.backtrace);
            if let Some(TrapDetail::Alloc(AllocError::OutOfMemory { requested, live, max })) = info.detail {
                return GcHeapOutOfMemory { requested, live, max, backtrace }.into();
            }
            Trap { code: info.trap, message: info.to_string(), backtrace }.into()
        }
        CallError::Exception => match store.take_thrown() {
            Ok(thrown) => thrown.into(),
            Err(e) => e,
        },
        CallError::Host { error, backtrace } => {
            // Errors of this crate's host functions travel wrapped; what comes out is what the host function returned.
            let error = match error.downcast::<HostError>() {
                Ok(host) => host.0,
                // A limiter's answer.
                Err(other) => match other.downcast::<GrowthRefused>() {
                    Ok(refused) => Error::new(*refused),
                    Err(other) => Error::from_boxed(other),
                },
            };
            if backtrace.frames.is_empty() {
                error
            } else {
                error.context(WasmBacktrace::from_vm(&store.engine, &backtrace))
            }
        }
        CallError::Panic(payload) => std::panic::resume_unwind(payload),
    }
}

/// A host function's error on its way through the vm.
#[derive(Debug)]
struct HostError(Error);

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for HostError {}

/// Turns a host function's error into what the vm carries through compiled frames.
pub(crate) fn to_call(store: &mut StoreOpaque, error: Error) -> CallError {
    if let Some(thrown) = error.downcast_ref::<ThrownException>() {
        return match thrown.exception.gc_ref(store) {
            Ok(exception) => {
                store.vm.set_exception(exception);
                store.vm.set_exception_backtrace(thrown.backtrace.to_vm());
                CallError::Exception
            }
            Err(e) => CallError::host(HostError(e.into())),
        };
    }
    match error.downcast::<TrapCode>() {
        Ok(code) => CallError::trap(code),
        Err(error) => CallError::host(HostError(error)),
    }
}

pub(crate) fn from_instantiate(store: &mut StoreOpaque, error: InstantiateError) -> Error {
    match error {
        InstantiateError::Link(e) => e.into(),
        InstantiateError::Call(e) => from_call(store, e),
        InstantiateError::Resource(what) => Error::msg(what),
        InstantiateError::Exhausted(e) => e.into(),
    }
}

pub(crate) fn from_resource(error: ResourceError) -> Error {
    match error {
        ResourceError::Memory(e) => e.into(),
        ResourceError::Exhausted(e) => e.into(),
    }
}

/// Allocation on behalf of the host failed.
pub(crate) fn from_alloc(store: &mut StoreOpaque, error: AllocError) -> Error {
    from_call(store, CallError::from(error))
}
