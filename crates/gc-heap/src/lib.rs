//! The heap that every Heapwright collector shares.
//!
//! What this crate guarantees:
//!
//! - **References are indices.** A [`GcRef`] is 32 bits: null, an i31, or the offset of an object in one
//!   4 GiB reservation ([`HeapMemory`]). No native pointer ever stands in the heap.
//! - **The heap is untrusted.** Whatever bytes it holds, code in this crate answers with a value or with
//!   [`HeapCorrupted`]: each word read from the heap is validated before it is acted on.
//! - **A collector is data plus one trait.** [`Spec`] declares what compiled code must do (header words,
//!   allocation sequence, barrier programs, whether objects move); [`Collector`] does the rest.
//! - **Types are shared.** Canonical types live in the engine's [`TypeRegistry`], whose entries compiled
//!   code and collectors read from one read-only [`TypeSpace`].
//!
//! The crate knows nothing of Cranelift, of wasmparser, or of any particular collector.

mod alloc;
mod array;
mod balance;
pub mod barrier;
mod canon;
pub mod cells;
mod collector;
mod events;
mod heap;
mod host_table;
mod inject;
mod layout;
mod memory;
mod mutator;
mod object;
mod planted;
mod prepared;
mod reference;
mod registry;
mod roots;
mod side;
mod sizing;
mod space_map;
mod spec;
mod text;
mod type_space;
mod types;
mod verify;
mod words;

pub use collector::{AllocOutcome, AllocRequest, Cause, CollectionReport, Collector, Space};
pub use events::{Event, EventSink, GcStats, Phase, PhaseTimer};
pub use heap::{
    AllocError, BadReference, GrowthLimiter, Heap, HeapConfig, HeapCorrupted, LEAST_GIVEN_BACK, MAX_CAPACITY,
    MAX_INLINE_LIMIT, SizingPolicy,
};
pub use host_table::{HostId, HostTable};
#[cfg(feature = "inject")]
#[doc(hidden)]
pub use inject::Attacker;
#[doc(hidden)]
pub use inject::Point;
pub use layout::{ArrayLayout, FieldLayout, HeaderLayout, StructLayout, layout_exception};
pub use memory::{GUARD_BYTES, HeapMemory, MemoryError, NULL_PAGE_BYTES, RESERVATION_BYTES, prefetch};
pub use mutator::{BarrierCount, MutatorState, NUM_BUFFERS, NUM_CLASSES, NUM_PROGRAMS};
pub use object::Value;
#[cfg(feature = "planted-bugs")]
#[doc(hidden)]
pub use planted::plant;
#[doc(hidden)]
pub use planted::{Bug, planted};
pub use prepared::{PreparedArray, PreparedField};
pub use reference::GcRef;
pub use registry::{RegisteredTypes, TypeRegistry};
pub use roots::{NoRoots, RootKind, RootSet};
pub use side::{NUM_SIDE_TABLES, SideTable};
pub use spec::{AllocSpec, Barriers, BulkBarrier, Citation, Elision, HeaderWord, Moves, Spec};
pub use type_space::{
    DISPLAY_INLINE_DEPTH, ENTRY_DEPTH_OFFSET, ENTRY_DISPLAY_OFFSET, OffsetList, TYPE_SPACE_BOUND_OFFSET, TypeEntry,
    TypeId, TypeKind, TypeSpace,
};
pub use types::{
    AbstractHeapType, ArrayType, CompositeType, FieldType, FuncType, HeapType, RecGroup, RefType, StorageType,
    StructType, SubType, TypeRef, ValType,
};
pub use verify::Census;
pub use words::Words;
