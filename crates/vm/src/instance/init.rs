//! Instantiation.

use super::allocate::Parts;
use super::{Block, Instance, Segment, link};
use crate::store::{CellBox, Memory, Table};
use crate::{CallError, Extern, GlobalId, InstanceId, InstantiateError, LoadedModule, Store, TagId};
use heapwright_gc_heap::{MemoryError, Value};
use heapwright_jit::abi::{FuncEntry, FuncImport, InstanceLayout, Trap};
use heapwright_jit::module::{ElementItems, ElementMode};
use std::sync::Arc;

impl Store {
    /// Instantiates a module: links `imports` (one per import, in order), initialises, runs the start function.
    ///
    /// # Errors
    ///
    /// [`InstantiateError`].
    ///
    /// # Panics
    ///
    /// When the module belongs to another runtime.
    pub fn instantiate(
        &mut self,
        module: &Arc<LoadedModule>,
        imports: &[Extern],
    ) -> Result<InstanceId, InstantiateError> {
        assert!(Arc::ptr_eq(module.runtime(), self.runtime()), "the module belongs to another runtime");
        link::check(self, module, imports)?;
        self.state.check_count("instances", self.state.instances.len(), |limiter| limiter.instances())?;
        let Parts { block, memories, tables } = self.allocate_parts(module)?;
        let id = self.new_instance(module, imports, block);
        self.define_cells(id, module, memories, tables);
        let funcs = self.link_functions(id, module, imports)?;
        let initialised = self.initialise(id, module);
        if let Err(e) = &initialised {
            self.state.note(e);
        }
        initialised?;
        if let Some(start) = module.info().start {
            let FuncImport { code, context } = funcs.of(self, id, module, start);
            let ty = module.info().funcs[start as usize];
            let (ty, signature) = (module.type_id(ty), module.signature_id(ty));
            // SAFETY: the function is the module's own or one that linked with this type, with its context.
            unsafe { self.call_raw(code, context, ty, signature, &mut []) }?;
        }
        Ok(id)
    }

    /// Makes the instance with its block's constant part. From here on it is there, even if initialisation fails: what
    /// it wrote into imported tables may refer to it.
    fn new_instance(&mut self, module: &Arc<LoadedModule>, imports: &[Extern], block: Block) -> InstanceId {
        let state = &mut self.state;
        let (info, layout) = (module.info(), &module.compiled().layout);
        let id = InstanceId(state.instances.len() as u32);
        block.write(InstanceLayout::STORE, state.context());
        block.write(InstanceLayout::HEAP_BASE, state.heap_base);
        block.write(InstanceLayout::TYPE_SPACE, state.runtime.types().space().base());
        block.write(InstanceLayout::BUILTINS, state.runtime.builtin_table());
        block.write(InstanceLayout::FUNC_TABLE, state.funcs.base());
        block.write(InstanceLayout::INSTANCE, id.0 as usize);
        for ty in 0..info.types.len() as u32 {
            block.write(layout.type_word(ty), module.type_id(ty).0);
            block.write(layout.signature_id(ty), module.signature_id(ty));
        }
        let mut tags: Vec<TagId> = Vec::new();
        let (mut globals, mut tables, mut memories) = (Vec::new(), Vec::new(), Vec::new());
        for import in imports.iter().take(info.imports.len()) {
            match *import {
                Extern::Func(_) => {}
                Extern::Global(g) => {
                    let cell = state.globals[g.0 as usize].cell.as_ptr();
                    block.write(layout.imported_global(globals.len() as u32), cell);
                    globals.push(g);
                }
                Extern::Table(t) => {
                    let cell = state.tables[t.0 as usize].cell();
                    block.write(layout.imported_table(tables.len() as u32), cell);
                    tables.push(t);
                }
                Extern::Memory(m) => {
                    let cell = state.memories[m.0 as usize].cell();
                    block.write(layout.imported_memory(memories.len() as u32), cell);
                    memories.push(m);
                }
                Extern::Tag(t) => tags.push(t),
            }
        }
        for (tag, &ty) in info.tags.iter().enumerate() {
            let exception = module.exception_type(tag as u32);
            if tag >= tags.len() {
                state.tags.push((module.type_id(ty), exception));
                tags.push(TagId(state.tags.len() as u32 - 1));
            }
            block.write(layout.exception_type(tag as u32), exception.0);
            block.write(layout.tag_id(tag as u32), tags[tag].0);
        }
        let elements = info.elements.iter().map(|e| Segment { values: Vec::new(), traced: !e.is_func });
        state.instances.push(Instance {
            module: module.clone(),
            block,
            imported_globals: globals.into(),
            imported_tables: tables.into(),
            imported_memories: memories.into(),
            first_global: state.globals.len() as u32,
            first_table: state.tables.len() as u32,
            first_memory: state.memories.len() as u32,
            tags: tags.into(),
            elements: elements.collect(),
            dropped_data: vec![false; info.data.len()].into(),
        });
        id
    }

    /// Gives the instance its memories, tables and globals; tables are null and globals zero.
    fn define_cells(&mut self, id: InstanceId, module: &LoadedModule, memories: Vec<Memory>, tables: Vec<Table>) {
        let (info, layout) = (module.info(), &module.compiled().layout);
        let i = id.0 as usize;
        for (n, mut memory) in memories.into_iter().enumerate() {
            let place = self.state.instances[i].block.place(layout.defined_memory(n as u32));
            memory.set_cell(CellBox::in_block(place));
            self.state.memories.push(memory);
        }
        for (n, mut table) in tables.into_iter().enumerate() {
            let place = self.state.instances[i].block.place(layout.defined_table(n as u32));
            table.set_cell(CellBox::in_block(place));
            self.state.tables.push(table);
        }
        self.state.globals.reserve(info.globals.len() - info.imported_globals as usize);
        for (n, global) in (info.imported_globals..info.globals.len() as u32).enumerate() {
            let place = self.state.instances[i].block.place(layout.defined_global(n as u32));
            self.state.push_global(module.global_type(global), CellBox::in_block(place));
        }
    }

    /// Writes the imported functions into the block and gives ids to the functions that may become references.
    fn link_functions(
        &mut self,
        id: InstanceId,
        module: &LoadedModule,
        imports: &[Extern],
    ) -> Result<Imported, InstantiateError> {
        let (info, layout) = (module.info(), &module.compiled().layout);
        let state = &mut self.state;
        let i = id.0 as usize;
        let mut imported = Vec::with_capacity(info.imported_funcs as usize);
        for import in imports {
            let Extern::Func(func) = *import else { continue };
            let entry = state.import_func(func, id).ok_or_else(|| MemoryError("a function vanished".into()))?;
            let FuncEntry { code, context, .. } = entry;
            state.instances[i].block.write(layout.imported_func(imported.len() as u32), FuncImport { code, context });
            imported.push(entry);
        }
        let context = state.instances[i].block.as_ptr();
        for (position, &func) in info.escaping.iter().enumerate() {
            let ref_id = match imported.get(func as usize) {
                // An id that exists already names exactly this function.
                Some(entry) if entry.id != 0 => entry.id,
                Some(&entry) => state.push_func(entry)?.0,
                None => {
                    let ty = info.funcs[func as usize];
                    let entry = FuncEntry {
                        code: module.code_of(func - info.imported_funcs),
                        context,
                        type_word: module.type_id(ty).0,
                        signature: module.signature_id(ty),
                        id: 0,
                        reserved: 0,
                    };
                    state.push_func(entry)?.0
                }
            };
            state.instances[i].block.write(layout.func_id(position as u32), ref_id);
        }
        Ok(Imported(imported))
    }

    /// Runs the initialisers in the order of the specification.
    fn initialise(&mut self, id: InstanceId, module: &LoadedModule) -> Result<(), CallError> {
        let info = module.info();
        let i = id.0 as usize;
        for (global, declared) in info.globals.iter().enumerate() {
            if let Some(init) = &declared.init {
                let value = self.evaluate(id, module, init)?;
                let GlobalId(global) = self.state.instances[i].global(global as u32);
                self.global_set(GlobalId(global), value)?;
            }
        }
        for (table, declared) in info.tables.iter().enumerate() {
            if let Some(init) = &declared.init {
                let value = self.evaluate(id, module, init)?;
                let table = self.state.instances[i].table(table as u32);
                self.table_fill(table, 0, value, self.table_size(table))?;
            }
        }
        for (segment, declared) in info.elements.iter().enumerate() {
            if !matches!(declared.mode, ElementMode::Declared) {
                self.evaluate_segment(id, module, segment, &declared.items)?;
            }
        }
        for (segment, declared) in info.elements.iter().enumerate() {
            if let ElementMode::Active { table, offset } = &declared.mode {
                let at = address(self.evaluate(id, module, offset)?);
                let count = declared.items.len() as u64;
                self.table_init(id, *table, segment as u32, at, 0, count)?;
                self.elem_drop(id, segment as u32);
            }
        }
        for (segment, declared) in info.data.iter().enumerate() {
            if let Some((memory, offset)) = &declared.active {
                // A memory that came with its initial contents has those of all its segments.
                let target = self.state.instances[i].memory(*memory).0 as usize;
                if *memory < info.imported_memories || !self.state.memories[target].is_initialised() {
                    let at = address(self.evaluate(id, module, offset)?);
                    let count = declared.bytes.len() as u64;
                    self.memory_init(id, *memory, segment as u32, at, 0, count)?;
                }
                self.data_drop(id, segment as u32);
            }
        }
        Ok(())
    }

    /// Evaluates an element segment. The values are roots as they come into being.
    fn evaluate_segment(
        &mut self,
        id: InstanceId,
        module: &LoadedModule,
        segment: usize,
        items: &ElementItems,
    ) -> Result<(), CallError> {
        let i = id.0 as usize;
        self.state.instances[i].elements[segment].values.reserve(items.len());
        match items {
            ElementItems::Funcs(funcs) => {
                let instance = &mut self.state.instances[i];
                let values: Vec<u32> = funcs.iter().map(|&f| instance.func_ref(f)).collect();
                instance.elements[segment].values = values;
            }
            ElementItems::Exprs(exprs) => {
                for expr in exprs {
                    let value = match self.evaluate(id, module, expr)? {
                        Value::Ref(reference) => reference.raw(),
                        Value::Func(func) => func,
                        _ => return Err(CallError::trap(Trap::Internal)),
                    };
                    self.state.instances[i].elements[segment].values.push(value);
                }
            }
        }
        Ok(())
    }
}

/// The imported functions as the instance calls them.
struct Imported(Vec<FuncEntry>);

impl Imported {
    /// Code and context of any function of the module.
    fn of(&self, store: &Store, id: InstanceId, module: &LoadedModule, func: u32) -> FuncImport {
        match self.0.get(func as usize) {
            Some(entry) => FuncImport { code: entry.code, context: entry.context },
            None => FuncImport {
                code: module.code_of(func - self.0.len() as u32),
                context: store.state.instances[id.0 as usize].block.as_ptr(),
            },
        }
    }
}

/// An offset of an active segment: 32-bit ones are unsigned.
fn address(value: Value) -> u64 {
    match value {
        Value::I32(v) => v.into(),
        Value::I64(v) => v,
        _ => u64::MAX,
    }
}
