//! Moving lanes: constants, splats, extraction, replacement, shuffles.

use cranelift_codegen::ir::types::{F32X4, F64X2, I8X16, I16X8, I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use wasmparser::Operator;

use super::pop2_vectors;
use crate::translate::FuncTranslator;

pub(super) fn translate(t: &mut FuncTranslator<'_>, op: &Operator<'_>) -> bool {
    let value = match op {
        Operator::V128Const { value } => {
            let constant = t.builder.func.dfg.constants.insert(value.bytes().to_vec().into());
            t.builder.ins().vconst(I8X16, constant)
        }
        Operator::I8x16Shuffle { lanes } => {
            let (a, b) = pop2_vectors(t, I8X16);
            let mask = t.builder.func.dfg.immediates.push(lanes.to_vec().into());
            t.builder.ins().shuffle(a, b, mask)
        }
        Operator::I8x16Swizzle => {
            let (a, lanes) = pop2_vectors(t, I8X16);
            t.builder.ins().swizzle(a, lanes)
        }
        Operator::I8x16Splat => splat(t, I8X16),
        Operator::I16x8Splat => splat(t, I16X8),
        Operator::I32x4Splat => splat(t, I32X4),
        Operator::I64x2Splat => splat(t, I64X2),
        Operator::F32x4Splat => splat(t, F32X4),
        Operator::F64x2Splat => splat(t, F64X2),
        Operator::I8x16ExtractLaneS { lane } => extract_signed(t, I8X16, *lane),
        Operator::I8x16ExtractLaneU { lane } => extract_unsigned(t, I8X16, *lane),
        Operator::I16x8ExtractLaneS { lane } => extract_signed(t, I16X8, *lane),
        Operator::I16x8ExtractLaneU { lane } => extract_unsigned(t, I16X8, *lane),
        Operator::I32x4ExtractLane { lane } => extract(t, I32X4, *lane),
        Operator::I64x2ExtractLane { lane } => extract(t, I64X2, *lane),
        Operator::F32x4ExtractLane { lane } => extract(t, F32X4, *lane),
        Operator::F64x2ExtractLane { lane } => extract(t, F64X2, *lane),
        Operator::I8x16ReplaceLane { lane } => replace(t, I8X16, *lane),
        Operator::I16x8ReplaceLane { lane } => replace(t, I16X8, *lane),
        Operator::I32x4ReplaceLane { lane } => replace(t, I32X4, *lane),
        Operator::I64x2ReplaceLane { lane } => replace(t, I64X2, *lane),
        Operator::F32x4ReplaceLane { lane } => replace(t, F32X4, *lane),
        Operator::F64x2ReplaceLane { lane } => replace(t, F64X2, *lane),
        _ => return false,
    };
    t.push(value);
    true
}

/// Pops a scalar as wide as a lane of `shape`; narrow lanes come from an `i32`.
fn pop_lane(t: &mut FuncTranslator<'_>, shape: Type) -> Value {
    let scalar = t.pop();
    let lane = shape.lane_type();
    if lane.bits() < 32 { t.builder.ins().ireduce(lane, scalar) } else { scalar }
}

fn splat(t: &mut FuncTranslator<'_>, shape: Type) -> Value {
    let scalar = pop_lane(t, shape);
    t.builder.ins().splat(shape, scalar)
}

fn replace(t: &mut FuncTranslator<'_>, shape: Type, lane: u8) -> Value {
    let scalar = pop_lane(t, shape);
    let vector = t.pop_vector(shape);
    t.builder.ins().insertlane(vector, scalar, lane)
}

fn extract(t: &mut FuncTranslator<'_>, shape: Type, lane: u8) -> Value {
    let vector = t.pop_vector(shape);
    t.builder.ins().extractlane(vector, lane)
}

fn extract_signed(t: &mut FuncTranslator<'_>, shape: Type, lane: u8) -> Value {
    let scalar = extract(t, shape, lane);
    t.builder.ins().sextend(I32, scalar)
}

fn extract_unsigned(t: &mut FuncTranslator<'_>, shape: Type, lane: u8) -> Value {
    let scalar = extract(t, shape, lane);
    t.builder.ins().uextend(I32, scalar)
}
