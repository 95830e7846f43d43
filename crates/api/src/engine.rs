//! The engine.

use crate::listeners::Shared;
use crate::{Collector, Compilation, Config, PoolingAllocatorMetrics, ProfilingStrategy, Result, WasmBacktraceDetails};
use anyhow::{Context as _, bail};
use heapwright_jit::{FunctionListing, Target};
use heapwright_vm::{Allocation, Runtime, StoreConfig};
use std::sync::Arc;

/// Configuration, compiler and types, shared by modules and stores. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<EngineInner>,
}

struct EngineInner {
    runtime: Arc<Runtime>,
    config: Config,
    backtrace_details: bool,
}

impl Engine {
    /// An engine.
    ///
    /// # Errors
    ///
    /// When the configuration makes no sense (a maximum heap of zero, an initial heap above the maximum, traps by
    /// signals for an interpreter), the collector's declaration is wrong, or the machine lacks what compiled code
    /// needs.
    pub fn new(config: &Config) -> Result<Engine> {
        let collector = config.collector;
        if let Err(wrong) = collector.spec().check() {
            bail!("the declaration of collector {}: {wrong}", collector.name());
        }
        if !std::ptr::eq((collector.0.create)().spec(), collector.spec()) {
            bail!("the registration of collector {} makes a collector of another declaration", collector.name());
        }
        if config.heap.max == 0 {
            bail!("the maximum heap size must be more than 0 bytes");
        }
        if config.heap.initial > config.heap.max {
            bail!(
                "the initial heap size ({} bytes) exceeds the maximum ({} bytes)",
                config.heap.initial,
                config.heap.max
            );
        }
        if config.settings.target == Target::Pulley64 && config.signals == Some(true) {
            bail!("the target `{}` has no traps by signals", Target::PULLEY64);
        }
        let least = u64::from(heapwright_gc_heap::MAX_INLINE_LIMIT);
        if config.max_object_size < least {
            bail!(
                "the maximum object size ({} bytes) must be at least {least} bytes: smaller objects are allocated without asking",
                config.max_object_size
            );
        }
        config.profiler.start().context("cannot open the file for profilers")?;
        let runtime = Runtime::with_allocation(
            config.settings.clone(),
            config.collector.0.create,
            &Allocation {
                strategy: config.allocation.to_vm(),
                memory_images: config.memory_init_cow,
                memory64_reservation: config.memory64_reservation,
            },
        )?;
        let backtrace_details = match config.backtrace_details {
            WasmBacktraceDetails::Enable => true,
            WasmBacktraceDetails::Disable => false,
            WasmBacktraceDetails::Environment => {
                std::env::var_os(WasmBacktraceDetails::VARIABLE).is_some_and(|v| !v.is_empty() && v != "0")
            }
        };
        Ok(Engine { inner: Arc::new(EngineInner { runtime, config: config.clone(), backtrace_details }) })
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The collector.
    pub fn collector(&self) -> Collector {
        self.inner.config.collector
    }

    /// Whether two handles are the same engine.
    pub fn same(a: &Engine, b: &Engine) -> bool {
        Arc::ptr_eq(&a.inner, &b.inner)
    }

    /// Moves on to the next epoch: code of every store whose deadline it is stops soon. From any thread; not from a
    /// signal handler, for it takes a lock. It costs a visit of each store that has a deadline.
    ///
    /// ```
    /// # use heapwright::{Config, Engine, Instance, Module, Store, Trap, TrapCode};
    /// # fn main() -> heapwright::Result<()> {
    /// let engine = Engine::new(Config::new().epoch_interruption(true))?;
    /// let module = Module::new(&engine, r#"(module (func (export "spin") (loop (br 0))))"#)?;
    /// let mut store = Store::new(&engine, ())?;
    /// store.set_epoch_deadline(1);
    /// let spin = Instance::new(&mut store, &module, &[])?.typed_func::<(), ()>(&mut store, "spin")?;
    /// let clock = engine.clone();
    /// std::thread::spawn(move || {
    ///     std::thread::sleep(std::time::Duration::from_millis(10));
    ///     clock.increment_epoch();
    /// });
    /// let error = spin.call(&mut store, ()).unwrap_err();
    /// assert_eq!(error.downcast_ref::<Trap>().map(Trap::code), Some(TrapCode::Interrupt));
    /// # Ok(())
    /// # }
    /// ```
    pub fn increment_epoch(&self) {
        self.runtime().epochs().increment();
    }

    /// How often [`increment_epoch`](Self::increment_epoch) was called.
    pub fn current_epoch(&self) -> u64 {
        self.runtime().epochs().now()
    }

    /// Validates a module in the binary format without compiling it.
    ///
    /// # Errors
    ///
    /// What is wrong, with the offset.
    pub fn validate(&self, bytes: &[u8]) -> Result<()> {
        self.runtime().compiler().validate(bytes)?;
        Ok(())
    }

    /// Compiles a module, in the binary format or (with the `wat` feature) the text format, without loading it: gives
    /// what [`Module::serialize`](crate::Module::serialize) would, every function compiled.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the offset.
    pub fn precompile_module(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let bytes = crate::module::binary(bytes)?;
        let compiler = self.runtime().compiler();
        let compiled = compiler.compile_module(&bytes)?;
        Ok(compiler.write_artifact(&compiled, &compiled.text, &bytes))
    }

    /// Whether bytes begin like what [`Module::serialize`](crate::Module::serialize) gives; eight bytes suffice. Says
    /// nothing about whether this engine accepts them.
    pub fn is_precompiled(bytes: &[u8]) -> bool {
        heapwright_jit::artifact::ArtifactFile::detect(bytes)
    }

    /// Whether functions are compiled when they are called. Profilers are told of a module's code when it is loaded, so
    /// with one all of it is compiled then.
    pub(crate) fn is_lazy(&self) -> bool {
        let Config { compilation, profiler, .. } = self.config();
        *compilation == Compilation::Lazy && *profiler == ProfilingStrategy::None
    }

    /// What the pool's slots are doing; `None` when instances are allocated on demand.
    pub fn pooling_allocator_metrics(&self) -> Option<PoolingAllocatorMetrics> {
        self.runtime().pool_metrics().map(PoolingAllocatorMetrics)
    }

    /// Compiles the functions of a module in the binary format that `wanted` picks by index, name and bytes of the
    /// body, and gives each in all its forms: CLIF, machine code, and what links them to the module. For tools that
    /// show code.
    ///
    /// # Errors
    ///
    /// What is wrong with the module, with the offset.
    pub fn list_functions(
        &self,
        bytes: &[u8],
        wanted: impl FnMut(u32, Option<&str>, usize) -> bool,
    ) -> Result<Vec<FunctionListing>> {
        Ok(self.runtime().compiler().list(bytes, wanted)?)
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.inner.runtime
    }

    /// The listener of the engine's events, for its stores as well.
    pub(crate) fn events(&self) -> Option<&Shared> {
        self.inner.config.events.as_ref()
    }

    pub(crate) fn store_config(&self) -> StoreConfig {
        let Config { heap, max_wasm_stack, backtraces, stack_watermark, huge_pages, gc_prefetch, .. } =
            self.inner.config;
        StoreConfig { heap, max_wasm_stack, backtraces, stack_watermark, huge_pages, gc_prefetch }
    }

    /// Whether backtraces look for source positions.
    pub(crate) fn backtrace_details(&self) -> bool {
        self.inner.backtrace_details
    }
}

impl Default for Engine {
    /// An engine with default settings.
    ///
    /// # Panics
    ///
    /// When the machine lacks what compiled code needs.
    fn default() -> Self {
        Engine::new(&Config::default()).expect("the default configuration works on a supported machine")
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
