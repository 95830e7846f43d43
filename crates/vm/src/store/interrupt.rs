//! Fuel, and stopping compiled code from outside.
//!
//! Compiled code looks at one word of its store, which is 0 when it is to stop: because of an [`InterruptHandle`], or
//! because the store's deadline in epochs is reached. Who sets the word does so under the lock of the store's *link*,
//! which also knows whether the store still lives. The epoch's counter is the runtime's; to move it on costs a visit of
//! each store that has a deadline, so that the check in compiled code costs nothing more than it does without
//! deadlines.

use super::{HostCall, Store};
use crate::CallError;
use heapwright_jit::abi::{StoreContext, Trap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The word while nobody wants an interruption.
pub(super) const NO_DEADLINE: u64 = u64::MAX;

/// How many bytes, slots or elements an operation on a range may handle before it looks whether it is to stop.
pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
/// The same in slots of a table or elements of an array, where each may run a barrier.
pub(crate) const CHUNK_ELEMENTS: u64 = 1 << 16;

/// Called when a store's deadline is reached: answers how many epochs from now the next one is, or ends the call with
/// an error.
pub type EpochCallback = dyn FnMut(&mut HostCall<'_>) -> Result<u64, CallError> + Send;

/// The epoch of a runtime, and the stores that have a deadline.
#[derive(Default)]
pub struct Epochs {
    now: AtomicU64,
    stores: Mutex<Vec<Weak<Link>>>,
}

/// Stops a store's compiled code from another thread. It outlives its store harmlessly.
///
/// Compiled code listens only when [`Settings::epochs`](heapwright_jit::Settings::epochs) is on, at function entries
/// and loop headers, and in operations on ranges.
#[derive(Clone)]
pub struct InterruptHandle(Arc<Link>);

/// What other threads know of a store.
#[derive(Default)]
pub(super) struct Link(Mutex<Wishes>);

struct Wishes {
    /// The word's home, until its store is gone.
    context: Option<Context>,
    /// Someone asked for an interruption, which has not happened yet.
    interrupt: bool,
    /// The epoch at which to stop.
    deadline: u64,
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes { context: None, interrupt: false, deadline: NO_DEADLINE }
    }
}

#[derive(Clone, Copy)]
struct Context(*mut StoreContext);

// SAFETY: only one field is touched through it, atomically, and only while the store lives (the lock is held, and the
// store's drop takes it).
unsafe impl Send for Context {}

impl Wishes {
    /// Brings the word up to date.
    fn publish(&self, now: u64) {
        if let Some(Context(context)) = self.context {
            let word = if self.interrupt || self.deadline <= now { 0 } else { NO_DEADLINE };
            // SAFETY: the store is alive, for its drop clears the link first. Compiled code reads the aligned word in
            // one access.
            unsafe { AtomicU64::from_ptr(&raw mut (*context).epoch_deadline) }.store(word, Relaxed);
        }
    }
}

impl InterruptHandle {
    /// Makes compiled code of the store trap with [`Trap::Interrupt`] soon; code that is not running now will when it
    /// is entered.
    pub fn interrupt(&self) {
        let mut wishes = self.0.wishes();
        wishes.interrupt = true;
        wishes.publish(0);
    }
}

impl Link {
    pub(super) fn new(context: *mut StoreContext) -> Arc<Link> {
        Arc::new(Link(Mutex::new(Wishes { context: Some(Context(context)), ..Wishes::default() })))
    }

    pub(super) fn cut(&self) {
        self.wishes().context = None;
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Epochs {
    /// The current epoch.
    pub fn now(&self) -> u64 {
        self.now.load(SeqCst)
    }

    /// Moves on to the next epoch, and stops the stores whose deadline it is.
    pub fn increment(&self) {
        self.now.fetch_add(1, SeqCst);
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores.retain(|link| {
            let Some(link) = link.upgrade() else { return false };
            // Read under the lock: a store that sets its deadline now, sees this epoch itself.
            let wishes = link.wishes();
            wishes.publish(self.now());
            wishes.context.is_some()
        });
    }

    fn register(&self, link: &Arc<Link>) {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if !stores.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(link))) {
            stores.push(Arc::downgrade(link));
        }
    }
}

impl Store {
    /// A handle that stops this store's compiled code.
    pub fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle(self.state.interrupts.clone())
    }

    /// Takes back an interruption that has not happened yet; tells whether there was one.
    pub fn clear_interrupt(&mut self) -> bool {
        let mut wishes = self.state.interrupts.wishes();
        let wanted = core::mem::take(&mut wishes.interrupt);
        wishes.publish(self.state.runtime.epochs().now());
        wanted
    }

    /// Sets the deadline to so many epochs from now. It stays reached until it is set anew.
    pub fn set_epoch_deadline(&mut self, epochs: u64) {
        let clock = self.state.runtime.epochs();
        if !self.state.has_deadline {
            clock.register(&self.state.interrupts);
            self.state.has_deadline = true;
        }
        let mut wishes = self.state.interrupts.wishes();
        // `NO_DEADLINE` itself is never reached.
        wishes.deadline = clock.now().saturating_add(epochs);
        wishes.publish(clock.now());
    }

    /// What happens when the deadline is reached: a trap without a callback.
    pub fn set_epoch_callback(&mut self, callback: Option<Box<EpochCallback>>) {
        self.state.epoch_callback = callback;
    }

    /// Remaining fuel; below zero by what a straight line of code used too much.
    pub fn fuel(&self) -> i64 {
        // SAFETY: the context is the store's own, and no compiled code runs while `self` is borrowed.
        unsafe { (*self.state.context()).fuel }
    }

    /// Sets the fuel.
    pub fn set_fuel(&mut self, fuel: i64) {
        // SAFETY: as in `fuel`.
        unsafe { (*self.state.context()).fuel = fuel };
    }

    /// A check of compiled code found that it is to stop: traps, or returns when it may go on.
    pub(crate) fn interrupted(&mut self) -> Result<(), CallError> {
        if self.state.runtime.compiler().settings().fuel && self.fuel() <= 0 {
            return Err(Trap::OutOfFuel.into());
        }
        self.poll(true)
    }

    /// Looks whether an operation on a range is to stop. With `callback`, the caller stands at a safepoint and holds no
    /// reference and no borrow: the callback may run. Without, an operation whose store has a callback goes on, and the
    /// next check asks it.
    pub(crate) fn poll(&mut self, callback: bool) -> Result<(), CallError> {
        // SAFETY: the context is the store's own.
        let word = unsafe { AtomicU64::from_ptr(&raw mut (*self.state.context()).epoch_deadline) };
        // Without epochs in compiled code its calls are no safepoints, and nobody expects an interruption.
        if word.load(Relaxed) != 0 || !self.state.runtime.compiler().settings().epochs {
            return Ok(());
        }
        if self.clear_interrupt() {
            return Err(Trap::Interrupt.into());
        }
        if word.load(Relaxed) != 0 {
            return Ok(());
        }
        match (&self.state.epoch_callback, callback) {
            (None, _) => Err(Trap::Interrupt.into()),
            (Some(_), false) => Ok(()),
            (Some(_), true) => self.ask_callback(),
        }
    }

    fn ask_callback(&mut self) -> Result<(), CallError> {
        let Some(mut callback) = self.state.epoch_callback.take() else { return Ok(()) };
        let scope = self.state.roots.enter();
        let answer = {
            let mut call = HostCall::of_store(self);
            catch_unwind(AssertUnwindSafe(|| callback(&mut call)))
        };
        self.state.roots.exit(scope);
        // Unless the callback chose another.
        self.state.epoch_callback.get_or_insert(callback);
        let epochs = answer.unwrap_or_else(|panic| resume_unwind(panic))?;
        self.set_epoch_deadline(epochs);
        Ok(())
    }
}
