//! Lane-wise comparisons: each lane becomes all ones or all zeros.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use wasmparser::Operator;

use super::pop2_vectors;
use crate::translate::FuncTranslator;

/// `instruction condition: Operator shape, ...;`
macro_rules! comparisons {
    ($t:ident, $op:ident; $($ins:ident $condition:path: $($name:ident $shape:ident),+;)+) => {
        match $op {
            $($(Operator::$name => {
                let (a, b) = pop2_vectors($t, $shape);
                let value = $t.builder.ins().$ins($condition, a, b);
                $t.push(value);
            })+)+
            _ => return false,
        }
    };
}

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    comparisons! { t, op;
        icmp IntCC::Equal: I8x16Eq I8X16, I16x8Eq I16X8, I32x4Eq I32X4, I64x2Eq I64X2;
        icmp IntCC::NotEqual: I8x16Ne I8X16, I16x8Ne I16X8, I32x4Ne I32X4, I64x2Ne I64X2;
        icmp IntCC::SignedLessThan: I8x16LtS I8X16, I16x8LtS I16X8, I32x4LtS I32X4, I64x2LtS I64X2;
        icmp IntCC::SignedGreaterThan: I8x16GtS I8X16, I16x8GtS I16X8, I32x4GtS I32X4, I64x2GtS I64X2;
        icmp IntCC::SignedLessThanOrEqual: I8x16LeS I8X16, I16x8LeS I16X8, I32x4LeS I32X4, I64x2LeS I64X2;
        icmp IntCC::SignedGreaterThanOrEqual: I8x16GeS I8X16, I16x8GeS I16X8, I32x4GeS I32X4, I64x2GeS I64X2;
        icmp IntCC::UnsignedLessThan: I8x16LtU I8X16, I16x8LtU I16X8, I32x4LtU I32X4;
        icmp IntCC::UnsignedGreaterThan: I8x16GtU I8X16, I16x8GtU I16X8, I32x4GtU I32X4;
        icmp IntCC::UnsignedLessThanOrEqual: I8x16LeU I8X16, I16x8LeU I16X8, I32x4LeU I32X4;
        icmp IntCC::UnsignedGreaterThanOrEqual: I8x16GeU I8X16, I16x8GeU I16X8, I32x4GeU I32X4;
        fcmp FloatCC::Equal: F32x4Eq F32X4, F64x2Eq F64X2;
        fcmp FloatCC::NotEqual: F32x4Ne F32X4, F64x2Ne F64X2;
        fcmp FloatCC::LessThan: F32x4Lt F32X4, F64x2Lt F64X2;
        fcmp FloatCC::GreaterThan: F32x4Gt F32X4, F64x2Gt F64X2;
        fcmp FloatCC::LessThanOrEqual: F32x4Le F32X4, F64x2Le F64X2;
        fcmp FloatCC::GreaterThanOrEqual: F32x4Ge F32X4, F64x2Ge F64X2;
    }
    true
}
