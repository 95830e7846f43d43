//! The compiler object and its settings.

use super::CompileError;
use crate::CallProfile;
use crate::artifact::Identity;
use cranelift_codegen::isa::{self, CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use heapwright_gc_heap::Spec;
use std::sync::Arc;
use target_lexicon::{Architecture, Triple};
use wasmparser::WasmFeatures;

/// What code is generated for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// The processor that we run on.
    #[default]
    Native,
    /// The bytecode of the Pulley interpreter with 64-bit addresses.
    Pulley64,
}

impl Target {
    /// The triple's name of the interpreter's target.
    pub const PULLEY64: &'static str = "pulley64";

    /// The target that a triple names; `None` when code for it cannot run here.
    pub fn by_triple(name: &str) -> Option<Target> {
        if name == Target::PULLEY64 {
            return Some(Target::Pulley64);
        }
        let triple: Triple = name.parse().ok()?;
        let host = Triple::host();
        let alike = (triple.architecture, triple.operating_system) == (host.architecture, host.operating_system);
        alike.then_some(Target::Native)
    }

    /// The triple, for messages.
    pub fn triple(self) -> String {
        match self {
            Target::Native => Triple::host().to_string(),
            Target::Pulley64 => Target::PULLEY64.to_string(),
        }
    }
}

/// What changes the generated code.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// What code is generated for.
    pub target: Target,
    /// Traps of null accesses, memory bounds and division come from hardware faults. Off: explicit checks that call
    /// `RaiseTrap`. Means nothing for an interpreter, whose instructions fault in *our* code: see
    /// [`Settings::faults_trap`] and [`Settings::instructions_trap`].
    pub signal_traps: bool,
    /// Cranelift's optimiser runs.
    pub optimize: bool,
    /// With `optimize`: calls of small functions of the module are replaced by their bodies.
    pub inlining: bool,
    /// With `optimize`: calls through references are direct where the code says which function it is.
    pub known_targets: bool,
    /// With `optimize`: references are compared with the functions that they probably refer to, whose calls are then direct.
    pub guarded_calls: bool,
    /// With `optimize`: loads, casts and checks whose result is known are removed.
    pub redundancy_elimination: bool,
    /// With `optimize`: objects that only one function's field accesses see are replaced by their fields.
    pub scalar_replacement: bool,
    /// With `optimize`: operations on ranges of arrays are compiled to code for ranges of bytes. Off: `array.copy` is a call of the vm, others go element by
    /// element.
    pub inline_bulk: bool,
    /// With `optimize`: allocations that follow each other share one check of the limit.
    pub fold_allocations: bool,
    /// Cranelift's verifier runs after translation and after lowering.
    pub verify: bool,
    /// Functions compile on several threads.
    pub parallel: bool,
    /// With `parallel`: of functions that are compiled when they are called, those that will probably be called next are compiled before, on
    /// another thread.
    pub ahead: bool,
    /// Compiled code counts what its barrier programs do, in [`MutatorState::barriers`](heapwright_gc_heap::MutatorState::barriers).
    pub count_barriers: bool,
    /// Stores that the collector declares to need less than its store program get less. Off: each runs the whole program.
    pub elide_barriers: bool,
    /// Compiled code notes whom its calls through references and tables call, for a [`CallProfile`].
    pub record_calls: bool,
    /// With `optimize`: whom such calls called in earlier runs. Of a module that it knows, nothing else is guessed.
    pub call_profile: Option<Arc<CallProfile>>,
    /// Compiled code counts fuel.
    pub fuel: bool,
    /// Compiled code checks the epoch.
    pub epochs: bool,
    /// Bytes of address space behind each 32-bit memory: offsets below it need no bounds check.
    pub memory_guard: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            target: Target::Native,
            signal_traps: true,
            optimize: true,
            inlining: true,
            known_targets: true,
            guarded_calls: true,
            redundancy_elimination: true,
            scalar_replacement: true,
            inline_bulk: true,
            fold_allocations: true,
            verify: cfg!(debug_assertions),
            parallel: true,
            ahead: true,
            count_barriers: false,
            elide_barriers: true,
            record_calls: false,
            call_profile: None,
            fuel: false,
            epochs: false,
            memory_guard: 32 << 20,
        }
    }
}

impl Settings {
    /// Whether operations on ranges of arrays are compiled to code for ranges of bytes.
    pub fn inlines_bulk(&self) -> bool {
        self.optimize && self.inline_bulk
    }

    /// Whether an access to memory that is not mapped becomes a trap. Where not, every access is checked before it is made.
    pub fn faults_trap(&self) -> bool {
        self.signal_traps && self.target == Target::Native
    }

    /// Whether functions are compiled before they are called.
    pub fn compiles_ahead(&self) -> bool {
        self.parallel && self.ahead
    }

    /// Whether calls are replaced by bodies.
    pub(crate) fn inlines(&self) -> bool {
        self.optimize && self.inlining
    }

    /// Whether calls through references are made direct.
    pub(crate) fn knows_targets(&self) -> bool {
        self.optimize && self.known_targets
    }

    /// Whether calls through references are direct where a comparison has shown whom they call. Not where all of them are to be seen.
    pub(crate) fn guards_calls(&self) -> bool {
        self.optimize && self.guarded_calls && !self.record_calls
    }

    /// Whether an instruction that traps by itself (a trap, a division, a conversion) becomes a trap of the program. Where not,
    /// its condition is tested and `RaiseTrap` called.
    pub fn instructions_trap(&self) -> bool {
        self.signal_traps || self.target == Target::Pulley64
    }
}

/// The language: WebAssembly 3.0 without threads, with the legacy exception instructions that toolchains still emit, custom page
/// sizes and wide arithmetic.
pub fn features() -> WasmFeatures {
    (WasmFeatures::WASM3 - WasmFeatures::THREADS)
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::CUSTOM_PAGE_SIZES
        | WasmFeatures::WIDE_ARITHMETIC
}

/// Compiles modules for one target, one set of settings and one collector's declaration.
pub struct Compiler {
    /// For ordinary functions.
    pub(crate) isa: OwnedTargetIsa,
    /// The same target without optimiser: for stubs, and where the next one cannot be had.
    pub(crate) light_isa: OwnedTargetIsa,
    /// The same target without optimiser and with a register allocator of one pass: for functions of unusual size.
    pub(crate) linear_isa: OwnedTargetIsa,
    pub(crate) settings: Settings,
    pub(crate) spec: &'static Spec,
    pub(crate) features: WasmFeatures,
}

impl Compiler {
    /// A compiler for the target of the settings, which may use all that this machine has.
    ///
    /// # Errors
    ///
    /// [`CompileError::Target`] when the machine lacks what compiled code needs.
    pub fn new(settings: Settings, spec: &'static Spec) -> Result<Compiler, CompileError> {
        Compiler::with_features_of(Processor::This, settings, spec)
    }

    /// A compiler whose code uses no more than every supported processor has, so that it is the same on each machine.
    ///
    /// # Errors
    ///
    /// As [`Compiler::new`].
    pub fn baseline(settings: Settings, spec: &'static Spec) -> Result<Compiler, CompileError> {
        Compiler::with_features_of(Processor::Oldest, settings, spec)
    }

    fn with_features_of(
        processor: Processor,
        settings: Settings,
        spec: &'static Spec,
    ) -> Result<Compiler, CompileError> {
        spec.check().map_err(|e| CompileError::Target(format!("the collector {}: {e}", spec.name)))?;
        let isa = isa_for(processor, &settings, settings.optimize, "backtracking")?;
        let light_isa = isa_for(processor, &settings, false, "backtracking")?;
        let linear_isa = isa_for(processor, &settings, false, "single_pass")?;
        Ok(Compiler { isa, light_isa, linear_isa, settings, spec, features: features() })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The collector's declaration.
    pub fn spec(&self) -> &'static Spec {
        self.spec
    }

    /// What its code depends on beside the module: the target, the settings, the collector's declaration, this build.
    pub fn identity(&self) -> Identity {
        Identity::new(&*self.isa, &self.settings, self.spec)
    }

    /// The language accepted.
    pub fn features(&self) -> WasmFeatures {
        self.features
    }
}

/// Whose instructions may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Processor {
    /// Those of the processor that we run on.
    This,
    /// Those of the oldest that is supported: x86-64 with SSE4.1.
    Oldest,
}

/// The code generator.
///
/// Settings that are not obvious:
///
/// - `enable_multi_ret_implicit_sret`: Cranelift otherwise refuses signatures whose results do not fit registers. It passes a
///   hidden pointer to a result area in the caller's frame, forwards it over tail calls, and serves `try_call` too.
/// - `preserve_frame_pointers`: every walk of the stack, for traps, exceptions and collection, goes by frame pointers.
/// - `unwind_info` off: nobody unwinds by it.
/// - No stack probes: prologues compare with the stack limit, which leaves room for any frame that they do not see.
/// - No Spectre settings: Cranelift's two flags are only read by embedders. What a heap access does speculatively is confined by its
///   32-bit address arithmetic, and other accesses make no claim.
fn isa_for(
    processor: Processor,
    settings: &Settings,
    optimize: bool,
    registers: &str,
) -> Result<OwnedTargetIsa, CompileError> {
    let builder = match settings.target {
        Target::Native => native_builder(processor)?,
        Target::Pulley64 => isa::lookup_by_name(Target::PULLEY64)
            .map_err(|e| CompileError::Target(format!("{}: {e}", Target::PULLEY64)))?,
    };
    let triple = builder.triple().clone();
    let flag = |on: bool| if on { "true" } else { "false" };
    let flags = [
        ("opt_level", if optimize { "speed" } else { "none" }),
        ("regalloc_algorithm", registers),
        ("enable_verifier", flag(settings.verify)),
        ("preserve_frame_pointers", "true"),
        ("enable_multi_ret_implicit_sret", "true"),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
        ("is_pic", "false"),
    ];
    let mut shared = settings::builder();
    for (name, value) in flags {
        shared.set(name, value).map_err(|e| CompileError::Target(format!("{name}={value}: {e}")))?;
    }
    let isa =
        builder.finish(settings::Flags::new(shared)).map_err(|e| CompileError::Target(format!("{triple}: {e}")))?;
    // Without it, Cranelift calls library functions for rounding, and vector code needs instructions that are absent.
    let sse41 = || isa.isa_flags().iter().any(|v| v.name == "has_sse41" && v.as_bool() == Some(true));
    if settings.target == Target::Native && !sse41() {
        return Err(CompileError::Target("the processor lacks SSE4.1".to_string()));
    }
    Ok(isa)
}

fn native_builder(processor: Processor) -> Result<isa::Builder, CompileError> {
    let unsupported = |e: &str| CompileError::Target(e.to_string());
    let mut builder = cranelift_native::builder_with_options(processor == Processor::This).map_err(unsupported)?;
    let triple = builder.triple().clone();
    if triple.architecture != Architecture::X86_64 || CallConv::triple_default(&triple) != CallConv::SystemV {
        return Err(CompileError::Target(format!("{triple}: native code needs x86-64 with the System V convention")));
    }
    if processor == Processor::Oldest {
        for feature in ["has_sse3", "has_ssse3", "has_sse41"] {
            builder.enable(feature).map_err(|e| CompileError::Target(format!("{feature}: {e}")))?;
        }
    }
    Ok(builder)
}
