//! The pipeline: validate, translate, lower and compile each function in parallel, then link.

mod error;
mod explain;
mod function;
mod link;
mod pipeline;
mod settings;
mod size;
mod stubs;
#[cfg(test)]
mod tests;

pub use error::CompileError;
pub use explain::FunctionText;
pub use settings::{Compiler, Settings, Target, features};
pub use stubs::{StubText, Stubs};
