//! The pipeline: validate, translate, lower and compile each function in parallel, then link.

mod error;
mod explain;
mod function;
mod lazy;
mod link;
mod listing;
mod pipeline;
mod settings;
mod size;
mod stubs;
#[cfg(test)]
mod tests;

pub use error::CompileError;
pub use explain::FunctionText;
pub use lazy::{Bodies, JUMP_STUB, SLOT, UnplacedFunction, slots_size};
pub use listing::{ClifLine, CodePlace, FunctionListing, Mark};
pub use settings::{Compiler, Settings, Target, features};
pub use stubs::{StubText, Stubs};
