//! Settings of an engine.

use crate::InstanceAllocationStrategy;
use crate::listeners::Shared;
use crate::{EventSink, ProfilingStrategy, Result};
use anyhow::bail;
use heapwright_cache::Cache;
use heapwright_collectors::Registration;
use heapwright_gc_heap::{HeapConfig, SizingPolicy, Spec};
use heapwright_jit::{CallProfile, Settings, Target};
use std::fmt;
use std::sync::Arc;

/// A collector that an engine can use.
#[derive(Clone, Copy)]
pub struct Collector(pub(crate) &'static Registration);

impl Collector {
    /// Every collector, in a fixed order.
    pub fn all() -> impl ExactSizeIterator<Item = Collector> {
        heapwright_collectors::all().iter().map(Collector)
    }

    /// The collector with this name.
    pub fn by_name(name: &str) -> Option<Collector> {
        heapwright_collectors::by_name(name).map(Collector)
    }

    /// A collector that is not registered: its author's own. See the book's chapter on adding a collector,
    /// `docs/add-a-collector.md`.
    ///
    /// ```
    /// use heapwright::{Collector, Config, Engine};
    ///
    /// # let registration = heapwright_collectors::default();
    /// let collector = Collector::from_registration(registration);
    /// let engine = Engine::new(Config::new().collector(collector))?;
    /// assert_eq!(engine.collector(), collector);
    /// # Ok::<(), heapwright::Error>(())
    /// ```
    pub fn from_registration(registration: &'static Registration) -> Collector {
        Collector(registration)
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.0.spec.name
    }

    /// Its declaration.
    pub fn spec(&self) -> &'static Spec {
        self.0.spec
    }
}

impl Default for Collector {
    fn default() -> Self {
        Collector(heapwright_collectors::default())
    }
}

impl PartialEq for Collector {
    fn eq(&self, other: &Collector) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Collector {}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When functions are compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compilation {
    /// All of them when the module is loaded. Calls between them are direct.
    #[default]
    Eager,
    /// Each when it is first called, by the thread that calls it, or [ahead of that](Config::compile_ahead) by another
    /// one; loading only validates. A program of which a run uses little starts sooner. A call of a function that had
    /// not been called when its caller was compiled goes through a jump, ever after.
    Lazy,
}

/// Settings of an [`Engine`](crate::Engine). Methods return `&mut Self`, so that they can be chained.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) collector: Collector,
    pub(crate) heap: HeapConfig,
    pub(crate) settings: Settings,
    /// What was asked for, if anything was.
    pub(crate) signals: Option<bool>,
    pub(crate) max_wasm_stack: usize,
    pub(crate) max_object_size: u64,
    pub(crate) events: Option<Shared>,
    pub(crate) profiler: ProfilingStrategy,
    pub(crate) cache: Option<Cache>,
    pub(crate) compilation: Compilation,
    pub(crate) allocation: InstanceAllocationStrategy,
    pub(crate) memory_init_cow: bool,
    pub(crate) memory64_reservation: u64,
    pub(crate) backtraces: bool,
    pub(crate) stack_watermark: bool,
    pub(crate) huge_pages: bool,
    pub(crate) gc_prefetch: bool,
    pub(crate) backtrace_details: WasmBacktraceDetails,
}

/// Whether backtraces say where in the source their frames are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WasmBacktraceDetails {
    /// Yes, when a module carries DWARF.
    Enable,
    /// No: modules, functions and offsets only.
    Disable,
    /// As the environment variable [`VARIABLE`](Self::VARIABLE) says when the engine is made: yes, unless it is unset,
    /// empty or `0`.
    #[default]
    Environment,
}

impl WasmBacktraceDetails {
    /// `HEAPWRIGHT_BACKTRACE_DETAILS`
    pub const VARIABLE: &'static str = "HEAPWRIGHT_BACKTRACE_DETAILS";
}

/// Whether a second thread takes nothing from the first.
fn several_processors() -> bool {
    std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1)
}

impl Default for Config {
    fn default() -> Self {
        Config {
            collector: Collector::default(),
            heap: HeapConfig { initial: 1 << 20, max: u64::MAX, sizing: SizingPolicy::Growing, zeal: 0 },
            settings: Settings { ahead: several_processors(), ..Settings::default() },
            signals: None,
            max_wasm_stack: 512 << 10,
            max_object_size: u64::MAX,
            events: None,
            profiler: ProfilingStrategy::None,
            allocation: InstanceAllocationStrategy::OnDemand,
            memory_init_cow: true,
            memory64_reservation: 64 << 30,
            backtraces: true,
            stack_watermark: true,
            huge_pages: true,
            gc_prefetch: true,
            backtrace_details: WasmBacktraceDetails::default(),
            cache: None,
            compilation: Compilation::Eager,
        }
    }
}

impl Config {
    /// The default settings.
    pub fn new() -> Config {
        Config::default()
    }

    /// The collector of every store of the engine.
    pub fn collector(&mut self, collector: Collector) -> &mut Self {
        self.collector = collector;
        self
    }

    /// Capacity of a new GC heap in bytes. Default 1 MiB; raised to what the collector needs at least.
    pub fn initial_heap(&mut self, bytes: u64) -> &mut Self {
        self.heap.initial = bytes;
        self
    }

    /// Largest capacity of a GC heap in bytes. Default, and at most, nearly 4 GiB.
    pub fn max_heap(&mut self, bytes: u64) -> &mut Self {
        self.heap.max = bytes;
        self
    }

    /// How a heap's capacity follows its use.
    pub fn heap_policy(&mut self, policy: SizingPolicy) -> &mut Self {
        self.heap.sizing = policy;
        self
    }

    /// Collect at every `n`-th allocation, poison freed memory and verify the heap after each collection; 0 (the
    /// default) is off. For finding faults of collectors and of compiled code.
    pub fn zeal(&mut self, n: u32) -> &mut Self {
        self.heap.zeal = n;
        self
    }

    /// Bytes of stack that compiled code may use, counted from the outermost call into it. Default 512 KiB. A thread
    /// should have that much and some more for host functions: where its stack ends sooner, so does what code may use.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Self {
        self.max_wasm_stack = bytes;
        self
    }

    /// Whether a collection of young objects leaves out the frames of a deep stack that have not run since the last
    /// one. Default on. Interpreted code never does; nor do collectors that have no young objects.
    pub fn stack_watermark(&mut self, enable: bool) -> &mut Self {
        self.stack_watermark = enable;
        self
    }

    /// Whether the system is asked to back a GC heap with huge pages from its fifth MiB on. Default on. It takes effect
    /// where the system grants them on request (on Linux, `madvise` or `always` in
    /// `/sys/kernel/mm/transparent_hugepage/enabled`); a heap then has fewer page faults, and up to 2 MiB more of
    /// resident memory.
    pub fn huge_pages(&mut self, enable: bool) -> &mut Self {
        self.huge_pages = enable;
        self
    }

    /// Whether collections ask the processor for objects before they look at them. Default on. What a collection does is
    /// the same without it; in a heap larger than the cache it takes two to three times as long.
    pub fn gc_prefetch(&mut self, enable: bool) -> &mut Self {
        self.gc_prefetch = enable;
        self
    }

    /// What modules are compiled for: the triple of this machine (the default), or `pulley64`, bytecode that an
    /// interpreter runs.
    ///
    /// The interpreter is some fifteen times slower than machine code, and needs neither executable memory nor signal
    /// handlers.
    ///
    /// # Errors
    ///
    /// When code for the target cannot run here.
    pub fn target(&mut self, triple: &str) -> Result<&mut Self> {
        let Some(target) = Target::by_triple(triple) else {
            bail!("unsupported target `{triple}`: it must be `{}` or `{}`", Target::Native.triple(), Target::PULLEY64);
        };
        self.settings.target = target;
        Ok(self)
    }

    /// Largest GC object in bytes, header included. Default: what fits the heap. A larger allocation traps with
    /// [`TrapCode::AllocationTooLarge`](crate::TrapCode::AllocationTooLarge) whatever room there is. At least 64 KiB,
    /// because compiled code allocates small objects by itself.
    pub fn max_object_size(&mut self, bytes: u64) -> &mut Self {
        self.max_object_size = bytes;
        self
    }

    /// Whether compiled code counts fuel: see [`Store::set_fuel`](crate::Store::set_fuel). Default off. It costs an
    /// addition for each stretch of straight-line code, and a compare and a store at each function entry and loop
    /// header.
    pub fn consume_fuel(&mut self, enable: bool) -> &mut Self {
        self.settings.fuel = enable;
        self
    }

    /// Whether compiled code can be interrupted: by epochs
    /// ([`Store::set_epoch_deadline`](crate::Store::set_epoch_deadline)) and by
    /// [`InterruptHandle`](crate::InterruptHandle)s. Default off. It costs a load and a compare at each function entry
    /// and loop header.
    pub fn epoch_interruption(&mut self, enable: bool) -> &mut Self {
        self.settings.epochs = enable;
        self
    }

    /// Whether null accesses, memory bounds and divisions trap by hardware faults, or by explicit checks. The default
    /// is faults, except for the target `pulley64`, which has only checks.
    pub fn signals_based_traps(&mut self, enable: bool) -> &mut Self {
        self.signals = Some(enable);
        self.settings.signal_traps = enable;
        self
    }

    /// How instances are allocated. Default on demand. With a pool, [`Module::new`](crate::Module::new) refuses modules
    /// that its limits do not allow, and making a store or an instance fails with a
    /// [`PoolConcurrencyLimitError`](crate::PoolConcurrencyLimitError) while all slots of a kind are in use.
    pub fn allocation_strategy(&mut self, strategy: impl Into<InstanceAllocationStrategy>) -> &mut Self {
        self.allocation = strategy.into();
        self
    }

    /// Whether the initial contents of memories are mapped copy-on-write from a file in memory rather than copied,
    /// where data segments allow it and it pays. Default on.
    pub fn memory_init_cow(&mut self, enable: bool) -> &mut Self {
        self.memory_init_cow = enable;
        self
    }

    /// Bytes of address space for a memory with 64-bit addresses that declares no smaller maximum; it cannot grow
    /// beyond this (or its minimum, if that is larger). Default 64 GiB.
    pub fn memory64_reservation(&mut self, bytes: u64) -> &mut Self {
        self.memory64_reservation = bytes;
        self
    }

    /// Whether traps, uncaught exceptions and errors of host functions carry a [`WasmBacktrace`](crate::WasmBacktrace).
    /// Default on. Off, a trap costs no walk of the stack.
    pub fn wasm_backtrace(&mut self, enable: bool) -> &mut Self {
        self.backtraces = enable;
        self
    }

    /// Whether backtraces show source positions from DWARF. They are looked up when a backtrace is printed or asked,
    /// not when it is captured. Default: as the environment says.
    pub fn wasm_backtrace_details(&mut self, details: WasmBacktraceDetails) -> &mut Self {
        self.backtrace_details = details;
        self
    }

    /// Whether the code generator's optimiser runs. Default on.
    pub fn optimize(&mut self, enable: bool) -> &mut Self {
        self.settings.optimize = enable;
        self
    }

    /// Whether calls of small functions of the same module are replaced by their bodies. Default on; without
    /// [`optimize`](Self::optimize) it has no effect. Backtraces and fuel are the same with and without it.
    pub fn inlining(&mut self, enable: bool) -> &mut Self {
        self.settings.inlining = enable;
        self
    }

    /// Whether calls through references are direct where the code says which function is called: a `ref.func`, an
    /// immutable global, an immutable field of an object that is known. Default on; without
    /// [`optimize`](Self::optimize) it has no effect.
    pub fn known_targets(&mut self, enable: bool) -> &mut Self {
        self.settings.known_targets = enable;
        self
    }

    /// Whether calls through references compare the reference with the functions that it probably refers to, so that
    /// those are called directly or inlined: those that constants of the module have in the field it was read from, or
    /// the only few of its type, or what [a profile](Self::call_profile) says. Default on; without
    /// [`optimize`](Self::optimize) it has no effect.
    pub fn guarded_calls(&mut self, enable: bool) -> &mut Self {
        self.settings.guarded_calls = enable;
        self
    }

    /// Whether compiled code notes whom its calls through references and tables call, for
    /// [`Store::call_profile`](crate::Store::call_profile). Default off: each such call then calls the engine first.
    /// [Guarded calls](Self::guarded_calls) are off where it is on.
    pub fn record_calls(&mut self, enable: bool) -> &mut Self {
        self.settings.record_calls = enable;
        self
    }

    /// What earlier runs have recorded: the functions that a call often called are compared with, called directly and
    /// inlined. Of modules that the profile does not know, that is guessed; one that is out of date makes code slower,
    /// and nothing else. Default none.
    ///
    /// ```no_run
    /// # use heapwright::{CallProfile, Config};
    /// let profile: CallProfile = std::fs::read_to_string("program.calls")?.parse()?;
    /// let mut config = Config::new();
    /// config.call_profile(profile);
    /// # Ok::<(), heapwright::Error>(())
    /// ```
    pub fn call_profile(&mut self, profile: CallProfile) -> &mut Self {
        self.settings.call_profile = Some(Arc::new(profile));
        self
    }

    /// Whether loads of fields, elements and lengths, casts, and null and bounds checks whose result is known are
    /// removed. Default on; without [`optimize`](Self::optimize) it has no effect.
    pub fn redundancy_elimination(&mut self, enable: bool) -> &mut Self {
        self.settings.redundancy_elimination = enable;
        self
    }

    /// Whether objects that nothing but one function's field accesses can see are replaced by their fields. Default on;
    /// without [`optimize`](Self::optimize) it has no effect.
    pub fn scalar_replacement(&mut self, enable: bool) -> &mut Self {
        self.settings.scalar_replacement = enable;
        self
    }

    /// Whether `array.copy`, `array.fill` and `array.new` are compiled to code that moves and fills ranges of bytes.
    /// Default on; off, and without [`optimize`](Self::optimize), `array.copy` is a call and the others go element by
    /// element.
    pub fn inline_bulk_operations(&mut self, enable: bool) -> &mut Self {
        self.settings.inline_bulk = enable;
        self
    }

    /// Whether allocations that follow each other share one check of the room that is left. Default on.
    pub fn fold_allocations(&mut self, enable: bool) -> &mut Self {
        self.settings.fold_allocations = enable;
        self
    }

    /// Whether functions compile on several threads. Default on.
    pub fn parallel_compilation(&mut self, enable: bool) -> &mut Self {
        self.settings.parallel = enable;
        self
    }

    /// With [`Compilation::Lazy`] and [`parallel_compilation`](Self::parallel_compilation): whether the functions that
    /// a function calls are compiled when it is called for the first time itself, by a thread of the engine, while it
    /// runs. Default on, where this machine has more than one processor. A program starts sooner; functions are
    /// compiled that it may never call. The thread comes and goes as there is something to do, and keeps no module,
    /// store or engine alive.
    pub fn compile_ahead(&mut self, enable: bool) -> &mut Self {
        self.settings.ahead = enable;
        self
    }

    /// How profilers such as `perf` learn what compiled code is: names and places of functions are written to a file of
    /// the process. Default not at all. An engine whose file cannot be made is refused, as is a module of which the
    /// file cannot be told.
    pub fn profiler(&mut self, strategy: ProfilingStrategy) -> &mut Self {
        self.profiler = strategy;
        self
    }

    /// Replaces the listener of events: compilations by the engine, and everything that happens in its stores, unless
    /// they are given one of their own by [`Store::set_event_sink`](crate::Store::set_event_sink). Stores on several
    /// threads wait for each other while one of them tells it something. Default none: then no event is even built.
    pub fn event_sink(&mut self, sink: impl EventSink + 'static) -> &mut Self {
        self.events = Some(Shared::new(sink));
        self
    }

    /// Whether compiled code counts what its barriers do, for [`Store::gc_stats`](crate::Store::gc_stats). Default off:
    /// it costs a load and a store a barrier.
    pub fn count_barriers(&mut self, enable: bool) -> &mut Self {
        self.settings.count_barriers = enable;
        self
    }

    /// Whether stores that need no barrier by the collector's declaration (into a fresh object, of null, of an i31, a
    /// second one into the same object) go without. Default on; off, each runs the whole barrier, so that what elisions
    /// save can be measured.
    pub fn elide_barriers(&mut self, enable: bool) -> &mut Self {
        self.settings.elide_barriers = enable;
        self
    }

    /// Whether the code generator verifies its input. Default on in debug builds.
    pub fn verify_code(&mut self, enable: bool) -> &mut Self {
        self.settings.verify = enable;
        self
    }

    /// Where [`Module::new`](crate::Module::new) and its relatives look for compiled code before they compile, and keep
    /// it afterwards. Default none. Entries belong to a module's bytes, this build, the collector's declaration and the
    /// settings; damaged ones are made again.
    ///
    /// ```no_run
    /// use heapwright::{Cache, Config, DEFAULT_CACHE_LIMIT, Engine};
    ///
    /// # fn main() -> heapwright::Result<()> {
    /// let dir = Cache::default_dir().expect("a home directory");
    /// let engine = Engine::new(Config::new().cache(Some(Cache::open(dir, DEFAULT_CACHE_LIMIT)?)))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn cache(&mut self, cache: Option<Cache>) -> &mut Self {
        self.cache = cache;
        self
    }

    /// When functions are compiled. Default [`Compilation::Eager`]. The target `pulley64` has only that, and so has an
    /// engine with a [`profiler`](Self::profiler), which is told of all code when a module is loaded.
    ///
    /// A function that surpasses a limit of this implementation, or for whose code there is no memory, is an error of
    /// the first call when it is compiled lazily. Invalid modules are refused when they are loaded, always.
    pub fn compilation(&mut self, when: Compilation) -> &mut Self {
        self.compilation = when;
        self
    }
}
