//! Scalar numbers: constants, comparisons, arithmetic, conversions, loads and stores.
//!
//! The tables name a CLIF instruction and the operators that are exactly it. What needs more than one instruction
//! follows the tables: division and truncation, which trap, and 128-bit arithmetic.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64, I128};
use cranelift_codegen::ir::{InstBuilder, InstructionData, MemFlagsData, Opcode, Type, Value};
use wasmparser::Operator;

use super::FuncTranslator;
use crate::abi::Trap;

/// Translates a scalar numeric operator; false if `op` is none.
pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    constant(t, op)
        || load(t, op)
        || store(t, op)
        || binary(t, op)
        || comparison(t, op)
        || unary(t, op)
        || conversion(t, op)
        || division(t, op)
        || truncation(t, op)
        || wide(t, op)
}

fn constant(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let ins = t.builder.ins();
    let value = match op {
        Operator::I32Const { value } => ins.iconst(I32, i64::from(value.cast_unsigned())),
        Operator::I64Const { value } => ins.iconst(I64, *value),
        Operator::F32Const { value } => ins.f32const(Ieee32::with_bits(value.bits())),
        Operator::F64Const { value } => ins.f64const(Ieee64::with_bits(value.bits())),
        _ => return false,
    };
    t.push(value);
    true
}

/// `Operator: bytes instruction [type];` loads `bytes` from memory and pushes the instruction's result.
macro_rules! loads {
    ($t:ident, $op:ident; $($name:ident: $bytes:literal $ins:ident $($ty:ident)?;)+) => {
        match $op {
            $(Operator::$name { memarg } => {
                let (address, flags) = $t.memory_address(memarg, $bytes);
                let value = $t.builder.ins().$ins($($ty,)? flags, address, 0);
                $t.push(value);
            })+
            _ => return false,
        }
    };
}
pub(super) use loads;

fn load(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    loads! { t, op;
        I32Load: 4 load I32;
        I64Load: 8 load I64;
        F32Load: 4 load F32;
        F64Load: 8 load F64;
        I32Load8S: 1 sload8 I32;
        I32Load8U: 1 uload8 I32;
        I32Load16S: 2 sload16 I32;
        I32Load16U: 2 uload16 I32;
        I64Load8S: 1 sload8 I64;
        I64Load8U: 1 uload8 I64;
        I64Load16S: 2 sload16 I64;
        I64Load16U: 2 uload16 I64;
        I64Load32S: 4 sload32;
        I64Load32U: 4 uload32;
    }
    true
}

/// `Operator: bytes instruction;` pops a value and stores its low `bytes`.
macro_rules! stores {
    ($t:ident, $op:ident; $($name:ident: $bytes:literal $ins:ident;)+) => {
        match $op {
            $(Operator::$name { memarg } => {
                let value = $t.pop();
                let (address, flags) = $t.memory_address(memarg, $bytes);
                $t.builder.ins().$ins(flags, value, address, 0);
            })+
            _ => return false,
        }
    };
}
pub(super) use stores;

fn store(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    stores! { t, op;
        I32Store: 4 store;
        I64Store: 8 store;
        F32Store: 4 store;
        F64Store: 8 store;
        I32Store8: 1 istore8;
        I32Store16: 2 istore16;
        I64Store8: 1 istore8;
        I64Store16: 2 istore16;
        I64Store32: 4 istore32;
    }
    true
}

/// `instruction: operators;` pops two operands and pushes the instruction's result.
macro_rules! binary {
    ($t:ident, $op:ident; $($ins:ident: $($name:ident)+;)+) => {
        match $op {
            $($(Operator::$name)|+ => {
                let (a, b) = $t.pop2();
                let value = $t.builder.ins().$ins(a, b);
                $t.push(value);
            })+
            _ => return false,
        }
    };
}

/// Shifts and rotations take their amount modulo the width in CLIF as in WebAssembly.
fn binary(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    binary! { t, op;
        iadd: I32Add I64Add;
        isub: I32Sub I64Sub;
        imul: I32Mul I64Mul;
        band: I32And I64And;
        bor: I32Or I64Or;
        bxor: I32Xor I64Xor;
        ishl: I32Shl I64Shl;
        sshr: I32ShrS I64ShrS;
        ushr: I32ShrU I64ShrU;
        rotl: I32Rotl I64Rotl;
        rotr: I32Rotr I64Rotr;
        fadd: F32Add F64Add;
        fsub: F32Sub F64Sub;
        fmul: F32Mul F64Mul;
        fdiv: F32Div F64Div;
        fmin: F32Min F64Min;
        fmax: F32Max F64Max;
        fcopysign: F32Copysign F64Copysign;
    }
    true
}

/// `condition: operators;` compares two operands and pushes 0 or 1.
macro_rules! comparisons {
    ($t:ident, $op:ident; $($ins:ident $condition:path: $($name:ident)+;)+) => {
        match $op {
            $($(Operator::$name)|+ => {
                let (a, b) = $t.pop2();
                let holds = $t.builder.ins().$ins($condition, a, b);
                push_bool($t, holds);
            })+
            _ => return false,
        }
    };
}

fn comparison(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    if let Operator::I32Eqz | Operator::I64Eqz = op {
        let value = t.pop();
        let holds = t.builder.ins().icmp_imm_u(IntCC::Equal, value, 0);
        push_bool(t, holds);
        return true;
    }
    comparisons! { t, op;
        icmp IntCC::Equal: I32Eq I64Eq;
        icmp IntCC::NotEqual: I32Ne I64Ne;
        icmp IntCC::SignedLessThan: I32LtS I64LtS;
        icmp IntCC::UnsignedLessThan: I32LtU I64LtU;
        icmp IntCC::SignedGreaterThan: I32GtS I64GtS;
        icmp IntCC::UnsignedGreaterThan: I32GtU I64GtU;
        icmp IntCC::SignedLessThanOrEqual: I32LeS I64LeS;
        icmp IntCC::UnsignedLessThanOrEqual: I32LeU I64LeU;
        icmp IntCC::SignedGreaterThanOrEqual: I32GeS I64GeS;
        icmp IntCC::UnsignedGreaterThanOrEqual: I32GeU I64GeU;
        fcmp FloatCC::Equal: F32Eq F64Eq;
        fcmp FloatCC::NotEqual: F32Ne F64Ne;
        fcmp FloatCC::LessThan: F32Lt F64Lt;
        fcmp FloatCC::GreaterThan: F32Gt F64Gt;
        fcmp FloatCC::LessThanOrEqual: F32Le F64Le;
        fcmp FloatCC::GreaterThanOrEqual: F32Ge F64Ge;
    }
    true
}

/// Pushes an `i8` truth value as `i32`.
pub(super) fn push_bool(t: &mut FuncTranslator<'_>, holds: Value) {
    let value = t.builder.ins().uextend(I32, holds);
    t.push(value);
}

/// `instruction: operators;` pops an operand and pushes the instruction's result.
macro_rules! unary {
    ($t:ident, $op:ident; $($ins:ident: $($name:ident)+;)+) => {
        match $op {
            $($(Operator::$name)|+ => {
                let a = $t.pop();
                let value = $t.builder.ins().$ins(a);
                $t.push(value);
            })+
            _ => return false,
        }
    };
}

fn unary(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    unary! { t, op;
        clz: I32Clz I64Clz;
        ctz: I32Ctz I64Ctz;
        popcnt: I32Popcnt I64Popcnt;
        fabs: F32Abs F64Abs;
        fneg: F32Neg F64Neg;
        sqrt: F32Sqrt F64Sqrt;
        ceil: F32Ceil F64Ceil;
        floor: F32Floor F64Floor;
        trunc: F32Trunc F64Trunc;
        nearest: F32Nearest F64Nearest;
    }
    true
}

/// `instruction result type: operators;` converts an operand without ever trapping.
macro_rules! conversions {
    ($t:ident, $op:ident; $($ins:ident $ty:ident: $($name:ident)+;)+) => {
        match $op {
            $($(Operator::$name)|+ => {
                let a = $t.pop();
                let value = $t.builder.ins().$ins($ty, a);
                $t.push(value);
            })+
            _ => return false,
        }
    };
}

fn conversion(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    match op {
        Operator::I32ReinterpretF32 => reinterpret(t, I32),
        Operator::I64ReinterpretF64 => reinterpret(t, I64),
        Operator::F32ReinterpretI32 => reinterpret(t, F32),
        Operator::F64ReinterpretI64 => reinterpret(t, F64),
        Operator::I32Extend8S => extend_low(t, I8, I32),
        Operator::I32Extend16S => extend_low(t, I16, I32),
        Operator::I64Extend8S => extend_low(t, I8, I64),
        Operator::I64Extend16S => extend_low(t, I16, I64),
        Operator::I64Extend32S => extend_low(t, I32, I64),
        _ => conversions! { t, op;
            ireduce I32: I32WrapI64;
            sextend I64: I64ExtendI32S;
            uextend I64: I64ExtendI32U;
            fcvt_from_sint F32: F32ConvertI32S F32ConvertI64S;
            fcvt_from_uint F32: F32ConvertI32U F32ConvertI64U;
            fcvt_from_sint F64: F64ConvertI32S F64ConvertI64S;
            fcvt_from_uint F64: F64ConvertI32U F64ConvertI64U;
            fdemote F32: F32DemoteF64;
            fpromote F64: F64PromoteF32;
            fcvt_to_sint_sat I32: I32TruncSatF32S I32TruncSatF64S;
            fcvt_to_uint_sat I32: I32TruncSatF32U I32TruncSatF64U;
            fcvt_to_sint_sat I64: I64TruncSatF32S I64TruncSatF64S;
            fcvt_to_uint_sat I64: I64TruncSatF32U I64TruncSatF64U;
        },
    }
    true
}

fn reinterpret(t: &mut FuncTranslator<'_>, to: Type) {
    let value = t.pop();
    let value = t.builder.ins().bitcast(to, MemFlagsData::new(), value);
    t.push(value);
}

fn extend_low(t: &mut FuncTranslator<'_>, low: Type, to: Type) {
    let value = t.pop();
    let value = t.builder.ins().ireduce(low, value);
    let value = t.builder.ins().sextend(to, value);
    t.push(value);
}

/// A division's dividend and divisor, checked where the trapping instruction may not be relied upon.
///
/// With signal traps the instruction itself traps, with the right code, and its remainder by -1 is 0.
fn division_operands(t: &mut FuncTranslator<'_>, signed_quotient: bool) -> (Value, Value) {
    let (a, b) = t.pop2();
    if t.settings.instructions_trap() {
        return (a, b);
    }
    let ty = t.builder.func.dfg.value_type(b);
    let known = constant_integer(t, b, ty);
    if known.is_none_or(|b| b == 0) {
        let zero = t.builder.ins().icmp_imm_u(IntCC::Equal, b, 0);
        t.trap_if(zero, Trap::IntegerDivideByZero);
    }
    if signed_quotient && known.is_none_or(|b| b == -1) {
        let smallest = t.builder.ins().iconst(ty, 1_i64 << (ty.bits() - 1));
        let smallest = t.builder.ins().icmp(IntCC::Equal, a, smallest);
        let negated = t.builder.ins().icmp_imm_s(IntCC::Equal, b, -1);
        let overflow = t.builder.ins().band(smallest, negated);
        t.trap_if(overflow, Trap::IntegerOverflow);
    }
    (a, b)
}

/// What `value` of type `ty` is, as a signed number, if it comes straight from a constant.
fn constant_integer(t: &FuncTranslator<'_>, value: Value, ty: Type) -> Option<i64> {
    let dfg = &t.builder.func.dfg;
    match dfg.insts[dfg.value_def(dfg.resolve_aliases(value)).inst()?] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.sign_extend_from_width(ty.bits()).bits()),
        _ => None,
    }
}

fn division(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let (a, b) = match op {
        Operator::I32DivS | Operator::I64DivS => division_operands(t, true),
        Operator::I32DivU | Operator::I64DivU => division_operands(t, false),
        Operator::I32RemS | Operator::I64RemS | Operator::I32RemU | Operator::I64RemU => division_operands(t, false),
        _ => return false,
    };
    let ins = t.builder.ins();
    let value = match op {
        Operator::I32DivS | Operator::I64DivS => ins.sdiv(a, b),
        Operator::I32DivU | Operator::I64DivU => ins.udiv(a, b),
        Operator::I32RemS | Operator::I64RemS => ins.srem(a, b),
        _ => ins.urem(a, b),
    };
    t.push(value);
    true
}

fn truncation(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let (to, signed) = match op {
        Operator::I32TruncF32S | Operator::I32TruncF64S => (I32, true),
        Operator::I32TruncF32U | Operator::I32TruncF64U => (I32, false),
        Operator::I64TruncF32S | Operator::I64TruncF64S => (I64, true),
        Operator::I64TruncF32U | Operator::I64TruncF64U => (I64, false),
        _ => return false,
    };
    let value = t.pop();
    if !t.settings.instructions_trap() {
        check_truncation(t, value, to, signed);
    }
    let ins = t.builder.ins();
    let value = match (t.settings.instructions_trap(), signed) {
        (true, true) => ins.fcvt_to_sint(to, value),
        (true, false) => ins.fcvt_to_uint(to, value),
        (false, true) => ins.fcvt_to_sint_sat(to, value),
        (false, false) => ins.fcvt_to_uint_sat(to, value),
    };
    t.push(value);
    true
}

/// Traps unless `value` truncates to a `to`.
fn check_truncation(t: &mut FuncTranslator<'_>, value: Value, to: Type, signed: bool) {
    let nan = t.builder.ins().fcmp(FloatCC::Unordered, value, value);
    t.trap_if(nan, Trap::InvalidConversionToInteger);

    // Everything strictly between the integers next to the range truncates into it. Where a float cannot hold the
    // integer below the range, the smallest of the range is the bound, and belongs to it.
    let float = t.builder.func.dfg.value_type(value);
    let (above, below, excluded) = match (to, signed, float) {
        (I32, true, F64) => (2_f64.powi(31), -2_f64.powi(31) - 1.0, FloatCC::LessThanOrEqual),
        (I32, true, _) => (2_f64.powi(31), -2_f64.powi(31), FloatCC::LessThan),
        (I32, false, _) => (2_f64.powi(32), -1.0, FloatCC::LessThanOrEqual),
        (_, true, _) => (2_f64.powi(63), -2_f64.powi(63), FloatCC::LessThan),
        (_, false, _) => (2_f64.powi(64), -1.0, FloatCC::LessThanOrEqual),
    };
    let above = float_constant(t, float, above);
    let below = float_constant(t, float, below);
    let above = t.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, value, above);
    let below = t.builder.ins().fcmp(excluded, value, below);
    let outside = t.builder.ins().bor(above, below);
    t.trap_if(outside, Trap::IntegerOverflow);
}

/// `value`, which `float` represents exactly.
fn float_constant(t: &mut FuncTranslator<'_>, float: Type, value: f64) -> Value {
    if float == F32 { t.builder.ins().f32const(value as f32) } else { t.builder.ins().f64const(value) }
}

fn wide(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let result = match op {
        Operator::I64Add128 | Operator::I64Sub128 => {
            let b = pop_i128(t);
            let a = pop_i128(t);
            let ins = t.builder.ins();
            if let Operator::I64Add128 = op { ins.iadd(a, b) } else { ins.isub(a, b) }
        }
        Operator::I64MulWideS => {
            let (a, b) = t.pop2();
            let a = t.builder.ins().sextend(I128, a);
            let b = t.builder.ins().sextend(I128, b);
            t.builder.ins().imul(a, b)
        }
        Operator::I64MulWideU => {
            let (a, b) = t.pop2();
            let a = t.builder.ins().uextend(I128, a);
            let b = t.builder.ins().uextend(I128, b);
            t.builder.ins().imul(a, b)
        }
        _ => return false,
    };
    let (low, high) = t.builder.ins().isplit(result);
    t.push(low);
    t.push(high);
    true
}

fn pop_i128(t: &mut FuncTranslator<'_>) -> Value {
    let (low, high) = t.pop2();
    t.builder.ins().iconcat(low, high)
}
