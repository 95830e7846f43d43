//! What the host API must do, over plain Rust values: objects of the types below, the roots that name them, and the
//! errors due.

use heapwright::{
    ArrayType, Engine, FieldType, GcError, HeapType, Mutability, RefType, Result, StorageType, StructType, Val, ValType,
};

/// What a field or an element stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slot {
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
    /// `anyref`
    Any,
    /// `eqref`
    Eq,
    /// `externref`
    Extern,
    /// `(ref null $leaf)`, the first struct type
    Leaf,
    /// `(ref $leaf)`
    SomeLeaf,
}

/// A field or an element, and whether it can be written.
pub(super) type Field = (Slot, bool);

/// A struct or array type.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) is_array: bool,
    pub(super) fields: &'static [Field],
}

const fn object(fields: &'static [Field]) -> Shape {
    Shape { is_array: false, fields }
}

const fn array(fields: &'static [Field; 1]) -> Shape {
    Shape { is_array: true, fields }
}

/// The types of every engine. The first is the leaf that others name.
pub(super) const SHAPES: [Shape; 11] = [
    object(&[(Slot::I32, true), (Slot::I8, true), (Slot::I16, false)]),
    object(&[(Slot::Any, true), (Slot::Extern, true), (Slot::Leaf, true), (Slot::F64, true)]),
    object(&[(Slot::SomeLeaf, false), (Slot::Eq, true), (Slot::I64, true)]),
    array(&[(Slot::I8, true)]),
    array(&[(Slot::I16, true)]),
    array(&[(Slot::I32, true)]),
    array(&[(Slot::F32, true)]),
    array(&[(Slot::Any, true)]),
    array(&[(Slot::Leaf, true)]),
    array(&[(Slot::I64, false)]),
    array(&[(Slot::Extern, true)]),
];

/// Index of the leaf in [`SHAPES`].
pub(super) const LEAF: usize = 0;

/// A type of an engine.
#[derive(Clone, Debug)]
pub(super) enum Type {
    Struct(StructType),
    Array(ArrayType),
}

/// The types of an engine, as [`SHAPES`] says.
pub(super) fn types(engine: &Engine) -> Result<Vec<Type>> {
    let mut types: Vec<Type> = Vec::new();
    for shape in &SHAPES {
        let mut fields = Vec::new();
        for &(slot, mutable) in shape.fields {
            let reference = |nullable, heap| StorageType::ValType(RefType::new(nullable, heap).into());
            let leaf = || match types.first() {
                Some(Type::Struct(leaf)) => HeapType::ConcreteStruct(leaf.clone()),
                _ => HeapType::None,
            };
            let storage = match slot {
                Slot::I8 => StorageType::I8,
                Slot::I16 => StorageType::I16,
                Slot::I32 => StorageType::ValType(ValType::I32),
                Slot::I64 => StorageType::ValType(ValType::I64),
                Slot::F32 => StorageType::ValType(ValType::F32),
                Slot::F64 => StorageType::ValType(ValType::F64),
                Slot::Any => reference(true, HeapType::Any),
                Slot::Eq => reference(true, HeapType::Eq),
                Slot::Extern => reference(true, HeapType::Extern),
                Slot::Leaf => reference(true, leaf()),
                Slot::SomeLeaf => reference(false, leaf()),
            };
            fields.push(FieldType::new(if mutable { Mutability::Var } else { Mutability::Const }, storage));
        }
        types.push(match shape.is_array {
            true => Type::Array(ArrayType::new(engine, fields.remove(0))?),
            false => Type::Struct(StructType::new(engine, fields)?),
        });
    }
    Ok(types)
}

/// A reference: what it names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    I31(u32),
    /// Index of an object of the same store.
    Object(usize),
}

/// A value in a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
    Null,
    Ref(Target),
}

/// An object.
#[derive(Clone, Debug)]
pub(super) enum Object {
    /// Of a type of [`SHAPES`], with its fields or elements.
    Made(usize, Vec<Value>),
    /// A host value, with its number.
    Host(u64),
}

/// Why an operation must be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    DeadRoot,
    WrongStore,
    WrongEngine,
    Mismatch,
    Count,
    NoSuchField,
    Bounds,
    ImmutableField,
    ImmutableElements,
    Packed,
    TooLong,
    Encoding,
}

impl Fault {
    /// The fault that an error names; none if nothing that the host does may bring it about.
    pub(super) fn of(error: &GcError) -> Option<Fault> {
        Some(match error {
            GcError::DeadRoot => Fault::DeadRoot,
            GcError::WrongStore => Fault::WrongStore,
            GcError::WrongEngine => Fault::WrongEngine,
            GcError::TypeMismatch { .. } => Fault::Mismatch,
            GcError::ValueCount { .. } => Fault::Count,
            GcError::NoSuchField { .. } => Fault::NoSuchField,
            GcError::OutOfBounds { .. } => Fault::Bounds,
            GcError::ImmutableField { .. } => Fault::ImmutableField,
            GcError::ImmutableElements => Fault::ImmutableElements,
            GcError::PackedRange { .. } => Fault::Packed,
            GcError::TooLong { .. } => Fault::TooLong,
            GcError::Encoding { .. } => Fault::Encoding,
            _ => return None,
        })
    }
}

/// The objects of one store, and which of its scopes are open.
#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) objects: Vec<Object>,
    /// Numbers of the open scopes, outermost first. Number 0 is the store itself.
    pub(super) scopes: Vec<u64>,
    /// What its two globals hold: an `anyref` and an `externref`.
    pub(super) globals: [Option<Target>; 2],
    /// What its table of `anyref` holds.
    pub(super) table: Vec<Option<Target>>,
}

impl Store {
    /// Whether a value belongs to a field: the value as it is stored, or what is wrong with it.
    pub(super) fn stored(&self, slot: Slot, value: &Operand) -> Result<Value, Fault> {
        let packed = |value: i32, bits: u32| match (-(1i64 << (bits - 1))..1i64 << bits).contains(&value.into()) {
            true => Ok(Value::I32(value & ((1 << bits) - 1))),
            false => Err(Fault::Packed),
        };
        match (slot, value.model) {
            (Slot::I8, Value::I32(value)) => packed(value, 8),
            (Slot::I16, Value::I32(value)) => packed(value, 16),
            (Slot::I32, Value::I32(_))
            | (Slot::I64, Value::I64(_))
            | (Slot::F32, Value::F32(_))
            | (Slot::F64, Value::F64(_)) => Ok(value.model),
            (Slot::Extern, Value::Null | Value::Ref(_)) if value.external => Ok(value.model),
            (Slot::Any | Slot::Eq | Slot::Leaf, Value::Null) if !value.external => Ok(Value::Null),
            (Slot::Any, Value::Ref(_)) if !value.external => Ok(value.model),
            (Slot::Eq, Value::Ref(target)) if !value.external && !self.is_host(target) => Ok(value.model),
            (Slot::Leaf | Slot::SomeLeaf, Value::Ref(target))
                if !value.external && self.shape(target) == Some(LEAF) =>
            {
                Ok(value.model)
            }
            _ => Err(Fault::Mismatch),
        }
    }

    pub(super) fn is_host(&self, target: Target) -> bool {
        matches!(target, Target::Object(index) if matches!(self.objects[index], Object::Host(_)))
    }

    /// The type of what is named; none for i31s and host values.
    pub(super) fn shape(&self, target: Target) -> Option<usize> {
        match target {
            Target::Object(index) => match self.objects[index] {
                Object::Made(shape, _) => Some(shape),
                Object::Host(_) => None,
            },
            Target::I31(_) => None,
        }
    }

    /// The fields or elements of an object, if it is a struct (an array).
    pub(super) fn values(&mut self, target: Target, is_array: bool) -> Option<(usize, &mut Vec<Value>)> {
        let Target::Object(index) = target else { return None };
        match &mut self.objects[index] {
            Object::Made(shape, values) if SHAPES[*shape].is_array == is_array => Some((*shape, values)),
            _ => None,
        }
    }
}

/// The default value of a field, if it has one.
pub(super) fn default_of(slot: Slot) -> Option<Value> {
    Some(match slot {
        Slot::I8 | Slot::I16 | Slot::I32 => Value::I32(0),
        Slot::I64 => Value::I64(0),
        Slot::F32 => Value::F32(0),
        Slot::F64 => Value::F64(0),
        Slot::Any | Slot::Eq | Slot::Extern | Slot::Leaf => Value::Null,
        Slot::SomeLeaf => return None,
    })
}

/// A value as the host passes it, and as the model sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    pub(super) val: Val,
    pub(super) model: Value,
    /// Whether it is a reference of the `extern` hierarchy.
    pub(super) external: bool,
    /// What is wrong with its root.
    pub(super) fault: Option<Fault>,
}
