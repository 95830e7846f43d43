//! Moving and filling ranges of bytes.
//!
//! A short range is written from both ends: with `n` between 8 and 16, say, the first eight bytes and the last eight,
//! which overlap as they need to. So a range of any length up to [`SHORT`] costs a few compares and no loop. A move
//! reads everything before it writes anything, so its ranges may overlap too.
//!
//! Nothing here checks an extent. A short range may begin wherever 32 bits can point, since what it reaches beyond lies
//! in the guard; a longer one must be known to be inside the heap.

use super::access::Place;
use super::emit::Emitter;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, MemFlagsData, Type, Value, types};
use heapwright_gc_heap::StorageType;

/// Ranges of at most this many bytes are moved without a call.
pub(super) const SHORT: u32 = 128;

/// Ranges of a known number of bytes up to this are filled without a loop.
const UNROLLED: u32 = 64;

/// Bytes of a vector.
const VECTOR: u32 = 16;

/// How a move of up to [`SHORT`] bytes is made: the least length, and what is moved at each end.
const MOVES: [(Type, u32); 7] = [
    (types::I8X16, 4),
    (types::I8X16, 2),
    (types::I8X16, 1),
    (types::I64, 1),
    (types::I32, 1),
    (types::I16, 1),
    (types::I8, 1),
];

/// How many bytes there are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Length {
    Constant(u64),
    /// A 64-bit number.
    Value(Value),
}

/// The start of a range: a host address and a constant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) address: Value,
    pub(super) offset: i32,
}

/// What a range is filled with: eight bytes of it in a register, or, for larger elements, a vector only.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern {
    Word(Value),
    Vector(Value),
}

impl Start {
    /// Where a place is.
    pub(super) fn of(place: Place) -> Start {
        Start { address: place.address, offset: place.offset }
    }
}

impl Emitter<'_> {
    fn range_flags() -> MemFlagsData {
        Self::heap_flags(None)
    }

    /// The end of a range, in the same form as its start.
    fn end(&mut self, start: Start, bytes: Length) -> Start {
        match bytes {
            Length::Constant(n) => Start { address: start.address, offset: start.offset + n as i32 },
            Length::Value(n) => Start { address: self.ins().iadd(start.address, n), offset: start.offset },
        }
    }

    /// Branches to a new block where the range has at least `least` bytes, and goes on in another, which is given.
    fn at_least(&mut self, bytes: Value, least: u32) -> (Block, Block) {
        let (yes, no) = (self.block(), self.block());
        let long = match least {
            1 => self.ins().icmp_imm_u(IntCC::NotEqual, bytes, 0),
            _ => self.ins().icmp_imm_u(IntCC::UnsignedGreaterThanOrEqual, bytes, i64::from(least)),
        };
        self.branch(long, yes, no);
        (yes, no)
    }

    /// Moves at most [`SHORT`] bytes, a multiple of `unit`.
    pub(super) fn move_short(&mut self, to: Start, from: Start, bytes: Length, unit: u32) {
        let least = |(ty, pieces): (Type, u32)| ty.bytes() * pieces;
        let value = match bytes {
            Length::Constant(0) => return,
            Length::Constant(n) => {
                let class = MOVES.into_iter().find(|&class| u64::from(least(class)) <= n);
                let class = class.expect("a byte is the least");
                self.move_ends(class, to, from, bytes, n == u64::from(least(class)));
                return;
            }
            Length::Value(value) => value,
        };
        let done = self.block();
        for class in MOVES {
            // Of a multiple of the unit, what is less than a unit is nothing.
            if least(class) < unit {
                break;
            }
            let only = least(class) == unit;
            let (yes, no) = self.at_least(value, if only { 1 } else { least(class) });
            self.start(yes);
            // Between this class and the one before there is but one multiple.
            self.move_ends(class, to, from, bytes, only);
            self.jump(done, &[]);
            self.start(no);
        }
        self.jump(done, &[]);
        self.start(done);
    }

    /// Moves `pieces` values at each end of a range, or, when that is all there is, those at the start `only`.
    fn move_ends(&mut self, (ty, pieces): (Type, u32), to: Start, from: Start, bytes: Length, only: bool) {
        let flags = Self::range_flags();
        let size = ty.bytes() as i32;
        let mut moved: smallvec::SmallVec<[(Value, Start); 8]> = smallvec::SmallVec::new();
        let (from_end, to_end) = match only {
            true => (from, to),
            false => (self.end(from, bytes), self.end(to, bytes)),
        };
        for i in 0..pieces as i32 {
            let at = i * size;
            let value = self.ins().load(ty, flags, from.address, from.offset + at);
            moved.push((value, Start { offset: to.offset + at, ..to }));
        }
        for i in (0..pieces as i32).filter(|_| !only) {
            let at = -(i + 1) * size;
            let value = self.ins().load(ty, flags, from_end.address, from_end.offset + at);
            moved.push((value, Start { offset: to_end.offset + at, ..to_end }));
        }
        for (value, place) in moved {
            self.ins().store(flags, value, place.address, place.offset);
        }
    }

    /// What elements are filled with.
    pub(super) fn pattern(&mut self, storage: StorageType, value: Value) -> Pattern {
        let repeated = |e: &mut Self, mask: i64, times: i64| {
            let low = e.ins().band_imm_u(value, mask);
            let wide = e.ins().uextend(types::I64, low);
            e.ins().imul_imm_u(wide, times)
        };
        match storage {
            StorageType::I8 => Pattern::Word(repeated(self, 0xff, 0x0101_0101_0101_0101)),
            StorageType::I16 => Pattern::Word(repeated(self, 0xffff, 0x0001_0001_0001_0001)),
            StorageType::Val(_) => {
                let ty = self.type_of(value);
                let bits = match ty {
                    types::F32 => self.ins().bitcast(types::I32, MemFlagsData::new(), value),
                    types::F64 => self.ins().bitcast(types::I64, MemFlagsData::new(), value),
                    _ => value,
                };
                match ty.bytes() {
                    4 => {
                        let low = self.ins().uextend(types::I64, bits);
                        let high = self.ins().ishl_imm_u(low, 32);
                        Pattern::Word(self.ins().bor(low, high))
                    }
                    8 => Pattern::Word(bits),
                    _ => Pattern::Vector(bits),
                }
            }
        }
    }

    fn vector(&mut self, pattern: Pattern) -> Value {
        match pattern {
            Pattern::Word(word) => self.ins().splat(types::I64X2, word),
            Pattern::Vector(vector) => vector,
        }
    }

    /// Fills a range, a multiple of `unit` bytes. `step` is emitted after each vector of a longer range.
    pub(super) fn fill(
        &mut self,
        start: Start,
        bytes: Length,
        unit: u32,
        pattern: Pattern,
        step: impl FnOnce(&mut Self),
    ) {
        match bytes {
            Length::Constant(n) if n <= u64::from(UNROLLED) => {
                if n >= u64::from(VECTOR) {
                    self.fill_vectors(start, n as i32, pattern);
                } else if let Pattern::Word(word) = pattern {
                    self.fill_words(start, n as i32, word);
                }
            }
            Length::Constant(n) => {
                let bytes = self.ins().iconst(types::I64, n as i64);
                self.fill_loop(start, bytes, pattern, step);
            }
            Length::Value(value) => {
                let done = self.block();
                let least = VECTOR.max(unit);
                let (long, short) = self.at_least(value, if unit == VECTOR { 1 } else { least });
                self.start(short);
                if let Pattern::Word(word) = pattern {
                    self.fill_short(start, value, unit, word);
                }
                self.jump(done, &[]);
                self.start(long);
                self.fill_loop(start, value, pattern, step);
                self.jump(done, &[]);
                self.start(done);
            }
        }
    }

    /// Fills `n` bytes, at least a vector.
    fn fill_vectors(&mut self, start: Start, n: i32, pattern: Pattern) {
        let vector = self.vector(pattern);
        let last = n - VECTOR as i32;
        let whole = (0..last).step_by(VECTOR as usize);
        for at in whole.chain([last]) {
            self.ins().store(Self::range_flags(), vector, start.address, start.offset + at);
        }
    }

    /// Fills `n` bytes, less than a vector.
    fn fill_words(&mut self, start: Start, n: i32, word: Value) {
        let mut at = 0;
        for ty in [types::I64, types::I32, types::I16, types::I8] {
            if n - at >= ty.bytes() as i32 {
                let value = if ty == types::I64 { word } else { self.ins().ireduce(ty, word) };
                self.ins().store(Self::range_flags(), value, start.address, start.offset + at);
                at += ty.bytes() as i32;
            }
        }
    }

    /// Fills less than a vector.
    fn fill_short(&mut self, start: Start, bytes: Value, unit: u32, word: Value) {
        let done = self.block();
        for ty in [types::I64, types::I32, types::I16, types::I8] {
            if ty.bytes() < unit {
                break;
            }
            let only = ty.bytes() == unit;
            let (yes, no) = self.at_least(bytes, if only { 1 } else { ty.bytes() });
            self.start(yes);
            let value = if ty == types::I64 { word } else { self.ins().ireduce(ty, word) };
            self.ins().store(Self::range_flags(), value, start.address, start.offset);
            if !only {
                let end = self.end(start, Length::Value(bytes));
                self.ins().store(Self::range_flags(), value, end.address, end.offset - ty.bytes() as i32);
            }
            self.jump(done, &[]);
            self.start(no);
        }
        self.jump(done, &[]);
        self.start(done);
    }

    /// Fills at least a vector: one each round while another fits behind it, and then the last, which may overlap.
    fn fill_loop(&mut self, start: Start, bytes: Value, pattern: Pattern, step: impl FnOnce(&mut Self)) {
        let vector = self.vector(pattern);
        let first = self.ins().iadd_imm_s(start.address, i64::from(start.offset));
        let end = self.ins().iadd(first, bytes);
        let last = self.ins().iadd_imm_s(end, -i64::from(VECTOR));
        let (round, at) = self.block_with(types::I64);
        let tail = self.block();
        self.jump(round, &[first]);
        self.start(round);
        self.ins().store(Self::range_flags(), vector, at, 0);
        step(self);
        let next = self.ins().iadd_imm_s(at, i64::from(VECTOR));
        let more = self.ins().icmp(IntCC::UnsignedLessThan, next, last);
        self.ins().brif(more, round, &[next.into()], tail, &[]);
        self.start(tail);
        self.ins().store(Self::range_flags(), vector, last, 0);
    }
}
