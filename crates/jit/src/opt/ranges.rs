//! Which integers cannot be negative.

use super::Shape;
use super::edges::{self, Condition};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, Function, InstructionData, Opcode, Value, ValueDef};
use smallvec::SmallVec;

/// Values and blocks that one question may look at.
const MOST_STEPS: u32 = 32;

/// Whether `value`, an `i32`, is at least 0 as a signed number.
///
/// A block parameter is, if all its arguments are, where a sum of itself and a positive constant is one if a dominating
/// branch proves the parameter smaller than some number: then the sum of it and 1 cannot wrap. That is a loop's
/// counter.
pub(super) fn non_negative(func: &Function, shape: &Shape, value: Value) -> bool {
    let mut question = Question { func, shape, assumed: SmallVec::new(), steps: 0 };
    question.ask(value)
}

struct Question<'a> {
    func: &'a Function,
    shape: &'a Shape,
    /// Block parameters under question, assumed by induction.
    assumed: SmallVec<[Value; 4]>,
    steps: u32,
}

impl Question<'_> {
    fn ask(&mut self, value: Value) -> bool {
        self.steps += 1;
        let dfg = &self.func.dfg;
        let value = dfg.resolve_aliases(value);
        if self.assumed.contains(&value) {
            return true;
        }
        if self.steps > MOST_STEPS {
            return false;
        }
        match dfg.value_def(value) {
            ValueDef::Param(block, number) => {
                self.assumed.push(value);
                self.all_arguments(block, number)
            }
            ValueDef::Result(inst, 0) => match dfg.insts[inst] {
                InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => imm.bits() as i32 >= 0,
                InstructionData::Unary { opcode: Opcode::Uextend, .. } => true,
                InstructionData::Binary { opcode: Opcode::Band, args } => {
                    args.into_iter().any(|a| {
                        let assumed = self.assumed.len();
                        let yes = self.ask(a);
                        // What was assumed for a failed attempt was not proved.
                        self.assumed.truncate(if yes { self.assumed.len() } else { assumed });
                        yes
                    })
                }
                InstructionData::Binary { opcode: Opcode::Iadd, args: [a, b] } => {
                    let block = self.func.layout.inst_block(inst);
                    block.is_some_and(|block| self.increment(block, a, b) || self.increment(block, b, a))
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether every branch to `block` passes a value for parameter `number` that is not negative.
    fn all_arguments(&mut self, block: Block, number: usize) -> bool {
        let func = self.func;
        let mut any = false;
        for pred in self.shape.cfg.pred_iter(block) {
            let targets =
                func.dfg.insts[pred.inst].branch_destination(&func.dfg.jump_tables, &func.dfg.exception_tables);
            for target in targets.iter().filter(|t| t.block(&func.dfg.value_lists) == block) {
                let Some(BlockArg::Value(argument)) = target.args(&func.dfg.value_lists).nth(number) else {
                    return false;
                };
                any = true;
                if !self.ask(argument) {
                    return false;
                }
            }
        }
        any
    }

    /// Whether `base + step`, computed in `block`, is not negative.
    fn increment(&mut self, block: Block, base: Value, step: Value) -> bool {
        let step = edges::constant(self.func, self.func.dfg.resolve_aliases(step));
        // A step of one cannot wrap where the base is known to be smaller than something.
        step.map(|s| s as i32) == Some(1) && self.smaller(block, base) && self.ask(base)
    }

    /// Whether a branch on the way to `block` proves `value` smaller than another signed number.
    fn smaller(&mut self, mut block: Block, value: Value) -> bool {
        let value = self.func.dfg.resolve_aliases(value);
        loop {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return false;
            }
            if let Some((condition, holds)) = edges::condition(self.func, &self.shape.cfg, block)
                && let Condition::Compare(IntCC::SignedLessThan, smaller, _) =
                    edges::analyse(self.func, condition, holds)
                && self.func.dfg.resolve_aliases(smaller) == value
            {
                return true;
            }
            match self.shape.tree.idom(block) {
                Some(dominator) => block = dominator,
                None => return false,
            }
        }
    }
}
