//! From the parser's types to the heap's. Every use of a defined type becomes a `TypeRef::Module`.

use crate::CompileError;
use heapwright_gc_heap::{
    AbstractHeapType, ArrayType, CompositeType, FieldType, FuncType, HeapType, RefType, StorageType, StructType,
    SubType, TypeRef, ValType,
};
use wasmparser::{CompositeInnerType, UnpackedIndex};

/// A type that belongs to a proposal that is switched off; validation has excluded it.
fn unsupported(what: &str) -> CompileError {
    CompileError::Internal { function: None, message: format!("{what} passed validation") }
}

fn type_ref(index: UnpackedIndex) -> Result<TypeRef, CompileError> {
    index.as_module_index().map(TypeRef::Module).ok_or_else(|| unsupported("a type index outside the module"))
}

/// A heap type.
pub(crate) fn heap_type(ty: wasmparser::HeapType) -> Result<HeapType, CompileError> {
    use wasmparser::AbstractHeapType as A;
    let ty = match ty {
        wasmparser::HeapType::Concrete(index) => return Ok(HeapType::Concrete(type_ref(index)?)),
        wasmparser::HeapType::Exact(_) => return Err(unsupported("an exact reference type")),
        wasmparser::HeapType::Abstract { shared: true, .. } => return Err(unsupported("a shared heap type")),
        wasmparser::HeapType::Abstract { shared: false, ty } => ty,
    };
    Ok(HeapType::Abstract(match ty {
        A::Func => AbstractHeapType::Func,
        A::Extern => AbstractHeapType::Extern,
        A::Any => AbstractHeapType::Any,
        A::None => AbstractHeapType::None,
        A::NoExtern => AbstractHeapType::NoExtern,
        A::NoFunc => AbstractHeapType::NoFunc,
        A::Eq => AbstractHeapType::Eq,
        A::Struct => AbstractHeapType::Struct,
        A::Array => AbstractHeapType::Array,
        A::I31 => AbstractHeapType::I31,
        A::Exn => AbstractHeapType::Exn,
        A::NoExn => AbstractHeapType::NoExn,
        A::Cont | A::NoCont => return Err(unsupported("a continuation type")),
    }))
}

/// A reference type.
pub(crate) fn ref_type(ty: wasmparser::RefType) -> Result<RefType, CompileError> {
    Ok(RefType { nullable: ty.is_nullable(), heap: heap_type(ty.heap_type())? })
}

/// A value type.
pub(crate) fn val_type(ty: wasmparser::ValType) -> Result<ValType, CompileError> {
    Ok(match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(r) => ValType::Ref(ref_type(r)?),
    })
}

fn val_types(types: &[wasmparser::ValType]) -> Result<Box<[ValType]>, CompileError> {
    types.iter().map(|&t| val_type(t)).collect()
}

fn field_type(ty: &wasmparser::FieldType) -> Result<FieldType, CompileError> {
    let storage = match ty.element_type {
        wasmparser::StorageType::I8 => StorageType::I8,
        wasmparser::StorageType::I16 => StorageType::I16,
        wasmparser::StorageType::Val(v) => StorageType::Val(val_type(v)?),
    };
    Ok(FieldType { storage, mutable: ty.mutable })
}

/// A defined type.
pub(super) fn sub_type(ty: &wasmparser::SubType) -> Result<SubType, CompileError> {
    let composite = match &ty.composite_type.inner {
        CompositeInnerType::Func(f) => {
            CompositeType::Func(FuncType { params: val_types(f.params())?, results: val_types(f.results())? })
        }
        CompositeInnerType::Struct(s) => {
            CompositeType::Struct(StructType { fields: s.fields.iter().map(field_type).collect::<Result<_, _>>()? })
        }
        CompositeInnerType::Array(a) => CompositeType::Array(ArrayType(field_type(&a.0)?)),
        CompositeInnerType::Cont(_) => return Err(unsupported("a continuation type")),
    };
    let supertype = match ty.supertype_idxs.as_slice() {
        [] => None,
        [index] => Some(type_ref(index.unpack())?),
        _ => return Err(unsupported("a type with several supertypes")),
    };
    Ok(SubType { is_final: ty.is_final, supertype, composite })
}
