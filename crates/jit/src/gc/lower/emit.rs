//! Emission helpers: blocks, loads from the context, builtin calls, traps, memory flags.
//!
//! Code is always appended to the end of a current block. The driver takes the instructions of a block that holds
//! pseudo-calls out of the layout and appends them again one by one, so a block is never split in the middle: splitting
//! moves the whole rest of a block, which makes a long initialiser quadratic.

use super::LowerEnv;
use super::bounds::{self, Region};
use crate::abi::{Builtin, InstanceLayout, Trap};
use crate::compile::Target;
use crate::gc::FuncGc;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, Block, BlockArg, InsertBuilder, Inst, InstBuilder, InstructionData, MemFlagsData, Opcode, SigRef, Type,
    Value, ValueDef, types,
};
use heapwright_gc_heap::NUM_SIDE_TABLES;
use rustc_hash::{FxHashMap, FxHashSet};

/// An address that an instance's context holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Base {
    /// The store's context.
    Store,
    /// The heap.
    Heap,
    /// The type space.
    TypeSpace,
    /// The function table.
    FuncTable,
    /// A side table, by number.
    Side(u8),
}

impl Base {
    /// Its place among those known.
    fn index(self) -> usize {
        match self {
            Base::Store => 0,
            Base::Heap => 1,
            Base::TypeSpace => 2,
            Base::FuncTable => 3,
            Base::Side(table) => 4 + usize::from(table),
        }
    }
}

/// Offset of a mutator-state field in the store's context.
macro_rules! mutator_offset {
    ($field:ident) => {
        (core::mem::offset_of!(crate::abi::StoreContext, mutator)
            + core::mem::offset_of!(heapwright_gc_heap::MutatorState, $field)) as i32
    };
}
pub(super) use mutator_offset;

/// What is known of a reference at compile time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    /// Nothing.
    Nothing,
    /// It is null.
    Null,
    /// It is an i31.
    I31,
}

/// Appends code to a function.
pub(super) struct Emitter<'a> {
    pub(super) pos: FuncCursor<'a>,
    pub(super) gc: &'a mut FuncGc,
    pub(super) env: &'a LowerEnv<'a>,
    /// The instance context of the operation being lowered.
    pub(super) context: Value,
    /// Results of `ref.i31`, under the names that the function's instructions still use.
    pub(super) i31s: FxHashSet<Value>,
    /// Whether the code being emitted is out of line.
    cold: bool,
    /// The entry block and its first parameter: addresses read through that one are read once, at the top.
    entry: (Block, Option<Value>),
    bases: [Option<Value>; 4 + NUM_SIDE_TABLES],
    signatures: FxHashMap<Builtin, SigRef>,
    /// What the addresses of accesses that must be checked were made of.
    pub(super) places: FxHashMap<Value, bounds::Place>,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(
        func: &'a mut ir::Function,
        gc: &'a mut FuncGc,
        env: &'a LowerEnv<'a>,
        i31s: FxHashSet<Value>,
    ) -> Self {
        let entry = func.layout.entry_block().expect("a function has an entry block");
        let first = func.dfg.block_params(entry).first().copied();
        Emitter {
            pos: FuncCursor::new(func),
            gc,
            env,
            context: first.unwrap_or(Value::from_u32(0)),
            i31s,
            cold: false,
            entry: (entry, first),
            bases: [None; 4 + NUM_SIDE_TABLES],
            signatures: FxHashMap::default(),
            places: FxHashMap::default(),
        }
    }

    // Positions and blocks.

    /// Continues at the end of `block`.
    pub(super) fn resume(&mut self, block: Block) {
        self.cold = self.pos.func.layout.is_cold(block);
        self.pos.goto_bottom(block);
    }

    /// Appends an instruction that was taken out of the layout.
    pub(super) fn append(&mut self, inst: Inst) {
        self.pos.insert_inst(inst);
    }

    /// A builder at the current position.
    pub(super) fn ins(&mut self) -> InsertBuilder<'_, &mut FuncCursor<'a>> {
        self.pos.ins()
    }

    /// A new block that is not yet part of the layout.
    pub(super) fn block(&mut self) -> Block {
        self.pos.func.dfg.make_block()
    }

    /// A new block with one parameter.
    pub(super) fn block_with(&mut self, ty: Type) -> (Block, Value) {
        let block = self.block();
        let param = self.pos.func.dfg.append_block_param(block, ty);
        (block, param)
    }

    /// Continues in a new block, placed after the current one.
    pub(super) fn start(&mut self, block: Block) {
        let current = self.pos.current_block().expect("code is emitted into a block");
        self.pos.func.layout.insert_block_after(block, current);
        if self.cold {
            self.pos.func.layout.set_cold(block);
        }
        self.pos.goto_bottom(block);
    }

    /// Emits `block` out of line.
    pub(super) fn cold<R>(&mut self, block: Block, emit: impl FnOnce(&mut Self) -> R) -> R {
        self.with_cold(true, block, emit)
    }

    /// Emits `block`, out of line if `cold` says so.
    pub(super) fn with_cold<R>(&mut self, cold: bool, block: Block, emit: impl FnOnce(&mut Self) -> R) -> R {
        let before = self.cold;
        self.cold |= cold;
        self.start(block);
        let result = emit(self);
        self.cold = before;
        result
    }

    /// Ends the block with a jump.
    pub(super) fn jump(&mut self, to: Block, args: &[Value]) {
        let args: smallvec::SmallVec<[BlockArg; 4]> = args.iter().map(|&v| BlockArg::Value(v)).collect();
        self.ins().jump(to, &args);
    }

    /// Ends the block with a branch.
    pub(super) fn branch(&mut self, condition: Value, yes: Block, no: Block) {
        self.ins().brif(condition, yes, &[], no, &[]);
    }

    // Values.

    /// A 32-bit constant.
    pub(super) fn word(&mut self, value: u32) -> Value {
        self.ins().iconst(types::I32, i64::from(value))
    }

    /// `value + constant`, in 32 bits.
    pub(super) fn add_word(&mut self, value: Value, constant: u32) -> Value {
        if constant == 0 { value } else { self.ins().iadd_imm_u(value, i64::from(constant)) }
    }

    /// The type of a value.
    pub(super) fn type_of(&self, value: Value) -> Type {
        self.pos.func.dfg.value_type(value)
    }

    /// The value, if it is an integer constant.
    pub(super) fn constant(&self, value: Value) -> Option<u64> {
        let ValueDef::Result(inst, _) = self.pos.func.dfg.value_def(value) else { return None };
        match self.pos.func.dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => Some(imm.bits() as u64),
            _ => None,
        }
    }

    /// Whether the value's bits are known to be all zero.
    pub(super) fn is_zero(&self, value: Value) -> bool {
        let ValueDef::Result(inst, _) = self.pos.func.dfg.value_def(value) else { return false };
        match self.pos.func.dfg.insts[inst] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => imm.bits() == 0,
            InstructionData::UnaryIeee32 { imm, .. } => imm.bits() == 0,
            InstructionData::UnaryIeee64 { imm, .. } => imm.bits() == 0,
            InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle } => {
                self.pos.func.dfg.constants.get(constant_handle).iter().all(|&b| b == 0)
            }
            _ => false,
        }
    }

    /// What is known of a reference operand of the operation being lowered.
    pub(super) fn known(&self, reference: Value) -> Known {
        if self.i31s.contains(&reference) {
            return Known::I31;
        }
        match self.constant(reference) {
            Some(0) => Known::Null,
            Some(bits) if bits & 1 != 0 => Known::I31,
            _ => Known::Nothing,
        }
    }

    // Memory.

    /// Flags of loads from what is constant while the instance runs: the only loads that may be hoisted.
    fn constant_flags() -> MemFlagsData {
        MemFlagsData::trusted().with_readonly().with_can_move()
    }

    /// Flags of accesses to the store's context and other engine memory outside the heap.
    pub(super) fn engine_flags() -> MemFlagsData {
        MemFlagsData::trusted()
    }

    /// Flags of an access to the heap. Never `readonly` and never `can_move`, whatever is known of the field: a load
    /// that floats would float above the type test, the bounds check or the null check that guards it, and past
    /// collections. Without a trap the access is only known not to fail *where it stands*. It is not `aligned` either:
    /// a corrupted reference need not be.
    pub(super) fn heap_flags(trap: Option<Trap>) -> MemFlagsData {
        MemFlagsData::new().with_trap_code(trap.map(Trap::code))
    }

    /// Flags of a load from the type space: as the heap's, because the word that names the entry comes from there.
    pub(super) fn type_space_flags() -> MemFlagsData {
        MemFlagsData::new().with_notrap()
    }

    /// A constant 32-bit word of the context.
    pub(super) fn context_word(&mut self, offset: i32) -> Value {
        let context = self.context;
        self.ins().load(types::I32, Self::constant_flags(), context, offset)
    }

    /// The type word of the module's type `ty`.
    pub(super) fn type_word(&mut self, ty: u32) -> Value {
        self.context_word(self.env.layout.type_word(ty))
    }

    /// An address that the context holds, or the store's.
    pub(super) fn base(&mut self, base: Base) -> Value {
        if self.entry.1 != Some(self.context) {
            return self.load_base(base);
        }
        if let Some(known) = self.bases[base.index()] {
            return known;
        }
        // At the top of the entry block it dominates every use. The optimiser places it where it is first needed.
        let here = self.pos.position();
        match self.pos.func.layout.first_inst(self.entry.0) {
            Some(first) => self.pos.goto_inst(first),
            None => self.pos.goto_bottom(self.entry.0),
        }
        let value = self.load_base(base);
        self.pos.set_position(here);
        self.bases[base.index()] = Some(value);
        value
    }

    fn load_base(&mut self, base: Base) -> Value {
        let (mut from, mut offset) = (self.context, InstanceLayout::STORE);
        match base {
            Base::Store => {}
            Base::Heap => offset = InstanceLayout::HEAP_BASE,
            Base::TypeSpace => offset = InstanceLayout::TYPE_SPACE,
            Base::FuncTable => offset = InstanceLayout::FUNC_TABLE,
            Base::Side(table) => {
                from = self.ins().load(types::I64, Self::constant_flags(), from, offset);
                offset = mutator_offset!(side) + i32::from(table) * size_of::<*mut u8>() as i32;
            }
        }
        self.ins().load(types::I64, Self::constant_flags(), from, offset)
    }

    /// `base` plus a zero-extended 32-bit offset: it cannot leave a 4 GiB reservation. An access there that may fault
    /// carries a constant offset less than the guard.
    pub(super) fn address(&mut self, of: Base, offset: Value) -> Value {
        let base = self.base(of);
        let wide = self.ins().uextend(types::I64, offset);
        let address = self.ins().iadd(base, wide);
        if self.env.settings.target == Target::Pulley64 {
            let region = match of {
                Base::Heap => Region::Heap,
                Base::TypeSpace => Region::TypeSpace,
                Base::Side(table) => Region::Side(self.env.spec.side_tables[usize::from(table)]),
                // Of these only what exists is accessed.
                Base::Store | Base::FuncTable => return address,
            };
            let store = self.base(Base::Store);
            self.places.insert(address, bounds::Place { region, base, offset, store });
        }
        address
    }

    /// Loads from the store's context.
    pub(super) fn load_store_word(&mut self, ty: Type, offset: i32) -> Value {
        let store = self.base(Base::Store);
        self.ins().load(ty, Self::engine_flags(), store, offset)
    }

    /// Stores to the store's context.
    pub(super) fn set_store_word(&mut self, value: Value, offset: i32) {
        let store = self.base(Base::Store);
        self.ins().store(Self::engine_flags(), value, store, offset);
    }

    // Calls and traps.

    /// Calls a builtin through its stub.
    pub(super) fn call(&mut self, builtin: Builtin, args: &[Value]) -> Option<Value> {
        let func = &mut *self.pos.func;
        let signature =
            *self.signatures.entry(builtin).or_insert_with(|| func.import_signature(builtin.call_signature()));
        let mut all: smallvec::SmallVec<[Value; 8]> = smallvec::smallvec![self.context];
        all.extend_from_slice(args);
        // Not `can_move`: these loads belong to the call, which is mostly out of line. Hoisted out of a loop they would
        // cost the loop a register.
        let flags = MemFlagsData::trusted().with_readonly();
        let context = self.context;
        let table = self.ins().load(types::I64, flags, context, InstanceLayout::BUILTINS);
        let code = self.ins().load(types::I64, flags, table, 8 * builtin as i32);
        let call = self.ins().call_indirect(signature, code, &all);
        if !builtin.is_safepoint() {
            self.gc.quiet_calls.insert(call);
        }
        self.pos.func.dfg.inst_results(call).first().copied()
    }

    /// Traps when `condition` is non-zero.
    pub(super) fn trap_if(&mut self, condition: Value, trap: Trap) {
        if self.env.settings.instructions_trap() {
            self.ins().trapnz(condition, trap.code());
            return;
        }
        let (fail, go_on) = (self.block(), self.block());
        self.branch(condition, fail, go_on);
        self.cold(fail, |e| e.raise(trap));
        self.start(go_on);
    }

    /// Traps when `condition` is zero.
    pub(super) fn trap_unless(&mut self, condition: Value, trap: Trap) {
        if self.env.settings.instructions_trap() {
            self.ins().trapz(condition, trap.code());
            return;
        }
        let (fail, go_on) = (self.block(), self.block());
        self.branch(condition, go_on, fail);
        self.cold(fail, |e| e.raise(trap));
        self.start(go_on);
    }

    /// Traps and ends the block.
    pub(super) fn raise(&mut self, trap: Trap) {
        if !self.env.settings.instructions_trap() {
            let number = self.word(trap as u32);
            self.call(Builtin::RaiseTrap, &[number]);
        }
        self.ins().trap(trap.code());
    }

    /// Compares with a constant.
    pub(super) fn compare(&mut self, condition: IntCC, value: Value, constant: u32) -> Value {
        self.ins().icmp_imm_u(condition, value, i64::from(constant))
    }
}
