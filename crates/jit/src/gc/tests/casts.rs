//! Type tests and casts, against the type hierarchy itself.

use super::machine::{Bits, FUNCS, Stop};
use super::operations::Compiled;
use super::*;
use crate::abi::{FUNC_ID_MASK, Trap};
use crate::gc::CastTarget;
use cranelift_codegen::ir::InstBuilder;
use heapwright_gc_heap::AbstractHeapType;

/// Values that tests and casts are tried on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Subject {
    Null,
    I31,
    Object(u32),
}

const SUBJECTS: [Subject; 9] = [
    Subject::Null,
    Subject::I31,
    Subject::Object(NODE),
    Subject::Object(SUB_NODE),
    Subject::Object(WORDS),
    Subject::Object(FINAL),
    Subject::Object(CHAIN),
    Subject::Object(CHAIN + 5),
    Subject::Object(CHAIN + CHAIN_LENGTH - 1),
];

fn belongs(fixture: &Fixture, subject: Subject, target: CastTarget, admits_null: bool) -> bool {
    use AbstractHeapType::*;
    let array = |ty: u32| matches!(fixture.module.layouts[ty as usize], TypeLayout::Array(_));
    match (subject, target) {
        (Subject::Null, _) => admits_null,
        (_, CastTarget::Abstract(Any | Extern | Exn)) => true,
        (_, CastTarget::Abstract(None | NoExtern | NoExn)) => false,
        (Subject::I31, CastTarget::Abstract(I31 | Eq)) => true,
        (Subject::I31, _) => false,
        (Subject::Object(_), CastTarget::Abstract(Eq)) => true,
        (Subject::Object(ty), CastTarget::Abstract(Struct)) => !array(ty),
        (Subject::Object(ty), CastTarget::Abstract(Array)) => array(ty),
        (Subject::Object(_), CastTarget::Abstract(_)) => false,
        (Subject::Object(ty), CastTarget::Concrete(target)) => {
            let mut at = Some(ty);
            while let Some(ty) = at {
                if ty == target {
                    return true;
                }
                at = match fixture.module.types[ty as usize].supertype {
                    Some(TypeRef::Module(parent)) => Some(parent),
                    _ => Option::None,
                };
            }
            false
        }
    }
}

#[test]
fn tests_and_casts() {
    use AbstractHeapType::*;
    let mut targets: Vec<CastTarget> =
        [Any, Eq, I31, Struct, Array, None, Extern, NoExtern].into_iter().map(CastTarget::Abstract).collect();
    let concrete = [NODE, SUB_NODE, WORDS, FINAL, CHAIN, CHAIN + 3, CHAIN + 5, CHAIN + 8, CHAIN + 10, CHAIN + 11];
    targets.extend(concrete.map(CastTarget::Concrete));
    for target in targets {
        for bits in 0..8 {
            let (admits_null, nullable, may_be_i31) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            for signal_traps in [true, false] {
                check_query(target, admits_null, nullable, may_be_i31, signal_traps);
            }
        }
    }
}

fn check_query(target: CastTarget, admits_null: bool, nullable: bool, may_be_i31: bool, signal_traps: bool) {
    let test = GcOp::RefTest { target, admits_null, nullable, may_be_i31 };
    // The first result is the test's value, the second the way that a branch on it takes, the third is there if the
    // cast succeeds.
    let compiled = Compiled::new(&NULL, signal_traps, &[types::I32], &[types::I32; 3], |build, params| {
        let value = build.op(test, params);
        let (yes, no) = (build.b.create_block(), build.b.create_block());
        let condition = build.op(test, params);
        build.b.ins().brif(condition, yes, &[], no, &[]);
        build.b.switch_to_block(yes);
        let way = build.b.ins().iconst(types::I32, 1);
        let cast = build.op(GcOp::RefCast { target, admits_null, nullable, may_be_i31 }, params);
        build.b.ins().return_(&[value, way, cast]);
        build.b.switch_to_block(no);
        let way = build.b.ins().iconst(types::I32, 0);
        build.b.ins().return_(&[value, way, params[0]]);
    });
    let cast = Compiled::new(&NULL, signal_traps, &[types::I32], &[types::I32], |build, params| {
        let cast = build.op(GcOp::RefCast { target, admits_null, nullable, may_be_i31 }, params);
        build.b.ins().return_(&[cast]);
    });
    for subject in SUBJECTS {
        if (subject == Subject::Null && !nullable) || (subject == Subject::I31 && !may_be_i31) {
            continue;
        }
        let place = |machine: &mut Machine| match subject {
            Subject::Null => 0,
            Subject::I31 => 0x55,
            Subject::Object(ty) => machine.allocate(type_word(ty), 1),
        };
        // Every machine puts its first object in the same place.
        let value = place(&mut compiled.fixture.machine());
        let prepare = |machine: &mut Machine| assert_eq!(place(machine), value);
        let expected = belongs(&compiled.fixture, subject, target, admits_null);
        let bit = Bits::from(expected);
        let (result, _) = compiled.run(&[value.into()], prepare);
        let what = format!("{subject:?} is {target:?} {admits_null} {nullable} {may_be_i31}");
        assert_eq!(result, Ok(vec![bit, bit, value.into()]), "{what}\n{}", compiled.plain);
        let (result, _) = cast.run(&[value.into()], prepare);
        let expected = if expected { Ok(vec![value.into()]) } else { Err(Stop::Trap(Trap::CastFailure)) };
        assert_eq!(result, expected, "{what}\n{}", cast.plain);
    }
}

/// Function references: a null, two functions, and an id that names none.
#[test]
fn function_tests_and_casts() {
    for signal_traps in [true, false] {
        for (target, members) in [
            (CastTarget::Concrete(FUNC), [true, true]),
            (CastTarget::Concrete(SUB_FUNC), [false, true]),
            (CastTarget::Abstract(AbstractHeapType::Func), [true, true]),
            (CastTarget::Abstract(AbstractHeapType::NoFunc), [false, false]),
        ] {
            for (admits_null, nullable) in [(true, true), (false, true), (false, false)] {
                let compiled = Compiled::new(&COPYING, signal_traps, &[types::I32], &[types::I32], |build, params| {
                    let result = build.op(GcOp::FuncTest { target, admits_null, nullable }, params);
                    build.b.ins().return_(&[result]);
                });
                let cast = Compiled::new(&COPYING, signal_traps, &[types::I32], &[types::I32], |build, params| {
                    let result = build.op(GcOp::FuncCast { target, admits_null, nullable }, params);
                    build.b.ins().return_(&[result]);
                });
                let prepare = |machine: &mut Machine| {
                    machine.set_func(1, type_word(FUNC));
                    machine.set_func(2, type_word(SUB_FUNC));
                };
                for (id, expected) in [(0, admits_null), (1, members[0]), (2, members[1])] {
                    if id == 0 && !nullable {
                        continue;
                    }
                    let (result, _) = compiled.run(&[id], prepare);
                    let what = format!("{id} is {target:?} {admits_null} {nullable}");
                    assert_eq!(result, Ok(vec![expected.into()]), "{what}\n{}", compiled.plain);
                    let (result, _) = cast.run(&[id], prepare);
                    let expected = if expected { Ok(vec![id]) } else { Err(Stop::Trap(Trap::CastFailure)) };
                    assert_eq!(result, expected, "{what}\n{}", cast.plain);
                }
                if let CastTarget::Concrete(_) = target {
                    // Where faults serve as checks, an id beyond the table is another, of no function, or faults in the
                    // table's space.
                    let (result, _) = compiled.run(&[0x1000_0003], prepare);
                    let forged = Stop::Trap(Trap::ForgedFunctionReference);
                    assert_eq!(result, if signal_traps { Ok(vec![0]) } else { Err(forged) });
                    let (result, _) = compiled.run(&[0x10ff_ffff], prepare);
                    let last = FUNCS + u64::from(FUNC_ID_MASK) * 32;
                    let inside = |at| (last..last + 32).contains(&at);
                    let faults = matches!(result, Err(Stop::Fault(at)) if inside(at));
                    assert!(if signal_traps { faults } else { result == Err(forged) }, "{result:?}");
                }
            }
        }
    }
}
