//! GC operations as a layer of their own.
//!
//! Translation emits *pseudo-calls*: Cranelift `call` instructions whose callee names a [`GcOp`] instead of a function.
//! They are opaque to everything but this module, so passes can inline, merge and remove them. [`elide`] finds stores
//! that need no barrier. Then [`lower`] replaces each pseudo-call by the sequence that the collector's `Spec`
//! prescribes, and [`safepoints`] makes references visible to the collector:
//!
//! translate → (inline, GC passes) → elide → lower → safepoints → Cranelift

mod elide;
pub(crate) mod lower;
mod ops;
pub(crate) mod safepoints;
#[cfg(test)]
mod tests;

pub use ops::Mark;
pub(crate) use ops::{CastTarget, Extend, FuncGc, GcOp};

use cranelift_codegen::ir::Function;

/// Replaces the pseudo-calls of a translated function, after the passes over them that the settings ask for.
pub(crate) fn expand(func: &mut Function, gc: &mut FuncGc, env: &lower::LowerEnv<'_>) {
    if env.settings.elide_barriers {
        elide::run(func, gc, env);
    }
    lower::lower(func, gc, env);
}
