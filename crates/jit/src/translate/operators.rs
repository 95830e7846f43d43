//! One operator at a time.

use cranelift_codegen::ir::InstBuilder;
use wasmparser::Operator;

use super::control::FrameKind;
use super::state::FuncTranslator;
use super::{Operands, numeric, simd};
use crate::compile::CompileError;

impl FuncTranslator<'_> {
    /// Translates a validated operator.
    pub(super) fn operator(
        &mut self,
        op: &Operator<'_>,
        offset: u64,
        operands: &Operands,
    ) -> Result<Handled, CompileError> {
        if !self.reachable {
            self.unreachable_operator(op);
            return Ok(Handled::Yes);
        }
        match op {
            Operator::Nop => {}
            Operator::Unreachable => self.unreachable(),
            Operator::Block { blockty } => self.start_block(*blockty),
            Operator::Loop { blockty } => self.start_loop(*blockty),
            Operator::If { blockty } => self.start_if(*blockty),
            Operator::Else => self.start_else(),
            Operator::End => self.end_frame(),
            Operator::TryTable { try_table } => self.start_try_table(try_table),
            Operator::Throw { tag_index } => self.throw(*tag_index),
            Operator::ThrowRef => {
                let exception = self.pop();
                self.throw_exception(exception);
            }
            Operator::Try { blockty } => self.start_try(*blockty, offset),
            Operator::Catch { .. } | Operator::CatchAll => self.start_catch(),
            Operator::Rethrow { relative_depth } => self.rethrow(*relative_depth),
            // The body's calls know their handlers; what is left of `delegate` is an end.
            Operator::Delegate { .. } => self.end_frame(),
            Operator::Br { relative_depth } => self.branch(*relative_depth),
            Operator::BrIf { relative_depth } => {
                let condition = self.pop();
                self.branch_if(condition, *relative_depth);
            }
            Operator::BrTable { targets } => self.branch_table(targets)?,
            Operator::Return => self.return_values(),
            Operator::Call { function_index } => self.call(*function_index, offset)?,
            Operator::CallIndirect { type_index, table_index } => {
                self.call_indirect(*table_index, *type_index, offset)?;
            }
            Operator::CallRef { type_index } => self.call_ref(*type_index, offset)?,
            Operator::ReturnCall { function_index } => self.return_call(*function_index),
            Operator::ReturnCallIndirect { type_index, table_index } => {
                self.return_call_indirect(*table_index, *type_index);
            }
            Operator::ReturnCallRef { type_index } => self.return_call_ref(*type_index),
            Operator::Drop => {
                self.pop();
            }
            Operator::Select | Operator::TypedSelect { .. } => {
                let (a, b, condition) = self.pop3();
                let chosen = self.builder.ins().select(condition, a, b);
                self.push(chosen);
            }
            Operator::LocalGet { local_index } => {
                let value = self.builder.use_var(self.locals[*local_index as usize]);
                self.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.builder.def_var(self.locals[*local_index as usize], value);
            }
            Operator::LocalTee { local_index } => {
                let value = *self.stack.last().expect("validated");
                self.builder.def_var(self.locals[*local_index as usize], value);
            }
            Operator::GlobalGet { global_index } => self.global_get(*global_index),
            Operator::GlobalSet { global_index } => self.global_set(*global_index),
            Operator::TableGet { table } => self.table_get(*table),
            Operator::TableSet { table } => self.table_set(*table),
            Operator::TableSize { table } => self.table_size(*table),
            Operator::TableGrow { table } => self.table_grow(*table),
            Operator::TableFill { table } => self.table_fill(*table),
            Operator::TableCopy { dst_table, src_table } => self.table_copy(*dst_table, *src_table),
            Operator::TableInit { elem_index, table } => self.table_init(*table, *elem_index),
            Operator::ElemDrop { elem_index } => self.elem_drop(*elem_index),
            Operator::MemorySize { mem } => self.memory_size(*mem),
            Operator::MemoryGrow { mem } => self.memory_grow(*mem),
            Operator::MemoryCopy { dst_mem, src_mem } => self.memory_copy(*dst_mem, *src_mem),
            Operator::MemoryFill { mem } => self.memory_fill(*mem),
            Operator::MemoryInit { data_index, mem } => self.memory_init(*mem, *data_index),
            Operator::DataDrop { data_index } => self.data_drop(*data_index),
            _ => {
                let handled =
                    numeric::translate(self, op) || self.reference_operator(op, operands) || simd::translate(self, op);
                return Ok(if handled { Handled::Yes } else { Handled::No });
            }
        }
        Ok(Handled::Yes)
    }

    /// In code that cannot be reached only nesting is followed.
    fn unreachable_operator(&mut self, op: &Operator<'_>) {
        match op {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. }
            | Operator::Try { .. } => self.push_unreachable_frame(),
            Operator::Else => self.start_else(),
            Operator::Catch { .. } | Operator::CatchAll => self.start_catch(),
            Operator::End | Operator::Delegate { .. } => self.end_frame(),
            _ => {}
        }
    }

    /// Emits the function's return after its last operator.
    pub(super) fn finish_function(&mut self) {
        if self.reachable {
            self.save_fuel();
            let values = core::mem::take(&mut self.stack);
            self.builder.ins().return_(&values);
        }
    }

    /// Pushes the function's own frame.
    pub(super) fn push_function_frame(&mut self, results: &[crate::abi::Kind]) {
        self.push_frame(FrameKind::Block, 0, results);
    }
}

/// Whether an operator was translated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Handled {
    /// It was.
    Yes,
    /// No room of the translator knows it.
    No,
}
