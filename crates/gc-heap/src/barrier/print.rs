//! Programs for people to read.

use super::{Expr, Input, Likely, MutatorWord, Program, Stmt, Var};
use crate::Spec;
use core::fmt::Write;

impl Program {
    /// The program as text: a line a step, header words and side tables by the names that `spec` gives them.
    pub fn text(&self, spec: &Spec) -> String {
        let inputs = [(Input::Object, "object"), (Input::Slot, "slot"), (Input::Old, "old"), (Input::New, "new")];
        let mentioned: Vec<&str> = inputs.iter().filter(|(input, _)| self.mentions(*input)).map(|i| i.1).collect();
        let mut text = format!("{}({})\n", self.name, mentioned.join(", "));
        Printer { spec, text: &mut text }.body(self.body, 1);
        text
    }
}

struct Printer<'a> {
    spec: &'a Spec,
    text: &'a mut String,
}

impl Printer<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        // A string takes whatever is written.
        let _ = writeln!(self.text, "{}{line}", "  ".repeat(depth));
    }

    fn body(&mut self, body: &[Stmt], depth: usize) {
        for step in body {
            match *step {
                Stmt::Let(to, expr) => {
                    let value = self.expr(expr);
                    self.line(depth, &format!("{} = {value}", var(to)));
                }
                Stmt::SetHeader(object, word, value) => {
                    let line = format!("{}.{} = {}", var(object), self.header(word), var(value));
                    self.line(depth, &line);
                }
                Stmt::SetSide(table, at, value) => {
                    let line = format!("{}[{}] = {}", self.table(table), var(at), var(value));
                    self.line(depth, &line);
                }
                Stmt::OrSide(table, at, value) => {
                    let line = format!("{}[{}] |= {}", self.table(table), var(at), var(value));
                    self.line(depth, &line);
                }
                Stmt::If(condition, likely, then, otherwise) => {
                    let (not, first, second) =
                        if then.is_empty() { ("not ", otherwise, then) } else { ("", then, otherwise) };
                    let likely = match (likely, not.is_empty()) {
                        (Likely::Yes, true) | (Likely::No, false) => " (nearly always)",
                        (Likely::No, true) | (Likely::Yes, false) => " (nearly never)",
                        (Likely::Unknown, _) => "",
                    };
                    self.line(depth, &format!("if {not}{}{likely}", var(condition)));
                    self.body(first, depth + 1);
                    if !second.is_empty() {
                        self.line(depth, "else");
                        self.body(second, depth + 1);
                    }
                }
                Stmt::Append(buffer, value) => self.line(depth, &format!("append {} to buffer {buffer}", var(value))),
                Stmt::Call(call, args) => {
                    let args: Vec<String> = args.iter().map(|arg| var(*arg)).collect();
                    self.line(depth, &format!("call slow path {}({})", call.0, args.join(", ")));
                }
                Stmt::Forward(value) => self.line(depth, &format!("the load gives {}", var(value))),
                Stmt::Return => self.line(depth, "return"),
            }
        }
    }

    fn header(&self, word: u8) -> String {
        match word {
            0 => "type".into(),
            _ => {
                self.spec.header.get(usize::from(word) - 1).map_or_else(|| format!("header {word}"), |w| w.name.into())
            }
        }
    }

    fn table(&self, table: u8) -> String {
        self.spec.side_tables.get(usize::from(table)).map_or_else(|| format!("table {table}"), |t| t.name.into())
    }

    fn expr(&self, expr: Expr) -> String {
        let two = |a: Var, operator: &str, b: Var| format!("{} {operator} {}", var(a), var(b));
        let constant = |a: Var, operator: &str, c: u32| format!("{} {operator} {c:#x}", var(a));
        match expr {
            Expr::Input(Input::Object) => "object".into(),
            Expr::Input(Input::Slot) => "slot".into(),
            Expr::Input(Input::Old) => "old".into(),
            Expr::Input(Input::New) => "new".into(),
            Expr::Var(a) => var(a),
            Expr::Const(c) => format!("{c:#x}"),
            Expr::Header(object, word) => format!("{}.{}", var(object), self.header(word)),
            Expr::Side(table, at) => format!("{}[{}]", self.table(table), var(at)),
            Expr::Mutator(MutatorWord::Cursor) => "mutator.cursor".into(),
            Expr::Mutator(MutatorWord::Limit) => "mutator.limit".into(),
            Expr::Mutator(MutatorWord::Collector(i)) => format!("mutator.collector[{i}]"),
            Expr::And(a, b) => two(a, "&", b),
            Expr::AndConst(a, c) => constant(a, "&", c),
            Expr::Or(a, b) => two(a, "|", b),
            Expr::OrConst(a, c) => constant(a, "|", c),
            Expr::Xor(a, b) => two(a, "^", b),
            Expr::XorConst(a, c) => constant(a, "^", c),
            Expr::Add(a, b) => two(a, "+", b),
            Expr::AddConst(a, c) => constant(a, "+", c),
            Expr::Sub(a, b) => two(a, "-", b),
            Expr::Shl(a, by) => format!("{} << {by}", var(a)),
            Expr::Shr(a, by) => format!("{} >> {by}", var(a)),
            Expr::ShlBy(a, b) => two(a, "<<", b),
            Expr::ShrBy(a, b) => two(a, ">>", b),
            Expr::Eq(a, b) => two(a, "==", b),
            Expr::EqConst(a, c) => constant(a, "==", c),
            Expr::Ne(a, b) => two(a, "!=", b),
            Expr::NeConst(a, c) => constant(a, "!=", c),
            Expr::Ult(a, b) => two(a, "<", b),
            Expr::UltConst(a, c) => constant(a, "<", c),
            Expr::IsNull(a) => format!("{} is null", var(a)),
            Expr::IsI31(a) => format!("{} is an i31", var(a)),
        }
    }
}

fn var(var: Var) -> String {
    format!("v{}", var.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::SlowCall;
    use crate::{AllocSpec, Barriers, HeaderWord, Moves};

    #[test]
    fn a_program_reads_like_one() {
        const SPEC: Spec = Spec {
            name: "test",
            summary: "",
            cites: &[],
            header: &[HeaderWord { name: "count", initial: 0 }],
            side_tables: &[],
            alloc: AllocSpec::Bump,
            barriers: Barriers::NONE,
            elide: &[],
            moves: Moves::Never,
            needs_roots: true,
            inline_limit: 0,
        };
        let program = Program {
            name: "example",
            body: &[
                Stmt::Let(Var(0), Expr::Input(Input::Object)),
                Stmt::Let(Var(1), Expr::Header(Var(0), 1)),
                Stmt::Let(Var(2), Expr::AndConst(Var(1), 0x10)),
                Stmt::If(Var(2), Likely::Yes, &[], &[Stmt::Call(SlowCall(3), &[Var(0), Var(1)]), Stmt::Return]),
                Stmt::SetHeader(Var(0), 1, Var(2)),
                Stmt::Append(1, Var(0)),
            ],
        };
        let expected = "example(object)\n  v0 = object\n  v1 = v0.count\n  v2 = v1 & 0x10\n  if not v2 (nearly never)\n    \
                        call slow path 3(v0, v1)\n    return\n  v0.count = v2\n  append v0 to buffer 1\n";
        assert_eq!(program.text(&SPEC), expected);
    }
}
