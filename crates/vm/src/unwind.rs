//! Leaving builtins and host functions other than by returning: to an exception handler, or to the entry trampoline.
//!
//! [`prepare`] decides where to; it is the same for machine code and for an interpreter, whose frames look alike.
//! Machine code is reached by a [`jump`] that skips the Rust frames between the builtin and the compiled code that
//! called it. Those are the `extern "C"` shells in `builtins` and `store::host`, which own nothing when they jump. An
//! interpreter sets its registers and goes on.

use crate::activation::Activation;
use crate::code::Snapshot;
use crate::store::Store;
use crate::walk::Walker;
use crate::{Backtrace, CallError};
use core::arch::asm;
use heapwright_gc_heap::{BadReference, GcRef, Value};
use heapwright_jit::abi::{InstanceLayout, StoreContext, Trap};

/// Where to jump.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pc: usize,
    fp: usize,
    sp: usize,
    payload: usize,
}

impl Target {
    /// The catch-all handler of an activation.
    ///
    /// # Safety
    ///
    /// The activation's call must be in progress, with its trampoline's frame recorded in the context.
    pub(crate) unsafe fn entry(activation: &Activation) -> Target {
        // SAFETY: the caller's promise.
        let fp = unsafe { (*activation.context).entry_fp };
        Target { pc: activation.handler, fp, sp: fp - activation.sp_distance, payload: 0 }
    }

    pub(crate) fn pc(&self) -> usize {
        self.pc
    }
    pub(crate) fn fp(&self) -> usize {
        self.fp
    }
    pub(crate) fn sp(&self) -> usize {
        self.sp
    }
    /// What the first payload register must hold.
    pub(crate) fn payload(&self) -> usize {
        self.payload
    }
}

/// Jumps. Always called, never inlined: a call that does not return is where AddressSanitizer forgets what it knows of
/// the frames that are left behind.
///
/// # Safety
///
/// The target must be a handler of a frame on this thread's stack, and no frame above it may own anything.
#[inline(never)]
pub(crate) unsafe fn jump(target: Target) -> ! {
    // SAFETY: handlers expect the frame's stack and frame pointers and two payload registers (rax and rdx under the
    // `Tail` convention), and take no other register to hold anything.
    unsafe {
        asm!(
            "mov rsp, rsi",
            "mov rbp, rcx",
            "jmp rdi",
            in("rdi") target.pc,
            in("rsi") target.sp,
            in("rcx") target.fp,
            in("rax") target.payload,
            in("rdx") 0usize,
            options(noreturn)
        )
    }
}

/// Decides where an error goes and leaves it there: an exception to its handler, anything else (and an exception
/// without handler in this activation) to the entry trampoline.
///
/// # Safety
///
/// Called on behalf of a builtin or host function that compiled code of `store`'s innermost activation called through a
/// stub.
pub(crate) unsafe fn prepare(store: &mut Store, mut error: CallError) -> Target {
    let activation = store.state.activation;
    let context = store.state.context();
    if matches!(error, CallError::Exception) {
        match store.state.exception {
            GcRef::NULL => error = CallError::trap(Trap::NullExceptionReference),
            // SAFETY: the caller's promise.
            exception => match unsafe { find_handler(store, exception) } {
                Ok(Some(target)) => {
                    store.state.exception = GcRef::NULL;
                    return target;
                }
                Ok(None) => {}
                Err(corrupted) => error = corrupted,
            },
        }
    }
    store.state.note(&error);
    if store.state.captures_backtraces() {
        match &mut error {
            CallError::Trap(info) => fill(&mut info.backtrace, context, activation),
            CallError::Host { backtrace, .. } => fill(backtrace, context, activation),
            CallError::Exception => fill(&mut store.state.exception_backtrace, context, activation),
            CallError::Panic(_) => {}
        }
    }
    // SAFETY: the activation is in progress; only this thread looks at the record, and the signal handler does not
    // touch `raised`.
    unsafe {
        *(*activation).raised.get() = Some(error);
        Target::entry(&*activation)
    }
}

fn fill(backtrace: &mut Backtrace, context: *const StoreContext, activation: *const Activation) {
    if backtrace.frames.is_empty() {
        // SAFETY: both belong to a store whose compiled code is not running now, for a builtin or a host function is.
        let walker = unsafe { Walker::all(context, activation) };
        *backtrace = Backtrace::resolve(walker.map(|f| f.pc), false);
    }
}

/// Finds the innermost handler of the current activation for an exception.
///
/// # Safety
///
/// As [`prepare`].
unsafe fn find_handler(store: &mut Store, exception: GcRef) -> Result<Option<Target>, CallError> {
    let tag = store.exception_tag_word(exception)?;
    let code = Snapshot::take();
    // SAFETY: the caller's promise.
    for frame in unsafe { Walker::innermost(store.state.context(), store.state.activation) } {
        let Some(at) = code.return_to(frame.pc) else { continue };
        let Some(found) = at.handlers() else { continue };
        let context = (frame.fp - found.context as usize) as *const *const u8;
        for handler in found.handlers {
            let matches = match handler.tag {
                None => true,
                // SAFETY: the compiler keeps the instance context there while the call is in progress, and a context of
                // this module has a tag id there.
                Some(index) => unsafe { tag_id(context.read(), &at.module.layout, index) == tag },
            };
            if matches {
                return Ok(Some(Target {
                    pc: at.object.at(handler.code) as usize,
                    fp: frame.fp,
                    sp: frame.fp - found.frame_size as usize,
                    payload: exception.raw() as usize,
                }));
            }
        }
    }
    Ok(None)
}

/// # Safety
///
/// `context` must be an instance context with this layout.
unsafe fn tag_id(context: *const u8, layout: &InstanceLayout, index: u32) -> u32 {
    // SAFETY: the caller's promise.
    unsafe { context.add(layout.tag_id(index) as usize).cast::<u32>().read() }
}

impl Store {
    /// The tag id of an exception object, validated.
    pub(crate) fn exception_tag_word(&mut self, exception: GcRef) -> Result<u32, CallError> {
        let wrong = |what| heapwright_gc_heap::HeapCorrupted { what, at: exception.raw() };
        let heap = self.heap.as_mut().ok_or_else(|| wrong("exception without a heap"))?;
        if heap.type_of(exception).map(|t| t.kind) != Ok(heapwright_gc_heap::TypeKind::Exception) {
            return Err(wrong("thrown reference is no exception").into());
        }
        match heap.get_field(exception, 0) {
            Ok(Value::I32(tag)) => Ok(tag),
            Err(BadReference::Corrupted(e)) => Err(e.into()),
            _ => Err(wrong("exception has no tag").into()),
        }
    }
}
