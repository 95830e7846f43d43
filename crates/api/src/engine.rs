//! The engine.

use crate::listeners::Shared;
use crate::{Collector, Config, Result, WasmBacktraceDetails};
use anyhow::bail;
use heapwright_jit::Target;
use heapwright_vm::{Runtime, StoreConfig};
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
    /// When the configuration makes no sense (a maximum heap of zero, an initial heap above the maximum, traps by signals for an
    /// interpreter), the collector's declaration is wrong, or the machine lacks what compiled code needs.
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
        let runtime = Runtime::new(config.settings.clone(), config.collector.0.create)?;
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

    /// Validates a module in the binary format without compiling it.
    ///
    /// # Errors
    ///
    /// What is wrong, with the offset.
    pub fn validate(&self, bytes: &[u8]) -> Result<()> {
        self.runtime().compiler().validate(bytes)?;
        Ok(())
    }

    pub(crate) fn runtime(&self) -> &Arc<Runtime> {
        &self.inner.runtime
    }

    /// The listener of the engine's events, for its stores as well.
    pub(crate) fn events(&self) -> Option<&Shared> {
        self.inner.config.events.as_ref()
    }

    pub(crate) fn store_config(&self) -> StoreConfig {
        let Config { heap, max_wasm_stack, backtraces, .. } = self.inner.config;
        StoreConfig { heap, max_wasm_stack, backtraces }
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
