//! Frames that a collection of young objects need not look at again.
//!
//! A frame whose references have all been found settled (see `RootSet::for_each_unsettled`) stays as it is while it
//! waits for its callee: compiled code writes a frame's slots only while the frame runs. So of a deep stack only the
//! frames that have run since the last collection matter. To tell them from the rest, one return address is replaced:
//! the callee of the *marked* frame returns to a stub of ours, which moves the mark to an older frame and goes on where
//! the callee wanted to.
//!
//! **Invariant.** While a link holds [`stub`], the frame it returns to and all older ones of the store have settled
//! references only. What could break it, and why it does not:
//!
//! - *The marked frame is returned to*: the stub runs first.
//! - *It is unwound, by an exception or a trap*: the link is then no part of the stack any more. The mark is recognised
//!   by the link's value, met in a walk, and nowhere else; a frame pushed in the same place has a link of its own.
//! - *A tail call moves the return address*: its value moves with it, and the walk finds it where it is.
//! - *Two marks*: a walk that sets one has passed every live link younger than the new one, and taken the old one off.
//!
//! Whoever reads return addresses does it through the walker, which translates ([`Watermark::translate`]). A stack that
//! is not deep never gets a mark. Interpreted code has no mark: its return addresses are not the processor's.

use crate::activation;
use crate::walk::{FrameAt, Link, Walker};
use core::arch::naked_asm;
use core::cell::Cell;

/// Innermost frames that are never marked: they return soon.
const RECENT: usize = 16;
/// A mark is set, or moved up, when that many frames more are behind it.
const WORTHWHILE: usize = 32;
/// By how many frames the stub moves the mark down.
const STEP: usize = 64;

/// A store's mark.
#[derive(Default)]
pub(crate) struct Watermark {
    /// What the marked link held before.
    original: Cell<usize>,
}

impl Watermark {
    /// The return address that a link stands for, and whether the link is marked.
    pub(crate) fn translate(&self, found: usize) -> (usize, bool) {
        if found == stub as *const () as usize { (self.original.get(), true) } else { (found, false) }
    }

    /// Marks a link.
    ///
    /// # Safety
    ///
    /// It must be that of a frame on this thread's stack that no code runs in, met in a walk, and no other live link
    /// may be marked.
    unsafe fn mark(&self, link: Link) {
        let place = link.place as *mut usize;
        // SAFETY: the link is on the stack (the caller's promise), and the code that will read it runs later.
        unsafe {
            self.original.set(place.read());
            place.write(stub as *const () as usize);
        }
    }

    /// Takes the mark off.
    ///
    /// # Safety
    ///
    /// The link must be the marked one.
    unsafe fn unmark(&self, link: Link) {
        // SAFETY: as in `mark`.
        unsafe { (link.place as *mut usize).write(self.original.get()) };
    }
}

/// Finds the frame to mark, while a walk shows all frames that may have changed.
#[derive(Default)]
pub(crate) struct Search {
    frames: usize,
    /// The youngest frame from which on all are settled, leaving out the recent ones; and its position.
    candidate: Option<(Link, usize)>,
}

impl Search {
    /// The next older frame; `settled` says whether its references all are.
    pub(crate) fn frame(&mut self, link: Link, settled: bool) {
        if !settled {
            self.candidate = None;
        } else if self.candidate.is_none() && self.frames >= RECENT {
            self.candidate = Some((link, self.frames));
        }
        self.frames += 1;
    }

    /// The walk came to the marked frame, or, without a mark, to the end. Sets the mark, or moves it up.
    ///
    /// # Safety
    ///
    /// The links must be those of a walk over a store's frames, which no code has run in since; `mark` the store's own.
    pub(crate) unsafe fn finish(self, mark: &Watermark, marked: Option<Link>) {
        let Some((link, position)) = self.candidate else { return };
        if self.frames - position < WORTHWHILE {
            return;
        }
        // SAFETY: the caller's promise. Without a marked link in the walk there is none on the stack.
        unsafe {
            if let Some(old) = marked {
                mark.unmark(old);
            }
            mark.mark(link);
        }
    }
}

/// Moves the mark down, for the frame at `fp` is returned to. Answers where it goes on.
///
/// # Safety
///
/// Called by [`stub`] alone.
unsafe extern "C" fn passed(fp: usize) -> usize {
    let activation = activation::current();
    // SAFETY: a frame of compiled code is about to run, so the thread's innermost activation is the one that it belongs
    // to; the frame was marked, so its store has a mark. The walk begins at the frame and sees only frames that wait.
    unsafe {
        let mark = &*(*activation).watermark;
        let pc = mark.original.get();
        let mut walker = Walker::from_fault(FrameAt { pc, fp }, activation);
        if walker.nth(STEP).is_some() {
            mark.mark(walker.link());
        }
        pc
    }
}

/// Where the callee of a marked frame returns to. Results may be in any register that a callee may change, so all are
/// kept.
#[unsafe(naked)]
unsafe extern "C" fn stub() {
    naked_asm!(
        // Room for the address to go on at.
        "push rax",
        "push rax",
        "push rcx",
        "push rdx",
        "push rbx",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov rbx, rsp",
        "sub rsp, 256",
        "and rsp, -16",
        "movaps [rsp], xmm0",
        "movaps [rsp + 16], xmm1",
        "movaps [rsp + 32], xmm2",
        "movaps [rsp + 48], xmm3",
        "movaps [rsp + 64], xmm4",
        "movaps [rsp + 80], xmm5",
        "movaps [rsp + 96], xmm6",
        "movaps [rsp + 112], xmm7",
        "movaps [rsp + 128], xmm8",
        "movaps [rsp + 144], xmm9",
        "movaps [rsp + 160], xmm10",
        "movaps [rsp + 176], xmm11",
        "movaps [rsp + 192], xmm12",
        "movaps [rsp + 208], xmm13",
        "movaps [rsp + 224], xmm14",
        "movaps [rsp + 240], xmm15",
        "mov rdi, rbp",
        "call {passed}",
        "movaps xmm0, [rsp]",
        "movaps xmm1, [rsp + 16]",
        "movaps xmm2, [rsp + 32]",
        "movaps xmm3, [rsp + 48]",
        "movaps xmm4, [rsp + 64]",
        "movaps xmm5, [rsp + 80]",
        "movaps xmm6, [rsp + 96]",
        "movaps xmm7, [rsp + 112]",
        "movaps xmm8, [rsp + 128]",
        "movaps xmm9, [rsp + 144]",
        "movaps xmm10, [rsp + 160]",
        "movaps xmm11, [rsp + 176]",
        "movaps xmm12, [rsp + 192]",
        "movaps xmm13, [rsp + 208]",
        "movaps xmm14, [rsp + 224]",
        "movaps xmm15, [rsp + 240]",
        "mov rsp, rbx",
        "mov [rsp + 14 * 8], rax",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rbx",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "ret",
        passed = sym passed,
    )
}
