//! Heap programs and what they must do, for tests and for fuzzing.
//!
//! - [`Program`] is a list of steps over a few roots: allocate, link, unlink, fill, copy, root, forget, collect. Any
//!   list of steps is a program, any bytes can be read as one ([`arbitrary`]), and it prints as a short text.
//! - [`Run`] runs it twice, in a heap and in a model of plain Rust values, and compares the reachable graphs.
//! - [`Case`] is a program with the settings of the heap. [`Case::check`] gives a verdict, [`Case::shrink`] the
//!   shortest case found that still fails.
//! - [`conformance`] is the kit: scenarios that every collector has to pass, registered or not.
//! - [`samples`] are collectors that are registered nowhere.
//!
//! Nothing here is part of the engine; crates that it tests may use it in their tests only.

#![forbid(unsafe_code)]

pub mod conformance;
mod model;
mod op;
mod program;
pub mod samples;
mod shrink;
mod world;

pub use model::{Object, Ref, Run};
pub use op::Op;
pub use program::{Case, Failure, Program};
pub use world::{KINDS, Kind, Random, SMALL, World};
