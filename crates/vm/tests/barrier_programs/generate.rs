//! Random barrier programs that the checker accepts.

use heapwright_gc_heap::barrier::{Expr, Input, Likely, MutatorWord, NUM_VARS, Program, Scope, SlowCall, Stmt, Var};

/// A small reproducible random source.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A program for a place, with what that place has. It lives for ever, as a declaration does.
pub(crate) fn program(random: &mut Random, scope: &Scope<'_>) -> &'static Program {
    let mut generator = Generator { random, scope, steps: 30 };
    let mut state = State::default();
    let body = generator.body(&mut state, 0);
    let program = Program { name: "random", body: body.leak() };
    program.check(scope).unwrap_or_else(|e| panic!("{e}: {program:?}"));
    Box::leak(Box::new(program))
}

/// What is known where a step stands.
#[derive(Clone, Copy, Default)]
struct State {
    /// Variables that are assigned.
    assigned: u16,
    /// Those of them that hold an object.
    objects: u16,
    /// Those of them that hold a heap offset: everything else may lie where no side table has an entry.
    offsets: u16,
}

struct Generator<'a> {
    random: &'a mut Random,
    scope: &'a Scope<'a>,
    /// Steps that may still be made.
    steps: usize,
}

impl Generator<'_> {
    /// A sequence; `None` in the state's place means that its end is not reached.
    fn body(&mut self, state: &mut State, depth: usize) -> Vec<Stmt> {
        let mut body = Vec::new();
        let length = if depth == 0 { 12 } else { 4 };
        for _ in 0..self.random.below(length) + usize::from(depth == 0) {
            if self.steps == 0 {
                break;
            }
            self.steps -= 1;
            if !self.step(&mut body, state, depth) {
                break;
            }
        }
        body
    }

    /// Adds a step or a few; whether control comes out behind them.
    fn step(&mut self, body: &mut Vec<Stmt>, state: &mut State, depth: usize) -> bool {
        let var = |random: &mut Random, set: u16| some_var(random, set);
        let known = var(self.random, state.assigned);
        match (self.random.below(19), known) {
            (0, Some(value)) if self.scope.header_words > 0 => {
                if let Some(object) = var(self.random, state.objects) {
                    body.push(Stmt::SetHeader(
                        object,
                        1 + self.random.below(self.scope.header_words as usize) as u8,
                        value,
                    ));
                }
            }
            (1 | 2, Some(condition)) if depth < 3 => return self.branch(body, state, depth, condition),
            (3, Some(value)) => body.push(Stmt::Append(self.random.below(2) as u8, value)),
            (4, Some(_)) => {
                let count = self.random.below(5);
                let args: Vec<Var> = (0..count).filter_map(|_| var(self.random, state.assigned)).collect();
                body.push(Stmt::Call(SlowCall(self.random.next() as u8), args.leak()));
            }
            (5, _) if depth > 0 && self.random.one_in(3) => {
                body.push(Stmt::Return);
                return false;
            }
            (16, Some(value)) if self.scope.side_tables > 0 => {
                if let Some(offset) = var(self.random, state.offsets) {
                    let table = self.table();
                    let set = self.random.one_in(2);
                    body.push(if set {
                        Stmt::SetSide(table, offset, value)
                    } else {
                        Stmt::OrSide(table, offset, value)
                    });
                }
            }
            // Any word becomes an offset below the end of the smallest heap.
            (17, Some(value)) if self.scope.side_tables > 0 => {
                let to = Var(self.random.below(NUM_VARS) as u8);
                assign(state, to, false);
                state.offsets |= 1 << to.0;
                body.push(Stmt::Let(to, Expr::AndConst(value, 0x3_ffff)));
            }
            (18, Some(value)) if self.scope.forwards => body.push(Stmt::Forward(value)),
            (6 | 7, _) if depth < 3 && self.steps > 4 => self.object(body, state, depth),
            _ => {
                let to = Var(self.random.below(NUM_VARS) as u8);
                let expr = self.expression(state);
                let object = matches!(expr, Expr::Input(Input::Object)) || holds(state.objects, expr);
                let offset = matches!(expr, Expr::Input(Input::Object | Input::Slot)) || holds(state.offsets, expr);
                assign(state, to, object);
                state.offsets |= u16::from(offset) << to.0;
                body.push(Stmt::Let(to, expr));
            }
        }
        true
    }

    fn branch(&mut self, body: &mut Vec<Stmt>, state: &mut State, depth: usize, condition: Var) -> bool {
        let likely = self.random.pick(&[Likely::Yes, Likely::No, Likely::Unknown]);
        let mut sides = [*state; 2];
        let [then, other] = sides.each_mut().map(|side| match self.random.below(3) {
            0 => Vec::new(),
            _ => self.body(side, depth + 1),
        });
        let ends = [falls_through(&then), falls_through(&other)];
        body.push(Stmt::If(condition, likely, then.leak(), other.leak()));
        let both = |a: State, b: State| State {
            assigned: a.assigned & b.assigned,
            objects: a.objects & b.objects,
            offsets: a.offsets & b.offsets,
        };
        *state = match ends {
            [true, true] => both(sides[0], sides[1]),
            [true, false] => sides[0],
            [false, true] => sides[1],
            [false, false] => return false,
        };
        true
    }

    /// Asks whether a reference is an object, as a program must before it looks into it, and goes on where it is.
    fn object(&mut self, body: &mut Vec<Stmt>, state: &mut State, depth: usize) {
        let references: Vec<Input> =
            self.scope.inputs.iter().copied().filter(|i| matches!(i, Input::Old | Input::New)).collect();
        if references.is_empty() {
            return;
        }
        let input = self.random.pick(&references);
        let (value, test) = (Var(self.random.below(8) as u8), Var(8 + self.random.below(8) as u8));
        for (var, expr) in [(value, Expr::Input(input)), (test, Expr::IsNull(value))] {
            assign(state, var, false);
            body.push(Stmt::Let(var, expr));
        }
        self.steps = self.steps.saturating_sub(4);
        let mut inner = *state;
        let likely = self.random.pick(&[Likely::Yes, Likely::No, Likely::Unknown]);
        let mut then = vec![Stmt::Let(test, Expr::IsI31(value))];
        inner.objects |= 1 << value.0;
        inner.offsets |= 1 << value.0;
        let objects = self.body(&mut inner, depth + 2);
        let likely_i31 = self.random.pick(&[Likely::Yes, Likely::No, Likely::Unknown]);
        then.push(Stmt::If(test, likely_i31, &[], objects.leak()));
        body.push(Stmt::If(test, likely, &[], then.leak()));
        // Only what either path left alone is as it was.
        state.objects &= inner.objects & !(1 << value.0);
        state.offsets &= inner.offsets & !(1 << value.0);
    }

    fn expression(&mut self, state: &State) -> Expr {
        let number = self.number();
        let mutator = |random: &mut Random| {
            let word = random.below(4) as u8;
            Expr::Mutator(random.pick(&[MutatorWord::Cursor, MutatorWord::Limit, MutatorWord::Collector(word)]))
        };
        let (Some(a), Some(b)) = (some_var(self.random, state.assigned), some_var(self.random, state.assigned)) else {
            return Expr::Input(self.random.pick(self.scope.inputs));
        };
        let shift = self.random.below(32) as u8;
        match self.random.below(33) {
            0..=3 => Expr::Input(self.random.pick(self.scope.inputs)),
            4 => Expr::Var(a),
            5 => Expr::Const(number),
            6..=8 => match some_var(self.random, state.objects) {
                Some(object) => Expr::Header(object, self.random.below(self.scope.header_words as usize + 1) as u8),
                None => mutator(self.random),
            },
            9 | 10 => mutator(self.random),
            11 => Expr::And(a, b),
            12 => Expr::AndConst(a, number),
            13 => Expr::OrConst(a, number),
            14 => Expr::Add(a, b),
            15 => Expr::AddConst(a, number),
            16 => Expr::Sub(a, b),
            17 => Expr::Shl(a, shift),
            18 => Expr::Shr(a, shift),
            19 => Expr::Eq(a, b),
            20 => Expr::EqConst(a, number),
            21 => Expr::Ult(a, b),
            22 => Expr::UltConst(a, number),
            23 => Expr::Or(a, b),
            24 => Expr::Xor(a, b),
            25 => Expr::XorConst(a, number),
            26 => Expr::ShlBy(a, b),
            27 => Expr::ShrBy(a, b),
            28 => Expr::Ne(a, b),
            29 => Expr::NeConst(a, number),
            30 | 31 if self.scope.side_tables > 0 => match some_var(self.random, state.offsets) {
                Some(offset) => Expr::Side(self.table(), offset),
                None => mutator(self.random),
            },
            _ if self.random.one_in(2) => Expr::IsNull(a),
            _ => Expr::IsI31(a),
        }
    }

    fn table(&mut self) -> u8 {
        self.random.below(self.scope.side_tables.into()) as u8
    }

    fn number(&mut self) -> u32 {
        let any = self.random.next();
        self.random.pick(&[0, 1, 2, 7, 0x8000_0000, u32::MAX, any, any & 0xff, 1 << (any & 31)])
    }
}

fn some_var(random: &mut Random, set: u16) -> Option<Var> {
    let vars: Vec<u8> = (0..16).filter(|v| set & 1 << v != 0).collect();
    (!vars.is_empty()).then(|| Var(random.pick(&vars)))
}

fn assign(state: &mut State, var: Var, object: bool) {
    state.assigned |= 1 << var.0;
    state.objects = state.objects & !(1 << var.0) | u16::from(object) << var.0;
    state.offsets &= !(1 << var.0);
}

/// Whether an expression is a variable of the set.
fn holds(set: u16, expr: Expr) -> bool {
    matches!(expr, Expr::Var(v) if set & 1 << v.0 != 0)
}

fn falls_through(body: &[Stmt]) -> bool {
    match body.last() {
        Some(Stmt::Return) => false,
        Some(Stmt::If(_, _, then, other)) => falls_through(then) || falls_through(other),
        _ => true,
    }
}
