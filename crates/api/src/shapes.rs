//! What a store knows of the types of its objects: field types and places, looked up once a type.
//!
//! An entry keeps its type registered, so the type's id means the same as long as the store lives.

use crate::gc_error::GcError;
use crate::store::StoreOpaque;
use crate::types::Registered;
use crate::{ArrayType, Engine, StructType};
use heapwright_gc_heap::{
    self as gc, CompositeType, GcRef, HeapCorrupted, PreparedArray, PreparedField, RegisteredTypes, TypeId, TypeKind,
};
use std::sync::Arc;

/// A struct type in use.
pub(crate) struct StructShape {
    pub(crate) id: TypeId,
    pub(crate) fields: Box<[(gc::FieldType, PreparedField)]>,
    types: RegisteredTypes,
}

/// An array type in use.
pub(crate) struct ArrayShape {
    pub(crate) id: TypeId,
    pub(crate) element: gc::FieldType,
    pub(crate) place: PreparedArray,
    types: RegisteredTypes,
}

/// A type in use.
#[derive(Clone)]
pub(crate) enum Shape {
    Struct(Arc<StructShape>),
    Array(Arc<ArrayShape>),
}

impl StructShape {
    /// The type as the embedder sees it.
    pub(crate) fn ty(&self, engine: &Engine) -> StructType {
        StructType(Registered { engine: engine.clone(), id: self.id, types: self.types.clone() })
    }

    pub(crate) fn field(&self, index: usize) -> Result<&(gc::FieldType, PreparedField), GcError> {
        self.fields.get(index).ok_or(GcError::NoSuchField { index, fields: self.fields.len() })
    }
}

impl ArrayShape {
    /// The type as the embedder sees it.
    pub(crate) fn ty(&self, engine: &Engine) -> ArrayType {
        ArrayType(Registered { engine: engine.clone(), id: self.id, types: self.types.clone() })
    }
}

impl StoreOpaque {
    /// The shape of a type that is registered, or was when an object of it was made.
    pub(crate) fn shape(&mut self, id: TypeId) -> Result<Shape, GcError> {
        if let Some(shape) = self.shapes.get(&id) {
            return Ok(shape.clone());
        }
        match self.make_shape(id) {
            Some(shape) => {
                self.shapes.insert(id, shape.clone());
                Ok(shape)
            }
            None => Err(self.corrupted(HeapCorrupted { what: "an object of a type that has no fields", at: id.0 })),
        }
    }

    fn make_shape(&self, id: TypeId) -> Option<Shape> {
        let registry = self.engine.runtime().types();
        let (types, definition) = registry.try_retain(id)?;
        match &definition.composite {
            CompositeType::Struct(s) => {
                let place = |i| PreparedField::new(registry, id, i);
                let fields = s.fields.iter().zip(0..).map(|(&f, i)| Some((f, place(i)?))).collect::<Option<_>>()?;
                Some(Shape::Struct(Arc::new(StructShape { id, fields, types })))
            }
            CompositeType::Array(a) => {
                let place = PreparedArray::new(registry, id)?;
                Some(Shape::Array(Arc::new(ArrayShape { id, element: a.0, place, types })))
            }
            _ => None,
        }
    }

    /// The shape of a struct type of an engine, which must be the store's.
    pub(crate) fn struct_shape(&mut self, ty: &StructType) -> Result<Arc<StructShape>, GcError> {
        self.check_engine(ty.engine())?;
        match self.shape(ty.0.id)? {
            Shape::Struct(shape) => Ok(shape),
            Shape::Array(_) => Err(GcError::mismatch("a struct type", "an array type")),
        }
    }

    /// The shape of an array type of an engine, which must be the store's.
    pub(crate) fn array_shape(&mut self, ty: &ArrayType) -> Result<Arc<ArrayShape>, GcError> {
        self.check_engine(ty.engine())?;
        match self.shape(ty.0.id)? {
            Shape::Array(shape) => Ok(shape),
            Shape::Struct(_) => Err(GcError::mismatch("an array type", "a struct type")),
        }
    }

    /// The shape of the object behind a root that was made for a struct.
    pub(crate) fn shape_of_struct(&mut self, r: GcRef) -> Result<Arc<StructShape>, GcError> {
        match self.shape_of(r)? {
            Shape::Struct(shape) => Ok(shape),
            Shape::Array(_) => Err(GcError::mismatch("a struct", "an array")),
        }
    }

    /// The shape of the object behind a root that was made for an array.
    pub(crate) fn shape_of_array(&mut self, r: GcRef) -> Result<Arc<ArrayShape>, GcError> {
        match self.shape_of(r)? {
            Shape::Array(shape) => Ok(shape),
            Shape::Struct(_) => Err(GcError::mismatch("an array", "a struct")),
        }
    }

    fn shape_of(&mut self, r: GcRef) -> Result<Shape, GcError> {
        let (kind, id) = match self.heap()?.type_of(r) {
            Ok(entry) => (entry.kind, entry.id),
            Err(e) => return Err(self.bad_reference(e)),
        };
        // A corrupted heap may name any type; only these have fields or elements.
        if !matches!(kind, TypeKind::Struct | TypeKind::Array) {
            return Err(self.corrupted(HeapCorrupted { what: "no struct or array stands where one was", at: r.raw() }));
        }
        self.shape(id)
    }

    /// Checks that an engine is the store's.
    pub(crate) fn check_engine(&self, engine: &Engine) -> Result<(), GcError> {
        if Engine::same(engine, &self.engine) { Ok(()) } else { Err(GcError::WrongEngine) }
    }
}
