//! A store: everything that the instances of one isolated world own.

mod call;
mod cell;
mod exceptions;
mod func_table;
mod funcs;
mod globals;
mod host;
mod interrupt;
mod memories;
mod recorded;
mod root_set;
mod roots;
mod tables;

pub use host::{HostCall, HostFn};
pub(crate) use interrupt::{CHUNK_BYTES, CHUNK_ELEMENTS};
pub use interrupt::{EpochCallback, Epochs, InterruptHandle};
pub use roots::{HostRoots, RootId, RootScope};

pub(crate) use cell::CellBox;
pub(crate) use host::{HostContext, check_identity, interpret_host_call, settle};
pub(crate) use memories::Memory;
use recorded::RecordedCalls;
pub(crate) use tables::Table;

use crate::activation::{Activation, Guarded, RawTrace};
use crate::instance::Instance;
use crate::interpreter::Interpreter;
use crate::limits::{ResourceLimiter, SharedLimiter};
use crate::pool::{Claim, ResourceError};
use crate::runtime::EntryStub;
use crate::walk::Walker;
use crate::watermark::Watermark;
use crate::{Backtrace, CallError, Extern, ExternType, InstanceId, InstantiateError, LoadedModule, Runtime};
use core::ffi::c_void;
use func_table::FuncTable;
use globals::Global;
use hashbrown::HashMap;
use heapwright_gc_heap::{
    Cause, CollectionReport, Event, EventSink, GUARD_BYTES, GcRef, GrowthLimiter, Heap, HeapConfig, HeapCorrupted,
    HeapMemory, MAX_CAPACITY, MemoryError, MutatorState, NULL_PAGE_BYTES, RESERVATION_BYTES, RegisteredTypes, TypeId,
    Value,
};
use heapwright_jit::Target;
use heapwright_jit::abi::{FuncEntry, LEAST_COMMITTED, StoreContext, Trap};
use heapwright_jit::module::ExternKind;
use host::HostFunc;
use std::ptr::{NonNull, null, null_mut};
use std::sync::Arc;

/// A store's settings.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfig {
    /// The heap's settings.
    pub heap: HeapConfig,
    /// Bytes of stack that compiled code may use, counted from the outermost call.
    pub max_wasm_stack: usize,
    /// Whether traps, uncaught exceptions and host errors carry the frames that they passed.
    pub backtraces: bool,
    /// Whether collections of young objects leave out frames that have nothing new for them.
    pub stack_watermark: bool,
    /// Whether the system is asked for huge pages for a heap that is not small ([`HeapMemory::set_huge_pages`]).
    pub huge_pages: bool,
    /// Whether collections ask the processor for memory ahead ([`HeapMemory::set_prefetch`]).
    pub gc_prefetch: bool,
}

/// A store. It may move in memory except while a call is in progress; replacing it during one (through
/// [`HostCall::store`]) ends the process.
pub struct Store {
    // Before `state`: the heap uses the context.
    pub(crate) heap: Option<Heap>,
    pub(crate) state: StoreState,
}

/// Everything of a store but its heap: the roots of its collections.
pub struct StoreState {
    pub(crate) runtime: Arc<Runtime>,
    config: StoreConfig,
    context: NonNull<StoreContext>,
    /// What runs the code, made at the first call; none where the processor does.
    interpreter: Option<NonNull<Interpreter>>,
    interrupts: Arc<interrupt::Link>,
    guarded: Box<Guarded>,
    trace: Box<RawTrace>,
    /// Unless it is switched off, or code is interpreted.
    watermark: Option<Box<Watermark>>,
    /// The heap's address space until the heap itself is made.
    heap_memory: Option<HeapMemory>,
    /// Where the heap's address space goes when the store ends.
    heap_claim: Option<Claim<HeapMemory>>,
    pub(crate) heap_base: *mut u8,
    event_sink: Option<Box<dyn EventSink>>,
    limiter: Option<SharedLimiter>,
    /// Largest object, in bytes.
    max_object: u64,
    epoch_callback: Option<Box<EpochCallback>>,
    /// Whether the runtime knows that this store has a deadline.
    has_deadline: bool,
    host_data: *mut c_void,
    poisoned: bool,
    /// The innermost call in progress.
    pub(crate) activation: *const Activation,
    /// An exception on its way out of an activation.
    pub(crate) exception: GcRef,
    /// Where it came from; empty until it leaves an activation.
    pub(crate) exception_backtrace: Backtrace,
    /// Operands of the constant expression that is being evaluated.
    pub(crate) operands: Vec<Value>,
    pub(crate) roots: HostRoots,
    pub(crate) funcs: FuncTable,
    host_funcs: Vec<HostFunc>,
    host_contexts: Vec<CellBox<HostContext>>,
    /// By ABI signature id.
    entry_stubs: HashMap<u32, EntryStub>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) globals: Vec<Global>,
    pub(crate) tables: Vec<Table>,
    pub(crate) memories: Vec<Memory>,
    /// Function type and exception type of each tag.
    pub(crate) tags: Vec<(TypeId, TypeId)>,
    retained: Vec<RegisteredTypes>,
    /// Whom calls called, where code notes it.
    pub(crate) recorded: RecordedCalls,
}

// SAFETY: a store owns what its pointers point at, and compiled code runs only inside a call that borrows the store.
// Host functions, event sinks, limiters and collectors are `Send`; `host_data` is the embedder's promise.
unsafe impl Send for Store {}

/// A context whose compiled code may do nothing yet.
pub(crate) fn new_context() -> StoreContext {
    StoreContext {
        stack_limit: usize::MAX,
        exit_fp: 0,
        entry_fp: 0,
        slow_result: 0,
        func_table_len: 1,
        fuel: 0,
        epoch_deadline: interrupt::NO_DEADLINE,
        store: null_mut(),
        mutator: MutatorState::default(),
    }
}

#[allow(clippy::missing_errors_doc, reason = "each error type tells its kinds where it is declared")]
impl Store {
    /// A store without instances. Its heap is taken at the first need.
    ///
    /// # Errors
    ///
    /// When address space cannot be reserved, or the pool's GC heaps are all in use.
    pub fn new(runtime: &Arc<Runtime>, config: StoreConfig) -> Result<Store, ResourceError> {
        let guarded = Box::new(Guarded::default());
        let space = runtime.types().space();
        let base = space.base() as usize;
        guarded.type_space.set((base, base + space.reservation_bytes() as usize));
        let (mut heap_memory, heap_claim) = runtime.allocator().heap(runtime.spec().side_tables)?;
        let funcs = FuncTable::new(runtime.allocator())?;
        guarded.func_table.set(funcs.range());
        if runtime.target() == Target::Pulley64 {
            heap_memory.commit_to(u64::from(NULL_PAGE_BYTES + LEAST_COMMITTED))?;
        }
        let heap_base = heap_memory.base();
        let reserved = (RESERVATION_BYTES + GUARD_BYTES) as usize;
        guarded.heap.set((heap_base as usize, heap_base as usize + reserved));
        let side = heap_memory.side_range();
        guarded.side_tables.set((side.start, side.end));
        let mut context = Box::new(new_context());
        // A barrier may look into them before the heap itself is made.
        context.mutator.side = heap_memory.side_bases();
        context.mutator.usable = heap_memory.usable();
        let context = NonNull::from(Box::leak(context));
        let state = StoreState {
            runtime: runtime.clone(),
            config,
            context,
            interpreter: None,
            interrupts: interrupt::Link::new(context.as_ptr()),
            guarded,
            watermark: (config.stack_watermark && runtime.target() != Target::Pulley64).then(Box::default),
            trace: Box::new(RawTrace::new(config.backtraces)),
            heap_memory: Some(heap_memory),
            heap_claim,
            heap_base,
            event_sink: None,
            limiter: None,
            max_object: u64::MAX,
            epoch_callback: None,
            has_deadline: false,
            host_data: null_mut(),
            poisoned: false,
            activation: null(),
            exception: GcRef::NULL,
            exception_backtrace: Backtrace::default(),
            operands: Vec::new(),
            roots: HostRoots::default(),
            funcs,
            host_funcs: Vec::new(),
            host_contexts: Vec::new(),
            entry_stubs: HashMap::new(),
            instances: Vec::new(),
            globals: Vec::new(),
            tables: Vec::new(),
            memories: Vec::new(),
            tags: Vec::new(),
            retained: Vec::new(),
            recorded: RecordedCalls::default(),
        };
        Ok(Store { heap: None, state })
    }

    /// The runtime.
    pub fn runtime(&self) -> &Arc<Runtime> {
        &self.state.runtime
    }

    /// The settings.
    pub fn config(&self) -> &StoreConfig {
        &self.state.config
    }

    /// The heap, made at first use.
    pub fn heap(&mut self) -> Result<&mut Heap, MemoryError> {
        self.heap_and_roots().map(|(heap, _)| heap)
    }

    /// The heap, if the store has one.
    pub fn existing_heap(&self) -> Option<&Heap> {
        self.heap.as_ref()
    }

    /// The heap and the store's roots, for allocation.
    pub fn heap_and_roots(&mut self) -> Result<(&mut Heap, &mut StoreState), MemoryError> {
        let Store { heap, state } = self;
        let heap = match heap {
            Some(heap) => heap,
            None => heap.insert(state.make_heap()?),
        };
        Ok((heap, state))
    }

    /// Collects now. Without a heap there is nothing to do.
    pub fn gc(&mut self, cause: Cause) -> Result<CollectionReport, HeapCorrupted> {
        let Store { heap: Some(heap), state } = self else { return Ok(CollectionReport::default()) };
        heap.collect(cause, state).inspect_err(|_| state.poisoned = true)
    }

    /// Replaces the listener of the heap, be it made already or not.
    pub fn set_event_sink(&mut self, sink: Option<Box<dyn EventSink>>) {
        match &mut self.heap {
            Some(heap) => heap.set_event_sink(sink),
            None => self.state.event_sink = sink,
        }
    }

    /// Whether somebody listens to events.
    pub fn has_event_sink(&self) -> bool {
        self.state.event_sink.is_some() || self.heap.as_ref().is_some_and(Heap::has_event_sink)
    }

    /// Tells the listener, if there is one; `event` is not called otherwise.
    pub fn emit(&mut self, event: impl FnOnce() -> Event) {
        match (&mut self.heap, &mut self.state.event_sink) {
            (Some(heap), _) => heap.emit(event),
            (None, Some(sink)) => sink.event(&event()),
            (None, None) => {}
        }
    }

    /// References that the host holds.
    pub fn roots(&self) -> &HostRoots {
        &self.state.roots
    }

    /// References that the host holds.
    pub fn roots_mut(&mut self) -> &mut HostRoots {
        &mut self.state.roots
    }

    /// Whether the heap was found corrupted: no call into compiled code succeeds any more.
    pub fn is_poisoned(&self) -> bool {
        self.state.poisoned
    }

    /// Marks the heap as corrupted, on behalf of host code that read something impossible from it.
    pub fn poison(&mut self) {
        self.state.poisoned = true;
    }

    /// The compiled frames of all calls in progress, whether backtraces are captured or not.
    pub fn backtrace(&self) -> Backtrace {
        // SAFETY: the store is alive, and with `&self` at hand its compiled code is not running.
        let walker = unsafe { Walker::all(self.state.context(), self.state.activation) };
        Backtrace::resolve(walker.map(|f| f.pc), false)
    }

    /// What the embedder keeps with the store; null until set. Host functions find it in [`HostCall::host_data`].
    pub fn host_data(&self) -> *mut c_void {
        self.state.host_data
    }

    /// Sets what [`host_data`](Self::host_data) returns.
    pub fn set_host_data(&mut self, data: *mut c_void) {
        self.state.host_data = data;
    }

    /// Replaces the limiter. It is asked about what grows from now on.
    pub fn set_limiter(&mut self, limiter: Option<Box<dyn ResourceLimiter>>) {
        self.state.limiter = limiter.map(SharedLimiter::new);
        if let Some(heap) = &mut self.heap {
            heap.set_limiter(self.state.heap_limiter());
        }
    }

    /// Refuses larger objects; see [`Heap::set_max_object`].
    pub fn set_max_object(&mut self, bytes: u64) {
        self.state.max_object = bytes;
        if let Some(heap) = &mut self.heap {
            heap.set_max_object(bytes);
        }
    }

    /// Keeps types alive as long as the store.
    pub fn retain_types(&mut self, types: RegisteredTypes) {
        self.state.retained.push(types);
    }

    /// The instance's module.
    pub fn instance_module(&self, instance: InstanceId) -> &Arc<LoadedModule> {
        &self.state.instances[instance.0 as usize].module
    }

    /// An export by name.
    pub fn instance_export(&self, instance: InstanceId, name: &str) -> Option<Extern> {
        self.instance_export_at(instance, self.instance_module(instance).export_position(name)?)
    }

    /// An export by its position in [`ModuleInfo::exports`](heapwright_jit::module::ModuleInfo::exports).
    pub fn instance_export_at(&self, instance: InstanceId, position: usize) -> Option<Extern> {
        let instance = &self.state.instances[instance.0 as usize];
        let export = instance.module.info().exports.get(position)?;
        Some(match export.kind {
            ExternKind::Func => Extern::Func(self.func_of_ref(instance.func_ref(export.index))?),
            ExternKind::Global => Extern::Global(instance.global(export.index)),
            ExternKind::Table => Extern::Table(instance.table(export.index)),
            ExternKind::Memory => Extern::Memory(instance.memory(export.index)),
            ExternKind::Tag => Extern::Tag(instance.tags[export.index as usize]),
        })
    }

    /// The type of something of this store.
    pub fn extern_type(&self, item: Extern) -> ExternType {
        match item {
            Extern::Func(f) => ExternType::Func(self.func_type(f)),
            Extern::Global(g) => ExternType::Global(self.global_type(g)),
            Extern::Table(t) => ExternType::Table(self.table_type(t)),
            Extern::Memory(m) => ExternType::Memory(self.memory_type(m)),
            Extern::Tag(t) => ExternType::Tag(self.tag_type(t)),
        }
    }

    /// Runs the barrier of a reference store into a global or a table slot.
    pub(crate) fn root_barrier(&mut self, old: GcRef, new: GcRef) -> Result<(), HeapCorrupted> {
        let Some(program) = self.state.runtime.spec().barriers.root_store else { return Ok(()) };
        // Without a heap only null and i31s exist.
        let Some(heap) = &mut self.heap else { return Ok(()) };
        let inputs = heapwright_gc_heap::barrier::Inputs { old, new, ..Default::default() };
        program.run(heap, &inputs).inspect_err(|_| self.state.poisoned = true)
    }

    /// Whether such stores need a barrier at all.
    pub(crate) fn has_root_barrier(&self) -> bool {
        self.state.runtime.spec().barriers.root_store.is_some()
    }

    /// As [`heap_and_roots`](Self::heap_and_roots) for compiled code's needs: failure is a trap.
    pub(crate) fn heap_for_code(&mut self) -> Result<(&mut Heap, &mut StoreState), CallError> {
        self.heap_and_roots().map_err(|_| CallError::trap(Trap::GcHeapOutOfMemory))
    }
}

impl StoreState {
    /// The context that compiled code shares.
    pub(crate) fn context(&self) -> *mut StoreContext {
        self.context.as_ptr()
    }

    pub(crate) fn captures_backtraces(&self) -> bool {
        self.config.backtraces
    }

    /// What runs the store's code, if that is not the processor.
    pub(crate) fn interpreter(&mut self) -> Result<Option<NonNull<Interpreter>>, MemoryError> {
        if self.interpreter.is_none() && self.runtime.target() == Target::Pulley64 {
            let interpreter = Interpreter::new(self.config.max_wasm_stack)?;
            self.interpreter = Some(NonNull::from(Box::leak(Box::new(interpreter))));
        }
        Ok(self.interpreter)
    }

    /// Remembers what an error says about the store.
    pub(crate) fn note(&mut self, error: &CallError) {
        if let CallError::Trap(info) = error {
            self.poisoned |= matches!(info.trap, Trap::HeapCorrupted | Trap::ForgedFunctionReference);
        }
    }

    fn make_heap(&mut self) -> Result<Heap, MemoryError> {
        let config = &self.config.heap;
        if let Some(limiter) = &mut self.limiter {
            let first = Heap::first_capacity(config);
            if !limiter.may_grow(0, first, config.max.min(MAX_CAPACITY)) {
                return Err(MemoryError(format!("a GC heap of {first} bytes was refused by the limiter")));
            }
        }
        let memory = self.heap_memory.take();
        let mut memory = memory.ok_or_else(|| MemoryError("the GC heap could not be made".into()))?;
        memory.set_huge_pages(self.config.huge_pages);
        memory.set_prefetch(self.config.gc_prefetch);
        let runtime = &self.runtime;
        let config = HeapConfig { max: self.config.heap.max.min(runtime.allocator().max_heap()), ..self.config.heap };
        // SAFETY: the field's address is valid as long as the store, and so longer than its heap; Rust code reaches it
        // only through this pointer or, between calls into the heap, through the context.
        let heap = unsafe {
            let mutator = NonNull::new_unchecked(&raw mut (*self.context()).mutator);
            Heap::new(config, runtime.new_collector(), runtime.types().clone(), memory, mutator)
        };
        let mut heap = heap?;
        heap.set_event_sink(self.event_sink.take());
        heap.set_limiter(self.heap_limiter());
        heap.set_max_object(self.max_object);
        Ok(heap)
    }

    fn heap_limiter(&self) -> Option<Box<dyn GrowthLimiter>> {
        Some(Box::new(self.limiter.clone()?))
    }

    /// Refuses one more of something that a limiter counts.
    pub(crate) fn check_count(
        &self,
        what: &str,
        count: usize,
        limit: impl FnOnce(&dyn ResourceLimiter) -> usize,
    ) -> Result<(), InstantiateError> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        let limit = limit(&**limiter.get());
        if count < limit {
            return Ok(());
        }
        Err(InstantiateError::Resource(format!("the limiter allows {limit} {what} in a store")))
    }

    /// A function table entry; `None` for null and for ids that do not exist.
    pub(crate) fn func_entry(&self, id: u32) -> Option<FuncEntry> {
        self.funcs.get(id)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if !self.state.activation.is_null() {
            // Frames of this store are still on the stack: nothing sensible can follow.
            log::error!("a store was dropped during a call");
            std::process::abort();
        }
        if let Some(heap) = self.heap.take() {
            // Collector and host values go first.
            self.state.heap_memory = Some(heap.into_memory());
        }
    }
}

impl Drop for StoreState {
    fn drop(&mut self) {
        if let (Some(memory), Some(claim)) = (self.heap_memory.take(), self.heap_claim.take()) {
            claim.give_back(memory);
        }
        self.interrupts.cut();
        // SAFETY: made by `Box::leak` in `Store::new`; compiled code and the heap are gone.
        drop(unsafe { Box::from_raw(self.context.as_ptr()) });
        if let Some(interpreter) = self.interpreter {
            // SAFETY: made by `Box::leak` in `interpreter`; no call is in progress.
            drop(unsafe { Box::from_raw(interpreter.as_ptr()) });
        }
    }
}
