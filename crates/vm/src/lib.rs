//! What compiled WebAssembly runs in: instances, memories, tables, functions, builtins, traps and unwinding.
//!
//! The crate is the floor of the safe embedding interface. Everything that an embedder names is an index into its
//! [`Store`] ([`FuncId`], [`GlobalId`], …) and never a pointer; an index of another store is a wrong index, not
//! undefined behaviour. What still needs care of the caller:
//!
//! - *Types of values.* [`Store::call`], [`Store::global_set`] and the like take raw values. A value of a wrong type is
//!   as harmless as a corrupted heap (a wrong result, a trap), but the caller is expected to have checked.
//! - *Roots.* A [`GcRef`](heapwright_gc_heap::GcRef) in Rust is valid until the next thing that may collect: a call
//!   into compiled code, an allocation, [`Store::gc`]. [`HostRoots`] keeps it over that.
//!
//! The way in is [`Runtime`] → [`LoadedModule`] → [`Store::instantiate`] → [`Store::call`].

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!("heapwright-vm runs compiled code on x86-64 Linux only, for now");

mod activation;
mod background;
mod builtins;
mod code;
mod error;
mod ids;
mod instance;
mod interpreter;
mod lazy;
mod limits;
mod mapping;
mod module;
mod pool;
mod printable;
mod profiling;
mod runtime;
mod signals;
mod stack;
mod store;
mod types;
mod unwind;
mod value;
mod walk;
mod watermark;

pub use code::{CodeLocation, Symbol, code_at};
pub use error::{Backtrace, CallError, Frame, InstantiateError, LinkError, LoadError, TrapDetail, TrapInfo};
pub use ids::{Extern, FuncId, GlobalId, InstanceId, MemoryId, TableId, TagId};
pub use limits::{Growth, GrowthRefused, ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub use module::LoadedModule;
pub use pool::{AllocationStrategy, PoolConcurrencyLimitError, PoolConfig, PoolMetrics, ResourceError, SlotMetrics};
pub use printable::Printable;
pub use profiling::ProfilingStrategy;
pub use runtime::{Allocation, CollectorFactory, Runtime};
pub use store::{
    EpochCallback, Epochs, HostCall, HostFn, HostRoots, InterruptHandle, RootId, RootScope, Store, StoreConfig,
    StoreState,
};
pub use types::{ExternType, GlobalType, TableType};
pub use value::ValRaw;
