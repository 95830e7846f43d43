//! The command line.

use crate::bench::args::{BenchArgs, ChildArgs};
use crate::engine_args::{self, DevArgs, EngineArgs};
use crate::limits::{LIMITS, LimitArgs};
use crate::sizes;
use clap::{Args, Parser, Subcommand, ValueEnum};
use heapwright::{Collector, Compilation};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Runs and examines WebAssembly programs that use garbage collection.
#[derive(Debug, Parser)]
#[command(name = "heapwright", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Say on standard error what is done and why, as far as the program does not show it
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

const EXAMPLES: &str = "\
Examples:
  heapwright run program.wasm
  heapwright run --collector drc --stats program.wasm arguments of the program
  heapwright compile -o program.hwm program.wasm && heapwright run program.hwm
  heapwright inspect program.wasm
  heapwright wast --collector all gc/struct.wast
  heapwright bench --peers node binary_trees sieve=1000000

`heapwright COMMAND --help` says more about a command.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Box<RunArgs>),
    Compile(Box<CompileArgs>),
    Cache(CacheCommand),
    Wast(WastArgs),
    Inspect(InspectArgs),
    Bench(BenchArgs),
    /// One measured process of `bench`
    #[command(hide = true)]
    BenchChild(Box<ChildArgs>),
    Explore(Box<ExploreArgs>),
    Collectors(CollectorsArgs),
}

/// Headings of options.
const PROGRAM: &str = "The program";
pub(crate) const GC: &str = "Garbage collection";
pub(crate) const CODE: &str = "Compilation";
pub(crate) const REPORTS: &str = "Reports";
pub(crate) const DEVELOPMENT: &str = "Finding faults of Heapwright";

/// Run a program, or one function of a module.
///
/// The program gets WASI preview 1, and `spectest.print_char` for MoonBit. What runs is the export `_start`, or else
/// `_initialize`; with --invoke, `_initialize` if there is one and then the function named.
///
/// The exit code is the program's own; 134 after a trap, an uncaught exception, when the heap is exhausted or a limit
/// of work or time is reached; 1 when the module cannot be loaded or linked; 2 for wrong usage.
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES, override_usage = "heapwright run [OPTIONS] FILE [ARGS]...")]
pub(crate) struct RunArgs {
    /// Give the program a directory, under its own name or another; may be repeated
    #[arg(long = "dir", value_name = "HOST[::GUEST]", help_heading = PROGRAM)]
    pub(crate) dirs: Vec<String>,

    /// Set an environment variable of the program; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable, help_heading = PROGRAM)]
    pub(crate) variables: Vec<(String, String)>,

    /// Call this export with ARGS and print its results, one a line
    #[arg(long, value_name = "EXPORT", help_heading = PROGRAM)]
    pub(crate) invoke: Option<String>,

    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    /// Compile functions when they are first called, or all of them before the program starts
    #[arg(long, value_name = "WHEN", default_value = "lazy", help_heading = CODE)]
    pub(crate) compile: CompileWhen,

    #[command(flatten)]
    pub(crate) cache: CacheArgs,

    /// Write to FILE whom calls through references and tables called, for `--call-profile`; the program runs slower
    /// meanwhile
    #[arg(long, value_name = "FILE", help_heading = CODE)]
    pub(crate) record_calls: Option<PathBuf>,

    /// Stack that the program may use
    #[arg(long, value_name = "SIZE", default_value = "16m", value_parser = sizes::parse_stack, help_heading = LIMITS)]
    pub(crate) max_stack: u64,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Say on standard error what the collector did: totals, quantiles of pauses, rates; as one JSON object with
    /// `--stats=json`
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text", help_heading = REPORTS)]
    pub(crate) stats: Option<StatsFormat>,

    /// Log each collection on standard error, a line each; `--gc-log=debug` adds phases, remembered sets, compilations
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, require_equals = true, default_missing_value = "info", help_heading = REPORTS)]
    pub(crate) gc_log: Option<LogLevel>,

    /// Write a timeline of collections and their phases, heap size, compilations and instantiations to FILE in the
    /// Chrome trace format, which Perfetto (ui.perfetto.dev) opens
    #[arg(long, value_name = "FILE", help_heading = REPORTS)]
    pub(crate) trace: Option<PathBuf>,

    /// Tell profilers what compiled code is: `perfmap` writes /tmp/perf-PID.map for `perf report`, `jitdump` writes
    /// jit-PID.dump for `perf inject --jit`
    #[arg(long, value_name = "FORMAT", help_heading = REPORTS)]
    pub(crate) profile: Option<Profile>,

    /// The module, in the binary or the text format or compiled by `heapwright compile`, or `-` for standard input;
    /// then arguments of the program, or of the function named by --invoke
    // One argument to clap: what follows the file is the program's, whatever it looks like.
    #[arg(value_names = ["FILE", "ARGS"], num_args = 1.., required = true, trailing_var_arg = true)]
    pub(crate) program: Vec<OsString>,
}

impl RunArgs {
    /// The module's file.
    pub(crate) fn file(&self) -> &Path {
        Path::new(&self.program[0])
    }

    /// What follows the file.
    pub(crate) fn args(&self) -> &[OsString] {
        &self.program[1..]
    }
}

const RUN_EXAMPLES: &str = "\
Examples:
  heapwright run program.wasm one two
  heapwright run --collector drc --max-heap 64m --stats program.wasm
  heapwright run --gc-log=debug --trace timeline.json program.wasm
  perf record -k mono heapwright run --profile jitdump program.wasm
  heapwright run --record-calls program.calls program.wasm && heapwright run --call-profile program.calls program.wasm
  heapwright run --dir . --dir data::/data --env LANG=C program.wasm
  heapwright run --invoke add sum.wat 20 22
  heapwright run --timeout 10s --max-heap 64m --max-memory 16m untrusted.wasm
  heapwright run --fuel 1000000000 untrusted.wasm
  heapwright run --target pulley64 program.wasm
  heapwright run program.hwm
  heapwright run --compile eager --no-cache program.wasm

Compiled code is kept for the next run: `heapwright cache --help`. Sizes are bytes, or KiB, MiB, GiB with k, m, g: 65536, 64k, 32m, 1g.";

/// When functions are compiled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum CompileWhen {
    /// Each when it is first called.
    Lazy,
    /// All of them before the program starts, on all processors.
    Eager,
}

impl From<CompileWhen> for Compilation {
    fn from(when: CompileWhen) -> Compilation {
        match when {
            CompileWhen::Lazy => Compilation::Lazy,
            CompileWhen::Eager => Compilation::Eager,
        }
    }
}

/// Where compiled code is kept between runs.
#[derive(Debug, Args)]
pub(crate) struct CacheArgs {
    /// Compile anew, and keep nothing
    #[arg(long, conflicts_with_all = ["cache_dir", "cache_size"], help_heading = CODE)]
    pub(crate) no_cache: bool,

    /// Keep compiled code here (default: heapwright below $XDG_CACHE_HOME or ~/.cache)
    #[arg(long, value_name = "DIR", help_heading = CODE)]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Bytes to which the directory is bounded; what was not used for longest goes first
    #[arg(long, value_name = "SIZE", default_value = "1g", value_parser = sizes::parse, help_heading = CODE)]
    pub(crate) cache_size: u64,
}

/// Compile a module to a file that `heapwright run` starts without compiling.
///
/// The file contains machine code for this processor, and the module. It is refused by another version of Heapwright,
/// another collector, other settings or a processor that lacks something, and when it is damaged. Run only files that
/// you have made yourself: they are executed like a program, outside of WebAssembly's sandbox.
#[derive(Debug, Args)]
#[command(after_help = COMPILE_EXAMPLES)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    /// The file to be written (default: FILE with the ending .hwm)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// The module, in the binary or the text format, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

const COMPILE_EXAMPLES: &str = "\
Examples:
  heapwright compile -o program.hwm program.wasm
  heapwright run program.hwm
  heapwright compile --collector drc program.wasm && heapwright run --collector drc program.hwm

The options of the heap's size change no code; they are for `heapwright run`.";

/// Look at or empty the compile cache of `heapwright run`.
#[derive(Debug, Args)]
#[command(after_help = CACHE_EXAMPLES)]
pub(crate) struct CacheCommand {
    #[command(subcommand)]
    pub(crate) action: CacheAction,

    /// The cache (default: heapwright below $XDG_CACHE_HOME or ~/.cache)
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// What is done with the cache.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum CacheAction {
    /// Say where it is and what is in it
    Info,
    /// Remove what is in it
    Clear,
}

const CACHE_EXAMPLES: &str = "\
Examples:
  heapwright cache info
  heapwright cache clear --cache-dir /var/tmp/mine";

/// How statistics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum StatsFormat {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    /// A line a collection, and one when the heap grows.
    Info,
    /// What each collection did as well, and compilations and instantiations.
    Debug,
}

/// What profilers are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Profile {
    /// Names of functions.
    Perfmap,
    /// Names, code, and the Wasm offset of each piece of it.
    Jitdump,
}

/// Run scripts of the WebAssembly specification (.wast).
///
/// Failures are printed with file, line, what was expected and what came instead. The last line is
/// `N passed, N failed, N skipped`; the exit code is 1 if anything failed.
#[derive(Debug, Args)]
#[command(after_help = WAST_EXAMPLES)]
pub(crate) struct WastArgs {
    /// The garbage collector, or `all` for one run with each
    #[arg(long, value_name = "NAME", default_value_t = Collector::default().name().to_owned(), value_parser = engine_args::collector_name_or_all())]
    pub(crate) collector: String,

    /// Compile functions when they are first called, or all of them when a module is loaded
    #[arg(long, value_name = "WHEN", default_value = "eager")]
    pub(crate) compile: CompileWhen,

    #[command(flatten)]
    pub(crate) dev: DevArgs,

    /// Accept only the specification's own words for traps and link errors, not those of other engines
    #[arg(long)]
    pub(crate) strict: bool,

    /// The scripts
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

const WAST_EXAMPLES: &str = "\
Examples:
  heapwright wast i32.wast i64.wast
  heapwright wast --collector all --zeal 1 gc/*.wast";

/// Show what a module consists of and what it needs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  heapwright inspect program.wasm")]
pub(crate) struct InspectArgs {
    /// The module, in the binary or the text format, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

/// Write a page that shows the Wasm, the CLIF and the machine code of each function side by side.
///
/// Lines that implement the same Wasm instruction light up together; allocation sequences, barriers, traps and the
/// references in frames are marked. The page is one file that needs nothing else. The code is what `heapwright run`
/// makes with the same options, before calls of other functions are linked.
#[derive(Debug, Args)]
#[command(after_help = EXPLORE_EXAMPLES)]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    pub(crate) engine: EngineArgs,

    /// Where to write the page (default: the module's name with `.html`, in the working directory)
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Show this function, by name or index; may be repeated (default: all)
    #[arg(long = "function", value_name = "NAME|INDEX")]
    pub(crate) functions: Vec<String>,

    /// Most functions to show
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) limit: usize,

    /// Most bytes of Wasm in the functions shown: a page has about a hundred times as many
    #[arg(long, value_name = "SIZE", default_value = "128k", value_parser = sizes::parse_nonzero)]
    pub(crate) max_wasm: u64,

    /// The module, in the binary or the text format, or `-` for standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

const EXPLORE_EXAMPLES: &str = "\
Examples:
  heapwright explore program.wasm
  heapwright explore --collector generational --function main -o main.html program.wasm";

/// List the garbage collectors, or say all about one.
///
/// What a collector declares is what compiled code does for it: header words, side tables, the allocation sequence,
/// barriers and the stores that need none, whether objects move. Beside it stands whom it follows, and where it
/// departs.
#[derive(Debug, Args)]
#[command(after_help = COLLECTORS_EXAMPLES)]
pub(crate) struct CollectorsArgs {
    /// The collector to describe, with its barrier programs
    #[arg(value_name = "NAME", value_parser = engine_args::collector_name())]
    pub(crate) name: Option<String>,

    /// As JSON: an array, or with NAME one object
    #[arg(long)]
    pub(crate) json: bool,
}

const COLLECTORS_EXAMPLES: &str = "\
Examples:
  heapwright collectors
  heapwright collectors generational
  heapwright collectors --json";

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an environment variable is given as NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_file_belongs_to_the_program() {
        let cli = Cli::try_parse_from(["heapwright", "run", "--stats", "x.wasm", "--stats", "-v", "--", "y"]).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        assert!(args.stats.is_some());
        assert_eq!(args.file(), "x.wasm");
        assert_eq!(args.args(), ["--stats", "-v", "--", "y"]);
    }
}
