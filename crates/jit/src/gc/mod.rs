//! GC operations as a layer of their own.
//!
//! Translation emits *pseudo-calls*: Cranelift `call` instructions whose callee names a [`GcOp`] instead of a function. They are
//! opaque to everything but this module, so passes can inline, merge and remove them. Then [`lower`] replaces each by the
//! sequence that the collector's `Spec` prescribes, and [`safepoints`] makes references visible to the collector:
//!
//! translate → (inline, GC passes) → lower → safepoints → Cranelift

pub(crate) mod lower;
mod ops;
pub(crate) mod safepoints;
#[cfg(test)]
mod tests;

pub(crate) use ops::{CastTarget, Extend, FuncGc, GcOp};
