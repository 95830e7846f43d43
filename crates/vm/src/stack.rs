//! The thread's stack: how far compiled code may go down, and the alternate stack for signals.

use core::arch::asm;
use std::cell::Cell;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::ptr::null_mut;

/// Stack kept for Rust code that compiled code calls: collectors, host functions.
const HOST_RESERVE: usize = 256 << 10;
/// Size of an alternate stack that suffices for our handler and for one that it chains to.
const SIGNAL_STACK: usize = 64 << 10;

/// The current stack pointer.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let sp;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) sp, options(nomem, nostack, preserves_flags)) };
    sp
}

/// The lowest stack address that compiled code may use when it is entered now and may use `max` bytes.
pub(crate) fn limit(max: usize) -> usize {
    let lowest = THREAD.with(|t| t.lowest());
    stack_pointer().saturating_sub(max).max(lowest.saturating_add(HOST_RESERVE))
}

/// Bytes of the thread's stack below the current frame.
pub(crate) fn remaining() -> usize {
    stack_pointer().saturating_sub(THREAD.with(Thread::lowest))
}

/// Makes sure that the thread has an alternate stack for signals.
pub(crate) fn ensure_signal_stack() -> io::Result<()> {
    THREAD.with(Thread::ensure_signal_stack)
}

thread_local! {
    static THREAD: Thread = const { Thread { lowest: Cell::new(None), signal_stack: Cell::new(None) } };
}

struct Thread {
    lowest: Cell<Option<usize>>,
    /// Base of our alternate stack and the setting before it, or `Some(None)` when the thread had a good one.
    signal_stack: Cell<Option<Option<(*mut u8, libc::stack_t)>>>,
}

impl Thread {
    /// The lowest address of the thread's stack, 0 when unknown.
    fn lowest(&self) -> usize {
        if let Some(lowest) = self.lowest.get() {
            return lowest;
        }
        let lowest = find_lowest().unwrap_or(0);
        self.lowest.set(Some(lowest));
        lowest
    }

    fn ensure_signal_stack(&self) -> io::Result<()> {
        if self.signal_stack.get().is_some() {
            return Ok(());
        }
        // SAFETY: queries write `old` only; the new stack is a fresh mapping that lives until the thread ends.
        unsafe {
            let mut old: libc::stack_t = zeroed();
            if libc::sigaltstack(core::ptr::null(), &mut old) != 0 {
                return Err(io::Error::last_os_error());
            }
            if old.ss_flags & libc::SS_DISABLE == 0 && old.ss_size >= SIGNAL_STACK {
                self.signal_stack.set(Some(None));
                return Ok(());
            }
            let guard = crate::mapping::page_size();
            let (flags, size) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, guard + SIGNAL_STACK);
            let base = libc::mmap(null_mut(), size, libc::PROT_NONE, flags, -1, 0);
            if base == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let stack = base.cast::<u8>().add(guard).cast();
            let new = libc::stack_t { ss_sp: stack, ss_flags: 0, ss_size: SIGNAL_STACK };
            if libc::mprotect(stack, SIGNAL_STACK, libc::PROT_READ | libc::PROT_WRITE) != 0
                || libc::sigaltstack(&new, null_mut()) != 0
            {
                let error = io::Error::last_os_error();
                libc::munmap(base, size);
                return Err(error);
            }
            self.signal_stack.set(Some(Some((base.cast(), old))));
        }
        Ok(())
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(Some((base, old))) = self.signal_stack.get() {
            // SAFETY: the thread ends outside compiled code and outside handlers; the stack is ours and is replaced
            // first.
            unsafe {
                libc::sigaltstack(&old, null_mut());
                libc::munmap(base.cast(), crate::mapping::page_size() + SIGNAL_STACK);
            }
        }
    }
}

fn find_lowest() -> Option<usize> {
    // SAFETY: the attributes are initialised by the first call before they are read and destroyed.
    unsafe {
        let mut attributes = MaybeUninit::uninit();
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let (mut address, mut size) = (null_mut(), 0);
        let result = libc::pthread_attr_getstack(attributes.as_ptr(), &mut address, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (result == 0).then_some(address as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_lies_between_the_stack_pointer_and_the_end() {
        let sp = stack_pointer();
        assert!(limit(64 << 10) < sp && limit(64 << 10) >= sp - (128 << 10));
        let lowest = THREAD.with(Thread::lowest);
        assert!(lowest != 0 && limit(usize::MAX) == lowest + HOST_RESERVE);
        ensure_signal_stack().unwrap();
        std::thread::spawn(|| ensure_signal_stack().unwrap()).join().unwrap();
    }
}
