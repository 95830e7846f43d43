//! What taking a branch proves.

use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{Block, Function, Inst, InstructionData, Opcode, Value, ValueDef};

/// The condition that is known to be non-zero (`true`) or zero at the start of `block`, because the only branch to it
/// depends on it.
pub(super) fn condition(func: &Function, cfg: &ControlFlowGraph, block: Block) -> Option<(Value, bool)> {
    let mut preds = cfg.pred_iter(block);
    let (Some(pred), None) = (preds.next(), preds.next()) else { return None };
    let InstructionData::Brif { arg, blocks, .. } = func.dfg.insts[pred.inst] else { return None };
    let [then, otherwise] = blocks.map(|b| b.block(&func.dfg.value_lists));
    (then != otherwise).then_some((arg, then == block))
}

/// The instruction that computes a value.
pub(super) fn definition(func: &Function, value: Value) -> Option<Inst> {
    match func.dfg.value_def(value) {
        ValueDef::Result(inst, 0) => Some(inst),
        _ => None,
    }
}

/// The value of an integer constant.
pub(super) fn constant(func: &Function, value: Value) -> Option<i64> {
    match func.dfg.insts[definition(func, value)?] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits()),
        _ => None,
    }
}

/// A condition taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Condition {
    /// A comparison holds. Only [`IntCC::Equal`] and less-than comparisons.
    Compare(IntCC, Value, Value),
    /// The value is not zero; the instruction that computes it, if one does.
    NonZero(Value, Option<Inst>),
    /// Nothing useful.
    Unknown,
}

/// What it means that `value` is non-zero (`holds`) or zero.
pub(super) fn analyse(func: &Function, mut value: Value, mut holds: bool) -> Condition {
    // Conditions are negated and widened a few times at most.
    for _ in 0..4 {
        value = func.dfg.resolve_aliases(value);
        let Some(inst) = definition(func, value) else { break };
        match func.dfg.insts[inst] {
            InstructionData::Unary { opcode: Opcode::Uextend, arg } => value = arg,
            InstructionData::IntCompare { cond, args: [a, b], .. } => {
                let cond = if holds { cond } else { cond.complement() };
                let zero = |v| constant(func, func.dfg.resolve_aliases(v)) == Some(0);
                match cond {
                    IntCC::Equal | IntCC::NotEqual if zero(b) => {
                        value = a;
                        holds = cond == IntCC::NotEqual;
                    }
                    IntCC::SignedLessThan | IntCC::UnsignedLessThan | IntCC::Equal => {
                        return Condition::Compare(cond, a, b);
                    }
                    IntCC::SignedGreaterThan | IntCC::UnsignedGreaterThan => {
                        return Condition::Compare(cond.swap_args(), b, a);
                    }
                    _ => return Condition::Unknown,
                }
            }
            _ if holds => return Condition::NonZero(value, Some(inst)),
            _ => return Condition::Unknown,
        }
    }
    if holds { Condition::NonZero(value, None) } else { Condition::Unknown }
}

/// Makes the branch `inst` pass another argument to `block`, wherever it goes there.
pub(super) fn pass(func: &mut Function, inst: Inst, block: Block, argument: cranelift_codegen::ir::BlockArg) {
    let dfg = &mut func.dfg;
    let targets = dfg.insts[inst].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
    for target in targets {
        if target.block(&dfg.value_lists) == block {
            target.append_argument(argument, &mut dfg.value_lists);
        }
    }
}
