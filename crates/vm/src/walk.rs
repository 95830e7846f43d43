//! The one stack walker: backtraces, roots and exception handlers all use it.

use crate::activation::{Activation, MAX_FRAMES, RawTrace};
use crate::code::Snapshot;
use crate::watermark::Watermark;
use crate::{Backtrace, Frame};
use heapwright_jit::abi::StoreContext;
use std::ptr::null;

/// A compiled frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameAt {
    /// The address to which the frame's callee returns; of a frame that trapped, the instruction that did.
    pub(crate) pc: usize,
    /// The frame pointer.
    pub(crate) fp: usize,
}

/// Walks the compiled frames of one activation after the other, innermost first.
///
/// The stack of compiled code is not writable by the guest, so frame links are trusted; they were written by code
/// that keeps frame pointers (the compiler's promise), between `exit_fp` (written by the stub that left compiled code)
/// and `entry_fp` (written by the trampoline that entered it).
pub(crate) struct Walker {
    at: FrameAt,
    /// Where `at.pc` was read, and the same of the frame shown last.
    links: [Link; 2],
    entry_fp: usize,
    activation: *const Activation,
    all: bool,
    /// The store's mark, or null: see [`crate::watermark`].
    watermark: *const Watermark,
}

/// Where the return address into a frame stands.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// Its place; 0 when the frame was interrupted.
    pub(crate) place: usize,
    /// Whether it is marked.
    pub(crate) marked: bool,
}

impl Walker {
    /// Walks every frame of a store. `activation` is its innermost activation or null.
    ///
    /// # Safety
    ///
    /// `context` and `activation` must be those of a live store, which no compiled code runs in while the walk goes on
    /// (this thread has left it).
    pub(crate) unsafe fn all(context: *const StoreContext, activation: *const Activation) -> Walker {
        if activation.is_null() {
            let at = FrameAt { pc: 0, fp: 0 };
            let (links, watermark) = (Default::default(), null());
            return Walker { at, links, entry_fp: 0, activation, all: false, watermark };
        }
        // SAFETY: the caller vouches for the context and the activation.
        unsafe {
            let (exit_fp, entry_fp) = ((*context).exit_fp, (*context).entry_fp);
            let mut walker = Walker::from_fault(FrameAt { pc: 0, fp: 0 }, activation);
            walker.entry_fp = entry_fp;
            walker.exit(exit_fp);
            walker
        }
    }

    /// Walks the frames of the innermost activation only.
    ///
    /// # Safety
    ///
    /// As [`all`](Self::all).
    pub(crate) unsafe fn innermost(context: *const StoreContext, activation: *const Activation) -> Walker {
        // SAFETY: the caller's promise.
        Walker { all: false, ..unsafe { Walker::all(context, activation) } }
    }

    /// Walks every frame of a store, beginning with one that was interrupted.
    ///
    /// # Safety
    ///
    /// As [`all`](Self::all); `at` must be a frame of the innermost activation.
    pub(crate) unsafe fn from_fault(at: FrameAt, activation: *const Activation) -> Walker {
        // SAFETY: the caller's promise.
        let (entry_fp, watermark) = unsafe { ((*(*activation).context).entry_fp, (*activation).watermark) };
        Walker { at, links: Default::default(), entry_fp, activation, all: true, watermark }
    }

    /// The link of the frame that was shown last.
    pub(crate) fn link(&self) -> Link {
        self.links[1]
    }

    /// Goes on with the frame that a stub returns to.
    ///
    /// # Safety
    ///
    /// `exit_fp` must be 0 or a stub's frame pointer.
    unsafe fn exit(&mut self, exit_fp: usize) {
        if exit_fp == 0 {
            // Compiled code was not left through a stub: there is no frame to see.
            self.at = FrameAt { pc: 0, fp: self.entry_fp };
        } else {
            // SAFETY: the caller's promise.
            unsafe { self.caller_of(exit_fp) };
        }
    }

    /// Goes on with the caller of the frame at `fp`.
    ///
    /// # Safety
    ///
    /// `fp` must be a frame pointer of a frame that is on the stack.
    #[inline(always)]
    unsafe fn caller_of(&mut self, fp: usize) {
        let saved = fp as *const usize;
        // SAFETY: the prologue stores the caller's frame pointer there, below the return address. The mark is the
        // store's.
        unsafe {
            let place = saved.add(1);
            let (pc, marked) = match self.watermark.as_ref() {
                Some(mark) => mark.translate(place.read()),
                None => (place.read(), false),
            };
            self.links[0] = Link { place: place as usize, marked };
            self.at = FrameAt { fp: saved.read(), pc };
        }
    }
}

impl Iterator for Walker {
    type Item = FrameAt;

    fn next(&mut self) -> Option<FrameAt> {
        while self.at.fp == self.entry_fp {
            if !self.all {
                return None;
            }
            // SAFETY: the record is on the stack below the frames seen so far, for its call is in progress; what it
            // saved was valid when it began, and nothing has run there since.
            unsafe {
                let done = &*self.activation;
                self.activation = done.outer;
                if self.activation.is_null() {
                    self.all = false;
                    return None;
                }
                self.entry_fp = done.outer_entry_fp;
                self.exit(done.outer_exit_fp);
            }
        }
        let frame = self.at;
        self.links[1] = self.links[0];
        // SAFETY: `frame` lies above the trampoline's frame, so its links are in place.
        unsafe { self.caller_of(frame.fp) };
        Some(frame)
    }
}

impl Backtrace {
    /// Resolves program counters. `faulted` says that the first is an instruction and not a return address.
    pub(crate) fn resolve(pcs: impl Iterator<Item = usize>, faulted: bool) -> Backtrace {
        let code = Snapshot::take();
        let mut backtrace = Backtrace::default();
        for (i, pc) in pcs.enumerate() {
            let at = if faulted && i == 0 { code.instruction(pc) } else { code.return_to(pc) };
            let Some(at) = at else { continue };
            let (Some(defined), Some(module)) = (at.defined(), at.object.owner()) else { continue };
            // Inlined bodies count as the frames that they would have had.
            let mut offset = at.wasm_offset();
            for inlined in at.inlined() {
                backtrace.push(Frame { module: module.clone(), func: inlined.func, offset });
                offset = Some(inlined.call);
            }
            backtrace.push(Frame { module, func: at.module.info.imported_funcs + defined, offset });
        }
        backtrace
    }

    fn push(&mut self, frame: Frame) {
        if self.frames.len() < MAX_FRAMES {
            self.frames.push(frame);
        } else {
            self.omitted += 1;
        }
    }

    /// Resolves what the signal handler wrote.
    pub(crate) fn resolve_raw(trace: &RawTrace) -> Backtrace {
        let count = trace.count.get();
        let mut backtrace = Backtrace::resolve(trace.pcs.iter().take(count).map(|pc| pc.get()), true);
        backtrace.omitted += count.saturating_sub(MAX_FRAMES);
        backtrace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two activations on a made-up stack: words are frame pointer links and return addresses.
    #[test]
    fn walks_frames_of_all_activations() {
        let mut stack = [0usize; 32];
        let address = |i: usize| stack.as_ptr() as usize + 8 * i;
        // Outer: trampoline at 28, frame at 24, stub at 20. Inner: trampoline at 14, frames at 10 and 6, stub at 2.
        let words = [(24, 28, 0xb0), (20, 24, 0xa0), (10, 14, 0xe0), (6, 10, 0xd0), (2, 6, 0xc0)];
        let links: Vec<_> = words.iter().map(|&(at, fp, pc)| (at, address(fp), pc)).collect();
        let fp = |i: usize| address(i);
        let (exit, entry, inner_exit, inner_entry) = (fp(20), fp(28), fp(2), fp(14));
        let expect = [(0xc0, fp(6)), (0xd0, fp(10)), (0xa0, fp(24))].map(|(pc, fp)| FrameAt { pc, fp });
        for (at, fp, pc) in links {
            stack[at] = fp;
            stack[at + 1] = pc;
        }
        let mut context = crate::store::new_context();
        (context.exit_fp, context.entry_fp) = (exit, entry);
        let context = &raw mut context;
        let outer = Activation::new(context, 0, 0, null(), null(), null());
        let mut inner = Activation::new(context, 0, 0, &outer, null(), null());
        // SAFETY: the context is a local, and the made-up stack has all links.
        unsafe {
            inner.begin();
            ((*context).exit_fp, (*context).entry_fp) = (inner_exit, inner_entry);
            assert_eq!(Walker::all(context, &inner).collect::<Vec<_>>(), expect);
            assert_eq!(Walker::innermost(context, &inner).collect::<Vec<_>>(), expect[..2]);
            let fault = Walker::from_fault(FrameAt { pc: 0xd0, fp: fp_of(&stack, 10) }, &inner);
            assert_eq!(fault.collect::<Vec<_>>(), expect[1..]);
            inner.end();
            assert_eq!(Walker::all(context, &outer).collect::<Vec<_>>(), expect[2..]);
            assert_eq!(Walker::all(context, null()).count(), 0);
        }
    }

    fn fp_of(stack: &[usize; 32], i: usize) -> usize {
        stack.as_ptr() as usize + 8 * i
    }
}
