//! Lanes of half or twice the width: narrowing, extension, and the arithmetic that extends its operands first.

use cranelift_codegen::ir::types::{I8X16, I16X8, I32X4};
use cranelift_codegen::ir::{InstBuilder, Value};
use wasmparser::Operator;

use super::pop2_vectors;
use crate::translate::FuncTranslator;

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    extend(t, op) || multiply(t, op) || add_pairs(t, op) || narrow(t, op) || dot(t, op)
}

fn narrow(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    binary! { t, op;
        snarrow: I8x16NarrowI16x8S I16X8, I16x8NarrowI32x4S I32X4;
        unarrow: I8x16NarrowI16x8U I16X8, I16x8NarrowI32x4U I32X4;
    }
    true
}

fn extend(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    unary! { t, op;
        swiden_low: I16x8ExtendLowI8x16S I8X16, I32x4ExtendLowI16x8S I16X8, I64x2ExtendLowI32x4S I32X4;
        swiden_high: I16x8ExtendHighI8x16S I8X16, I32x4ExtendHighI16x8S I16X8, I64x2ExtendHighI32x4S I32X4;
        uwiden_low: I16x8ExtendLowI8x16U I8X16, I32x4ExtendLowI16x8U I16X8, I64x2ExtendLowI32x4U I32X4;
        uwiden_high: I16x8ExtendHighI8x16U I8X16, I32x4ExtendHighI16x8U I16X8, I64x2ExtendHighI32x4U I32X4;
    }
    true
}

/// `widening: Operator shape, ...;` multiplies two widened vectors.
macro_rules! products {
    ($t:ident, $op:ident; $($widen:ident: $($name:ident $shape:ident),+;)+) => {
        match $op {
            $($(Operator::$name => {
                let (a, b) = pop2_vectors($t, $shape);
                let a = $t.builder.ins().$widen(a);
                let b = $t.builder.ins().$widen(b);
                let value = $t.builder.ins().imul(a, b);
                $t.push(value);
            })+)+
            _ => return false,
        }
    };
}

fn multiply(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    products! { t, op;
        swiden_low: I16x8ExtMulLowI8x16S I8X16, I32x4ExtMulLowI16x8S I16X8, I64x2ExtMulLowI32x4S I32X4;
        swiden_high: I16x8ExtMulHighI8x16S I8X16, I32x4ExtMulHighI16x8S I16X8, I64x2ExtMulHighI32x4S I32X4;
        uwiden_low: I16x8ExtMulLowI8x16U I8X16, I32x4ExtMulLowI16x8U I16X8, I64x2ExtMulLowI32x4U I32X4;
        uwiden_high: I16x8ExtMulHighI8x16U I8X16, I32x4ExtMulHighI16x8U I16X8, I64x2ExtMulHighI32x4U I32X4;
    }
    true
}

/// `widening of the low half, of the high half: Operator shape, ...;` adds neighbours, widened.
macro_rules! pair_sums {
    ($t:ident, $op:ident; $($low:ident $high:ident: $($name:ident $shape:ident),+;)+) => {
        match $op {
            $($(Operator::$name => {
                let vector = $t.pop_vector($shape);
                let low = $t.builder.ins().$low(vector);
                let high = $t.builder.ins().$high(vector);
                let value = $t.builder.ins().iadd_pairwise(low, high);
                $t.push(value);
            })+)+
            _ => return false,
        }
    };
}

fn add_pairs(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    pair_sums! { t, op;
        swiden_low swiden_high: I16x8ExtAddPairwiseI8x16S I8X16, I32x4ExtAddPairwiseI16x8S I16X8;
        uwiden_low uwiden_high: I16x8ExtAddPairwiseI8x16U I8X16, I32x4ExtAddPairwiseI16x8U I16X8;
    }
    true
}

fn dot(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let Operator::I32x4DotI16x8S = op else { return false };
    let (a, b) = pop2_vectors(t, I16X8);
    let value = dot_product(t, a, b);
    t.push(value);
    true
}

/// Sums of neighbouring signed products, in lanes of twice the width, modulo that width.
pub(super) fn dot_product(t: &mut FuncTranslator<'_>, a: Value, b: Value) -> Value {
    let low = (t.builder.ins().swiden_low(a), t.builder.ins().swiden_low(b));
    let high = (t.builder.ins().swiden_high(a), t.builder.ins().swiden_high(b));
    let low = t.builder.ins().imul(low.0, low.1);
    let high = t.builder.ins().imul(high.0, high.1);
    t.builder.ins().iadd_pairwise(low, high)
}
