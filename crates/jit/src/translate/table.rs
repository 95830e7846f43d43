//! Tables. A slot is a 4-byte reference, or in function tables a whole [`FuncEntry`].

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};

use super::state::{FuncTranslator, constant};
use crate::abi::{Builtin, FuncEntry, TableCell, Trap};
use crate::gc::GcOp;

impl FuncTranslator<'_> {
    /// The address of table `table`'s cell, and whether the table can never grow.
    fn table_cell(&mut self, table: u32) -> (Value, i32, bool) {
        let imported = self.module.imported_tables;
        if table < imported {
            let cell = self.load_constant(types::I64, self.context, self.layout.imported_table(table));
            (cell, 0, false)
        } else {
            let info = &self.module.tables[table as usize];
            let fixed = info.maximum == Some(info.minimum);
            (self.context, self.layout.defined_table(table - imported), fixed)
        }
    }

    /// The number of slots, 64-bit.
    fn table_length(&mut self, table: u32) -> Value {
        let (cell, offset, fixed) = self.table_cell(table);
        if fixed {
            let length = self.module.tables[table as usize].minimum;
            return self.builder.ins().iconst(types::I64, length as i64);
        }
        let at = offset + core::mem::offset_of!(TableCell, length) as i32;
        self.builder.ins().load(types::I64, MemFlagsData::trusted(), cell, at)
    }

    /// An index operand of the table, 64-bit.
    fn table_index(&mut self, table: u32, index: Value) -> Value {
        if self.module.tables[table as usize].table64 { index } else { self.builder.ins().uextend(types::I64, index) }
    }

    /// The host address of a slot; `trap` when the index is out of bounds.
    pub(super) fn table_slot(&mut self, table: u32, index: Value, trap: Trap) -> Value {
        let index = self.table_index(table, index);
        let length = self.table_length(table);
        let outside = self.builder.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, length);
        self.trap_if(outside, trap);
        let (cell, offset, fixed) = self.table_cell(table);
        let at = offset + core::mem::offset_of!(TableCell, base) as i32;
        // Only a table that never grows keeps its base.
        let flags = if fixed { constant() } else { MemFlagsData::trusted() };
        let base = self.builder.ins().load(types::I64, flags, cell, at);
        let shift = if self.module.tables[table as usize].is_func { 5 } else { 2 };
        let scaled = self.builder.ins().ishl_imm_u(index, shift);
        self.builder.ins().iadd(base, scaled)
    }

    pub(super) fn table_get(&mut self, table: u32) {
        let index = self.pop();
        let slot = self.table_slot(table, index, Trap::TableOutOfBounds);
        let is_func = self.module.tables[table as usize].is_func;
        let offset = if is_func { core::mem::offset_of!(FuncEntry, id) as i32 } else { 0 };
        let value = self.builder.ins().load(types::I32, MemFlagsData::trusted(), slot, offset);
        if !is_func {
            self.gc.refs.insert(value);
        }
        self.push(value);
    }

    pub(super) fn table_set(&mut self, table: u32) {
        let (index, value) = self.pop2();
        if self.module.tables[table as usize].is_func {
            let number = self.number(table);
            let index = self.table_index(table, index);
            self.call_builtin(Builtin::TableSetFunc, &[number, index, value]);
            return;
        }
        let slot = self.table_slot(table, index, Trap::TableOutOfBounds);
        self.gc_op(GcOp::RootStore { offset: 0 }, &[slot, value]);
    }

    /// An index immediate as an operand of a builtin.
    pub(super) fn number(&mut self, number: u32) -> Value {
        self.builder.ins().iconst(types::I32, i64::from(number))
    }

    pub(super) fn table_size(&mut self, table: u32) {
        let length = self.table_length(table);
        self.push_table_index(table, length);
    }

    fn push_table_index(&mut self, table: u32, value: Value) {
        let value = if self.module.tables[table as usize].table64 {
            value
        } else {
            self.builder.ins().ireduce(types::I32, value)
        };
        self.push(value);
    }

    pub(super) fn table_grow(&mut self, table: u32) {
        let (value, delta) = self.pop2();
        let delta = self.table_index(table, delta);
        let number = self.number(table);
        let old = self.call_builtin(Builtin::TableGrow, &[number, delta, value]).expect("table.grow has a result");
        self.push_table_index(table, old);
    }

    pub(super) fn table_fill(&mut self, table: u32) {
        let (start, value, count) = self.pop3();
        let (start, count) = (self.table_index(table, start), self.table_index(table, count));
        let number = self.number(table);
        self.call_builtin(Builtin::TableFill, &[number, start, value, count]);
    }

    pub(super) fn table_copy(&mut self, to_table: u32, from_table: u32) {
        let (to, from, count) = self.pop3();
        let (to, from) = (self.table_index(to_table, to), self.table_index(from_table, from));
        // The count has the smaller of the two index types.
        let is_64 = self.builder.func.dfg.value_type(count) == types::I64;
        let count = if is_64 { count } else { self.builder.ins().uextend(types::I64, count) };
        let (to_number, from_number) = (self.number(to_table), self.number(from_table));
        self.call_builtin(Builtin::TableCopy, &[to_number, from_number, to, from, count]);
    }

    pub(super) fn table_init(&mut self, table: u32, segment: u32) {
        let (to, from, count) = self.pop3();
        let to = self.table_index(table, to);
        let (table, segment) = (self.number(table), self.number(segment));
        self.call_builtin(Builtin::TableInit, &[table, segment, to, from, count]);
    }

    pub(super) fn elem_drop(&mut self, segment: u32) {
        let segment = self.number(segment);
        self.call_builtin(Builtin::ElemDrop, &[segment]);
    }
}
