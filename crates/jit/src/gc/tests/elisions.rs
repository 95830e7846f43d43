//! Which stores run which program.

use super::*;
use crate::gc::elide::Reduced;
use cranelift_codegen::ir::InstBuilder;
use heapwright_gc_heap::barrier::textbook;

/// What the pass makes of each store of a function, in the order of the layout.
fn found(
    spec: &'static Spec,
    params: &[Type],
    body: impl FnOnce(&mut Build<'_, '_>, &[Value]),
) -> Vec<Option<Reduced>> {
    let fixture = Fixture::new(spec);
    let (func, mut gc) = fixture.build(params, &[], body);
    super::super::elide::run(&func, &mut gc, &fixture.env());
    let stores = |inst| {
        let op = gc.op_of(&func, inst)?;
        matches!(op, GcOp::StructSet { .. } | GcOp::ArraySet { .. } | GcOp::ArrayFill { .. })
            .then(|| gc.reduced.get(&inst).copied())
    };
    func.layout.blocks().flat_map(|block| func.layout.block_insts(block)).filter_map(stores).collect()
}

const SET: GcOp = GcOp::StructSet { ty: NODE, field: 1, nullable: false };
const INIT: Option<Reduced> = Some(Reduced::Init);
const NOTHING: Option<Reduced> = Some(Reduced::Nothing);
const REFS_PARAMS: [Type; 2] = [types::I32; 2];

/// A fresh node.
fn node(build: &mut Build<'_, '_>) -> Value {
    build.op(GcOp::StructNewDefault { ty: NODE }, &[])
}

#[test]
fn a_fresh_object_is_fresh_until_the_next_safepoint() {
    let stores = found(&textbook::OBJECT_LOG, &REFS_PARAMS, |build, params| {
        let first = node(build);
        build.emit(SET, &[first, params[0]]);
        // What cannot collect changes nothing.
        build.op(GcOp::StructGet { ty: NODE, field: 0, extend: crate::gc::Extend::None, nullable: true }, &[params[0]]);
        build.emit(SET, &[first, params[1]]);
        let second = node(build);
        build.emit(SET, &[second, first]);
        build.emit(SET, &[first, second]);
        build.b.ins().return_(&[]);
    });
    assert_eq!(stores, [INIT, INIT, INIT, None]);
}

#[test]
fn an_array_counts_too_and_so_does_a_fill() {
    let stores = found(&textbook::OBJECT_LOG, &REFS_PARAMS, |build, params| {
        let array = build.op(GcOp::ArrayNewDefault { ty: REFS }, &[params[1]]);
        build.emit(GcOp::ArraySet { ty: REFS, nullable: false, in_bounds: false }, &[array, params[1], params[0]]);
        build.emit(GcOp::ArrayFill { ty: REFS, nullable: false }, &[array, params[1], params[0], params[1]]);
        let null = build.b.ins().iconst(types::I32, 0);
        build.emit(GcOp::ArrayFill { ty: REFS, nullable: false }, &[params[0], params[1], null, params[1]]);
        build.emit(GcOp::ArrayFill { ty: REFS, nullable: false }, &[params[0], params[1], array, params[1]]);
        // Numbers have no barrier.
        build.emit(GcOp::ArraySet { ty: WORDS, nullable: false, in_bounds: false }, &[params[0], params[1], params[1]]);
        build.b.ins().return_(&[]);
    });
    assert_eq!(stores, [INIT, INIT, NOTHING, None, None]);
}

#[test]
fn the_second_store_into_an_object_is_the_same() {
    let same = |spec| {
        found(spec, &REFS_PARAMS, |build, params| {
            build.emit(SET, &[params[0], params[1]]);
            // A cast has another name for it.
            let target = crate::gc::CastTarget::Concrete(NODE);
            let cast = GcOp::RefCast { target, admits_null: false, nullable: false, may_be_i31: false };
            let cast = build.op(cast, &[params[0]]);
            build.emit(GcOp::StructSet { ty: NODE, field: 2, nullable: false }, &[cast, params[1]]);
            build.emit(SET, &[params[1], params[0]]);
            node(build);
            build.emit(SET, &[params[0], params[1]]);
            build.b.ins().return_(&[]);
        })
    };
    assert_eq!(same(&textbook::COALESCING), [None, NOTHING, None, None]);
    assert_eq!(same(&textbook::CARD_MARKING), [None; 4], "it is not declared");
}

#[test]
fn what_holds_on_all_paths_holds_where_they_meet() {
    let stores = |collects: bool| {
        found(&textbook::COALESCING, &REFS_PARAMS, |build, params| {
            let fresh = node(build);
            let [yes, no, done] = [(); 3].map(|()| build.b.create_block());
            build.b.ins().brif(params[0], yes, &[], no, &[]);
            build.b.switch_to_block(yes);
            build.emit(SET, &[params[1], fresh]);
            if collects {
                node(build);
            }
            build.b.ins().jump(done, &[]);
            build.b.switch_to_block(no);
            build.emit(SET, &[params[1], fresh]);
            build.b.ins().jump(done, &[]);
            build.b.switch_to_block(done);
            build.emit(SET, &[params[1], fresh]);
            build.emit(SET, &[fresh, params[1]]);
            build.b.ins().return_(&[]);
        })
    };
    assert_eq!(stores(false), [None, None, NOTHING, INIT]);
    assert_eq!(stores(true), [None, None, None, None]);
}

/// Around a loop nothing is known: an allocation at its end makes the object of the round before an old one.
#[test]
fn a_loop_starts_with_nothing() {
    let stores = found(&textbook::OBJECT_LOG, &REFS_PARAMS, |build, params| {
        let fresh = node(build);
        let [head, done] = [(); 2].map(|()| build.b.create_block());
        build.b.ins().jump(head, &[]);
        build.b.switch_to_block(head);
        build.emit(SET, &[fresh, params[0]]);
        let inner = node(build);
        build.emit(SET, &[inner, fresh]);
        build.b.ins().brif(params[1], head, &[], done, &[]);
        build.b.switch_to_block(done);
        build.emit(SET, &[inner, params[0]]);
        build.b.ins().return_(&[]);
    });
    assert_eq!(stores, [None, INIT, INIT]);
}

#[test]
fn calls_are_safepoints_unless_they_are_quiet() {
    let stores = found(&textbook::OBJECT_LOG, &REFS_PARAMS, |build, params| {
        let fresh = node(build);
        let null = build.b.ins().iconst(types::I32, 0);
        let copy = GcOp::ArrayCopy { to: REFS, from: REFS, to_nullable: false, from_nullable: false };
        build.emit(copy, &[params[0], null, params[0], null, null]);
        build.emit(SET, &[fresh, params[0]]);
        let init = GcOp::ArrayInitElem { ty: REFS, segment: 0 };
        build.emit(init, &[params[0], null, null, null]);
        build.emit(SET, &[fresh, params[0]]);
        build.b.ins().return_(&[]);
    });
    assert_eq!(stores, [INIT, None]);
}

#[test]
fn known_values_are_elided_where_that_is_declared() {
    let stores = |spec| {
        found(spec, &REFS_PARAMS, |build, params| {
            let null = build.b.ins().iconst(types::I32, 0);
            let i31 = build.op(GcOp::RefI31, &[params[1]]);
            for value in [null, i31, params[1]] {
                build.emit(SET, &[params[0], value]);
            }
            build.b.ins().return_(&[]);
        })
    };
    assert_eq!(stores(&textbook::CARD_MARKING), [NOTHING, NOTHING, None]);
    // A snapshot needs what null and i31 overwrite, and counts do.
    assert_eq!(stores(&textbook::SNAPSHOT), [None; 3]);
    assert_eq!(stores(&textbook::COUNTING), [None; 3]);
}

/// No more is remembered than a bound, whatever a function stores into.
#[test]
fn facts_are_bounded() {
    let stores = found(&textbook::COALESCING, &REFS_PARAMS, |build, params| {
        let objects: Vec<Value> = (0..100).map(|i| build.b.ins().iadd_imm_u(params[0], 8 * i)).collect();
        for _ in 0..2 {
            for &object in &objects {
                build.emit(SET, &[object, params[1]]);
            }
        }
        let last = objects[objects.len() - 1];
        build.emit(SET, &[last, params[1]]);
        build.b.ins().return_(&[]);
    });
    assert_eq!(stores[..200], [None; 200]);
    assert_eq!(stores[200], NOTHING);
}

/// The init program runs in the store program's place, and the switch brings the whole program back.
#[test]
fn the_switch_brings_whole_barriers_back() {
    let calls = |elide: bool| {
        let mut fixture = Fixture::new(&textbook::COALESCING);
        fixture.settings.elide_barriers = elide;
        let (mut func, mut gc) = fixture.build(&REFS_PARAMS, &[], |build, params| {
            let fresh = node(build);
            build.emit(SET, &[fresh, params[0]]);
            build.emit(SET, &[params[0], fresh]);
            build.emit(SET, &[params[0], params[1]]);
            build.b.ins().return_(&[]);
        });
        fixture.compile(&mut func, &mut gc);
        let slow = |inst| func.dfg.insts[inst].opcode() == cranelift_codegen::ir::Opcode::CallIndirect;
        func.layout.blocks().flat_map(|b| func.layout.block_insts(b)).filter(|&inst| slow(inst)).count()
    };
    // The allocation's slow path, and one a barrier.
    assert_eq!((calls(true), calls(false)), (2, 4));
}
