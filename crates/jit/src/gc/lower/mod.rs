//! Replaces pseudo-calls by code.
//!
//! Everything that differs between collectors comes from the `Spec`: the allocation sequence, header words, barrier
//! programs. No collector is known by name here.

mod access;
mod alloc;
mod barrier;
mod bounds;
mod bulk;
mod bytes;
mod casts;
mod emit;
mod fold;

use super::{FuncGc, GcOp, Mark};
use crate::abi::{InstanceLayout, Trap};
use crate::compile::Settings;
use crate::module::ModuleInfo;
use access::Check;
use casts::Query;
use cranelift_codegen::ir::{Function, Inst, InstBuilder, InstructionData, Opcode, Value};
use emit::Emitter;
use fold::Group;
use heapwright_gc_heap::Spec;
use rustc_hash::{FxHashMap, FxHashSet};

/// What lowering needs to know.
pub(crate) struct LowerEnv<'a> {
    /// Declarations.
    pub module: &'a ModuleInfo,
    /// Instance layout.
    pub layout: &'a InstanceLayout,
    /// The collector's declaration.
    pub spec: &'static Spec,
    /// Settings.
    pub settings: &'a Settings,
}

/// Replaces every pseudo-call in `func`. New values that are references are added to `gc.refs`, calls that cannot
/// collect to `gc.quiet_calls`. Afterwards the function has no value aliases, and `gc.refs` names no value that is
/// gone.
pub(crate) fn lower(func: &mut Function, gc: &mut FuncGc, env: &LowerEnv<'_>) {
    let found = Found::scan(func, gc);
    if !found.blocks.is_empty() {
        let mut emitter = Emitter::new(func, gc, env, found.i31s);
        let mut rest = Vec::new();
        for (block, first) in found.blocks {
            let mut next = Some(first);
            while let Some(inst) = next {
                next = emitter.pos.func.layout.next_inst(inst);
                emitter.pos.func.layout.remove_inst(inst);
                rest.push(inst);
            }
            emitter.resume(block);
            let mut at = 0;
            // Where the next allocations that are made together stand, if they were found already.
            let mut group: Option<(usize, Group)> = None;
            while let Some(&inst) = rest.get(at) {
                if let Some((_, members)) = group.take_if(|(start, _)| *start == at) {
                    emitter.pos.use_srcloc(inst);
                    emitter.allocate_group(&members);
                    at += members.len();
                    continue;
                }
                let Some(op) = emitter.gc.op_of(emitter.pos.func, inst) else {
                    emitter.append(inst);
                    at += 1;
                    continue;
                };
                if group.is_none()
                    && let Some((members, between)) = emitter.gather(&mut rest, at)
                {
                    group = Some((at + between, members));
                    continue;
                }
                at += 1;
                emitter.pos.use_srcloc(inst);
                let branch = rest.get(at).copied().filter(|&b| found.tests.get(&b) == Some(&inst));
                let first = emitter.pos.func.dfg.num_insts() as u32;
                let fused = emitter.lower_op(op, inst, branch);
                if op.allocates() {
                    let end = emitter.pos.func.dfg.num_insts() as u32;
                    emitter.gc.marks.push((Mark::Allocation, first..end));
                }
                if fused {
                    at += 1;
                }
            }
            rest.clear();
        }
        let places = emitter.places;
        bounds::check(func, &places);
    }
    gc.refs = gc.refs.iter().map(|&v| func.dfg.resolve_aliases(v)).collect();
    func.dfg.resolve_all_aliases();
}

/// What a scan of the function found.
#[derive(Default)]
struct Found {
    /// Blocks that hold pseudo-calls, each with the first.
    blocks: Vec<(cranelift_codegen::ir::Block, Inst)>,
    /// Results of `ref.i31`.
    i31s: FxHashSet<Value>,
    /// Branches on the result of a type test that nothing else uses: branch to test.
    tests: FxHashMap<Inst, Inst>,
}

impl Found {
    fn scan(func: &Function, gc: &FuncGc) -> Found {
        let mut found = Found::default();
        if gc.ops.is_empty() {
            return found;
        }
        let mut tests: FxHashMap<Value, (Inst, u32)> = FxHashMap::default();
        for block in func.layout.blocks() {
            let mut first = None;
            for inst in func.layout.block_insts(block) {
                let Some(op) = gc.op_of(func, inst) else { continue };
                first.get_or_insert(inst);
                match op {
                    GcOp::RefI31 => {
                        found.i31s.insert(func.dfg.first_result(inst));
                    }
                    GcOp::RefTest { .. } | GcOp::FuncTest { .. } => {
                        tests.insert(func.dfg.first_result(inst), (inst, 0));
                    }
                    _ => {}
                }
            }
            found.blocks.extend(first.map(|inst| (block, inst)));
        }
        if tests.is_empty() {
            return found;
        }
        for block in func.layout.blocks() {
            for inst in func.layout.block_insts(block) {
                for value in func.dfg.inst_values(inst) {
                    if let Some((_, uses)) = tests.get_mut(&func.dfg.resolve_aliases(value)) {
                        *uses += 1;
                    }
                }
                if let InstructionData::Brif { arg, .. } = func.dfg.insts[inst]
                    && let Some(&(test, _)) = tests.get(&func.dfg.resolve_aliases(arg))
                {
                    found.tests.insert(inst, test);
                }
            }
        }
        found.tests.retain(|_, test| tests[&func.dfg.first_result(*test)].1 == 1);
        found
    }
}

impl Emitter<'_> {
    /// Replaces a pseudo-call, which is no longer in the layout. `branch` is the instruction after it, when that is a
    /// branch on its result and the only use of it; the return value says whether the branch was replaced too.
    fn lower_op(&mut self, op: GcOp, call: Inst, branch: Option<Inst>) -> bool {
        use GcOp::*;
        let reduced = self.gc.reduced.get(&call).copied();
        let args: smallvec::SmallVec<[Value; 8]> = self.pos.func.dfg.inst_args(call).into();
        self.context = args[0];
        let args = &args[1..];
        let null = |nullable: bool, trap: Trap| nullable.then_some(trap);
        let check = |nullable, in_bounds| match in_bounds {
            true => Check::None,
            false => Check::Bounds { null: null(nullable, Trap::NullArrayReference) },
        };
        let result = match op {
            StructNew { ty } => Some(self.struct_new(ty, Some(args))),
            StructNewDefault { ty } => Some(self.struct_new(ty, None)),
            StructGet { ty, field, extend, nullable } => {
                Some(self.struct_get(ty, field, extend, null(nullable, Trap::NullStructReference), args[0]))
            }
            StructSet { ty, field, nullable } => {
                self.struct_set(ty, field, null(nullable, Trap::NullStructReference), reduced, args[0], args[1]);
                None
            }
            ArrayNew { ty } => Some(self.array_new(ty, Some(args[0]), args[1])),
            ArrayNewDefault { ty } => Some(self.array_new(ty, None, args[0])),
            ArrayNewFixed { ty, .. } => Some(self.array_new_fixed(ty, args)),
            ArrayNewData { ty, segment } => {
                self.array_new_segment(crate::abi::Builtin::ArrayNewData, ty, segment, args)
            }
            ArrayNewElem { ty, segment } => {
                self.array_new_segment(crate::abi::Builtin::ArrayNewElem, ty, segment, args)
            }
            ArrayGet { ty, extend, nullable, in_bounds } => {
                let check = check(nullable, in_bounds);
                Some(self.array_get(ty, extend, check, args[0], args[1]))
            }
            ArraySet { ty, nullable, in_bounds } => {
                let check = check(nullable, in_bounds);
                self.array_set(ty, check, reduced, args);
                None
            }
            ArrayLen { nullable } => Some(self.array_len(null(nullable, Trap::NullArrayReference), args[0])),
            ArrayFill { ty, nullable } => {
                self.array_fill(ty, null(nullable, Trap::NullArrayReference), reduced, args);
                None
            }
            ArrayCopy { to, from, to_nullable, from_nullable } => {
                let nulls = [to_nullable, from_nullable].map(|nullable| null(nullable, Trap::NullArrayReference));
                self.array_copy([to, from], nulls, args);
                None
            }
            ArrayInitData { ty, segment } => {
                self.array_init_segment(crate::abi::Builtin::ArrayInitData, ty, segment, args);
                None
            }
            ArrayInitElem { ty, segment } => {
                self.array_init_segment(crate::abi::Builtin::ArrayInitElem, ty, segment, args);
                None
            }
            RefI31 => Some(self.ref_i31(args[0])),
            I31Get { signed, nullable } => Some(self.i31_get(signed, nullable, args[0])),
            RefTest { target, admits_null, nullable, may_be_i31 } => {
                let query = Query { target, admits_null, nullable, may_be_i31, func: false };
                return self.type_test(query, args[0], call, branch);
            }
            FuncTest { target, admits_null, nullable } => {
                let query = Query { target, admits_null, nullable, may_be_i31: false, func: true };
                return self.type_test(query, args[0], call, branch);
            }
            RefCast { target, admits_null, nullable, may_be_i31 } => {
                let query = Query { target, admits_null, nullable, may_be_i31, func: false };
                Some(self.type_cast(query, args[0]))
            }
            FuncCast { target, admits_null, nullable } => {
                let query = Query { target, admits_null, nullable, may_be_i31: false, func: true };
                Some(self.type_cast(query, args[0]))
            }
            ExnNew { tag } => Some(self.exception_new(tag, args)),
            ExnGet { tag, index } => Some(self.exception_get(tag, index, args[0])),
            RootStore { offset } => {
                self.root_store(args[0], offset, args[1]);
                None
            }
        };
        if let RefI31 = op {
            // An i31 is no pointer: it needs no place in a stack map.
            let old = self.pos.func.dfg.first_result(call);
            self.gc.refs.remove(&old);
        }
        if let Some(new) = result {
            self.replace_result(call, new);
        }
        false
    }

    /// Gives all uses of the pseudo-call's result to `new`.
    fn replace_result(&mut self, call: Inst, new: Value) {
        let dfg = &mut self.pos.func.dfg;
        let old = dfg.first_result(call);
        dfg.detach_inst_results(call);
        dfg.change_to_alias(old, new);
    }

    /// Lowers a type test, together with the branch on its result if there is one.
    fn type_test(&mut self, query: Query, value: Value, call: Inst, branch: Option<Inst>) -> bool {
        let Some(branch) = branch.filter(|_| self.simple_test(&query).is_none()) else {
            let result = self.test_value(query, value);
            self.replace_result(call, result);
            return false;
        };
        let InstructionData::Brif { blocks, .. } = self.pos.func.dfg.insts[branch] else {
            unreachable!("only branches are fused with a test")
        };
        let (yes, no) = (self.block(), self.block());
        self.branch_on_test(query, value, yes, no);
        for (block, target) in [(yes, blocks[0]), (no, blocks[1])] {
            self.start(block);
            let pool = &self.pos.func.dfg.value_lists;
            let (to, args): (_, Vec<_>) = (target.block(pool), target.args(pool).collect());
            self.ins().jump(to, &args);
        }
        debug_assert_eq!(self.pos.func.dfg.insts[branch].opcode(), Opcode::Brif);
        true
    }
}
