//! WebAssembly bytes and a collector's [`Spec`](heapwright_gc_heap::Spec) to machine code and metadata.
//!
//! This crate never sees a collector, only its declaration. What it promises to the vm is in [`abi`]; what it produces
//! is in [`artifact`].

pub mod abi;
pub mod artifact;
mod compile;
mod gc;
mod inline;
pub mod module;
mod opt;
mod profile;
mod translate;

pub use compile::{
    Bodies, ClifLine, CodePlace, CompileError, Compiler, FunctionListing, FunctionText, JUMP_STUB, Mark, SLOT,
    Settings, StubText, Stubs, Target, UnplacedFunction, features, slots_size,
};
pub use profile::{CallProfile, ProfileError};
