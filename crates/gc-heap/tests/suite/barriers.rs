//! Barrier programs: what the checker refuses, and what the interpreter does.

use crate::common::*;
use heapwright_gc_heap::barrier::*;
use heapwright_gc_heap::*;

const V0: Var = Var(0);
const V1: Var = Var(1);
const V2: Var = Var(2);

const fn program(body: &'static [Stmt]) -> Program {
    Program { name: "test", body }
}

fn scope(header_words: u8, inputs: &[Input]) -> Scope<'_> {
    Scope { header_words, side_tables: 2, inputs, forwards: false }
}

static TWO_WORDS: Spec =
    Spec { header: &[HeaderWord { name: "a", initial: 7 }, HeaderWord { name: "b", initial: 9 }], ..SPEC };

/// Calls slow path 1 with the value of an expression over two variables; then the test reads the log.
fn evaluate(expr: Expr, a: u32, b: u32) -> u32 {
    let body: &'static [Stmt] = vec![
        Stmt::Let(V0, Expr::Const(a)),
        Stmt::Let(V1, Expr::Const(b)),
        Stmt::Let(V2, expr),
        Stmt::Call(SlowCall(1), &[V2]),
    ]
    .leak();
    let program = program(body);
    program.check(&scope(0, &[])).unwrap();
    let (mut heap, _, log) = heap_with(CONFIG, bump(&PLAIN));
    heap.mutator_mut().collector = [10, 11, 12, 13];
    program.run(&mut heap, &Inputs::default()).unwrap();
    let calls = &log.lock().unwrap().slow_calls;
    let [(1, [value, 0, 0, 0])] = calls[..] else { panic!("{calls:?}") };
    value
}

#[test]
fn arithmetic_wraps_and_comparisons_are_unsigned() {
    let max = u32::MAX;
    let word = |i| Expr::Mutator(MutatorWord::Collector(i));
    for (expr, a, b, expected) in [
        (Expr::Var(V1), 1, 2, 2),
        (Expr::And(V0, V1), 0b110, 0b011, 0b010),
        (Expr::AndConst(V0, 0b100), 0b110, 0, 0b100),
        (Expr::Or(V0, V1), 0b110, 0b011, 0b111),
        (Expr::OrConst(V0, 1), 0b110, 0, 0b111),
        (Expr::Xor(V0, V1), 0b110, 0b011, 0b101),
        (Expr::XorConst(V0, 0b100), 0b110, 0, 0b010),
        (Expr::Add(V0, V1), max, 2, 1),
        (Expr::AddConst(V0, 2), max, 0, 1),
        (Expr::Sub(V0, V1), 1, 2, max),
        (Expr::Shl(V0, 31), 3, 0, 1 << 31),
        (Expr::Shr(V0, 31), max, 0, 1),
        (Expr::ShlBy(V0, V1), 3, 31, 1 << 31),
        (Expr::ShlBy(V0, V1), 3, 33, 6),
        (Expr::ShrBy(V0, V1), max, 31, 1),
        (Expr::ShrBy(V0, V1), 12, 32 + 2, 3),
        (Expr::Eq(V0, V1), 4, 4, 1),
        (Expr::Eq(V0, V1), 4, 5, 0),
        (Expr::EqConst(V0, 4), 4, 0, 1),
        (Expr::Ne(V0, V1), 4, 4, 0),
        (Expr::Ne(V0, V1), 4, 5, 1),
        (Expr::NeConst(V0, 4), 4, 0, 0),
        (Expr::NeConst(V0, 4), 0, 0, 1),
        (Expr::Ult(V0, V1), 1, max, 1),
        (Expr::Ult(V0, V1), max, 1, 0),
        (Expr::Ult(V0, V1), 1, 1, 0),
        (Expr::UltConst(V0, 5), 4, 0, 1),
        (Expr::IsNull(V0), 0, 0, 1),
        (Expr::IsNull(V0), 1, 0, 0),
        (Expr::IsI31(V0), 1, 0, 1),
        (Expr::IsI31(V0), 8, 0, 0),
        (word(0), 0, 0, 10),
        (word(3), 0, 0, 13),
        (Expr::Mutator(MutatorWord::Cursor), 0, 0, NULL_PAGE_BYTES),
        (Expr::Mutator(MutatorWord::Limit), 0, 0, NULL_PAGE_BYTES + 4096),
    ] {
        assert_eq!(evaluate(expr, a, b), expected, "{expr:?} of {a:#x}, {b:#x}");
    }
}

#[test]
fn mentions_looks_into_branches() {
    static INNER: [Stmt; 1] = [Stmt::Let(V1, Expr::Input(Input::Old))];
    static BODY: [Stmt; 2] = [Stmt::Let(V0, Expr::Input(Input::New)), Stmt::If(V0, Likely::No, &[], &INNER)];
    let program = program(&BODY);
    assert!(program.mentions(Input::New) && program.mentions(Input::Old));
    assert!(!program.mentions(Input::Object) && !program.mentions(Input::Slot));
}

#[test]
fn header_words_are_read_and_written() {
    static BODY: [Stmt; 5] = [
        Stmt::Let(V0, Expr::Input(Input::Object)),
        Stmt::Let(V1, Expr::Header(V0, 2)),
        Stmt::Let(V1, Expr::AddConst(V1, 1)),
        Stmt::SetHeader(V0, 2, V1),
        Stmt::Call(SlowCall(0), &[V1]),
    ];
    let program = program(&BODY);
    program.check(&scope(2, &[Input::Object])).unwrap();
    let (mut heap, types, log) = heap_with(CONFIG, bump(&TWO_WORDS));
    let ty = define(&types, structure(&[I32]));
    let object = heap.alloc(ty, 0, &mut NoRoots).unwrap();
    for expected in [10, 11] {
        program.run(&mut heap, &Inputs { object, ..Inputs::default() }).unwrap();
        assert_eq!(heap.memory().load_u32(object.raw() + 8), Ok(expected));
    }
    assert_eq!(heap.memory().load_u32(object.raw() + 4), Ok(7));
    assert_eq!(log.lock().unwrap().slow_calls, [(0, [10, 0, 0, 0]), (0, [11, 0, 0, 0])]);
}

#[test]
fn what_is_no_object_is_not_touched() {
    static READ: [Stmt; 2] = [Stmt::Let(V0, Expr::Input(Input::Object)), Stmt::Let(V1, Expr::Header(V0, 1))];
    static WRITE: [Stmt; 2] = [Stmt::Let(V0, Expr::Input(Input::Object)), Stmt::SetHeader(V0, 1, V0)];
    for bits in [0, 1, 8, NULL_PAGE_BYTES, NULL_PAGE_BYTES + 4, NULL_PAGE_BYTES + 64, u32::MAX - 7, 1 << 31] {
        for body in [&READ, &WRITE] {
            let (mut heap, types, _) = heap_with(CONFIG, bump(&TWO_WORDS));
            heap.memory_mut().store_u32(NULL_PAGE_BYTES + 64, types.extern_type().0 + 64).unwrap();
            let object = GcRef::from_raw(bits);
            let refused = program(body).run(&mut heap, &Inputs { object, ..Inputs::default() }).unwrap_err();
            assert_eq!(heap.corruption(), Some(refused), "{bits:#x}");
        }
    }
}

static TABLES: Spec = Spec {
    side_tables: &[
        SideTable { name: "cards", granule: 512, bits: 8 },
        SideTable { name: "pairs", granule: 16, bits: 2 },
    ],
    ..SPEC
};

#[test]
fn bits_are_added_to_an_entry() {
    static BODY: [Stmt; 4] = [
        Stmt::Let(V0, Expr::Input(Input::Slot)),
        Stmt::Let(V1, Expr::Input(Input::New)),
        Stmt::OrSide(1, V0, V1),
        Stmt::OrSide(0, V0, V1),
    ];
    let program = program(&BODY);
    program.check(&scope(0, &[Input::Slot, Input::New])).unwrap();
    let (mut heap, ..) = heap_with(CONFIG, bump(&TABLES));
    let slot = NULL_PAGE_BYTES + 0x204;
    let (mut card, mut pair) = (0, 0);
    for new in [0, 0x40, 0x41, 0x102, 0] {
        program.run(&mut heap, &Inputs { slot, new: GcRef::from_raw(new), ..Inputs::default() }).unwrap();
        (card, pair) = (card | new & 0xff, pair | new & 3);
        assert_eq!(heap.memory().load_side(0, slot), Ok(card));
        assert_eq!(heap.memory().load_side(1, slot), Ok(pair));
        assert_eq!(heap.memory().load_side(1, slot + 16), Ok(0), "the neighbour in the same byte");
    }
}

#[test]
fn side_tables_are_read_and_written() {
    // Leaves what table 1 had, plus one, there and in the card.
    static BODY: [Stmt; 6] = [
        Stmt::Let(V0, Expr::Input(Input::Slot)),
        Stmt::Let(V1, Expr::Side(1, V0)),
        Stmt::Let(V1, Expr::AddConst(V1, 1)),
        Stmt::SetSide(1, V0, V1),
        Stmt::SetSide(0, V0, V1),
        Stmt::Call(SlowCall(0), &[V1]),
    ];
    let program = program(&BODY);
    program.check(&scope(0, &[Input::Slot])).unwrap();
    let (mut heap, _, log) = heap_with(CONFIG, bump(&TABLES));
    let slot = NULL_PAGE_BYTES + 0x204;
    for count in 1..=5u32 {
        program.run(&mut heap, &Inputs { slot, ..Inputs::default() }).unwrap();
        assert_eq!(heap.memory().load_side(1, slot), Ok(count % 4), "two bits");
        assert_eq!(heap.memory().load_side(0, slot), Ok((count - 1) % 4 + 1));
        assert_eq!(heap.memory().load_side(1, slot - 16), Ok(0));
        assert_eq!(heap.memory().load_side(0, slot + 512), Ok(0));
    }
    assert_eq!(heap.memory().side(0).iter().filter(|&&byte| byte != 0).count(), 1);
    assert_eq!(log.lock().unwrap().slow_calls.len(), 5);
}

#[test]
fn side_tables_grow_with_the_heap_and_end_with_it() {
    static READ: [Stmt; 2] = [Stmt::Let(V0, Expr::Input(Input::Slot)), Stmt::Let(V1, Expr::Side(1, V0))];
    let (mut heap, types, _) = heap_with(CONFIG, bump(&TABLES));
    let before = heap.memory().side(1).len();
    let ty = define(&types, array(I64));
    while heap.capacity() == CONFIG.initial {
        heap.alloc(ty, 1000, &mut NoRoots).unwrap();
    }
    let covered = heap.memory().side(1).len();
    assert!(covered > before && covered as u64 * 64 >= heap.memory().committed_end());
    let end = heap.memory().committed_end() as u32;
    program(&READ).run(&mut heap, &Inputs { slot: end - 1, ..Inputs::default() }).unwrap();
    for slot in [covered as u32 * 64, 1 << 31, u32::MAX] {
        let (mut heap, ..) = heap_with(CONFIG, bump(&TABLES));
        let refused = program(&READ).run(&mut heap, &Inputs { slot, ..Inputs::default() }).unwrap_err();
        assert_eq!((heap.corruption(), refused.at), (Some(refused), slot));
    }
}

#[test]
fn load_programs_replace_what_they_load() {
    // An i31 is replaced by the next one.
    static BODY: [Stmt; 3] = [
        Stmt::Let(V0, Expr::Input(Input::New)),
        Stmt::Let(V1, Expr::IsI31(V0)),
        Stmt::If(V1, Likely::No, &[Stmt::Let(V0, Expr::AddConst(V0, 2)), Stmt::Forward(V0), Stmt::Return], &[]),
    ];
    static NEXT: Program = program(&BODY);
    static LOADS: Spec = Spec { barriers: Barriers { load: Some(&NEXT), ..Barriers::NONE }, ..SPEC };
    LOADS.check().unwrap();
    let (mut heap, types, _) = heap_with(CONFIG, bump(&LOADS));
    let (pair, list) = (define(&types, structure(&[ANYREF, ANYREF])), define(&types, array(ANYREF)));
    let object = heap.alloc(pair, 0, &mut NoRoots).unwrap();
    let elements = heap.alloc(list, 1, &mut NoRoots).unwrap();
    heap.set_field(object, 0, Value::Ref(GcRef::i31(7)), true).unwrap();
    heap.set_field(object, 1, Value::Ref(object), true).unwrap();
    heap.set_element(elements, 0, Value::Ref(GcRef::i31(1)), true).unwrap();
    for _ in 0..2 {
        assert_eq!(heap.get_field(object, 0), Ok(Value::Ref(GcRef::i31(8))), "the slot keeps what it has");
        assert_eq!(heap.get_field(object, 1), Ok(Value::Ref(object)));
        assert_eq!(heap.get_element(elements, 0), Ok(Value::Ref(GcRef::i31(2))));
    }
    let stores = Spec { barriers: Barriers { store: Some(&NEXT), ..Barriers::NONE }, ..SPEC };
    assert!(stores.check().unwrap_err().contains("only a load"));
}

#[test]
fn textbook_barriers_are_well_formed() {
    for spec in textbook::ALL {
        spec.check().unwrap_or_else(|e| panic!("{}: {e}", spec.name));
        assert_eq!(spec.barriers.programs().iter().all(Option::is_none), spec.name == "none");
        if spec.barriers.store.is_none() {
            assert_eq!(spec.elide, []);
        }
    }
}

/// What a program shows to be unsound is refused: for each textbook barrier, exactly the elisions that it does not
/// admit and that are visible in it.
#[test]
fn unsound_elisions_are_refused() {
    use Elision::*;
    let refused = |spec: &Spec| -> Vec<Elision> {
        let all = [FreshObject, NullStored, I31Stored, SameObject];
        all.into_iter().filter(|&e| Spec { elide: vec![e].leak(), ..*spec }.check().is_err()).collect()
    };
    for (spec, expected) in [
        (&textbook::NURSERY_RANGE, &[SameObject][..]),
        (&textbook::CARD_MARKING, &[SameObject]),
        (&textbook::OBJECT_LOG, &[]),
        (&textbook::FIELD_LOG, &[NullStored, I31Stored, SameObject]),
        (&textbook::SNAPSHOT, &[NullStored, I31Stored, SameObject]),
        (&textbook::DIJKSTRA, &[SameObject]),
        (&textbook::COUNTING, &[FreshObject, NullStored, I31Stored, SameObject]),
        // What the slow path keeps does not show.
        (&textbook::COALESCING, &[]),
    ] {
        assert_eq!(refused(spec), expected, "{}", spec.name);
        assert!(spec.elide.iter().all(|e| !expected.contains(e)));
    }
    assert!(Spec { elide: &[NullStored], ..textbook::NONE }.check().is_err(), "nothing can be left out of nothing");
    let wrong = Spec { elide: &[NullStored], ..textbook::SNAPSHOT };
    assert!(wrong.check().unwrap_err().contains("NullStored, but snapshot-store uses the value overwritten"));
}

#[test]
fn branches_and_returns() {
    static THEN: [Stmt; 2] = [Stmt::Call(SlowCall(1), &[V0]), Stmt::Return];
    static OTHERWISE: [Stmt; 1] = [Stmt::Call(SlowCall(2), &[V0])];
    static BODY: [Stmt; 4] = [
        Stmt::Let(V0, Expr::Input(Input::New)),
        Stmt::Let(V1, Expr::IsI31(V0)),
        Stmt::If(V1, Likely::Unknown, &THEN, &OTHERWISE),
        Stmt::Call(SlowCall(3), &[V0, V1]),
    ];
    let program = program(&BODY);
    program.check(&scope(0, &[Input::New])).unwrap();
    let (mut heap, _, log) = heap_with(CONFIG, bump(&PLAIN));
    let i31 = GcRef::i31(5);
    program.run(&mut heap, &Inputs { new: i31, ..Inputs::default() }).unwrap();
    program.run(&mut heap, &Inputs { new: GcRef::NULL, ..Inputs::default() }).unwrap();
    let calls = &log.lock().unwrap().slow_calls;
    assert_eq!(calls[..], [(1, [i31.raw(), 0, 0, 0]), (2, [0; 4]), (3, [0; 4])]);
}

#[test]
fn appends_call_the_collector_when_the_buffer_is_full() {
    static BODY: [Stmt; 2] = [Stmt::Let(V0, Expr::Input(Input::Slot)), Stmt::Append(0, V0)];
    let append = program(&BODY);
    append.check(&scope(0, &[Input::Slot])).unwrap();
    let mut collector = bump(&PLAIN);
    collector.buffer = Some(Box::new([0; 4]));
    let (mut heap, _, log) = heap_with(CONFIG, collector);
    for slot in 0..9 {
        append.run(&mut heap, &Inputs { slot, ..Inputs::default() }).unwrap();
        let full = log.lock().unwrap().buffers.len();
        assert_eq!(full, slot as usize / 4);
        let buffer = heap.mutator().buffers[0];
        // SAFETY: the word just written.
        assert_eq!(unsafe { buffer.next.sub(1).read() }, slot);
    }
    // A collector without room for it.
    static ELSEWHERE: [Stmt; 2] = [Stmt::Let(V0, Expr::Const(1)), Stmt::Append(1, V0)];
    let refused = program(&ELSEWHERE).run(&mut heap, &Inputs::default()).unwrap_err();
    assert_eq!(refused.what, "a mutator buffer stays full");
}

#[test]
fn the_checker_refuses_what_back_ends_cannot_do() {
    let refused = |body: &'static [Stmt], why: &str| {
        let error = program(body).check(&scope(1, &[Input::New])).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(&[Stmt::Let(V0, Expr::Var(V1))], "before it is assigned");
    refused(&[Stmt::Let(V0, Expr::Input(Input::Old))], "no Old here");
    refused(&[Stmt::Let(Var(16), Expr::Const(0))], "does not exist");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::Let(V1, Expr::Shl(V0, 32))], "shift by 32");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::Let(V1, Expr::Header(V0, 2))], "header word 2");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::SetHeader(V0, 0, V0)], "header word 0");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::Append(2, V0)], "buffer 2");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::Let(V1, Expr::Side(2, V0))], "side table 2");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::SetSide(3, V0, V0)], "side table 3");
    refused(&[Stmt::SetSide(0, V0, V0)], "before it is assigned");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::Let(V1, Expr::ShlBy(V0, V2))], "before it is assigned");
    refused(&[Stmt::Return, Stmt::Return], "after a return");
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::Call(SlowCall(0), &[V0; 5])], "four arguments");
    refused(&[Stmt::Let(V0, Expr::Mutator(MutatorWord::Collector(4)))], "collector word 4");
    // Assigned on one path only.
    const ONE: &[Stmt] = &[Stmt::Let(V1, Expr::Const(1))];
    const RETURN: &[Stmt] = &[Stmt::Return];
    refused(
        &[Stmt::Let(V0, Expr::Const(0)), Stmt::If(V0, Likely::Yes, ONE, &[]), Stmt::Let(V2, Expr::Var(V1))],
        "before it is assigned",
    );
    refused(&[Stmt::Let(V0, Expr::Const(0)), Stmt::If(V0, Likely::Yes, RETURN, RETURN), Stmt::Return], "never reached");
    refused(vec![Stmt::Let(V0, Expr::Const(0)); 65].leak(), "more than 64");
    // On the only path that goes on, it is.
    const FINE: &[Stmt] = &[
        Stmt::Let(V0, Expr::Input(Input::New)),
        Stmt::If(V0, Likely::Yes, ONE, RETURN),
        Stmt::Let(V2, Expr::Header(V1, 1)),
    ];
    program(FINE).check(&scope(1, &[Input::New])).unwrap();
}

#[test]
fn a_declaration_is_checked_place_by_place() {
    static OLD: Program = program(&[Stmt::Let(V0, Expr::Input(Input::Old))]);
    static SLOT: Program = program(&[Stmt::Let(V0, Expr::Input(Input::Slot))]);
    let with = |barriers| Spec { barriers, ..SPEC }.check();
    const NONE: Barriers = Barriers::NONE;
    with(Barriers { store: Some(&OLD), root_store: Some(&OLD), bulk: BulkBarrier::Object(&SLOT), ..NONE }).unwrap();
    assert!(with(Barriers { init: Some(&OLD), ..NONE }).is_err());
    assert!(with(Barriers { load: Some(&OLD), ..NONE }).is_err());
    assert!(with(Barriers { root_store: Some(&SLOT), ..NONE }).is_err());
    assert!(with(Barriers { bulk: BulkBarrier::Object(&OLD), ..NONE }).is_err());
    assert!(Spec { inline_limit: MAX_INLINE_LIMIT + 1, ..SPEC }.check().is_err());
    const WIDE: SideTable = SideTable { name: "wide", granule: 8, bits: 64 };
    assert!(Spec { side_tables: &[WIDE], ..SPEC }.check().is_err());
    assert!(Spec { side_tables: &[SideTable { bits: 1, ..WIDE }; 5], ..SPEC }.check().is_err());
    assert!(Spec { header: &[HeaderWord { name: "w", initial: 0 }; 4], ..SPEC }.check().is_err());
}
