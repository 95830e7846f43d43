//! Types of importable things, with canonical type references.

use heapwright_gc_heap::{RefType, TypeId, ValType};
use heapwright_jit::module::MemoryInfo;

/// A global's type. Concrete references are `Canonical`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GlobalType {
    /// What it holds.
    pub ty: ValType,
    /// Whether it may be written.
    pub mutable: bool,
}

/// A table's type. Concrete references are `Canonical`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableType {
    /// Element type.
    pub element: RefType,
    /// Whether indices are 64-bit.
    pub table64: bool,
    /// Minimum number of slots; of a table that exists, its current number.
    pub minimum: u64,
    /// Maximum number of slots.
    pub maximum: Option<u64>,
}

/// The type of something that can be imported or exported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExternType {
    /// A function of this canonical type.
    Func(TypeId),
    /// A global.
    Global(GlobalType),
    /// A table.
    Table(TableType),
    /// A memory. Of one that exists, the minimum is its current size.
    Memory(MemoryInfo),
    /// A tag of this canonical function type.
    Tag(TypeId),
}

impl ExternType {
    /// The kind in words.
    pub fn kind(&self) -> &'static str {
        match self {
            ExternType::Func(_) => "function",
            ExternType::Global(_) => "global",
            ExternType::Table(_) => "table",
            ExternType::Memory(_) => "memory",
            ExternType::Tag(_) => "tag",
        }
    }
}
