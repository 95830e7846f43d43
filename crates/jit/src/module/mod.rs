//! A module's declarations: everything but the bodies of its functions.

mod constants;
pub(crate) mod convert;
mod debug;
mod layouts;
mod names;
mod parse;
mod sections;

use heapwright_gc_heap::{ArrayLayout, FuncType, HeapType, RecGroup, RefType, StructLayout, SubType, ValType};
use rustc_hash::{FxHashMap, FxHashSet};
use std::ops::Range;

use crate::abi::{InstanceCounts, InstanceLayout};

pub use debug::DebugMap;
pub use parse::{FunctionBody, ParsedModule, parse};

/// What a module declares. Index spaces have imports first; every use of a defined type is a
/// [`TypeRef::Module`](heapwright_gc_heap::TypeRef).
#[derive(Clone, Debug, Default)]
pub struct ModuleInfo {
    /// The name in the name section.
    pub name: Option<String>,
    /// Recursion groups in order; their types concatenated are the type index space.
    pub rec_groups: Vec<RecGroup>,
    /// The type index space.
    pub types: Vec<SubType>,
    /// The types that another type of the module declares as its supertype.
    pub extended: FxHashSet<u32>,
    /// The layout of each type under the engine's header.
    pub layouts: Vec<TypeLayout>,
    /// Imports in order.
    pub imports: Vec<Import>,
    /// Type index of each function.
    pub funcs: Vec<u32>,
    /// How many functions are imported.
    pub imported_funcs: u32,
    /// Tables.
    pub tables: Vec<TableInfo>,
    /// How many tables are imported.
    pub imported_tables: u32,
    /// Memories.
    pub memories: Vec<MemoryInfo>,
    /// How many memories are imported.
    pub imported_memories: u32,
    /// Globals.
    pub globals: Vec<GlobalInfo>,
    /// How many globals are imported.
    pub imported_globals: u32,
    /// Type index of each tag.
    pub tags: Vec<u32>,
    /// How many tags are imported.
    pub imported_tags: u32,
    /// Exports in order.
    pub exports: Vec<Export>,
    /// The start function.
    pub start: Option<u32>,
    /// Element segments.
    pub elements: Vec<ElementSegment>,
    /// Data segments.
    pub data: Vec<DataSegment>,
    /// Functions that may become references (exported, in an element segment, in a `ref.func`, in a constant), in
    /// escape order.
    pub escaping: Vec<u32>,
    /// Function index to position in `escaping`.
    pub escape_index: FxHashMap<u32, u32>,
    /// Function names from the name section.
    pub func_names: FxHashMap<u32, String>,
    /// Names of types from the name section.
    pub type_names: FxHashMap<u32, String>,
    /// Whether the module can create or read GC objects or exceptions, so that a store needs a heap for it.
    pub needs_heap: bool,
}

/// A type's layout.
#[derive(Clone, Debug)]
pub enum TypeLayout {
    /// A function type has none.
    Func,
    /// A struct.
    Struct(StructLayout),
    /// An array.
    Array(ArrayLayout),
}

/// An import.
#[derive(Clone, Debug)]
pub struct Import {
    /// First name.
    pub module: String,
    /// Second name.
    pub name: String,
    /// What is imported; for functions and tags the payload is the type index, for others the index in their own space.
    pub ty: ImportType,
}

/// The kind and declaration of an import.
#[derive(Clone, Copy, Debug)]
pub enum ImportType {
    /// A function of this type index.
    Func(u32),
    /// The table with this index in [`ModuleInfo::tables`].
    Table(u32),
    /// The memory with this index.
    Memory(u32),
    /// The global with this index.
    Global(u32),
    /// A tag of this type index.
    Tag(u32),
}

/// A table's declaration.
#[derive(Clone, Debug)]
pub struct TableInfo {
    /// Element type.
    pub element: RefType,
    /// Whether the elements are function references (slots are `FuncEntry`s) rather than traced references.
    pub is_func: bool,
    /// Whether indices are 64-bit.
    pub table64: bool,
    /// Minimum number of slots.
    pub minimum: u64,
    /// Maximum number of slots.
    pub maximum: Option<u64>,
    /// Initial value of the slots; `None` means null.
    pub init: Option<ConstExpr>,
}

/// A memory's declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Whether addresses are 64-bit.
    pub memory64: bool,
    /// Minimum size in pages.
    pub minimum: u64,
    /// Maximum size in pages.
    pub maximum: Option<u64>,
    /// log2 of the page size: 16, or 0 with custom page sizes.
    pub page_size_log2: u8,
}

/// A global's declaration.
#[derive(Clone, Debug)]
pub struct GlobalInfo {
    /// Type.
    pub ty: ValType,
    /// Whether it may be written.
    pub mutable: bool,
    /// Initial value; `None` for imports.
    pub init: Option<ConstExpr>,
}

/// An export.
#[derive(Clone, Debug)]
pub struct Export {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: ExternKind,
    /// Index in the kind's space.
    pub index: u32,
}

/// The kinds of things that cross module boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExternKind {
    /// A function.
    Func,
    /// A table.
    Table,
    /// A memory.
    Memory,
    /// A global.
    Global,
    /// A tag.
    Tag,
}

/// An element segment.
#[derive(Clone, Debug)]
pub struct ElementSegment {
    /// How it is used.
    pub mode: ElementMode,
    /// Element type.
    pub ty: RefType,
    /// Whether the elements are function references.
    pub is_func: bool,
    /// The elements.
    pub items: ElementItems,
}

/// How an element segment is used.
#[derive(Clone, Debug)]
pub enum ElementMode {
    /// Copied into a table at instantiation.
    Active {
        /// The table.
        table: u32,
        /// Where.
        offset: ConstExpr,
    },
    /// Used by instructions.
    Passive,
    /// Only declares functions as referable.
    Declared,
}

/// A segment's elements.
#[derive(Clone, Debug)]
pub enum ElementItems {
    /// Function indices.
    Funcs(Vec<u32>),
    /// Constant expressions.
    Exprs(Vec<ConstExpr>),
}

impl ElementItems {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            ElementItems::Funcs(f) => f.len(),
            ElementItems::Exprs(e) => e.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A data segment.
#[derive(Clone, Debug)]
pub struct DataSegment {
    /// Memory and offset of an active segment.
    pub active: Option<(u32, ConstExpr)>,
    /// Where its bytes are in the module's bytes.
    pub bytes: Range<usize>,
}

/// A constant expression in postfix order, evaluated by a small interpreter at instantiation and never compiled.
pub type ConstExpr = Box<[ConstOp]>;

/// A constant instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ConstOp {
    /// `i32.const`
    I32(i32),
    /// `i64.const`
    I64(i64),
    /// `f32.const`, as bits
    F32(u32),
    /// `f64.const`, as bits
    F64(u64),
    /// `v128.const`, as bits
    V128(u128),
    /// `global.get`
    GlobalGet(u32),
    /// `ref.null`
    RefNull(HeapType),
    /// `ref.func`
    RefFunc(u32),
    /// `ref.i31`
    RefI31,
    /// `i32.add`
    I32Add,
    /// `i32.sub`
    I32Sub,
    /// `i32.mul`
    I32Mul,
    /// `i64.add`
    I64Add,
    /// `i64.sub`
    I64Sub,
    /// `i64.mul`
    I64Mul,
    /// `struct.new`
    StructNew(u32),
    /// `struct.new_default`
    StructNewDefault(u32),
    /// `array.new`
    ArrayNew(u32),
    /// `array.new_default`
    ArrayNewDefault(u32),
    /// `array.new_fixed` with a number of elements
    ArrayNewFixed(u32, u32),
    /// `any.convert_extern`
    AnyConvertExtern,
    /// `extern.convert_any`
    ExternConvertAny,
}

impl ModuleInfo {
    /// The function type of function `index`.
    pub fn func_type(&self, index: u32) -> &FuncType {
        self.func_type_at(self.funcs[index as usize])
    }

    /// The function type with type index `ty`.
    ///
    /// # Panics
    ///
    /// When it is not a function type: validation has excluded that.
    pub fn func_type_at(&self, ty: u32) -> &FuncType {
        match &self.types[ty as usize].composite {
            heapwright_gc_heap::CompositeType::Func(f) => f,
            other => unreachable!("type {ty} is {other:?}"),
        }
    }

    /// Whether values of this reference type are function ids rather than traced references.
    pub fn is_func_ref(&self, ty: &RefType) -> bool {
        use heapwright_gc_heap::{AbstractHeapType, CompositeType, TypeRef};
        match ty.heap {
            HeapType::Abstract(a) => matches!(a, AbstractHeapType::Func | AbstractHeapType::NoFunc),
            HeapType::Concrete(TypeRef::Module(i)) => {
                matches!(self.types[i as usize].composite, CompositeType::Func(_))
            }
            HeapType::Concrete(_) => false,
        }
    }

    /// Whether values of this type are references that the collector traces.
    pub fn is_traced(&self, ty: &ValType) -> bool {
        matches!(ty, ValType::Ref(r) if !self.is_func_ref(r))
    }

    /// The struct layout of type `ty`.
    ///
    /// # Panics
    ///
    /// When it is not a struct type.
    pub fn struct_layout(&self, ty: u32) -> &StructLayout {
        match &self.layouts[ty as usize] {
            TypeLayout::Struct(s) => s,
            other => unreachable!("type {ty} is {other:?}"),
        }
    }

    /// The array layout of type `ty`.
    ///
    /// # Panics
    ///
    /// When it is not an array type.
    pub fn array_layout(&self, ty: u32) -> ArrayLayout {
        match &self.layouts[ty as usize] {
            TypeLayout::Array(a) => *a,
            other => unreachable!("type {ty} is {other:?}"),
        }
    }

    /// Whether `ty` is a struct type that has this field, and the field never changes and is read as it was written.
    pub fn is_constant_field(&self, ty: u32, field: u32) -> bool {
        use heapwright_gc_heap::{CompositeType, StorageType};
        let CompositeType::Struct(s) = &self.types[ty as usize].composite else { return false };
        let field = s.fields.get(field as usize);
        field.is_some_and(|field| !field.mutable && matches!(field.storage, StorageType::Val(_)))
    }

    /// The counts that determine the instance layout.
    pub fn counts(&self) -> InstanceCounts {
        InstanceCounts {
            types: self.types.len() as u32,
            imported_funcs: self.imported_funcs,
            escaping_funcs: self.escaping.len() as u32,
            imported_globals: self.imported_globals,
            defined_globals: self.globals.len() as u32 - self.imported_globals,
            imported_memories: self.imported_memories,
            defined_memories: self.memories.len() as u32 - self.imported_memories,
            imported_tables: self.imported_tables,
            defined_tables: self.tables.len() as u32 - self.imported_tables,
            tags: self.tags.len() as u32,
        }
    }

    /// The layout of this module's instance contexts.
    pub fn instance_layout(&self) -> InstanceLayout {
        InstanceLayout::new(self.counts())
    }
}
