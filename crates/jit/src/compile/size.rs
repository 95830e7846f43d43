//! Which code generator a function gets.
//!
//! Cranelift is linear enough but for one loop of its register allocator (`regalloc2` 0.15, `apply_allocations`): for every value that
//! is live where a block starts, it may go over all arguments that branches pass to parameters of earlier blocks. Every
//! inline allocation is such a branch. A function that makes 32,000 structs in a row takes a minute and a half, 98 % of it there.
//! The allocator of one pass has no such loop; it takes two seconds, its code is three to four times as large and not optimised. A function
//! that passes the threshold is an initialiser or was generated, and rarely runs twice.

use super::Compiler;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::TargetIsa;

/// The product of instructions and branch arguments from which on a function is compiled by the linear generator. The loop takes
/// about a nanosecond per unit.
const MOST_WORK: usize = 1 << 29;

/// The code generator for a function that is ready to be compiled.
pub(super) fn generator<'a>(compiler: &'a Compiler, func: &Function) -> &'a dyn TargetIsa {
    if work(func) <= MOST_WORK {
        &*compiler.isa
    } else if single_pass_supports(func) {
        &*compiler.linear_isa
    } else {
        // The loop remains; without the optimiser fewer values live long.
        &*compiler.light_isa
    }
}

/// Estimates the work of that loop.
fn work(func: &Function) -> usize {
    let dfg = &func.dfg;
    let arguments = |inst| {
        let targets = dfg.insts[inst].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        targets.iter().map(|target| target.args(&dfg.value_lists).len()).sum::<usize>()
    };
    let arguments: usize = func.layout.blocks().filter_map(|block| func.layout.last_inst(block)).map(arguments).sum();
    dfg.num_insts().saturating_mul(arguments)
}

/// Whether the allocator of one pass can serve the function: it panics at a `try_call` with results that are not in fixed registers,
/// and a single result always is.
fn single_pass_supports(func: &Function) -> bool {
    let mut tables = func.dfg.exception_tables.values();
    tables.all(|table| func.dfg.signatures[table.signature()].returns.len() <= 1)
}
