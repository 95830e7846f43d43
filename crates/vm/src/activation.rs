//! Calls from Rust into compiled code that are in progress.
//!
//! Each such call has a record on the Rust stack. The records of one store form a chain, for walking frames; the
//! innermost record of a thread is known to the signal handler.

use crate::CallError;
use crate::watermark::Watermark;
use core::cell::{Cell, UnsafeCell};
use heapwright_jit::abi::{StoreContext, Trap};
use std::ptr::null;

/// A call into compiled code.
pub(crate) struct Activation {
    /// The store's context.
    pub(crate) context: *mut StoreContext,
    /// Address of the entry trampoline's catch-all handler.
    pub(crate) handler: usize,
    /// The handler's stack pointer is the trampoline's frame pointer less this.
    pub(crate) sp_distance: usize,
    /// `exit_fp` and `entry_fp` of the store's context before the call: the next older activation's.
    pub(crate) outer_exit_fp: usize,
    /// See `outer_exit_fp`.
    pub(crate) outer_entry_fp: usize,
    /// The store's next older activation.
    pub(crate) outer: *const Activation,
    /// The thread's innermost activation before this one.
    outer_on_thread: *const Activation,
    /// Addresses that belong to the store.
    pub(crate) guarded: *const Guarded,
    /// Where the signal handler leaves the program counters of a trap.
    pub(crate) trace: *const RawTrace,
    /// The store's mark on its stack, or null.
    pub(crate) watermark: *const Watermark,
    /// A trap that the signal handler recorded.
    pub(crate) fault: Cell<Option<Fault>>,
    /// What a builtin or a host function raised.
    pub(crate) raised: UnsafeCell<Option<CallError>>,
}

/// A trap found by the signal handler.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) trap: Trap,
    /// The address accessed, when that says something.
    pub(crate) address: Option<usize>,
}

/// Address ranges of a store whose faults tell of a corrupted heap.
#[derive(Default)]
pub(crate) struct Guarded {
    pub(crate) heap: Cell<(usize, usize)>,
    pub(crate) type_space: Cell<(usize, usize)>,
    pub(crate) func_table: Cell<(usize, usize)>,
    pub(crate) side_tables: Cell<(usize, usize)>,
}

impl Guarded {
    pub(crate) fn in_heap(&self, address: usize) -> bool {
        within(self.heap.get(), address)
    }

    pub(crate) fn in_tables(&self, address: usize) -> bool {
        [&self.type_space, &self.func_table, &self.side_tables].iter().any(|range| within(range.get(), address))
    }
}

fn within((start, end): (usize, usize), address: usize) -> bool {
    start <= address && address < end
}

/// How many frames a backtrace shows.
pub(crate) const MAX_FRAMES: usize = 64;

/// Program counters of a trap, written without allocating.
pub(crate) struct RawTrace {
    pub(crate) pcs: [Cell<usize>; MAX_FRAMES],
    /// Number of frames, those beyond `MAX_FRAMES` included.
    pub(crate) count: Cell<usize>,
    /// Whether backtraces are captured at all.
    pub(crate) wanted: bool,
}

impl RawTrace {
    pub(crate) fn new(wanted: bool) -> RawTrace {
        RawTrace { pcs: [const { Cell::new(0) }; MAX_FRAMES], count: Cell::new(0), wanted }
    }

    pub(crate) fn push(&self, pc: usize) {
        if let Some(slot) = self.pcs.get(self.count.get()) {
            slot.set(pc);
        }
        self.count.set(self.count.get() + 1);
    }
}

thread_local! {
    static CURRENT: Cell<*const Activation> = const { Cell::new(null()) };
}

/// The thread's innermost activation, or null.
pub(crate) fn current() -> *const Activation {
    CURRENT.get()
}

impl Activation {
    /// A record for a call that is about to begin.
    pub(crate) fn new(
        context: *mut StoreContext,
        handler: usize,
        sp_distance: usize,
        outer: *const Activation,
        guarded: *const Guarded,
        trace: *const RawTrace,
    ) -> Activation {
        Activation {
            context,
            handler,
            sp_distance,
            outer_exit_fp: 0,
            outer_entry_fp: 0,
            outer,
            outer_on_thread: null(),
            guarded,
            trace,
            watermark: null(),
            fault: Cell::new(None),
            raised: UnsafeCell::new(None),
        }
    }

    /// Begins the call: the record becomes the thread's innermost one. It must not move until [`end`](Self::end).
    ///
    /// # Safety
    ///
    /// The context must be that of a live store.
    pub(crate) unsafe fn begin(&mut self) {
        // SAFETY: the caller vouches for the context; no Rust reference to it exists outside this module's kind of
        // short access.
        unsafe {
            self.outer_exit_fp = core::mem::replace(&mut (*self.context).exit_fp, 0);
            self.outer_entry_fp = core::mem::replace(&mut (*self.context).entry_fp, 0);
        }
        self.outer_on_thread = CURRENT.replace(self);
    }

    /// Ends the call.
    ///
    /// # Safety
    ///
    /// As [`begin`](Self::begin), which came before on this thread.
    pub(crate) unsafe fn end(&self) {
        // SAFETY: as in `begin`.
        unsafe {
            (*self.context).exit_fp = self.outer_exit_fp;
            (*self.context).entry_fp = self.outer_entry_fp;
        }
        CURRENT.set(self.outer_on_thread);
    }
}
