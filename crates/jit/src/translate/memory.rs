//! Linear memory: addresses and bulk operations; and globals.
//!
//! A 32-bit memory with 64 KiB pages is followed by a guard, so an access whose constant offset is smaller than the
//! guard needs no check: the fault is the trap. All others compare with the current length.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Endianness, InstBuilder, MemFlagsData, Value, types};
use heapwright_gc_heap::ValType;
use wasmparser::{MemArg, MemArgTarget};

use super::state::{FuncTranslator, constant};
use crate::abi::{Builtin, Kind, MemoryCell, Trap};
use crate::gc::GcOp;

/// The memory that an access names.
fn memory_of(memarg: &MemArg) -> u32 {
    match memarg.target {
        MemArgTarget::Memory(index) => index,
        MemArgTarget::Array(_) => unreachable!("array memory operands are not accepted by validation"),
    }
}

impl FuncTranslator<'_> {
    fn memory_cell(&mut self, memory: u32) -> (Value, i32) {
        let imported = self.module.imported_memories;
        if memory < imported {
            (self.load_constant(types::I64, self.context, self.layout.imported_memory(memory)), 0)
        } else {
            (self.context, self.layout.defined_memory(memory - imported))
        }
    }

    fn memory_length(&mut self, memory: u32) -> Value {
        let (cell, offset) = self.memory_cell(memory);
        let at = offset + core::mem::offset_of!(MemoryCell, length) as i32;
        self.builder.ins().load(types::I64, MemFlagsData::trusted(), cell, at)
    }

    /// An address or length operand of the memory, 64-bit.
    fn memory_index(&mut self, memory: u32, index: Value) -> Value {
        if self.module.memories[memory as usize].memory64 {
            index
        } else {
            self.builder.ins().uextend(types::I64, index)
        }
    }

    /// Pops an address and gives the host address of `[address + memarg.offset, + bytes)`, checked so that an access
    /// outside the memory traps, with the flags that the access must carry. The address is the exact effective address:
    /// accesses use offset 0.
    pub fn memory_address(&mut self, memarg: &MemArg, bytes: u32) -> (Value, MemFlagsData) {
        let index = self.pop();
        self.memory_address_of(index, memarg, bytes)
    }

    /// As [`Self::memory_address`], with an address that was already popped.
    pub fn memory_address_of(&mut self, index: Value, memarg: &MemArg, bytes: u32) -> (Value, MemFlagsData) {
        let info = self.module.memories[memory_of(memarg) as usize];
        let index = self.memory_index(memory_of(memarg), index);
        let guarded = self.settings.faults_trap()
            && !info.memory64
            && info.page_size_log2 == 16
            && memarg.offset.saturating_add(u64::from(bytes)) <= self.settings.memory_guard;
        if !guarded {
            self.check_bounds(memarg, index, bytes);
        }
        let (cell, offset) = self.memory_cell(memory_of(memarg));
        let at = offset + core::mem::offset_of!(MemoryCell, base) as i32;
        let base = self.builder.ins().load(types::I64, constant(), cell, at);
        let mut address = self.builder.ins().iadd(base, index);
        if memarg.offset != 0 {
            address = self.builder.ins().iadd_imm_s(address, memarg.offset as i64);
        }
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        let flags =
            if guarded { flags.with_trap_code(Some(Trap::MemoryOutOfBounds.code())) } else { flags.with_notrap() };
        (address, flags)
    }

    fn check_bounds(&mut self, memarg: &MemArg, index: Value, bytes: u32) {
        let length = self.memory_length(memory_of(memarg));
        let memory64 = self.module.memories[memory_of(memarg) as usize].memory64;
        let Some(extent) = memarg.offset.checked_add(u64::from(bytes)) else {
            // No memory is that long.
            let always = self.builder.ins().iconst(types::I32, 1);
            self.trap_if(always, Trap::MemoryOutOfBounds);
            return;
        };
        let extent = self.builder.ins().iconst(types::I64, extent as i64);
        let outside = if memory64 {
            // The sum of address and extent may wrap: compare differences.
            let too_short = self.builder.ins().icmp(IntCC::UnsignedLessThan, length, extent);
            let last = self.builder.ins().isub(length, extent);
            let beyond = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, index, last);
            self.builder.ins().bor(too_short, beyond)
        } else {
            let end = self.builder.ins().iadd(index, extent);
            self.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, length)
        };
        self.trap_if(outside, Trap::MemoryOutOfBounds);
    }

    pub(super) fn memory_size(&mut self, memory: u32) {
        let info = self.module.memories[memory as usize];
        let length = self.memory_length(memory);
        let pages = self.builder.ins().ushr_imm_u(length, i64::from(info.page_size_log2));
        self.push_memory_index(memory, pages);
    }

    fn push_memory_index(&mut self, memory: u32, value: Value) {
        let value = if self.module.memories[memory as usize].memory64 {
            value
        } else {
            self.builder.ins().ireduce(types::I32, value)
        };
        self.push(value);
    }

    pub(super) fn memory_grow(&mut self, memory: u32) {
        let delta = self.pop();
        let delta = self.memory_index(memory, delta);
        let number = self.number(memory);
        let old = self.call_builtin(Builtin::MemoryGrow, &[number, delta]).expect("memory.grow has a result");
        self.push_memory_index(memory, old);
    }

    pub(super) fn memory_copy(&mut self, to_memory: u32, from_memory: u32) {
        let (to, from, count) = self.pop3();
        let (to, from) = (self.memory_index(to_memory, to), self.memory_index(from_memory, from));
        // The count has the smaller of the two address types.
        let is_64 = self.builder.func.dfg.value_type(count) == types::I64;
        let count = if is_64 { count } else { self.builder.ins().uextend(types::I64, count) };
        let (to_number, from_number) = (self.number(to_memory), self.number(from_memory));
        self.call_builtin(Builtin::MemoryCopy, &[to_number, from_number, to, from, count]);
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let (to, byte, count) = self.pop3();
        let (to, count) = (self.memory_index(memory, to), self.memory_index(memory, count));
        let number = self.number(memory);
        self.call_builtin(Builtin::MemoryFill, &[number, to, byte, count]);
    }

    pub(super) fn memory_init(&mut self, memory: u32, segment: u32) {
        let (to, from, count) = self.pop3();
        let to = self.memory_index(memory, to);
        let (memory, segment) = (self.number(memory), self.number(segment));
        self.call_builtin(Builtin::MemoryInit, &[memory, segment, to, from, count]);
    }

    pub(super) fn data_drop(&mut self, segment: u32) {
        let segment = self.number(segment);
        self.call_builtin(Builtin::DataDrop, &[segment]);
    }

    fn global_cell(&mut self, global: u32) -> (Value, i32) {
        let imported = self.module.imported_globals;
        if global < imported {
            (self.load_constant(types::I64, self.context, self.layout.imported_global(global)), 0)
        } else {
            (self.context, self.layout.defined_global(global - imported))
        }
    }

    pub(super) fn global_get(&mut self, global: u32) {
        let info = &self.module.globals[global as usize];
        let (ty, traced) = (Kind::of(&info.ty).clif(), self.module.is_traced(&info.ty));
        // A collection rewrites references, so only other constants are constant.
        let flags = if info.mutable || traced { MemFlagsData::trusted() } else { constant() };
        let (cell, offset) = self.global_cell(global);
        let value = self.builder.ins().load(ty, flags, cell, offset);
        if traced {
            self.gc.refs.insert(value);
        }
        self.know_global(value, global);
        self.push(value);
    }

    pub(super) fn global_set(&mut self, global: u32) {
        let value = self.pop();
        let ty: &ValType = &self.module.globals[global as usize].ty;
        let traced = self.module.is_traced(ty);
        let (cell, offset) = self.global_cell(global);
        if traced {
            self.gc_op(GcOp::RootStore { offset }, &[cell, value]);
        } else {
            self.builder.ins().store(MemFlagsData::trusted(), value, cell, offset);
        }
    }
}
