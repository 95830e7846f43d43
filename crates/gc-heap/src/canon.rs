//! Hash consing of recursion groups, under the registry's lock.

use crate::layout::layout_exception;
use crate::type_space::NewEntry;
use crate::types::{CompositeType, FieldType, FuncType, RecGroup, StorageType, StructType, SubType, TypeRef, ValType};
use crate::{
    ArrayLayout, ArrayType, HeaderLayout, HeapType, MemoryError, RefType, StructLayout, TypeId, TypeKind, TypeSpace,
};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

/// What objects of a type look like.
#[derive(Clone, Debug)]
pub(crate) enum Layout {
    /// No object has the type; `signature` is the interned way of passing.
    Func { signature: u32 },
    /// A struct or an exception.
    Struct(Arc<StructLayout>),
    /// An array.
    Array(ArrayLayout),
}

/// A canonical type.
pub(crate) struct CanonicalType {
    pub(crate) definition: Arc<SubType>,
    pub(crate) layout: Layout,
    group: u32,
    /// Size of its entry.
    bytes: u32,
    /// Supertypes from the root down.
    supertypes: Box<[TypeId]>,
}

/// A canonical recursion group.
struct Group {
    hash: u64,
    /// The canonical form: own members are `Group` uses, others `Canonical`.
    form: RecGroup,
    ids: Box<[TypeId]>,
    /// The groups whose members this one uses, each counted once.
    uses: Box<[u32]>,
    /// Holders, and groups that use this one.
    count: usize,
}

/// All canonical groups of an engine.
#[derive(Default)]
pub(crate) struct CanonicalGroups {
    hasher: DefaultHashBuilder,
    groups: Vec<Option<Group>>,
    free: Vec<u32>,
    by_form: HashTable<u32>,
    types: HashMap<TypeId, CanonicalType>,
    signatures: Signatures,
}

impl CanonicalGroups {
    /// The type of an id, if it is registered.
    pub(crate) fn get(&self, id: TypeId) -> Option<&CanonicalType> {
        self.types.get(&id)
    }

    /// Interns groups in order; each returned group has been counted once more. On failure nothing is held.
    pub(crate) fn intern_all(
        &mut self,
        space: &TypeSpace,
        header: HeaderLayout,
        groups: &[RecGroup],
    ) -> Result<(Vec<u32>, Vec<TypeId>), MemoryError> {
        let mut held = Vec::with_capacity(groups.len());
        let mut ids: Vec<TypeId> = Vec::with_capacity(groups.iter().map(|g| g.types.len()).sum());
        for group in groups {
            let form = self.canonical_form(group, &ids);
            match self.intern(space, header, form) {
                Ok(index) => {
                    held.push(index);
                    ids.extend_from_slice(&self.group(index).ids);
                }
                Err(error) => {
                    self.release(space, held);
                    return Err(error);
                }
            }
        }
        Ok((held, ids))
    }

    /// Rewrites the uses in `group`, whose first member stands at position `before.len()` of its module.
    fn canonical_form(&self, group: &RecGroup, before: &[TypeId]) -> RecGroup {
        let (start, len) = (before.len(), group.types.len());
        map_group(group, &mut |ty| match ty {
            TypeRef::Module(i) if (i as usize) < start => TypeRef::Canonical(before[i as usize]),
            TypeRef::Module(i) if (i as usize) < start + len => TypeRef::Group(i - start as u32),
            TypeRef::Group(i) if (i as usize) < len => ty,
            TypeRef::Canonical(id) if self.types.contains_key(&id) => ty,
            _ => panic!("{ty:?} names no type that is registered or defined before its use"),
        })
    }

    fn group(&self, index: u32) -> &Group {
        self.groups[index as usize].as_ref().expect("a counted group is present")
    }

    fn group_mut(&mut self, index: u32) -> &mut Group {
        self.groups[index as usize].as_mut().expect("a counted group is present")
    }

    /// The group with this canonical form, counted once more; made if there is none.
    fn intern(&mut self, space: &TypeSpace, header: HeaderLayout, form: RecGroup) -> Result<u32, MemoryError> {
        let hash = self.hasher.hash_one(&form);
        let same = |&i: &u32| {
            let group = self.groups[i as usize].as_ref();
            group.is_some_and(|group| group.hash == hash && group.form == form)
        };
        if let Some(&index) = self.by_form.find(hash, same) {
            self.group_mut(index).count += 1;
            return Ok(index);
        }

        let shapes = self.shapes(space, header, &form);
        let mut ids = Vec::with_capacity(shapes.len());
        for shape in &shapes {
            match space.allocate(shape.bytes()) {
                Ok(id) => ids.push(id),
                Err(error) => {
                    for (id, shape) in ids.into_iter().zip(&shapes) {
                        space.release(id, shape.bytes());
                    }
                    return Err(error);
                }
            }
        }

        // Nothing fails from here on.
        let index = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            (self.groups.len() - 1) as u32
        });
        let mut uses = Vec::new();
        for_each_use(&form, &mut |ty| {
            if let TypeRef::Canonical(id) = ty {
                uses.push(self.types[&id].group);
            }
        });
        uses.sort_unstable();
        uses.dedup();
        for &used in &uses {
            self.group_mut(used).count += 1;
        }
        let definitions = map_group(&form, &mut |ty| match ty {
            TypeRef::Group(i) => TypeRef::Canonical(ids[i as usize]),
            other => other,
        });
        for ((definition, shape), &id) in definitions.types.into_iter().zip(shapes).zip(&ids) {
            self.publish(space, index, id, definition, shape);
        }
        self.groups[index as usize] = Some(Group { hash, form, ids: ids.into(), uses: uses.into(), count: 1 });
        let groups = &self.groups;
        self.by_form.insert_unique(hash, index, |&i| groups[i as usize].as_ref().map_or(0, |g| g.hash));
        Ok(index)
    }

    /// Writes a type's entry and records it. Its supertype is recorded already.
    fn publish(&mut self, space: &TypeSpace, group: u32, id: TypeId, definition: SubType, shape: Shape) {
        let supertypes: Box<[TypeId]> = match definition.supertype {
            Some(TypeRef::Canonical(parent)) => {
                self.types[&parent].supertypes.iter().copied().chain([parent]).collect()
            }
            _ => Box::default(),
        };
        debug_assert_eq!(supertypes.len(), shape.depth as usize);
        let bytes = shape.bytes();
        let (kind, size, array, layout) = match shape.body {
            Body::Func => {
                let CompositeType::Func(ty) = &definition.composite else { unreachable!("shaped as a function") };
                (TypeKind::Func, 0, None, Layout::Func { signature: self.signatures.intern(ty) })
            }
            Body::Struct(layout) => {
                let exception = matches!(definition.composite, CompositeType::Exception(_));
                let kind = if exception { TypeKind::Exception } else { TypeKind::Struct };
                (kind, layout.size, None, Layout::Struct(layout))
            }
            Body::Array(layout) => {
                let array = (layout.elements_offset, layout.element_shift, layout.traced);
                (TypeKind::Array, 0, Some(array), Layout::Array(layout))
            }
        };
        space.write(id, &NewEntry { kind, size, array, traced: &shape.traced, supertypes: &supertypes });
        let ty = CanonicalType { definition: Arc::new(definition), layout, group, bytes, supertypes };
        self.types.insert(id, ty);
    }

    /// Sizes and layouts of a group's members, before they have places.
    fn shapes(&self, space: &TypeSpace, header: HeaderLayout, form: &RecGroup) -> Vec<Shape> {
        let is_func = |ty: TypeRef| match ty {
            TypeRef::Group(i) => matches!(form.types[i as usize].composite, CompositeType::Func(_)),
            TypeRef::Canonical(id) => space.kind(id.0) == Ok(TypeKind::Func),
            TypeRef::Module(_) => unreachable!("not in a canonical form"),
        };
        let with_traced = |storage: StorageType| (storage, is_traced(storage, is_func));
        let mut shapes: Vec<Shape> = Vec::with_capacity(form.types.len());
        for ty in &form.types {
            // A supertype's layout, and its depth.
            let parent: Option<(Option<&Arc<StructLayout>>, u32)> = ty.supertype.map(|parent| match parent {
                TypeRef::Group(i) => {
                    let shape = shapes.get(i as usize).expect("a supertype precedes its subtypes");
                    (shape.body.as_struct(), shape.depth)
                }
                TypeRef::Canonical(id) => {
                    let known = &self.types[&id];
                    let layout = match &known.layout {
                        Layout::Struct(layout) => Some(layout),
                        _ => None,
                    };
                    (layout, known.supertypes.len() as u32)
                }
                TypeRef::Module(_) => unreachable!("not in a canonical form"),
            });
            let depth = parent.map_or(0, |(_, depth)| depth + 1);
            let body = match &ty.composite {
                CompositeType::Func(_) => Body::Func,
                CompositeType::Struct(StructType { fields }) => {
                    let fields: Vec<_> = fields.iter().map(|f| with_traced(f.storage)).collect();
                    let parent = parent.map(|(layout, _)| &**layout.expect("the supertype of a struct is a struct"));
                    Body::Struct(Arc::new(StructLayout::new(header, parent, &fields)))
                }
                CompositeType::Array(ArrayType(element)) => {
                    let (storage, traced) = with_traced(element.storage);
                    Body::Array(ArrayLayout::new(header, storage, traced))
                }
                CompositeType::Exception(params) => {
                    let params: Vec<_> = params.iter().map(|&p| with_traced(StorageType::Val(p))).collect();
                    Body::Struct(Arc::new(layout_exception(header, &params)))
                }
            };
            let traced = body.as_struct().map(|layout| layout.traced_offsets()).unwrap_or_default();
            shapes.push(Shape { body, traced, depth });
        }
        shapes
    }

    /// Counts the group of a registered type once more.
    pub(crate) fn retain(&mut self, id: TypeId) -> u32 {
        let group = self.types.get(&id).expect("a type that is retained is registered").group;
        self.group_mut(group).count += 1;
        group
    }

    /// Uncounts groups, and takes down those that nobody uses any more. Says whether there were any.
    pub(crate) fn release(&mut self, space: &TypeSpace, mut work: Vec<u32>) -> bool {
        let mut released = false;
        while let Some(index) = work.pop() {
            let group = self.group_mut(index);
            group.count -= 1;
            if group.count > 0 {
                continue;
            }
            let group = self.groups[index as usize].take().expect("found just now");
            if let Ok(found) = self.by_form.find_entry(group.hash, |&i| i == index) {
                found.remove();
            }
            for id in &group.ids {
                let ty = self.types.remove(id).expect("a live group's types are recorded");
                if let Layout::Func { signature } = ty.layout {
                    self.signatures.release(signature);
                }
                space.release(*id, ty.bytes);
            }
            self.free.push(index);
            work.extend_from_slice(&group.uses);
            released = true;
        }
        released
    }
}

/// A member of a group before it has a place.
struct Shape {
    body: Body,
    traced: Vec<u32>,
    depth: u32,
}

enum Body {
    Func,
    Struct(Arc<StructLayout>),
    Array(ArrayLayout),
}

impl Body {
    fn as_struct(&self) -> Option<&Arc<StructLayout>> {
        match self {
            Body::Struct(layout) => Some(layout),
            _ => None,
        }
    }
}

impl Shape {
    fn bytes(&self) -> u32 {
        NewEntry::bytes(&self.traced, self.depth)
    }
}

/// Whether the collector visits what is stored: a reference whose hierarchy is not that of functions.
pub(crate) fn is_traced(storage: StorageType, is_func: impl Fn(TypeRef) -> bool) -> bool {
    storage.as_ref().is_some_and(|r| {
        let concrete_is_func = matches!(r.heap, HeapType::Concrete(ty) if is_func(ty));
        r.heap.top(concrete_is_func) != crate::AbstractHeapType::Func
    })
}

/// Interned ways of passing parameters and results, each counted by the function types that have it.
#[derive(Default)]
struct Signatures {
    ids: HashMap<Arc<[u8]>, u32>,
    slots: Vec<(Arc<[u8]>, usize)>,
    free: Vec<u32>,
}

impl Signatures {
    fn intern(&mut self, ty: &FuncType) -> u32 {
        let kind = |ty: &ValType| match ty {
            ValType::I32 | ValType::Ref(_) => 1,
            ValType::I64 => 2,
            ValType::F32 => 3,
            ValType::F64 => 4,
            ValType::V128 => 5,
        };
        let key: Arc<[u8]> = ty.params.iter().map(kind).chain([0]).chain(ty.results.iter().map(kind)).collect();
        if let Some(&id) = self.ids.get(&key) {
            self.slots[id as usize - 1].1 += 1;
            return id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push((key.clone(), 0));
            self.slots.len() as u32
        });
        self.slots[id as usize - 1] = (key.clone(), 1);
        self.ids.insert(key, id);
        id
    }

    fn release(&mut self, id: u32) {
        let (key, count) = &mut self.slots[id as usize - 1];
        *count -= 1;
        if *count == 0 {
            self.ids.remove(&*key);
            self.free.push(id);
        }
    }
}

/// The group with each use of a type replaced.
fn map_group(group: &RecGroup, map: &mut dyn FnMut(TypeRef) -> TypeRef) -> RecGroup {
    let types = group.types.iter().map(|ty| SubType {
        is_final: ty.is_final,
        supertype: ty.supertype.map(&mut *map),
        composite: map_composite(&ty.composite, map),
    });
    RecGroup { types: types.collect() }
}

fn map_composite(composite: &CompositeType, map: &mut dyn FnMut(TypeRef) -> TypeRef) -> CompositeType {
    let mut val = |ty: &ValType| match *ty {
        ValType::Ref(RefType { nullable, heap: HeapType::Concrete(ty) }) => {
            ValType::Ref(RefType { nullable, heap: HeapType::Concrete(map(ty)) })
        }
        other => other,
    };
    match composite {
        CompositeType::Func(ty) => CompositeType::Func(FuncType {
            params: ty.params.iter().map(&mut val).collect(),
            results: ty.results.iter().map(&mut val).collect(),
        }),
        CompositeType::Struct(ty) => {
            CompositeType::Struct(StructType { fields: ty.fields.iter().map(|f| map_field(f, &mut val)).collect() })
        }
        CompositeType::Array(ArrayType(element)) => CompositeType::Array(ArrayType(map_field(element, &mut val))),
        CompositeType::Exception(params) => CompositeType::Exception(params.iter().map(&mut val).collect()),
    }
}

fn map_field(field: &FieldType, val: &mut dyn FnMut(&ValType) -> ValType) -> FieldType {
    let storage = match &field.storage {
        StorageType::Val(ty) => StorageType::Val(val(ty)),
        packed => *packed,
    };
    FieldType { storage, mutable: field.mutable }
}

/// Visits each use of a type in the group.
fn for_each_use(group: &RecGroup, visit: &mut dyn FnMut(TypeRef)) {
    let val = |ty: &ValType, visit: &mut dyn FnMut(TypeRef)| {
        if let ValType::Ref(RefType { heap: HeapType::Concrete(ty), .. }) = *ty {
            visit(ty);
        }
    };
    let field = |field: &FieldType, visit: &mut dyn FnMut(TypeRef)| {
        if let StorageType::Val(ty) = &field.storage {
            val(ty, visit);
        }
    };
    for ty in &group.types {
        if let Some(supertype) = ty.supertype {
            visit(supertype);
        }
        match &ty.composite {
            CompositeType::Func(ty) => ty.params.iter().chain(&ty.results).for_each(|ty| val(ty, visit)),
            CompositeType::Struct(ty) => ty.fields.iter().for_each(|f| field(f, visit)),
            CompositeType::Array(ArrayType(element)) => field(element, visit),
            CompositeType::Exception(params) => params.iter().for_each(|ty| val(ty, visit)),
        }
    }
}
