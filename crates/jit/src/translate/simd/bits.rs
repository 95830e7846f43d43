//! Bits: logic, shifts, reductions to a scalar.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::{I8X16, I16X8, I32, I32X4, I64X2};
use wasmparser::Operator;

use super::pop3_vectors;
use crate::translate::FuncTranslator;
use crate::translate::numeric::push_bool;

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    logic(t, op) || shift(t, op) || truth(t, op) || bitmask(t, op)
}

fn logic(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    match op {
        Operator::V128Not => {
            let a = t.pop_vector(I8X16);
            let value = t.builder.ins().bnot(a);
            t.push(value);
        }
        Operator::V128Bitselect => {
            let (ones, zeros, mask) = pop3_vectors(t, I8X16);
            let value = t.builder.ins().bitselect(mask, ones, zeros);
            t.push(value);
        }
        _ => binary! { t, op;
            band: V128And I8X16;
            band_not: V128AndNot I8X16;
            bor: V128Or I8X16;
            bxor: V128Xor I8X16;
        },
    }
    true
}

/// `instruction: Operator shape, ...;` shifts every lane by one scalar, which both sides take modulo the lane's width.
macro_rules! shifts {
    ($t:ident, $op:ident; $($ins:ident: $($name:ident $shape:ident),+;)+) => {
        match $op {
            $($(Operator::$name => {
                let amount = $t.pop();
                let vector = $t.pop_vector($shape);
                let value = $t.builder.ins().$ins(vector, amount);
                $t.push(value);
            })+)+
            _ => return false,
        }
    };
}

fn shift(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    shifts! { t, op;
        ishl: I8x16Shl I8X16, I16x8Shl I16X8, I32x4Shl I32X4, I64x2Shl I64X2;
        sshr: I8x16ShrS I8X16, I16x8ShrS I16X8, I32x4ShrS I32X4, I64x2ShrS I64X2;
        ushr: I8x16ShrU I8X16, I16x8ShrU I16X8, I32x4ShrU I32X4, I64x2ShrU I64X2;
    }
    true
}

/// `instruction: Operator shape, ...;` asks a vector a question and pushes 0 or 1.
macro_rules! truths {
    ($t:ident, $op:ident; $($ins:ident: $($name:ident $shape:ident),+;)+) => {
        match $op {
            $($(Operator::$name => {
                let vector = $t.pop_vector($shape);
                let holds = $t.builder.ins().$ins(vector);
                push_bool($t, holds);
            })+)+
            _ => return false,
        }
    };
}

fn truth(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    truths! { t, op;
        vany_true: V128AnyTrue I8X16;
        vall_true: I8x16AllTrue I8X16, I16x8AllTrue I16X8, I32x4AllTrue I32X4, I64x2AllTrue I64X2;
    }
    true
}

fn bitmask(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let shape = match op {
        Operator::I8x16Bitmask => I8X16,
        Operator::I16x8Bitmask => I16X8,
        Operator::I32x4Bitmask => I32X4,
        Operator::I64x2Bitmask => I64X2,
        _ => return false,
    };
    let vector = t.pop_vector(shape);
    let value = t.builder.ins().vhigh_bits(I32, vector);
    t.push(value);
    true
}
