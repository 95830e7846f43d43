//! Whether imports fit.

use crate::{Extern, ExternType, LinkError, LoadedModule, Store};
use heapwright_gc_heap::TypeRegistry;
use heapwright_jit::module::MemoryInfo;

/// Checks every import.
pub(super) fn check(store: &Store, module: &LoadedModule, imports: &[Extern]) -> Result<(), LinkError> {
    let types = store.runtime().types();
    for (i, (module_name, name, expected)) in module.imports().enumerate() {
        let got = match imports.get(i) {
            Some(&item) if exists(store, item) => Some(store.extern_type(item)),
            _ => None,
        };
        if !got.is_some_and(|got| matches(types, &got, &expected)) {
            return Err(LinkError {
                module: module_name.into(),
                name: name.into(),
                expected: describe(types, &expected),
                got: got.map(|got| describe(types, &got)),
            });
        }
    }
    Ok(())
}

fn exists(store: &Store, item: Extern) -> bool {
    let state = &store.state;
    match item {
        Extern::Func(f) => state.func_entry(f.0).is_some(),
        Extern::Global(g) => (g.0 as usize) < state.globals.len(),
        Extern::Table(t) => (t.0 as usize) < state.tables.len(),
        Extern::Memory(m) => (m.0 as usize) < state.memories.len(),
        Extern::Tag(t) => (t.0 as usize) < state.tags.len(),
    }
}

fn matches(types: &TypeRegistry, got: &ExternType, expected: &ExternType) -> bool {
    match (got, expected) {
        (ExternType::Func(got), ExternType::Func(expected)) => types.is_subtype(*got, *expected),
        (ExternType::Tag(got), ExternType::Tag(expected)) => got == expected,
        (ExternType::Global(got), ExternType::Global(expected)) => {
            got.mutable == expected.mutable
                && types.val_type_matches(&got.ty, &expected.ty)
                && (!got.mutable || types.val_type_matches(&expected.ty, &got.ty))
        }
        (ExternType::Table(got), ExternType::Table(expected)) => {
            got.element == expected.element
                && got.table64 == expected.table64
                && limits((got.minimum, got.maximum), (expected.minimum, expected.maximum))
        }
        (ExternType::Memory(got), ExternType::Memory(expected)) => {
            got.memory64 == expected.memory64
                && got.page_size_log2 == expected.page_size_log2
                && limits((got.minimum, got.maximum), (expected.minimum, expected.maximum))
        }
        _ => false,
    }
}

fn limits(got: (u64, Option<u64>), expected: (u64, Option<u64>)) -> bool {
    got.0 >= expected.0 && expected.1.is_none_or(|max| got.1.is_some_and(|got| got <= max))
}

fn describe(types: &TypeRegistry, ty: &ExternType) -> String {
    let range = |min: u64, max: Option<u64>| match max {
        Some(max) => format!("{min}..={max}"),
        None => format!("{min}.."),
    };
    match ty {
        ExternType::Func(id) => format!("function {}", types.definition(*id).composite),
        ExternType::Tag(id) => format!("tag {}", types.definition(*id).composite),
        ExternType::Global(g) => format!("{}global {}", if g.mutable { "mutable " } else { "" }, g.ty),
        ExternType::Table(t) => format!(
            "table{} of {}, {} slots",
            if t.table64 { "64" } else { "" },
            t.element,
            range(t.minimum, t.maximum)
        ),
        ExternType::Memory(MemoryInfo { memory64, minimum, maximum, page_size_log2 }) => format!(
            "memory{} of {} pages of {} bytes",
            if *memory64 { "64" } else { "" },
            range(*minimum, *maximum),
            1u64 << page_size_log2
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::limits;

    #[test]
    fn limits_are_matched_by_current_size() {
        assert!(limits((2, None), (1, None)) && limits((2, Some(4)), (2, Some(4))));
        assert!(
            !limits((0, None), (1, None)) && !limits((2, None), (1, Some(9))) && !limits((2, Some(9)), (1, Some(8)))
        );
    }
}
