//! Types in WebAssembly's text format, for messages. A defined type is shown by its number.

use crate::types::{
    AbstractHeapType, CompositeType, FieldType, FuncType, HeapType, RefType, StorageType, TypeRef, ValType,
};
use core::fmt::{Display, Formatter, Result};

impl Display for AbstractHeapType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            AbstractHeapType::Any => "any",
            AbstractHeapType::Eq => "eq",
            AbstractHeapType::I31 => "i31",
            AbstractHeapType::Struct => "struct",
            AbstractHeapType::Array => "array",
            AbstractHeapType::None => "none",
            AbstractHeapType::Func => "func",
            AbstractHeapType::NoFunc => "nofunc",
            AbstractHeapType::Extern => "extern",
            AbstractHeapType::NoExtern => "noextern",
            AbstractHeapType::Exn => "exn",
            AbstractHeapType::NoExn => "noexn",
        })
    }
}

impl Display for HeapType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            HeapType::Abstract(a) => a.fmt(f),
            HeapType::Concrete(TypeRef::Module(i) | TypeRef::Group(i)) => i.fmt(f),
            HeapType::Concrete(TypeRef::Canonical(id)) => write!(f, "(type {:#x})", id.0),
        }
    }
}

impl Display for RefType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        use AbstractHeapType::{Any, Array, Eq, Exn, Extern, Func, I31, Struct};
        match self.heap {
            HeapType::Abstract(a @ (Any | Array | Eq | Exn | Extern | Func | I31 | Struct)) if self.nullable => {
                write!(f, "{a}ref")
            }
            heap => write!(f, "(ref {}{heap})", if self.nullable { "null " } else { "" }),
        }
    }
}

impl Display for ValType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
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

impl Display for StorageType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            StorageType::I8 => f.write_str("i8"),
            StorageType::I16 => f.write_str("i16"),
            StorageType::Val(v) => v.fmt(f),
        }
    }
}

impl Display for FieldType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.mutable { write!(f, "(mut {})", self.storage) } else { self.storage.fmt(f) }
    }
}

impl Display for FuncType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("(func")?;
        for (name, types) in [("param", &self.params), ("result", &self.results)] {
            if !types.is_empty() {
                write!(f, " ({name}")?;
                types.iter().try_for_each(|ty| write!(f, " {ty}"))?;
                f.write_str(")")?;
            }
        }
        f.write_str(")")
    }
}

impl Display for CompositeType {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            CompositeType::Func(ty) => ty.fmt(f),
            CompositeType::Array(ty) => write!(f, "(array {})", ty.0),
            CompositeType::Struct(ty) => {
                f.write_str("(struct")?;
                ty.fields.iter().try_for_each(|field| write!(f, " (field {field})"))?;
                f.write_str(")")
            }
            CompositeType::Exception(params) => {
                f.write_str("(exception")?;
                params.iter().try_for_each(|ty| write!(f, " {ty}"))?;
                f.write_str(")")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TypeId;

    #[test]
    fn types_read_as_in_the_text_format() {
        let reference = |nullable, heap| ValType::Ref(RefType { nullable, heap });
        let ty = FuncType {
            params: [
                ValType::I32,
                reference(true, HeapType::Abstract(AbstractHeapType::Any)),
                reference(false, HeapType::Abstract(AbstractHeapType::Func)),
            ]
            .into(),
            results: [
                reference(true, HeapType::Concrete(TypeRef::Canonical(TypeId(0x40)))),
                reference(true, HeapType::Abstract(AbstractHeapType::None)),
            ]
            .into(),
        };
        let text = "(func (param i32 anyref (ref func)) (result (ref null (type 0x40)) (ref null none)))";
        assert_eq!(ty.to_string(), text);
        let field = FieldType { storage: StorageType::I8, mutable: true };
        assert_eq!(CompositeType::Array(crate::ArrayType(field)).to_string(), "(array (mut i8))");
    }
}
