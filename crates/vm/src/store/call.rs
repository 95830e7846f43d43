//! Calls from Rust into compiled code.

use super::Store;
use crate::activation::Activation;
use crate::interpreter::Interpreter;
use crate::runtime::EntryStub;
use crate::{Backtrace, CallError, FuncId, TrapDetail, TrapInfo, ValRaw, stack};
use heapwright_gc_heap::{CompositeType, TypeId};
use heapwright_jit::abi::{SignatureKinds, StoreContext, Trap};

/// See [`Stubs::Entries`](heapwright_jit::Stubs::Entries).
type Trampoline = unsafe extern "C" fn(*const u8, *mut u8, *mut [u8; 16], *mut StoreContext) -> u32;

impl Store {
    /// Calls a function. `slots` holds the parameters and receives the results: its length is at least the larger of
    /// both numbers. References among the parameters need not be rooted; those among the results are unrooted.
    ///
    /// # Errors
    ///
    /// [`CallError`]; the contents of `slots` are then unspecified.
    pub fn call(&mut self, func: FuncId, slots: &mut [ValRaw]) -> Result<(), CallError> {
        let entry =
            self.state.func_entry(func.0).ok_or_else(|| CallError::host("the function is not of this store"))?;
        // SAFETY: the entry is one of the store's own, so its code and context belong together and have this signature.
        unsafe { self.call_raw(entry.code, entry.context, TypeId(entry.type_word), entry.signature, slots) }
    }

    /// Calls a function by its parts.
    ///
    /// # Safety
    ///
    /// `code` must be a function of type `ty`, whose signature id is `signature`, that expects the context `callee`,
    /// which must be one of this store's.
    pub(crate) unsafe fn call_raw(
        &mut self,
        code: *const u8,
        callee: *mut u8,
        ty: TypeId,
        signature: u32,
        slots: &mut [ValRaw],
    ) -> Result<(), CallError> {
        let stub = self.entry_stub(ty, signature)?;
        if slots.len() < stub.slots {
            return Err(CallError::host("too few slots for the parameters and results"));
        }
        // SAFETY: the caller's promise; the stub was made for the signature, and there are slots enough.
        unsafe { self.enter(code, callee, stub, slots.as_mut_ptr()) }
    }

    fn entry_stub(&mut self, ty: TypeId, signature: u32) -> Result<EntryStub, CallError> {
        if let Some(&stub) = self.state.entry_stubs.get(&signature) {
            return Ok(stub);
        }
        let runtime = &self.state.runtime;
        let definition = runtime.types().definition(ty);
        let CompositeType::Func(func) = &definition.composite else {
            return Err(CallError::trap(Trap::ForgedFunctionReference));
        };
        let stub = runtime.entry_stub(&SignatureKinds::of(func)).map_err(CallError::host)?;
        self.state.entry_stubs.insert(signature, stub);
        Ok(stub)
    }

    /// Enters compiled code.
    ///
    /// # Safety
    ///
    /// As [`call_raw`](Self::call_raw); `stub` must be the trampoline of the function's signature and `slots` have room
    /// for its parameters and results.
    unsafe fn enter(
        &mut self,
        code: *const u8,
        callee: *mut u8,
        stub: EntryStub,
        slots: *mut ValRaw,
    ) -> Result<(), CallError> {
        if self.state.poisoned {
            return Err(CallError::trap(Trap::HeapCorrupted));
        }
        let interpreter = self.state.interpreter().map_err(CallError::host)?;
        if interpreter.is_none() {
            stack::ensure_signal_stack().map_err(CallError::host)?;
        }
        let context = self.state.context();
        let outer = self.state.activation;
        let max_stack = self.state.config.max_wasm_stack;
        let (guarded, trace) = (&raw const *self.state.guarded, &raw const *self.state.trace);
        let mut activation = Activation::new(context, stub.handler, stub.sp_distance, outer, guarded, trace);
        activation.watermark = self.state.watermark.as_deref().map_or(core::ptr::null(), |mark| mark);
        let store: *mut Store = self;
        // From here to the end of the call the store is reached through this pointer only: compiled code passes it to
        // builtins and host functions, each of which borrows it while compiled code stands still.
        //
        // SAFETY: the context is valid as long as the store, which `self` borrows for the whole call. The activation
        // stays where it is until it ends. The trampoline is what its type says (the compiler's promise).
        unsafe {
            if outer.is_null() {
                (*context).stack_limit = stack::limit(max_stack);
            }
            if stack::stack_pointer() <= (*context).stack_limit {
                return Err(CallError::trap(Trap::StackOverflow));
            }
            let outer_store = core::mem::replace(&mut (*context).store, store.cast());
            activation.begin();
            (*store).state.activation = &activation;
            let status = match interpreter {
                None => {
                    let trampoline: Trampoline = core::mem::transmute(stub.code);
                    trampoline(code, callee, slots.cast(), context)
                }
                Some(interpreter) => {
                    let args = [code as u64, callee as u64, slots as u64, context as u64];
                    Interpreter::enter(interpreter.as_ptr(), stub.code, args, &raw const activation)
                }
            };
            activation.end();
            (*context).store = outer_store;
            (*store).state.activation = outer;
            if status == 0 { Ok(()) } else { Err((*store).outcome(&mut activation)) }
        }
    }

    /// Why a call came back through the trampoline's handler.
    #[cold]
    fn outcome(&mut self, activation: &mut Activation) -> CallError {
        if let Some(error) = activation.raised.get_mut().take() {
            return error;
        }
        let Some(fault) = activation.fault.take() else { return CallError::trap(Trap::Internal) };
        let detail = fault.address.filter(|_| fault.trap == Trap::HeapCorrupted).map(TrapDetail::Fault);
        let backtrace = Backtrace::resolve_raw(&self.state.trace);
        let error = CallError::Trap(Box::new(TrapInfo { trap: fault.trap, backtrace, detail }));
        self.state.note(&error);
        error
    }
}
