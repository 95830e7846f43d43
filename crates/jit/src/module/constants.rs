//! Constant expressions.

use super::{ConstExpr, ConstOp, ModuleInfo, convert};
use crate::CompileError;
use wasmparser::Operator;

/// Reads a validated constant expression; its final `end` is dropped.
pub(super) fn read(expr: &wasmparser::ConstExpr<'_>) -> Result<ConstExpr, CompileError> {
    let mut reader = expr.get_operators_reader();
    let mut ops = Vec::new();
    while !reader.eof() {
        let (op, offset) = reader.read_with_offset()?;
        ops.push(match op {
            Operator::End => continue,
            Operator::I32Const { value } => ConstOp::I32(value),
            Operator::I64Const { value } => ConstOp::I64(value),
            Operator::F32Const { value } => ConstOp::F32(value.bits()),
            Operator::F64Const { value } => ConstOp::F64(value.bits()),
            Operator::V128Const { value } => ConstOp::V128(u128::from_le_bytes(*value.bytes())),
            Operator::GlobalGet { global_index } => ConstOp::GlobalGet(global_index),
            Operator::RefNull { hty } => ConstOp::RefNull(convert::heap_type(hty)?),
            Operator::RefFunc { function_index } => ConstOp::RefFunc(function_index),
            Operator::RefI31 => ConstOp::RefI31,
            Operator::I32Add => ConstOp::I32Add,
            Operator::I32Sub => ConstOp::I32Sub,
            Operator::I32Mul => ConstOp::I32Mul,
            Operator::I64Add => ConstOp::I64Add,
            Operator::I64Sub => ConstOp::I64Sub,
            Operator::I64Mul => ConstOp::I64Mul,
            Operator::StructNew { struct_type_index } => ConstOp::StructNew(struct_type_index),
            Operator::StructNewDefault { struct_type_index } => ConstOp::StructNewDefault(struct_type_index),
            Operator::ArrayNew { array_type_index } => ConstOp::ArrayNew(array_type_index),
            Operator::ArrayNewDefault { array_type_index } => ConstOp::ArrayNewDefault(array_type_index),
            Operator::ArrayNewFixed { array_type_index, array_size } => {
                ConstOp::ArrayNewFixed(array_type_index, array_size)
            }
            Operator::AnyConvertExtern => ConstOp::AnyConvertExtern,
            Operator::ExternConvertAny => ConstOp::ExternConvertAny,
            other => {
                return Err(CompileError::Invalid {
                    message: format!("constant expression with an unsupported instruction: {other:?}"),
                    offset: offset as usize,
                });
            }
        });
    }
    Ok(ops.into())
}

impl ConstOp {
    /// How many operands it takes. Each gives one result.
    pub fn operands(&self, module: &ModuleInfo) -> usize {
        use ConstOp as C;
        match *self {
            C::I32(_)
            | C::I64(_)
            | C::F32(_)
            | C::F64(_)
            | C::V128(_)
            | C::GlobalGet(_)
            | C::RefNull(_)
            | C::RefFunc(_)
            | C::StructNewDefault(_) => 0,
            C::RefI31 | C::ArrayNewDefault(_) | C::AnyConvertExtern | C::ExternConvertAny => 1,
            C::I32Add | C::I32Sub | C::I32Mul | C::I64Add | C::I64Sub | C::I64Mul | C::ArrayNew(_) => 2,
            C::StructNew(ty) => module.struct_layout(ty).fields.len(),
            C::ArrayNewFixed(_, count) => count as usize,
        }
    }
}
