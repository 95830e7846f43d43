//! Barriers as programs.
//!
//! A barrier is a short loop-free program over 32-bit values. One program serves four readers: the compiler
//! turns it into machine code, [`run`](Program::run) interprets it for the host and for tests, an instrumented
//! form counts, and an elided barrier runs nothing. A program can write only to header words of the objects
//! that its inputs name, to its collector's side tables and to mutator buffers, so it cannot reach outside the heap.
//!
//! The operations:
//!
//! | reads | meaning |
//! |---|---|
//! | `Input`, `Var`, `Const` | an input, a variable, a constant |
//! | `Header` | a header word of an object |
//! | `Side` | the entry of a side table for a heap offset |
//! | `Mutator` | the cursor, the limit or one of the collector's four words |
//!
//! | arithmetic, in 32 bits | |
//! |---|---|
//! | `And` `Or` `Xor` `Add` `Sub`, some with a constant | wraps |
//! | `Shl` `Shr` by a constant, `ShlBy` `ShrBy` by a variable | the count is taken modulo 32 |
//! | `Eq` `Ne` `Ult`, also with a constant; `IsNull` `IsI31` | give 0 or 1 |
//!
//! | steps | |
//! |---|---|
//! | `Let` | assigns a variable |
//! | `SetHeader`, `SetSide` | write a header word, an entry of a side table |
//! | `OrSide` | sets bits in an entry of a side table |
//! | `If` | a branch, with its likelihood |
//! | `Append` | pushes a word to a mutator buffer, which the collector empties when it is full |
//! | `Call` | a slow path of the collector; no safepoint |
//! | `Forward` | replaces the reference that a load gives |
//! | `Return` | ends the program |
//!
//! [`textbook`] has the barriers of the literature in this language.

mod check;
pub(crate) mod effects;
mod interpret;
mod print;
pub mod textbook;

pub use check::Scope;

use crate::{BarrierCount, GcRef, Heap, HeapCorrupted};
use serde::Serialize;

/// A variable of a program; at most 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Var(pub u8);

/// An input. Only the inputs that a program mentions are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Input {
    /// The object written to or read from.
    Object,
    /// Heap offset of the field or element.
    Slot,
    /// The reference that the slot holds before the store.
    Old,
    /// The reference being stored, or the one just loaded.
    New,
}

/// Where a mutator-state word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MutatorWord {
    /// The allocation cursor.
    Cursor,
    /// The allocation limit.
    Limit,
    /// One of the words that belong to the collector, 0 to 3.
    Collector(u8),
}

/// A 32-bit value. Arithmetic wraps; comparisons give 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Expr {
    /// An input.
    Input(Input),
    /// A variable.
    Var(Var),
    /// A constant.
    Const(u32),
    /// Header word `.1` of the object that `.0` holds; word 0 is the type word. The variable must hold an
    /// object reference: test with `IsNull` and `IsI31` first.
    Header(Var, u8),
    /// The entry of side table `.0` for the heap offset that `.1` holds: that of its granule. Any offset has an entry of that table;
    /// where the heap is not committed, reading it is heap corruption.
    Side(u8, Var),
    /// A word of the mutator's state.
    Mutator(MutatorWord),
    /// Bitwise and.
    And(Var, Var),
    /// Bitwise and with a constant.
    AndConst(Var, u32),
    /// Bitwise or.
    Or(Var, Var),
    /// Bitwise or with a constant.
    OrConst(Var, u32),
    /// Bitwise exclusive or.
    Xor(Var, Var),
    /// Bitwise exclusive or with a constant.
    XorConst(Var, u32),
    /// Sum.
    Add(Var, Var),
    /// Sum with a constant.
    AddConst(Var, u32),
    /// Difference.
    Sub(Var, Var),
    /// Shift left by a constant below 32.
    Shl(Var, u8),
    /// Logical shift right by a constant below 32.
    Shr(Var, u8),
    /// Shift left by a variable modulo 32: makes the mask of a bit that is computed.
    ShlBy(Var, Var),
    /// Logical shift right by a variable modulo 32: takes out a bit that is computed.
    ShrBy(Var, Var),
    /// Equality.
    Eq(Var, Var),
    /// Equality with a constant.
    EqConst(Var, u32),
    /// Inequality.
    Ne(Var, Var),
    /// Inequality with a constant.
    NeConst(Var, u32),
    /// Unsigned less-than.
    Ult(Var, Var),
    /// Unsigned less-than a constant.
    UltConst(Var, u32),
    /// Whether the value is the null reference.
    IsNull(Var),
    /// Whether the value is an i31.
    IsI31(Var),
}

impl Expr {
    /// The variables it reads, one for each place in it.
    pub fn operands(self) -> impl Iterator<Item = Var> {
        let (first, second) = match self {
            Expr::Input(_) | Expr::Const(_) | Expr::Mutator(_) => (None, None),
            Expr::Var(a)
            | Expr::Header(a, _)
            | Expr::Side(_, a)
            | Expr::AndConst(a, _)
            | Expr::OrConst(a, _)
            | Expr::XorConst(a, _)
            | Expr::AddConst(a, _)
            | Expr::Shl(a, _)
            | Expr::Shr(a, _)
            | Expr::EqConst(a, _)
            | Expr::NeConst(a, _)
            | Expr::UltConst(a, _)
            | Expr::IsNull(a)
            | Expr::IsI31(a) => (Some(a), None),
            Expr::And(a, b)
            | Expr::Or(a, b)
            | Expr::Xor(a, b)
            | Expr::Add(a, b)
            | Expr::Sub(a, b)
            | Expr::ShlBy(a, b)
            | Expr::ShrBy(a, b)
            | Expr::Eq(a, b)
            | Expr::Ne(a, b)
            | Expr::Ult(a, b) => (Some(a), Some(b)),
        };
        first.into_iter().chain(second)
    }
}

/// How often a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Likely {
    /// Nearly always.
    Yes,
    /// Nearly never: compiled out of line.
    No,
    /// Not known.
    Unknown,
}

/// A slow path of the collector, by number; its meaning is the collector's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SlowCall(pub u8);

/// A step.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum Stmt {
    /// Assign a variable.
    Let(Var, Expr),
    /// Write header word `.1` (never 0) of the object that `.0` holds.
    SetHeader(Var, u8, Var),
    /// Write the low bits of variable `.2` to the entry of side table `.0` for the heap offset that `.1` holds.
    SetSide(u8, Var, Var),
    /// Set those bits in the entry of side table `.0` for the heap offset that `.1` holds that are set in variable `.2`; the others stay.
    /// A mark that is made or not without a branch.
    OrSide(u8, Var, Var),
    /// Run one of two sequences, depending on whether the variable is non-zero.
    If(Var, Likely, &'static [Stmt], &'static [Stmt]),
    /// Append a word to mutator buffer `.0`; when it is full, first call [`crate::Collector::buffer_full`].
    Append(u8, Var),
    /// Call a slow path with up to four arguments. It is not a safepoint.
    Call(SlowCall, &'static [Var]),
    /// The load gives this reference instead of the one it found; the slot keeps what it has. The last one counts. Only in load programs.
    Forward(Var),
    /// End the program.
    Return,
}

/// A barrier program.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Program {
    /// Name for tools and golden files.
    pub name: &'static str,
    /// The steps.
    pub body: &'static [Stmt],
}

/// The values of a program's inputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// The object.
    pub object: GcRef,
    /// Heap offset of the slot.
    pub slot: u32,
    /// The value before.
    pub old: GcRef,
    /// The value after.
    pub new: GcRef,
}

/// Number of variables.
pub const NUM_VARS: usize = 16;
/// Largest number of steps that [`Program::check`] accepts.
pub const MAX_STEPS: usize = 64;

impl Program {
    /// Whether the program mentions an input.
    pub fn mentions(&self, input: Input) -> bool {
        fn any(body: &[Stmt], input: Input) -> bool {
            body.iter().any(|step| match *step {
                Stmt::Let(_, expr) => expr == Expr::Input(input),
                Stmt::If(_, _, then, otherwise) => any(then, input) || any(otherwise, input),
                _ => false,
            })
        }
        any(self.body, input)
    }

    /// Interprets the program.
    ///
    /// # Errors
    ///
    /// [`HeapCorrupted`] when a header word of something that is no object would be touched, or an entry of a side table for what is
    /// no part of the heap, or a slow path finds the heap corrupted. The heap is then poisoned.
    pub fn run(&self, heap: &mut Heap, inputs: &Inputs) -> Result<(), HeapCorrupted> {
        self.run_load(heap, inputs).map(|_| ())
    }

    /// As [`run`](Self::run), for a load program. Gives the reference that the load gives: [`Inputs::new`] unless the program
    /// forwards it.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_load(&self, heap: &mut Heap, inputs: &Inputs) -> Result<GcRef, HeapCorrupted> {
        let mut count = BarrierCount { runs: 1, ..BarrierCount::default() };
        let result = interpret::run(self, heap, inputs, &mut count);
        if let Some(at) = heap.spec().barriers.position(self) {
            heap.mutator_mut().barriers[at].add(count);
        }
        result.map_err(|found| heap.set_corrupted(found))
    }

    /// Checks what the back ends rely on: variables are assigned before they are used, on every path; numbers are in
    /// range; the program is short; it uses only what `scope` has.
    ///
    /// # Errors
    ///
    /// What is wrong, for the collector's author.
    pub fn check(&self, scope: &Scope<'_>) -> Result<(), String> {
        check::check(self, scope).map_err(|e| format!("barrier program {}: {e}", self.name))
    }
}
