//! What memory a piece of code may change, coarsely: by classes of places that may overlap.
//!
//! Two fields can be the same place only if they have the same offset and width, because a subtype keeps its
//! supertype's offsets and unrelated types share no object; two elements only if their arrays store the same width. On
//! a corrupted heap that is not so, but there the worst is an old value: no access leaves the sandbox for it.

use crate::gc::{FuncGc, GcOp};
use crate::module::ModuleInfo;
use cranelift_codegen::flowgraph::ControlFlowGraph;
use cranelift_codegen::ir::{Block, Function, Inst};
use cranelift_entity::{EntitySet, SecondaryMap};
use smallvec::SmallVec;

/// Places that may overlap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Class {
    /// Fields at this offset, of this width in bytes.
    Field { offset: u32, width: u32 },
    /// Elements of this width in bytes.
    Elements { width: u32 },
}

/// What an instruction or a block may change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Effects {
    /// Everything.
    pub(super) all: bool,
    pub(super) classes: SmallVec<[Class; 4]>,
}

/// More classes than this count as everything.
const MOST_CLASSES: usize = 16;

/// A search between two blocks that meets more blocks than this gives up.
const MOST_BLOCKS: usize = 64;

impl Effects {
    fn add(&mut self, class: Class) {
        if self.classes.contains(&class) {
            return;
        }
        if self.classes.len() == MOST_CLASSES {
            self.all = true;
        } else {
            self.classes.push(class);
        }
    }

    fn merge(&mut self, other: &Effects) {
        self.all |= other.all;
        for &class in &other.classes {
            self.add(class);
        }
    }
}

/// The class of a struct's field.
pub(super) fn field_class(module: &ModuleInfo, ty: u32, field: u32) -> Class {
    let field = module.struct_layout(ty).fields[field as usize];
    Class::Field { offset: field.offset, width: field.storage.byte_size() }
}

/// The class of an array's elements.
pub(super) fn element_class(module: &ModuleInfo, ty: u32) -> Class {
    Class::Elements { width: module.array_layout(ty).storage.byte_size() }
}

/// What a GC operation may change.
pub(super) fn of_op(module: &ModuleInfo, op: GcOp) -> Option<Class> {
    match op {
        GcOp::StructSet { ty, field, .. } => Some(field_class(module, ty, field)),
        GcOp::ArraySet { ty, .. }
        | GcOp::ArrayFill { ty, .. }
        | GcOp::ArrayCopy { to: ty, .. }
        | GcOp::ArrayInitData { ty, .. }
        | GcOp::ArrayInitElem { ty, .. } => Some(element_class(module, ty)),
        _ => None,
    }
}

/// Whether an instruction that is no pseudo-call may change any object: it calls something.
pub(super) fn calls(func: &Function, inst: Inst) -> bool {
    func.dfg.insts[inst].opcode().is_call()
}

/// The effects of each block.
pub(super) struct BlockEffects(SecondaryMap<Block, Effects>);

impl BlockEffects {
    pub(super) fn new(func: &Function, gc: &FuncGc, module: &ModuleInfo) -> BlockEffects {
        let mut map: SecondaryMap<Block, Effects> = SecondaryMap::new();
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                if !calls(func, inst) {
                    continue;
                }
                match gc.op_of(func, inst) {
                    Some(op) => {
                        if let Some(class) = of_op(module, op) {
                            map[block].add(class);
                        }
                    }
                    None => map[block].all = true,
                }
            }
        }
        BlockEffects(map)
    }

    /// What may happen on the ways from the end of `from` to the start of `to`, which `from` dominates immediately.
    pub(super) fn between(&self, cfg: &ControlFlowGraph, from: Block, to: Block) -> Effects {
        let mut seen = EntitySet::<Block>::new();
        let mut effects = Effects::default();
        let mut waiting: SmallVec<[Block; 16]> = SmallVec::new();
        let mut met = 0;
        let mut block = to;
        loop {
            for pred in cfg.pred_iter(block) {
                // A way that comes by `from` again starts there.
                if pred.block != from && seen.insert(pred.block) {
                    waiting.push(pred.block);
                    met += 1;
                }
            }
            if met > MOST_BLOCKS {
                effects.all = true;
            }
            let Some(next) = waiting.pop() else { break };
            effects.merge(&self.0[next]);
            if effects.all {
                break;
            }
            block = next;
        }
        effects
    }
}
