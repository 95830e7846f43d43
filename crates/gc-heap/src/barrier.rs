//! Barriers as programs.
//!
//! A barrier is a short loop-free program over 32-bit values. One program serves four readers: the compiler
//! turns it into machine code, [`run`](Program::run) interprets it for the host and for tests, an instrumented
//! form counts, and an elided barrier runs nothing. A program can write only to header words of the objects
//! that its inputs name and to mutator buffers, so it cannot reach outside the heap.

use crate::{BarrierCount, GcRef, Heap, HeapCorrupted, NUM_BUFFERS};

/// A variable of a program; at most 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(pub u8);

/// An input. Only the inputs that a program mentions are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MutatorWord {
    /// The allocation cursor.
    Cursor,
    /// The allocation limit.
    Limit,
    /// One of the words that belong to the collector, 0 to 3.
    Collector(u8),
}

/// A 32-bit value. Arithmetic wraps; comparisons give 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// A word of the mutator's state.
    Mutator(MutatorWord),
    /// Bitwise and.
    And(Var, Var),
    /// Bitwise and with a constant.
    AndConst(Var, u32),
    /// Bitwise or with a constant.
    OrConst(Var, u32),
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
    /// Equality.
    Eq(Var, Var),
    /// Equality with a constant.
    EqConst(Var, u32),
    /// Unsigned less-than.
    Ult(Var, Var),
    /// Unsigned less-than a constant.
    UltConst(Var, u32),
    /// Whether the value is the null reference.
    IsNull(Var),
    /// Whether the value is an i31.
    IsI31(Var),
}

/// How often a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likely {
    /// Nearly always.
    Yes,
    /// Nearly never: compiled out of line.
    No,
    /// Not known.
    Unknown,
}

/// A slow path of the collector, by number; its meaning is the collector's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowCall(pub u8);

/// A step.
#[derive(Clone, Copy, Debug)]
pub enum Stmt {
    /// Assign a variable.
    Let(Var, Expr),
    /// Write header word `.1` (never 0) of the object that `.0` holds.
    SetHeader(Var, u8, Var),
    /// Run one of two sequences, depending on whether the variable is non-zero.
    If(Var, Likely, &'static [Stmt], &'static [Stmt]),
    /// Append a word to mutator buffer `.0`; when it is full, first call [`crate::Collector::buffer_full`].
    Append(u8, Var),
    /// Call a slow path with up to four arguments. It is not a safepoint.
    Call(SlowCall, &'static [Var]),
    /// End the program.
    Return,
}

/// A barrier program.
#[derive(Clone, Copy, Debug)]
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
    /// [`HeapCorrupted`] when a header word of something that is no object would be touched, or a slow path finds the
    /// heap corrupted. The heap is then poisoned.
    pub fn run(&self, heap: &mut Heap, inputs: &Inputs) -> Result<(), HeapCorrupted> {
        let mut vars = [0; NUM_VARS];
        let mut count = BarrierCount { runs: 1, ..BarrierCount::default() };
        let result = run(self.body, heap, inputs, &mut vars, &mut count);
        if let Some(at) = heap.spec().barriers.position(self) {
            heap.mutator_mut().barriers[at].add(count);
        }
        result.map(|_| ()).map_err(|found| heap.set_corrupted(found))
    }

    /// Checks what the back ends rely on, for a collector whose objects have `header_words` words after the type word:
    /// variables are assigned before they are used, on every path; numbers are in range; the program is short. Only
    /// `inputs` may be mentioned.
    ///
    /// # Errors
    ///
    /// What is wrong, for the collector's author.
    pub fn check(&self, header_words: u8, inputs: &[Input]) -> Result<(), String> {
        let mut checker = Checker { header_words, inputs, steps: 0 };
        checker.body(self.body, 0).map(|_| ()).map_err(|e| format!("barrier program {}: {e}", self.name))
    }
}

/// Whether a sequence came to its end or returned.
#[derive(PartialEq)]
enum Flow {
    Next,
    Return,
}

fn run(
    body: &[Stmt],
    heap: &mut Heap,
    inputs: &Inputs,
    vars: &mut [u32; NUM_VARS],
    count: &mut BarrierCount,
) -> Result<Flow, HeapCorrupted> {
    for step in body {
        match *step {
            Stmt::Let(var, expr) => vars[slot(var)] = eval(expr, heap, inputs, vars)?,
            Stmt::SetHeader(object, word, value) => {
                if word == 0 {
                    return Err(HeapCorrupted { what: "a barrier writes a type word", at: vars[slot(object)] });
                }
                let at = header_word(heap, vars[slot(object)], word)?;
                heap.memory_mut().store_u32(at, vars[slot(value)])?;
            }
            Stmt::If(condition, _, then, otherwise) => {
                let body = if vars[slot(condition)] != 0 { then } else { otherwise };
                if run(body, heap, inputs, vars, count)? == Flow::Return {
                    return Ok(Flow::Return);
                }
            }
            Stmt::Append(buffer, value) => {
                count.appends += 1;
                append(heap, buffer as usize, vars[slot(value)])?;
            }
            Stmt::Call(call, args) => {
                let mut values = [0; 4];
                for (value, arg) in values.iter_mut().zip(args) {
                    *value = vars[slot(*arg)];
                }
                count.calls += 1;
                heap.barrier_slow(call, values)?;
            }
            Stmt::Return => return Ok(Flow::Return),
        }
    }
    Ok(Flow::Next)
}

fn slot(var: Var) -> usize {
    var.0 as usize % NUM_VARS
}

fn eval(expr: Expr, heap: &Heap, inputs: &Inputs, vars: &[u32; NUM_VARS]) -> Result<u32, HeapCorrupted> {
    let get = |var: Var| vars[slot(var)];
    Ok(match expr {
        Expr::Input(Input::Object) => inputs.object.raw(),
        Expr::Input(Input::Slot) => inputs.slot,
        Expr::Input(Input::Old) => inputs.old.raw(),
        Expr::Input(Input::New) => inputs.new.raw(),
        Expr::Var(a) => get(a),
        Expr::Const(c) => c,
        Expr::Header(object, word) => heap.memory().load_u32(header_word(heap, get(object), word)?)?,
        Expr::Mutator(MutatorWord::Cursor) => heap.mutator().cursor,
        Expr::Mutator(MutatorWord::Limit) => heap.mutator().limit,
        Expr::Mutator(MutatorWord::Collector(i)) => heap.mutator().collector[i as usize % 4],
        Expr::And(a, b) => get(a) & get(b),
        Expr::AndConst(a, c) => get(a) & c,
        Expr::OrConst(a, c) => get(a) | c,
        Expr::Add(a, b) => get(a).wrapping_add(get(b)),
        Expr::AddConst(a, c) => get(a).wrapping_add(c),
        Expr::Sub(a, b) => get(a).wrapping_sub(get(b)),
        Expr::Shl(a, by) => get(a).wrapping_shl(by.into()),
        Expr::Shr(a, by) => get(a).wrapping_shr(by.into()),
        Expr::Eq(a, b) => u32::from(get(a) == get(b)),
        Expr::EqConst(a, c) => u32::from(get(a) == c),
        Expr::Ult(a, b) => u32::from(get(a) < get(b)),
        Expr::UltConst(a, c) => u32::from(get(a) < c),
        Expr::IsNull(a) => u32::from(GcRef::from_raw(get(a)).is_null()),
        Expr::IsI31(a) => u32::from(GcRef::from_raw(get(a)).is_i31()),
    })
}

/// The heap offset of a header word of what must be an object.
fn header_word(heap: &Heap, object: u32, word: u8) -> Result<u32, HeapCorrupted> {
    if word as usize > heap.spec().header.len() {
        return Err(HeapCorrupted { what: "a barrier names a header word that no object has", at: word.into() });
    }
    if !GcRef::from_raw(object).is_object() || !object.is_multiple_of(8) {
        return Err(HeapCorrupted { what: "a barrier looks into what is no object", at: object });
    }
    heap.types().space().kind(heap.memory().load_u32(object)?)?;
    Ok(object.wrapping_add(4 * u32::from(word)))
}

fn append(heap: &mut Heap, index: usize, value: u32) -> Result<(), HeapCorrupted> {
    let full = |heap: &Heap| {
        let buffer = heap.mutator().buffers[index % NUM_BUFFERS];
        buffer.next == buffer.end
    };
    if full(heap) {
        heap.buffer_full(index % NUM_BUFFERS)?;
        if full(heap) {
            return Err(HeapCorrupted { what: "a mutator buffer stays full", at: index as u32 });
        }
    }
    let buffer = &mut heap.mutator_mut().buffers[index % NUM_BUFFERS];
    // SAFETY: the collector gave the buffer room for whole words from `next` to `end`, which differ; only barriers,
    // one at a time, move `next`.
    unsafe {
        buffer.next.write(value);
        buffer.next = buffer.next.add(1);
    }
    Ok(())
}

/// The state of [`Program::check`]. Sets of variables are bit masks.
struct Checker<'a> {
    header_words: u8,
    inputs: &'a [Input],
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
                    if word == 0 || word > self.header_words {
                        return Err(format!("header word {word} cannot be written"));
                    }
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
                Stmt::Return if i + 1 == body.len() => return Ok(None),
                Stmt::Return => return Err("steps after a return".into()),
            }
        }
        Ok(Some(known))
    }

    fn expr(&self, expr: Expr, known: u16) -> Result<(), String> {
        match expr {
            Expr::Input(input) if self.inputs.contains(&input) => Ok(()),
            Expr::Input(input) => Err(format!("there is no {input:?} here")),
            Expr::Const(_) => Ok(()),
            Expr::Mutator(MutatorWord::Collector(i)) if i >= 4 => Err(format!("collector word {i} does not exist")),
            Expr::Mutator(_) => Ok(()),
            Expr::Header(_, word) if word > self.header_words => Err(format!("header word {word} does not exist")),
            Expr::Shl(_, by) | Expr::Shr(_, by) if by >= 32 => Err(format!("shift by {by}")),
            Expr::And(a, b) | Expr::Add(a, b) | Expr::Sub(a, b) | Expr::Eq(a, b) | Expr::Ult(a, b) => {
                assigned(a, known)?;
                assigned(b, known)
            }
            Expr::Var(a)
            | Expr::Header(a, _)
            | Expr::AndConst(a, _)
            | Expr::OrConst(a, _)
            | Expr::AddConst(a, _)
            | Expr::Shl(a, _)
            | Expr::Shr(a, _)
            | Expr::EqConst(a, _)
            | Expr::UltConst(a, _)
            | Expr::IsNull(a)
            | Expr::IsI31(a) => assigned(a, known),
        }
    }
}

fn assigned(var: Var, known: u16) -> Result<(), String> {
    if (var.0 as usize) < NUM_VARS && known & 1 << var.0 != 0 {
        Ok(())
    } else {
        Err(format!("{var:?} is used before it is assigned"))
    }
}
