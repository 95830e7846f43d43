//! Lane-wise arithmetic, in the shape of the operands.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type};
use wasmparser::Operator;

use super::pop2_vectors;
use crate::translate::FuncTranslator;

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    binary(t, op) || unary(t, op) || pseudo_extremum(t, op)
}

fn unary(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    unary! { t, op;
        iabs: I8x16Abs I8X16, I16x8Abs I16X8, I32x4Abs I32X4, I64x2Abs I64X2;
        ineg: I8x16Neg I8X16, I16x8Neg I16X8, I32x4Neg I32X4, I64x2Neg I64X2;
        popcnt: I8x16Popcnt I8X16;
        fabs: F32x4Abs F32X4, F64x2Abs F64X2;
        fneg: F32x4Neg F32X4, F64x2Neg F64X2;
        sqrt: F32x4Sqrt F32X4, F64x2Sqrt F64X2;
        ceil: F32x4Ceil F32X4, F64x2Ceil F64X2;
        floor: F32x4Floor F32X4, F64x2Floor F64X2;
        trunc: F32x4Trunc F32X4, F64x2Trunc F64X2;
        nearest: F32x4Nearest F32X4, F64x2Nearest F64X2;
    }
    true
}

fn binary(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    binary! { t, op;
        iadd: I8x16Add I8X16, I16x8Add I16X8, I32x4Add I32X4, I64x2Add I64X2;
        isub: I8x16Sub I8X16, I16x8Sub I16X8, I32x4Sub I32X4, I64x2Sub I64X2;
        imul: I16x8Mul I16X8, I32x4Mul I32X4, I64x2Mul I64X2;
        sadd_sat: I8x16AddSatS I8X16, I16x8AddSatS I16X8;
        uadd_sat: I8x16AddSatU I8X16, I16x8AddSatU I16X8;
        ssub_sat: I8x16SubSatS I8X16, I16x8SubSatS I16X8;
        usub_sat: I8x16SubSatU I8X16, I16x8SubSatU I16X8;
        smin: I8x16MinS I8X16, I16x8MinS I16X8, I32x4MinS I32X4;
        umin: I8x16MinU I8X16, I16x8MinU I16X8, I32x4MinU I32X4;
        smax: I8x16MaxS I8X16, I16x8MaxS I16X8, I32x4MaxS I32X4;
        umax: I8x16MaxU I8X16, I16x8MaxU I16X8, I32x4MaxU I32X4;
        avg_round: I8x16AvgrU I8X16, I16x8AvgrU I16X8;
        sqmul_round_sat: I16x8Q15MulrSatS I16X8;
        fadd: F32x4Add F32X4, F64x2Add F64X2;
        fsub: F32x4Sub F32X4, F64x2Sub F64X2;
        fmul: F32x4Mul F32X4, F64x2Mul F64X2;
        fdiv: F32x4Div F32X4, F64x2Div F64X2;
        fmin: F32x4Min F32X4, F64x2Min F64X2;
        fmax: F32x4Max F32X4, F64x2Max F64X2;
    }
    true
}

fn pseudo_extremum(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    match op {
        Operator::F32x4PMin => pseudo_min(t, F32X4),
        Operator::F64x2PMin => pseudo_min(t, F64X2),
        Operator::F32x4PMax => pseudo_max(t, F32X4),
        Operator::F64x2PMax => pseudo_max(t, F64X2),
        _ => return false,
    }
    true
}

/// `b < a ? b : a`, bitwise one of the operands. The native backend knows this form as one instruction.
fn pseudo_min(t: &mut FuncTranslator<'_>, shape: Type) {
    let (a, b) = pop2_vectors(t, shape);
    let less = t.builder.ins().fcmp(FloatCC::LessThan, b, a);
    let less = t.bitcast_vector(less, shape);
    let value = t.builder.ins().bitselect(less, b, a);
    t.push(value);
}

/// `a < b ? b : a`.
fn pseudo_max(t: &mut FuncTranslator<'_>, shape: Type) {
    let (a, b) = pop2_vectors(t, shape);
    let less = t.builder.ins().fcmp(FloatCC::LessThan, a, b);
    let less = t.bitcast_vector(less, shape);
    let value = t.builder.ins().bitselect(less, b, a);
    t.push(value);
}
