//! Barrier programs in compiled code.

use super::machine::{Bits, GLOBALS, mutator};
use super::operations::Compiled;
use super::*;
use crate::abi::Builtin;
use crate::gc::Extend;
use core::mem::offset_of;
use cranelift_codegen::ir::InstBuilder;
use heapwright_gc_heap::MutatorState;
use heapwright_gc_heap::barrier::MutatorWord;

/// Stores the second parameter into the first's reference field.
fn store(build: &mut Build<'_, '_>, params: &[Value]) {
    build.emit(GcOp::StructSet { ty: NODE, field: 1, nullable: true }, &params[..2]);
    build.b.ins().return_(&[]);
}

const TWO: [Type; 2] = [types::I32, types::I32];

/// Three fresh nodes with null fields; the first's field names the third.
fn three_nodes(machine: &mut Machine) -> [u32; 3] {
    let header = 4 * machine.header.len() as u32;
    let nodes = [(); 3].map(|()| {
        let node = machine.allocate(type_word(NODE), 0);
        for at in [4, 8, 12] {
            machine.set_word(node + header + at, 0);
        }
        node
    });
    machine.set_word(nodes[0] + header + 8, nodes[2]);
    nodes
}

fn with_nodes(machine: &mut Machine) {
    three_nodes(machine);
}

fn first_nodes(compiled: &Compiled) -> [u32; 3] {
    three_nodes(&mut compiled.fixture.machine())
}

#[test]
fn counts_follow_stores() {
    let compiled = Compiled::new(&COUNTING, true, &TWO, &[], store);
    let [a, b, c] = first_nodes(&compiled);
    let (result, mut machine) = compiled.run(&[a.into(), b.into()], with_nodes);
    assert_eq!(result, Ok(vec![]));
    assert_eq!(machine.word(a + 12), b);
    assert_eq!([a, b, c].map(|node| machine.word(node + 4)), [1, 2, 0], "a count is up, another down to zero");
    assert_eq!(machine.calls, [(Builtin::BarrierSlow, vec![1, c.into(), 0, 0, 0])]);

    // Nulls and i31s have no count.
    for value in [0, 0x77] {
        let (_, mut machine) = compiled.run(&[a.into(), value], with_nodes);
        assert_eq!(machine.word(a + 12), value as u32);
        assert_eq!([a, b, c].map(|node| machine.word(node + 4)), [1, 1, 0]);
    }
}

#[test]
fn known_values_leave_no_tests() {
    let count = |value: fn(&mut Build<'_, '_>, &[Value]) -> Value| {
        let compiled = Compiled::new(&COUNTING, true, &TWO, &[], |build, params| {
            let value = value(build, params);
            let object = build.op(GcOp::StructNew { ty: FINAL }, &[value]);
            build.emit(GcOp::StructSet { ty: FINAL, field: 0, nullable: false }, &[object, params[0]]);
            build.b.ins().return_(&[]);
        });
        compiled.plain.layout.blocks().count()
    };
    let null = count(|build, _| build.b.ins().iconst(types::I32, 0));
    let i31 = count(|build, _| {
        let five = build.b.ins().iconst(types::I32, 5);
        build.op(GcOp::RefI31, &[five])
    });
    let unknown = count(|_, params| params[1]);
    assert_eq!(null, i31);
    assert!(null + 4 <= unknown, "the whole program is gone: {null} and {unknown} blocks");
}

#[test]
fn fresh_objects_get_the_init_barrier_only() {
    let compiled = Compiled::new(&COUNTING, true, &TWO, &[types::I32], |build, params| {
        let zero = build.b.ins().iconst(types::I32, 0);
        let node = build.op(GcOp::StructNew { ty: NODE }, &[zero, params[0], params[0]]);
        let array = build.op(GcOp::ArrayNew { ty: REFS }, &[node, params[1]]);
        build.b.ins().return_(&[array]);
    });
    let [a, ..] = first_nodes(&compiled);
    let (result, mut machine) = compiled.run(&[a.into(), 20], with_nodes);
    let array = result.expect("no trap")[0] as u32;
    let node = machine.word(array + 12);
    assert_eq!(machine.word(array + 12 + 4 * 19), node);
    assert_eq!(machine.word(node + 4), 21);
    assert_eq!(machine.word(machine_word_at(node)), a);
    assert_eq!(machine.word(a + 4), 3);
    assert!(machine.calls.iter().all(|(b, _)| *b == Builtin::AllocObject));
}

fn machine_word_at(node: u32) -> u32 {
    node + 12
}

#[test]
fn objects_are_remembered_once() {
    let compiled = Compiled::new(&REMEMBERING, true, &TWO, &[], |build, params| {
        for _ in 0..2 {
            build.emit(GcOp::StructSet { ty: NODE, field: 1, nullable: true }, &params[..2]);
        }
        build.b.ins().return_(&[]);
    });
    let [a, b, _] = first_nodes(&compiled);
    let (_, mut machine) = compiled.run(&[a.into(), b.into()], with_nodes);
    assert_eq!(machine.word(a + 4), 1, "the flag is set");
    assert_eq!(machine.buffer(1), [a]);
    assert_eq!(machine.buffer(0), [a + 12], "the slot");
    assert_eq!(machine.calls, []);
}

#[test]
fn a_full_buffer_is_emptied_first() {
    let compiled = Compiled::new(&REMEMBERING, true, &TWO, &[], store);
    let [a, b, _] = first_nodes(&compiled);
    let prepare = |machine: &mut Machine| {
        three_nodes(machine);
        machine.fill_buffer(1);
    };
    let (_, mut machine) = compiled.run(&[a.into(), b.into()], prepare);
    assert_eq!(machine.calls, [(Builtin::BufferFull, vec![1])]);
    assert_eq!(machine.buffer(1), [a]);
}

#[test]
fn declared_elisions_are_made() {
    let compiled = Compiled::new(&REMEMBERING, true, &TWO, &[], |build, params| {
        let null = build.b.ins().iconst(types::I32, 0);
        let i31 = build.op(GcOp::RefI31, &[null]);
        for value in [null, i31] {
            build.emit(GcOp::StructSet { ty: NODE, field: 1, nullable: true }, &[params[0], value]);
        }
        build.b.ins().return_(&[]);
    });
    assert_eq!(compiled.plain.layout.blocks().count(), 1);
    let [a, ..] = first_nodes(&compiled);
    let (_, mut machine) = compiled.run(&[a.into(), 0], with_nodes);
    assert_eq!(machine.word(a + 12), 1);
    assert_eq!(machine.buffer(1), []);
}

#[test]
fn roots_have_their_own_barrier() {
    for spec in [&COUNTING, &REMEMBERING] {
        let compiled = Compiled::new(spec, true, &[types::I64, types::I32], &[], |build, params| {
            build.emit(GcOp::RootStore { offset: 16 }, params);
            build.b.ins().return_(&[]);
        });
        let [a, b, c] = first_nodes(&compiled);
        let (_, mut machine) = compiled.run(&[GLOBALS.into(), b.into()], |m| {
            three_nodes(m);
            m.set(GLOBALS + 16, 4, a.into());
        });
        assert_eq!(machine.load(GLOBALS + 16, 4), Ok(b.into()));
        let counts = if spec.name == COUNTING.name { [0, 2, 1] } else { [0; 3] };
        assert_eq!([a, b, c].map(|node| machine.word(node + 4)), counts);
    }
}

/// A program that uses every operation. It leaves its result in header word 1 of the object.
static EVERYTHING: Program = Program {
    name: "everything",
    body: &[
        Stmt::Let(Var(0), Expr::Input(Input::Object)),
        Stmt::Let(Var(1), Expr::Input(Input::New)),
        Stmt::Let(Var(2), Expr::Input(Input::Slot)),
        Stmt::Let(Var(3), Expr::Sub(Var(2), Var(0))),
        Stmt::Let(Var(4), Expr::Mutator(MutatorWord::Collector(2))),
        Stmt::Let(Var(5), Expr::Ult(Var(1), Var(4))),
        Stmt::If(
            Var(5),
            Likely::Yes,
            &[Stmt::Let(Var(6), Expr::AddConst(Var(3), 100)), Stmt::Let(Var(15), Expr::Const(9))],
            &[
                Stmt::Let(Var(6), Expr::Shl(Var(3), 4)),
                Stmt::Let(Var(7), Expr::EqConst(Var(1), 0x1235)),
                Stmt::If(Var(7), Likely::No, &[Stmt::Call(SlowCall(9), &[Var(1), Var(4)]), Stmt::Return], &[]),
            ],
        ),
        Stmt::Let(Var(8), Expr::Shr(Var(1), 2)),
        Stmt::Let(Var(9), Expr::And(Var(8), Var(4))),
        Stmt::Let(Var(10), Expr::Add(Var(6), Var(9))),
        Stmt::Let(Var(11), Expr::OrConst(Var(10), 0x8000_0000)),
        Stmt::Let(Var(12), Expr::UltConst(Var(1), 0x100)),
        Stmt::Let(Var(13), Expr::Eq(Var(12), Var(5))),
        Stmt::Let(Var(14), Expr::Var(Var(13))),
        Stmt::Let(Var(11), Expr::Add(Var(11), Var(14))),
        Stmt::Let(Var(12), Expr::AndConst(Var(1), 0xf0)),
        Stmt::Let(Var(11), Expr::Add(Var(11), Var(12))),
        Stmt::SetHeader(Var(0), 1, Var(11)),
    ],
};

static EVERY: Spec = Spec {
    name: "test-every",
    header: &[HeaderWord { name: "result", initial: 0 }],
    barriers: Barriers { store: Some(&EVERYTHING), ..Barriers::NONE },
    needs_roots: true,
    ..NULL
};

/// What [`EVERYTHING`] leaves; `None` when it returns early.
fn everything(slot: u32, new: u32, collector: u32) -> Option<u32> {
    let below = u32::from(new < collector);
    let base = match below {
        1 => slot + 100,
        _ if new == 0x1235 => return None,
        _ => slot << 4,
    };
    let sum = (base + (new >> 2 & collector)) | 0x8000_0000;
    Some(sum + u32::from(u32::from(new < 0x100) == below) + (new & 0xf0))
}

#[test]
fn every_operation_of_programs() {
    let compiled = Compiled::new(&EVERY, true, &TWO, &[], store);
    let collector = 0x1111;
    for new in [1, 0x55, 0x111, 0x1235, 0x7001] {
        let [a, ..] = first_nodes(&compiled);
        let word = mutator(offset_of!(MutatorState, collector) + 8);
        let prepare = |machine: &mut Machine| {
            three_nodes(machine);
            machine.set_store_word(word, collector);
        };
        let (result, mut machine) = compiled.run(&[a.into(), new.into()], prepare);
        assert_eq!(result, Ok(vec![]));
        match everything(12, new, collector) {
            Some(expected) => assert_eq!(machine.word(a + 4), expected, "{new:#x}\n{}", compiled.plain),
            None => {
                assert_eq!(machine.word(a + 4), 0);
                let args: Vec<Bits> = vec![9, new.into(), collector.into(), 0, 0];
                assert_eq!(machine.calls, [(Builtin::BarrierSlow, args)]);
            }
        }
        assert_eq!(machine.word(a + 12), new, "the store itself");
    }
}

#[test]
fn loads_have_their_barrier() {
    static READ: Program = Program {
        name: "read",
        body: &[
            Stmt::Let(Var(0), Expr::Input(Input::New)),
            Stmt::Let(Var(1), Expr::Input(Input::Slot)),
            Stmt::Call(SlowCall(4), &[Var(0), Var(1)]),
        ],
    };
    static READING: Spec =
        Spec { name: "test-reading", barriers: Barriers { load: Some(&READ), ..Barriers::NONE }, ..SWEEPING };
    let compiled = Compiled::new(&READING, true, &TWO, &[types::I32], |build, params| {
        let value =
            build.op(GcOp::StructGet { ty: NODE, field: 1, extend: Extend::None, nullable: true }, &params[..1]);
        build.op(GcOp::StructGet { ty: NODE, field: 0, extend: Extend::None, nullable: true }, &params[..1]);
        build.b.ins().return_(&[value]);
    });
    let [a, _, c] = first_nodes(&compiled);
    let (result, machine) = compiled.run(&[a.into(), 0], with_nodes);
    assert_eq!(result, Ok(vec![c.into()]));
    assert_eq!(machine.calls, [(Builtin::BarrierSlow, vec![4, c.into(), (a + 8).into(), 0, 0])]);
}
