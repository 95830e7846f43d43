//! Makes references visible to the collector at safepoints.
//!
//! A safepoint is a call during which a collection can happen. There, every reference that is live across the call
//! stands in a slot of the frame that the call's stack map names; and when objects move, what is used afterwards is
//! loaded from the slot again. Where stores and reloads go is the policy of this module alone ([`plan`] says which
//! there are). It replaces Cranelift's own pass for stack maps, which stores every reference at its definition and so
//! makes the hot path of an allocation pay for the cold one.
//!
//! Cranelift keeps the result intact because a slot is ordinary memory and a call is a fence: no load after the call is
//! answered with a value from before it.

pub(super) mod cfg;
mod edges;
mod liveness;
mod plan;
mod refs;
mod rename;
mod rewrite;
mod scan;

use super::FuncGc;
use cranelift_codegen::ir::Function;
use heapwright_gc_heap::{Moves, Spec};
#[cfg(test)]
pub(super) use plan::Budget;
use plan::Plan;
pub(crate) use rewrite::RUN;
use rewrite::Rewriter;

/// Gives every reference that is live across a safepoint a stack slot there, and, when objects move, renames it to the
/// value reloaded afterwards. The function was lowered, so that it has no value aliases.
pub(crate) fn insert(func: &mut Function, gc: &FuncGc, spec: &'static Spec) {
    if spec.needs_roots {
        insert_within(func, gc, spec.moves == Moves::AtSafepoint, plan::Budget::DEFAULT);
    }
}

pub(super) fn insert_within(func: &mut Function, gc: &FuncGc, moves: bool, budget: plan::Budget) {
    let safepoint = |func: &Function| {
        func.layout.blocks().any(|b| func.layout.block_insts(b).any(|inst| scan::is_safepoint(func, gc, inst)))
    };
    if !safepoint(func) {
        return;
    }
    edges::separate(func);
    let cfg = cfg::Cfg::new(func);
    let refs = refs::Refs::find(func, &gc.refs);
    let mut code = scan::Code::scan(func, gc, &cfg, &refs);
    let plan = Plan::choose(func, &cfg, &refs, &mut code, moves, budget);
    if plan.slots == 0 {
        return;
    }
    let written = Rewriter::run(func, &cfg, &refs, &code, &plan, moves);
    rename::run(func, &cfg, &refs, &code, &plan, written);
}
