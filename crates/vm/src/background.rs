//! The engine's thread that compiles functions before they are called.
//!
//! A function that is called for the first time will probably call others: those are submitted here, and compiled while the
//! program runs on another processor. What is submitted last is taken first, for that is where the program is.
//!
//! The thread starts when there is something to do, ends when there was nothing for a while, and serves all modules of the engine. It keeps
//! nothing alive but while it compiles one function: the queue refers to modules weakly, and the thread to nothing but the queue.
//! Nobody waits for it, neither the engine's end nor the process's: it holds no lock that somebody needs, except while
//! it puts a function into its place, and then as briefly as any other thread.
//!
//! Whatever goes wrong here does not matter. A function that could not be compiled is compiled when it is called, and fails there again.

use crate::LoadedModule;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The thread's stack: enough for any function.
const STACK: usize = 16 << 20;
/// How long the thread waits for more.
const IDLE: Duration = Duration::from_millis(100);

/// The engine's end of the queue. The thread ends with it.
pub(crate) struct Background {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do, or will never be again.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The last is served first.
    batches: Vec<Batch>,
    /// Whether the thread is there.
    running: bool,
    closed: bool,
}

/// Functions of one module, counted without imports; the last is taken first.
struct Batch {
    module: Weak<LoadedModule>,
    functions: Vec<u32>,
}

impl Background {
    pub(crate) fn new() -> Background {
        Background { shared: Arc::default() }
    }

    /// Has functions compiled, the first of them first.
    pub(crate) fn submit(&self, module: &Arc<LoadedModule>, mut functions: Vec<u32>) {
        if functions.is_empty() {
            return;
        }
        functions.reverse();
        let mut queue = self.shared.lock();
        queue.batches.push(Batch { module: Arc::downgrade(module), functions });
        if queue.running {
            drop(queue);
            return self.shared.changed.notify_one();
        }
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("compile".into()).stack_size(STACK);
        // Without a thread, each function is compiled when it is called.
        queue.running = thread.spawn(move || shared.serve()).is_ok();
        if !queue.running {
            queue.batches.clear();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.batches.clear();
        drop(queue);
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does.
    fn serve(&self) {
        while let Some((module, function)) = self.next() {
            // The module may have been dropped meanwhile; if this was the last reference to it, it is dropped here.
            if let Some(module) = module.upgrade() {
                let compiled = catch_unwind(AssertUnwindSafe(|| module.compile_ahead(function)));
                if !matches!(compiled, Ok(Ok(()))) {
                    log::debug!("function {function} was not compiled ahead of its first call");
                }
            }
        }
    }

    /// Waits for something to do. `None`: the thread is to end, and no longer counts as running.
    fn next(&self) -> Option<(Weak<LoadedModule>, u32)> {
        let mut queue = self.lock();
        loop {
            while let Some(batch) = queue.batches.last_mut() {
                if let Some(function) = batch.functions.pop() {
                    return Some((batch.module.clone(), function));
                }
                queue.batches.pop();
            }
            if queue.closed {
                queue.running = false;
                return None;
            }
            let (again, waited) = self.changed.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = again;
            if waited.timed_out() && queue.batches.is_empty() {
                queue.running = false;
                return None;
            }
        }
    }
}
