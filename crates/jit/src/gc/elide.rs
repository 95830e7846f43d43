//! Finds the stores that need less than the collector's store program.
//!
//! Which ones may is the collector's declaration ([`Elision`]); where they are is found here, before lowering, while an
//! allocation is one instruction and a cast is not yet a branch:
//!
//! - *null* and *i31* stored: seen in the value's definition;
//! - *fresh object* and *same object*: a fact ("this object is fresh", "the store program has run for it") holds from
//!   the instruction that makes it true to the next safepoint. Where paths meet, what holds on each of them holds. A
//!   loop's header starts with nothing, which makes one pass over the blocks in reverse postorder enough.
//!
//! A reference is known by the name of its definition; a cast's result is another name of its operand. The pass costs
//! time linear in the function, because no more than [`MAX_FACTS`] facts are kept at a time: the oldest is forgotten
//! first.
//!
//! The result, in [`FuncGc::reduced`], is only read by lowering. Nothing else depends on it: without this pass every
//! store runs its whole program.

use super::lower::LowerEnv;
use super::safepoints::cfg::Cfg;
use super::{FuncGc, GcOp};
use cranelift_codegen::ir::{Function, Inst, InstructionData, Opcode, Value, ValueDef};
use heapwright_gc_heap::{Bug, Elision, planted};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Facts kept at a time.
const MAX_FACTS: usize = 24;

/// What a store runs instead of the store program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reduced {
    /// The init program, if there is one.
    Init,
    /// Nothing.
    Nothing,
}

/// What is known of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fact {
    /// No safepoint since its allocation.
    Fresh(Value),
    /// No safepoint since the store program ran for it.
    Stored(Value),
}

type Facts = SmallVec<[Fact; 4]>;

/// Fills in [`FuncGc::reduced`].
pub(super) fn run(func: &Function, gc: &mut FuncGc, env: &LowerEnv<'_>) {
    let declared = env.spec.elide;
    if env.spec.barriers.store.is_none() || declared.is_empty() || !gc.ops.iter().any(|op| is_store(*op, env)) {
        return;
    }
    let mut pass = Pass { func, env, declared, same: FxHashMap::default(), reduced: FxHashMap::default() };
    if declared.contains(&Elision::FreshObject) || declared.contains(&Elision::SameObject) {
        pass.follow(gc);
    } else {
        for block in func.layout.blocks() {
            let mut none = Facts::new();
            func.layout.block_insts(block).for_each(|inst| pass.step(gc, inst, &mut none));
        }
    }
    gc.reduced = pass.reduced;
}

/// Whether an operation stores references that the store program is for.
fn is_store(op: GcOp, env: &LowerEnv<'_>) -> bool {
    match op {
        GcOp::StructSet { ty, field, .. } => env.module.struct_layout(ty).fields[field as usize].traced,
        GcOp::ArraySet { ty, .. } | GcOp::ArrayFill { ty, .. } => env.module.array_layout(ty).traced,
        _ => false,
    }
}

struct Pass<'a> {
    func: &'a Function,
    env: &'a LowerEnv<'a>,
    declared: &'static [Elision],
    /// Results of casts, with the reference that they are another name of.
    same: FxHashMap<Value, Value>,
    reduced: FxHashMap<Inst, Reduced>,
}

impl Pass<'_> {
    /// Goes through the blocks with what holds where.
    fn follow(&mut self, gc: &FuncGc) {
        let cfg = Cfg::new(self.func);
        let mut ends: Vec<Facts> = Vec::with_capacity(cfg.order.len());
        for (index, &block) in cfg.order.iter().enumerate() {
            let preds = cfg.preds(index as u32);
            let mut facts = match preds.split_first() {
                // A predecessor that comes later closes a loop.
                Some((&first, rest)) if preds.iter().all(|&pred| (pred as usize) < index) => {
                    let mut facts = ends[first as usize].clone();
                    facts.retain(|fact| rest.iter().all(|&pred| ends[pred as usize].contains(fact)));
                    facts
                }
                _ => Facts::new(),
            };
            for inst in self.func.layout.block_insts(block) {
                self.step(gc, inst, &mut facts);
            }
            ends.push(facts);
        }
    }

    /// Takes one instruction into account.
    fn step(&mut self, gc: &FuncGc, inst: Inst, facts: &mut Facts) {
        let Some(op) = gc.op_of(self.func, inst) else {
            let calls = self.func.dfg.insts[inst].opcode().is_call() && !gc.quiet_calls.contains(&inst);
            if calls && !planted(Bug::SkippedElisionCheck) {
                facts.clear();
            }
            return;
        };
        if is_store(op, self.env) {
            self.store(gc, op, inst, facts);
        }
        if let GcOp::RefCast { .. } = op {
            let operand = self.name(self.argument(inst, 0));
            self.same.insert(self.func.dfg.first_result(inst), operand);
        }
        if op.may_collect() && !planted(Bug::SkippedElisionCheck) {
            facts.clear();
        }
        if op.allocates_inline() {
            remember(facts, Fact::Fresh(self.func.dfg.first_result(inst)));
        }
    }

    fn store(&mut self, gc: &FuncGc, op: GcOp, inst: Inst, facts: &mut Facts) {
        let object = self.name(self.argument(inst, 0));
        let value = match op {
            GcOp::StructSet { .. } => self.argument(inst, 1),
            _ => self.argument(inst, 2),
        };
        let whole_slots = !matches!(op, GcOp::ArrayFill { .. });
        let may = |elision| self.declared.contains(&elision);
        let reduced = if known(self.func, gc, value).is_some_and(may) {
            Some(Reduced::Nothing)
        } else if may(Elision::FreshObject) && facts.contains(&Fact::Fresh(object)) {
            Some(Reduced::Init)
        } else if may(Elision::SameObject) && whole_slots && facts.contains(&Fact::Stored(object)) {
            Some(Reduced::Nothing)
        } else {
            None
        };
        match reduced {
            Some(reduced) => drop(self.reduced.insert(inst, reduced)),
            // A fill may run another program, or, of no elements, none.
            None if whole_slots && may(Elision::SameObject) => remember(facts, Fact::Stored(object)),
            None => {}
        }
    }

    /// An operand of a pseudo-call, behind the context.
    fn argument(&self, inst: Inst, index: usize) -> Value {
        self.func.dfg.inst_args(inst)[index + 1]
    }

    /// The name that an object's facts are kept under.
    fn name(&self, value: Value) -> Value {
        let value = self.func.dfg.resolve_aliases(value);
        self.same.get(&value).copied().unwrap_or(value)
    }
}

fn remember(facts: &mut Facts, fact: Fact) {
    if facts.contains(&fact) {
        return;
    }
    if facts.len() == MAX_FACTS {
        facts.remove(0);
    }
    facts.push(fact);
}

/// The elision that a value stored is the reason for, if it is known to be null or an i31.
fn known(func: &Function, gc: &FuncGc, value: Value) -> Option<Elision> {
    let ValueDef::Result(def, _) = func.dfg.value_def(func.dfg.resolve_aliases(value)) else { return None };
    match func.dfg.insts[def] {
        InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => match imm.bits() {
            0 => Some(Elision::NullStored),
            bits => (bits & 1 != 0).then_some(Elision::I31Stored),
        },
        _ => (gc.op_of(func, def) == Some(GcOp::RefI31)).then_some(Elision::I31Stored),
    }
}
