//! What all stores of an engine share.

use crate::background::Background;
use crate::code::{CodeKind, CodeMapping, CodeObject, RegisteredCode};
use crate::mapping::FileBytes;
use crate::module::Text;
use crate::pool::{AllocationStrategy, Allocator, MemoryOptions, PoolMetrics};
use crate::{Epochs, LoadError, LoadedModule, builtins, signals};
use hashbrown::{HashMap, HashSet};
use heapwright_gc_heap::{Collector, Spec, TypeRegistry};
use heapwright_jit::abi::SignatureKinds;
use heapwright_jit::artifact::{ArtifactFile, CompiledModule};
use heapwright_jit::{Compiler, Settings, StubText, Stubs, Target};
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

/// Makes a collector for a new heap.
pub type CollectorFactory = fn() -> Box<dyn Collector>;

/// The engine's part of the vm: types, compiler, collector, stubs.
pub struct Runtime {
    types: Arc<TypeRegistry>,
    compiler: Compiler,
    collector: CollectorFactory,
    /// Stub addresses, then the addresses of their implementations, each in `Builtin::ALL` order.
    builtin_table: Box<[usize]>,
    stubs: Mutex<StubCache>,
    epochs: Epochs,
    allocator: Allocator,
    background: Background,
}

/// Where the memory of stores and instances comes from.
#[derive(Clone, Debug)]
pub struct Allocation {
    /// From where.
    pub strategy: AllocationStrategy,
    /// Whether initial contents of memories are mapped copy-on-write rather than copied, where that pays.
    pub memory_images: bool,
    /// Bytes of address space for a memory with 64-bit addresses that declares no smaller maximum; it cannot grow
    /// beyond.
    pub memory64_reservation: u64,
}

impl Default for Allocation {
    /// On demand, with images, 64 GiB.
    fn default() -> Self {
        Allocation { strategy: AllocationStrategy::OnDemand, memory_images: true, memory64_reservation: 64 << 30 }
    }
}

/// Stubs made so far. They live as long as the runtime.
struct StubCache {
    target: Target,
    entries: HashMap<SignatureKinds, EntryStub>,
    host_calls: HashMap<SignatureKinds, usize>,
    code: Vec<RegisteredCode>,
}

/// An entry trampoline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryStub {
    /// Address of the trampoline.
    pub(crate) code: usize,
    /// Address of its catch-all handler.
    pub(crate) handler: usize,
    /// The handler's stack pointer is the trampoline's frame pointer less this.
    pub(crate) sp_distance: usize,
    /// Slots that parameters and results need.
    pub(crate) slots: usize,
}

impl Runtime {
    /// A runtime. Installs the process's signal handlers, unless the target is an interpreter's.
    ///
    /// # Errors
    ///
    /// [`LoadError`].
    pub fn new(settings: Settings, collector: CollectorFactory) -> Result<Arc<Runtime>, LoadError> {
        Runtime::with_allocation(settings, collector, &Allocation::default())
    }

    /// As [`new`](Self::new), with a choice of where memory comes from.
    ///
    /// # Errors
    ///
    /// [`LoadError`].
    pub fn with_allocation(
        settings: Settings,
        collector: CollectorFactory,
        allocation: &Allocation,
    ) -> Result<Arc<Runtime>, LoadError> {
        let options = MemoryOptions {
            guard: settings.memory_guard,
            faults: settings.faults_trap(),
            reservation64: allocation.memory64_reservation,
            images: allocation.memory_images,
        };
        let allocator = Allocator::new(&allocation.strategy, options);
        let spec = collector().spec();
        let target = settings.target;
        if target == Target::Native {
            // Stack overflow is a hardware trap whatever the setting says about other traps.
            signals::install().map_err(LoadError::Signals)?;
        }
        let compiler = Compiler::new(settings, spec)?;
        let types = Arc::new(TypeRegistry::new(spec.header_layout())?);
        let text = compiler.compile_stubs(Stubs::Builtins)?;
        let code = RegisteredCode::new(CodeObject::for_target(target, &text.text, CodeKind::Stub)?);
        let mut builtin_table: Vec<usize> = text.stubs.iter().map(|s| code.at(s.start) as usize).collect();
        builtin_table.extend(builtins::implementations());
        let (entries, host_calls) = Default::default();
        let stubs = Mutex::new(StubCache { target, entries, host_calls, code: vec![code] });
        Ok(Arc::new(Runtime {
            types,
            compiler,
            collector,
            builtin_table: builtin_table.into(),
            stubs,
            epochs: Epochs::default(),
            allocator,
            background: Background::new(),
        }))
    }

    /// The types.
    pub fn types(&self) -> &Arc<TypeRegistry> {
        &self.types
    }

    /// The epoch and the stores that wait for it.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The compiler.
    pub fn compiler(&self) -> &Compiler {
        &self.compiler
    }

    /// The collector's declaration.
    pub fn spec(&self) -> &'static Spec {
        self.compiler.spec()
    }

    /// What code is generated for.
    pub(crate) fn target(&self) -> Target {
        self.compiler.settings().target
    }

    /// Compiles a module in the binary format and makes it ready to run.
    ///
    /// # Errors
    ///
    /// [`LoadError`].
    pub fn compile(self: &Arc<Self>, bytes: &[u8]) -> Result<Arc<LoadedModule>, LoadError> {
        let compiled = self.compiler.compile_module(bytes)?;
        self.load(compiled, bytes.into())
    }

    /// Validates a module in the binary format and makes it ready to run: its functions are compiled when they are
    /// first called. For a target that is interpreted, everything is compiled at once.
    ///
    /// # Errors
    ///
    /// [`LoadError`].
    pub fn compile_lazily(self: &Arc<Self>, bytes: &[u8]) -> Result<Arc<LoadedModule>, LoadError> {
        if self.target() != Target::Native {
            return self.compile(bytes);
        }
        let bytes: Arc<[u8]> = bytes.into();
        let (mut compiled, bodies) = self.compiler.prepare_module(&bytes)?;
        let text = std::mem::take(&mut compiled.text);
        LoadedModule::new(self, compiled, Text::Growing(&text, bodies), bytes)
    }

    /// Makes a compiled module ready to run. `bytes` is the module in the binary format: data segments are read from
    /// it.
    ///
    /// # Errors
    ///
    /// [`LoadError`].
    pub fn load(
        self: &Arc<Self>,
        mut compiled: CompiledModule,
        bytes: Arc<[u8]>,
    ) -> Result<Arc<LoadedModule>, LoadError> {
        // From now on the mapping has it.
        let text = std::mem::take(&mut compiled.text);
        LoadedModule::new(self, compiled, Text::Bytes(&text), bytes)
    }

    /// Makes an artifact ready to run: bytes that [`LoadedModule::to_artifact`] wrote under an equal runtime.
    ///
    /// # Errors
    ///
    /// [`LoadError::Artifact`] for bytes that are something else, or were damaged; others when there is no memory.
    ///
    /// # Safety
    ///
    /// The bytes contain machine code, of which only a checksum is checked: they must come from a Heapwright engine by
    /// a way on which nobody could exchange them.
    pub unsafe fn load_artifact(self: &Arc<Self>, artifact: &[u8]) -> Result<Arc<LoadedModule>, LoadError> {
        let ArtifactFile { module, bodies, text, wasm } = self.compiler.read_artifact(artifact)?;
        let text = &artifact[text];
        let text = if module.jumps { Text::Growing(text, bodies) } else { Text::Bytes(text) };
        LoadedModule::new(self, module, text, wasm)
    }

    /// As [`load_artifact`](Self::load_artifact) for a file. Its text is mapped and not copied, where the system allows
    /// that.
    ///
    /// # Errors
    ///
    /// As there, and when the file cannot be read.
    ///
    /// # Safety
    ///
    /// As there; and the file's bytes must not change as long as the module lives. (Another file may take its name.)
    pub unsafe fn load_artifact_file(self: &Arc<Self>, file: &File) -> Result<Arc<LoadedModule>, LoadError> {
        // SAFETY: the caller's promise.
        let bytes = unsafe { FileBytes::map(file) }.map_err(LoadError::File)?;
        let ArtifactFile { module, bodies, text, wasm } = self.compiler.read_artifact(&bytes)?;
        // A file system may refuse what is to be executed; its bytes are copied then.
        let text = if module.jumps {
            // SAFETY: the caller's promise; `read_artifact` has checked that the text fills pages.
            match unsafe { CodeMapping::growing_from(bodies.len() as u32, file, &text) } {
                Ok(mapping) => Text::MappedGrowing(mapping, bodies),
                Err(_) => Text::Growing(&bytes[text], bodies),
            }
        } else {
            // SAFETY: as above.
            let mapping = unsafe { CodeMapping::of_file(self.target(), file, &text) };
            mapping.map_or(Text::Bytes(&bytes[text]), Text::Mapped)
        };
        LoadedModule::new(self, module, text, wasm)
    }

    /// The thread that compiles ahead.
    pub(crate) fn background(&self) -> &Background {
        &self.background
    }

    pub(crate) fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    /// What the pool's slots are doing; `None` without a pool.
    pub fn pool_metrics(&self) -> Option<PoolMetrics> {
        self.allocator.metrics()
    }

    pub(crate) fn new_collector(&self) -> Box<dyn Collector> {
        (self.collector)()
    }

    /// The address of the table of builtin stubs.
    pub(crate) fn builtin_table(&self) -> *const usize {
        self.builtin_table.as_ptr()
    }

    /// The entry trampoline of a signature.
    pub(crate) fn entry_stub(&self, kinds: &SignatureKinds) -> Result<EntryStub, LoadError> {
        self.prepare_entries([kinds.clone()])?;
        Ok(self.stub_cache().entries[kinds])
    }

    /// Makes the entry trampolines of several signatures at once.
    pub(crate) fn prepare_entries(&self, wanted: impl IntoIterator<Item = SignatureKinds>) -> Result<(), LoadError> {
        let mut cache = self.stub_cache();
        let missing: HashSet<_> = wanted.into_iter().filter(|k| !cache.entries.contains_key(k)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<_> = missing.into_iter().collect();
        let text = self.compiler.compile_stubs(Stubs::Entries(&missing))?;
        let code = cache.map(&text)?;
        for ((kinds, stub), &(handler, distance)) in missing.into_iter().zip(&text.stubs).zip(&text.handlers) {
            let entry = EntryStub {
                code: code + stub.start as usize,
                handler: code + handler as usize,
                sp_distance: distance as usize,
                slots: kinds.params.len().max(kinds.results.len()),
            };
            cache.entries.insert(kinds, entry);
        }
        Ok(())
    }

    /// The host-call stub of a signature.
    pub(crate) fn host_call_stub(&self, kinds: &SignatureKinds) -> Result<usize, LoadError> {
        let mut cache = self.stub_cache();
        if let Some(&code) = cache.host_calls.get(kinds) {
            return Ok(code);
        }
        let text = self.compiler.compile_stubs(Stubs::HostCalls(core::slice::from_ref(kinds)))?;
        let code = cache.map(&text)? + text.stubs[0].start as usize;
        cache.host_calls.insert(kinds.clone(), code);
        Ok(code)
    }

    fn stub_cache(&self) -> std::sync::MutexGuard<'_, StubCache> {
        self.stubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StubCache {
    /// Maps stubs and returns the address of their text.
    fn map(&mut self, text: &StubText) -> Result<usize, LoadError> {
        let code = RegisteredCode::new(CodeObject::for_target(self.target, &text.text, CodeKind::Stub)?);
        let start = code.start();
        self.code.push(code);
        Ok(start)
    }
}
