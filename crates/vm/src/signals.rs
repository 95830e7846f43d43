//! Hardware faults of compiled code become traps.
//!
//! The handler runs on an alternate stack, takes no lock and allocates nothing. It acts only when the program counter
//! lies in registered module code and the thread is inside a call into compiled code; everything else goes to whoever
//! handled the signal before.

use crate::activation::{self, Fault, Guarded};
use crate::code::Snapshot;
use crate::unwind::Target;
use crate::walk::{FrameAt, Walker};
use core::ffi::{c_int, c_void};
use heapwright_gc_heap::NULL_PAGE_BYTES;
use heapwright_jit::abi::Trap;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::ptr::null_mut;
use std::sync::{Mutex, OnceLock, PoisonError};

const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What handled each signal before.
struct Previous([libc::sigaction; 4]);

static PREVIOUS: OnceLock<Previous> = OnceLock::new();
static INSTALLING: Mutex<()> = Mutex::new(());

/// Installs the handlers, once per process.
pub(crate) fn install() -> io::Result<()> {
    let _lock = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if PREVIOUS.get().is_some() {
        return Ok(());
    }
    let mut previous = Vec::new();
    for signal in SIGNALS {
        let mut old = MaybeUninit::uninit();
        // SAFETY: querying an action writes `old` only.
        if unsafe { libc::sigaction(signal, core::ptr::null(), old.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: written by the call.
        previous.push(unsafe { old.assume_init() });
    }
    let previous = previous.try_into().unwrap_or_else(|_| unreachable!("one action a signal"));
    // Before the handlers can run: they read it.
    let _ = PREVIOUS.set(Previous(previous));
    for signal in SIGNALS {
        // SAFETY: an all-zero action is valid, and `handle` has the type that SA_SIGINFO asks for and keeps to what a
        // handler may do.
        let result = unsafe {
            let mut action: libc::sigaction = zeroed();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigemptyset(&mut action.sa_mask);
            libc::sigaction(signal, &action, null_mut())
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn handle(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes a valid record and context to an SA_SIGINFO handler.
    unsafe {
        if !try_handle(signal, &*info, &mut *context.cast()) {
            chain(signal, info, context);
        }
    }
}

/// Turns a fault of compiled code into a trap: true when execution is to go on at the entry trampoline's handler.
///
/// # Safety
///
/// Called from the signal handler of a synchronous fault.
unsafe fn try_handle(signal: c_int, info: &libc::siginfo_t, context: &mut libc::ucontext_t) -> bool {
    let activation = activation::current();
    if activation.is_null() {
        return false;
    }
    let registers = &mut context.uc_mcontext.gregs;
    let at = FrameAt { pc: registers[libc::REG_RIP as usize] as usize, fp: registers[libc::REG_RBP as usize] as usize };
    let code = Snapshot::take_in_handler();
    let Some(found) = code.instruction(at.pc) else { return false };
    let listed = found.trap();
    let address = match signal {
        // SAFETY: these signals carry an address.
        libc::SIGSEGV | libc::SIGBUS => Some(unsafe { info.si_addr() } as usize),
        _ => None,
    };
    // SAFETY: the thread's innermost activation is alive; its store's ranges and trace buffer live as long as the
    // store, which the call in progress borrows.
    unsafe {
        let activation = &*activation;
        let Some(trap) = classify(listed, address, &*activation.guarded) else { return false };
        let trace = &*activation.trace;
        trace.count.set(0);
        if trace.wanted {
            Walker::from_fault(at, activation).for_each(|frame| trace.push(frame.pc));
        }
        activation.fault.set(Some(Fault { trap, address }));
        let target = Target::entry(activation);
        registers[libc::REG_RIP as usize] = target.pc() as i64;
        registers[libc::REG_RBP as usize] = target.fp() as i64;
        registers[libc::REG_RSP as usize] = target.sp() as i64;
    }
    true
}

/// What a fault in compiled code means; `None` when it is none of ours.
///
/// A fault inside the store's own regions means that their contents are not what the engine wrote, whatever the
/// instruction's metadata says; only the null page is a place where correct code faults. Elsewhere only an access to a
/// linear memory may fault: an access to the GC heap that does has left its reservation, and must not pass for a null
/// reference.
fn classify(listed: Option<Trap>, address: Option<usize>, guarded: &Guarded) -> Option<Trap> {
    match address {
        Some(address) if guarded.in_tables(address) => Some(Trap::HeapCorrupted),
        Some(address) if guarded.in_heap(address) => {
            let null_page = address - guarded.heap.get().0 < NULL_PAGE_BYTES as usize;
            listed.filter(|_| null_page).or(Some(Trap::HeapCorrupted))
        }
        Some(_) => listed.filter(|trap| *trap == Trap::MemoryOutOfBounds),
        None => listed,
    }
}

/// Does what would have happened without our handler.
///
/// # Safety
///
/// Called from the signal handler with its arguments.
unsafe fn chain(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let Some(i) = SIGNALS.iter().position(|&s| s == signal) else { return };
    let Some(Previous(previous)) = PREVIOUS.get() else { return };
    let action = &previous[i];
    // SAFETY: the action was installed for this signal, with the type that its flags say.
    unsafe {
        if action.sa_sigaction == libc::SIG_DFL || action.sa_sigaction == libc::SIG_IGN {
            // A synchronous fault cannot be ignored: back to the instruction, under the default action.
            let mut default: libc::sigaction = zeroed();
            default.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &default, null_mut());
        } else if action.sa_flags & libc::SA_SIGINFO != 0 {
            let handler = core::mem::transmute::<usize, extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void)>(
                action.sa_sigaction,
            );
            handler(signal, info, context);
        } else {
            let handler = core::mem::transmute::<usize, extern "C" fn(c_int)>(action.sa_sigaction);
            handler(signal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_classified_by_place_before_metadata() {
        let guarded = Guarded::default();
        guarded.heap.set((0x10_0000_0000, 0x11_0010_0000));
        guarded.type_space.set((0x20_0000_0000, 0x21_0000_0000));
        let null = Some(Trap::NullStructReference);
        let cases = [
            (null, Some(0x10_0000_0008), null),
            (None, Some(0x10_0000_0008), Some(Trap::HeapCorrupted)),
            (null, Some(0x10_0001_0000), Some(Trap::HeapCorrupted)),
            (null, Some(0x20_0000_0040), Some(Trap::HeapCorrupted)),
            (Some(Trap::MemoryOutOfBounds), Some(0x30_0000_0000), Some(Trap::MemoryOutOfBounds)),
            (None, Some(0x30_0000_0000), None),
            (null, Some(0x30_0000_0000), None),
            (Some(Trap::CastFailure), Some(0x0f_ffff_fff8), None),
            (Some(Trap::Unreachable), None, Some(Trap::Unreachable)),
            (None, None, None),
        ];
        for (listed, address, expect) in cases {
            assert_eq!(classify(listed, address, &guarded), expect, "{listed:?} {address:x?}");
        }
    }
}
