//! Vectors: every operator of the SIMD and relaxed SIMD proposals, by theme.
//!
//! The tables name a CLIF instruction and the operators that are exactly it, each with the shape that its operands are
//! read in. Several instructions exist in the native backend only in certain combinations (a widening multiplication, a
//! pairwise addition of two widened halves); those combinations are built here as that backend expects them.

/// `instruction: Operator shape, ...;` pops a vector and pushes the instruction's result.
macro_rules! unary {
    ($t:ident, $op:ident; $($ins:ident: $($name:ident $shape:ident),+;)+) => {
        match $op {
            $($(Operator::$name => {
                let a = $t.pop_vector($shape);
                let value = $t.builder.ins().$ins(a);
                $t.push(value);
            })+)+
            _ => return false,
        }
    };
}

/// `instruction: Operator shape, ...;` pops two vectors and pushes the instruction's result.
macro_rules! binary {
    ($t:ident, $op:ident; $($ins:ident: $($name:ident $shape:ident),+;)+) => {
        match $op {
            $($(Operator::$name => {
                let (a, b) = $crate::translate::simd::pop2_vectors($t, $shape);
                let value = $t.builder.ins().$ins(a, b);
                $t.push(value);
            })+)+
            _ => return false,
        }
    };
}

mod arithmetic;
mod bits;
mod compare;
mod convert;
mod lanes;
mod memory;
mod relaxed;
mod widen;

use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::Operator;

use super::FuncTranslator;

/// Translates a vector operator; false if `op` is none.
pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    memory::translate(t, op)
        || lanes::translate(t, op)
        || bits::translate(t, op)
        || arithmetic::translate(t, op)
        || compare::translate(t, op)
        || widen::translate(t, op)
        || convert::translate(t, op)
        || relaxed::translate(t, op)
}

/// Pops two vectors as `shape`; the second was on top.
fn pop2_vectors(t: &mut FuncTranslator<'_>, shape: Type) -> (Value, Value) {
    let b = t.pop_vector(shape);
    (t.pop_vector(shape), b)
}

/// Pops three vectors as `shape`; the last was on top.
fn pop3_vectors(t: &mut FuncTranslator<'_>, shape: Type) -> (Value, Value, Value) {
    let c = t.pop_vector(shape);
    let (a, b) = pop2_vectors(t, shape);
    (a, b, c)
}

/// A `shape` of zeros.
fn zero(t: &mut FuncTranslator<'_>, shape: Type) -> Value {
    let constant = t.builder.func.dfg.constants.insert(vec![0; 16].into());
    t.builder.ins().vconst(shape, constant)
}

#[cfg(test)]
mod tests;
