//! Types as the embedder sees them. A defined type holds on to its registration, so it stays valid as long as any value
//! of it.

use crate::{Engine, Result};
use heapwright_gc_heap as gc;
use heapwright_gc_heap::{AbstractHeapType, CompositeType, RegisteredTypes, TypeId, TypeRef};
use std::fmt;

/// A registered type of an engine.
#[derive(Clone)]
pub(crate) struct Registered {
    pub(crate) engine: Engine,
    pub(crate) id: TypeId,
    // Keeps the registration alive.
    pub(crate) types: RegisteredTypes,
}

impl Registered {
    pub(crate) fn new(engine: &Engine, id: TypeId) -> Registered {
        Registered { engine: engine.clone(), id, types: engine.runtime().types().retain(id) }
    }

    fn only(engine: &Engine, types: RegisteredTypes) -> Registered {
        Registered { engine: engine.clone(), id: types.ids()[0], types }
    }

    fn composite(&self) -> CompositeType {
        self.engine.runtime().types().definition(self.id).composite.clone()
    }

    fn same(&self, other: &Registered) -> bool {
        self.id == other.id && Engine::same(&self.engine, &other.engine)
    }

    fn matches(&self, other: &Registered) -> bool {
        Engine::same(&self.engine, &other.engine) && self.engine.runtime().types().is_subtype(self.id, other.id)
    }
}

/// Whether something may be written after creation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mutability {
    /// Constant.
    Const,
    /// Variable.
    Var,
}

/// A value type.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    /// A reference type.
    Ref(RefType),
}

/// A reference type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefType {
    nullable: bool,
    heap: HeapType,
}

/// A heap type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeapType {
    /// `extern`
    Extern,
    /// `noextern`
    NoExtern,
    /// `func`
    Func,
    /// A defined function type.
    ConcreteFunc(FuncType),
    /// `nofunc`
    NoFunc,
    /// `any`
    Any,
    /// `eq`
    Eq,
    /// `i31`
    I31,
    /// `struct`
    Struct,
    /// A defined struct type.
    ConcreteStruct(StructType),
    /// `array`
    Array,
    /// A defined array type.
    ConcreteArray(ArrayType),
    /// `none`
    None,
    /// `exn`
    Exn,
    /// `noexn`
    NoExn,
}

/// What a field or an element stores.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StorageType {
    /// Packed 8-bit integer.
    I8,
    /// Packed 16-bit integer.
    I16,
    /// An unpacked value.
    ValType(ValType),
}

/// A field of a struct or the element of an array.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldType {
    mutability: Mutability,
    element: StorageType,
}

/// A function type of an engine.
#[derive(Clone)]
pub struct FuncType(pub(crate) Registered);

/// A struct type of an engine.
#[derive(Clone)]
pub struct StructType(pub(crate) Registered);

/// An array type of an engine.
#[derive(Clone)]
pub struct ArrayType(pub(crate) Registered);

macro_rules! defined_type {
    ($name:ident) => {
        impl $name {
            /// The engine that it belongs to.
            pub fn engine(&self) -> &Engine {
                &self.0.engine
            }

            /// Whether this is the same type as `other` or a subtype of it.
            pub fn matches(&self, other: &$name) -> bool {
                self.0.matches(&other.0)
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &$name) -> bool {
                self.0.same(&other.0)
            }
        }

        impl Eq for $name {}

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

defined_type!(FuncType);
defined_type!(StructType);
defined_type!(ArrayType);

impl FuncType {
    /// A function type (final, alone in its recursion group).
    ///
    /// # Panics
    ///
    /// When a type of another engine is used, or the engine's type space is full.
    pub fn new(
        engine: &Engine,
        params: impl IntoIterator<Item = ValType>,
        results: impl IntoIterator<Item = ValType>,
    ) -> FuncType {
        // Kept until the new type is registered: they may be the last to hold what they name.
        let (params, results): (Vec<_>, Vec<_>) = (params.into_iter().collect(), results.into_iter().collect());
        let ty = gc::FuncType {
            params: params.iter().map(|t| t.to_gc(engine)).collect(),
            results: results.iter().map(|t| t.to_gc(engine)).collect(),
        };
        let types = engine.runtime().types().register_func(&ty).expect("the type space has room");
        FuncType(Registered::only(engine, types))
    }

    /// The parameters.
    pub fn params(&self) -> impl ExactSizeIterator<Item = ValType> {
        let engine = self.0.engine.clone();
        self.definition().params.into_iter().map(move |t| ValType::from_gc(&engine, &t))
    }

    /// The results.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValType> {
        let engine = self.0.engine.clone();
        self.definition().results.into_iter().map(move |t| ValType::from_gc(&engine, &t))
    }

    pub(crate) fn definition(&self) -> gc::FuncType {
        match self.0.composite() {
            CompositeType::Func(f) => f,
            other => unreachable!("a function type is {other:?}"),
        }
    }
}

impl fmt::Display for FuncType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(func")?;
        for (name, mut types) in [("param", self.params().collect::<Vec<_>>()), ("result", self.results().collect())] {
            if !types.is_empty() {
                write!(f, " ({name}")?;
                for ty in types.drain(..) {
                    write!(f, " {ty}")?;
                }
                f.write_str(")")?;
            }
        }
        f.write_str(")")
    }
}

impl StructType {
    /// A struct type (final, alone in its recursion group).
    ///
    /// # Errors
    ///
    /// When the engine's type space is full.
    ///
    /// # Panics
    ///
    /// When a type of another engine is used.
    pub fn new(engine: &Engine, fields: impl IntoIterator<Item = FieldType>) -> Result<StructType> {
        // Kept until the new type is registered: they may be the last to hold what they name.
        let kept: Vec<FieldType> = fields.into_iter().collect();
        let fields = kept.iter().map(|f| f.to_gc(engine)).collect();
        register(engine, CompositeType::Struct(gc::StructType { fields })).map(StructType)
    }

    /// The fields.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = FieldType> {
        let CompositeType::Struct(s) = self.0.composite() else { unreachable!("a struct type is no struct") };
        let engine = self.0.engine.clone();
        s.fields.into_iter().map(move |f| FieldType::from_gc(&engine, &f))
    }

    /// A field.
    pub fn field(&self, index: usize) -> Option<FieldType> {
        self.fields().nth(index)
    }
}

impl fmt::Display for StructType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(struct")?;
        for field in self.fields() {
            write!(f, " (field {field})")?;
        }
        f.write_str(")")
    }
}

impl ArrayType {
    /// An array type (final, alone in its recursion group).
    ///
    /// # Errors
    ///
    /// When the engine's type space is full.
    ///
    /// # Panics
    ///
    /// When a type of another engine is used.
    pub fn new(engine: &Engine, element: FieldType) -> Result<ArrayType> {
        let element = element.to_gc(engine);
        register(engine, CompositeType::Array(gc::ArrayType(element))).map(ArrayType)
    }

    /// The element.
    pub fn field_type(&self) -> FieldType {
        let CompositeType::Array(a) = self.0.composite() else { unreachable!("an array type is no array") };
        FieldType::from_gc(&self.0.engine, &a.0)
    }

    /// What the elements store.
    pub fn element_type(&self) -> StorageType {
        self.field_type().element
    }
}

impl fmt::Display for ArrayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(array {})", self.field_type())
    }
}

fn register(engine: &Engine, composite: CompositeType) -> Result<Registered> {
    let ty = gc::SubType { is_final: true, supertype: None, composite };
    let types = engine.runtime().types().register(&[gc::RecGroup { types: [ty].into() }])?;
    Ok(Registered::only(engine, types))
}

impl FieldType {
    /// A field.
    pub fn new(mutability: Mutability, element: StorageType) -> FieldType {
        FieldType { mutability, element }
    }

    /// Whether it may be written.
    pub fn mutability(&self) -> Mutability {
        self.mutability
    }

    /// What it stores.
    pub fn element_type(&self) -> &StorageType {
        &self.element
    }

    fn to_gc(&self, engine: &Engine) -> gc::FieldType {
        let storage = match &self.element {
            StorageType::I8 => gc::StorageType::I8,
            StorageType::I16 => gc::StorageType::I16,
            StorageType::ValType(t) => gc::StorageType::Val(t.to_gc(engine)),
        };
        gc::FieldType { storage, mutable: self.mutability == Mutability::Var }
    }

    pub(crate) fn from_gc(engine: &Engine, field: &gc::FieldType) -> FieldType {
        let element = match &field.storage {
            gc::StorageType::I8 => StorageType::I8,
            gc::StorageType::I16 => StorageType::I16,
            gc::StorageType::Val(t) => StorageType::ValType(ValType::from_gc(engine, t)),
        };
        FieldType { mutability: mutability(field.mutable), element }
    }
}

pub(crate) fn mutability(mutable: bool) -> Mutability {
    if mutable { Mutability::Var } else { Mutability::Const }
}

impl StorageType {
    /// The type of the value that is read from it: packed integers widen to `i32`.
    pub fn unpack(&self) -> ValType {
        match self {
            StorageType::I8 | StorageType::I16 => ValType::I32,
            StorageType::ValType(t) => t.clone(),
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mutability {
            Mutability::Var => write!(f, "(mut {})", self.element),
            Mutability::Const => self.element.fmt(f),
        }
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageType::I8 => f.write_str("i8"),
            StorageType::I16 => f.write_str("i16"),
            StorageType::ValType(t) => t.fmt(f),
        }
    }
}

impl RefType {
    /// A reference type.
    pub fn new(nullable: bool, heap: HeapType) -> RefType {
        RefType { nullable, heap }
    }

    /// Whether null belongs to it.
    pub fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// What it refers to.
    pub fn heap_type(&self) -> &HeapType {
        &self.heap
    }

    pub(crate) fn to_gc(&self, engine: &Engine) -> gc::RefType {
        gc::RefType { nullable: self.nullable, heap: self.heap.to_gc(engine) }
    }

    pub(crate) fn from_gc(engine: &Engine, ty: &gc::RefType) -> RefType {
        RefType { nullable: ty.nullable, heap: HeapType::from_gc(engine, &ty.heap) }
    }
}

macro_rules! abstract_types {
    ($($name:ident $text:literal,)*) => {
        fn abstract_to_gc(ty: &HeapType) -> Option<AbstractHeapType> {
            Some(match ty {
                $(HeapType::$name => AbstractHeapType::$name,)*
                HeapType::ConcreteFunc(_) | HeapType::ConcreteStruct(_) | HeapType::ConcreteArray(_) => return None,
            })
        }

        fn abstract_from_gc(ty: AbstractHeapType) -> HeapType {
            match ty { $(AbstractHeapType::$name => HeapType::$name,)* }
        }

        impl fmt::Display for HeapType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(HeapType::$name => f.write_str($text),)*
                    HeapType::ConcreteFunc(t) => t.fmt(f),
                    HeapType::ConcreteStruct(t) => write!(f, "(struct type {})", t.0.id.0),
                    HeapType::ConcreteArray(t) => write!(f, "(array type {})", t.0.id.0),
                }
            }
        }
    };
}

abstract_types! {
    Extern "extern",
    NoExtern "noextern",
    Func "func",
    NoFunc "nofunc",
    Any "any",
    Eq "eq",
    I31 "i31",
    Struct "struct",
    Array "array",
    None "none",
    Exn "exn",
    NoExn "noexn",
}

impl HeapType {
    pub(crate) fn to_gc(&self, engine: &Engine) -> gc::HeapType {
        let registered = match self {
            HeapType::ConcreteFunc(t) => &t.0,
            HeapType::ConcreteStruct(t) => &t.0,
            HeapType::ConcreteArray(t) => &t.0,
            other => return gc::HeapType::Abstract(abstract_to_gc(other).expect("all concrete types were matched")),
        };
        assert!(Engine::same(engine, &registered.engine), "a type of another engine was used");
        gc::HeapType::Concrete(TypeRef::Canonical(registered.id))
    }

    pub(crate) fn from_gc(engine: &Engine, ty: &gc::HeapType) -> HeapType {
        match *ty {
            gc::HeapType::Abstract(a) => abstract_from_gc(a),
            gc::HeapType::Concrete(TypeRef::Canonical(id)) => {
                let registered = Registered::new(engine, id);
                match registered.composite() {
                    CompositeType::Func(_) => HeapType::ConcreteFunc(FuncType(registered)),
                    CompositeType::Struct(_) => HeapType::ConcreteStruct(StructType(registered)),
                    CompositeType::Array(_) => HeapType::ConcreteArray(ArrayType(registered)),
                    CompositeType::Exception(_) => HeapType::Exn,
                }
            }
            gc::HeapType::Concrete(other) => unreachable!("{other:?} is not canonical"),
        }
    }
}

impl fmt::Display for RefType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nullable {
            let short = match self.heap {
                HeapType::Func => Some("funcref"),
                HeapType::Extern => Some("externref"),
                HeapType::Any => Some("anyref"),
                HeapType::Eq => Some("eqref"),
                HeapType::I31 => Some("i31ref"),
                HeapType::Struct => Some("structref"),
                HeapType::Array => Some("arrayref"),
                HeapType::Exn => Some("exnref"),
                _ => None,
            };
            if let Some(short) = short {
                return f.write_str(short);
            }
        }
        write!(f, "(ref {}{})", if self.nullable { "null " } else { "" }, self.heap)
    }
}

impl ValType {
    /// `externref`
    pub const EXTERNREF: ValType = ValType::Ref(RefType { nullable: true, heap: HeapType::Extern });
    /// `funcref`
    pub const FUNCREF: ValType = ValType::Ref(RefType { nullable: true, heap: HeapType::Func });
    /// `anyref`
    pub const ANYREF: ValType = ValType::Ref(RefType { nullable: true, heap: HeapType::Any });
    /// `exnref`
    pub const EXNREF: ValType = ValType::Ref(RefType { nullable: true, heap: HeapType::Exn });

    pub(crate) fn to_gc(&self, engine: &Engine) -> gc::ValType {
        match self {
            ValType::I32 => gc::ValType::I32,
            ValType::I64 => gc::ValType::I64,
            ValType::F32 => gc::ValType::F32,
            ValType::F64 => gc::ValType::F64,
            ValType::V128 => gc::ValType::V128,
            ValType::Ref(r) => gc::ValType::Ref(r.to_gc(engine)),
        }
    }

    pub(crate) fn from_gc(engine: &Engine, ty: &gc::ValType) -> ValType {
        match ty {
            gc::ValType::I32 => ValType::I32,
            gc::ValType::I64 => ValType::I64,
            gc::ValType::F32 => ValType::F32,
            gc::ValType::F64 => ValType::F64,
            gc::ValType::V128 => ValType::V128,
            gc::ValType::Ref(r) => ValType::Ref(RefType::from_gc(engine, r)),
        }
    }

    /// Whether every value of this type belongs to `other`.
    ///
    /// # Panics
    ///
    /// When the types belong to different engines.
    pub fn matches(&self, other: &ValType) -> bool {
        match (self, other) {
            (ValType::Ref(a), ValType::Ref(b)) => a.matches(b),
            _ => self == other,
        }
    }
}

impl RefType {
    /// Whether every value of this type belongs to `other`.
    pub fn matches(&self, other: &RefType) -> bool {
        (!self.nullable || other.nullable) && self.heap.matches(&other.heap)
    }
}

impl HeapType {
    /// Whether this is `other` or a subtype of it.
    pub fn matches(&self, other: &HeapType) -> bool {
        use HeapType::{
            Any, Array, ConcreteArray, ConcreteFunc, ConcreteStruct, Eq, Exn, Extern, Func, I31, NoExn, NoExtern,
            NoFunc, None, Struct,
        };
        match (self, other) {
            (ConcreteFunc(a), ConcreteFunc(b)) => a.matches(b),
            (ConcreteStruct(a), ConcreteStruct(b)) => a.matches(b),
            (ConcreteArray(a), ConcreteArray(b)) => a.matches(b),
            (NoFunc, Func | ConcreteFunc(_)) | (ConcreteFunc(_), Func) => true,
            (NoExtern, Extern) | (NoExn, Exn) => true,
            (None, Any | Eq | I31 | Struct | Array | ConcreteStruct(_) | ConcreteArray(_)) => true,
            (Eq | I31 | Struct | Array | ConcreteStruct(_) | ConcreteArray(_), Any) => true,
            (I31 | Struct | Array | ConcreteStruct(_) | ConcreteArray(_), Eq) => true,
            (ConcreteStruct(_), Struct) | (ConcreteArray(_), Array) => true,
            (a, b) => a == b,
        }
    }
}

impl From<RefType> for ValType {
    fn from(ty: RefType) -> ValType {
        ValType::Ref(ty)
    }
}

impl fmt::Display for ValType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValType::I32 => f.write_str("i32"),
            ValType::I64 => f.write_str("i64"),
            ValType::F32 => f.write_str("f32"),
            ValType::F64 => f.write_str("f64"),
            ValType::V128 => f.write_str("v128"),
            ValType::Ref(r) => r.fmt(f),
        }
    }
}
