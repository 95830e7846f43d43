//! Where references are live.
//!
//! Sparse: from each use back to the definition, one reference at a time. The work is the size of the answer, which for
//! long functions with many live references is quadratic; so it is bounded, and the caller does without when the bound
//! is passed.

use super::cfg::{Cfg, Index, Rows};
use super::refs::{RefId, Refs};
use super::scan::{Code, Use, What};
use cranelift_codegen::ir::Inst;

/// A safepoint and the references that are live across it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Safepoint {
    pub(super) inst: Inst,
    start: u32,
    end: u32,
}

/// The answer.
pub(super) struct Liveness {
    /// References live at the start of each block, its parameters excluded.
    pub(super) live_in: Vec<Vec<RefId>>,
    /// The same, by reference: the blocks at whose start it is live, in order.
    pub(super) blocks: Rows<Index>,
    /// The safepoints of each block, last first.
    pub(super) safepoints: Vec<Vec<Safepoint>>,
    live: Vec<RefId>,
}

/// Limits to the work: steps from uses to definitions, and pairs of a safepoint and a reference live across it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) steps: usize,
    pub(super) pairs: usize,
}

impl Liveness {
    /// Computes liveness, and extends `code.end` to all positions at which each reference is live. `None` when a limit
    /// is passed.
    pub(super) fn compute(cfg: &Cfg, refs: &Refs, code: &mut Code, limits: Limits) -> Option<Liveness> {
        let blocks = cfg.order.len();
        let (live_in, live_out) = walk(cfg, refs, code, limits.steps)?;
        let by_reference =
            live_in.iter().enumerate().flat_map(|(block, refs)| refs.iter().map(move |&r| (r, block as Index)));
        let mut result = Liveness {
            blocks: Rows::collect(refs.len(), by_reference, 0),
            live_in,
            safepoints: vec![Vec::new(); blocks],
            live: Vec::new(),
        };
        let mut set = Set::new(refs.len());
        for (block, out) in live_out.iter().enumerate() {
            if code.safepoints[block] == 0 {
                continue;
            }
            set.clear();
            for &reference in out {
                set.insert(reference);
            }
            for event in code.events(block as Index).iter().rev() {
                match event.what {
                    What::Use(reference) => set.insert(reference),
                    What::Define(reference) => set.remove(reference),
                    What::Safepoint => {
                        if result.live.len() + set.members.len() > limits.pairs {
                            return None;
                        }
                        let start = result.live.len() as u32;
                        result.live.extend_from_slice(&set.members);
                        let end = result.live.len() as u32;
                        result.safepoints[block].push(Safepoint { inst: event.inst, start, end });
                    }
                }
            }
        }
        Some(result)
    }

    /// The references live across a safepoint.
    pub(super) fn across(&self, safepoint: Safepoint) -> &[RefId] {
        &self.live[safepoint.start as usize..safepoint.end as usize]
    }

    /// The number of pairs of a safepoint and a reference live across it.
    pub(super) fn pairs(&self) -> usize {
        self.live.len()
    }
}

type PerBlock = Vec<Vec<RefId>>;

/// The references live at the start of each block, and at the end of each block that has safepoints.
fn walk(cfg: &Cfg, refs: &Refs, code: &mut Code, mut steps: usize) -> Option<(PerBlock, PerBlock)> {
    let blocks = cfg.order.len();
    let (mut live_in, mut live_out) = (vec![Vec::new(); blocks], vec![Vec::new(); blocks]);
    // The reference that reached a block's start, or its end, last.
    let (mut at_start, mut at_end) = (vec![RefId::MAX; blocks], vec![RefId::MAX; blocks]);
    let mut path: Vec<Index> = Vec::new();
    for reference in 0..refs.len() as RefId {
        let Some(home) = code.def_block[reference as usize] else { continue };
        for i in 0..code.uses.row(reference).len() {
            let block = code.uses.row(reference)[i].block;
            if block == home || at_start[block as usize] == reference {
                continue;
            }
            at_start[block as usize] = reference;
            path.push(block);
            while let Some(block) = path.pop() {
                live_in[block as usize].push(reference);
                for &pred in cfg.preds(block) {
                    steps = steps.checked_sub(1)?;
                    if at_end[pred as usize] == reference {
                        continue;
                    }
                    at_end[pred as usize] = reference;
                    if code.safepoints[pred as usize] > 0 {
                        live_out[pred as usize].push(reference);
                    }
                    let end = &mut code.end[reference as usize];
                    *end = (*end).max(code.block_end[pred as usize]);
                    if pred != home && at_start[pred as usize] != reference {
                        at_start[pred as usize] = reference;
                        path.push(pred);
                    }
                }
            }
        }
    }
    Some((live_in, live_out))
}

/// The blocks at whose start each reference of `which` is wanted in a register: a use is reached from there with no
/// safepoint in between. Per block.
pub(super) fn wanted(cfg: &Cfg, refs: &Refs, code: &Code, which: impl Fn(RefId) -> bool) -> Vec<Vec<RefId>> {
    let mut wanted = vec![Vec::new(); cfg.order.len()];
    let mut at_start = vec![RefId::MAX; cfg.order.len()];
    let mut path: Vec<Index> = Vec::new();
    for reference in (0..refs.len() as RefId).filter(|&r| which(r)) {
        let Some(home) = code.def_block[reference as usize] else { continue };
        for &Use { block, safepoints } in code.uses.row(reference) {
            if safepoints == 0 && block != home && at_start[block as usize] != reference {
                at_start[block as usize] = reference;
                path.push(block);
            }
            while let Some(block) = path.pop() {
                wanted[block as usize].push(reference);
                for &pred in cfg.preds(block) {
                    let stops = pred == home || code.safepoints[pred as usize] > 0;
                    if !stops && at_start[pred as usize] != reference {
                        at_start[pred as usize] = reference;
                        path.push(pred);
                    }
                }
            }
        }
    }
    wanted
}

/// A set with constant-time operations and a list of its members.
struct Set {
    members: Vec<RefId>,
    /// One more than the member's position, or 0.
    place: Vec<u32>,
}

impl Set {
    fn new(size: usize) -> Set {
        Set { members: Vec::new(), place: vec![0; size] }
    }

    fn clear(&mut self) {
        for &member in &self.members {
            self.place[member as usize] = 0;
        }
        self.members.clear();
    }

    fn insert(&mut self, id: RefId) {
        if self.place[id as usize] == 0 {
            self.members.push(id);
            self.place[id as usize] = self.members.len() as u32;
        }
    }

    fn remove(&mut self, id: RefId) {
        let Some(place) = self.place[id as usize].checked_sub(1) else { return };
        self.place[id as usize] = 0;
        self.members.swap_remove(place as usize);
        if let Some(&moved) = self.members.get(place as usize) {
            self.place[moved as usize] = place + 1;
        }
    }
}
