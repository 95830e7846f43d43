//! One pass over the code: definitions and uses of references, safepoints, positions.

use super::cfg::{Cfg, Index, Rows};
use super::refs::{RefId, Refs};
use crate::gc::FuncGc;
use cranelift_codegen::ir::{Function, Inst, Opcode, Value};

/// A place in the code, in reverse postorder. A block starts at a position (where its parameters are defined), its
/// instructions follow, and it ends at a position of its own, at which the next block starts.
pub(super) type Position = u32;

/// What an instruction means to references. An instruction's events are in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum What {
    Use(RefId),
    Safepoint,
    Define(RefId),
}

/// An event. Most instructions have none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) inst: Inst,
    pub(super) what: What,
}

/// A use of a reference, without its place in the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    pub(super) block: Index,
    /// How many safepoints stand before it in its block.
    pub(super) safepoints: u32,
}

impl Use {
    const NONE: Use = Use { block: 0, safepoints: 0 };
}

/// What the scan found.
pub(super) struct Code {
    /// The block that defines each reference; `None` when it is unreachable.
    pub(super) def_block: Vec<Option<Index>>,
    /// How many safepoints stand before the definition in its block.
    pub(super) def_safepoints: Vec<u32>,
    /// Where each reference is defined.
    pub(super) start: Vec<Position>,
    /// Where each reference is used last, in position order.
    pub(super) end: Vec<Position>,
    /// The uses of each reference, in position order.
    pub(super) uses: Rows<Use>,
    /// Where each block ends.
    pub(super) block_end: Vec<Position>,
    /// The number of safepoints in each block.
    pub(super) safepoints: Vec<u32>,
    /// Instructions and block parameters: the measure for what may be spent on the function.
    pub(super) size: usize,
    events: Vec<Event>,
    /// Where each block's events end.
    events_end: Vec<u32>,
}

impl Code {
    pub(super) fn scan(func: &Function, gc: &FuncGc, cfg: &Cfg, refs: &Refs) -> Code {
        let mut code = Code {
            def_block: vec![None; refs.len()],
            def_safepoints: vec![0; refs.len()],
            start: vec![0; refs.len()],
            end: vec![0; refs.len()],
            uses: Rows::collect(0, core::iter::empty(), Use::NONE),
            block_end: Vec::with_capacity(cfg.order.len()),
            safepoints: vec![0; cfg.order.len()],
            size: 0,
            events: Vec::new(),
            events_end: Vec::with_capacity(cfg.order.len()),
        };
        let mut at: Position = 0;
        let mut uses: Vec<(RefId, Use)> = Vec::new();
        for (index, &block) in cfg.order.iter().enumerate() {
            let index = index as Index;
            for &param in func.dfg.block_params(block) {
                code.define(refs, param, index, at);
            }
            code.size += func.dfg.num_block_params(block);
            for inst in func.layout.block_insts(block) {
                at += 1;
                code.size += 1;
                let safepoints = code.safepoints[index as usize];
                let mut note = |value: Value| {
                    if let Some(reference) = refs.id(value) {
                        uses.push((reference, Use { block: index, safepoints }));
                        code.events.push(Event { inst, what: What::Use(reference) });
                        code.end[reference as usize] = at;
                    }
                };
                if func.dfg.insts[inst].opcode().is_branch() {
                    func.dfg.inst_values(inst).for_each(&mut note);
                } else {
                    func.dfg.inst_args(inst).iter().copied().for_each(&mut note);
                }
                if is_safepoint(func, gc, inst) {
                    code.safepoints[index as usize] += 1;
                    code.events.push(Event { inst, what: What::Safepoint });
                }
                for &result in func.dfg.inst_results(inst) {
                    if let Some(reference) = code.define(refs, result, index, at) {
                        code.events.push(Event { inst, what: What::Define(reference) });
                    }
                }
            }
            at += 1;
            code.block_end.push(at);
            code.events_end.push(code.events.len() as u32);
        }
        code.uses = Rows::collect(refs.len(), uses.iter().copied(), Use::NONE);
        code
    }

    fn define(&mut self, refs: &Refs, value: Value, block: Index, at: Position) -> Option<RefId> {
        let reference = refs.id(value)?;
        self.def_block[reference as usize] = Some(block);
        self.def_safepoints[reference as usize] = self.safepoints[block as usize];
        self.start[reference as usize] = at;
        self.end[reference as usize] = at;
        Some(reference)
    }

    /// A block's events in order.
    pub(super) fn events(&self, block: Index) -> &[Event] {
        let start = block.checked_sub(1).map_or(0, |before| self.events_end[before as usize]);
        &self.events[start as usize..self.events_end[block as usize] as usize]
    }
}

/// Whether a collection may happen during an instruction.
pub(super) fn is_safepoint(func: &Function, gc: &FuncGc, inst: Inst) -> bool {
    let call = matches!(
        func.dfg.insts[inst].opcode(),
        Opcode::Call | Opcode::CallIndirect | Opcode::TryCall | Opcode::TryCallIndirect
    );
    debug_assert!(!call || gc.op_of(func, inst).is_none(), "pseudo-calls are lowered before safepoints are made");
    call && !gc.quiet_calls.contains(&inst)
}
