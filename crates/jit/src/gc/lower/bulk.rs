//! Bulk operations on arrays.
//!
//! Lengths come from an untrusted heap. A short range is safe wherever it begins ([`super::bytes`]), and so is a loop
//! that forms each element's address anew, in 32 bits. Before anything else writes a range, its extent is compared with
//! the heap's end.
//!
//! `array.copy` moves up to [`SHORT`] bytes by itself. Longer ranges go to a leaf of the vm that moves bytes; and those
//! that are so long that they must be interruptible, or not inside the heap at all, to the builtin that does
//! everything.

use super::access::Place;
use super::barrier::Inputs;
use super::bytes::{Length, SHORT, Start};
use super::emit::{Emitter, mutator_offset};
use crate::abi::{Builtin, StoreContext, Trap};
use crate::compile::Target;
use crate::gc::elide::Reduced;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use heapwright_gc_heap::barrier::Program;
use heapwright_gc_heap::{ArrayLayout, BulkBarrier, GUARD_BYTES, NULL_PAGE_BYTES};

/// Elements that one uninterrupted move may have: as the vm's own operations look for an interruption.
const UNINTERRUPTED: i64 = 1 << 16;

/// What a bulk write of an array's elements needs before it.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Program(&'static Program),
    /// Something for each element.
    Each,
}

impl Emitter<'_> {
    /// Emits a loop over `count` elements from index `start` (0 if there is none) on. The body's code must not collect.
    /// With `interruptible`, and when epochs are on, the loop looks whether to stop: nothing may then rely on it having
    /// come to its end.
    pub(super) fn for_each_element(
        &mut self,
        array: Value,
        layout: &ArrayLayout,
        start: Option<Value>,
        count: Value,
        interruptible: bool,
        body: impl FnOnce(&mut Self, Place),
    ) {
        let shift = i64::from(layout.element_shift);
        let first = match start {
            Some(start) => {
                let scaled = self.ins().ishl_imm_u(start, shift);
                self.ins().iadd(array, scaled)
            }
            None => array,
        };
        let extent = self.ins().ishl_imm_u(count, shift);
        // All in 32 bits: the slot steps by element sizes from `first` and so meets `last`, wrapped or not.
        let last = self.ins().iadd(first, extent);
        let (step, slot) = self.block_with(types::I32);
        let done = self.block();
        let none = self.ins().icmp(IntCC::Equal, first, last);
        self.ins().brif(none, done, &[], step, &[first.into()]);
        self.start(step);
        let place = self.place_in(array, slot, layout.elements_offset);
        body(self, place);
        if interruptible {
            self.check_epoch();
        }
        let next = self.ins().iadd_imm_u(slot, 1 << shift);
        let finished = self.ins().icmp(IntCC::Equal, next, last);
        self.ins().brif(finished, done, &[], step, &[next.into()]);
        self.start(done);
    }

    /// With epochs, stops in the middle of an operation when that is wanted.
    fn check_epoch(&mut self) {
        if !self.env.settings.epochs {
            return;
        }
        let deadline = self.load_store_word(types::I64, core::mem::offset_of!(StoreContext, epoch_deadline) as i32);
        let reached = self.ins().icmp_imm_u(IntCC::Equal, deadline, 0);
        let (cold, next) = (self.block(), self.block());
        self.branch(reached, cold, next);
        self.cold(cold, |e| {
            e.call(Builtin::RangeInterrupted, &[]);
            e.jump(next, &[]);
        });
        self.start(next);
    }

    /// What a bulk write into an array of this type runs first.
    fn before(&self, layout: &ArrayLayout, reduced: Option<Reduced>) -> Before {
        let barriers = &self.env.spec.barriers;
        let each = |program: Option<_>| program.map_or(Before::Nothing, |_| Before::Each);
        match (layout.traced, reduced, barriers.bulk) {
            (false, ..) | (_, Some(Reduced::Nothing), _) => Before::Nothing,
            (_, Some(Reduced::Init), _) => each(barriers.init),
            (_, None, BulkBarrier::None) => Before::Nothing,
            (_, None, BulkBarrier::Object(program)) => Before::Program(program),
            (_, None, BulkBarrier::Elements) => each(barriers.store),
        }
    }

    /// Traps unless `count` elements from `start` on exist.
    fn check_elements(&mut self, start: Value, count: Value, length: Value) {
        let [start, count, length] = [start, count, length].map(|v| self.ins().uextend(types::I64, v));
        let end = self.ins().iadd(start, count);
        let outside = self.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        self.trap_if(outside, Trap::ArrayOutOfBounds);
    }

    /// The place of the elements from index `start` on. All but the elements' offset is added in 32 bits, so that a
    /// short range ends in the guard at the latest.
    fn range(&mut self, array: Value, layout: &ArrayLayout, start: Value) -> Place {
        let scaled = self.ins().ishl_imm_u(start, i64::from(layout.element_shift));
        let slot = self.ins().iadd(array, scaled);
        self.place_in(array, slot, layout.elements_offset)
    }

    /// The bytes of `count` elements.
    fn bytes(&mut self, layout: &ArrayLayout, count: Value) -> Length {
        if let Some(count) = self.constant(count) {
            return Length::Constant((count & 0xffff_ffff) << layout.element_shift);
        }
        let wide = self.ins().uextend(types::I64, count);
        Length::Value(self.ins().ishl_imm_u(wide, i64::from(layout.element_shift)))
    }

    /// Whether a range, if it is not empty, reaches beyond what is committed.
    fn beyond(&mut self, place: Place, bytes: Value) -> Value {
        let usable = self.load_store_word(types::I64, mutator_offset!(usable));
        let first = self.add_word(place.slot, place.slot_offset.wrapping_sub(NULL_PAGE_BYTES));
        let first = self.ins().uextend(types::I64, first);
        let end = self.ins().iadd(first, bytes);
        self.ins().icmp(IntCC::UnsignedGreaterThan, end, usable)
    }

    /// Emits `body` for a range that is not empty.
    fn unless_empty(&mut self, count: Value, body: impl FnOnce(&mut Self)) {
        match self.constant(count) {
            Some(0) => {}
            Some(_) => body(self),
            None => {
                let (some, done) = (self.block(), self.block());
                self.branch(count, some, done);
                self.start(some);
                body(self);
                self.jump(done, &[]);
                self.start(done);
            }
        }
    }

    fn run_before(&mut self, before: Before, place: Place, count: Value) {
        if let Before::Program(program) = before {
            self.unless_empty(count, |e| {
                e.run(program, Inputs { place: Some(place), old: None, new: None });
            });
        }
    }

    /// `array.fill`: `(array, offset, value, length)`.
    pub(super) fn array_fill(&mut self, ty: u32, null: Option<Trap>, reduced: Option<Reduced>, args: &[Value]) {
        let &[array, offset, value, count] = args else { unreachable!("array.fill has four operands") };
        let layout = self.env.module.array_layout(ty);
        let before = self.before(&layout, reduced);
        let calls = match before {
            Before::Each => reduced.is_none(),
            Before::Program(_) => !self.env.settings.inlines_bulk(),
            Before::Nothing => false,
        };
        if calls {
            self.call(Builtin::ArrayFillRef, args);
            return;
        }
        let length = self.length(layout.length_offset, null, array);
        self.check_elements(offset, count, length);
        if matches!(before, Before::Each) || !self.env.settings.inlines_bulk() {
            self.for_each_element(array, &layout, Some(offset), count, true, |e, place| {
                if layout.traced && reduced.is_some() {
                    e.store_reference(place, value, None, reduced);
                } else {
                    e.store(layout.storage, value, None, place.address, place.offset);
                }
            });
            return;
        }
        let place = self.range(array, &layout, offset);
        let bytes = self.bytes(&layout, count);
        let harmless = match bytes {
            // It begins where 32 bits can point, and ends in the guard at the latest.
            Length::Constant(n) => n <= GUARD_BYTES / 2 && self.env.settings.target == Target::Native,
            Length::Value(_) => false,
        };
        if !harmless {
            let wide = self.bytes_value(bytes);
            let beyond = self.beyond(place, wide);
            self.trap_if(beyond, Trap::HeapCorrupted);
        }
        self.run_before(before, place, count);
        let pattern = self.pattern(layout.storage, value);
        self.fill(Start::of(place), bytes, 1 << layout.element_shift, pattern, Emitter::check_epoch);
    }

    fn bytes_value(&mut self, bytes: Length) -> Value {
        match bytes {
            Length::Constant(n) => self.ins().iconst(types::I64, n as i64),
            Length::Value(value) => value,
        }
    }

    /// Fills all of an array that was just allocated. References are written without their program.
    pub(super) fn fill_fresh(&mut self, array: Value, layout: &ArrayLayout, value: Value, count: Value) {
        let place = self.place(array, layout.elements_offset);
        let bytes = self.bytes(layout, count);
        let pattern = self.pattern(layout.storage, value);
        let interruptible = !layout.traced;
        self.fill(Start::of(place), bytes, 1 << layout.element_shift, pattern, |e| {
            if interruptible {
                e.check_epoch();
            }
        });
    }

    /// `array.copy`: `(destination, offset, source, offset, length)`.
    pub(super) fn array_copy(&mut self, types: [u32; 2], nulls: [Option<Trap>; 2], args: &[Value]) {
        let &[target, to, source, from, count] = args else { unreachable!("array.copy has five operands") };
        let [layout, from_layout] = types.map(|ty| self.env.module.array_layout(ty));
        let before = self.before(&layout, None);
        let settings = self.env.settings;
        if !settings.inlines_bulk() || settings.target != Target::Native || matches!(before, Before::Each) {
            self.call(Builtin::ArrayCopy, args);
            return;
        }
        let length = self.length(layout.length_offset, nulls[0], target);
        let from_length = self.length(from_layout.length_offset, nulls[1], source);
        self.check_elements(to, count, length);
        self.check_elements(from, count, from_length);
        let to = self.range(target, &layout, to);
        let from = self.range(source, &from_layout, from);
        let bytes = self.bytes(&layout, count);
        let unit = 1 << layout.element_shift;

        let short = |e: &mut Self| {
            e.run_before(before, to, count);
            e.move_short(Start::of(to), Start::of(from), bytes, unit);
        };
        let wide = match bytes {
            Length::Constant(n) if n <= u64::from(SHORT) => return short(self),
            Length::Constant(n) => self.ins().iconst(types::I64, n as i64),
            Length::Value(wide) => {
                let (few, many, done) = (self.block(), self.block(), self.block());
                let long = self.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, wide, i64::from(SHORT));
                self.branch(long, many, few);
                self.start(few);
                short(self);
                self.jump(done, &[]);
                self.cold(many, |e| {
                    e.move_long(before, (to, from), (count, wide), args);
                    e.jump(done, &[]);
                });
                self.start(done);
                return;
            }
        };
        self.move_long(before, (to, from), (count, wide), args);
    }

    /// Moves many bytes: those of `count` elements. `args` are all that the operation has.
    fn move_long(
        &mut self,
        before: Before,
        (to, from): (Place, Place),
        (count, bytes): (Value, Value),
        args: &[Value],
    ) {
        let (whole, plain, done) = (self.block(), self.block(), self.block());
        let long = self.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, count, UNINTERRUPTED);
        let outside = [to, from].map(|place| self.beyond(place, bytes));
        let any = self.ins().bor(outside[0], outside[1]);
        let any = self.ins().bor(any, long);
        self.branch(any, whole, plain);
        self.start(plain);
        self.run_before(before, to, count);
        let [to, from] = [to, from].map(|place| self.ins().iadd_imm_s(place.address, i64::from(place.offset)));
        self.call(Builtin::RawCopy, &[to, from, bytes]);
        self.jump(done, &[]);
        self.cold(whole, |e| {
            e.call(Builtin::ArrayCopy, args);
            e.jump(done, &[]);
        });
        self.start(done);
    }

    /// `array.init_data` and `array.init_elem`.
    pub(super) fn array_init_segment(&mut self, builtin: Builtin, ty: u32, segment: u32, args: &[Value]) {
        let (ty, segment) = (self.word(ty), self.word(segment));
        let all: smallvec::SmallVec<[Value; 8]> = [ty, segment].iter().chain(args).copied().collect();
        self.call(builtin, &all);
    }
}
