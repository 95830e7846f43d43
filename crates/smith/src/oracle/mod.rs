//! Running a generated module, and what is seen of it from outside.

mod graph;

use crate::Generated;
use crate::token::Token;
use arbitrary::Unstructured;
use heapwright::{
    AsContextMut, Collector, Compilation, Config, Engine, ExternRef, GcError, GcHeapOutOfMemory, Linker, Module,
    Result, RootScope, Rooted, SizingPolicy, Store, ThrownException, Trap, TrapCode,
};
use heapwright_gc_heap::HeapCorrupted;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A setting of an engine that is on by default, and how it is switched off.
type Switch = (&'static str, fn(&mut Config) -> &mut Config);

/// Everything that may only make programs quicker.
pub const SWITCHES: &[Switch] = &[
    ("redundancy-elimination", |config| config.redundancy_elimination(false)),
    ("scalar-replacement", |config| config.scalar_replacement(false)),
    ("inline-bulk", |config| config.inline_bulk_operations(false)),
    ("fold-allocations", |config| config.fold_allocations(false)),
    ("elide-barriers", |config| config.elide_barriers(false)),
    ("stack-watermark", |config| config.stack_watermark(false)),
    ("inlining", |config| config.inlining(false)),
    ("known-and-guarded-calls", |config| config.known_targets(false).guarded_calls(false)),
    ("huge-pages", |config| config.huge_pages(false)),
    ("gc-prefetch", |config| config.gc_prefetch(false)),
];

/// How a module is run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The collector.
    pub collector: Collector,
    /// Collect at every so many allocations; 0 is off.
    pub zeal: u32,
    /// Hardware traps, where the target has them.
    pub signals: bool,
    /// A heap that starts at its least and grows, instead of a fixed one.
    pub growing: bool,
    /// The optimiser, with all passes but those in `without`.
    pub optimize: bool,
    /// Functions are compiled when they are first called.
    pub lazy: bool,
    /// What is switched off that is on by default: places in [`SWITCHES`], as bits.
    pub without: u32,
    /// The target, by its name; this machine's own if there is none.
    pub target: Option<&'static str>,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { collector, zeal, signals, growing, optimize, lazy, target, .. } = self;
        write!(f, "{} zeal {zeal}", collector.name())?;
        for (set, yes, no) in
            [(signals, "signals", "checks"), (growing, "growing", "fixed"), (optimize, "opt", "no-opt")]
        {
            write!(f, " {}", if *set { yes } else { no })?;
        }
        if *lazy {
            write!(f, " lazy")?;
        }
        for (name, _) in self.switched_off() {
            write!(f, " no-{name}")?;
        }
        write!(f, " {}", target.unwrap_or("native"))
    }
}

impl Setting {
    /// The plainest: what the others are compared with.
    pub fn reference() -> Setting {
        let collector = Collector::by_name("null").unwrap_or_default();
        let (signals, growing, optimize, lazy) = (true, false, false, false);
        Setting { collector, zeal: 0, signals, growing, optimize, lazy, without: 0, target: None }
    }

    /// Every collector under every combination of the rest, for native code.
    pub fn all() -> Vec<Setting> {
        let mut settings = Vec::new();
        for collector in Collector::all() {
            for zeal in [0, 1, 3] {
                for flags in 0..8 {
                    let [signals, growing, optimize] = [1, 2, 4].map(|bit| flags & bit != 0);
                    settings.push(Setting { collector, zeal, signals, growing, optimize, ..Setting::reference() });
                }
            }
        }
        settings
    }

    /// Any setting, with any zeal up to 40 and both targets: for fuzzing.
    ///
    /// # Errors
    ///
    /// None that more bytes would not mend: the reader makes up for missing bytes.
    pub fn arbitrary(u: &mut Unstructured<'_>) -> arbitrary::Result<Setting> {
        let collectors: Vec<Collector> = Collector::all().collect();
        let collector = *u.choose(&collectors)?;
        let zeal = match u.int_in_range(0..=3)? {
            0 => 0,
            1 => 1,
            _ => u.int_in_range(2..=40)?,
        };
        let target = u.ratio(1, 6)?.then_some(PULLEY);
        let (signals, growing, optimize) = (u.arbitrary()?, u.arbitrary()?, u.ratio(2, 3)?);
        let signals = signals && target.is_none();
        let lazy = u.ratio(1, 4)? && target.is_none();
        // Each is on more often than not, because that is what programs run with.
        let without = (u.arbitrary::<u8>()? & u.arbitrary::<u8>()?).into();
        Ok(Setting { collector, zeal, signals, growing, optimize, lazy, without, target })
    }

    fn switched_off(&self) -> impl Iterator<Item = &'static Switch> {
        let without = self.without;
        SWITCHES.iter().enumerate().filter(move |(place, _)| without >> place & 1 != 0).map(|(_, switch)| switch)
    }

    /// Bytes of the largest heap.
    fn max_heap(&self) -> u64 {
        let collects = self.collector.spec().needs_roots;
        if collects && self.zeal != 0 { ZEALOUS_HEAP } else { HEAP }
    }

    /// An engine with this setting.
    ///
    /// # Errors
    ///
    /// As [`Engine::new`].
    pub fn engine(&self) -> Result<Engine> {
        let mut config = Config::new();
        if let Some(target) = self.target {
            config.target(target)?;
        }
        if self.target.is_none() {
            config.signals_based_traps(self.signals);
        }
        config.collector(self.collector).zeal(self.zeal).optimize(self.optimize).parallel_compilation(false);
        for (_, switch_off) in self.switched_off() {
            switch_off(&mut config);
        }
        config.compilation(if self.lazy { Compilation::Lazy } else { Compilation::Eager });
        let most = self.max_heap();
        config.max_heap(most).initial_heap(if self.growing { 0 } else { most });
        config.heap_policy(if self.growing { SizingPolicy::Growing } else { SizingPolicy::Fixed });
        Engine::new(&config)
    }
}

/// The target that an interpreter runs.
const PULLEY: &str = "pulley64";

/// Bytes of the largest heap. The null collector must get by with it.
const HEAP: u64 = 24 << 20;

/// Bytes of the largest heap of a collector that is made to collect all the time: the verifier, and whoever overwrites
/// what is free, look at all of it each time.
const ZEALOUS_HEAP: u64 = 3 << 20;

/// Objects that one function of the host looks at.
const MOST_OBJECTS: usize = 20_000;

/// How one call ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// With a value.
    Value(i64),
    /// With a trap.
    Trap(TrapCode),
    /// With an exception that nobody caught.
    Exception,
}

/// What is seen of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observation {
    /// How each call ended; the last is that of `digest`.
    pub endings: Vec<Ending>,
    /// A hash of the memory.
    pub memory: u64,
    /// A hash of the exported globals and of all objects that they reach.
    pub graph: u64,
    /// Objects reached.
    pub objects: usize,
    /// Host values made.
    pub made: u64,
    /// Host values dropped when the store was.
    pub dropped: u64,
    /// What the counters say, if the module has any.
    pub counts: Vec<u64>,
}

/// Why a run says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Limit {
    /// The heap was full.
    Heap,
    /// The stack was.
    Stack,
    /// The graph was too large to be compared.
    Graph,
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It can be compared.
    Seen(Observation),
    /// It met a limit, which is not the same under every setting.
    Limited(Limit),
}

#[derive(Default)]
struct Host {
    drops: Arc<AtomicU64>,
    made: u64,
}

/// What the exported functions are called with: all of them with the first, then all with the second.
pub const ARGUMENTS: [i32; 2] = [1, -7];

/// Runs a module: every exported function twice, with different arguments, and then its digest.
///
/// # Errors
///
/// What must not happen: the module is refused, a call fails with something that is neither trap, exception nor limit,
/// or the heap is found corrupted.
pub fn run(generated: &Generated, setting: &Setting) -> Result<Outcome> {
    let engine = setting.engine()?;
    let module = Module::new(&engine, &generated.bytes)?;
    let mut store = Store::new(&engine, Host::default())?;
    let mut linker: Linker<Host> = Linker::new(&engine);
    linker.func_wrap("host", "extern", |mut caller: heapwright::Caller<'_, Host>, number: i32| {
        let host = caller.data_mut();
        host.made += 1;
        let drops = Arc::clone(&host.drops);
        Ok::<Option<Rooted<ExternRef>>, heapwright::Error>(Some(ExternRef::new(
            caller,
            Token { number: u64::from(number as u32), drops },
        )?))
    })?;
    linker.func_wrap("host", "collect", |mut caller: heapwright::Caller<'_, Host>| caller.gc())?;
    let instance = linker.instantiate(&mut store, &module)?;

    let mut seen = Observation::default();
    for argument in ARGUMENTS {
        for number in 0..generated.runs {
            let run = instance.typed_func::<i32, i64>(&mut store, &format!("run{number}"))?;
            match ending(run.call(&mut store, argument))? {
                Ok(ending) => seen.endings.push(ending),
                Err(limit) => return Ok(Outcome::Limited(limit)),
            }
        }
    }
    let digest = instance.typed_func::<(), i64>(&mut store, "digest")?;
    match ending(digest.call(&mut store, ()))? {
        Ok(ending) => seen.endings.push(ending),
        Err(limit) => return Ok(Outcome::Limited(limit)),
    }
    let mut globals = Vec::new();
    for number in 0..generated.globals {
        globals.extend(instance.get_global(&mut store, &format!("g{number}")));
    }
    if let Some(memory) = instance.get_memory(&mut store, "memory") {
        let bytes = memory.data(&store);
        let counters = crate::COUNTERS as usize;
        seen.memory = hash_bytes(&bytes[..counters.min(bytes.len())]);
        let counts = bytes.get(counters..).unwrap_or_default().chunks_exact(8);
        let counts = counts.map(|c| c.try_into().map_or(0, u64::from_le_bytes));
        seen.counts = counts.take(generated.operations.len()).collect();
    }
    let mut scope = RootScope::new(&mut store);
    match graph::hash(&mut scope.as_context_mut(), &globals, MOST_OBJECTS)? {
        Some((hash, objects)) => (seen.graph, seen.objects) = (hash, objects),
        None => return Ok(Outcome::Limited(Limit::Graph)),
    }
    drop(scope);
    seen.made = store.data().made;
    let drops = Arc::clone(&store.data().drops);
    drop(store);
    seen.dropped = drops.load(Ordering::Relaxed);
    Ok(Outcome::Seen(seen))
}

/// Whether an error says that the engine, or what keeps its heap, is at fault: no program may bring it about.
pub fn is_defect(error: &heapwright::Error) -> bool {
    let trap = error.downcast_ref::<Trap>().map(Trap::code);
    let corrupted = error.downcast_ref::<GcError>().is_some_and(|e| matches!(e, GcError::Corrupted(_)));
    let codes = [TrapCode::HeapCorrupted, TrapCode::ForgedFunctionReference, TrapCode::Internal];
    corrupted || error.downcast_ref::<HeapCorrupted>().is_some() || trap.is_some_and(|code| codes.contains(&code))
}

/// FNV-1a with 32 bits: a script for another engine computes it too.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0x811c_9dc5u32, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash.into()
}

/// How a call ended, or the limit that it met.
///
/// # Errors
///
/// What no program may bring about.
pub fn ending(result: Result<i64>) -> Result<Result<Ending, Limit>> {
    let error = match result {
        Ok(value) => return Ok(Ok(Ending::Value(value))),
        Err(error) => error,
    };
    if error.downcast_ref::<GcHeapOutOfMemory>().is_some() {
        return Ok(Err(Limit::Heap));
    }
    if error.downcast_ref::<ThrownException>().is_some() {
        return Ok(Ok(Ending::Exception));
    }
    match error.downcast_ref::<Trap>().map(Trap::code) {
        Some(TrapCode::StackOverflow) => Ok(Err(Limit::Stack)),
        _ if is_defect(&error) => Err(error),
        Some(code) => Ok(Ok(Ending::Trap(code))),
        None => Err(error),
    }
}

/// Compares a run with what the reference saw.
///
/// # Errors
///
/// What differs.
pub fn compare(reference: &Observation, seen: &Observation) -> Result<(), String> {
    if let Some(at) = (0..reference.endings.len()).find(|&i| reference.endings.get(i) != seen.endings.get(i)) {
        let (expected, got) = (reference.endings.get(at), seen.endings.get(at));
        return Err(format!("call {at} ended with {got:?} instead of {expected:?}"));
    }
    for (what, expected, got) in [
        ("memory", reference.memory, seen.memory),
        ("objects reached", reference.objects as u64, seen.objects as u64),
        ("graph", reference.graph, seen.graph),
        ("host values made", reference.made, seen.made),
        ("host values dropped", seen.made, seen.dropped),
    ] {
        if expected != got {
            return Err(format!("{what}: {got} instead of {expected}"));
        }
    }
    if reference.counts != seen.counts {
        return Err(format!("executed {:?} instead of {:?}", seen.counts, reference.counts));
    }
    Ok(())
}
