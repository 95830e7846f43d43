//! How an engine is set up by the command line.

use crate::args::{CODE, DEVELOPMENT, GC, REPORTS};
use crate::{load, sizes};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use heapwright::{Collector, Config, InstanceAllocationStrategy, ProfileError, SizingPolicy, WasmBacktraceDetails};
use std::path::PathBuf;

/// How the engine is set up.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// The garbage collector
    #[arg(long, value_name = "NAME", default_value_t = Collector::default().name().to_owned(), value_parser = collector_name(), help_heading = GC)]
    pub(crate) collector: String,

    /// Capacity of the GC heap at first (default: 1m, or what the collector needs)
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse, help_heading = GC)]
    pub(crate) initial_heap: Option<u64>,

    /// Largest capacity of the GC heap (default: nearly 4g)
    #[arg(long, value_name = "SIZE", value_parser = sizes::parse_nonzero, help_heading = GC)]
    pub(crate) max_heap: Option<u64>,

    /// How the capacity of the heap follows its use, whatever the collector
    #[arg(long, value_name = "POLICY", default_value = "growing", help_heading = GC)]
    heap_policy: HeapPolicy,

    /// Expect that calls call whom they called in the run that `run --record-calls` wrote FILE in
    #[arg(long, value_name = "FILE", help_heading = CODE)]
    pub(crate) call_profile: Option<PathBuf>,

    /// Show no frames when the program traps or does not catch an exception
    #[arg(long, help_heading = REPORTS)]
    pub(crate) no_backtrace: bool,

    /// Take memory from a pool of slots, as embedders with many instances do, instead of mapping it
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) pooling_allocator: bool,

    /// Copy the initial contents of memories even where they could be mapped
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_memory_cow: bool,

    #[command(flatten)]
    pub(crate) dev: DevArgs,
}

/// Switches for those who work on the engine.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Collect at every N-th allocation, poison what is freed and verify the heap
    #[arg(long, value_name = "N", default_value_t = 0, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) zeal: u32,

    /// Compile for this machine, or to bytecode for the interpreter: `pulley64` (default: this machine)
    #[arg(long, value_name = "TRIPLE", value_parser = target, help_heading = CODE)]
    pub(crate) target: Option<String>,

    /// Trap by explicit checks instead of hardware faults
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_signals: bool,

    /// Look at all frames of a deep stack in each collection
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_stack_watermark: bool,

    /// Do not ask the system for huge pages for the GC heap
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_huge_pages: bool,

    /// Do not ask the processor for objects before a collection looks at them
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_gc_prefetch: bool,

    /// Generate code without optimising it
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_optimize: bool,

    /// Compile no function before it is called, also with a processor to spare
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_compile_ahead: bool,

    /// Run the whole barrier at stores that need none
    #[arg(long, hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) no_elision: bool,

    /// Leave out one of the optimiser's passes, to see its price; can be given several times
    #[arg(long, value_name = "PASS", hide_short_help = true, help_heading = DEVELOPMENT)]
    pub(crate) without: Vec<Pass>,
}

/// A pass of the optimiser.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Pass {
    /// Replacement of calls by the bodies of small functions.
    Inlining,
    /// Direct calls through references whose function is known.
    KnownTargets,
    /// Comparison of references with the functions they probably refer to.
    GuardedCalls,
    /// Removal of loads, casts and checks whose result is known.
    RedundancyElimination,
    /// Replacement of objects by their fields.
    ScalarReplacement,
    /// Operations on ranges of arrays without a call or a step for each element.
    InlineBulk,
    /// One check of the limit for allocations that follow each other.
    FoldAllocations,
}

/// A policy by its name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HeapPolicy {
    /// The heap grows with what lives in it and with the time that collections take.
    Growing,
    /// The heap grows only when an object does not fit.
    Fixed,
    /// The room above what lives follows the square root of the rates of allocation and collection.
    Adaptive,
}

fn target(triple: &str) -> Result<String, String> {
    Config::new().target(triple).map(|_| triple.to_owned()).map_err(|e| e.to_string())
}

pub(crate) fn collector_name() -> PossibleValuesParser {
    PossibleValuesParser::new(Collector::all().map(|c| c.name()))
}

pub(crate) fn collector_name_or_none() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(Collector::all().map(|c| c.name()).chain(["none"]))
}

pub(crate) fn collector_name_or_all() -> impl TypedValueParser<Value = String> {
    PossibleValuesParser::new(Collector::all().map(|c| c.name()).chain(["all"]))
}

/// The collectors that a name stands for. Names were checked when the command line was parsed.
pub(crate) fn collectors(name: &str) -> Vec<Collector> {
    Collector::all().filter(|c| name == "all" || c.name() == name).collect()
}

impl EngineArgs {
    /// The engine's configuration.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let mut config = Config::new();
        if let Some(collector) = Collector::by_name(&self.collector) {
            config.collector(collector);
        }
        let policy = match self.heap_policy {
            HeapPolicy::Growing => SizingPolicy::Growing,
            HeapPolicy::Fixed => SizingPolicy::Fixed,
            HeapPolicy::Adaptive => SizingPolicy::Adaptive,
        };
        config
            .heap_policy(policy)
            .wasm_backtrace(!self.no_backtrace)
            .wasm_backtrace_details(WasmBacktraceDetails::Enable)
            .memory_init_cow(!self.no_memory_cow);
        self.dev.configure(&mut config)?;
        if let Some(path) = &self.call_profile {
            let refuse = |e: &dyn std::fmt::Display| format!("--call-profile {}: {e}", path.display());
            let text = load::text(path).map_err(|e| refuse(&e))?;
            config.call_profile(text.parse().map_err(|e: ProfileError| refuse(&e))?);
        }
        if self.pooling_allocator {
            config.allocation_strategy(InstanceAllocationStrategy::pooling());
        }
        match (self.initial_heap, self.max_heap) {
            (Some(initial), Some(max)) if initial > max => {
                return Err(format!("--initial-heap ({initial} bytes) is more than --max-heap ({max} bytes)"));
            }
            (Some(initial), _) => {
                config.initial_heap(initial);
            }
            // A small maximum alone is a small heap, not a contradiction to the default beginning.
            (None, Some(max)) => {
                config.initial_heap(max.min(DEFAULT_INITIAL));
            }
            (None, None) => {}
        }
        if let Some(max) = self.max_heap {
            config.max_heap(max);
        }
        Ok(config)
    }
}

impl DevArgs {
    /// Sets all of these switches.
    pub(crate) fn configure(&self, config: &mut Config) -> Result<(), String> {
        config
            .zeal(self.zeal)
            .stack_watermark(!self.no_stack_watermark)
            .huge_pages(!self.no_huge_pages)
            .gc_prefetch(!self.no_gc_prefetch)
            .optimize(!self.no_optimize)
            .elide_barriers(!self.no_elision);
        if self.no_compile_ahead {
            config.compile_ahead(false);
        }
        if self.no_signals {
            config.signals_based_traps(false);
        }
        if let Some(target) = &self.target {
            config.target(target).map_err(|e| e.to_string())?;
        }
        for pass in &self.without {
            match pass {
                Pass::Inlining => config.inlining(false),
                Pass::KnownTargets => config.known_targets(false),
                Pass::GuardedCalls => config.guarded_calls(false),
                Pass::RedundancyElimination => config.redundancy_elimination(false),
                Pass::ScalarReplacement => config.scalar_replacement(false),
                Pass::InlineBulk => config.inline_bulk_operations(false),
                Pass::FoldAllocations => config.fold_allocations(false),
            };
        }
        Ok(())
    }
}

/// What [`Config`] begins with.
const DEFAULT_INITIAL: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_collectors() {
        assert_eq!(collectors("all").len(), Collector::all().len());
        for collector in Collector::all() {
            assert_eq!(collectors(collector.name()), [collector]);
        }
    }
}
