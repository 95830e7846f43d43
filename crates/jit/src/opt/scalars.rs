//! Replaces objects by their fields.
//!
//! A struct that this function allocates, and that it only reads and writes field by field, is seen by nobody else: its
//! fields become values, and the allocation goes. An object that is passed on in any way, also as the argument of a
//! branch, stays. Fields that are written after the allocation get block parameters where their values meet, as local
//! variables do.
//!
//! Objects that were kept only in such objects are found in the next round.

use super::{Shape, edges, is_subtype};
use crate::abi::Kind;
use crate::gc::{Extend, FuncGc, GcOp};
use crate::module::ModuleInfo;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Block, BlockArg, Function, Inst, InstBuilder, Value, types};
use heapwright_gc_heap::{FieldLayout, StorageType};
use rustc_hash::{FxHashMap, FxHashSet};

/// Rounds; each finds what the one before set free.
const MOST_ROUNDS: u32 = 4;

/// Functions with more blocks than this are left alone. The search for a field's value goes from block to block by
/// recursion, and the guest chooses the blocks: at about a kilobyte each, they must fit the smallest stack that
/// functions are compiled on.
const MOST_BLOCKS: usize = 256;

/// Objects times blocks that one round may look at.
const MOST_WORK: usize = 1 << 20;

/// Runs the pass; whether it changed anything.
pub(super) fn run(func: &mut Function, gc: &mut FuncGc, module: &ModuleInfo) -> bool {
    let mut changed = false;
    if func.dfg.num_blocks() > MOST_BLOCKS {
        return false;
    }
    for _ in 0..MOST_ROUNDS {
        let objects = find(func, gc, module);
        if objects.is_empty() {
            break;
        }
        let shape = Shape::of(func);
        let most = MOST_WORK / func.dfg.num_blocks().max(1);
        for (allocation, object) in objects.into_iter().take(most) {
            Replacement { func, gc, module, shape: &shape, object, last: FxHashMap::default() }.run(allocation);
        }
        changed = true;
    }
    changed
}

/// An object that can be replaced.
struct Object {
    ty: u32,
    /// Its accesses, in the order of the layout.
    accesses: Vec<Inst>,
}

/// The allocations whose objects are only accessed field by field, in the order of the layout.
fn find(func: &Function, gc: &FuncGc, module: &ModuleInfo) -> Vec<(Inst, Object)> {
    let mut objects: FxHashMap<Value, (Inst, Object)> = FxHashMap::default();
    let mut order = Vec::new();
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            if let Some(GcOp::StructNew { ty } | GcOp::StructNewDefault { ty }) = gc.op_of(func, inst) {
                let value = func.dfg.first_result(inst);
                objects.insert(value, (inst, Object { ty, accesses: Vec::new() }));
                order.push(value);
            }
        }
    }
    if objects.is_empty() {
        return Vec::new();
    }
    for block in func.layout.blocks() {
        for inst in func.layout.block_insts(block) {
            let receiver = match gc.op_of(func, inst) {
                Some(GcOp::StructGet { ty, .. } | GcOp::StructSet { ty, .. }) => Some(ty),
                _ => None,
            };
            for (position, value) in func.dfg.inst_values(inst).enumerate() {
                let value = func.dfg.resolve_aliases(value);
                let Some((_, object)) = objects.get_mut(&value) else { continue };
                // Argument 0 is the context, argument 1 the receiver.
                if position == 1 && receiver.is_some_and(|ty| is_subtype(module, object.ty, ty)) {
                    object.accesses.push(inst);
                } else {
                    objects.remove(&value);
                }
            }
        }
    }
    order.into_iter().filter_map(|value| objects.remove(&value)).collect()
}

/// Replaces one object.
struct Replacement<'a> {
    func: &'a mut Function,
    gc: &'a mut FuncGc,
    module: &'a ModuleInfo,
    shape: &'a Shape,
    object: Object,
    /// The value of a field at the end of a block, or so far in the block that is being visited.
    last: FxHashMap<(Block, u32), Value>,
}

impl Replacement<'_> {
    fn run(mut self, allocation: Inst) {
        self.allocate(allocation);
        let mut blocks: Vec<(Block, Vec<Inst>)> = Vec::new();
        for &inst in &self.object.accesses {
            let block = self.func.layout.inst_block(inst).expect("an access is in the layout");
            match blocks.last_mut() {
                Some((last, insts)) if *last == block => insts.push(inst),
                _ => blocks.push((block, vec![inst])),
            }
        }
        // The last value of each field that a block writes, before any block is asked for what came before it.
        for (block, insts) in &blocks {
            for &inst in insts {
                if let Some(GcOp::StructSet { field, .. }) = self.gc.op_of(self.func, inst) {
                    let value = self.func.dfg.inst_args(inst)[2];
                    self.last.insert((*block, field), value);
                }
            }
        }
        let home = self.func.layout.inst_block(allocation).expect("the allocation is in the layout");
        for (block, insts) in blocks {
            self.accesses(block, insts, (block == home).then_some(allocation));
        }
        self.func.layout.remove_inst(allocation);
    }

    fn fields(&self) -> &[FieldLayout] {
        &self.module.struct_layout(self.object.ty).fields
    }

    /// The initial value of a field.
    fn initial(&mut self, allocation: Inst, field: u32) -> Value {
        if let Some(GcOp::StructNew { .. }) = self.gc.op_of(self.func, allocation) {
            return self.func.dfg.inst_args(allocation)[field as usize + 1];
        }
        let kind = self.kind(field);
        let mut pos = FuncCursor::new(self.func).at_inst(allocation);
        zero(&mut pos, kind)
    }

    fn kind(&self, field: u32) -> Kind {
        match self.fields()[field as usize].storage {
            StorageType::I8 | StorageType::I16 => Kind::I32,
            StorageType::Val(ty) => Kind::of(&ty),
        }
    }

    /// Notes what the allocation's block knows at its end, as far as it does not write fields again.
    fn allocate(&mut self, allocation: Inst) {
        let block = self.func.layout.inst_block(allocation).expect("the allocation is in the layout");
        let used: FxHashSet<u32> = self.object.accesses.iter().filter_map(|&inst| self.field_of(inst)).collect();
        let mut used: Vec<u32> = used.into_iter().collect();
        used.sort_unstable();
        for field in used {
            let value = self.initial(allocation, field);
            self.last.insert((block, field), value);
        }
    }

    fn field_of(&self, access: Inst) -> Option<u32> {
        match self.gc.op_of(self.func, access) {
            Some(GcOp::StructGet { field, .. } | GcOp::StructSet { field, .. }) => Some(field),
            _ => None,
        }
    }

    /// Replaces the accesses of one block.
    fn accesses(&mut self, block: Block, insts: Vec<Inst>, allocation: Option<Inst>) {
        let mut current: FxHashMap<u32, Value> = FxHashMap::default();
        for inst in insts {
            match self.gc.op_of(self.func, inst) {
                Some(GcOp::StructSet { field, .. }) => {
                    current.insert(field, self.func.dfg.inst_args(inst)[2]);
                }
                Some(GcOp::StructGet { field, extend, .. }) => {
                    let value = match (current.get(&field), allocation) {
                        (Some(&value), _) => value,
                        (None, Some(allocation)) => self.initial(allocation, field),
                        (None, None) => self.at_start(block, field),
                    };
                    current.insert(field, value);
                    let value = self.packed(inst, field, extend, value);
                    let dfg = &mut self.func.dfg;
                    let result = dfg.first_result(inst);
                    dfg.detach_inst_results(inst);
                    dfg.change_to_alias(result, value);
                }
                other => unreachable!("{other:?} is no access of a field"),
            }
            self.func.layout.remove_inst(inst);
        }
    }

    /// What reading a field that holds `value` gives.
    fn packed(&mut self, inst: Inst, field: u32, extend: Extend, value: Value) -> Value {
        let narrow = match self.fields()[field as usize].storage {
            StorageType::I8 => types::I8,
            StorageType::I16 => types::I16,
            StorageType::Val(_) => return value,
        };
        let mut pos = FuncCursor::new(self.func).at_inst(inst);
        let low = pos.ins().ireduce(narrow, value);
        match extend {
            Extend::Signed => pos.ins().sextend(types::I32, low),
            Extend::Unsigned | Extend::None => pos.ins().uextend(types::I32, low),
        }
    }

    /// The value of a field at the end of a block that the allocation dominates.
    fn at_end(&mut self, block: Block, field: u32) -> Value {
        match self.last.get(&(block, field)) {
            Some(&value) => value,
            None => self.at_start(block, field),
        }
    }

    /// The value of a field at the start of a block that the allocation's block dominates strictly.
    fn at_start(&mut self, block: Block, field: u32) -> Value {
        // Straight chains are followed without recursion.
        let mut chain = Vec::new();
        let mut at = block;
        let value = loop {
            let mut preds = self.shape.cfg.pred_iter(at);
            let (first, second) = (preds.next(), preds.next());
            let Some(pred) = first.filter(|_| second.is_none()) else { break self.meet(at, field) };
            if let Some(&value) = self.last.get(&(pred.block, field)) {
                break value;
            }
            chain.push(pred.block);
            at = pred.block;
        };
        for passed in chain {
            self.last.insert((passed, field), value);
        }
        value
    }

    /// Gives `block`, where several branches meet, a parameter for a field.
    fn meet(&mut self, block: Block, field: u32) -> Value {
        let kind = self.kind(field);
        let param = self.func.dfg.append_block_param(block, kind.clif());
        if self.fields()[field as usize].traced {
            self.gc.refs.insert(param);
        }
        // Known at the start, before the predecessors are asked: a loop leads back here. A block that writes the field
        // has its own value at the end.
        self.last.entry((block, field)).or_insert(param);
        let mut branches: Vec<(Block, Inst)> =
            self.shape.cfg.pred_iter(block).map(|pred| (pred.block, pred.inst)).collect();
        branches.dedup();
        for (pred, inst) in branches {
            let value = if self.shape.tree.is_reachable(pred) {
                self.at_end(pred, field)
            } else {
                zero(&mut FuncCursor::new(self.func).at_inst(inst), kind)
            };
            edges::pass(self.func, inst, block, BlockArg::Value(value));
        }
        param
    }
}

fn zero(pos: &mut FuncCursor<'_>, kind: Kind) -> Value {
    match kind {
        Kind::I32 => pos.ins().iconst(types::I32, 0),
        Kind::I64 => pos.ins().iconst(types::I64, 0),
        Kind::F32 => pos.ins().f32const(0.0),
        Kind::F64 => pos.ins().f64const(0.0),
        Kind::V128 => {
            let zero = pos.func.dfg.constants.insert(vec![0; 16].into());
            pos.ins().vconst(types::I8X16, zero)
        }
    }
}
