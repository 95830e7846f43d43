//! Edges out of `try_call`s.
//!
//! Nothing can be placed between a call that ends a block and the block it returns to, so what must happen on such an
//! edge happens at the start of its destination. That needs a destination with no other predecessor, and edges that
//! pass nothing but the call's own results: a reference among the edge's arguments would be read after the call, in a
//! register that the collector does not know. Translation makes edges of this form; this module repairs those that
//! later passes made.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Block, BlockArg, BlockCall, ExceptionTable, Function, Inst, InstBuilder};
use cranelift_entity::SecondaryMap;

/// Gives each `try_call` edge that needs it a block of its own.
pub(super) fn separate(func: &mut Function) {
    let mut calls: Vec<(Block, ExceptionTable)> = Vec::new();
    for block in func.layout.blocks() {
        let table = func.layout.last_inst(block).and_then(|inst| func.dfg.insts[inst].exception_table());
        calls.extend(table.map(|table| (block, table)));
    }
    if calls.is_empty() {
        return;
    }
    let mut incoming: SecondaryMap<Block, u32> = SecondaryMap::new();
    for block in func.layout.blocks() {
        for target in terminator(func, block).into_iter().flat_map(|inst| branches(func, inst)) {
            incoming[target.block(&func.dfg.value_lists)] += 1;
        }
    }
    for (block, table) in calls {
        for i in 0..func.dfg.exception_tables[table].all_branches().len() {
            let edge = func.dfg.exception_tables[table].all_branches()[i];
            let pool = &func.dfg.value_lists;
            let shared = incoming[edge.block(pool)] > 1;
            if shared || edge.args(pool).any(|arg| matches!(arg, BlockArg::Value(_))) {
                let edge = split(func, block, edge);
                func.dfg.exception_tables[table].all_branches_mut()[i] = edge;
            }
        }
    }
}

/// A block after `from` that forwards `edge`'s call results, and adds its other arguments. The result goes there.
fn split(func: &mut Function, from: Block, edge: BlockCall) -> BlockCall {
    let to = edge.block(&func.dfg.value_lists);
    let args: Vec<BlockArg> = edge.args(&func.dfg.value_lists).collect();
    let types: Vec<_> = func.dfg.block_param_types(to).collect();
    let block = func.dfg.make_block();
    let mut passed = Vec::new();
    let mut forwarded = Vec::with_capacity(args.len());
    for (arg, ty) in args.into_iter().zip(types) {
        if let BlockArg::Value(_) = arg {
            forwarded.push(arg);
        } else {
            passed.push(arg);
            forwarded.push(BlockArg::Value(func.dfg.append_block_param(block, ty)));
        }
    }
    func.layout.insert_block_after(block, from);
    if func.layout.is_cold(to) {
        func.layout.set_cold(block);
    }
    FuncCursor::new(func).at_bottom(block).ins().jump(to, &forwarded);
    BlockCall::new(block, passed, &mut func.dfg.value_lists)
}

/// The last instruction of a block.
pub(super) fn terminator(func: &Function, block: Block) -> Option<Inst> {
    func.layout.last_inst(block)
}

/// The branches of an instruction.
pub(super) fn branches(func: &Function, inst: Inst) -> &[BlockCall] {
    func.dfg.insts[inst].branch_destination(&func.dfg.jump_tables, &func.dfg.exception_tables)
}
