//! Conversions between integer and floating-point lanes, and between float widths.

use cranelift_codegen::ir::types::{F32X4, F64X2, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};
use wasmparser::Operator;

use super::zero;
use crate::translate::FuncTranslator;

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let value = match op {
        Operator::I32x4TruncSatF32x4S => truncate_f32_signed(t),
        Operator::I32x4TruncSatF32x4U => truncate_f32_unsigned(t),
        Operator::I32x4TruncSatF64x2SZero => truncate_f64_signed(t),
        Operator::I32x4TruncSatF64x2UZero => truncate_f64_unsigned(t),
        Operator::F32x4ConvertI32x4S => {
            let a = t.pop_vector(I32X4);
            t.builder.ins().fcvt_from_sint(F32X4, a)
        }
        Operator::F32x4ConvertI32x4U => {
            let a = t.pop_vector(I32X4);
            t.builder.ins().fcvt_from_uint(F32X4, a)
        }
        Operator::F64x2ConvertLowI32x4S => {
            let a = t.pop_vector(I32X4);
            let a = t.builder.ins().swiden_low(a);
            t.builder.ins().fcvt_from_sint(F64X2, a)
        }
        Operator::F64x2ConvertLowI32x4U => {
            let a = t.pop_vector(I32X4);
            let a = t.builder.ins().uwiden_low(a);
            t.builder.ins().fcvt_from_uint(F64X2, a)
        }
        Operator::F32x4DemoteF64x2Zero => {
            let a = t.pop_vector(F64X2);
            t.builder.ins().fvdemote(a)
        }
        Operator::F64x2PromoteLowF32x4 => {
            let a = t.pop_vector(F32X4);
            t.builder.ins().fvpromote_low(a)
        }
        _ => return false,
    };
    t.push(value);
    true
}

/// Pops `f32x4`; NaN becomes 0, what is out of range the nearest bound.
pub(super) fn truncate_f32_signed(t: &mut FuncTranslator<'_>) -> Value {
    let a = t.pop_vector(F32X4);
    t.builder.ins().fcvt_to_sint_sat(I32X4, a)
}

/// As [`truncate_f32_signed`], unsigned.
pub(super) fn truncate_f32_unsigned(t: &mut FuncTranslator<'_>) -> Value {
    let a = t.pop_vector(F32X4);
    t.builder.ins().fcvt_to_uint_sat(I32X4, a)
}

/// As [`truncate_f32_signed`], of `f64x2`, with zeros above. Saturating twice is saturating once.
pub(super) fn truncate_f64_signed(t: &mut FuncTranslator<'_>) -> Value {
    let a = t.pop_vector(F64X2);
    let zero = zero(t, I64X2);
    let a = t.builder.ins().fcvt_to_sint_sat(I64X2, a);
    t.builder.ins().snarrow(a, zero)
}

/// As [`truncate_f64_signed`], unsigned.
pub(super) fn truncate_f64_unsigned(t: &mut FuncTranslator<'_>) -> Value {
    let a = t.pop_vector(F64X2);
    let zero = zero(t, I64X2);
    let a = t.builder.ins().fcvt_to_uint_sat(I64X2, a);
    t.builder.ins().uunarrow(a, zero)
}
