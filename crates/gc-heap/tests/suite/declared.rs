//! What a declaration's canonical bytes tell apart: everything that compiled code could depend on.

use crate::common::*;
use heapwright_gc_heap::barrier::*;
use heapwright_gc_heap::*;
use std::collections::HashSet;

const V0: Var = Var(0);
const V1: Var = Var(1);

fn storing(body: Vec<Stmt>) -> Spec {
    let program = Box::leak(Box::new(Program { name: "store", body: body.leak() }));
    Spec { barriers: Barriers { store: Some(program), ..Barriers::NONE }, ..SPEC }
}

#[test]
fn equal_declarations_have_equal_bytes() {
    let body = || vec![Stmt::Let(V0, Expr::Input(Input::Old)), Stmt::Call(SlowCall(1), &[V0])];
    assert_eq!(storing(body()).canonical_bytes(), storing(body()).canonical_bytes());
}

#[test]
fn any_change_shows() {
    let object = Stmt::Let(V0, Expr::Input(Input::Object));
    let header = |word| Stmt::Let(V1, Expr::Header(V0, word));
    static CALL: [Stmt; 1] = [Stmt::Call(SlowCall(1), &[V0])];
    static OTHER_CALL: [Stmt; 1] = [Stmt::Call(SlowCall(2), &[V0])];
    static OTHER_ARGUMENT: [Stmt; 1] = [Stmt::Call(SlowCall(1), &[V1])];
    let branch = |likely, then: &'static [Stmt], otherwise: &'static [Stmt]| {
        storing(vec![object, header(1), Stmt::If(V1, likely, then, otherwise)])
    };
    let barrier = storing(vec![object]).barriers.store;
    let declarations = [
        SPEC,
        Spec { name: "another", ..SPEC },
        Spec { header: &[HeaderWord { name: "count", initial: 0 }], ..SPEC },
        Spec { header: &[HeaderWord { name: "count", initial: 1 }], ..SPEC },
        Spec { alloc: if SPEC.alloc == AllocSpec::Bump { AllocSpec::Call } else { AllocSpec::Bump }, ..SPEC },
        Spec { alloc: AllocSpec::FreeList { classes: &[16, 32] }, ..SPEC },
        Spec { alloc: AllocSpec::FreeList { classes: &[16, 48] }, ..SPEC },
        Spec { moves: if SPEC.moves == Moves::Never { Moves::AtSafepoint } else { Moves::Never }, ..SPEC },
        Spec { needs_roots: !SPEC.needs_roots, ..SPEC },
        Spec { inline_limit: SPEC.inline_limit - 8, ..SPEC },
        Spec { elide: &[Elision::NullStored], ..SPEC },
        Spec { elide: &[Elision::I31Stored], ..SPEC },
        Spec { elide: &[Elision::NullStored, Elision::I31Stored], ..SPEC },
        Spec { side_tables: &[SideTable { name: "cards", granule: 512, bits: 8 }], ..SPEC },
        Spec { side_tables: &[SideTable { name: "cards", granule: 256, bits: 8 }], ..SPEC },
        Spec { barriers: Barriers { init: barrier, ..Barriers::NONE }, ..SPEC },
        Spec { barriers: Barriers { load: barrier, ..Barriers::NONE }, ..SPEC },
        Spec { barriers: Barriers { root_store: barrier, ..Barriers::NONE }, ..SPEC },
        Spec { barriers: Barriers { bulk: BulkBarrier::Elements, ..Barriers::NONE }, ..SPEC },
        storing(vec![object]),
        storing(vec![object, header(0)]),
        storing(vec![object, header(1)]),
        storing(vec![object, Stmt::Let(V1, Expr::AndConst(V0, 3))]),
        storing(vec![object, Stmt::Let(V1, Expr::AndConst(V0, 4))]),
        storing(vec![object, Stmt::Let(V1, Expr::OrConst(V0, 4))]),
        branch(Likely::No, &CALL, &[]),
        branch(Likely::Yes, &CALL, &[]),
        branch(Likely::No, &[], &CALL),
        branch(Likely::No, &OTHER_CALL, &[]),
        branch(Likely::No, &OTHER_ARGUMENT, &[]),
    ];
    let distinct: HashSet<Vec<u8>> = declarations.iter().map(Spec::canonical_bytes).collect();
    assert_eq!(distinct.len(), declarations.len());
}
