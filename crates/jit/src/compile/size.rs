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
    let dfg = &func.dfg;
    // Of the function's own calls: a context that is reused keeps the exception tables of functions before.
    let mut terminators = func.layout.blocks().filter_map(|block| func.layout.last_inst(block));
    terminators.all(|inst| match dfg.insts[inst].exception_table() {
        Some(table) => dfg.signatures[dfg.exception_tables[table].signature()].returns.len() <= 1,
        None => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift_codegen::cursor::{Cursor, FuncCursor};
    use cranelift_codegen::ir::{AbiParam, ExceptionTableData, InstBuilder, Signature, types};
    use cranelift_codegen::isa::CallConv;

    /// A function that calls through its parameter, with an exception table, something with so many results.
    fn calling(func: &mut Function, results: usize) {
        let mut callee = Signature::new(CallConv::Tail);
        callee.returns = vec![AbiParam::new(types::I64); results];
        func.signature = Signature::new(CallConv::Tail);
        func.signature.params.push(AbiParam::new(types::I64));
        let (entry, next) = (func.dfg.make_block(), func.dfg.make_block());
        let address = func.dfg.append_block_param(entry, types::I64);
        let signature = func.import_signature(callee);
        let normal = func.dfg.block_call(next, &[]);
        let table = ExceptionTableData::new(signature, normal, std::iter::empty());
        let table = func.dfg.exception_tables.push(table);
        let mut cursor = FuncCursor::new(func);
        cursor.insert_block(entry);
        cursor.ins().try_call_indirect(address, &[], table);
        cursor.insert_block(next);
        cursor.ins().return_(&[]);
    }

    #[test]
    fn calls_of_functions_before_do_not_count() {
        let mut func = Function::new();
        calling(&mut func, 1);
        assert!(single_pass_supports(&func));
        func.clear();
        calling(&mut func, 2);
        assert!(!single_pass_supports(&func));
        func.clear();
        calling(&mut func, 0);
        assert!(single_pass_supports(&func));
    }
}
