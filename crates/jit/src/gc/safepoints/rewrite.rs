//! Stores, reloads and stack maps.
//!
//! Blocks are visited in reverse postorder, each with what is known at its start of where each reference is: in a
//! register, in its slot, or in both. A block with one predecessor takes that over from it, so nothing is reloaded
//! before it is needed; where paths meet, the plan says where references are to be, and predecessors reload at their
//! ends.
//!
//! Within a block a reference's current name is known. The name with which it *enters* a block is not known yet; until
//! [`rename`](super::rename) finds it, the reference's own value stands for it.

use super::cfg::{Cfg, Index};
use super::plan::Plan;
use super::refs::{RefId, Refs};
use super::scan::{Code, Event, What};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{
    Function, Inst, InstBuilder, MemFlagsData, StackSlot, StackSlotData, StackSlotKind, UserStackMapEntry, Value, types,
};
use heapwright_gc_heap::{Bug, planted};

/// The type of a stack map entry that stands for a run of references: at its place is a 32-bit word with their number,
/// and they follow it. A single reference's entry has the type `I32`.
pub(crate) const RUN: cranelift_codegen::ir::Type = types::I64;

/// Where a reference is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Where {
    /// In a register only.
    Register,
    /// In its slot only.
    Slot,
    /// In both.
    Both,
}

/// The name under which a reference that was reloaded leaves a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reload {
    pub(super) reference: RefId,
    pub(super) block: Index,
    pub(super) name: Value,
}

/// What the rest of the work needs to know.
#[derive(Default)]
pub(super) struct Written {
    pub(super) reloads: Vec<Reload>,
    /// The stores to slots, by block in order.
    pub(super) spills: Vec<(Index, Inst)>,
}

pub(super) struct Rewriter<'a> {
    pos: FuncCursor<'a>,
    cfg: &'a Cfg,
    refs: &'a Refs,
    code: &'a Code,
    plan: &'a Plan,
    moves: bool,
    frame: StackSlot,
    /// In the current block, for the references that `known` marks with it.
    state: Vec<Where>,
    name: Vec<Value>,
    known: Vec<Index>,
    /// The references whose state was set in the current block; only kept when liveness is not known.
    touched: Vec<RefId>,
    reloaded: Vec<RefId>,
    /// For each block with one predecessor, the states of the references live at its start.
    inherited: Vec<Vec<Where>>,
    written: Written,
}

impl<'a> Rewriter<'a> {
    /// Rewrites the function, except for names that enter blocks.
    pub(super) fn run(
        func: &'a mut Function,
        cfg: &'a Cfg,
        refs: &'a Refs,
        code: &'a Code,
        plan: &'a Plan,
        moves: bool,
    ) -> Written {
        // A counted run has its number in front.
        let words = plan.slots + u32::from(plan.liveness.is_none());
        let frame = StackSlotData::new(StackSlotKind::ExplicitSlot, (4 * words).next_multiple_of(8), 3);
        let frame = func.create_sized_stack_slot(frame);
        let mut rewriter = Rewriter {
            pos: FuncCursor::new(func),
            cfg,
            refs,
            code,
            plan,
            moves,
            frame,
            state: vec![Where::Slot; refs.len()],
            name: refs.values.clone(),
            known: vec![Index::MAX; refs.len()],
            touched: Vec::new(),
            reloaded: Vec::new(),
            inherited: vec![Vec::new(); cfg.order.len()],
            written: Written::default(),
        };
        for block in 0..cfg.order.len() as Index {
            rewriter.block(block);
        }
        rewriter.written
    }

    fn block(&mut self, block: Index) {
        let (plan, name) = (self.plan, self.cfg.order[block as usize]);
        self.touched.clear();
        self.reloaded.clear();
        if let Some(liveness) = &plan.liveness {
            let inherited = core::mem::take(&mut self.inherited[block as usize]);
            for (i, &reference) in liveness.live_in[block as usize].iter().enumerate() {
                if plan.slot[reference as usize].is_none() {
                    continue;
                }
                let state = match inherited.get(i) {
                    Some(&state) => state,
                    None => self.state_where_paths_meet(block, reference),
                };
                self.enter(block, reference, state, self.refs.values[reference as usize]);
            }
        }
        self.pos.goto_first_insertion_point(name);
        if block == 0 && plan.liveness.is_none() {
            self.clear_run();
        }
        for i in 0..self.pos.func.dfg.num_block_params(name) {
            let param = self.pos.func.dfg.block_params(name)[i];
            if let Some(reference) = self.refs.id(param) {
                self.define(block, reference);
            }
        }
        let last = self.pos.func.layout.last_inst(name).expect("a block has a terminator");
        let events = self.code.events(block);
        let (inner, outer) = events.split_at(events.partition_point(|e| e.inst != last));
        let mut left = self.code.safepoints[block as usize];
        for events in inner.chunk_by(|a, b| a.inst == b.inst) {
            self.inst(block, events, &mut left);
        }
        self.pos.goto_inst(last);
        self.pos.use_srcloc(last);
        if !outer.iter().any(|e| e.what == What::Safepoint) {
            self.reload_for_successors(block);
        }
        self.inst(block, outer, &mut left);
        self.leave(block);
    }

    /// Rewrites an instruction, given its events. `left` safepoints of the block have not been reached.
    fn inst(&mut self, block: Index, events: &[Event], left: &mut u32) {
        let Some(&Event { inst, .. }) = events.first() else { return };
        self.pos.goto_inst(inst);
        self.pos.use_srcloc(inst);
        self.reload_and_rename_uses(block, inst, events);
        for event in events {
            match event.what {
                What::Use(_) => {}
                What::Safepoint => {
                    *left -= 1;
                    self.safepoint(block, inst, *left);
                }
                What::Define(reference) => {
                    let next = self.pos.func.layout.next_inst(inst);
                    self.pos.goto_inst(next.expect("a terminator has no results"));
                    self.define(block, reference);
                }
            }
        }
    }

    // States.

    fn state_where_paths_meet(&self, block: Index, reference: RefId) -> Where {
        match (self.plan.home[reference as usize], self.moves) {
            (false, _) => Where::Register,
            (true, true) if !self.plan.in_register(block, reference) => Where::Slot,
            (true, _) => Where::Both,
        }
    }

    fn enter(&mut self, block: Index, reference: RefId, state: Where, name: Value) {
        let i = reference as usize;
        (self.state[i], self.name[i], self.known[i]) = (state, name, block);
        if self.plan.liveness.is_none() {
            self.touched.push(reference);
        }
    }

    /// Where a reference is at this point of `block`. Without liveness, whatever the block did not touch is in its
    /// slot.
    fn state(&self, block: Index, reference: RefId) -> Where {
        if self.known[reference as usize] == block {
            return self.state[reference as usize];
        }
        debug_assert!(self.plan.liveness.is_none(), "reference {reference} is not live in block {block}");
        if self.moves { Where::Slot } else { Where::Both }
    }

    /// Takes note of a definition; the position is behind it.
    fn define(&mut self, block: Index, reference: RefId) {
        if self.plan.slot[reference as usize].is_some() {
            self.enter(block, reference, Where::Register, self.refs.values[reference as usize]);
            if self.plan.home[reference as usize] {
                self.spill(block, reference);
            }
        }
    }

    // Memory.

    fn offset(&self, reference: RefId) -> u32 {
        let slot = self.plan.slot[reference as usize].expect("only references that are kept are stored");
        4 * (slot + u32::from(self.plan.liveness.is_none()))
    }

    fn spill(&mut self, block: Index, reference: RefId) {
        let (frame, offset, name) = (self.frame, self.offset(reference) as i32, self.name[reference as usize]);
        let store = self.pos.ins().stack_store(types::I64, name, frame, offset);
        self.written.spills.push((block, store));
        self.state[reference as usize] = Where::Both;
    }

    fn reload(&mut self, block: Index, reference: RefId) {
        let (frame, offset) = (self.frame, self.offset(reference) as i32);
        let name = self.pos.ins().stack_load(types::I64, types::I32, frame, offset);
        self.enter(block, reference, Where::Both, name);
        self.reloaded.push(reference);
    }

    /// Writes the number of references in front of the run, and nulls into it.
    fn clear_run(&mut self) {
        let (frame, slots) = (self.frame, self.plan.slots);
        let zero = self.pos.ins().iconst(types::I64, 0);
        let base = self.pos.ins().stack_addr(types::I64, frame, 0);
        for at in (0..4 * (slots + 1)).step_by(8) {
            self.pos.ins().store(MemFlagsData::new().with_notrap(), zero, base, at as i32);
        }
        let count = self.pos.ins().iconst(types::I32, i64::from(slots));
        self.pos.ins().store(MemFlagsData::new().with_notrap(), count, base, 0);
    }

    // Instructions.

    fn reload_and_rename_uses(&mut self, block: Index, inst: Inst, events: &[Event]) {
        let mut renamed = false;
        for event in events {
            let What::Use(reference) = event.what else { continue };
            if self.plan.slot[reference as usize].is_none() {
                continue;
            }
            if self.state(block, reference) == Where::Slot {
                self.reload(block, reference);
            }
            renamed |= self.known[reference as usize] == block
                && self.name[reference as usize] != self.refs.values[reference as usize];
        }
        if renamed {
            let (refs, known, name) = (self.refs, &self.known, &self.name);
            self.pos.func.dfg.map_inst_values(inst, |value| match refs.id(value) {
                Some(r) if known[r as usize] == block => name[r as usize],
                _ => value,
            });
        }
    }

    /// Stores what is live across a safepoint and not in its slot yet, and makes the stack map. `left` safepoints of
    /// the block come after this one.
    fn safepoint(&mut self, block: Index, inst: Inst, left: u32) {
        let (plan, frame) = (self.plan, self.frame);
        let Some(liveness) = &plan.liveness else {
            let entry = UserStackMapEntry { ty: RUN, slot: frame, offset: 0 };
            self.pos.func.dfg.append_user_stack_map_entry(inst, entry);
            if self.moves {
                for reference in self.touched.drain(..) {
                    self.state[reference as usize] = Where::Slot;
                }
            }
            return;
        };
        let safepoint = liveness.safepoints[block as usize][left as usize];
        debug_assert_eq!(safepoint.inst, inst);
        let across = liveness.across(safepoint);
        for (i, &reference) in across.iter().enumerate() {
            if self.state(block, reference) == Where::Register {
                self.spill(block, reference);
            }
            if self.moves {
                self.state[reference as usize] = Where::Slot;
            }
            if planted(Bug::MissingStackMapEntry) && i > 0 && i + 1 == across.len() {
                continue;
            }
            let entry = UserStackMapEntry { ty: types::I32, slot: frame, offset: self.offset(reference) };
            self.pos.func.dfg.append_user_stack_map_entry(inst, entry);
        }
    }

    /// Before the block's last instruction: reloads what successors expect in registers.
    fn reload_for_successors(&mut self, block: Index) {
        let plan = self.plan;
        let Some(liveness) = plan.liveness.as_ref().filter(|_| self.moves && plan.placed) else { return };
        for &(successor, _) in self.cfg.succs(block) {
            if !self.cfg.is_merge(successor) {
                continue;
            }
            for &reference in &liveness.live_in[successor as usize] {
                if plan.slot[reference as usize].is_some()
                    && self.state(block, reference) == Where::Slot
                    && plan.in_register(successor, reference)
                {
                    self.reload(block, reference);
                }
            }
        }
    }

    /// Records how references leave the block.
    fn leave(&mut self, block: Index) {
        let plan = self.plan;
        let Some(liveness) = &plan.liveness else { return };
        for &(successor, _) in self.cfg.succs(block) {
            if self.cfg.is_merge(successor) {
                continue;
            }
            let states = liveness.live_in[successor as usize].iter().map(|&reference| {
                // Those that are not kept have no state; nobody asks for it.
                if plan.slot[reference as usize].is_some() { self.state(block, reference) } else { Where::Register }
            });
            self.inherited[successor as usize] = states.collect();
        }
        self.reloaded.sort_unstable();
        self.reloaded.dedup();
        for &reference in &self.reloaded {
            if self.state[reference as usize] != Where::Slot {
                self.written.reloads.push(Reload { reference, block, name: self.name[reference as usize] });
            }
        }
    }
}
