//! What can go wrong, as values.

use crate::printable::Printable;
use crate::{LoadedModule, PoolConcurrencyLimitError, ResourceError, Symbol};
use heapwright_gc_heap::{AllocError, HeapCorrupted, MemoryError};
use heapwright_jit::CompileError;
use heapwright_jit::abi::Trap;
use heapwright_jit::artifact::ArtifactError;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a call did not return normally. Host functions return the same type: what they return passes through the
/// compiled frames below them to the Rust caller (an exception may be caught on the way).
pub enum CallError {
    /// A trap.
    Trap(Box<TrapInfo>),
    /// A WebAssembly exception: [`Store::take_exception`](crate::Store::take_exception) has it.
    Exception,
    /// A host function's own error.
    Host {
        /// The error.
        error: Box<dyn Error + Send + Sync>,
        /// Compiled frames below the host function; filled in when it returns, if empty.
        backtrace: Backtrace,
    },
    /// A Rust panic in a host function; to be resumed with [`std::panic::resume_unwind`].
    Panic(Box<dyn Any + Send>),
}

/// A trap and where it happened.
#[derive(Clone, Debug)]
pub struct TrapInfo {
    /// Why.
    pub trap: Trap,
    /// Where.
    pub backtrace: Backtrace,
    /// More about it.
    pub detail: Option<TrapDetail>,
}

/// More about a trap.
#[derive(Clone, Copy, Debug)]
pub enum TrapDetail {
    /// An allocation failed.
    Alloc(AllocError),
    /// What Rust code found wrong in the heap.
    Corrupted(HeapCorrupted),
    /// Compiled code accessed this host address, which belongs to the heap or to another guarded region but is not
    /// mapped.
    Fault(usize),
}

/// Compiled frames, innermost first.
#[derive(Clone, Debug, Default)]
pub struct Backtrace {
    /// The innermost frames.
    pub frames: Vec<Frame>,
    /// How many more there were.
    pub omitted: usize,
}

/// One compiled frame.
#[derive(Clone)]
pub struct Frame {
    /// Its module.
    pub module: Arc<LoadedModule>,
    /// Function index, imports counted.
    pub func: u32,
    /// Byte offset in the module of the instruction, when known.
    pub offset: Option<u32>,
}

impl Frame {
    /// The function's name from the name section.
    pub fn func_name(&self) -> Option<&str> {
        self.module.info().func_names.get(&self.func).map(String::as_str)
    }

    /// Byte offset of the instruction in the function's body, counted from where the body declares its locals; when
    /// known.
    pub fn func_offset(&self) -> Option<u32> {
        self.offset?.checked_sub(self.module.body_start(self.func)?)
    }

    /// The source positions, innermost inlined function first; empty when the module carries no DWARF for this place.
    /// The first call for a module reads its DWARF.
    pub fn symbols(&self) -> Vec<Symbol> {
        self.offset.map(|offset| self.module.symbols(offset)).unwrap_or_default()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("module", &self.module.info().name)
            .field("func", &self.func)
            .field("offset", &self.offset)
            .finish()
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, frame) in self.frames.iter().enumerate() {
            let module = Printable(frame.module.info().name.as_deref().unwrap_or("<unnamed>"));
            write!(f, "{i:5}: ")?;
            match frame.offset {
                Some(offset) => write!(f, "{offset:#8x} - ")?,
                None => write!(f, "       ? - ")?,
            }
            match frame.func_name() {
                Some(name) => writeln!(f, "{module}!{}", Printable(name))?,
                None => writeln!(f, "{module}!<function {}>", frame.func)?,
            }
        }
        if self.omitted > 0 {
            writeln!(f, "       … {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl CallError {
    /// A trap raised by the host.
    pub fn trap(trap: Trap) -> CallError {
        CallError::Trap(Box::new(TrapInfo { trap, backtrace: Backtrace::default(), detail: None }))
    }

    /// A host error.
    pub fn host(error: impl Into<Box<dyn Error + Send + Sync>>) -> CallError {
        CallError::Host { error: error.into(), backtrace: Backtrace::default() }
    }

    pub(crate) fn detailed(trap: Trap, detail: TrapDetail) -> CallError {
        CallError::Trap(Box::new(TrapInfo { trap, backtrace: Backtrace::default(), detail: Some(detail) }))
    }
}

impl From<Trap> for CallError {
    fn from(trap: Trap) -> CallError {
        CallError::trap(trap)
    }
}

impl From<HeapCorrupted> for CallError {
    fn from(e: HeapCorrupted) -> CallError {
        CallError::detailed(Trap::HeapCorrupted, TrapDetail::Corrupted(e))
    }
}

impl From<AllocError> for CallError {
    fn from(e: AllocError) -> CallError {
        let trap = match e {
            AllocError::OutOfMemory { .. } => Trap::GcHeapOutOfMemory,
            AllocError::TooLarge { .. } => Trap::AllocationTooLarge,
            AllocError::Corrupted(_) => Trap::HeapCorrupted,
        };
        CallError::detailed(trap, TrapDetail::Alloc(e))
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Trap(info) => f.debug_tuple("Trap").field(info).finish(),
            CallError::Exception => f.write_str("Exception"),
            CallError::Host { error, .. } => f.debug_tuple("Host").field(error).finish(),
            CallError::Panic(_) => f.write_str("Panic"),
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Trap(info) => info.fmt(f),
            CallError::Exception => f.write_str("uncaught exception"),
            CallError::Host { error, .. } => error.fmt(f),
            CallError::Panic(_) => f.write_str("a host function panicked"),
        }
    }
}

impl Error for CallError {}

impl fmt::Display for TrapInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.trap.message())?;
        match self.detail {
            Some(TrapDetail::Corrupted(e) | TrapDetail::Alloc(AllocError::Corrupted(e))) => {
                write!(f, ": {} ({:#x})", e.what, e.at)
            }
            Some(TrapDetail::Alloc(AllocError::OutOfMemory { requested, live, max })) => {
                write!(f, ": {requested} bytes asked for, {live} live, {max} at most")
            }
            Some(TrapDetail::Alloc(AllocError::TooLarge { requested })) => write!(f, ": {requested} bytes asked for"),
            Some(TrapDetail::Fault(_)) | None => Ok(()),
        }
    }
}

/// Why an import does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkError {
    /// First name of the import.
    pub module: String,
    /// Second name of the import.
    pub name: String,
    /// What the module asks for.
    pub expected: String,
    /// What it was given; `None` when nothing.
    pub got: Option<String>,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LinkError { module, name, expected, got } = self;
        let (module, name) = (Printable(module), Printable(name));
        match got {
            Some(got) => {
                write!(f, "incompatible import type for `{module}::{name}`: expected {expected}, got {got}")
            }
            None => write!(f, "unknown import `{module}::{name}`: expected {expected}"),
        }
    }
}

impl Error for LinkError {}

/// Why a module could not be instantiated.
#[derive(Debug)]
pub enum InstantiateError {
    /// An import does not fit.
    Link(LinkError),
    /// Initialisation trapped, or the start function failed. Side effects so far persist.
    Call(CallError),
    /// The system gave no memory, or a limit of this implementation or of the embedder was reached.
    Resource(String),
    /// The pool is used up for now. Nothing of the instance was made.
    Exhausted(PoolConcurrencyLimitError),
}

impl fmt::Display for InstantiateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstantiateError::Link(e) => e.fmt(f),
            InstantiateError::Call(e) => e.fmt(f),
            InstantiateError::Resource(what) => f.write_str(what),
            InstantiateError::Exhausted(e) => e.fmt(f),
        }
    }
}

impl Error for InstantiateError {}

impl From<LinkError> for InstantiateError {
    fn from(e: LinkError) -> Self {
        InstantiateError::Link(e)
    }
}

impl From<CallError> for InstantiateError {
    fn from(e: CallError) -> Self {
        InstantiateError::Call(e)
    }
}

impl From<MemoryError> for InstantiateError {
    fn from(e: MemoryError) -> Self {
        InstantiateError::Resource(e.to_string())
    }
}

impl From<ResourceError> for InstantiateError {
    fn from(e: ResourceError) -> Self {
        match e {
            ResourceError::Memory(e) => e.into(),
            ResourceError::Exhausted(e) => InstantiateError::Exhausted(e),
        }
    }
}

/// Why a module or a runtime could not be made ready.
#[derive(Debug)]
pub enum LoadError {
    /// It does not compile.
    Compile(CompileError),
    /// The system gave no memory.
    Memory(MemoryError),
    /// Its instances could never be made: what of it exceeds the pool's limits.
    Unfit(String),
    /// Signal handlers could not be installed.
    Signals(std::io::Error),
    /// A compiled module is refused.
    Artifact(ArtifactError),
    /// A compiled module cannot be read.
    File(std::io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Compile(e) => e.fmt(f),
            LoadError::Memory(e) => e.fmt(f),
            LoadError::Unfit(what) => write!(f, "the module does not fit the instance pool: {what}"),
            LoadError::Signals(e) => write!(f, "cannot install signal handlers: {e}"),
            LoadError::Artifact(e) => e.fmt(f),
            LoadError::File(e) => write!(f, "cannot read the compiled module: {e}"),
        }
    }
}

impl Error for LoadError {}

impl From<CompileError> for LoadError {
    fn from(e: CompileError) -> Self {
        LoadError::Compile(e)
    }
}

impl From<ArtifactError> for LoadError {
    fn from(e: ArtifactError) -> Self {
        LoadError::Artifact(e)
    }
}

impl From<MemoryError> for LoadError {
    fn from(e: MemoryError) -> Self {
        LoadError::Memory(e)
    }
}
