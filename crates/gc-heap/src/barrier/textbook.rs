//! The barriers of the literature, declared.
//!
//! They prove that the language says what collectors need, serve the measurement of barriers without any collector behind them,
//! and are a place to start from. Each is a whole [`Spec`] with bump allocation whose collector has only to answer slow calls and to
//! empty buffers; what else it owes the barrier (who sets which bits, and when) is said with it.
//!
//! Every program takes null and i31 into account: a slot holds either, and neither has a header or an entry of its own.

use super::{Expr, Input, Likely, MutatorWord, Program, SlowCall, Stmt, Var};
use crate::{AllocSpec, Barriers, BulkBarrier, Citation, Elision, HeaderWord, Moves, SideTable, Spec};

/// All of them, the one that is none first.
pub static ALL: [&Spec; 10] = [
    &NONE,
    &NURSERY_RANGE,
    &CARD_MARKING,
    &OBJECT_LOG,
    &FIELD_LOG,
    &SNAPSHOT,
    &DIJKSTRA,
    &COUNTING,
    &COALESCING,
    &BROOKS,
];

/// Slow path: an object's count fell to zero; argument: the object.
pub const RELEASE: SlowCall = SlowCall(0);
/// Slow path: log an object's references before its first change and set its header word; argument: the object.
pub const LOG: SlowCall = SlowCall(1);

/// Nothing at all: what the others are compared with.
pub static NONE: Spec = Spec {
    name: "none",
    summary: "no barrier",
    cites: &[],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::Never,
    needs_roots: true,
    inline_limit: 4096,
};

const OBJECT: Var = Var(0);
const SLOT: Var = Var(1);
const OLD: Var = Var(2);
const NEW: Var = Var(3);
const TEST: Var = Var(4);
const WORD: Var = Var(5);
const START: Var = Var(6);
const SIZE: Var = Var(7);

const fn cite(text: &'static str) -> Citation {
    Citation { text, departs: "the barrier alone" }
}

/// Remembers slots outside the nursery that come to name something inside. The collector keeps the nursery's start and size in its
/// first two words; buffer 0 collects slots.
pub static NURSERY_RANGE: Spec = Spec {
    name: "nursery-range",
    summary: "remembers a slot outside the nursery that comes to name an object inside",
    cites: &[cite(
        "D. Ungar, Generation Scavenging: A Non-disruptive High Performance Storage Reclamation Algorithm, SDE 1984",
    )],
    barriers: Barriers { store: Some(&NURSERY_STORE), bulk: BulkBarrier::Elements, ..Barriers::NONE },
    elide: &[Elision::NullStored, Elision::I31Stored],
    moves: Moves::AtSafepoint,
    ..NONE
};
static NURSERY_STORE: Program = Program {
    name: "nursery-range-store",
    body: &[
        Stmt::Let(START, Expr::Mutator(MutatorWord::Collector(0))),
        Stmt::Let(SIZE, Expr::Mutator(MutatorWord::Collector(1))),
        Stmt::Let(OBJECT, Expr::Input(Input::Object)),
        Stmt::Let(OBJECT, Expr::Sub(OBJECT, START)),
        Stmt::Let(TEST, Expr::Ult(OBJECT, SIZE)),
        Stmt::If(TEST, Likely::Yes, &[Stmt::Return], &[]),
        Stmt::Let(NEW, Expr::Input(Input::New)),
        Stmt::Let(WORD, Expr::Sub(NEW, START)),
        Stmt::Let(TEST, Expr::Ult(WORD, SIZE)),
        // An i31 may look like an address in the nursery.
        Stmt::Let(WORD, Expr::IsI31(NEW)),
        Stmt::Let(WORD, Expr::XorConst(WORD, 1)),
        Stmt::Let(TEST, Expr::And(TEST, WORD)),
        Stmt::If(TEST, Likely::No, &[Stmt::Let(SLOT, Expr::Input(Input::Slot)), Stmt::Append(0, SLOT)], &[]),
    ],
};

/// Marks the card of every slot that is written: one store, no branch. The collector clears cards when it has looked at them.
pub static CARD_MARKING: Spec = Spec {
    name: "card-marking",
    summary: "marks the 512-byte card of the slot written",
    cites: &[cite(
        "U. Hölzle, A Fast Write Barrier for Generational Garbage Collectors, OOPSLA 1993 Workshop on Garbage Collection",
    )],
    side_tables: &[SideTable { name: "cards", granule: 512, bits: 8 }],
    barriers: Barriers { store: Some(&CARD_STORE), bulk: BulkBarrier::Elements, ..Barriers::NONE },
    elide: &[Elision::NullStored, Elision::I31Stored],
    ..NONE
};
static CARD_STORE: Program = Program {
    name: "card-marking-store",
    body: &[Stmt::Let(SLOT, Expr::Input(Input::Slot)), Stmt::Let(TEST, Expr::Const(1)), Stmt::SetSide(0, SLOT, TEST)],
};

/// Remembers an object at its first change. The collector sets the bit of an object that is to be remembered (an old one);
/// fresh objects have none. Buffer 0 collects objects.
pub static OBJECT_LOG: Spec = Spec {
    name: "object-log",
    summary: "remembers an old object at its first change",
    cites: &[cite("S. M. Blackburn and K. S. McKinley, In or Out? Putting Write Barriers in Their Place, ISMM 2002")],
    side_tables: &[SideTable { name: "unlogged objects", granule: 8, bits: 1 }],
    barriers: Barriers { store: Some(&OBJECT_STORE), bulk: BulkBarrier::Object(&OBJECT_STORE), ..Barriers::NONE },
    elide: &[Elision::FreshObject, Elision::NullStored, Elision::I31Stored, Elision::SameObject],
    ..NONE
};
static OBJECT_STORE: Program = Program {
    name: "object-log-store",
    body: &[
        Stmt::Let(OBJECT, Expr::Input(Input::Object)),
        Stmt::Let(TEST, Expr::Side(0, OBJECT)),
        Stmt::If(
            TEST,
            Likely::No,
            &[Stmt::Let(WORD, Expr::Const(0)), Stmt::SetSide(0, OBJECT, WORD), Stmt::Append(0, OBJECT)],
            &[],
        ),
    ],
};

/// Logs a slot and what it held at its first change. The collector sets the bits of the slots to be logged; those of fresh objects are
/// clear. Buffer 0 collects slots, buffer 1 their old values.
pub static FIELD_LOG: Spec = Spec {
    name: "field-log",
    summary: "logs a slot and its old value at its first change",
    cites: &[cite(
        "W. Zhao, S. M. Blackburn and K. S. McKinley, Low-Latency, High-Throughput Garbage Collection, PLDI 2022",
    )],
    side_tables: &[SideTable { name: "unlogged slots", granule: 4, bits: 1 }],
    barriers: Barriers { store: Some(&FIELD_STORE), bulk: BulkBarrier::Elements, ..Barriers::NONE },
    elide: &[Elision::FreshObject],
    ..NONE
};
static FIELD_STORE: Program = Program {
    name: "field-log-store",
    body: &[
        Stmt::Let(SLOT, Expr::Input(Input::Slot)),
        Stmt::Let(TEST, Expr::Side(0, SLOT)),
        Stmt::If(
            TEST,
            Likely::No,
            &[
                Stmt::Let(WORD, Expr::Const(0)),
                Stmt::SetSide(0, SLOT, WORD),
                Stmt::Append(0, SLOT),
                Stmt::Let(OLD, Expr::Input(Input::Old)),
                Stmt::Append(1, OLD),
            ],
            &[],
        ),
    ],
};

/// While the collector's first word is not zero, keeps every reference that is overwritten: what was reachable when
/// marking began stays found. Fresh objects are marked. No store but that into a fresh object can do without: null and
/// i31 overwrite too, and so does the second store into an object. Buffer 0 collects old values.
pub static SNAPSHOT: Spec = Spec {
    name: "snapshot",
    summary: "while marking, keeps every reference overwritten (snapshot at the beginning)",
    cites: &[cite(
        "T. Yuasa, Real-Time Garbage Collection on General-Purpose Machines, Journal of Systems and Software 11(3), 1990",
    )],
    barriers: Barriers { store: Some(&SNAPSHOT_STORE), bulk: BulkBarrier::Elements, ..Barriers::NONE },
    // What a fresh object's slot holds was reachable from elsewhere, or is fresh itself.
    elide: &[Elision::FreshObject],
    ..NONE
};
static SNAPSHOT_STORE: Program = Program {
    name: "snapshot-store",
    body: &[
        Stmt::Let(TEST, Expr::Mutator(MutatorWord::Collector(0))),
        Stmt::If(
            TEST,
            Likely::No,
            &[
                Stmt::Let(OLD, Expr::Input(Input::Old)),
                Stmt::Let(TEST, Expr::IsNull(OLD)),
                Stmt::If(TEST, Likely::Unknown, &[Stmt::Return], &[]),
                Stmt::Let(TEST, Expr::IsI31(OLD)),
                Stmt::If(TEST, Likely::Unknown, &[], &[Stmt::Append(0, OLD)]),
            ],
            &[],
        ),
    ],
};

/// While the collector's first word is not zero, keeps every unmarked object that is stored (incremental update): no
/// marked object names an unmarked one that nobody knows of. Fresh objects are marked, so their initialising stores count too. The
/// collector sets mark bits. Buffer 0 collects new values.
pub static DIJKSTRA: Spec = Spec {
    name: "dijkstra",
    summary: "while marking, keeps every unmarked object that is stored (incremental update)",
    cites: &[cite(
        "E. W. Dijkstra, L. Lamport, A. J. Martin, C. S. Scholten and E. F. M. Steffens, On-the-Fly Garbage Collection: An \
         Exercise in Cooperation, Communications of the ACM 21(11), 1978",
    )],
    side_tables: &[SideTable { name: "marks", granule: 8, bits: 1 }],
    barriers: Barriers {
        store: Some(&DIJKSTRA_STORE),
        init: Some(&DIJKSTRA_STORE),
        bulk: BulkBarrier::Elements,
        ..Barriers::NONE
    },
    elide: &[Elision::FreshObject, Elision::NullStored, Elision::I31Stored],
    ..NONE
};
static DIJKSTRA_STORE: Program = Program {
    name: "dijkstra-store",
    body: &[
        Stmt::Let(TEST, Expr::Mutator(MutatorWord::Collector(0))),
        Stmt::If(
            TEST,
            Likely::No,
            &[
                Stmt::Let(NEW, Expr::Input(Input::New)),
                Stmt::Let(TEST, Expr::IsNull(NEW)),
                Stmt::If(TEST, Likely::Unknown, &[Stmt::Return], &[]),
                Stmt::Let(TEST, Expr::IsI31(NEW)),
                Stmt::If(TEST, Likely::Unknown, &[Stmt::Return], &[]),
                Stmt::Let(TEST, Expr::Side(0, NEW)),
                Stmt::If(TEST, Likely::Yes, &[], &[Stmt::Append(0, NEW)]),
            ],
            &[],
        ),
    ],
};

/// Counts a reference up.
const COUNT_UP: [Stmt; 3] = [
    Stmt::Let(NEW, Expr::Input(Input::New)),
    Stmt::Let(TEST, Expr::IsNull(NEW)),
    Stmt::If(
        TEST,
        Likely::Unknown,
        &[],
        &[
            Stmt::Let(TEST, Expr::IsI31(NEW)),
            Stmt::If(
                TEST,
                Likely::Unknown,
                &[],
                &[
                    Stmt::Let(WORD, Expr::Header(NEW, 1)),
                    Stmt::Let(WORD, Expr::AddConst(WORD, 1)),
                    Stmt::SetHeader(NEW, 1, WORD),
                ],
            ),
        ],
    ),
];

/// Counts a reference down, and reports an object without any.
const COUNT_DOWN: [Stmt; 3] = [
    Stmt::Let(OLD, Expr::Input(Input::Old)),
    Stmt::Let(TEST, Expr::IsNull(OLD)),
    Stmt::If(
        TEST,
        Likely::Unknown,
        &[],
        &[
            Stmt::Let(TEST, Expr::IsI31(OLD)),
            Stmt::If(
                TEST,
                Likely::Unknown,
                &[],
                &[
                    Stmt::Let(WORD, Expr::Header(OLD, 1)),
                    Stmt::Let(WORD, Expr::AddConst(WORD, u32::MAX)),
                    Stmt::SetHeader(OLD, 1, WORD),
                    Stmt::Let(TEST, Expr::EqConst(WORD, 0)),
                    Stmt::If(TEST, Likely::No, &[Stmt::Call(RELEASE, &[OLD])], &[]),
                ],
            ),
        ],
    ),
];

/// Deferred reference counting: every store into the heap counts at once, roots are left to the collector. Nothing can be left out: null
/// and i31 take a count away, and so does a second store into a fresh object.
pub static COUNTING: Spec = Spec {
    name: "counting",
    summary: "counts the new reference up and the old one down (deferred reference counting)",
    cites: &[cite(
        "L. P. Deutsch and D. G. Bobrow, An Efficient, Incremental, Automatic Garbage Collector, Communications of the ACM \
         19(9), 1976",
    )],
    header: &[HeaderWord { name: "count", initial: 0 }],
    barriers: Barriers {
        store: Some(&COUNT_STORE),
        init: Some(&COUNT_INIT),
        bulk: BulkBarrier::Elements,
        ..Barriers::NONE
    },
    ..NONE
};
static COUNT_STORE: Program = Program {
    name: "counting-store",
    // Up first: the two may be the same object.
    body: &[COUNT_UP[0], COUNT_UP[1], COUNT_UP[2], COUNT_DOWN[0], COUNT_DOWN[1], COUNT_DOWN[2]],
};
static COUNT_INIT: Program = Program { name: "counting-init", body: &COUNT_UP };

/// Coalescing reference counting: an object's references are logged before its first change, then stores pass. The slow path sets the
/// header word; fresh objects are born with it set.
pub static COALESCING: Spec = Spec {
    name: "coalescing",
    summary: "logs an object's references before its first change (coalescing reference counting)",
    cites: &[cite(
        "Y. Levanoni and E. Petrank, An On-the-Fly Reference-Counting Garbage Collector for Java, ACM Transactions on \
         Programming Languages and Systems 28(1), 2006",
    )],
    header: &[HeaderWord { name: "logged", initial: 1 }],
    barriers: Barriers {
        store: Some(&COALESCING_STORE),
        bulk: BulkBarrier::Object(&COALESCING_STORE),
        ..Barriers::NONE
    },
    elide: &[Elision::FreshObject, Elision::SameObject],
    ..NONE
};
static COALESCING_STORE: Program = Program {
    name: "coalescing-store",
    body: &[
        Stmt::Let(OBJECT, Expr::Input(Input::Object)),
        Stmt::Let(WORD, Expr::Header(OBJECT, 1)),
        Stmt::Let(TEST, Expr::EqConst(WORD, 0)),
        Stmt::If(TEST, Likely::No, &[Stmt::Call(LOG, &[OBJECT])], &[]),
    ],
};

/// A read barrier: an object's header names its newest copy, or nothing while there is none, and every load follows it.
pub static BROOKS: Spec = Spec {
    name: "brooks",
    summary: "every load follows the forwarding word of the object it finds (read barrier)",
    cites: &[Citation {
        text: "R. A. Brooks, Trading Data Space for Reduced Time and Code Space in Real-Time Garbage Collection on Stock \
               Hardware, LFP 1984",
        departs: "the barrier alone; an object without a copy has a zero, not its own address",
    }],
    header: &[HeaderWord { name: "forward", initial: 0 }],
    barriers: Barriers { load: Some(&BROOKS_LOAD), ..Barriers::NONE },
    ..NONE
};
static BROOKS_LOAD: Program = Program {
    name: "brooks-load",
    body: &[
        Stmt::Let(NEW, Expr::Input(Input::New)),
        Stmt::Let(TEST, Expr::IsNull(NEW)),
        Stmt::If(TEST, Likely::Unknown, &[Stmt::Return], &[]),
        Stmt::Let(TEST, Expr::IsI31(NEW)),
        Stmt::If(TEST, Likely::Unknown, &[Stmt::Return], &[]),
        Stmt::Let(WORD, Expr::Header(NEW, 1)),
        Stmt::Let(TEST, Expr::NeConst(WORD, 0)),
        Stmt::If(TEST, Likely::No, &[Stmt::Forward(WORD)], &[]),
    ],
};
