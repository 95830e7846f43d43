//! Barrier programs to CLIF.
//!
//! A program's variables become SSA values; where two branches meet, those that either assigned and that are still read
//! become block parameters. What a load program gives is one more variable. What is known of the inputs (the object is an object, the value stored is a null constant or an
//! i31) is carried along, so that tests of it and the branches they decide leave no code.

use super::access::Place;
use super::emit::{Base, Emitter, Known, mutator_offset};
use crate::abi::Builtin;
use crate::gc::Mark;
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value, types};
use heapwright_gc_heap::barrier::{Expr, Input, Likely, MutatorWord, Program, Stmt, Var};
use heapwright_gc_heap::{BarrierCount, MutatorState, NUM_BUFFERS, SideTable};

/// A mutator buffer is two host pointers: the next free word and the end.
const POINTER_SIZE: i32 = size_of::<*mut u32>() as i32;
const BUFFER_SIZE: i32 = 2 * POINTER_SIZE;
const _: () = assert!(
    core::mem::offset_of!(MutatorState, barriers)
        == core::mem::offset_of!(MutatorState, buffers) + NUM_BUFFERS * BUFFER_SIZE as usize
);

/// What a program is run on. Inputs that are not there read as zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs {
    /// The place written or read, unless it is a root.
    pub(super) place: Option<Place>,
    /// The reference that the place holds, if it is loaded already.
    pub(super) old: Option<Value>,
    /// The reference stored or loaded.
    pub(super) new: Option<Value>,
}

/// The value of a variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operand {
    Const(u32),
    Word(Value),
    /// An `i8` that is 0 or 1.
    Bit(Value),
    /// A reference that is neither null nor an i31.
    Object(Value),
    I31(Value),
}

type Vars = [Operand; 17];

/// The variable behind a program's own: the reference that a load gives.
const LOADED: Var = Var(16);

/// A set of variables.
type VarSet = u32;

/// A program being translated.
struct Run {
    inputs: Inputs,
    slot: Option<Value>,
    /// Where the store's context counts what the program does, if it does.
    counts: Option<i32>,
    /// Where `Return` goes; with the reference that a load gives as its parameter, if the program forwards it.
    end: Block,
    returns: bool,
    forwards: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Binary {
    And,
    Or,
    Xor,
    Add,
    Sub,
    Shl,
    Shr,
    Eq,
    Ne,
    Ult,
}

impl Emitter<'_> {
    /// Emits a barrier program. Gives the reference that a load gives: the one loaded, or what it is replaced by.
    pub(super) fn run(&mut self, program: &'static Program, inputs: Inputs) -> Option<Value> {
        let first = self.pos.func.dfg.num_insts() as u32;
        let loaded = self.run_here(program, inputs);
        let end = self.pos.func.dfg.num_insts() as u32;
        self.gc.marks.push((Mark::Barrier, first..end));
        loaded
    }

    fn run_here(&mut self, program: &'static Program, inputs: Inputs) -> Option<Value> {
        let slot = inputs
            .place
            .filter(|_| program.mentions(Input::Slot))
            .map(|place| self.add_word(place.slot, place.slot_offset));
        let end = self.block();
        let position = self.env.spec.barriers.position(program).filter(|_| self.env.settings.count_barriers);
        let counts = position.map(|at| mutator_offset!(barriers) + (at * size_of::<BarrierCount>()) as i32);
        let forwards = writes(program.body) & bit(LOADED) != 0;
        let mut run = Run { inputs, slot, counts, end, returns: false, forwards };
        self.count(&run, offset_of!(BarrierCount, runs));
        let mut vars = [Operand::Const(0); 17];
        let mut loaded = inputs.new;
        if let Some(new) = loaded {
            vars[usize::from(LOADED.0)] = Operand::Word(new);
        }
        let live = if forwards { bit(LOADED) } else { 0 };
        let falls_through = self.statements(&mut run, program.body, &mut vars, live);
        if run.returns {
            if falls_through {
                self.leave(&run, &vars);
            }
            self.start(end);
            if forwards {
                loaded = Some(self.pos.func.dfg.append_block_param(end, types::I32));
            }
        } else if forwards {
            loaded = Some(self.var(&vars, LOADED));
        }
        loaded
    }

    /// Ends the program.
    fn leave(&mut self, run: &Run, vars: &Vars) {
        if run.forwards {
            let loaded = self.var(vars, LOADED);
            self.jump(run.end, &[loaded]);
        } else {
            self.jump(run.end, &[]);
        }
    }

    /// Emits statements; `live` are the variables that are read after them. Whether control comes out at their end.
    fn statements(&mut self, run: &mut Run, body: &'static [Stmt], vars: &mut Vars, live: VarSet) -> bool {
        for (i, stmt) in body.iter().enumerate() {
            match *stmt {
                Stmt::Let(var, expr) => vars[usize::from(var.0)] = self.expression(run, expr, vars),
                Stmt::SetHeader(object, word, value) => {
                    let (object, value) = (self.var(vars, object), self.var(vars, value));
                    let address = self.address(Base::Heap, object);
                    self.ins().store(Self::heap_flags(None), value, address, 4 * i32::from(word));
                }
                Stmt::SetSide(table, offset, value) => {
                    let (offset, value) = (self.var(vars, offset), self.var(vars, value));
                    self.store_side(table, offset, value);
                }
                Stmt::OrSide(table, offset, value) => {
                    let offset = self.var(vars, offset);
                    self.or_side(table, offset, vars[usize::from(value.0)]);
                }
                Stmt::If(condition, likely, then, other) => {
                    let live = reads(&body[i + 1..], live, run.forwards);
                    if !self.branches(run, (condition, likely), (then, other), vars, live) {
                        return false;
                    }
                }
                Stmt::Append(buffer, value) => {
                    self.count(run, offset_of!(BarrierCount, appends));
                    let value = self.var(vars, value);
                    self.append_to_buffer(buffer, value);
                }
                Stmt::Call(call, args) => {
                    let mut words = [self.word(u32::from(call.0)); 5];
                    for i in 0..4 {
                        words[i + 1] = match args.get(i) {
                            Some(&arg) => self.var(vars, arg),
                            None => self.word(0),
                        };
                    }
                    self.count(run, offset_of!(BarrierCount, calls));
                    self.call(Builtin::BarrierSlow, &words);
                }
                Stmt::Forward(value) => vars[usize::from(LOADED.0)] = vars[usize::from(value.0)],
                Stmt::Return => {
                    run.returns = true;
                    self.leave(run, vars);
                    return false;
                }
            }
        }
        true
    }

    fn branches(
        &mut self,
        run: &mut Run,
        (condition, likely): (Var, Likely),
        (then, other): (&'static [Stmt], &'static [Stmt]),
        vars: &mut Vars,
        live: VarSet,
    ) -> bool {
        let condition = match vars[usize::from(condition.0)] {
            Operand::Const(c) => return self.statements(run, if c != 0 { then } else { other }, vars, live),
            Operand::Object(_) | Operand::I31(_) => return self.statements(run, then, vars, live),
            Operand::Word(v) | Operand::Bit(v) => v,
        };
        // The variables that get a new value at the meeting point.
        let met: Vec<Var> =
            (0..=LOADED.0).map(Var).filter(|&v| (writes(then) | writes(other)) & live & bit(v) != 0).collect();
        let merge = self.block();
        let sides = [(then, likely == Likely::No), (other, likely == Likely::Yes)];
        let starts = sides.map(|(body, _)| if body.is_empty() { merge } else { self.block() });
        let unchanged = self.vars(vars, if starts.contains(&merge) { &met } else { &[] });
        let args = |start: Block| if start == merge { &unchanged[..] } else { &[] };
        self.ins().brif(condition, starts[0], args(starts[0]), starts[1], args(starts[1]));
        let mut meets = starts.contains(&merge);
        for ((body, cold), start) in sides.into_iter().zip(starts) {
            if start == merge {
                continue;
            }
            let mut vars = *vars;
            meets |= self.with_cold(cold, start, |e| {
                let falls_through = e.statements(run, body, &mut vars, live);
                if falls_through {
                    let args = e.vars(&vars, &met);
                    e.ins().jump(merge, &args);
                }
                falls_through
            });
        }
        if meets {
            self.start(merge);
            for var in met {
                let param = self.pos.func.dfg.append_block_param(merge, types::I32);
                vars[usize::from(var.0)] = Operand::Word(param);
            }
        }
        meets
    }

    /// A variable as a 32-bit value.
    fn var(&mut self, vars: &Vars, var: Var) -> Value {
        self.materialise(vars[usize::from(var.0)])
    }

    fn vars(&mut self, vars: &Vars, which: &[Var]) -> Vec<BlockArg> {
        which.iter().map(|&v| BlockArg::Value(self.var(vars, v))).collect()
    }

    fn materialise(&mut self, operand: Operand) -> Value {
        match operand {
            Operand::Const(c) => self.word(c),
            Operand::Word(v) | Operand::Object(v) | Operand::I31(v) => v,
            Operand::Bit(v) => self.ins().uextend(types::I32, v),
        }
    }

    fn expression(&mut self, run: &Run, expr: Expr, vars: &Vars) -> Operand {
        let get = |v: Var| vars[usize::from(v.0)];
        let zero = Operand::Const(0);
        match expr {
            Expr::Input(Input::Object) => run.inputs.place.map_or(zero, |p| Operand::Object(p.object)),
            Expr::Input(Input::Slot) => run.slot.map_or(zero, Operand::Word),
            Expr::Input(Input::Old) => match (run.inputs.old, run.inputs.place) {
                (Some(v), _) => self.reference(v),
                (None, Some(place)) => {
                    let flags = Self::heap_flags(None);
                    Operand::Word(self.ins().load(types::I32, flags, place.address, place.offset))
                }
                (None, None) => zero,
            },
            Expr::Input(Input::New) => run.inputs.new.map_or(zero, |v| self.reference(v)),
            Expr::Var(v) => get(v),
            Expr::Const(c) => Operand::Const(c),
            Expr::Header(object, word) => {
                let object = self.var(vars, object);
                let address = self.address(Base::Heap, object);
                let offset = 4 * i32::from(word);
                Operand::Word(self.ins().load(types::I32, Self::heap_flags(None), address, offset))
            }
            Expr::Side(table, offset) => {
                let offset = self.var(vars, offset);
                Operand::Word(self.load_side(table, offset))
            }
            Expr::Mutator(word) => {
                let offset = match word {
                    MutatorWord::Cursor => mutator_offset!(cursor),
                    MutatorWord::Limit => mutator_offset!(limit),
                    MutatorWord::Collector(i) => mutator_offset!(collector) + 4 * i32::from(i & 3),
                };
                Operand::Word(self.load_store_word(types::I32, offset))
            }
            Expr::And(a, b) => self.binary(Binary::And, get(a), get(b)),
            Expr::AndConst(a, c) => self.binary(Binary::And, get(a), Operand::Const(c)),
            Expr::Or(a, b) => self.binary(Binary::Or, get(a), get(b)),
            Expr::OrConst(a, c) => self.binary(Binary::Or, get(a), Operand::Const(c)),
            Expr::Xor(a, b) => self.binary(Binary::Xor, get(a), get(b)),
            Expr::XorConst(a, c) => self.binary(Binary::Xor, get(a), Operand::Const(c)),
            Expr::Add(a, b) => self.binary(Binary::Add, get(a), get(b)),
            Expr::AddConst(a, c) => self.binary(Binary::Add, get(a), Operand::Const(c)),
            Expr::Sub(a, b) => self.binary(Binary::Sub, get(a), get(b)),
            Expr::Shl(a, c) => self.binary(Binary::Shl, get(a), Operand::Const(u32::from(c))),
            Expr::Shr(a, c) => self.binary(Binary::Shr, get(a), Operand::Const(u32::from(c))),
            Expr::ShlBy(a, b) => self.binary(Binary::Shl, get(a), get(b)),
            Expr::ShrBy(a, b) => self.binary(Binary::Shr, get(a), get(b)),
            Expr::Eq(a, b) => self.binary(Binary::Eq, get(a), get(b)),
            Expr::EqConst(a, c) => self.binary(Binary::Eq, get(a), Operand::Const(c)),
            Expr::Ne(a, b) => self.binary(Binary::Ne, get(a), get(b)),
            Expr::NeConst(a, c) => self.binary(Binary::Ne, get(a), Operand::Const(c)),
            Expr::Ult(a, b) => self.binary(Binary::Ult, get(a), get(b)),
            Expr::UltConst(a, c) => self.binary(Binary::Ult, get(a), Operand::Const(c)),
            Expr::IsNull(a) => match get(a) {
                Operand::Object(_) | Operand::I31(_) => zero,
                other => self.binary(Binary::Eq, other, zero),
            },
            Expr::IsI31(a) => match get(a) {
                Operand::Object(_) => zero,
                Operand::I31(_) => Operand::Const(1),
                other => self.binary(Binary::And, other, Operand::Const(1)),
            },
        }
    }

    /// A reference of which something may be known.
    fn reference(&mut self, value: Value) -> Operand {
        match self.known(value) {
            Known::Null => Operand::Const(0),
            Known::I31 => Operand::I31(value),
            Known::Nothing => Operand::Word(value),
        }
    }

    fn binary(&mut self, op: Binary, a: Operand, b: Operand) -> Operand {
        if let (Operand::Const(a), Operand::Const(b)) = (a, b) {
            return Operand::Const(match op {
                Binary::And => a & b,
                Binary::Or => a | b,
                Binary::Xor => a ^ b,
                Binary::Add => a.wrapping_add(b),
                Binary::Sub => a.wrapping_sub(b),
                Binary::Shl => a.wrapping_shl(b),
                Binary::Shr => a.wrapping_shr(b),
                Binary::Eq => u32::from(a == b),
                Binary::Ne => u32::from(a != b),
                Binary::Ult => u32::from(a < b),
            });
        }
        let (a, b) = (self.materialise(a), self.materialise(b));
        match op {
            Binary::And => Operand::Word(self.ins().band(a, b)),
            Binary::Or => Operand::Word(self.ins().bor(a, b)),
            Binary::Xor => Operand::Word(self.ins().bxor(a, b)),
            Binary::Add => Operand::Word(self.ins().iadd(a, b)),
            Binary::Sub => Operand::Word(self.ins().isub(a, b)),
            Binary::Shl => Operand::Word(self.ins().ishl(a, b)),
            Binary::Shr => Operand::Word(self.ins().ushr(a, b)),
            Binary::Eq => Operand::Bit(self.ins().icmp(IntCC::Equal, a, b)),
            Binary::Ne => Operand::Bit(self.ins().icmp(IntCC::NotEqual, a, b)),
            Binary::Ult => Operand::Bit(self.ins().icmp(IntCC::UnsignedLessThan, a, b)),
        }
    }

    // Side tables. The arithmetic is in 32 bits: the entry of any offset lies in the table's reservation, and where the heap is
    // not committed the access faults there.

    /// The declaration of a side table, and the host address of the byte in which the entry for a heap offset begins.
    fn side_entry(&mut self, table: u8, offset: Value) -> (SideTable, Value) {
        let declared = self.env.spec.side_tables[usize::from(table)];
        let entries_to_bytes = match declared.bits {
            8.. => 0,
            bits => (8 / bits).trailing_zeros(),
        };
        let mut byte = self.ins().ushr_imm_u(offset, i64::from(declared.shift() + entries_to_bytes));
        if declared.bits > 8 {
            byte = self.ins().ishl_imm_u(byte, i64::from((declared.bits / 8).trailing_zeros()));
        }
        (declared, self.address(Base::Side(table), byte))
    }

    /// The lowest bit of an entry of less than a byte, in that byte.
    fn side_bit(&mut self, table: &SideTable, offset: Value) -> Value {
        let entry = self.ins().ushr_imm_u(offset, i64::from(table.shift()));
        let in_byte = self.ins().band_imm_u(entry, i64::from(8 / table.bits - 1));
        match table.bits {
            1 => in_byte,
            bits => self.ins().ishl_imm_u(in_byte, i64::from(bits.trailing_zeros())),
        }
    }

    fn load_side(&mut self, table: u8, offset: Value) -> Value {
        let (table, address) = self.side_entry(table, offset);
        let flags = Self::heap_flags(None);
        match table.bits {
            32 => self.ins().load(types::I32, flags, address, 0),
            16 => self.ins().uload16(types::I32, flags, address, 0),
            8 => self.ins().uload8(types::I32, flags, address, 0),
            _ => {
                let byte = self.ins().uload8(types::I32, flags, address, 0);
                let bit = self.side_bit(&table, offset);
                let low = self.ins().ushr(byte, bit);
                self.ins().band_imm_u(low, i64::from(table.mask()))
            }
        }
    }

    fn store_side(&mut self, table: u8, offset: Value, value: Value) {
        let (table, address) = self.side_entry(table, offset);
        let flags = Self::heap_flags(None);
        match table.bits {
            32 => self.ins().store(flags, value, address, 0),
            16 => self.ins().istore16(flags, value, address, 0),
            8 => self.ins().istore8(flags, value, address, 0),
            _ => {
                let bit = self.side_bit(&table, offset);
                let mask = self.word(table.mask());
                let keep = self.ins().ishl(mask, bit);
                let keep = self.ins().bnot(keep);
                let before = self.ins().uload8(types::I32, flags, address, 0);
                let before = self.ins().band(before, keep);
                let value = self.ins().band(value, mask);
                let value = self.ins().ishl(value, bit);
                let after = self.ins().bor(before, value);
                self.ins().istore8(flags, after, address, 0)
            }
        };
    }

    /// Sets the bits of a word in an entry.
    fn or_side(&mut self, table: u8, offset: Value, bits: Operand) {
        if bits == Operand::Const(0) {
            return;
        }
        let flags = Self::heap_flags(None);
        let declared = self.env.spec.side_tables[usize::from(table)];
        if declared.bits < 8 {
            // By whole words: the processor counts shifts modulo 32 itself, which saves a mask where an entry is a bit.
            let fits = matches!(bits, Operand::Bit(_)) || matches!(bits, Operand::Const(c) if c <= declared.mask());
            let mut bits = self.materialise(bits);
            if !fits {
                bits = self.ins().band_imm_u(bits, i64::from(declared.mask()));
            }
            let entry = self.ins().ushr_imm_u(offset, i64::from(declared.shift()));
            let width = i64::from(declared.bits.trailing_zeros());
            let bit = if width == 0 { entry } else { self.ins().ishl_imm_u(entry, width) };
            bits = self.ins().ishl(bits, bit);
            let word = self.ins().ushr_imm_u(offset, i64::from(declared.shift()) + 5 - width);
            let byte = self.ins().ishl_imm_u(word, 2);
            let address = self.address(Base::Side(table), byte);
            let before = self.ins().load(types::I32, flags, address, 0);
            let after = self.ins().bor(before, bits);
            self.ins().store(flags, after, address, 0);
            return;
        }
        let (declared, address) = self.side_entry(table, offset);
        let bits = self.materialise(bits);
        match declared.bits {
            32 => {
                let before = self.ins().load(types::I32, flags, address, 0);
                let after = self.ins().bor(before, bits);
                self.ins().store(flags, after, address, 0);
            }
            16 => {
                let before = self.ins().uload16(types::I32, flags, address, 0);
                let after = self.ins().bor(before, bits);
                self.ins().istore16(flags, after, address, 0);
            }
            _ => {
                let before = self.ins().uload8(types::I32, flags, address, 0);
                let after = self.ins().bor(before, bits);
                self.ins().istore8(flags, after, address, 0);
            }
        }
    }

    /// Adds one to a counter of the program.
    fn count(&mut self, run: &Run, counter: usize) {
        if let Some(counts) = run.counts {
            let at = counts + counter as i32;
            let so_far = self.load_store_word(types::I64, at);
            let more = self.ins().iadd_imm_u(so_far, 1);
            self.set_store_word(more, at);
        }
    }

    /// Pushes a word; the buffer is emptied first when it is full.
    fn append_to_buffer(&mut self, buffer: u8, value: Value) {
        assert!(usize::from(buffer) < NUM_BUFFERS, "buffer {buffer} of {NUM_BUFFERS}");
        let next_at = mutator_offset!(buffers) + BUFFER_SIZE * i32::from(buffer);
        let end_at = next_at + POINTER_SIZE;
        let next = self.load_store_word(types::I64, next_at);
        let end = self.load_store_word(types::I64, end_at);
        let is_full = self.ins().icmp(IntCC::Equal, next, end);
        let full = self.block();
        let (push, place) = self.block_with(types::I64);
        self.ins().brif(is_full, full, &[], push, &[BlockArg::Value(next)]);
        self.cold(full, |e| {
            let index = e.word(u32::from(buffer));
            e.call(Builtin::BufferFull, &[index]);
            let next = e.load_store_word(types::I64, next_at);
            e.jump(push, &[next]);
        });
        self.start(push);
        self.ins().store(Self::engine_flags(), value, place, 0);
        let after = self.ins().iadd_imm_u(place, 4);
        self.set_store_word(after, next_at);
    }
}

/// Whether a program reads an input on a path that is not out of line.
pub(super) fn usually_reads(body: &[Stmt], input: Input) -> bool {
    body.iter().any(|stmt| match *stmt {
        Stmt::Let(_, expr) => expr == Expr::Input(input),
        Stmt::If(_, likely, then, other) => {
            (likely != Likely::No && usually_reads(then, input))
                || (likely != Likely::Yes && usually_reads(other, input))
        }
        Stmt::SetHeader(..)
        | Stmt::SetSide(..)
        | Stmt::OrSide(..)
        | Stmt::Append(..)
        | Stmt::Call(..)
        | Stmt::Forward(_)
        | Stmt::Return => false,
    })
}

fn bit(var: Var) -> VarSet {
    1 << var.0
}

/// The variables that are read by `body`, or after it; a `forwarding` program is left with the reference that the load gives.
fn reads(body: &[Stmt], live: VarSet, forwarding: bool) -> VarSet {
    body.iter().rev().fold(live, |live, stmt| match *stmt {
        Stmt::Let(var, expr) => live & !bit(var) | expression_reads(expr),
        Stmt::SetHeader(object, _, value) => live | bit(object) | bit(value),
        Stmt::SetSide(_, offset, value) | Stmt::OrSide(_, offset, value) => live | bit(offset) | bit(value),
        Stmt::If(condition, _, then, other) => {
            bit(condition) | reads(then, live, forwarding) | reads(other, live, forwarding)
        }
        Stmt::Append(_, value) => live | bit(value),
        Stmt::Call(_, args) => args.iter().fold(live, |live, &arg| live | bit(arg)),
        Stmt::Forward(value) => live & !bit(LOADED) | bit(value),
        Stmt::Return if forwarding => bit(LOADED),
        Stmt::Return => 0,
    })
}

fn expression_reads(expr: Expr) -> VarSet {
    expr.operands().fold(0, |set, var| set | bit(var))
}

/// The variables that `body` assigns.
fn writes(body: &[Stmt]) -> VarSet {
    body.iter().fold(0, |set, stmt| match *stmt {
        Stmt::Let(var, _) => set | bit(var),
        Stmt::If(_, _, then, other) => set | writes(then) | writes(other),
        Stmt::Forward(_) => set | bit(LOADED),
        Stmt::SetHeader(..)
        | Stmt::SetSide(..)
        | Stmt::OrSide(..)
        | Stmt::Append(..)
        | Stmt::Call(..)
        | Stmt::Return => set,
    })
}
