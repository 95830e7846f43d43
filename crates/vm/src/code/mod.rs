//! Machine code in the process: where it is mapped and how it is found again by address.

mod object;
mod registry;

pub(crate) use object::{CodeKind, CodeObject};
pub(crate) use registry::{RegisteredCode, Snapshot};
