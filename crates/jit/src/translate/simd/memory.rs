//! Vector loads and stores: whole, widening, splatting, of one lane.

use cranelift_codegen::ir::types::{I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::{MemArg, Operator};

use crate::abi::Trap;
use crate::translate::FuncTranslator;
use crate::translate::numeric::{loads, stores};

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    load(t, op) || store(t, op) || scalar(t, op) || lane(t, op) || extending(t, op)
}

fn load(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    loads! { t, op; V128Load: 16 load I8X16; }
    true
}

/// `Operator: instruction;` loads eight bytes and extends each lane.
///
/// The interpreter's backend has these instructions only as ones that may trap, so they carry a trap code even where
/// the address is known to be good.
macro_rules! extending_loads {
    ($t:ident, $op:ident; $($name:ident: $ins:ident;)+) => {
        match $op {
            $(Operator::$name { memarg } => {
                let (address, flags) = $t.memory_address(memarg, 8);
                let flags = flags.with_trap_code(Some(Trap::MemoryOutOfBounds.code()));
                let value = $t.builder.ins().$ins(flags, address, 0);
                $t.push(value);
            })+
            _ => return false,
        }
    };
}

fn extending(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    extending_loads! { t, op;
        V128Load8x8S: sload8x8;
        V128Load8x8U: uload8x8;
        V128Load16x4S: sload16x4;
        V128Load16x4U: uload16x4;
        V128Load32x2S: sload32x2;
        V128Load32x2U: uload32x2;
    }
    true
}

fn store(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    stores! { t, op; V128Store: 16 store; }
    true
}

/// A scalar is loaded into every lane, or into the first with zeros above.
fn scalar(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let value = match op {
        Operator::V128Load8Splat { memarg } => load_splat(t, memarg, I8X16),
        Operator::V128Load16Splat { memarg } => load_splat(t, memarg, I16X8),
        Operator::V128Load32Splat { memarg } => load_splat(t, memarg, I32X4),
        Operator::V128Load64Splat { memarg } => load_splat(t, memarg, I64X2),
        Operator::V128Load32Zero { memarg } => load_zero(t, memarg, I32X4),
        Operator::V128Load64Zero { memarg } => load_zero(t, memarg, I64X2),
        _ => return false,
    };
    t.push(value);
    true
}

fn load_splat(t: &mut FuncTranslator<'_>, memarg: &MemArg, shape: Type) -> Value {
    let scalar = load_scalar(t, memarg, shape.lane_type());
    t.builder.ins().splat(shape, scalar)
}

fn load_zero(t: &mut FuncTranslator<'_>, memarg: &MemArg, shape: Type) -> Value {
    let scalar = load_scalar(t, memarg, shape.lane_type());
    t.builder.ins().scalar_to_vector(shape, scalar)
}

fn load_scalar(t: &mut FuncTranslator<'_>, memarg: &MemArg, ty: Type) -> Value {
    let (address, flags) = t.memory_address(memarg, ty.bytes());
    t.builder.ins().load(ty, flags, address, 0)
}

/// One lane is loaded or stored.
fn lane(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    match op {
        Operator::V128Load8Lane { memarg, lane } => load_lane(t, memarg, *lane, I8X16),
        Operator::V128Load16Lane { memarg, lane } => load_lane(t, memarg, *lane, I16X8),
        Operator::V128Load32Lane { memarg, lane } => load_lane(t, memarg, *lane, I32X4),
        Operator::V128Load64Lane { memarg, lane } => load_lane(t, memarg, *lane, I64X2),
        Operator::V128Store8Lane { memarg, lane } => store_lane(t, memarg, *lane, I8X16),
        Operator::V128Store16Lane { memarg, lane } => store_lane(t, memarg, *lane, I16X8),
        Operator::V128Store32Lane { memarg, lane } => store_lane(t, memarg, *lane, I32X4),
        Operator::V128Store64Lane { memarg, lane } => store_lane(t, memarg, *lane, I64X2),
        _ => return false,
    }
    true
}

fn load_lane(t: &mut FuncTranslator<'_>, memarg: &MemArg, lane: u8, shape: Type) {
    let vector = t.pop_vector(shape);
    let scalar = load_scalar(t, memarg, shape.lane_type());
    let value = t.builder.ins().insertlane(vector, scalar, lane);
    t.push(value);
}

fn store_lane(t: &mut FuncTranslator<'_>, memarg: &MemArg, lane: u8, shape: Type) {
    let vector = t.pop_vector(shape);
    let (address, flags) = t.memory_address(memarg, shape.lane_type().bytes());
    let value = t.builder.ins().extractlane(vector, lane);
    t.builder.ins().store(flags, value, address, 0);
}
