//! Everything that an instance needs memory for, taken before the store knows of the instance: when something cannot be
//! had, dropping the parts gives back what was.

use super::Block;
use crate::store::{Memory, Table};
use crate::{InstantiateError, LoadedModule, Store};

/// The memory of an instance that is being made.
pub(super) struct Parts {
    pub(super) block: Block,
    pub(super) memories: Vec<Memory>,
    pub(super) tables: Vec<Table>,
}

impl Store {
    /// Takes what the instances of a module need. When this fails, nothing has changed.
    pub(super) fn allocate_parts(&mut self, module: &LoadedModule) -> Result<Parts, InstantiateError> {
        let info = module.info();
        if info.needs_heap {
            self.heap()?;
        }
        let block = Block::new(self.state.runtime.allocator(), module.compiled().layout.size())?;
        let mut parts = Parts { block, memories: Vec::new(), tables: Vec::new() };
        // Most programs have one instance, for which copying is cheaper than making an image first.
        let copy = module.first_instance() && !self.state.runtime.allocator().is_pool();
        for (n, &memory) in info.memories[info.imported_memories as usize..].iter().enumerate() {
            let image = if copy { None } else { module.image(n) };
            parts.memories.push(self.state.allocate_memory(memory, image, Some(n))?);
        }
        for (n, table) in (info.imported_tables..info.tables.len() as u32).enumerate() {
            parts.tables.push(self.state.allocate_table(module.table_type(table), Some(n))?);
        }
        self.state.funcs.reserve(info.escaping.len())?;
        Ok(parts)
    }
}
