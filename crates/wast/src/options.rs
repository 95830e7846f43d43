//! How scripts are run.

use crate::Dialect;
use heapwright::{Collector, Compilation, Config, Result, SizingPolicy};

/// How scripts are run: the engine's settings and what becomes of output.
#[derive(Clone, Debug)]
pub struct Options {
    /// Settings that the fields below do not speak of.
    pub base: Config,
    /// The collector.
    pub collector: Collector,
    /// Collect at every `n`-th allocation and verify the heap after each; 0 is off.
    pub zeal: u32,
    /// What modules are compiled for, if not this machine: see [`Config::target`].
    pub target: Option<String>,
    /// Whether traps come from hardware faults rather than explicit checks.
    pub signals: bool,
    /// Whether the code generator's optimiser runs.
    pub optimize: bool,
    /// When functions are compiled.
    pub compilation: Compilation,
    /// Whether stores that need no barrier go without.
    pub elide_barriers: bool,
    /// Whether functions compile on several threads.
    pub parallel: bool,
    /// The heap's capacity at first, in bytes, if not the engine's default.
    pub initial_heap: Option<u64>,
    /// The heap's largest capacity, in bytes, if not the engine's default.
    pub max_heap: Option<u64>,
    /// How the heap's capacity follows its use, if not the engine's default.
    pub heap_policy: Option<SizingPolicy>,
    /// Whose words the script uses.
    pub dialect: Dialect,
    /// Whether the functions `spectest.print*` write to standard output.
    pub print: bool,
}

impl Default for Options {
    /// The engine's defaults, one thread, the specification's words, no output.
    fn default() -> Self {
        Options {
            base: Config::new(),
            collector: Collector::default(),
            zeal: 0,
            target: None,
            signals: true,
            optimize: true,
            compilation: Compilation::Eager,
            elide_barriers: true,
            parallel: false,
            initial_heap: None,
            max_heap: None,
            heap_policy: None,
            dialect: Dialect::Specification,
            print: false,
        }
    }
}

impl Options {
    /// The engine's configuration.
    ///
    /// # Errors
    ///
    /// When code for the target cannot run here.
    pub fn config(&self) -> Result<Config> {
        let mut config = self.base.clone();
        config
            .collector(self.collector)
            .zeal(self.zeal)
            .optimize(self.optimize)
            .compilation(self.compilation)
            .elide_barriers(self.elide_barriers)
            .parallel_compilation(self.parallel);
        if !self.signals {
            config.signals_based_traps(false);
        }
        if let Some(target) = &self.target {
            config.target(target)?;
        }
        if let Some(bytes) = self.initial_heap {
            config.initial_heap(bytes);
        }
        if let Some(bytes) = self.max_heap {
            config.max_heap(bytes);
        }
        if let Some(policy) = self.heap_policy {
            config.heap_policy(policy);
        }
        Ok(config)
    }
}
