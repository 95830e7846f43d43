//! The types of what can be imported and exported.

use crate::types::{Registered, mutability};
use crate::{Engine, FuncType, Mutability, RefType, ValType};
use heapwright_jit::module::MemoryInfo;
use heapwright_vm as vm;
use std::fmt;

/// A global's type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GlobalType {
    content: ValType,
    mutability: Mutability,
}

impl GlobalType {
    /// A global type.
    pub fn new(content: ValType, mutability: Mutability) -> GlobalType {
        GlobalType { content, mutability }
    }
    /// What it holds.
    pub fn content(&self) -> &ValType {
        &self.content
    }
    /// Whether it may be written.
    pub fn mutability(&self) -> Mutability {
        self.mutability
    }
}

/// A table's type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableType {
    element: RefType,
    minimum: u64,
    maximum: Option<u64>,
    table64: bool,
}

impl TableType {
    /// A table with 32-bit indices; sizes in slots.
    pub fn new(element: RefType, minimum: u32, maximum: Option<u32>) -> TableType {
        TableType { element, minimum: minimum.into(), maximum: maximum.map(u64::from), table64: false }
    }
    /// A table with 64-bit indices; sizes in slots.
    pub fn new64(element: RefType, minimum: u64, maximum: Option<u64>) -> TableType {
        TableType { element, minimum, maximum, table64: true }
    }
    /// Element type.
    pub fn element(&self) -> &RefType {
        &self.element
    }
    /// Minimum number of slots.
    pub fn minimum(&self) -> u64 {
        self.minimum
    }
    /// Maximum number of slots.
    pub fn maximum(&self) -> Option<u64> {
        self.maximum
    }
    /// Whether indices are 64-bit.
    pub fn is_64(&self) -> bool {
        self.table64
    }
    pub(crate) fn to_vm(&self, engine: &Engine) -> vm::TableType {
        vm::TableType {
            element: self.element.to_gc(engine),
            table64: self.table64,
            minimum: self.minimum,
            maximum: self.maximum,
        }
    }
}

/// A memory's type. Sizes in pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryType(pub(crate) MemoryInfo);

impl MemoryType {
    /// A memory with 32-bit addresses and 64 KiB pages.
    pub fn new(minimum: u32, maximum: Option<u32>) -> MemoryType {
        MemoryType(MemoryInfo {
            memory64: false,
            minimum: minimum.into(),
            maximum: maximum.map(u64::from),
            page_size_log2: 16,
        })
    }
    /// A memory with 64-bit addresses and 64 KiB pages.
    pub fn new64(minimum: u64, maximum: Option<u64>) -> MemoryType {
        MemoryType(MemoryInfo { memory64: true, minimum, maximum, page_size_log2: 16 })
    }
    /// Minimum number of pages.
    pub fn minimum(&self) -> u64 {
        self.0.minimum
    }
    /// Maximum number of pages.
    pub fn maximum(&self) -> Option<u64> {
        self.0.maximum
    }
    /// Whether addresses are 64-bit.
    pub fn is_64(&self) -> bool {
        self.0.memory64
    }
    /// Page size in bytes.
    pub fn page_size(&self) -> u64 {
        1 << self.0.page_size_log2
    }
}

/// A tag's type: the parameters of its function type are what an exception carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagType(FuncType);

impl TagType {
    /// A tag type.
    pub fn new(ty: FuncType) -> TagType {
        TagType(ty)
    }
    /// The function type.
    pub fn ty(&self) -> &FuncType {
        &self.0
    }
}

/// The type of something that can be imported or exported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A global.
    Global(GlobalType),
    /// A table.
    Table(TableType),
    /// A memory.
    Memory(MemoryType),
    /// A tag.
    Tag(TagType),
}

impl ExternType {
    pub(crate) fn from_vm(engine: &Engine, ty: &vm::ExternType) -> ExternType {
        match *ty {
            vm::ExternType::Func(id) => ExternType::Func(FuncType(Registered::new(engine, id))),
            vm::ExternType::Tag(id) => ExternType::Tag(TagType(FuncType(Registered::new(engine, id)))),
            vm::ExternType::Memory(info) => ExternType::Memory(MemoryType(info)),
            vm::ExternType::Global(g) => ExternType::Global(GlobalType {
                content: ValType::from_gc(engine, &g.ty),
                mutability: mutability(g.mutable),
            }),
            vm::ExternType::Table(t) => ExternType::Table(TableType {
                element: RefType::from_gc(engine, &t.element),
                minimum: t.minimum,
                maximum: t.maximum,
                table64: t.table64,
            }),
        }
    }

    /// The function type, if this is a function.
    pub fn func(&self) -> Option<&FuncType> {
        match self {
            ExternType::Func(f) => Some(f),
            _ => None,
        }
    }
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let maximum = |f: &mut fmt::Formatter<'_>, m: Option<u64>| m.map_or(Ok(()), |m| write!(f, " {m}"));
        match self {
            ExternType::Func(t) => t.fmt(f),
            ExternType::Global(g) => match g.mutability {
                Mutability::Var => write!(f, "(global (mut {}))", g.content),
                Mutability::Const => write!(f, "(global {})", g.content),
            },
            ExternType::Table(t) => {
                write!(f, "(table {}{}", if t.table64 { "i64 " } else { "" }, t.minimum)?;
                maximum(f, t.maximum)?;
                write!(f, " {})", t.element)
            }
            ExternType::Memory(m) => {
                write!(f, "(memory {}{}", if m.is_64() { "i64 " } else { "" }, m.minimum())?;
                maximum(f, m.maximum())?;
                if m.page_size() != 1 << 16 {
                    write!(f, " (pagesize {})", m.page_size())?;
                }
                f.write_str(")")
            }
            ExternType::Tag(t) => write!(f, "(tag {})", t.0),
        }
    }
}
