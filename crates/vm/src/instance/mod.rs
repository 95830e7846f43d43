//! Instances: the context blocks of compiled code and what the vm keeps beside them.

mod allocate;
mod block;
mod const_expr;
mod init;
mod link;
mod segments;

pub(crate) use block::Block;
pub(crate) use segments::part;

use crate::{GlobalId, LoadedModule, MemoryId, TableId, TagId};
use std::sync::Arc;

/// An instance.
pub(crate) struct Instance {
    pub(crate) module: Arc<LoadedModule>,
    pub(crate) block: Block,
    imported_globals: Box<[GlobalId]>,
    imported_tables: Box<[TableId]>,
    imported_memories: Box<[MemoryId]>,
    /// Ids of the first defined global, table and memory; the others follow.
    first_global: u32,
    first_table: u32,
    first_memory: u32,
    pub(crate) tags: Box<[TagId]>,
    /// Element segments; dropped ones are empty.
    pub(crate) elements: Box<[Segment]>,
    dropped_data: Box<[bool]>,
}

/// An evaluated element segment.
#[derive(Default)]
pub(crate) struct Segment {
    /// Reference bits or function ids.
    pub(crate) values: Vec<u32>,
    /// Whether the values are references that the collector traces.
    pub(crate) traced: bool,
}

impl Instance {
    /// The global with this index in the module.
    pub(crate) fn global(&self, index: u32) -> GlobalId {
        indexed(&self.imported_globals, index, |defined| GlobalId(self.first_global + defined))
    }

    /// The table with this index in the module.
    pub(crate) fn table(&self, index: u32) -> TableId {
        indexed(&self.imported_tables, index, |defined| TableId(self.first_table + defined))
    }

    /// The memory with this index in the module.
    pub(crate) fn memory(&self, index: u32) -> MemoryId {
        indexed(&self.imported_memories, index, |defined| MemoryId(self.first_memory + defined))
    }

    /// The function reference of a function that may become one; 0 for others.
    pub(crate) fn func_ref(&self, func: u32) -> u32 {
        match self.module.info().escape_index.get(&func) {
            Some(&position) => self.block.read_u32(self.module.compiled().layout.func_id(position)),
            None => 0,
        }
    }
}

fn indexed<T: Copy>(imported: &[T], index: u32, defined: impl FnOnce(u32) -> T) -> T {
    match imported.get(index as usize) {
        Some(&item) => item,
        None => defined(index - imported.len() as u32),
    }
}
