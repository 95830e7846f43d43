//! Names across blocks.
//!
//! A reference that was reloaded has several names: its own value and the reloaded ones. Where paths with different
//! names meet, a block parameter is needed. One reference at a time, over the blocks where it is live: assume that a
//! block where paths meet needs none, follow names forward, and add a parameter wherever two names meet; repeat until
//! nothing changes. For reducible control flow that gives no parameter too many. The rounds, bounded by the nesting of
//! loops, are cut off after a few; then every meeting gets a parameter, which is always right.

use super::cfg::{Cfg, Index};
use super::edges::{branches, terminator};
use super::plan::Plan;
use super::refs::{RefId, Refs};
use super::rewrite::{Reload, Written};
use super::scan::{Code, What};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::{Block, BlockArg, Function, Inst, InstBuilder, Value, types};

/// Rounds after which parameters are added without need.
const ROUNDS: u32 = 8;

struct Renamer<'a> {
    func: &'a mut Function,
    cfg: &'a Cfg,
    refs: &'a Refs,
    code: &'a Code,
    plan: &'a Plan,
    /// The name at the start of each block, for the reference that `entering_mark` holds.
    entering: Vec<Option<Value>>,
    entering_mark: Vec<RefId>,
    /// The name at the end of each block that reloads the reference.
    leaving: Vec<Value>,
    leaving_mark: Vec<RefId>,
    /// Whether the name at the start is a new parameter.
    param_mark: Vec<RefId>,
    /// Per block, the names that its instructions have to use instead of references' own values.
    renames: Vec<Vec<(RefId, Value)>>,
    /// Per block, the arguments for its new parameters: for each parameter one from each predecessor.
    args: Vec<Vec<Value>>,
}

/// Gives every use its right name.
pub(super) fn run(func: &mut Function, cfg: &Cfg, refs: &Refs, code: &Code, plan: &Plan, mut written: Written) {
    let blocks = cfg.order.len();
    written.reloads.sort_unstable_by_key(|r| (r.reference, r.block));
    let mut renamer = Renamer {
        func,
        cfg,
        refs,
        code,
        plan,
        entering: vec![None; blocks],
        entering_mark: vec![RefId::MAX; blocks],
        leaving: vec![Value::from_u32(0); blocks],
        leaving_mark: vec![RefId::MAX; blocks],
        param_mark: vec![RefId::MAX; blocks],
        renames: vec![Vec::new(); blocks],
        args: vec![Vec::new(); blocks],
    };
    for reloads in written.reloads.chunk_by(|a, b| a.reference == b.reference) {
        renamer.reference(reloads);
    }
    renamer.rename_entering(&written.spills);
    renamer.pass_arguments();
}

impl Renamer<'_> {
    fn reference(&mut self, reloads: &[Reload]) {
        let reference = reloads[0].reference;
        let plan = self.plan;
        let Some(liveness) = &plan.liveness else { return };
        for reload in reloads {
            self.leaving[reload.block as usize] = reload.name;
            self.leaving_mark[reload.block as usize] = reference;
        }
        let blocks = liveness.blocks.row(reference);
        let mut round = 0;
        loop {
            self.sweep(reference, blocks);
            round += 1;
            let mut changed = false;
            for &block in blocks {
                if !self.may_have_param(block, reference) {
                    continue;
                }
                let entering = self.entering[block as usize];
                let differs = |&pred: &Index| self.leaving_name(pred, reference) != entering;
                if round > ROUNDS || self.cfg.preds(block).iter().any(differs) {
                    self.add_param(block, reference);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let own = self.refs.values[reference as usize];
        for &block in blocks {
            if self.param_mark[block as usize] == reference {
                for &pred in self.cfg.preds(block) {
                    let name = self.leaving_name(pred, reference).expect("a live reference has a name on every path");
                    self.args[block as usize].push(name);
                }
            }
            if let Some(name) = self.entering[block as usize].filter(|&name| name != own) {
                self.renames[block as usize].push((reference, name));
            }
        }
    }

    /// Whether the block could get a parameter for the reference but has none yet.
    fn may_have_param(&self, block: Index, reference: RefId) -> bool {
        self.cfg.is_merge(block)
            && self.plan.in_register(block, reference)
            && self.param_mark[block as usize] != reference
    }

    /// Follows names forward once. Names along back edges are not known yet and taken to agree.
    fn sweep(&mut self, reference: RefId, blocks: &[Index]) {
        for &block in blocks {
            let block = block as usize;
            self.entering_mark[block] = reference;
            if self.param_mark[block] != reference {
                self.entering[block] = None;
            }
        }
        for &block in blocks {
            if !self.cfg.is_merge(block) {
                self.entering[block as usize] = self.leaving_name(self.cfg.preds(block)[0], reference);
            } else if self.may_have_param(block, reference) {
                let mut names = self.cfg.preds(block).iter().filter_map(|&pred| self.leaving_name(pred, reference));
                let first = names.next();
                if names.all(|name| Some(name) == first) {
                    self.entering[block as usize] = first;
                } else {
                    self.add_param(block, reference);
                }
            }
        }
    }

    fn add_param(&mut self, block: Index, reference: RefId) {
        let param = self.func.dfg.append_block_param(self.cfg.order[block as usize], types::I32);
        self.entering[block as usize] = Some(param);
        self.param_mark[block as usize] = reference;
    }

    /// The name under which the reference leaves a block, if it is in a register there.
    fn leaving_name(&self, block: Index, reference: RefId) -> Option<Value> {
        if self.leaving_mark[block as usize] == reference {
            return Some(self.leaving[block as usize]);
        }
        if self.code.def_block[reference as usize] == Some(block) {
            return Some(self.refs.values[reference as usize]);
        }
        debug_assert_eq!(self.entering_mark[block as usize], reference, "the reference is live there");
        self.entering[block as usize]
    }

    /// Puts the names with which references enter blocks in place of their own values: in the instructions that use
    /// references, and in the stores to slots.
    fn rename_entering(&mut self, spills: &[(Index, Inst)]) {
        let mut current: Vec<(Index, Value)> = vec![(Index::MAX, Value::from_u32(0)); self.refs.len()];
        let mut spills = spills.iter().copied().peekable();
        for (block, renames) in self.renames.iter().enumerate() {
            let block = block as Index;
            for &(reference, name) in renames {
                current[reference as usize] = (block, name);
            }
            let uses = self.code.events(block).iter().filter(|e| matches!(e.what, What::Use(_))).map(|e| e.inst);
            let mut rename = |inst: Inst| {
                self.func.dfg.map_inst_values(inst, |value| match self.refs.id(value) {
                    Some(r) if current[r as usize].0 == block => current[r as usize].1,
                    _ => value,
                });
            };
            while let Some((_, store)) = spills.next_if(|&(b, _)| b == block) {
                rename(store);
            }
            if !renames.is_empty() {
                uses.for_each(rename);
            }
        }
    }

    /// Passes arguments for the new parameters.
    fn pass_arguments(&mut self) {
        if self.args.iter().all(Vec::is_empty) {
            return;
        }
        let mut place = vec![0; self.cfg.order.len()];
        let blocks: Vec<Block> = self.func.layout.blocks().collect();
        for block in blocks {
            let Some(inst) = terminator(self.func, block) else { continue };
            let source = self.cfg.index(block);
            for &(to, at) in source.map_or(&[][..], |from| self.cfg.succs(from)) {
                place[to as usize] = at as usize;
            }
            for i in 0..branches(self.func, inst).len() {
                let mut edge = branches(self.func, inst)[i];
                let Some(to) = self.cfg.index(edge.block(&self.func.dfg.value_lists)) else { continue };
                let rows = self.args[to as usize].chunks_exact(self.cfg.preds(to).len().max(1));
                let args: Vec<BlockArg> = match source {
                    Some(_) => rows.map(|row| BlockArg::Value(row[place[to as usize]])).collect(),
                    None if rows.len() == 0 => continue,
                    None => {
                        // Code that is never reached passes whatever has the right type.
                        let count = rows.len();
                        let null = FuncCursor::new(self.func).at_inst(inst).ins().iconst(types::I32, 0);
                        vec![BlockArg::Value(null); count]
                    }
                };
                let dfg = &mut self.func.dfg;
                edge.extend(args, &mut dfg.value_lists);
                dfg.insts[inst].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables)[i] = edge;
            }
        }
    }
}
