//! What a program's effects are made from: enough to refuse elisions that cannot be sound.
//!
//! An effect is a header word, an entry of a side table, a buffer's word or a slow call. The analysis follows which inputs reach the
//! effects as *data*, through variables and arithmetic, along the paths that are possible when the value stored is known. Branches
//! carry nothing: a program that asks whether the old value is young in order to remember the *slot* does not keep the old value.
//!
//! It finds what a program shows. What a slow path does with the object it is given is for the collector's author to know, and for
//! the tests of elisions.

use super::{Expr, Input, NUM_VARS, Program, Stmt, Var};
use crate::Elision;

/// A set of inputs, and what is known of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word {
    from: u8,
    known: Known,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Any,
    Const(u32),
    I31,
}

const UNKNOWN: Word = Word { from: 0, known: Known::Any };

const fn bit(input: Input) -> u8 {
    1 << input as u8
}

/// Refuses an elision that the store program contradicts.
pub(crate) fn check(store: &Program, init: Option<&Program>, elision: Elision) -> Result<(), String> {
    let after = |new| {
        let mut run = Run { new, kept: 0, counted: 0 };
        run.body(store.body, &mut [UNKNOWN; NUM_VARS]);
        run
    };
    let wrong = match elision {
        Elision::NullStored => after(Known::Const(0)).kept & bit(Input::Old) != 0,
        Elision::I31Stored => after(Known::I31).kept & bit(Input::Old) != 0,
        Elision::SameObject => {
            let kept = after(Known::Any).kept;
            if kept & (bit(Input::Slot) | bit(Input::Old) | bit(Input::New)) != 0 {
                return Err(format!("{elision:?}, but {} does more than note the object", store.name));
            }
            false
        }
        Elision::FreshObject => {
            let same = init.is_some_and(|init| core::ptr::eq(init, store));
            !same && after(Known::Any).counted & bit(Input::Old) != 0
        }
    };
    if wrong { Err(format!("{elision:?}, but {} uses the value overwritten", store.name)) } else { Ok(()) }
}

struct Run {
    /// What the value stored is.
    new: Known,
    /// The inputs that effects are made from.
    kept: u8,
    /// The inputs whose objects' headers are written.
    counted: u8,
}

impl Run {
    /// Whether control comes out at the end.
    fn body(&mut self, body: &[Stmt], vars: &mut [Word; NUM_VARS]) -> bool {
        for step in body {
            match *step {
                Stmt::Let(var, expr) => vars[index(var)] = self.eval(expr, vars),
                Stmt::SetHeader(object, _, value) => {
                    self.counted |= vars[index(object)].from;
                    self.keep(vars, &[object, value]);
                }
                Stmt::SetSide(_, offset, value) | Stmt::OrSide(_, offset, value) => self.keep(vars, &[offset, value]),
                Stmt::Append(_, value) | Stmt::Forward(value) => self.keep(vars, &[value]),
                Stmt::Call(_, args) => self.keep(vars, args),
                Stmt::Return => return false,
                Stmt::If(condition, _, then, other) => {
                    let possible = match vars[index(condition)].known {
                        Known::Const(0) => [None, Some(other)],
                        Known::Const(_) => [Some(then), None],
                        _ => [Some(then), Some(other)],
                    };
                    let mut after: Option<[Word; NUM_VARS]> = None;
                    for side in possible.into_iter().flatten() {
                        let mut vars = *vars;
                        if self.body(side, &mut vars) {
                            after = Some(match after {
                                None => vars,
                                Some(before) => core::array::from_fn(|i| join(before[i], vars[i])),
                            });
                        }
                    }
                    match after {
                        Some(after) => *vars = after,
                        None => return false,
                    }
                }
            }
        }
        true
    }

    fn keep(&mut self, vars: &[Word; NUM_VARS], words: &[Var]) {
        self.kept |= words.iter().fold(0, |from, &var| from | vars[index(var)].from);
    }

    fn eval(&self, expr: Expr, vars: &[Word; NUM_VARS]) -> Word {
        let get = |var: Var| vars[index(var)];
        let fold = |a: Var, f: &dyn Fn(u32) -> u32| match get(a) {
            Word { from, known: Known::Const(c) } => Word { from, known: Known::Const(f(c)) },
            Word { from, .. } => Word { from, known: Known::Any },
        };
        match expr {
            Expr::Input(Input::New) => Word { from: bit(Input::New), known: self.new },
            // The place of a store is an object.
            Expr::Input(input) => Word { from: bit(input), known: Known::Any },
            Expr::Var(a) => get(a),
            Expr::Const(c) => Word { from: 0, known: Known::Const(c) },
            Expr::Mutator(_) => UNKNOWN,
            Expr::AndConst(a, c) => fold(a, &|a| a & c),
            Expr::OrConst(a, c) => fold(a, &|a| a | c),
            Expr::XorConst(a, c) => fold(a, &|a| a ^ c),
            Expr::AddConst(a, c) => fold(a, &|a| a.wrapping_add(c)),
            Expr::Shl(a, by) => fold(a, &|a| a.wrapping_shl(by.into())),
            Expr::Shr(a, by) => fold(a, &|a| a.wrapping_shr(by.into())),
            Expr::EqConst(a, c) => fold(a, &|a| u32::from(a == c)),
            Expr::NeConst(a, c) => fold(a, &|a| u32::from(a != c)),
            Expr::UltConst(a, c) => fold(a, &|a| u32::from(a < c)),
            Expr::IsNull(a) => test(get(a), 0, |c| c == 0),
            Expr::IsI31(a) => test(get(a), 1, |c| c & 1 != 0),
            // Arithmetic on what is not a constant gives anything, made from its operands.
            _ => Word { from: expr.operands().fold(0, |from, var| from | get(var).from), known: Known::Any },
        }
    }
}

/// A test of a reference, with its answer for an i31.
fn test(word: Word, for_i31: u32, of: impl Fn(u32) -> bool) -> Word {
    let known = match word.known {
        Known::Any => Known::Any,
        Known::Const(c) => Known::Const(of(c).into()),
        Known::I31 => Known::Const(for_i31),
    };
    Word { from: word.from, known }
}

fn join(a: Word, b: Word) -> Word {
    Word { from: a.from | b.from, known: if a.known == b.known { a.known } else { Known::Any } }
}

fn index(var: Var) -> usize {
    var.0 as usize % NUM_VARS
}
