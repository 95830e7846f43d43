//! Tables.

use super::{CellBox, Store, StoreState};
use crate::pool::{ClearedSlot, Taken, faults};
use crate::{CallError, InstantiateError, TableId, TableType};
use heapwright_gc_heap::{GcRef, HeapType, MemoryError, TypeId, TypeRef, Value};
use heapwright_jit::abi::{FuncEntry, TableCell, Trap};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::{copy, copy_nonoverlapping};

/// Slots that a table can have.
const MAX_SLOTS: u64 = 10_000_000;

/// A table.
///
/// Invariant (kept by this module): the cell's base is `slots`, its length is at most `capacity`, slots at and beyond
/// the length are null, and every non-null entry of a function table whose element type is concrete has a subtype of
/// it.
pub(crate) struct Table {
    slots: *mut u8,
    capacity: u64,
    cell: CellBox<TableCell>,
    ty: TableType,
    is_func: bool,
    /// Whose memory the slots are; our own when `None`. Then the capacity is fixed.
    pooled: Option<Taken<ClearedSlot>>,
}

impl Table {
    fn new(ty: TableType, is_func: bool, pooled: Option<(Taken<ClearedSlot>, u64)>) -> Result<Table, MemoryError> {
        let cell = CellBox::new(TableCell { base: core::ptr::null_mut(), length: 0 });
        let (slots, capacity, pooled) = match pooled {
            Some((slot, capacity)) => (slot.mapping.base(), capacity, Some(slot)),
            None => (core::ptr::null_mut(), 0, None),
        };
        let mut table = Table { slots, capacity, cell, ty, is_func, pooled };
        table.resize(ty.minimum)?;
        Ok(table)
    }

    /// Moves the cell into an instance's block.
    pub(crate) fn set_cell(&mut self, cell: CellBox<TableCell>) {
        // SAFETY: both cells are alive, and no compiled code knows this table yet.
        unsafe { *cell.as_ptr() = *self.cell.as_ptr() };
        self.cell = cell;
    }

    pub(crate) fn cell(&self) -> *mut TableCell {
        self.cell.as_ptr()
    }

    pub(crate) fn is_func(&self) -> bool {
        self.is_func
    }

    pub(crate) fn len(&self) -> u64 {
        // SAFETY: the cell is alive as long as the table, and written only by this module.
        unsafe { (*self.cell.as_ptr()).length }
    }

    fn layout(&self, slots: u64) -> Layout {
        let size = if self.is_func { size_of::<FuncEntry>() } else { 4 };
        // At most `MAX_SLOTS` slots: no overflow.
        Layout::from_size_align(size * slots as usize, 16).expect("a table's size is bounded")
    }

    /// Makes the table `len` slots long; new ones are null. Never shrinks.
    fn resize(&mut self, len: u64) -> Result<(), MemoryError> {
        if len > MAX_SLOTS {
            return Err(MemoryError(format!("a table of {len} slots is too large: {MAX_SLOTS} are the most")));
        }
        if let Some(slot) = &mut self.pooled {
            if len > self.capacity {
                return Err(MemoryError(format!(
                    "a table of {len} slots is too large: the pool's have {}",
                    self.capacity
                )));
            }
            let size = if self.is_func { size_of::<FuncEntry>() } else { 4 };
            slot.used = slot.used.max(len as usize * size);
        } else if len > self.capacity || self.slots.is_null() {
            faults::point()?;
            let capacity = len.max(self.capacity * 2).clamp(4, MAX_SLOTS);
            let layout = self.layout(capacity);
            // SAFETY: the layout is not empty. The old slots are `self.len()` long at most `capacity`, and nobody else
            // points at them but the cell.
            unsafe {
                let slots = alloc_zeroed(layout);
                if slots.is_null() {
                    return Err(MemoryError(format!("no memory for a table of {len} slots")));
                }
                if !self.slots.is_null() {
                    copy_nonoverlapping(self.slots, slots, self.layout(self.len()).size());
                    dealloc(self.slots, self.layout(self.capacity));
                }
                (self.slots, self.capacity) = (slots, capacity);
            }
        }
        // SAFETY: the cell is alive, and compiled code stands still.
        unsafe { *self.cell.as_ptr() = TableCell { base: self.slots, length: len } };
        Ok(())
    }

    /// The slots of a table of references; empty for a function table.
    pub(crate) fn traced_slots(&mut self) -> &mut [GcRef] {
        let len = if self.is_func { 0 } else { self.len() as usize };
        // SAFETY: the type's invariant; `&mut self`, and compiled code stands still.
        unsafe { core::slice::from_raw_parts_mut(self.slots.cast(), len) }
    }

    /// The slots of a function table; empty for a table of references.
    fn func_slots(&mut self) -> &mut [FuncEntry] {
        let len = if self.is_func { self.len() as usize } else { 0 };
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(self.slots.cast(), len) }
    }

    fn get(&self, index: u64) -> Option<Value> {
        if index >= self.len() {
            return None;
        }
        // SAFETY: the type's invariant.
        Some(unsafe {
            if self.is_func {
                Value::Func((*self.slots.cast::<FuncEntry>().add(index as usize)).id)
            } else {
                Value::Ref(*self.slots.cast::<GcRef>().add(index as usize))
            }
        })
    }

    /// `[start, start + count)` as indices, if it is in bounds.
    fn range(&self, start: u64, count: u64) -> Result<core::ops::Range<usize>, Trap> {
        let end = start.checked_add(count).filter(|&end| end <= self.len()).ok_or(Trap::TableOutOfBounds)?;
        Ok(start as usize..end as usize)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if self.pooled.is_none() && !self.slots.is_null() {
            // SAFETY: allocated by `resize` with this layout.
            unsafe { dealloc(self.slots, self.layout(self.capacity)) };
        }
    }
}

#[allow(clippy::missing_errors_doc, reason = "each error type tells its kinds where it is declared")]
impl Store {
    /// A table of `ty.minimum` slots. Types in `ty` must be kept alive ([`Store::retain_types`]).
    pub fn table_new(&mut self, ty: TableType, init: Value) -> Result<TableId, InstantiateError> {
        let id = self.table_empty(ty)?;
        if !matches!(init, Value::Ref(GcRef::NULL) | Value::Func(0)) {
            self.table_fill(id, 0, init, ty.minimum).map_err(|t| InstantiateError::Call(t.into()))?;
        }
        Ok(id)
    }

    /// A table whose slots are null.
    fn table_empty(&mut self, ty: TableType) -> Result<TableId, InstantiateError> {
        let table = self.state.allocate_table(ty, None)?;
        self.state.tables.push(table);
        Ok(TableId(self.state.tables.len() as u32 - 1))
    }

    /// A table's type with its current size as minimum.
    pub fn table_type(&self, table: TableId) -> TableType {
        let table = &self.state.tables[table.0 as usize];
        TableType { minimum: table.len(), ..table.ty }
    }

    /// Number of slots.
    pub fn table_size(&self, table: TableId) -> u64 {
        self.state.tables[table.0 as usize].len()
    }

    /// A slot's value ([`Value::Func`] or [`Value::Ref`]).
    pub fn table_get(&self, table: TableId, index: u64) -> Option<Value> {
        self.state.tables[table.0 as usize].get(index)
    }

    /// Writes a slot.
    pub fn table_set(&mut self, table: TableId, index: u64, value: Value) -> Result<(), Trap> {
        self.table_fill(table, index, value, 1)
    }

    /// Grows a table and returns the old size; `None` when refused.
    pub fn table_grow(&mut self, table: TableId, delta: u64, value: Value) -> Result<Option<u64>, CallError> {
        let state = &mut self.state;
        let ty = state.tables[table.0 as usize].ty;
        let old = state.tables[table.0 as usize].len();
        let limit = ty.maximum.unwrap_or(u64::MAX).min(MAX_SLOTS);
        let len = old.saturating_add(delta);
        if !state.table_may_grow(&ty, old, len)? {
            return Ok(None);
        }
        if len > limit || state.tables[table.0 as usize].resize(len).is_err() {
            if let Some(limiter) = &state.limiter {
                limiter.get().table_grow_failed().map_err(CallError::host)?;
            }
            return Ok(None);
        }
        self.table_fill(table, old, value, delta)?;
        Ok(Some(old))
    }

    /// `table.fill`.
    pub fn table_fill(&mut self, table: TableId, start: u64, value: Value, count: u64) -> Result<(), Trap> {
        let i = table.0 as usize;
        let range = self.state.tables[i].range(start, count)?;
        match value {
            Value::Func(id) if self.state.tables[i].is_func => {
                let entry = self.state.table_entry(table, id)?;
                self.state.tables[i].func_slots()[range].fill(entry);
            }
            Value::Ref(reference) if !self.state.tables[i].is_func => {
                if self.has_root_barrier() {
                    for slot in range.clone() {
                        let old = self.state.tables[i].traced_slots()[slot];
                        self.root_barrier(old, reference).map_err(|_| Trap::HeapCorrupted)?;
                        self.state.tables[i].traced_slots()[slot] = reference;
                    }
                } else {
                    self.state.tables[i].traced_slots()[range].fill(reference);
                }
            }
            // Only a caller that has not checked types comes here.
            _ => return Err(Trap::Internal),
        }
        Ok(())
    }

    /// `table.copy`.
    pub fn table_copy(&mut self, to: TableId, at: u64, from: TableId, start: u64, count: u64) -> Result<(), Trap> {
        let (t, f) = (to.0 as usize, from.0 as usize);
        let source = self.state.tables[f].range(start, count)?;
        let target = self.state.tables[t].range(at, count)?;
        let is_func = self.state.tables[t].is_func;
        if is_func != self.state.tables[f].is_func {
            return Err(Trap::Internal);
        }
        if is_func || !self.has_root_barrier() {
            let size = if is_func { size_of::<FuncEntry>() } else { 4 };
            // SAFETY: both ranges are in bounds; they may overlap, which `copy` allows.
            unsafe {
                let from = self.state.tables[f].slots.add(source.start * size);
                let to = self.state.tables[t].slots.add(target.start * size);
                copy(from, to, source.len() * size);
            }
            return Ok(());
        }
        let forward = target.start <= source.start;
        for i in 0..source.len() {
            let i = if forward { i } else { source.len() - 1 - i };
            let new = self.state.tables[f].traced_slots()[source.start + i];
            let old = self.state.tables[t].traced_slots()[target.start + i];
            self.root_barrier(old, new).map_err(|_| Trap::HeapCorrupted)?;
            self.state.tables[t].traced_slots()[target.start + i] = new;
        }
        Ok(())
    }

    /// `table.init` from raw values (reference bits or function ids).
    pub(crate) fn table_write(&mut self, table: TableId, at: u64, values: &[u32]) -> Result<(), Trap> {
        let i = table.0 as usize;
        let target = self.state.tables[i].range(at, values.len() as u64)?;
        if self.state.tables[i].is_func {
            for (slot, &id) in target.zip(values) {
                let entry = self.state.table_entry(table, id)?;
                self.state.tables[i].func_slots()[slot] = entry;
            }
            return Ok(());
        }
        for (slot, &value) in target.zip(values) {
            let new = GcRef::from_raw(value);
            let old = self.state.tables[i].traced_slots()[slot];
            self.root_barrier(old, new).map_err(|_| Trap::HeapCorrupted)?;
            self.state.tables[i].traced_slots()[slot] = new;
        }
        Ok(())
    }
}

impl StoreState {
    /// A table that the store does not know of yet, nor of `beside` others; without these it is the host's own. Its
    /// slots are null.
    pub(crate) fn allocate_table(&mut self, ty: TableType, beside: Option<usize>) -> Result<Table, InstantiateError> {
        let count = self.tables.len() + beside.unwrap_or(0);
        self.check_count("tables", count, |limiter| limiter.tables())?;
        if !self.table_may_grow(&ty, 0, ty.minimum)? {
            return Err(InstantiateError::Resource(format!("table of {} slots refused by the limiter", ty.minimum)));
        }
        let slot = if beside.is_some() { self.runtime.allocator().table()? } else { None };
        Ok(Table::new(ty, self.is_func_ref(&ty.element), slot)?)
    }

    /// The entry that a function table holds for a function id. Ids come from wherever the guest keeps references, a
    /// corrupted heap included, and compiled code trusts the types of what a typed table holds: so they are checked
    /// here.
    fn table_entry(&self, table: TableId, id: u32) -> Result<FuncEntry, Trap> {
        let element = &self.tables[table.0 as usize].ty.element;
        if id == 0 && element.nullable {
            return Ok(FuncEntry::NULL);
        }
        let entry = self.func_entry(id).ok_or(Trap::ForgedFunctionReference)?;
        match element.heap {
            HeapType::Concrete(TypeRef::Canonical(ty))
                if !self.runtime.types().is_subtype(TypeId(entry.type_word), ty) =>
            {
                Err(Trap::ForgedFunctionReference)
            }
            _ => Ok(entry),
        }
    }

    fn table_may_grow(&self, ty: &TableType, current: u64, desired: u64) -> Result<bool, CallError> {
        let Some(limiter) = &self.limiter else { return Ok(true) };
        limiter.get().table_growing(current, desired, ty.maximum).map_err(CallError::host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapwright_gc_heap::{AbstractHeapType, RefType};

    #[test]
    fn tables_keep_their_slots_when_they_grow() {
        let element = RefType { nullable: true, heap: HeapType::Abstract(AbstractHeapType::Any) };
        let ty = TableType { element, table64: false, minimum: 3, maximum: None };
        let mut table = Table::new(ty, false, None).unwrap();
        table.traced_slots()[2] = GcRef::from_raw(64);
        table.resize(1000).unwrap();
        assert_eq!(table.get(2), Some(Value::Ref(GcRef::from_raw(64))));
        assert_eq!((table.get(999), table.get(1000)), (Some(Value::Ref(GcRef::NULL)), None));
        assert!(table.func_slots().is_empty() && table.resize(1 << 40).is_err());
        assert_eq!(table.range(1000, 0), Ok(1000..1000));
        assert_eq!(table.range(u64::MAX, 1), Err(Trap::TableOutOfBounds));
        let mut funcs = Table::new(TableType { minimum: 0, ..ty }, true, None).unwrap();
        assert!(funcs.func_slots().is_empty() && funcs.traced_slots().is_empty());
    }
}
