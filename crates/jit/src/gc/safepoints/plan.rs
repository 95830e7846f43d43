//! Where references are kept, and what may be spent on it.
//!
//! Three plans, from the best code to the least work:
//!
//! - *Placed*: a reference is stored where a safepoint needs it and reloaded where the path that had the safepoint
//!   meets one that had none. References that only out-of-line code keeps over safepoints cost the hot path nothing.
//!   The cost in instructions is in the order of the pairs of a safepoint and a reference live across it.
//! - *Homes*: each reference is stored once, at its definition, and reloaded at uses. Instructions are linear in the
//!   function; only the stack maps still grow with the pairs.
//! - *Counted*: as homes, but without liveness. The frame's references stand in one run behind a word with their
//!   number, and a stack map is just the place of that word. Linear whatever the function.
//!
//! The second and the third are for functions in which thousands of references are live at once: initialisers, mostly.

use super::cfg::{Cfg, Index};
use super::liveness::{Limits, Liveness, wanted};
use super::refs::{RefId, Refs};
use super::scan::{Code, Position, Use};
use cranelift_codegen::ir::Function;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What each plan may cost, as a multiple of the function's size and a constant: that of the first plan lets small
/// functions have the best code, those of the second keep exact maps for some hundreds of references that are live at
/// once.
#[derive(Clone, Copy, Debug)]
pub(in crate::gc) struct Budget {
    /// Pairs, for the first plan.
    pub(in crate::gc) placed: (usize, usize),
    /// Pairs, for the second.
    pub(in crate::gc) homes: (usize, usize),
    /// Steps of the liveness computation, for both.
    pub(in crate::gc) steps: (usize, usize),
}

impl Budget {
    pub(in crate::gc) const DEFAULT: Budget = Budget { placed: (1, 512), homes: (32, 1 << 16), steps: (64, 1 << 18) };
}

/// More references than this at the start of one block are not made its parameters: Cranelift has 16 bits for their
/// number.
const MOST_PARAMS: usize = 20_000;

/// The plan.
pub(super) struct Plan {
    /// The slot of each reference that is live across a safepoint.
    pub(super) slot: Vec<Option<u32>>,
    /// The number of slots.
    pub(super) slots: u32,
    /// References that are stored at their definition: their slots are valid everywhere.
    pub(super) home: Vec<bool>,
    /// Of those, which are to be in registers at the start of each block where paths meet; ascending.
    pub(super) wanted: Vec<Vec<RefId>>,
    /// `None` in the counted plan.
    pub(super) liveness: Option<Liveness>,
    /// Whether this is the first plan.
    pub(super) placed: bool,
}

impl Plan {
    pub(super) fn choose(
        func: &Function,
        cfg: &Cfg,
        refs: &Refs,
        code: &mut Code,
        moves: bool,
        budget: Budget,
    ) -> Plan {
        let size = code.size;
        let within = |(multiple, constant): (usize, usize)| multiple * size + constant;
        let limits = Limits { steps: within(budget.steps), pairs: within(budget.homes) };
        let Some(liveness) = Liveness::compute(cfg, refs, code, limits) else {
            return Plan::counted(cfg, refs, code);
        };
        let crossing = crossings(func, cfg, refs, &liveness);
        let widest =
            (0..cfg.order.len()).filter(|&b| cfg.is_merge(b as Index)).map(|b| liveness.live_in[b].len()).max();
        let placed = liveness.pairs() <= within(budget.placed) && widest.unwrap_or(0) <= MOST_PARAMS;
        let least = if placed { Crosses::Often } else { Crosses::Little };
        let home: Vec<bool> = crossing.iter().map(|&crosses| crosses >= least).collect();
        let wanted = match moves && placed {
            true => wanted(cfg, refs, code, |r| home[r as usize]),
            false => vec![Vec::new(); cfg.order.len()],
        };
        let (slot, slots) = assign_slots(code, |r| crossing[r as usize] != Crosses::Nothing);
        Plan { slot, slots, home, wanted, liveness: Some(liveness), placed }
    }

    fn counted(cfg: &Cfg, refs: &Refs, code: &mut Code) -> Plan {
        let mut crosses = vec![false; refs.len()];
        for (r, crosses) in crosses.iter_mut().enumerate() {
            let crosses_before = |u: &Use| code.def_block[r] != Some(u.block) || u.safepoints > code.def_safepoints[r];
            *crosses = code.uses.row(r as RefId).iter().any(crosses_before);
        }
        extend_over_loops(cfg, code);
        let (slot, slots) = assign_slots(code, |r| crosses[r as usize]);
        Plan { slot, slots, home: crosses, wanted: vec![Vec::new(); cfg.order.len()], liveness: None, placed: false }
    }

    /// Whether a reference that is live across a safepoint is in a register when `block`, where paths meet, starts.
    pub(super) fn in_register(&self, block: Index, reference: RefId) -> bool {
        !self.home[reference as usize] || self.wanted[block as usize].binary_search(&reference).is_ok()
    }
}

/// Which safepoints a reference crosses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Crosses {
    Nothing,
    /// Only such as are out of line, or those of one block outside any loop that it is live around.
    Little,
    /// So many that one store at the definition is cheaper than stores before them.
    Often,
}

fn crossings(func: &Function, cfg: &Cfg, refs: &Refs, liveness: &Liveness) -> Vec<Crosses> {
    let mut result = vec![Crosses::Nothing; refs.len()];
    let mut around_loop = vec![false; refs.len()];
    for block in (0..cfg.order.len() as Index).filter(|&b| cfg.is_loop_header(b)) {
        for &reference in &liveness.live_in[block as usize] {
            around_loop[reference as usize] = true;
        }
    }
    // One block with safepoints on the hot path that each reference crosses.
    let mut hot = vec![None; refs.len()];
    for (block, safepoints) in liveness.safepoints.iter().enumerate() {
        let cold = func.layout.is_cold(cfg.order[block]);
        for &reference in safepoints.iter().flat_map(|&s| liveness.across(s)) {
            let reference = reference as usize;
            result[reference] = result[reference].max(Crosses::Little);
            if !cold {
                let before = *hot[reference].get_or_insert(block);
                if before != block || around_loop[reference] {
                    result[reference] = Crosses::Often;
                }
            }
        }
    }
    result
}

/// Gives the references of `which` slots; two share one only if in position order one ends before the other starts,
/// which means that nowhere both are live.
fn assign_slots(code: &Code, which: impl Fn(RefId) -> bool) -> (Vec<Option<u32>>, u32) {
    let mut slot = vec![None; code.start.len()];
    let mut by_start: Vec<RefId> = (0..slot.len() as RefId).filter(|&r| which(r)).collect();
    by_start.sort_unstable_by_key(|&r| (code.start[r as usize], r));
    let mut taken: BinaryHeap<Reverse<(Position, u32)>> = BinaryHeap::new();
    let mut slots = 0;
    for reference in by_start {
        let (start, end) = (code.start[reference as usize], code.end[reference as usize]);
        let place = match taken.peek() {
            Some(&Reverse((free_at, place))) if free_at <= start => {
                taken.pop();
                place
            }
            _ => {
                slots += 1;
                slots - 1
            }
        };
        taken.push(Reverse((end, place)));
        slot[reference as usize] = Some(place);
    }
    (slot, slots)
}

/// Extends each reference's end, in position order, over all loops around which it may be live: those whose header lies
/// behind its definition and not behind its end. (A path that goes from where a reference is live to an earlier
/// position, without passing its definition, goes by a back edge to such a header; and whatever comes before that edge
/// ends no later than the edge.)
fn extend_over_loops(cfg: &Cfg, code: &mut Code) {
    // Loops by the position of their header, last first.
    let block_start = |block: Index, code: &Code| block.checked_sub(1).map_or(0, |b| code.block_end[b as usize]);
    let mut loops: Vec<(Position, Position)> = Vec::new();
    for header in (0..cfg.order.len() as Index).rev() {
        let end = cfg.preds(header).iter().filter(|&&p| p >= header).map(|&p| code.block_end[p as usize]).max();
        loops.extend(end.map(|end| (block_start(header, code), end)));
    }
    let mut loops = loops.into_iter().peekable();
    // Of the loops whose header lies behind the current position: header and end, closed over the loops that the loop
    // runs into. From the top of the stack down both grow; what another one with an earlier header and a later end
    // hides is left out.
    let mut stack: Vec<(Position, Position)> = Vec::new();
    let reach = |stack: &[(Position, Position)], end: Position| {
        let first = stack.partition_point(|&(header, _)| header > end);
        stack.get(first).map_or(end, |&(_, reached)| reached.max(end))
    };
    let mut by_start: Vec<RefId> = (0..code.start.len() as RefId).collect();
    by_start.sort_unstable_by_key(|&r| Reverse(code.start[r as usize]));
    for reference in by_start {
        let start = code.start[reference as usize];
        while let Some((header, end)) = loops.next_if(|&(header, _)| header > start) {
            let end = reach(&stack, end);
            while stack.last().is_some_and(|&(_, hidden)| hidden <= end) {
                stack.pop();
            }
            stack.push((header, end));
        }
        let end = &mut code.end[reference as usize];
        *end = reach(&stack, *end);
    }
}
