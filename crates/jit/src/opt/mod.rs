//! Passes over GC operations, before they are lowered.
//!
//! Here an operation still is what the program said: a field of a type, a cast, an allocation. Cranelift sees loads and
//! stores of untyped memory later, and to it every call that may collect is a fence. These passes know more: a
//! collection gives objects new addresses but changes no field, an immutable field never changes, a cast that succeeded
//! holds wherever it dominates. Each pass works on the dominator tree, is linear in the function's size, and has a
//! switch in the settings.
//!
//! - [`eliminate`]: loads, casts, null checks and bounds checks whose result is known.
//! - [`scalars`]: objects that nothing but this function's own field accesses can see.

mod edges;
mod effects;
mod eliminate;
mod facts;
mod ranges;
mod scalars;
#[cfg(test)]
mod tests;

use crate::compile::Settings;
use crate::gc::FuncGc;
use crate::module::ModuleInfo;
use cranelift_codegen::dominator_tree::DominatorTree;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::Function;
use heapwright_gc_heap::TypeRef;

/// Runs the passes that the settings ask for.
pub(crate) fn run(func: &mut Function, gc: &mut FuncGc, module: &ModuleInfo, settings: &Settings) {
    if gc.is_empty() || !settings.optimize {
        return;
    }
    if settings.redundancy_elimination {
        eliminate::run(func, gc, module);
    }
    if settings.scalar_replacement && scalars::run(func, gc, module) && settings.redundancy_elimination {
        // What was read out of an object may have been an object itself.
        eliminate::run(func, gc, module);
    }
}

/// The shape of a function. No pass here changes it.
struct Shape {
    cfg: ControlFlowGraph,
    tree: DominatorTree,
}

impl Shape {
    fn of(func: &Function) -> Shape {
        let cfg = ControlFlowGraph::with_function(func);
        let tree = DominatorTree::with_function(func, &cfg);
        Shape { cfg, tree }
    }
}

/// Whether the module's type `sub` is `sup` or declares it as a supertype. Types that are equal without being declared
/// together are not recognised, so a "no" proves nothing.
fn is_subtype(module: &ModuleInfo, mut sub: u32, sup: u32) -> bool {
    loop {
        if sub == sup {
            return true;
        }
        match module.types[sub as usize].supertype {
            Some(TypeRef::Module(parent)) => sub = parent,
            _ => return false,
        }
    }
}
