//! Heapwright: an embeddable WebAssembly runtime for garbage-collected languages, with swappable collectors.
//!
//! ```no_run
//! use heapwright::{Engine, Instance, Module, Store};
//!
//! # fn main() -> heapwright::Result<()> {
//! let engine = Engine::default();
//! let module = Module::new(&engine, r#"(module (func (export "answer") (result i32) i32.const 42))"#)?;
//! let mut store = Store::new(&engine, ())?;
//! let instance = Instance::new(&mut store, &module, &[])?;
//! let answer = instance.typed_func::<(), i32>(&mut store, "answer")?;
//! assert_eq!(answer.call(&mut store, ())?, 42);
//! # Ok(())
//! # }
//! ```
//!
//! The names are those that an embedder of a Cranelift-based runtime expects: an [`Engine`] holds configuration and
//! types, a [`Module`] is compiled once and shared, a [`Store`] owns instances and one GC heap, a [`Linker`] resolves
//! imports. References to GC objects are held through [`Rooted`] (until its scope ends) or [`OwnedRooted`] (until it is
//! dropped); using a dead root, or one of another store, is an error.
//!
//! The collector is chosen by [`Config::collector`]: see [`Collector::all`].
//!
//! # Threads
//!
//! [`Engine`], [`Module`] and [`Linker`] are `Send` and `Sync`: one engine serves all threads, which compile and
//! instantiate at the same time. A [`Store`] is `Send` when its data is: it may move between threads, and runs on the
//! thread that calls into it. Calls are synchronous: there is no `call_async`, which would run the guest on a stack of
//! its own (a fiber) and suspend it while the host waits. To keep a guest from holding a thread, give it one.

#![forbid(unsafe_op_in_unsafe_fn)]

mod backtrace;
mod cached;
mod config;
mod engine;
mod error;
mod extern_types;
mod externals;
mod func;
mod gc_error;
mod instance;
mod limits;
mod linker;
pub mod listeners;
mod module;
mod pooling;
mod refs;
mod roots;
mod shapes;
mod store;
mod typed;
mod types;
mod values;

pub use anyhow::{Error, Result};
pub use backtrace::{FrameInfo, FrameSymbol, WasmBacktrace};
pub use config::{Collector, Compilation, Config, WasmBacktraceDetails};
pub use engine::Engine;
pub use error::{GcHeapOutOfMemory, LinkError, ThrownException, Trap, TrapCode};
pub use extern_types::{ExternType, GlobalType, MemoryType, TableType, TagType};
pub use externals::{Extern, Global, Memory, Table, Tag};
pub use func::{Caller, Func};
pub use gc_error::GcError;
pub use heapwright_cache::{
    Cache, Contents as CacheContents, DEFAULT_LIMIT as DEFAULT_CACHE_LIMIT, replace as replace_file,
};
pub use heapwright_collectors::Registration;
pub use heapwright_gc_heap::{
    AllocSpec, Barriers, BulkBarrier, Cause, Citation, CollectionReport, Elision, Event, EventSink, GcStats, Moves,
    Phase, SizingPolicy, Space, Spec,
};
pub use heapwright_jit::artifact::ArtifactError;
pub use heapwright_jit::{CallProfile, ClifLine, CodePlace, FunctionListing, Mark, ProfileError};
pub use heapwright_vm::PoolConcurrencyLimitError;
pub use heapwright_vm::{
    Growth, GrowthRefused, InterruptHandle, ProfilingStrategy, ResourceLimiter, StoreLimits, StoreLimitsBuilder,
};
pub use instance::Instance;
pub use limits::UpdateDeadline;
pub use linker::Linker;
pub use module::{ExportType, ImportType, Module, ModuleFunction, ResourcesRequired};
pub use pooling::{InstanceAllocationStrategy, PoolingAllocationConfig, PoolingAllocatorMetrics, SlotMetrics};
pub use refs::{
    AnyRef, ArrayAccessor, ArrayAllocator, ArrayRef, ArrayRefPre, EqRef, ExnRef, ExternRef, FieldAccessor, GcRefKind,
    I31, Identity, Scalar, StringEncoding, StructAllocator, StructRef, StructRefPre,
};
pub use roots::{OwnedRooted, RootScope, Rooted};
pub use store::{AsContext, AsContextMut, Store, StoreContext, StoreContextMut};
pub use typed::{IntoFunc, TypedFunc, WasmParams, WasmResults, WasmReturn, WasmTy};
pub use types::{ArrayType, FieldType, FuncType, HeapType, Mutability, RefType, StorageType, StructType, ValType};
pub use values::{Ref, V128, Val};

// What embedders with threads rely on.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    const fn movable<T: Send>() {}
    shared::<Config>();
    shared::<Engine>();
    shared::<Module>();
    shared::<Linker<()>>();
    shared::<WasmBacktrace>();
    shared::<ThrownException>();
    movable::<Store<()>>();
};
