//! A digest of the objects that globals reach, computed by the module itself: what engines without a common host
//! interface are compared by.
//!
//! The walk asks for every type from the last to the first, so that a subtype is met before its supertype, reads each
//! field, and ends by its depth and by the counter that ends everything else.

use super::shape::{FIRST_GLOBAL, FUEL, Shape};
use super::types::{Field, Heap, Ref, Storage, Ty};
use wasm_encoder::{self as enc, BlockType, Instruction as I};

/// Objects that one digest looks at.
const OBJECTS: i32 = 1500;
/// References on the longest way that it follows.
const DEPTH: i32 = 6;
/// Elements of an array that it looks at.
const ELEMENTS: i32 = 12;

// Parameters and locals of `hash`.
const OBJECT: u32 = 0;
const LEFT: u32 = 1;
const SUM: u32 = 2;
const INDEX: u32 = 3;
const LENGTH: u32 = 4;

/// `[anyref, i32] -> [i64]`: the hash of an object and of what it reaches in as many steps.
pub(super) fn hash(shape: &Shape) -> enc::Function {
    let mut function = enc::Function::new([(1, enc::ValType::I64), (2, enc::ValType::I32)]);
    let mut emit = |instructions: &[I<'_>]| {
        for instruction in instructions {
            function.instruction(instruction);
        }
    };
    let give = |value| [I::I64Const(value), I::Return, I::End];
    emit(&[I::LocalGet(OBJECT), I::RefIsNull, I::If(BlockType::Empty)]);
    emit(&give(3));
    emit(&[I::LocalGet(LEFT), I::I32Eqz, I::GlobalGet(FUEL), I::I32Const(1), I::I32LtS, I::I32Or]);
    emit(&[I::If(BlockType::Empty)]);
    emit(&give(5));
    emit(&[I::GlobalGet(FUEL), I::I32Const(1), I::I32Sub, I::GlobalSet(FUEL)]);
    let i31 = Heap::I31.encode();
    emit(&[I::LocalGet(OBJECT), I::RefTestNonNull(i31), I::If(BlockType::Empty), I::LocalGet(OBJECT)]);
    emit(&[I::RefCastNonNull(i31), I::I31GetU, I::I64ExtendI32U, I::I64Const(7), I::I64Add, I::Return, I::End]);
    for ty in (0..shape.types.objects.len() as u32).rev() {
        let object = shape.types.object_at(ty);
        let heap = Heap::Object(ty).encode();
        emit(&[I::LocalGet(OBJECT), I::RefTestNonNull(heap), I::If(BlockType::Empty)]);
        emit(&[I::I64Const(i64::from(ty) + 11), I::LocalSet(SUM)]);
        let receiver = [I::LocalGet(OBJECT), I::RefCastNonNull(heap)];
        let fold = |emit: &mut dyn FnMut(&[I<'_>]), field: Field, get: &[I<'_>]| {
            emit(&[I::LocalGet(SUM), I::I64Const(31), I::I64Mul]);
            emit(&receiver);
            emit(get);
            number(emit, shape, field.storage.unpacked(), &[I::LocalGet(LEFT), I::I32Const(1), I::I32Sub]);
            emit(&[I::I64Add, I::LocalSet(SUM)]);
        };
        if object.is_array {
            let field = object.fields[0];
            emit(&receiver);
            emit(&[I::ArrayLen, I::LocalTee(LENGTH), I::I64ExtendI32U, I::LocalGet(SUM), I::I64Add, I::LocalSet(SUM)]);
            emit(&[I::I32Const(0), I::LocalSet(INDEX), I::Block(BlockType::Empty), I::Loop(BlockType::Empty)]);
            emit(&[I::LocalGet(INDEX), I::LocalGet(LENGTH), I::I32GeU, I::BrIf(1)]);
            emit(&[I::LocalGet(INDEX), I::I32Const(ELEMENTS), I::I32GeU, I::BrIf(1)]);
            let get = match field.storage {
                Storage::I8 | Storage::I16 => I::ArrayGetU(ty),
                Storage::Ty(_) => I::ArrayGet(ty),
            };
            fold(&mut emit, field, &[I::LocalGet(INDEX), get]);
            emit(&[I::LocalGet(INDEX), I::I32Const(1), I::I32Add, I::LocalSet(INDEX), I::Br(0), I::End, I::End]);
        } else {
            for (index, &field) in (0u32..).zip(&object.fields) {
                let (struct_type_index, field_index) = (ty, index);
                let get = match field.storage {
                    Storage::I8 | Storage::I16 => I::StructGetS { struct_type_index, field_index },
                    Storage::Ty(_) => I::StructGet { struct_type_index, field_index },
                };
                fold(&mut emit, field, &[get]);
            }
        }
        emit(&[I::LocalGet(SUM), I::Return, I::End]);
    }
    // A host value.
    emit(&[I::I64Const(13), I::End]);
    function
}

/// `[] -> [i64]`: the hash of all globals that programs use.
pub(super) fn digest(shape: &Shape) -> enc::Function {
    let mut function = enc::Function::new([(1, enc::ValType::I64)]);
    let mut emit = |instructions: &[I<'_>]| {
        for instruction in instructions {
            function.instruction(instruction);
        }
    };
    emit(&[I::I32Const(OBJECTS), I::GlobalSet(FUEL)]);
    for (global, &ty) in (FIRST_GLOBAL..).zip(&shape.globals) {
        emit(&[I::LocalGet(0), I::I64Const(31), I::I64Mul, I::GlobalGet(global)]);
        number(&mut emit, shape, ty, &[I::I32Const(DEPTH)]);
        emit(&[I::I64Add, I::LocalSet(0)]);
    }
    emit(&[I::LocalGet(0), I::End]);
    function
}

/// Makes an `i64` of the value on the stack. It does not depend on the bits of a NaN. References are followed to the
/// depth that `left` gives.
fn number(emit: &mut dyn FnMut(&[I<'_>]), shape: &Shape, ty: Ty, left: &[I<'_>]) {
    let follow = |emit: &mut dyn FnMut(&[I<'_>])| {
        emit(left);
        emit(&[I::Call(shape.hash())]);
    };
    match ty {
        Ty::I32 => emit(&[I::I64ExtendI32S]),
        Ty::I64 => {}
        Ty::F32 => emit(&[I::I64TruncSatF32S]),
        Ty::F64 => emit(&[I::I64TruncSatF64S]),
        Ty::V128 => emit(&[I::I64x2ExtractLane(1)]),
        Ty::Ref(Ref { heap: Heap::Func(_) | Heap::Exn, .. }) => emit(&[I::RefIsNull, I::I64ExtendI32U]),
        Ty::Ref(Ref { heap: Heap::Extern, .. }) => {
            emit(&[I::AnyConvertExtern]);
            follow(emit);
        }
        Ty::Ref(_) => follow(emit),
    }
}
