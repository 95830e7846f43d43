//! All functions of a module, on all threads.

use super::function::{FunctionCode, ModuleEnv, Worker};
use super::{CompileError, Compiler, link};
use crate::abi::InstanceLayout;
use crate::artifact::CompiledModule;
use crate::inline::{BodyTable, Candidates, Inliner, Plan};
use crate::module::{FunctionBody, ModuleInfo, ParsedModule, parse};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

impl Compiler {
    /// Validates and compiles a module in the binary format.
    ///
    /// # Errors
    ///
    /// [`CompileError`]; of several invalid functions the one with the smallest offset is reported.
    pub fn compile_module(&self, bytes: &[u8]) -> Result<CompiledModule, CompileError> {
        let ParsedModule { info, bodies } = parse(bytes, self.features, self.spec.header_layout())?;
        let layout = info.instance_layout();
        let planned = self.planned(bytes, &info, &bodies);
        let env = self.module_env(bytes, &info, &layout, &planned);
        let funcs: Vec<FunctionCode> =
            for_each_body(self.settings.parallel, bodies, Worker::new, |worker, body| worker.compile(env, body))?;
        link::link(self, info, funcs)
    }

    /// Decides what is inlined in a module whose bodies are validated later, and whom calls through references probably call.
    pub(super) fn planned(&self, wasm: &[u8], info: &ModuleInfo, bodies: &[FunctionBody<'_>]) -> Planned {
        let inlined = self.settings.inlines().then(|| {
            let bodies = BodyTable::new(bodies);
            let plan = Plan::new(wasm, &bodies, self.features, info.imported_funcs, false, self.settings.parallel);
            (bodies, plan)
        });
        Planned { inlined, candidates: self.candidates(wasm, info) }
    }

    /// Whom calls through references probably call; `None` when nobody is to ask.
    pub(super) fn candidates(&self, wasm: &[u8], info: &ModuleInfo) -> Option<Candidates> {
        let profile = self.settings.call_profile.as_ref();
        self.settings.guards_calls().then(|| Candidates::new(info, profile.and_then(|profile| profile.of(wasm))))
    }

    /// What the functions of a module share.
    pub(super) fn module_env<'a>(
        &'a self,
        wasm: &'a [u8],
        info: &'a ModuleInfo,
        layout: &'a InstanceLayout,
        planned: &'a Planned,
    ) -> ModuleEnv<'a> {
        let inlined = planned.inlined.as_ref();
        let inliner = inlined.map(|(bodies, plan)| Inliner { wasm, bodies, plan, features: self.features });
        ModuleEnv { compiler: self, info, layout, inliner, candidates: planned.candidates.as_ref() }
    }

    /// Validates a module without compiling it.
    ///
    /// # Errors
    ///
    /// [`CompileError::Invalid`].
    pub fn validate(&self, bytes: &[u8]) -> Result<ModuleInfo, CompileError> {
        let ParsedModule { info, bodies } = parse(bytes, self.features, self.spec.header_layout())?;
        validate_bodies(self, bodies)?;
        Ok(info)
    }
}

/// What was decided about the calls of a module.
pub(super) struct Planned {
    /// What is inlined, and where its bodies are; `None` when nothing is to be.
    inlined: Option<(BodyTable, Plan)>,
    candidates: Option<Candidates>,
}

/// Validates bodies without compiling them.
pub(super) fn validate_bodies(compiler: &Compiler, bodies: Vec<FunctionBody<'_>>) -> Result<(), CompileError> {
    for_each_body(compiler.settings.parallel, bodies, Default::default, |allocations, body| {
        let mut validator = body.validator.into_validator(std::mem::take(allocations));
        let result = validator.validate(&body.body);
        *allocations = validator.into_allocations();
        Ok(result?)
    })?;
    Ok(())
}

/// A body and, once it is there, its result. Each slot is locked twice: by its worker and in the end.
enum Slot<'a, T> {
    Waiting(FunctionBody<'a>),
    Done(T),
    Empty,
}

/// Runs `work` on every body and gives the results in the order of the bodies. With `parallel`, as many workers as the thread pool has threads take
/// bodies from a common queue, the large ones first, so that no thread is left with a large one at the end. Each worker
/// has a state of its own.
///
/// Of several errors, that of the earliest body is reported: bodies behind a known error are not worked on, those before
/// it are.
fn for_each_body<'a, S, T: Send>(
    parallel: bool,
    bodies: Vec<FunctionBody<'a>>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, FunctionBody<'a>) -> Result<T, CompileError> + Sync,
) -> Result<Vec<T>, CompileError> {
    let threads = if parallel { rayon::current_num_threads().min(bodies.len()) } else { 1 };
    if threads <= 1 {
        let mut state = state();
        return bodies.into_iter().map(|body| work(&mut state, body)).collect();
    }

    let mut order: Vec<usize> = (0..bodies.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(bodies[i].body.as_bytes().len()));
    let slots: Vec<Mutex<Slot<'a, T>>> = bodies.into_iter().map(|b| Mutex::new(Slot::Waiting(b))).collect();
    let next = AtomicUsize::new(0);
    let first_error = AtomicUsize::new(usize::MAX);
    let error: Mutex<Option<(usize, CompileError)>> = Mutex::new(None);

    let run = || {
        let mut state = state();
        while let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            if i > first_error.load(Ordering::Relaxed) {
                continue;
            }
            let slot = std::mem::replace(&mut *lock(&slots[i]), Slot::Empty);
            let Slot::Waiting(body) = slot else { unreachable!("a body is taken from the queue once") };
            match work(&mut state, body) {
                Ok(result) => *lock(&slots[i]) = Slot::Done(result),
                Err(e) => {
                    first_error.fetch_min(i, Ordering::Relaxed);
                    let mut error = lock(&error);
                    if error.as_ref().is_none_or(|(known, _)| i < *known) {
                        *error = Some((i, e));
                    }
                }
            }
        }
    };
    rayon::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|_| run());
        }
    });

    if let Some((_, error)) = error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let results = slots.into_iter().map(|slot| match slot.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Slot::Done(result) => result,
        Slot::Waiting(_) | Slot::Empty => unreachable!("without an error every body is worked on"),
    });
    Ok(results.collect())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
