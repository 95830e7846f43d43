//! What follows from the declarations: object layouts, and whether a heap is needed.

use super::{ModuleInfo, TypeLayout};
use heapwright_gc_heap::{
    ArrayLayout, CompositeType, FieldType, HeaderLayout, StorageType, StructLayout, TypeRef, ValType,
};

/// The layout of every type of the module.
pub(super) fn compute(info: &ModuleInfo, header: HeaderLayout) -> Vec<TypeLayout> {
    let stored = |field: &FieldType| {
        let traced = matches!(field.storage, StorageType::Val(v) if info.is_traced(&v));
        (field.storage, traced)
    };
    let mut layouts: Vec<TypeLayout> = Vec::with_capacity(info.types.len());
    for ty in &info.types {
        let layout = match &ty.composite {
            CompositeType::Func(_) | CompositeType::Exception(_) => TypeLayout::Func,
            CompositeType::Array(array) => {
                let (storage, traced) = stored(&array.0);
                TypeLayout::Array(ArrayLayout::new(header, storage, traced))
            }
            CompositeType::Struct(s) => {
                // A supertype always precedes its subtypes.
                let parent = match ty.supertype {
                    Some(TypeRef::Module(i)) => match layouts.get(i as usize) {
                        Some(TypeLayout::Struct(parent)) => Some(parent),
                        _ => None,
                    },
                    _ => None,
                };
                let fields: Vec<_> = s.fields.iter().map(stored).collect();
                TypeLayout::Struct(StructLayout::new(header, parent, &fields))
            }
        };
        layouts.push(layout);
    }
    layouts
}

/// Whether a store needs a heap for this module: when it declares an object type or an exception, or when a traced
/// reference can come in or be kept. References that only ever are null or an i31 inside function bodies need none.
pub(super) fn needs_heap(info: &ModuleInfo) -> bool {
    let traced = |ty: &ValType| info.is_traced(ty);
    !info.tags.is_empty()
        || info.types.iter().any(|ty| match &ty.composite {
            CompositeType::Func(f) => f.params.iter().chain(&f.results).any(traced),
            CompositeType::Struct(_) | CompositeType::Array(_) | CompositeType::Exception(_) => true,
        })
        || info.globals.iter().any(|g| traced(&g.ty))
        || info.tables.iter().any(|t| !t.is_func)
        || info.elements.iter().any(|e| !e.is_func)
}
