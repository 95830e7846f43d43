//! WebAssembly bytes and a collector's [`Spec`](heapwright_gc_heap::Spec) to machine code and metadata.
//!
//! This crate never sees a collector, only its declaration. What it promises to the vm is in [`abi`]; what it produces is
//! in [`artifact`].

pub mod abi;
pub mod artifact;
mod compile;
mod gc;
pub mod module;
mod opt;
mod translate;

pub use compile::{
    Bodies, CompileError, Compiler, FunctionText, JUMP_STUB, SLOT, Settings, StubText, Stubs, Target, UnplacedFunction,
    features, slots_size,
};
