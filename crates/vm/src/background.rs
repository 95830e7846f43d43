//! The engine's threads that compile functions before they are called.
//!
//! A function that is called for the first time will probably call others: those are submitted here, and compiled while the
//! program runs on another processor. What is submitted last is taken first, for that is where the program is. When nothing is left of that, what
//! the functions so compiled call themselves comes next, but no more than [`FAR`] functions for each first call: a program
//! that has started has nothing compiled any more.
//!
//! Threads start when there is something to do, end when there was nothing for a while, and serve all modules of the engine. They keep
//! nothing alive but while they compile one function: the queue refers to modules weakly, and threads to nothing but the queue.
//! Nobody waits for them, neither the engine's end nor the process's; only who calls a function that is being compiled waits for that one, as for
//! any other thread. No lock is held meanwhile except, briefly, when a function is put into its place.
//!
//! Whatever goes wrong here does not matter. A function that could not be compiled is compiled when it is called, and fails there again.

use crate::LoadedModule;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The stack of a thread: enough for any function.
const STACK: usize = 16 << 20;
/// How long a thread waits for more.
const IDLE: Duration = Duration::from_millis(100);
/// The most threads.
const THREADS: usize = 3;
/// How many functions that are more than one call away are compiled for each first call.
const FAR: usize = 4;

/// The engine's end of the queue. The threads end with it.
pub(crate) struct Background {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do, or will never be again.
    changed: Condvar,
    /// How many threads there may be.
    most: usize,
}

#[derive(Default)]
struct Queue {
    /// What functions that were called call. The last is taken first.
    near: Vec<Batch>,
    /// What is farther away: the farthest first. The last is taken first.
    far: Vec<Batch>,
    /// How many functions may be taken from there.
    credit: usize,
    threads: usize,
    /// Threads that wait.
    idle: usize,
    closed: bool,
}

/// Functions of one module, counted without imports; the last is taken first.
struct Batch {
    module: Weak<LoadedModule>,
    functions: Vec<u32>,
    /// How many calls they are away from a function that was called.
    distance: u32,
}

/// A function to be compiled.
struct Task {
    module: Weak<LoadedModule>,
    function: u32,
    distance: u32,
}

impl Background {
    /// A queue without threads.
    pub(crate) fn new() -> Background {
        // One processor is the program's.
        let processors = thread::available_parallelism().map_or(1, |n| n.get());
        let most = processors.saturating_sub(1).clamp(1, THREADS);
        Background { shared: Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new(), most }) }
    }

    /// Says that a function was called for the first time. Has those that it calls compiled, the first of them first.
    pub(crate) fn submit(&self, module: &Arc<LoadedModule>, functions: Vec<u32>) {
        let mut queue = self.shared.lock();
        queue.credit += FAR;
        queue.push(module, functions, 1);
        self.shared.staff(queue);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.forget();
        drop(queue);
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that there is a thread for what is in the queue.
    fn staff(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        if queue.idle > 0 {
            drop(queue);
            self.changed.notify_one();
        } else if queue.threads < self.most && queue.has_work() {
            let shared = self.clone();
            let thread = thread::Builder::new().name("compile".into()).stack_size(STACK);
            match thread.spawn(move || shared.serve()) {
                Ok(_) => queue.threads += 1,
                // Each function is compiled when it is called.
                Err(_) if queue.threads == 0 => queue.forget(),
                Err(_) => {}
            }
        }
    }

    /// What a thread does.
    fn serve(self: Arc<Self>) {
        while let Some(Task { module, function, distance }) = self.next() {
            // The module may have been dropped; if this is the last reference to it, it will be dropped here.
            let Some(module) = module.upgrade() else { continue };
            match catch_unwind(AssertUnwindSafe(|| module.compile_ahead(function))) {
                Ok(Ok(callees)) => {
                    let mut queue = self.lock();
                    queue.push(&module, callees, distance.saturating_add(1));
                    self.staff(queue);
                }
                Ok(Err(_)) | Err(_) => log::debug!("function {function} was not compiled ahead of its first call"),
            }
        }
    }

    /// Waits for something to do. `None`: the thread is to end, and no longer counts.
    fn next(&self) -> Option<Task> {
        let mut queue = self.lock();
        loop {
            if let Some(task) = queue.pop() {
                return Some(task);
            }
            if queue.closed {
                queue.threads -= 1;
                return None;
            }
            queue.idle += 1;
            let (again, waited) = self.changed.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = again;
            queue.idle -= 1;
            if waited.timed_out() && !queue.has_work() {
                queue.threads -= 1;
                if queue.threads == 0 {
                    // Long ago.
                    queue.forget();
                }
                return None;
            }
        }
    }
}

impl Queue {
    fn push(&mut self, module: &Arc<LoadedModule>, mut functions: Vec<u32>, distance: u32) {
        if functions.is_empty() || self.closed {
            return;
        }
        functions.reverse();
        let batch = Batch { module: Arc::downgrade(module), functions, distance };
        if distance == 1 {
            return self.near.push(batch);
        }
        let place = self.far.partition_point(|other| other.distance > distance);
        // Behind those of the same distance.
        let equal = self.far[place..].partition_point(|other| other.distance == distance);
        self.far.insert(place + equal, batch);
    }

    fn pop(&mut self) -> Option<Task> {
        take(&mut self.near).or_else(|| {
            let credit = self.credit.checked_sub(1)?;
            let task = take(&mut self.far)?;
            self.credit = credit;
            Some(task)
        })
    }

    fn has_work(&self) -> bool {
        !self.near.is_empty() || (self.credit > 0 && !self.far.is_empty())
    }

    fn forget(&mut self) {
        (self.near, self.far, self.credit) = (Vec::new(), Vec::new(), 0);
    }
}

/// Takes the next function.
fn take(batches: &mut Vec<Batch>) -> Option<Task> {
    let batch = batches.last_mut()?;
    // Batches are not empty.
    let function = batch.functions.pop()?;
    let task = Task { module: batch.module.clone(), function, distance: batch.distance };
    if batch.functions.is_empty() {
        batches.pop();
    }
    Some(task)
}
