//! The instance context: what a compiled function finds behind its first argument.
//!
//! ```text
//!  0 store *StoreContext       8 heap base         16 type space base      24 builtin stub table
//! 32 function table base      40 the vm's instance (opaque)                48 reserved ×2
//! 64 … arrays, each aligned to its element, in this order:
//!    defined globals (16) · defined memories (16) · defined tables (16) · imported functions (16)
//!    imported globals (8, *GlobalCell) · imported memories (8, *MemoryCell) · imported tables (8, *TableCell)
//!    type words (4, by module type index) · signature ids (4, by type index; 0 unless a function type)
//!    exception type words (4, by tag index) · tag ids (4, by tag index) · function ids (4, by escape index)
//!    dropped-segment flags are the vm's business
//! ```
//!
//! All fields but globals' contents and the memory and table cells are constant once the instance runs.

/// How many of each thing a module has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InstanceCounts {
    /// Types.
    pub types: u32,
    /// Imported functions.
    pub imported_funcs: u32,
    /// Functions that `ref.func` or an element segment or an export may turn into references, in escape order.
    pub escaping_funcs: u32,
    /// Imported globals.
    pub imported_globals: u32,
    /// Defined globals.
    pub defined_globals: u32,
    /// Imported memories.
    pub imported_memories: u32,
    /// Defined memories.
    pub defined_memories: u32,
    /// Imported tables.
    pub imported_tables: u32,
    /// Defined tables.
    pub defined_tables: u32,
    /// Tags, imported ones first.
    pub tags: u32,
}

/// Byte offsets in an instance context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceLayout {
    /// The counts it was computed from.
    pub counts: InstanceCounts,
    defined_globals: u32,
    defined_memories: u32,
    defined_tables: u32,
    imported_funcs: u32,
    imported_globals: u32,
    imported_memories: u32,
    imported_tables: u32,
    type_words: u32,
    signature_ids: u32,
    exception_types: u32,
    tag_ids: u32,
    func_ids: u32,
    size: u32,
}

#[allow(
    clippy::missing_panics_doc,
    reason = "each panics for an index out of its count, and says so in one place: `at`"
)]
impl InstanceLayout {
    /// Offset of the `*mut StoreContext`.
    pub const STORE: i32 = 0;
    /// Offset of the heap's base address (null when the store has no heap).
    pub const HEAP_BASE: i32 = 8;
    /// Offset of the type space's base address.
    pub const TYPE_SPACE: i32 = 16;
    /// Offset of the pointer to the builtin stub table, an array of code addresses indexed by `Builtin`.
    pub const BUILTINS: i32 = 24;
    /// Offset of the function table's base address, an array of `FuncEntry`.
    pub const FUNC_TABLE: i32 = 32;
    /// Offset of the vm's own pointer.
    pub const INSTANCE: i32 = 40;

    /// Lays out a context.
    pub fn new(counts: InstanceCounts) -> InstanceLayout {
        let mut end = 64u32;
        let mut array = |count: u32, size: u32| {
            let start = end.next_multiple_of(size);
            end = start + count * size;
            start
        };
        let c = &counts;
        let defined_globals = array(c.defined_globals, 16);
        let defined_memories = array(c.defined_memories, 16);
        let defined_tables = array(c.defined_tables, 16);
        let imported_funcs = array(c.imported_funcs, 16);
        let imported_globals = array(c.imported_globals, 8);
        let imported_memories = array(c.imported_memories, 8);
        let imported_tables = array(c.imported_tables, 8);
        let type_words = array(c.types, 4);
        let signature_ids = array(c.types, 4);
        let exception_types = array(c.tags, 4);
        let tag_ids = array(c.tags, 4);
        let func_ids = array(c.escaping_funcs, 4);
        InstanceLayout {
            counts,
            defined_globals,
            defined_memories,
            defined_tables,
            imported_funcs,
            imported_globals,
            imported_memories,
            imported_tables,
            type_words,
            signature_ids,
            exception_types,
            tag_ids,
            func_ids,
            size: end.next_multiple_of(16),
        }
    }

    /// Size in bytes, a multiple of 16.
    pub fn size(&self) -> u32 {
        self.size
    }
    /// Offset of defined global `i`'s [`GlobalCell`](super::GlobalCell) (`i` counts defined globals only).
    pub fn defined_global(&self, i: u32) -> i32 {
        at(self.defined_globals, i, self.counts.defined_globals, 16)
    }
    /// Offset of defined memory `i`'s [`MemoryCell`](super::MemoryCell).
    pub fn defined_memory(&self, i: u32) -> i32 {
        at(self.defined_memories, i, self.counts.defined_memories, 16)
    }
    /// Offset of defined table `i`'s [`TableCell`](super::TableCell).
    pub fn defined_table(&self, i: u32) -> i32 {
        at(self.defined_tables, i, self.counts.defined_tables, 16)
    }
    /// Offset of imported function `i`'s [`FuncImport`](super::FuncImport).
    pub fn imported_func(&self, i: u32) -> i32 {
        at(self.imported_funcs, i, self.counts.imported_funcs, 16)
    }
    /// Offset of the pointer to imported global `i`'s cell.
    pub fn imported_global(&self, i: u32) -> i32 {
        at(self.imported_globals, i, self.counts.imported_globals, 8)
    }
    /// Offset of the pointer to imported memory `i`'s cell.
    pub fn imported_memory(&self, i: u32) -> i32 {
        at(self.imported_memories, i, self.counts.imported_memories, 8)
    }
    /// Offset of the pointer to imported table `i`'s cell.
    pub fn imported_table(&self, i: u32) -> i32 {
        at(self.imported_tables, i, self.counts.imported_tables, 8)
    }
    /// Offset of the type word of module type `i`.
    pub fn type_word(&self, i: u32) -> i32 {
        at(self.type_words, i, self.counts.types, 4)
    }
    /// Offset of the ABI signature id of module type `i`.
    pub fn signature_id(&self, i: u32) -> i32 {
        at(self.signature_ids, i, self.counts.types, 4)
    }
    /// Offset of the exception type word of tag `i`.
    pub fn exception_type(&self, i: u32) -> i32 {
        at(self.exception_types, i, self.counts.tags, 4)
    }
    /// Offset of the store-wide id of tag `i`.
    pub fn tag_id(&self, i: u32) -> i32 {
        at(self.tag_ids, i, self.counts.tags, 4)
    }
    /// Offset of the function id of escaping function number `i`.
    pub fn func_id(&self, i: u32) -> i32 {
        at(self.func_ids, i, self.counts.escaping_funcs, 4)
    }
}

fn at(start: u32, i: u32, count: u32, size: u32) -> i32 {
    assert!(i < count, "index {i} out of {count}");
    (start + i * size) as i32
}
