//! WebAssembly's types as the heap and the registry see them.
//!
//! The same structures describe a type before and after canonicalisation; what differs is the space that a
//! [`TypeRef`] names. The registry accepts all three and answers in `Canonical`; a compiler works in `Module`.

use crate::TypeId;

/// A use of a defined type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TypeRef {
    /// Index in a module's type section.
    Module(u32),
    /// Position in the recursion group that contains the use.
    Group(u32),
    /// A canonical type of the engine.
    Canonical(TypeId),
}

/// The heap types that no module defines.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum AbstractHeapType {
    /// `any`
    Any,
    /// `eq`
    Eq,
    /// `i31`
    I31,
    /// `struct`
    Struct,
    /// `array`
    Array,
    /// `none`
    None,
    /// `func`
    Func,
    /// `nofunc`
    NoFunc,
    /// `extern`
    Extern,
    /// `noextern`
    NoExtern,
    /// `exn`
    Exn,
    /// `noexn`
    NoExn,
}

/// A heap type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HeapType {
    /// One of the built-in heap types.
    Abstract(AbstractHeapType),
    /// A defined type.
    Concrete(TypeRef),
}

/// A reference type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RefType {
    /// Whether null belongs to the type.
    pub nullable: bool,
    /// What it refers to.
    pub heap: HeapType,
}

/// A value type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValType {
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `v128`
    V128,
    /// A reference. `func` references are 32-bit function ids, all others are [`GcRef`](crate::GcRef)s.
    Ref(RefType),
}

/// What a field or an array element stores.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StorageType {
    /// Packed 8-bit integer.
    I8,
    /// Packed 16-bit integer.
    I16,
    /// An unpacked value.
    Val(ValType),
}

/// A field of a struct, or the element of an array.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FieldType {
    /// What is stored.
    pub storage: StorageType,
    /// Whether it may be written after creation.
    pub mutable: bool,
}

/// A function type.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct FuncType {
    /// Parameter types.
    pub params: Box<[ValType]>,
    /// Result types.
    pub results: Box<[ValType]>,
}

/// A struct type.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct StructType {
    /// The fields, in index order.
    pub fields: Box<[FieldType]>,
}

/// An array type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ArrayType(
    /// The element.
    pub FieldType,
);

/// What a defined type is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CompositeType {
    /// A function type.
    Func(FuncType),
    /// A struct type.
    Struct(StructType),
    /// An array type.
    Array(ArrayType),
    /// The layout of an exception: the parameters of its tag. Never written by a module; the engine derives
    /// one from each tag's function type so that collectors can trace exceptions as they trace structs.
    Exception(Box<[ValType]>),
}

/// A defined type with its place in the subtype order.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SubType {
    /// Whether no type may declare this one as its supertype.
    pub is_final: bool,
    /// The declared supertype.
    pub supertype: Option<TypeRef>,
    /// The structure.
    pub composite: CompositeType,
}

/// A recursion group: types that are defined together and equal only together.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RecGroup {
    /// The members. A use of a member inside the group is a [`TypeRef::Group`].
    pub types: Box<[SubType]>,
}

impl HeapType {
    /// The abstract type at the top of this type's hierarchy, given the kind of a concrete type.
    pub fn top(self, concrete_is_func: bool) -> AbstractHeapType {
        use AbstractHeapType::*;
        match self {
            HeapType::Concrete(_) if concrete_is_func => Func,
            HeapType::Concrete(_) => Any,
            HeapType::Abstract(a) => match a {
                Any | Eq | I31 | Struct | Array | None => Any,
                AbstractHeapType::Func | NoFunc => Func,
                Extern | NoExtern => Extern,
                Exn | NoExn => Exn,
            },
        }
    }
}

impl StorageType {
    /// Size in bytes when stored in an object.
    pub fn byte_size(self) -> u32 {
        match self {
            StorageType::I8 => 1,
            StorageType::I16 => 2,
            StorageType::Val(ValType::I32 | ValType::F32 | ValType::Ref(_)) => 4,
            StorageType::Val(ValType::I64 | ValType::F64) => 8,
            StorageType::Val(ValType::V128) => 16,
        }
    }

    /// The reference type, if a reference is stored.
    pub fn as_ref(self) -> Option<RefType> {
        match self {
            StorageType::Val(ValType::Ref(r)) => Some(r),
            _ => None,
        }
    }
}
