//! The interpreter of barrier programs.

use super::{Expr, Input, Inputs, MutatorWord, NUM_VARS, Program, Stmt, Var};
use crate::{BarrierCount, GcRef, Heap, HeapCorrupted, NUM_BUFFERS};

/// The state of a run.
struct Run<'a> {
    heap: &'a mut Heap,
    inputs: &'a Inputs,
    vars: [u32; NUM_VARS],
    count: &'a mut BarrierCount,
    /// What a load gives.
    loaded: u32,
}

/// Runs a program; gives the reference that a load gives.
pub(super) fn run(
    program: &Program,
    heap: &mut Heap,
    inputs: &Inputs,
    count: &mut BarrierCount,
) -> Result<GcRef, HeapCorrupted> {
    let mut run = Run { heap, inputs, vars: [0; NUM_VARS], count, loaded: inputs.new.raw() };
    run.body(program.body)?;
    Ok(GcRef::from_raw(run.loaded))
}

/// Whether a sequence came to its end or returned.
#[derive(PartialEq)]
enum Flow {
    Next,
    Return,
}

impl Run<'_> {
    fn body(&mut self, body: &[Stmt]) -> Result<Flow, HeapCorrupted> {
        for step in body {
            match *step {
                Stmt::Let(var, expr) => self.vars[slot(var)] = self.eval(expr)?,
                Stmt::SetHeader(object, word, value) => {
                    if word == 0 {
                        let at = self.get(object);
                        return Err(HeapCorrupted { what: "a barrier writes a type word", at });
                    }
                    let (at, value) = (self.header_word(self.get(object), word)?, self.get(value));
                    self.heap.memory_mut().store_u32(at, value)?;
                }
                Stmt::SetSide(table, offset, value) => {
                    let (offset, value) = (self.get(offset), self.get(value));
                    self.heap.memory_mut().store_side(table.into(), offset, value)?;
                }
                Stmt::OrSide(table, offset, value) => {
                    let (offset, value) = (self.get(offset), self.get(value));
                    let before = self.heap.memory().load_side(table.into(), offset)?;
                    self.heap.memory_mut().store_side(table.into(), offset, before | value)?;
                }
                Stmt::If(condition, _, then, otherwise) => {
                    let body = if self.get(condition) != 0 { then } else { otherwise };
                    if self.body(body)? == Flow::Return {
                        return Ok(Flow::Return);
                    }
                }
                Stmt::Append(buffer, value) => {
                    self.count.appends += 1;
                    append(self.heap, buffer as usize, self.vars[slot(value)])?;
                }
                Stmt::Call(call, args) => {
                    let mut values = [0; 4];
                    for (value, arg) in values.iter_mut().zip(args) {
                        *value = self.get(*arg);
                    }
                    self.count.calls += 1;
                    self.heap.barrier_slow(call, values)?;
                }
                Stmt::Forward(value) => self.loaded = self.get(value),
                Stmt::Return => return Ok(Flow::Return),
            }
        }
        Ok(Flow::Next)
    }

    fn get(&self, var: Var) -> u32 {
        self.vars[slot(var)]
    }

    fn eval(&self, expr: Expr) -> Result<u32, HeapCorrupted> {
        let get = |var: Var| self.get(var);
        Ok(match expr {
            Expr::Input(Input::Object) => self.inputs.object.raw(),
            Expr::Input(Input::Slot) => self.inputs.slot,
            Expr::Input(Input::Old) => self.inputs.old.raw(),
            Expr::Input(Input::New) => self.inputs.new.raw(),
            Expr::Var(a) => get(a),
            Expr::Const(c) => c,
            Expr::Header(object, word) => self.heap.memory().load_u32(self.header_word(get(object), word)?)?,
            Expr::Side(table, offset) => self.heap.memory().load_side(table.into(), get(offset))?,
            Expr::Mutator(MutatorWord::Cursor) => self.heap.mutator().cursor,
            Expr::Mutator(MutatorWord::Limit) => self.heap.mutator().limit,
            Expr::Mutator(MutatorWord::Collector(i)) => self.heap.mutator().collector[i as usize % 4],
            Expr::And(a, b) => get(a) & get(b),
            Expr::AndConst(a, c) => get(a) & c,
            Expr::Or(a, b) => get(a) | get(b),
            Expr::OrConst(a, c) => get(a) | c,
            Expr::Xor(a, b) => get(a) ^ get(b),
            Expr::XorConst(a, c) => get(a) ^ c,
            Expr::Add(a, b) => get(a).wrapping_add(get(b)),
            Expr::AddConst(a, c) => get(a).wrapping_add(c),
            Expr::Sub(a, b) => get(a).wrapping_sub(get(b)),
            Expr::Shl(a, by) => get(a).wrapping_shl(by.into()),
            Expr::Shr(a, by) => get(a).wrapping_shr(by.into()),
            Expr::ShlBy(a, by) => get(a).wrapping_shl(get(by)),
            Expr::ShrBy(a, by) => get(a).wrapping_shr(get(by)),
            Expr::Eq(a, b) => u32::from(get(a) == get(b)),
            Expr::EqConst(a, c) => u32::from(get(a) == c),
            Expr::Ne(a, b) => u32::from(get(a) != get(b)),
            Expr::NeConst(a, c) => u32::from(get(a) != c),
            Expr::Ult(a, b) => u32::from(get(a) < get(b)),
            Expr::UltConst(a, c) => u32::from(get(a) < c),
            Expr::IsNull(a) => u32::from(GcRef::from_raw(get(a)).is_null()),
            Expr::IsI31(a) => u32::from(GcRef::from_raw(get(a)).is_i31()),
        })
    }

    /// The heap offset of a header word of what must be an object.
    fn header_word(&self, object: u32, word: u8) -> Result<u32, HeapCorrupted> {
        let heap = &*self.heap;
        if word as usize > heap.spec().header.len() {
            return Err(HeapCorrupted { what: "a barrier names a header word that no object has", at: word.into() });
        }
        if !GcRef::from_raw(object).is_object() || !object.is_multiple_of(8) {
            return Err(HeapCorrupted { what: "a barrier looks into what is no object", at: object });
        }
        heap.types().space().kind(heap.memory().load_u32(object)?)?;
        Ok(object.wrapping_add(4 * u32::from(word)))
    }
}

fn slot(var: Var) -> usize {
    var.0 as usize % NUM_VARS
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
