//! The types of a module: what there is to allocate, and which type a value of another type may stand for.

use arbitrary::{Result, Unstructured};
use wasm_encoder as enc;

/// A value type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ty {
    I32,
    I64,
    F32,
    F64,
    V128,
    Ref(Ref),
}

/// A reference type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ref {
    pub(super) nullable: bool,
    pub(super) heap: Heap,
}

/// A heap type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heap {
    Any,
    Eq,
    I31,
    Struct,
    Array,
    Extern,
    Exn,
    /// A struct or array type of the module.
    Object(u32),
    /// A function type of the module.
    Func(u32),
}

impl Heap {
    pub(super) const fn nullable(self) -> Ty {
        Ty::Ref(Ref { nullable: true, heap: self })
    }

    pub(super) const fn non_null(self) -> Ty {
        Ty::Ref(Ref { nullable: false, heap: self })
    }

    pub(super) fn encode(self) -> enc::HeapType {
        use enc::AbstractHeapType as A;
        let ty = match self {
            Heap::Any => A::Any,
            Heap::Eq => A::Eq,
            Heap::I31 => A::I31,
            Heap::Struct => A::Struct,
            Heap::Array => A::Array,
            Heap::Extern => A::Extern,
            Heap::Exn => A::Exn,
            Heap::Object(index) | Heap::Func(index) => return enc::HeapType::Concrete(index),
        };
        enc::HeapType::Abstract { shared: false, ty }
    }
}

impl Ref {
    pub(super) fn encode(self) -> enc::RefType {
        enc::RefType { nullable: self.nullable, heap_type: self.heap.encode() }
    }
}

impl Ty {
    pub(super) fn encode(self) -> enc::ValType {
        match self {
            Ty::I32 => enc::ValType::I32,
            Ty::I64 => enc::ValType::I64,
            Ty::F32 => enc::ValType::F32,
            Ty::F64 => enc::ValType::F64,
            Ty::V128 => enc::ValType::V128,
            Ty::Ref(r) => enc::ValType::Ref(r.encode()),
        }
    }

    /// Whether a variable of the type has a default value.
    pub(super) fn has_default(self) -> bool {
        !matches!(self, Ty::Ref(Ref { nullable: false, .. }))
    }
}

/// What a field or an element stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Storage {
    I8,
    I16,
    Ty(Ty),
}

impl Storage {
    /// The type of the value on the operand stack.
    pub(super) fn unpacked(self) -> Ty {
        match self {
            Storage::I8 | Storage::I16 => Ty::I32,
            Storage::Ty(ty) => ty,
        }
    }

    fn encode(self) -> enc::StorageType {
        match self {
            Storage::I8 => enc::StorageType::I8,
            Storage::I16 => enc::StorageType::I16,
            Storage::Ty(ty) => enc::StorageType::Val(ty.encode()),
        }
    }
}

/// A field, or the element of an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Field {
    pub(super) storage: Storage,
    pub(super) mutable: bool,
}

impl Field {
    fn encode(self) -> enc::FieldType {
        enc::FieldType { element_type: self.storage.encode(), mutable: self.mutable }
    }
}

/// A struct or array type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Object {
    pub(super) is_array: bool,
    pub(super) is_final: bool,
    pub(super) parent: Option<u32>,
    /// An array has one, its element.
    pub(super) fields: Vec<Field>,
}

impl Object {
    pub(super) fn has_default(&self) -> bool {
        self.fields.iter().all(|f| f.storage.unpacked().has_default())
    }
}

/// A function type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Signature {
    pub(super) params: Vec<Ty>,
    pub(super) results: Vec<Ty>,
}

/// The types of a module. Objects come first; function types follow. All are one recursion group, or several if no
/// field needs that.
#[derive(Clone, Debug)]
pub(super) struct Types {
    pub(super) objects: Vec<Object>,
    pub(super) signatures: Vec<Signature>,
}

/// Object types of a module.
const OBJECTS: core::ops::RangeInclusive<usize> = 4..=14;

impl Types {
    pub(super) fn generate(u: &mut Unstructured<'_>) -> Result<Types> {
        let count = u.int_in_range(OBJECTS)?;
        let mut types = Types { objects: Vec::with_capacity(count), signatures: Vec::new() };
        // The first four always exist, so that no operation is left without a type: a struct, an array of numbers, of
        // bytes, of references.
        for index in 0..count {
            let object = match index {
                0 => types.root_struct(u, count)?,
                1 => Object::array(Storage::Ty(number(u)?)),
                2 => Object::array(if u.arbitrary()? { Storage::I8 } else { Storage::I16 }),
                3 => Object::array(Storage::Ty(Heap::Object(u.int_in_range(0..=count as u32 - 1)?).nullable())),
                _ => types.object(u, index, count)?,
            };
            types.objects.push(object);
        }
        let first = count as u32;
        for index in 0..u.int_in_range(3..=6)? {
            let signature = types.signature(u, first + index)?;
            types.signatures.push(signature);
        }
        Ok(types)
    }

    fn root_struct(&self, u: &mut Unstructured<'_>, count: usize) -> Result<Object> {
        let mut fields = vec![Field { storage: Storage::Ty(Ty::I32), mutable: true }];
        fields.push(Field { storage: Storage::Ty(Heap::Object(0).nullable()), mutable: true });
        self.more_fields(u, 0, count, &mut fields)?;
        Ok(Object { is_array: false, is_final: false, parent: None, fields })
    }

    fn object(&self, u: &mut Unstructured<'_>, index: usize, count: usize) -> Result<Object> {
        if u.ratio(1, 4)? {
            let mut object = Object::array(self.storage(u, index, count)?);
            object.fields[0].mutable = u.ratio(5, 6)?;
            return Ok(object);
        }
        let parents: Vec<u32> = (0..index as u32)
            .filter(|&i| !self.objects[i as usize].is_array && !self.objects[i as usize].is_final)
            .collect();
        let parent = if u.ratio(2, 3)? { u.choose(&parents).ok().copied() } else { None };
        let mut fields = match parent {
            Some(parent) => self.objects[parent as usize].fields.clone(),
            None => Vec::new(),
        };
        // An immutable reference may become more precise in a subtype.
        for field in &mut fields {
            if let Storage::Ty(Ty::Ref(Ref { nullable, heap: Heap::Any })) = field.storage
                && !field.mutable
                && u.arbitrary()?
            {
                field.storage = Storage::Ty(Ty::Ref(Ref { nullable, heap: Heap::Object(0) }));
            }
        }
        self.more_fields(u, index, count, &mut fields)?;
        Ok(Object { is_array: false, is_final: u.ratio(1, 3)?, parent, fields })
    }

    fn more_fields(&self, u: &mut Unstructured<'_>, index: usize, count: usize, fields: &mut Vec<Field>) -> Result<()> {
        for _ in 0..u.int_in_range(0..=4)? {
            let storage = self.storage(u, index, count)?;
            fields.push(Field { storage, mutable: u.ratio(4, 5)? });
        }
        Ok(())
    }

    /// What a field of type `index` stores. A reference that may not be null goes to a type before it, so that every
    /// object can be made.
    fn storage(&self, u: &mut Unstructured<'_>, index: usize, count: usize) -> Result<Storage> {
        Ok(match u.int_in_range(0..=9)? {
            0 => Storage::I8,
            1 => Storage::I16,
            2 | 3 => Storage::Ty(number(u)?),
            4 | 5 => Storage::Ty(Heap::Object(u.int_in_range(0..=count as u32 - 1)?).nullable()),
            6 if index > 0 => Storage::Ty(Heap::Object(u.int_in_range(0..=index as u32 - 1)?).non_null()),
            // The first signature follows the objects.
            7 => Storage::Ty(Heap::Func(count as u32).nullable()),
            _ => {
                let heap =
                    *u.choose(&[Heap::Any, Heap::Any, Heap::Eq, Heap::I31, Heap::Extern, Heap::Struct, Heap::Array])?;
                let nullable = !matches!(heap, Heap::Any | Heap::I31) || u.ratio(3, 4)?;
                Storage::Ty(Ty::Ref(Ref { nullable, heap }))
            }
        })
    }

    fn signature(&self, u: &mut Unstructured<'_>, index: u32) -> Result<Signature> {
        let list = |u: &mut Unstructured<'_>, most: usize| -> Result<Vec<Ty>> {
            (0..u.int_in_range(0..=most)?).map(|_| self.any_type(u, index)).collect()
        };
        Ok(Signature { params: list(u, 4)?, results: list(u, 2)? })
    }

    /// Any type of a value that can be made; function types before `signatures`.
    pub(super) fn any_type(&self, u: &mut Unstructured<'_>, signatures: u32) -> Result<Ty> {
        let object = |u: &mut Unstructured<'_>| Ok(Heap::Object(u.int_in_range(0..=self.objects.len() as u32 - 1)?));
        Ok(match u.int_in_range(0..=9)? {
            0..=3 => number(u)?,
            4..=6 => object(u)?.nullable(),
            7 => object(u)?.non_null(),
            8 if signatures > self.objects.len() as u32 => {
                Heap::Func(u.int_in_range(self.objects.len() as u32..=signatures - 1)?).nullable()
            }
            _ => u.choose(&[Heap::Any, Heap::Eq, Heap::I31, Heap::Extern, Heap::Struct])?.nullable(),
        })
    }

    pub(super) fn object_at(&self, index: u32) -> &Object {
        &self.objects[index as usize]
    }

    pub(super) fn signature_at(&self, index: u32) -> &Signature {
        &self.signatures[index as usize - self.objects.len()]
    }

    /// Whether object type `sub` is `sup` or has it as a supertype.
    pub(super) fn extends(&self, mut sub: u32, sup: u32) -> bool {
        loop {
            if sub == sup {
                return true;
            }
            match self.object_at(sub).parent {
                Some(parent) => sub = parent,
                None => return false,
            }
        }
    }

    /// Whether a value of type `sub` may stand where `sup` is asked for.
    pub(super) fn fits(&self, sub: Ty, sup: Ty) -> bool {
        match (sub, sup) {
            (Ty::Ref(sub), Ty::Ref(sup)) => (sup.nullable || !sub.nullable) && self.heap_fits(sub.heap, sup.heap),
            _ => sub == sup,
        }
    }

    fn heap_fits(&self, sub: Heap, sup: Heap) -> bool {
        let object = |is_array| matches!(sub, Heap::Object(ty) if self.object_at(ty).is_array == is_array);
        match sup {
            Heap::Any => matches!(sub, Heap::Any | Heap::Eq | Heap::I31 | Heap::Struct | Heap::Array | Heap::Object(_)),
            Heap::Eq => matches!(sub, Heap::Eq | Heap::I31 | Heap::Struct | Heap::Array | Heap::Object(_)),
            Heap::Struct => sub == Heap::Struct || object(false),
            Heap::Array => sub == Heap::Array || object(true),
            Heap::Object(sup) => matches!(sub, Heap::Object(sub) if self.extends(sub, sup)),
            Heap::I31 | Heap::Extern | Heap::Exn | Heap::Func(_) => sub == sup,
        }
    }

    /// The object types that fit a heap type.
    pub(super) fn objects_of(&self, heap: Heap) -> Vec<u32> {
        (0..self.objects.len() as u32).filter(|&ty| self.heap_fits(Heap::Object(ty), heap)).collect()
    }

    pub(super) fn encode(&self, section: &mut enc::TypeSection) {
        let composite = |inner| enc::CompositeType { inner, shared: false, descriptor: None, describes: None };
        let objects = self.objects.iter().map(|object| {
            let inner = if object.is_array {
                enc::CompositeInnerType::Array(enc::ArrayType(object.fields[0].encode()))
            } else {
                let fields = object.fields.iter().map(|f| f.encode()).collect();
                enc::CompositeInnerType::Struct(enc::StructType { fields })
            };
            enc::SubType {
                is_final: object.is_final,
                supertype_idxs: object.parent.into_iter().collect(),
                composite_type: composite(inner),
            }
        });
        let signatures = self.signatures.iter().map(|s| {
            let encode = |list: &[Ty]| list.iter().map(|t| t.encode()).collect::<Vec<_>>();
            let inner = enc::CompositeInnerType::Func(enc::FuncType::new(encode(&s.params), encode(&s.results)));
            enc::SubType { is_final: true, supertype_idxs: Vec::new(), composite_type: composite(inner) }
        });
        section.ty().rec(objects.chain(signatures).collect::<Vec<_>>());
    }
}

impl Object {
    fn array(storage: Storage) -> Object {
        Object { is_array: true, is_final: true, parent: None, fields: vec![Field { storage, mutable: true }] }
    }
}

/// A number type.
pub(super) fn number(u: &mut Unstructured<'_>) -> Result<Ty> {
    Ok(*u.choose(&[Ty::I32, Ty::I32, Ty::I64, Ty::F32, Ty::F64, Ty::V128])?)
}
