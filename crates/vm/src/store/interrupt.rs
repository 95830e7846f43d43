//! Fuel, and stopping compiled code from outside.

use super::Store;
use heapwright_jit::abi::StoreContext;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The deadline while nobody wants an interruption; compiled code stops when it finds 0.
pub(super) const NO_DEADLINE: u64 = u64::MAX;

/// Stops a store's compiled code from another thread. It outlives its store harmlessly.
///
/// Compiled code listens only when [`Settings::epochs`](heapwright_jit::Settings::epochs) is on, at function entries and
/// loop headers.
#[derive(Clone)]
pub struct InterruptHandle(Arc<Link>);

/// The context, until its store is gone.
#[derive(Default)]
pub(super) struct Link(Mutex<Option<Context>>);

#[derive(Clone, Copy)]
struct Context(*mut StoreContext);

// SAFETY: only one field is touched through it, atomically, and only while the store lives (the lock is held, and the store's
// drop takes it).
unsafe impl Send for Context {}

impl InterruptHandle {
    /// Makes compiled code of the store trap with [`Trap::Interrupt`](heapwright_jit::abi::Trap::Interrupt) soon; code that
    /// is not running now will when it is entered.
    pub fn interrupt(&self) {
        if let Some(Context(context)) = *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: the store is alive, for its drop clears the link first. Compiled code reads the aligned word in one access.
            unsafe { AtomicU64::from_ptr(&raw mut (*context).epoch_deadline) }.store(0, Relaxed);
        }
    }
}

impl Link {
    pub(super) fn new(context: *mut StoreContext) -> Arc<Link> {
        Arc::new(Link(Mutex::new(Some(Context(context)))))
    }

    pub(super) fn cut(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Store {
    /// A handle that stops this store's compiled code.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle(self.state.interrupts.clone())
    }

    /// Takes back an interruption that has not happened yet; tells whether there was one.
    pub fn clear_interrupt(&mut self) -> bool {
        // SAFETY: the context is the store's own.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.state.context()).epoch_deadline) }.swap(NO_DEADLINE, Relaxed) == 0
    }

    /// Remaining fuel.
    pub fn fuel(&self) -> i64 {
        // SAFETY: the context is the store's own, and no compiled code runs while `self` is borrowed.
        unsafe { (*self.state.context()).fuel }
    }

    /// Sets the fuel.
    pub fn set_fuel(&mut self, fuel: i64) {
        // SAFETY: as in `fuel`.
        unsafe { (*self.state.context()).fuel = fuel };
    }
}
