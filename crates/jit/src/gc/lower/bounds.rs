//! Bounds of accesses, for code whose faults would be ours.
//!
//! Machine code needs no bounds: 32-bit addresses keep it inside a reservation, and what is not committed there faults,
//! which is the result. An interpreter's loads are loads of Rust code, and a fault there ends the process. So for an
//! interpreter each access to the heap, the type space or a side table is compared with what is committed, by the same
//! rule as the host's accessors: relative to the null page's end, in one comparison. A reference that the engine never
//! wrote then ends in the same trap, `HeapCorrupted`.
//!
//! The comparison has the form that Cranelift's Pulley backend folds into the access (`xload32le_g32` and its kind): an
//! address that becomes null when it is out of bounds, under the trap code of the heap. A place costs one more
//! instruction than without. Where a form does not fold, it is still right: an access at address null traps.
//!
//! Objects that were just allocated are zeroed in loops, and by a builtin, without a check: their extent is the
//! allocator's.

use super::emit::{Emitter, mutator_offset};
use crate::abi::{LEAST_COMMITTED, Trap};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, MemFlagsData, Opcode, Value, types};
use heapwright_gc_heap::{NULL_PAGE_BYTES, SideTable, TYPE_SPACE_BOUND_OFFSET};
use rustc_hash::FxHashMap;

/// Side tables are committed by whole pages of at least this size.
const PAGE: i64 = 4096;

/// A region that compiled code addresses with 32 bits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Region {
    Heap,
    TypeSpace,
    Side(SideTable),
}

/// What an address was made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) region: Region,
    /// The region's host address.
    pub(super) base: Value,
    /// The offset in the region, 32-bit.
    pub(super) offset: Value,
    /// The store's context.
    pub(super) store: Value,
}

/// Checks all accesses to addresses in `places`.
pub(super) fn check(func: &mut Function, places: &FxHashMap<Value, Place>) {
    let mut accesses: Vec<(Inst, Place)> = Vec::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            let address = match func.dfg.insts[inst] {
                InstructionData::Load { arg, .. } => arg,
                InstructionData::Store { args, .. } => args[1],
                _ => continue,
            };
            accesses.extend(places.get(&address).map(|&place| (inst, place)));
        }
    }
    for (inst, place) in accesses {
        let mut pos = FuncCursor::new(func);
        pos.goto_inst(inst);
        pos.use_srcloc(inst);
        check_access(&mut pos, inst, place);
    }
}

fn check_access(pos: &mut FuncCursor<'_>, inst: Inst, place: Place) {
    let (data, bytes) = (pos.func.dfg.insts[inst], access_bytes(pos.func, inst));
    let (InstructionData::Load { offset, flags, .. } | InstructionData::Store { offset, flags, .. }) = data else {
        unreachable!("an access is a load or a store")
    };
    let (mut at, mut constant) = (place.offset, i64::from(i32::from(offset)));
    if constant + i64::from(bytes) > i64::from(LEAST_COMMITTED) {
        // A bound less the constant must not wrap.
        at = pos.ins().iadd_imm_s(at, constant);
        constant = 0;
    }
    let mut base = place.base;
    if let Region::Heap = place.region {
        at = pos.ins().iadd_imm_s(at, -i64::from(NULL_PAGE_BYTES));
        base = pos.ins().iadd_imm_s(base, i64::from(NULL_PAGE_BYTES));
    }
    let at = pos.ins().uextend(types::I64, at);
    let bound = bound(pos, place);
    let needed = pos.ins().iconst(types::I64, constant + i64::from(bytes));
    let last = pos.ins().isub(bound, needed);
    let outside = pos.ins().icmp(IntCC::UnsignedGreaterThan, at, last);
    let mut address = pos.ins().iadd(base, at);
    if constant != 0 {
        address = pos.ins().iadd_imm_s(address, constant);
    }
    let null = pos.ins().iconst(types::I64, 0);
    let address = pos.ins().select(outside, null, address);

    let flags = pos.func.dfg.mem_flags[flags].with_trap_code(Some(Trap::HEAP_BOUNDS));
    let flags = pos.func.dfg.mem_flags.insert(flags).expect("a function has few kinds of accesses");
    pos.func.dfg.insts[inst] = match data {
        InstructionData::Load { opcode, .. } => InstructionData::Load { opcode, arg: address, flags, offset: 0.into() },
        InstructionData::Store { opcode, args, .. } => {
            InstructionData::Store { opcode, args: [args[0], address], flags, offset: 0.into() }
        }
        other => other,
    };
}

/// How many bytes of the region are committed, those of the null page not counted.
fn bound(pos: &mut FuncCursor<'_>, place: Place) -> Value {
    // It grows while code runs, so the load stays where it is.
    let flags = Emitter::engine_flags();
    match place.region {
        Region::Heap => pos.ins().load(types::I64, flags, place.store, mutator_offset!(usable)),
        Region::TypeSpace => {
            // Aligned and always mapped, unlike what is looked up.
            let flags = MemFlagsData::trusted();
            pos.ins().load(types::I64, flags, place.base, TYPE_SPACE_BOUND_OFFSET as i32)
        }
        Region::Side(table) => {
            // The entries of all that is committed of the heap, in whole pages: what the heap commits.
            let usable = pos.ins().load(types::I64, flags, place.store, mutator_offset!(usable));
            let round = i64::from(NULL_PAGE_BYTES) + i64::from(table.granule) - 1;
            let end = pos.ins().iadd_imm_s(usable, round);
            let entries = pos.ins().ushr_imm_u(end, i64::from(table.shift()));
            let bits = pos.ins().ishl_imm_u(entries, i64::from(table.bits.trailing_zeros()));
            let bits = pos.ins().iadd_imm_s(bits, 8 * PAGE - 1);
            let bytes = pos.ins().ushr_imm_u(bits, 3);
            pos.ins().band_imm_s(bytes, -PAGE)
        }
    }
}

/// Bytes that an access reads or writes.
fn access_bytes(func: &Function, inst: Inst) -> u32 {
    match func.dfg.insts[inst].opcode() {
        Opcode::Uload8 | Opcode::Sload8 | Opcode::Istore8 => 1,
        Opcode::Uload16 | Opcode::Sload16 | Opcode::Istore16 => 2,
        Opcode::Uload32 | Opcode::Sload32 | Opcode::Istore32 => 4,
        Opcode::Load => func.dfg.ctrl_typevar(inst).bytes(),
        Opcode::Store => func.dfg.value_type(func.dfg.inst_args(inst)[0]).bytes(),
        // Vectors are widened as they are read: eight bytes in memory.
        _ => 8,
    }
}
