//! Functions that are compiled when they are first called.
//!
//! Any thread may call any function at any time. Of several that call the same one, the first compiles and the others wait; different
//! functions are compiled at once. A compiled function gets its place under a lock: first its code is written, then its tables are
//! added to the module, where any thread and any signal handler can find them, and only then its slot leads there. Nobody can be in
//! code whose tables are not to be found.
//!
//! A function may be compiled [before it is called](crate::background). Its slot leads to the vm all the same, and no
//! code calls it directly, until it is called: that call shows where the program is, and has what the function calls compiled.

use crate::code::CodeMapping;
use crate::{LoadError, builtins, stack};
use hashbrown::{HashMap, HashSet};
use heapwright_gc_heap::MemoryError;
use heapwright_jit::abi::SignatureKinds;
use heapwright_jit::artifact::CompiledModule;
use heapwright_jit::{Bodies, Compiler};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Stack that compilation is sure to get by with. Where there is less, another thread compiles.
const STACK: usize = 1 << 20;
/// The stack of that thread.
const OTHER_STACK: usize = 16 << 20;

/// What a module needs to compile its functions one by one.
pub(crate) struct Lazy {
    bodies: Bodies,
    /// Functions that some thread is compiling.
    busy: Mutex<HashSet<u32>>,
    done: Condvar,
    /// Held while a function gets its place.
    placing: Mutex<()>,
    /// Functions that the module was loaded with.
    at_first: usize,
    /// By function: whether it was called, or was there when the module was loaded. Their slots lead to their code.
    called: Box<[AtomicBool]>,
    /// What functions call that are compiled and were not called.
    callees: Mutex<HashMap<u32, Vec<u32>>>,
}

impl Lazy {
    pub(crate) fn new(module: &CompiledModule, bodies: Bodies) -> Lazy {
        let (busy, done, placing, callees) = Default::default();
        let called = |defined| AtomicBool::new(module.code_of(defined).is_some());
        let called = (0..bodies.len() as u32).map(called).collect();
        Lazy { bodies, busy, done, placing, at_first: module.compiled_functions(), called, callees }
    }

    /// Makes each slot lead to its function, or to where it will be compiled.
    pub(crate) fn set_slots(&self, module: &CompiledModule, code: &CodeMapping) {
        for defined in 0..self.bodies.len() as u32 {
            let target = module.code_of(defined).map(|place| code.address(place.start));
            let first_call = || {
                let ty = module.info.func_type(module.info.imported_funcs + defined);
                builtins::first_call_address(SignatureKinds::of(ty).results_in_memory())
            };
            code.slot(defined).store(target.unwrap_or_else(first_call), Release);
        }
    }

    /// Functions compiled since.
    pub(crate) fn added(&self, module: &CompiledModule) -> usize {
        module.compiled_functions() - self.at_first
    }

    /// Keeps functions from getting a place.
    pub(crate) fn pause(&self) -> MutexGuard<'_, ()> {
        lock(&self.placing)
    }

    /// Whether a function was called, so that others may call its code directly.
    pub(crate) fn is_called(&self, defined: u32) -> bool {
        self.called[defined as usize].load(Acquire)
    }

    /// Makes a function's slot lead to its code, which must be there. If this is its first call, and functions are compiled ahead: gives
    /// the functions that it calls and that are not compiled.
    pub(crate) fn call(&self, module: &CompiledModule, code: &CodeMapping, defined: u32) -> Option<Vec<u32>> {
        let place = module.code_of(defined).expect("a function is compiled before it is called");
        code.slot(defined).store(code.address(place.start), Release);
        if self.called[defined as usize].swap(true, AcqRel) {
            return None;
        }
        let callees = lock(&self.callees).remove(&defined)?;
        Some(callees.into_iter().filter(|&callee| module.code_of(callee).is_none()).collect())
    }

    /// What a function calls that was compiled and not called yet; of that, what is not compiled.
    pub(crate) fn callees(&self, module: &CompiledModule, defined: u32) -> Vec<u32> {
        let callees = lock(&self.callees).get(&defined).cloned().unwrap_or_default();
        callees.into_iter().filter(|&callee| module.code_of(callee).is_none()).collect()
    }

    /// Sees to it that a function (counted without imports) is compiled, by this thread or by another one: then it is waited for if `wait`
    /// says so. Gives whether it was compiled here.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: it surpasses a limit, or there is no memory. The next call tries again.
    pub(crate) fn compile(
        &self,
        compiler: &Compiler,
        module: &CompiledModule,
        code: &CodeMapping,
        defined: u32,
        wait: bool,
    ) -> Result<bool, LoadError> {
        let mut busy = lock(&self.busy);
        loop {
            if module.code_of(defined).is_some() {
                return Ok(false);
            }
            if busy.insert(defined) {
                break;
            }
            if !wait {
                return Ok(false);
            }
            busy = self.done.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        drop(busy);
        let _busy = Busy { lazy: self, defined };
        self.compile_now(compiler, module, code, defined)?;
        Ok(true)
    }

    fn compile_now(
        &self,
        compiler: &Compiler,
        module: &CompiledModule,
        code: &CodeMapping,
        defined: u32,
    ) -> Result<(), LoadError> {
        let compile = || compiler.compile_function(module, &self.bodies, defined);
        let function = if stack::remaining() >= STACK {
            compile()?
        } else {
            let no_thread = || MemoryError("no memory for a thread that compiles".into());
            thread::scope(|scope| {
                let other = thread::Builder::new().name("compile".into()).stack_size(OTHER_STACK);
                let other = other.spawn_scoped(scope, compile).map_err(|_| no_thread())?;
                Ok::<_, LoadError>(other.join().map_err(|_| no_thread())??)
            })?
        };
        if compiler.settings().compiles_ahead() {
            lock(&self.callees).insert(defined, function.callees(module));
        }
        let _placing = lock(&self.placing);
        let start = function.start(code.length());
        let (bytes, piece) = function.place(module, start, |callee| self.is_called(callee))?;
        code.append(start, &bytes)?;
        module.add(piece);
        Ok(())
    }
}

/// A function that this thread compiles. However that ends, others may go on then.
struct Busy<'a> {
    lazy: &'a Lazy,
    defined: u32,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.lazy.busy).remove(&self.defined);
        self.lazy.done.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
