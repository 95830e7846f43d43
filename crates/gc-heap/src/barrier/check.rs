//! What a barrier program must be, so that its back ends need not ask.

use super::{Expr, Input, MAX_STEPS, MutatorWord, NUM_VARS, Program, Stmt, Var};
use crate::NUM_BUFFERS;

/// What a program may use.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Header words after the type word.
    pub header_words: u8,
    /// Declared side tables.
    pub side_tables: u8,
    /// The inputs that its place has.
    pub inputs: &'a [Input],
    /// Whether it may replace the reference loaded.
    pub forwards: bool,
}

pub(super) fn check(program: &Program, scope: &Scope<'_>) -> Result<(), String> {
    Checker { scope, steps: 0 }.body(program.body, 0).map(|_| ())
}

/// The state of a check. Sets of variables are bit masks.
struct Checker<'a> {
    scope: &'a Scope<'a>,
    steps: usize,
}

impl Checker<'_> {
    /// Checks a sequence that is entered with the variables `known`; gives those known after it, or `None` when the end
    /// is not reached.
    fn body(&mut self, body: &[Stmt], mut known: u16) -> Result<Option<u16>, String> {
        for (i, step) in body.iter().enumerate() {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return Err(format!("more than {MAX_STEPS} steps"));
            }
            match *step {
                Stmt::Let(var, expr) => {
                    self.expr(expr, known)?;
                    if var.0 as usize >= NUM_VARS {
                        return Err(format!("{var:?} does not exist"));
                    }
                    known |= 1 << var.0;
                }
                Stmt::SetHeader(object, word, value) => {
                    assigned(object, known)?;
                    assigned(value, known)?;
                    if word == 0 || word > self.scope.header_words {
                        return Err(format!("header word {word} cannot be written"));
                    }
                }
                Stmt::SetSide(table, offset, value) | Stmt::OrSide(table, offset, value) => {
                    self.table(table)?;
                    assigned(offset, known)?;
                    assigned(value, known)?;
                }
                Stmt::If(condition, _, then, otherwise) => {
                    assigned(condition, known)?;
                    let after = [self.body(then, known)?, self.body(otherwise, known)?];
                    match after.into_iter().flatten().reduce(|a, b| a & b) {
                        Some(both) => known = both,
                        None if i + 1 == body.len() => return Ok(None),
                        None => return Err("steps that are never reached".into()),
                    }
                }
                Stmt::Append(buffer, value) => {
                    assigned(value, known)?;
                    if buffer as usize >= NUM_BUFFERS {
                        return Err(format!("buffer {buffer} does not exist"));
                    }
                }
                Stmt::Call(_, args) => {
                    if args.len() > 4 {
                        return Err("a call with more than four arguments".into());
                    }
                    args.iter().try_for_each(|&arg| assigned(arg, known))?;
                }
                Stmt::Forward(_) if !self.scope.forwards => return Err("only a load gives a reference".into()),
                Stmt::Forward(value) => assigned(value, known)?,
                Stmt::Return if i + 1 == body.len() => return Ok(None),
                Stmt::Return => return Err("steps after a return".into()),
            }
        }
        Ok(Some(known))
    }

    fn table(&self, table: u8) -> Result<(), String> {
        if table < self.scope.side_tables { Ok(()) } else { Err(format!("side table {table} does not exist")) }
    }

    fn expr(&self, expr: Expr, known: u16) -> Result<(), String> {
        match expr {
            Expr::Input(input) if self.scope.inputs.contains(&input) => Ok(()),
            Expr::Input(input) => Err(format!("there is no {input:?} here")),
            Expr::Mutator(MutatorWord::Collector(i)) if i >= 4 => Err(format!("collector word {i} does not exist")),
            Expr::Header(_, word) if word > self.scope.header_words => {
                Err(format!("header word {word} does not exist"))
            }
            Expr::Shl(_, by) | Expr::Shr(_, by) if by >= 32 => Err(format!("shift by {by}")),
            Expr::Side(table, _) => self.table(table),
            _ => Ok(()),
        }?;
        expr.operands().try_for_each(|var| assigned(var, known))
    }
}

fn assigned(var: Var, known: u16) -> Result<(), String> {
    if (var.0 as usize) < NUM_VARS && known & 1 << var.0 != 0 {
        Ok(())
    } else {
        Err(format!("{var:?} is used before it is assigned"))
    }
}
