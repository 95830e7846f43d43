//! Relaxed SIMD, with one result on every machine: of the results that the specification allows, the one that the
//! strict operator has. Multiply-add rounds twice, because a fused one would need a library call where the machine
//! lacks it.

use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::Operator;

use super::convert::{truncate_f32_signed, truncate_f32_unsigned, truncate_f64_signed, truncate_f64_unsigned};
use super::widen::dot_product;
use super::{pop2_vectors, pop3_vectors};
use crate::translate::FuncTranslator;

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let value = match op {
        Operator::I32x4RelaxedTruncF32x4S => truncate_f32_signed(t),
        Operator::I32x4RelaxedTruncF32x4U => truncate_f32_unsigned(t),
        Operator::I32x4RelaxedTruncF64x2SZero => truncate_f64_signed(t),
        Operator::I32x4RelaxedTruncF64x2UZero => truncate_f64_unsigned(t),
        Operator::F32x4RelaxedMadd => multiply_add(t, F32X4, false),
        Operator::F32x4RelaxedNmadd => multiply_add(t, F32X4, true),
        Operator::F64x2RelaxedMadd => multiply_add(t, F64X2, false),
        Operator::F64x2RelaxedNmadd => multiply_add(t, F64X2, true),
        Operator::I8x16RelaxedLaneselect
        | Operator::I16x8RelaxedLaneselect
        | Operator::I32x4RelaxedLaneselect
        | Operator::I64x2RelaxedLaneselect => {
            let (ones, zeros, mask) = pop3_vectors(t, I8X16);
            t.builder.ins().bitselect(mask, ones, zeros)
        }
        Operator::I16x8RelaxedDotI8x16I7x16S => {
            let (a, b) = pop2_vectors(t, I8X16);
            dot_product(t, a, b)
        }
        Operator::I32x4RelaxedDotI8x16I7x16AddS => {
            let sum = t.pop_vector(I32X4);
            let (a, b) = pop2_vectors(t, I8X16);
            let dot = dot_product(t, a, b);
            let low = t.builder.ins().swiden_low(dot);
            let high = t.builder.ins().swiden_high(dot);
            let dot = t.builder.ins().iadd_pairwise(low, high);
            t.builder.ins().iadd(dot, sum)
        }
        _ => return binary(t, op),
    };
    t.push(value);
    true
}

fn binary(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    binary! { t, op;
        swizzle: I8x16RelaxedSwizzle I8X16;
        sqmul_round_sat: I16x8RelaxedQ15mulrS I16X8;
        fmin: F32x4RelaxedMin F32X4, F64x2RelaxedMin F64X2;
        fmax: F32x4RelaxedMax F32X4, F64x2RelaxedMax F64X2;
    }
    true
}

/// `±(a * b) + c`.
fn multiply_add(t: &mut FuncTranslator<'_>, shape: Type, negate: bool) -> Value {
    let (a, b, c) = pop3_vectors(t, shape);
    let a = if negate { t.builder.ins().fneg(a) } else { a };
    let product = t.builder.ins().fmul(a, b);
    t.builder.ins().fadd(product, c)
}
