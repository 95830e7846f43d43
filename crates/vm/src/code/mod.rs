//! Machine code in the process: where it is mapped, how it is found again by address, and what is known about an
//! address.

mod lookup;
mod object;
mod registry;
mod source;

pub use lookup::{CodeLocation, code_at};
pub(crate) use object::{CodeKind, CodeMapping, CodeObject};
pub(crate) use registry::{RegisteredCode, Snapshot};
pub(crate) use source::SourceMap;
pub use source::Symbol;
