//! A machine that executes CLIF over simulated memory, with a collector that looks only at stack maps.
//!
//! It runs a function before and after passes, and after Cranelift's optimiser, so that what a pass preserves can be
//! checked by running it. At every safepoint the collector moves all objects and overwrites their old places, or keeps
//! them in place and overwrites everything that the stack map does not reach: a reference that is missing from a map,
//! or used under a stale name, reads rubbish.

use crate::abi::{Builtin, InstanceLayout, StoreContext, Trap};
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    BlockArg, BlockCall, ExternalName, Function, Inst, InstructionData, MemFlagsData, Opcode, TrapCode, Type, Value,
    types,
};
use cranelift_entity::SecondaryMap;
use heapwright_gc_heap::{ArrayLayout, HeaderWord, MutatorState, NULL_PAGE_BYTES, NUM_SIDE_TABLES, SideTable};
use rustc_hash::FxHashMap;

/// A value of any type, zero-extended.
pub(super) type Bits = u128;

const CONTEXT: u64 = 1 << 40;
const STORE: u64 = 2 << 40;
pub(super) const HEAP: u64 = 3 << 40;
pub(super) const TYPES: u64 = 4 << 40;
pub(super) const FUNCS: u64 = 5 << 40;
const BUILTINS: u64 = 6 << 40;
const FRAME: u64 = 7 << 40;
const BUFFERS: u64 = 8 << 40;
const CODE: u64 = 9 << 40;
pub(super) const GLOBALS: u64 = 10 << 40;
/// The first side table; the others follow, each in a region of its own.
const SIDE: u64 = 11 << 40;

/// Size of each of the heap's spaces.
pub(super) const SPACE: u32 = 1 << 18;
pub(super) const SPACES: u32 = 3;
pub(super) const RUBBISH: u8 = 0xd6;

/// Committed bytes of each side table: enough for an entry of a word for each granule of 64 bytes of all spaces.
const SIDE_BYTES: usize = 1 << 16;

/// Type words are multiples of this, from this on.
pub(super) const TYPE_STRIDE: u32 = 128;

/// Offset of a word of the mutator's state in the store's context.
pub(super) const fn mutator(offset: usize) -> u64 {
    (offset_of!(StoreContext, mutator) + offset) as u64
}

/// Why execution stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    Trap(Trap),
    /// An access to unmapped memory.
    Fault(u64),
    /// More instructions than allowed.
    TooLong,
}

/// What happens at a safepoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Collect {
    Nothing,
    /// All reachable objects move.
    Move,
    /// Unreachable objects are overwritten.
    Sweep,
}

/// How objects of a type look.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Struct { size: u32, traced: Vec<u32> },
    Array(ArrayLayout),
}

/// The machine.
pub(super) struct Machine {
    memory: FxHashMap<u64, Vec<u8>>,
    pub(super) collect: Collect,
    pub(super) header: &'static [HeaderWord],
    /// By type word: the first is that of `TYPE_STRIDE`.
    pub(super) shapes: Vec<Shape>,
    /// Builtins called, with their arguments after the context.
    pub(super) calls: Vec<(Builtin, Vec<Bits>)>,
    /// Collections so far.
    pub(super) collections: u32,
    /// Roots seen in stack maps so far.
    pub(super) roots: usize,
    /// Bytes given to the inline path at a time, at most; 0 makes every allocation slow.
    pub(super) region: u32,
    random: u64,
    /// The space in use.
    pub(super) space: u32,
    steps: u64,
}

impl Machine {
    pub(super) fn new(layout: &InstanceLayout, header: &'static [HeaderWord], shapes: Vec<Shape>) -> Machine {
        let mut machine = Machine {
            memory: FxHashMap::default(),
            collect: Collect::Nothing,
            header,
            shapes,
            calls: Vec::new(),
            collections: 0,
            roots: 0,
            region: 64,
            random: 1,
            space: 0,
            steps: 0,
        };
        machine.memory.insert(CONTEXT >> 40, vec![0; layout.size() as usize]);
        machine.memory.insert(STORE >> 40, vec![0; size_of::<StoreContext>()]);
        machine.memory.insert(HEAP >> 40, vec![0; (NULL_PAGE_BYTES + SPACE * SPACES) as usize]);
        machine.memory.insert(TYPES >> 40, vec![0; 64 * TYPE_STRIDE as usize]);
        machine.memory.insert(FUNCS >> 40, vec![0; 32 * 32]);
        machine.memory.insert(BUILTINS >> 40, vec![0; 8 * Builtin::ALL.len()]);
        machine.memory.insert(BUFFERS >> 40, vec![0; 64]);
        machine.memory.insert(GLOBALS >> 40, vec![0; 64]);
        for i in 0..NUM_SIDE_TABLES as u64 {
            let base = SIDE + (i << 40);
            machine.memory.insert(base >> 40, vec![0; SIDE_BYTES]);
            machine.set(STORE + mutator(offset_of!(MutatorState, side)) + 8 * i, 8, base.into());
        }
        for (offset, value) in [
            (InstanceLayout::STORE, STORE),
            (InstanceLayout::HEAP_BASE, HEAP),
            (InstanceLayout::TYPE_SPACE, TYPES),
            (InstanceLayout::BUILTINS, BUILTINS),
            (InstanceLayout::FUNC_TABLE, FUNCS),
        ] {
            machine.set(CONTEXT + offset as u64, 8, value.into());
        }
        machine.set(STORE + mutator(offset_of!(MutatorState, usable)), 8, (SPACE * SPACES).into());
        for i in 0..layout.counts.types {
            machine.set(CONTEXT + layout.type_word(i) as u64, 4, (TYPE_STRIDE * (i + 1)).into());
        }
        for i in 0..layout.counts.tags {
            machine.set(
                CONTEXT + layout.exception_type(i) as u64,
                4,
                (TYPE_STRIDE * (layout.counts.types + i + 1)).into(),
            );
            machine.set(CONTEXT + layout.tag_id(i) as u64, 4, (700 + i).into());
        }
        for i in 0..Builtin::ALL.len() as u64 {
            machine.set(BUILTINS + 8 * i, 8, (CODE + i).into());
        }
        for (i, buffer) in [BUFFERS, BUFFERS + 32].into_iter().enumerate() {
            let at = machine.buffer_next(i as u64);
            machine.set(at, 8, buffer.into());
            machine.set(at + 8, 8, (buffer + 16).into());
        }
        machine.set_cursor(NULL_PAGE_BYTES);
        machine
    }

    // Memory.

    pub(super) fn slice(&mut self, address: u64, size: u32) -> Result<&mut [u8], Stop> {
        let offset = address & ((1 << 40) - 1);
        let fault = Stop::Fault(address);
        if address >> 40 == HEAP >> 40 && offset < NULL_PAGE_BYTES.into() {
            return Err(fault);
        }
        let region = self.memory.get_mut(&(address >> 40)).ok_or(fault)?;
        region.get_mut(offset as usize..offset as usize + size as usize).ok_or(fault)
    }

    pub(super) fn load(&mut self, address: u64, size: u32) -> Result<Bits, Stop> {
        let mut bytes = [0; 16];
        bytes[..size as usize].copy_from_slice(self.slice(address, size)?);
        Ok(Bits::from_le_bytes(bytes))
    }

    fn store(&mut self, address: u64, size: u32, value: Bits) -> Result<(), Stop> {
        self.slice(address, size)?.copy_from_slice(&value.to_le_bytes()[..size as usize]);
        Ok(())
    }

    pub(super) fn get(&mut self, address: u64, size: u32) -> u64 {
        self.load(address, size).expect("mapped") as u64
    }

    pub(super) fn set(&mut self, address: u64, size: u32, value: Bits) {
        self.store(address, size, value).expect("mapped");
    }

    /// A word of the heap.
    pub(super) fn word(&mut self, offset: u32) -> u32 {
        self.get(HEAP + u64::from(offset), 4) as u32
    }

    pub(super) fn set_word(&mut self, offset: u32, value: u32) {
        self.set(HEAP + u64::from(offset), 4, value.into());
    }

    pub(super) fn set_type_space_word(&mut self, offset: u32, value: u32) {
        self.set(TYPES + u64::from(offset), 4, value.into());
    }

    pub(super) fn set_func(&mut self, id: u32, type_word: u32) {
        self.set(FUNCS + 32 * u64::from(id) + offset_of!(crate::abi::FuncEntry, type_word) as u64, 4, type_word.into());
        let length = STORE + offset_of!(StoreContext, func_table_len) as u64;
        let count = (self.get(length, 4) as u32).max(id + 1);
        self.set(length, 4, count.into());
    }

    pub(super) fn store_word(&mut self, offset: u64) -> u32 {
        self.get(STORE + offset, 4) as u32
    }

    pub(super) fn set_store_word(&mut self, offset: u64, value: u32) {
        self.set(STORE + offset, 4, value.into());
    }

    /// Where mutator buffer `index` has its next word.
    fn buffer_next(&self, index: u64) -> u64 {
        STORE + mutator(offset_of!(MutatorState, buffers)) + 16 * index
    }

    /// The words in a mutator buffer.
    pub(super) fn buffer(&mut self, index: u64) -> Vec<u32> {
        let (start, next) = (BUFFERS + 32 * index, self.get(self.buffer_next(index), 8));
        (start..next).step_by(4).map(|at| self.get(at, 4) as u32).collect()
    }

    pub(super) fn fill_buffer(&mut self, index: u64) {
        let end = BUFFERS + 32 * index + 16;
        self.set(self.buffer_next(index), 8, end.into());
    }

    /// The bytes of a side table.
    pub(super) fn side(&mut self, table: u64) -> &mut [u8] {
        self.slice(SIDE + (table << 40), SIDE_BYTES as u32).expect("mapped")
    }

    /// Overwrites the heap and the type space with large odd numbers.
    pub(super) fn forge(&mut self) {
        for base in [HEAP, TYPES] {
            let region = self.memory.get_mut(&(base >> 40)).expect("mapped");
            for (i, word) in region.chunks_exact_mut(4).enumerate() {
                word.copy_from_slice(&(0xffff_ff00u32.wrapping_sub(i as u32 * 64)).to_le_bytes());
            }
        }
    }

    pub(super) fn cursor(&mut self) -> u32 {
        self.store_word(mutator(offset_of!(MutatorState, cursor)))
    }

    pub(super) fn set_cursor(&mut self, cursor: u32) {
        self.set(STORE + mutator(offset_of!(MutatorState, cursor)), 4, cursor.into());
        let limit = if self.region == 0 { 0 } else { cursor + self.draw(self.region) };
        self.set(STORE + mutator(offset_of!(MutatorState, limit)), 4, limit.into());
    }

    pub(super) fn draw(&mut self, below: u32) -> u32 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % u64::from(below.max(1))) as u32
    }

    fn builtin(&mut self, builtin: Builtin, args: &[Bits], roots: &[u64]) -> Result<Option<Bits>, Stop> {
        self.calls.push((builtin, args.to_vec()));
        if builtin.is_safepoint() {
            self.safepoint(roots);
        }
        match builtin {
            Builtin::AllocObject => {
                let object = self.allocate(args[0] as u32, args[1] as u32);
                self.set(STORE + offset_of!(StoreContext, slow_result) as u64, 4, object.into());
            }
            Builtin::RaiseTrap => return Err(Stop::Trap(Trap::from_number(args[0] as u8).expect("a trap"))),
            Builtin::BufferFull => {
                let start = BUFFERS + 32 * args[0] as u64;
                self.set(self.buffer_next(args[0] as u64), 8, start.into());
            }
            Builtin::RawCopy => {
                // The vm's leaf has no handler: a fault there would end the process.
                let size = u32::try_from(args[2]).expect("a checked length");
                let bytes = self.slice(args[1] as u64, size).expect("a checked range").to_vec();
                self.slice(args[0] as u64, size).expect("a checked range").copy_from_slice(&bytes);
            }
            Builtin::RawFill => {
                self.slice(args[0] as u64, args[2] as u32)?.fill(args[1] as u8);
            }
            _ => {}
        }
        Ok(builtin.result().map(|_| 0))
    }

    // Execution.

    /// Runs a function on the context and `args`.
    pub(super) fn run(&mut self, func: &Function, args: &[Bits]) -> Result<Vec<Bits>, Stop> {
        let size: u32 = func.sized_stack_slots.values().map(|s| s.size.next_multiple_of(8)).sum();
        self.memory.insert(FRAME >> 40, vec![RUBBISH; size as usize]);
        self.steps = 0;
        let mut values: SecondaryMap<Value, Bits> = SecondaryMap::new();
        let entry = func.layout.entry_block().expect("a function has an entry block");
        let all: Vec<Bits> = core::iter::once(Bits::from(CONTEXT)).chain(args.iter().copied()).collect();
        for (&param, arg) in func.dfg.block_params(entry).iter().zip(all) {
            values[param] = arg;
        }
        let mut block = entry;
        'blocks: loop {
            let mut next = func.layout.first_inst(block);
            while let Some(inst) = next {
                next = func.layout.next_inst(inst);
                self.steps += 1;
                if self.steps > 300_000 {
                    return Err(Stop::TooLong);
                }
                match self.step(func, &mut values, inst)? {
                    Flow::Next => {}
                    Flow::Return(results) => return Ok(results),
                    Flow::To(edge, result) => {
                        let pool = &func.dfg.value_lists;
                        let args: Vec<Bits> = edge
                            .args(pool)
                            .map(|arg| match arg {
                                BlockArg::Value(v) => values[func.dfg.resolve_aliases(v)],
                                BlockArg::TryCallRet(0) | BlockArg::TryCallExn(0) => result,
                                other => panic!("{other:?}"),
                            })
                            .collect();
                        block = edge.block(pool);
                        for (&param, arg) in func.dfg.block_params(block).iter().zip(args) {
                            values[param] = arg;
                        }
                        continue 'blocks;
                    }
                }
            }
            panic!("{block} has no end");
        }
    }

    fn step(&mut self, func: &Function, values: &mut SecondaryMap<Value, Bits>, inst: Inst) -> Result<Flow, Stop> {
        let dfg = &func.dfg;
        let data = &dfg.insts[inst];
        let get = |v: Value| values[dfg.resolve_aliases(v)];
        let args: Vec<Bits> = dfg.inst_args(inst).iter().map(|&v| get(v)).collect();
        let ty = dfg.inst_results(inst).first().map_or(types::INVALID, |&v| dfg.value_type(v));
        let arg_type = |i: usize| dfg.value_type(dfg.inst_args(inst)[i]);
        let result =
            match *data {
                InstructionData::UnaryImm { imm, .. } => Bits::from(imm.bits() as u64),
                InstructionData::UnaryConst { opcode: Opcode::Vconst, constant_handle } => {
                    let bytes = dfg.constants.get(constant_handle).as_slice();
                    Bits::from_le_bytes(bytes.try_into().expect("a vector"))
                }
                InstructionData::UnaryIeee32 { imm, .. } => imm.bits().into(),
                InstructionData::UnaryIeee64 { imm, .. } => imm.bits().into(),
                InstructionData::Unary { opcode, .. } => match opcode {
                    Opcode::Uextend | Opcode::Ireduce | Opcode::Bitcast => args[0],
                    Opcode::Splat => {
                        (0..ty.lane_count()).fold(0, |all, lane| all | args[0] << (lane * arg_type(0).bits()))
                    }
                    Opcode::Sextend => sign_extend(args[0], arg_type(0)) as Bits,
                    Opcode::Ineg => args[0].wrapping_neg(),
                    Opcode::Bnot => !args[0],
                    other => panic!("{other} is not simulated"),
                },
                InstructionData::Binary { opcode, .. } => binary(opcode, args[0], args[1], ty),
                InstructionData::IntCompare { cond, .. } => compare(cond, args[0], args[1], arg_type(0)).into(),
                InstructionData::Ternary { opcode: Opcode::Select | Opcode::SelectSpectreGuard, .. } => {
                    if args[0] != 0 { args[1] } else { args[2] }
                }
                InstructionData::StackAddr { stack_slot, offset, .. } => {
                    Bits::from(frame_address(func, stack_slot, i32::from(offset) as u32))
                }
                InstructionData::Load { opcode, flags, offset, .. } => {
                    let address = (args[0] as u64).wrapping_add(i64::from(i32::from(offset)) as u64);
                    let narrow = match opcode {
                        Opcode::Uload8 | Opcode::Sload8 => types::I8,
                        Opcode::Uload16 | Opcode::Sload16 => types::I16,
                        Opcode::Uload32 | Opcode::Sload32 => types::I32,
                        _ => ty,
                    };
                    let value = self.load(address, narrow.bytes()).map_err(|e| fault(e, dfg.mem_flags[flags]))?;
                    match opcode {
                        Opcode::Sload8 | Opcode::Sload16 | Opcode::Sload32 => sign_extend(value, narrow) as Bits,
                        _ => value,
                    }
                }
                InstructionData::Store { opcode, flags, offset, .. } => {
                    let address = (args[1] as u64).wrapping_add(i64::from(i32::from(offset)) as u64);
                    let size = match opcode {
                        Opcode::Istore8 => 1,
                        Opcode::Istore16 => 2,
                        Opcode::Istore32 => 4,
                        _ => arg_type(0).bytes(),
                    };
                    self.store(address, size, args[0]).map_err(|e| fault(e, dfg.mem_flags[flags]))?;
                    return Ok(Flow::Next);
                }
                InstructionData::Jump { destination, .. } => return Ok(Flow::To(destination, 0)),
                InstructionData::Brif { blocks, .. } => return Ok(Flow::To(blocks[usize::from(args[0] == 0)], 0)),
                InstructionData::BranchTable { table, .. } => {
                    let table = &dfg.jump_tables[table];
                    let edge = table.as_slice().get(args[0] as usize).copied().unwrap_or(table.default_block());
                    return Ok(Flow::To(edge, 0));
                }
                InstructionData::MultiAry { opcode: Opcode::Return, .. } => return Ok(Flow::Return(args)),
                InstructionData::Trap { code, .. } => return Err(trap(code)),
                InstructionData::CondTrap { opcode, code, .. } => {
                    return if (args[0] != 0) == (opcode == Opcode::Trapnz) { Err(trap(code)) } else { Ok(Flow::Next) };
                }
                InstructionData::CallIndirect { .. } => {
                    let builtin = Builtin::ALL[(args[0] as u64 - CODE) as usize];
                    let roots = self.stack_map(func, inst);
                    match self.builtin(builtin, &args[2..], &roots)? {
                        Some(result) => result,
                        None => return Ok(Flow::Next),
                    }
                }
                InstructionData::Call { func_ref, .. } => {
                    let roots = self.stack_map(func, inst);
                    self.function(callee(func, func_ref), &args, &roots).unwrap_or_else(|object| object)
                }
                InstructionData::TryCall { func_ref, exception, .. } => {
                    let roots = self.stack_map(func, inst);
                    let table = &dfg.exception_tables[exception];
                    return Ok(match self.function(callee(func, func_ref), &args, &roots) {
                        Ok(object) => Flow::To(*table.normal_return(), object),
                        Err(object) => Flow::To(table.all_branches()[0], object),
                    });
                }
                ref other => panic!("{other:?} is not simulated"),
            };
        if let Some(&value) = dfg.inst_results(inst).first() {
            values[value] = truncate(result, ty);
        }
        Ok(Flow::Next)
    }

    /// Addresses of the references that a call's stack map names.
    fn stack_map(&mut self, func: &Function, call: Inst) -> Vec<u64> {
        let mut roots = Vec::new();
        for entry in func.dfg.user_stack_map_entries(call).unwrap_or(&[]) {
            let at = frame_address(func, entry.slot, entry.offset);
            if entry.ty == types::I32 {
                roots.push(at);
            } else {
                assert_eq!(entry.ty, crate::gc::safepoints::RUN);
                let count = self.get(at, 4);
                roots.extend((1..=count).map(|i| at + 4 * i));
            }
        }
        roots
    }
}

enum Flow {
    Next,
    To(BlockCall, Bits),
    Return(Vec<Bits>),
}

fn frame_address(func: &Function, slot: cranelift_codegen::ir::StackSlot, offset: u32) -> u64 {
    let before: u32 = func
        .sized_stack_slots
        .iter()
        .take_while(|&(s, _)| s != slot)
        .map(|(_, data)| data.size.next_multiple_of(8))
        .sum();
    FRAME + u64::from(before + offset)
}

fn callee(func: &Function, func_ref: cranelift_codegen::ir::FuncRef) -> u32 {
    let ExternalName::User(name) = func.dfg.ext_funcs[func_ref].name else { panic!("a function of the module") };
    func.params.user_named_funcs()[name].index
}

/// Whether an address lies in what a table of this number and declaration has reserved.
pub(super) fn in_side_table(address: u64, number: u64, table: &SideTable) -> bool {
    let start = SIDE + (number << 40);
    (start..start + table.bytes(1 << 32)).contains(&address)
}

fn trap(code: TrapCode) -> Stop {
    Stop::Trap(Trap::from_code(code).expect("a known trap"))
}

/// A fault in the null page is the trap that the instruction declares.
fn fault(stop: Stop, flags: MemFlagsData) -> Stop {
    match (stop, flags.trap_code()) {
        (Stop::Fault(at), Some(code)) if (HEAP..HEAP + u64::from(NULL_PAGE_BYTES)).contains(&at) => trap(code),
        _ => stop,
    }
}

fn truncate(value: Bits, ty: Type) -> Bits {
    if ty.bits() >= 128 { value } else { value & ((1 << ty.bits()) - 1) }
}

fn sign_extend(value: Bits, ty: Type) -> i128 {
    let shift = 128 - ty.bits();
    (value as i128) << shift >> shift
}

fn binary(opcode: Opcode, a: Bits, b: Bits, ty: Type) -> Bits {
    let shift = (b as u32) & (ty.bits() - 1);
    match opcode {
        Opcode::Iadd => a.wrapping_add(b),
        Opcode::Isub => a.wrapping_sub(b),
        Opcode::Imul => a.wrapping_mul(b),
        Opcode::Band => a & b,
        Opcode::Bor => a | b,
        Opcode::Bxor => a ^ b,
        Opcode::Ishl => a << shift,
        Opcode::Ushr => a >> shift,
        Opcode::Sshr => (sign_extend(a, ty) >> shift) as Bits,
        Opcode::Rotl => (a << shift) | (truncate(a, ty) >> ((ty.bits() - shift) & (ty.bits() - 1))),
        Opcode::Urem => a % b,
        Opcode::Umin => a.min(b),
        Opcode::Umax => a.max(b),
        other => panic!("{other} is not simulated"),
    }
}

fn compare(condition: IntCC, a: Bits, b: Bits, ty: Type) -> bool {
    let (signed_a, signed_b) = (sign_extend(a, ty), sign_extend(b, ty));
    match condition {
        IntCC::Equal => a == b,
        IntCC::NotEqual => a != b,
        IntCC::UnsignedLessThan => a < b,
        IntCC::UnsignedLessThanOrEqual => a <= b,
        IntCC::UnsignedGreaterThan => a > b,
        IntCC::UnsignedGreaterThanOrEqual => a >= b,
        IntCC::SignedLessThan => signed_a < signed_b,
        IntCC::SignedLessThanOrEqual => signed_a <= signed_b,
        IntCC::SignedGreaterThan => signed_a > signed_b,
        IntCC::SignedGreaterThanOrEqual => signed_a >= signed_b,
    }
}
