//! Whatever the heap holds, compiled code stays inside its reservations.

use super::machine::{HEAP, Stop, TYPES, in_side_table};
use super::operations::Compiled;
use super::*;
use crate::gc::{CastTarget, Extend};
use cranelift_codegen::ir::{InstBuilder, InstructionData, Opcode, ValueDef};
use heapwright_gc_heap::{GUARD_BYTES, RESERVATION_BYTES, SideTable};

/// References that no engine wrote.
const FORGED: [u32; 8] = [4, 0x1234, 0xfff8, 0x1_0004, 0x7fff_fff8, 0x8000_0000, 0xffff_0000, 0xffff_fff8];

fn assert_inside(result: Result<Vec<u128>, Stop>, what: &str) {
    if let Err(Stop::Fault(at)) = result {
        let inside = [HEAP, TYPES].iter().any(|&base| (base..base + RESERVATION_BYTES + GUARD_BYTES).contains(&at));
        assert!(inside, "{what} touched {at:#x}");
    }
}

#[test]
fn forged_references_cannot_leave_the_heap() {
    let get = GcOp::StructGet { ty: HUGE, field: HUGE_FIELDS - 1, extend: Extend::None, nullable: false };
    let set = GcOp::StructSet { ty: NODE, field: 1, nullable: true };
    let array_get = GcOp::ArrayGet { ty: LONGS, extend: Extend::None, nullable: true, in_bounds: false };
    let array_set = GcOp::ArraySet { ty: REFS, nullable: false, in_bounds: false };
    let fill = GcOp::ArrayFill { ty: BYTES, nullable: false };
    let fill_vectors = GcOp::ArrayFill { ty: LONGS, nullable: false };
    let copy = |ty| GcOp::ArrayCopy { to: ty, from: ty, to_nullable: false, from_nullable: true };
    let target = CastTarget::Concrete(CHAIN + 9);
    let test = GcOp::RefTest { target, admits_null: false, nullable: false, may_be_i31: false };
    let ops = [
        (get, 1),
        (set, 2),
        (array_get, 2),
        (array_set, 3),
        (fill, 4),
        (fill_vectors, 4),
        (copy(BYTES), 5),
        (copy(LONGS), 5),
        (copy(REFS), 5),
        (test, 1),
    ];
    for (op, arity) in ops {
        for spec in [&NULL, &COUNTING, &REMEMBERING] {
            for signal_traps in [true, false] {
                let compiled = Compiled::new(spec, signal_traps, &[types::I32; 2], &[], |build, params| {
                    // The reference, then numbers.
                    let mut args = [params[0], params[1], params[1], params[1], params[1]];
                    match op {
                        GcOp::ArrayCopy { .. } => args[2] = params[0],
                        GcOp::ArrayFill { ty: LONGS, .. } => args[2] = build.b.ins().iconst(types::I64, 1),
                        _ => {}
                    }
                    build.emit(op, &args[..arity]);
                    build.b.ins().return_(&[]);
                });
                for reference in FORGED {
                    for index in [0, 1, 0x1fff_ffff, 0x8000_0000, 0xffff_ffff] {
                        // Lengths are forged too: the heap is full of large numbers.
                        let (result, _) = compiled.run(&[reference.into(), index], Machine::forge);
                        assert_inside(result, &format!("{op:?} on {reference:#x}, {index:#x}"));
                    }
                }
            }
        }
    }
}

/// A barrier that takes the value stored for a heap offset, whatever it is, and reads and writes three tables with it.
static UNCHECKED: Program = Program {
    name: "unchecked",
    body: &[
        Stmt::Let(Var(0), Expr::Input(Input::New)),
        Stmt::Let(Var(1), Expr::Side(0, Var(0))),
        Stmt::SetSide(1, Var(0), Var(1)),
        Stmt::OrSide(2, Var(0), Var(1)),
    ],
};
const TABLE: SideTable = SideTable { name: "table", granule: 64, bits: 32 };
static TABLES: [SideTable; 3] = [TABLE, SideTable { bits: 16, ..TABLE }, SideTable { bits: 2, ..TABLE }];
static SIDE: Spec = Spec {
    name: "test-side",
    side_tables: &TABLES,
    barriers: Barriers { store: Some(&UNCHECKED), ..Barriers::NONE },
    ..NULL
};

#[test]
fn forged_offsets_stay_in_their_side_table() {
    SIDE.check().expect("a valid declaration");
    let compiled = Compiled::new(&SIDE, true, &[types::I32; 2], &[], |build, params| {
        build.emit(GcOp::StructSet { ty: NODE, field: 1, nullable: false }, params);
        build.b.ins().return_(&[]);
    });
    let mut faults = 0;
    for offset in FORGED.into_iter().chain([0, 1, 3, 64, 0x3fff, 0xffff_ffff]) {
        let (result, mut machine) = compiled.run(&[0x1_0000, offset.into()], |machine| {
            for (table, fill) in [(0, 0x5a), (1, 0), (2, 0)] {
                machine.side(table).fill(fill);
            }
        });
        match result {
            // The first access is to table 0: beyond its committed part it faults, in its own reservation.
            Err(Stop::Fault(at)) => {
                assert!(in_side_table(at, 0, &TABLE), "{offset:#x} touched {at:#x}");
                faults += 1;
            }
            other => {
                assert_eq!(other, Ok(vec![]));
                let entry = offset as usize / 64;
                assert_eq!(machine.side(1)[2 * entry..2 * entry + 2], [0x5a; 2], "{offset:#x}");
                assert_eq!(machine.side(2)[entry / 4], (0x5a & 3) << (entry % 4 * 2));
                let changed = |table: &[u8]| table.iter().filter(|&&byte| byte != 0).count();
                assert_eq!([changed(machine.side(1)), changed(machine.side(2))], [2, 1]);
            }
        }
    }
    assert!(faults >= 4, "{faults} faults");
}

/// Loads from the heap and the type space never float: none may be moved or taken for constant. What may are loads
/// through the context only.
#[test]
fn heap_loads_stay_where_they_are() {
    for spec in [&NULL, &COUNTING, &REMEMBERING] {
        let compiled = Compiled::new(spec, true, &[types::I32; 3], &[types::I32], |build, params| {
            let null = build.b.ins().iconst(types::I32, 0);
            let node = build.op(GcOp::StructNew { ty: NODE }, &[params[1], params[0], null]);
            let array = build.op(GcOp::ArrayNewDefault { ty: REFS }, &[params[1]]);
            build.emit(GcOp::ArraySet { ty: REFS, nullable: false, in_bounds: false }, &[array, params[2], node]);
            let value = build.op(
                GcOp::ArrayGet { ty: REFS, extend: Extend::None, nullable: false, in_bounds: false },
                &[array, params[2]],
            );
            let target = CastTarget::Concrete(CHAIN + 9);
            let cast = GcOp::RefCast { target, admits_null: false, nullable: true, may_be_i31: true };
            let value = build.op(cast, &[value]);
            let get = GcOp::StructGet { ty: CHAIN + 9, field: 0, extend: Extend::None, nullable: false };
            let value = build.op(get, &[value]);
            build.b.ins().return_(&[value]);
        });
        let dfg = &compiled.plain.dfg;
        let context = dfg.block_params(compiled.plain.layout.entry_block().expect("an entry"))[0];
        let mut movable = 0;
        for inst in compiled.plain.layout.blocks().flat_map(|b| compiled.plain.layout.block_insts(b)) {
            let InstructionData::Load { opcode, flags, arg, .. } = dfg.insts[inst] else { continue };
            let flags = dfg.mem_flags[flags];
            if flags.can_move() {
                assert_eq!(arg, context, "{}", dfg.display_inst(inst));
                assert_eq!(opcode, Opcode::Load);
                movable += 1;
            } else if flags.readonly() {
                // The builtins' table, from the context, and an entry of it.
                let of_table = |v: Value| match dfg.value_def(v) {
                    ValueDef::Result(def, _) => {
                        matches!(dfg.insts[def], InstructionData::Load { arg, .. } if arg == context)
                    }
                    _ => false,
                };
                assert!(arg == context || of_table(arg), "{}", dfg.display_inst(inst));
            }
        }
        assert!(movable >= 4);
    }
}
