//! The contract between compiled code and the machine it runs in: memory layouts, builtins, trap codes and calling
//! conventions.
//!
//! Every compiled function is `fn(context, parameters…) -> results…` under Cranelift's `Tail` convention. The context
//! is the callee's: the [`InstanceLayout`] block of its instance, or a [`HostFuncContext`] for a host function.
//! References are `i32` values ([`GcRef`](heapwright_gc_heap::GcRef) bits, or function ids).
//!
//! How control crosses the border:
//!
//! - *Into compiled code*: an entry trampoline per signature (`extern "C"`), which records its frame pointer in
//!   [`StoreContext::entry_fp`] and calls under a catch-all handler; a trap or an uncaught exception resumes at that
//!   handler.
//! - *Out of compiled code*: builtin stubs and host-call stubs, each of which records its own frame pointer in
//!   [`StoreContext::exit_fp`]; the frame walk begins with the return address and saved frame pointer found there.

mod builtins;
mod instance;
mod signature;
mod store_context;
mod trap;

pub use builtins::{Builtin, BuiltinType, HostCall};
pub use instance::{InstanceCounts, InstanceLayout};
pub use signature::{Kind, SignatureKinds, clif_type, tail_signature};
pub use store_context::{
    FUNC_ID_MASK, FuncEntry, FuncImport, GlobalCell, HostFuncContext, LEAST_COMMITTED, MAX_FUNCS, MemoryCell,
    StoreContext, TableCell,
};
pub use trap::Trap;
