//! Where stores, reloads and stack map entries are.

use super::*;
use crate::gc::Extend;
use crate::gc::safepoints::{self, Budget};
use cranelift_codegen::ir::{
    Block, BlockArg, BlockCall, ExceptionTableData, ExceptionTableItem, ExceptionTag, ExtFuncData, ExternalName,
    FuncRef, Inst, InstBuilder, InstructionData, Opcode, UserExternalName, ValueDef,
};

/// Accesses to the frame's slots, and safepoints.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Counts {
    stores: usize,
    loads: usize,
    /// The entries of each stack map.
    maps: Vec<usize>,
}

/// Counts in the blocks that `which` accepts.
fn count(func: &Function, which: impl Fn(Block) -> bool) -> Counts {
    let in_frame = |v: Value| match func.dfg.value_def(v) {
        ValueDef::Result(inst, _) => func.dfg.insts[inst].opcode() == Opcode::StackAddr,
        _ => false,
    };
    let mut counts = Counts::default();
    for inst in func.layout.blocks().filter(|&b| which(b)).flat_map(|b| func.layout.block_insts(b)) {
        match func.dfg.insts[inst] {
            InstructionData::Store { args, .. } if in_frame(args[1]) => counts.stores += 1,
            InstructionData::Load { arg, .. } if in_frame(arg) => counts.loads += 1,
            _ => counts.maps.extend(func.dfg.user_stack_map_entries(inst).map(<[_]>::len)),
        }
    }
    counts
}

fn everywhere(func: &Function) -> Counts {
    count(func, |_| true)
}

fn in_hot_code(func: &Function) -> Counts {
    count(func, |b| !func.layout.is_cold(b))
}

/// Imports a function `(i32) -> i32`.
fn helper(build: &mut Build<'_, '_>) -> FuncRef {
    let mut signature = Signature::new(CallConv::Tail);
    signature.params.extend([types::I64, types::I32].map(AbiParam::new));
    signature.returns.push(AbiParam::new(types::I32));
    let signature = build.b.import_signature(signature);
    let name = build.b.func.declare_imported_user_function(UserExternalName::new(0, 0));
    let name = ExternalName::user(name);
    build.b.import_function(ExtFuncData { name, signature, colocated: true, patchable: false })
}

/// Calls `helper` with `value`.
fn call(build: &mut Build<'_, '_>, helper: FuncRef, value: Value) -> Inst {
    build.b.ins().call(helper, &[build.context, value])
}

/// Reads a node's number.
fn number(build: &mut Build<'_, '_>, node: Value) -> Value {
    build.op(GcOp::StructGet { ty: NODE, field: 0, extend: Extend::None, nullable: false }, &[node])
}

/// A new node without children.
fn node(build: &mut Build<'_, '_>) -> Value {
    build.op(GcOp::StructNewDefault { ty: NODE }, &[])
}

const REF: [Type; 1] = [types::I32];

/// Builds and compiles a function whose parameters, all `i32`, are references.
fn compile(spec: &'static Spec, params: usize, body: impl FnOnce(&mut Build<'_, '_>, &[Value])) -> Function {
    let fixture = Fixture::new(spec);
    let (mut func, mut gc) = fixture.build(&vec![types::I32; params], &REF, |build, params| {
        build.gc.refs.extend(params);
        body(build, params);
    });
    fixture.compile(&mut func, &mut gc);
    let maps = everywhere(&func).maps;
    let (_, count, entries) = machine_code(&func);
    assert_eq!((count, entries), (maps.len(), maps.iter().sum()), "maps reach the code\n{func}");
    func
}

#[test]
fn allocations_cost_the_hot_path_nothing() {
    let body = |build: &mut Build<'_, '_>, params: &[Value]| {
        let head = build.b.create_block();
        let exit = build.b.create_block();
        let list = build.b.append_block_param(head, types::I32);
        build.b.ins().jump(head, &[params[0].into()]);
        build.b.switch_to_block(head);
        let zero = build.b.ins().iconst(types::I32, 0);
        let list = build.op(GcOp::StructNew { ty: NODE }, &[zero, list, params[1]]);
        let more = number(build, params[2]);
        build.b.ins().brif(more, head, &[list.into()], exit, &[]);
        build.b.switch_to_block(exit);
        build.b.ins().return_(&[list]);
    };
    for spec in [&COPYING, &SWEEPING] {
        let func = compile(spec, 3, body);
        assert_eq!(in_hot_code(&func), Counts::default(), "{func}");
        let reloads = if spec.moves == Moves::AtSafepoint { 3 } else { 0 };
        assert_eq!(everywhere(&func), Counts { stores: 3, loads: reloads, maps: vec![3] }, "{func}");
    }
    assert_eq!(everywhere(&compile(&NULL, 3, body)), Counts::default());
}

#[test]
fn what_is_not_used_later_is_not_kept() {
    let func = compile(&COPYING, 2, |build, params| {
        let helper = helper(build);
        // The argument dies in the call, and its result is only born there.
        let result = call(build, helper, params[0]);
        let result = build.b.inst_results(result)[0];
        build.gc.refs.insert(result);
        build.b.ins().return_(&[result]);
    });
    assert_eq!(everywhere(&func), Counts::default(), "{func}");
}

#[test]
fn several_calls_share_a_store_and_a_reload() {
    for (spec, loads) in [(&COPYING, 1), (&SWEEPING, 0)] {
        let func = compile(spec, 1, |build, params| {
            let helper = helper(build);
            let zero = build.b.ins().iconst(types::I32, 0);
            for _ in 0..3 {
                call(build, helper, zero);
            }
            build.b.ins().return_(&[params[0]]);
        });
        assert_eq!(everywhere(&func), Counts { stores: 1, loads, maps: vec![1; 3] }, "{func}");
    }
}

#[test]
fn a_reference_around_a_loop_with_calls_is_stored_once() {
    for spec in [&COPYING, &SWEEPING] {
        let func = compile(spec, 2, |build, params| {
            let helper = helper(build);
            let (head, exit) = (build.b.create_block(), build.b.create_block());
            build.b.ins().jump(head, &[]);
            build.b.switch_to_block(head);
            let value = number(build, params[0]);
            call(build, helper, value);
            build.b.ins().brif(value, head, &[], exit, &[]);
            build.b.switch_to_block(exit);
            build.b.ins().return_(&[params[1]]);
        });
        let entry = func.layout.entry_block();
        assert_eq!(count(&func, |b| Some(b) == entry).stores, 2, "{func}");
        let all = everywhere(&func);
        assert_eq!((all.stores, all.maps), (2, vec![2]), "{func}");
        // One reload in the loop for the reference used there, one after it for the other.
        assert_eq!(all.loads, if spec.moves == Moves::AtSafepoint { 2 } else { 0 }, "{func}");
    }
}

#[test]
fn a_loop_without_calls_reloads_nothing() {
    let func = compile(&COPYING, 2, |build, params| {
        let helper = helper(build);
        let zero = build.b.ins().iconst(types::I32, 0);
        call(build, helper, zero);
        let (middle, head, exit) = (build.b.create_block(), build.b.create_block(), build.b.create_block());
        let value = number(build, params[1]);
        build.b.ins().brif(value, middle, &[], head, &[]);
        build.b.switch_to_block(middle);
        call(build, helper, zero);
        build.b.ins().jump(head, &[]);
        build.b.switch_to_block(head);
        let value = number(build, params[0]);
        build.b.ins().brif(value, head, &[], exit, &[]);
        build.b.switch_to_block(exit);
        build.b.ins().return_(&[params[0]]);
    });
    let head =
        |b: Block| b.as_u32() >= 2 && func.layout.block_insts(b).any(|i| func.dfg.insts[i].opcode() == Opcode::Brif);
    assert_eq!(count(&func, head).loads, 0, "{func}");
}

#[test]
fn paths_with_and_without_an_allocation_meet_in_a_parameter() {
    let func = compile(&COPYING, 2, |build, params| {
        let (yes, done) = (build.b.create_block(), build.b.create_block());
        let value = number(build, params[0]);
        build.b.ins().brif(value, yes, &[], done, &[]);
        build.b.switch_to_block(yes);
        node(build);
        build.b.ins().jump(done, &[]);
        build.b.switch_to_block(done);
        let first = number(build, params[0]);
        let second = number(build, params[1]);
        let sum = build.b.ins().iadd(first, second);
        build.b.ins().return_(&[sum]);
    });
    let end = func
        .layout
        .blocks()
        .find(|&b| func.layout.last_inst(b).is_some_and(|inst| func.dfg.insts[inst].opcode().is_return()));
    assert_eq!(func.dfg.num_block_params(end.expect("a return")), 2, "{func}");
    assert_eq!(everywhere(&func), Counts { stores: 2, loads: 2, maps: vec![2] });
}

#[test]
fn selects_and_parameters_are_references() {
    let func = compile(&COPYING, 2, |build, params| {
        let helper = helper(build);
        let done = build.b.create_block();
        let chosen = build.b.append_block_param(done, types::I32);
        let null = build.b.ins().iconst(types::I32, 0);
        let value = number(build, params[0]);
        let first = build.b.ins().select(value, params[0], null);
        build.b.ins().brif(value, done, &[first.into()], done, &[null.into()]);
        build.b.switch_to_block(done);
        call(build, helper, null);
        build.b.ins().return_(&[chosen]);
    });
    assert_eq!(everywhere(&func).maps, [1], "{func}");
}

#[test]
fn numbers_nulls_and_i31s_are_not_kept() {
    let func = compile(&COPYING, 1, |build, params| {
        let helper = helper(build);
        let null = build.b.ins().iconst(types::I32, 0);
        let value = number(build, params[0]);
        let i31 = build.op(GcOp::RefI31, &[value]);
        call(build, helper, null);
        let sum = build.b.ins().iadd(value, i31);
        let sum = build.b.ins().iadd(sum, null);
        build.b.ins().return_(&[sum]);
    });
    assert_eq!(everywhere(&func), Counts::default(), "{func}");
}

#[test]
fn quiet_builtins_are_no_safepoints() {
    let func = compile(&COPYING, 3, |build, params| {
        let zero = build.b.ins().iconst(types::I32, 0);
        let copy = GcOp::ArrayCopy { to: REFS, from: REFS, to_nullable: true, from_nullable: true };
        build.emit(copy, &[params[0], zero, params[1], zero, zero]);
        build.emit(GcOp::ArrayInitData { ty: BYTES, segment: 0 }, &[params[0], zero, zero, zero]);
        build.b.ins().return_(&[params[2]]);
    });
    assert_eq!(everywhere(&func), Counts::default(), "{func}");
}

/// Calls `helper` with a handler; `edges` gives the destinations.
fn try_call(build: &mut Build<'_, '_>, helper: FuncRef, edges: [(Block, &[BlockArg]); 2]) {
    let zero = build.b.ins().iconst(types::I32, 0);
    let signature = build.b.func.dfg.ext_funcs[helper].signature;
    let pool = &mut build.b.func.dfg.value_lists;
    let [normal, handler] = edges.map(|(to, args)| BlockCall::new(to, args.iter().copied(), pool));
    let items =
        [ExceptionTableItem::Context(build.context), ExceptionTableItem::Tag(ExceptionTag::from_u32(0), handler)];
    let table = build.b.func.dfg.exception_tables.push(ExceptionTableData::new(signature, normal, items));
    build.b.ins().try_call(helper, &[build.context, zero], table);
}

#[test]
fn reloads_follow_both_edges_of_a_try_call() {
    let func = compile(&COPYING, 2, |build, params| {
        let helper = helper(build);
        let (normal, landing) = (build.b.create_block(), build.b.create_block());
        build.b.append_block_param(normal, types::I32);
        build.b.append_block_param(landing, types::I64);
        try_call(build, helper, [(normal, &[BlockArg::TryCallRet(0)]), (landing, &[BlockArg::TryCallExn(0)])]);
        for (block, used) in [(normal, 0), (landing, 1)] {
            build.b.switch_to_block(block);
            let value = number(build, params[used]);
            build.b.ins().return_(&[value]);
        }
    });
    assert_eq!(everywhere(&func), Counts { stores: 2, loads: 2, maps: vec![2] }, "{func}");
    let entry = func.layout.entry_block();
    assert_eq!(count(&func, |b| Some(b) == entry).loads, 0);
}

#[test]
fn shared_destinations_of_try_calls_are_separated() {
    let func = compile(&COPYING, 2, |build, params| {
        let helper = helper(build);
        let (second, done, landing) = (build.b.create_block(), build.b.create_block(), build.b.create_block());
        let kept = build.b.append_block_param(done, types::I32);
        let result = build.b.append_block_param(done, types::I32);
        build.b.append_block_param(landing, types::I64);
        let args = [BlockArg::Value(params[0]), BlockArg::TryCallRet(0)];
        let value = number(build, params[0]);
        let first = build.b.create_block();
        build.b.ins().brif(value, first, &[], second, &[]);
        for block in [first, second] {
            build.b.switch_to_block(block);
            try_call(build, helper, [(done, &args), (landing, &[BlockArg::TryCallExn(0)])]);
        }
        build.b.switch_to_block(landing);
        let value = number(build, params[1]);
        build.b.ins().return_(&[value]);
        build.b.switch_to_block(done);
        let value = number(build, kept);
        let sum = build.b.ins().iadd(value, result);
        build.b.ins().return_(&[sum]);
    });
    assert_eq!(everywhere(&func).maps, [2, 2], "{func}");
}

#[test]
fn unreachable_code_stays_valid() {
    let func = compile(&COPYING, 1, |build, params| {
        let (yes, done, nowhere) = (build.b.create_block(), build.b.create_block(), build.b.create_block());
        let value = number(build, params[0]);
        build.b.ins().brif(value, yes, &[], done, &[]);
        build.b.switch_to_block(yes);
        node(build);
        build.b.ins().jump(done, &[]);
        build.b.switch_to_block(done);
        let value = number(build, params[0]);
        build.b.ins().return_(&[value]);
        build.b.switch_to_block(nowhere);
        let lost = node(build);
        number(build, lost);
        build.b.ins().jump(done, &[]);
    });
    assert_eq!(everywhere(&func), Counts { stores: 1, loads: 1, maps: vec![1] }, "{func}");
}

/// `nodes` nodes that all live until the end, with a call now and then.
fn initialiser(fixture: &Fixture, nodes: usize) -> (Function, FuncGc) {
    fixture.build(&[], &REF, |build, _| {
        let helper = helper(build);
        let zero = build.b.ins().iconst(types::I32, 0);
        let mut made = Vec::new();
        for i in 0..nodes {
            made.push(node(build));
            if i % 16 == 0 {
                call(build, helper, zero);
            }
        }
        let array = build.op(GcOp::ArrayNewFixed { ty: REFS, count: nodes as u32 }, &made);
        build.b.ins().return_(&[array]);
    })
}

/// Instructions and arguments of branches, as a measure of size that a timer would not disturb; and stack map entries.
fn size(func: &Function) -> (usize, usize) {
    let mut size = 0;
    for inst in func.layout.blocks().flat_map(|b| func.layout.block_insts(b)) {
        size += 1 + func.dfg.inst_values(inst).count();
    }
    (size, everywhere(func).maps.iter().sum())
}

/// Code grows linearly even where the set of live references grows with the function; so do stack maps in the last
/// plan.
#[test]
fn growing_live_sets_cost_linear_code() {
    for spec in [&COPYING, &SWEEPING] {
        for (budget, maps_too) in
            [(Budget::DEFAULT, false), (Budget { placed: (0, 0), homes: (0, 0), steps: (0, 0) }, true)]
        {
            let fixture = Fixture::new(spec);
            let mut before = None;
            for nodes in [500, 1000, 2000, 4000] {
                let (mut func, mut gc) = initialiser(&fixture, nodes);
                fixture.lower(&mut func, &mut gc);
                let (plain, _) = size(&func);
                safepoints::insert_within(&mut func, &gc, spec.moves == Moves::AtSafepoint, budget);
                verify(&func);
                let (made, entries) = size(&func);
                assert!(made < 2 * plain, "{nodes} nodes: {plain} became {made}");
                if let Some((size_before, entries_before)) = before.replace((made, entries)) {
                    assert!(made < size_before * 21 / 10, "{nodes} nodes: {size_before} became {made}");
                    assert!(!maps_too || entries < entries_before * 21 / 10, "{nodes} nodes: {entries} entries");
                }
            }
        }
    }
}

/// Lowering is linear in the length of a block.
#[test]
fn long_blocks_lower_in_linear_size() {
    let fixture = Fixture::new(&COUNTING);
    let sizes = [1000, 2000].map(|nodes| {
        let (mut func, mut gc) = initialiser(&fixture, nodes);
        fixture.lower(&mut func, &mut gc);
        size(&func).0
    });
    assert!(sizes[1] < sizes[0] * 21 / 10, "{sizes:?}");
}

/// A slot is shared by references that never live together.
#[test]
fn slots_are_shared() {
    let func = compile(&COPYING, 1, |build, _| {
        let helper = helper(build);
        let mut sum = build.b.ins().iconst(types::I32, 0);
        for _ in 0..10 {
            let made = node(build);
            call(build, helper, sum);
            let value = number(build, made);
            sum = build.b.ins().iadd(sum, value);
        }
        build.b.ins().return_(&[sum]);
    });
    let frame: u32 = func.sized_stack_slots.values().map(|s| s.size).sum();
    assert_eq!(frame, 8, "{func}");
}
