//! Bulk operations on arrays.
//!
//! Wrapping arithmetic bounds an address, not an extent. A loop that forms each element's address anew is safe whatever length
//! a corrupted heap gives; anything that writes a range at once is left to a builtin, which checks the extent against the
//! heap's end.

use super::access::Place;
use super::emit::Emitter;
use crate::abi::{Builtin, StoreContext, Trap};
use crate::gc::elide::Reduced;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use heapwright_gc_heap::{ArrayLayout, BulkBarrier};

impl Emitter<'_> {
    /// Emits a loop over `count` elements from index `start` (0 if there is none) on. The body's code must not collect. With
    /// `interruptible`, and when epochs are on, the loop looks whether to stop: nothing may then rely on it having come to its end.
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
        let (head, slot) = self.block_with(types::I32);
        let (step, done) = (self.block(), self.block());
        self.jump(head, &[first]);
        self.start(head);
        let finished = self.ins().icmp(IntCC::Equal, slot, last);
        self.branch(finished, done, step);
        self.start(step);
        let place = self.place_in(array, slot, layout.elements_offset);
        body(self, place);
        if interruptible && self.env.settings.epochs {
            self.check_epoch();
        }
        let next = self.ins().iadd_imm_u(slot, 1 << shift);
        self.jump(head, &[next]);
        self.start(done);
    }

    /// Stops in the middle of an operation, when that is wanted.
    fn check_epoch(&mut self) {
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

    /// `array.fill`: `(array, offset, value, length)`.
    pub(super) fn array_fill(&mut self, ty: u32, null: Option<Trap>, reduced: Option<Reduced>, args: &[Value]) {
        let &[array, offset, value, count] = args else { unreachable!("array.fill has four operands") };
        let layout = self.env.module.array_layout(ty);
        let barriers = &self.env.spec.barriers;
        if layout.traced
            && reduced.is_none()
            && (barriers.store.is_some() || !matches!(barriers.bulk, BulkBarrier::None))
        {
            self.call(Builtin::ArrayFillRef, args);
            return;
        }
        let length = self.length(layout.length_offset, null, array);
        let [offset64, count64, length64] = [offset, count, length].map(|v| self.ins().uextend(types::I64, v));
        let end = self.ins().iadd(offset64, count64);
        let outside = self.ins().icmp(IntCC::UnsignedGreaterThan, end, length64);
        self.trap_if(outside, Trap::ArrayOutOfBounds);
        self.for_each_element(array, &layout, Some(offset), count, true, |e, place| {
            if layout.traced && reduced.is_some() {
                e.store_reference(place, value, None, reduced);
            } else {
                e.store(layout.storage, value, None, place.address, place.offset);
            }
        });
    }

    /// `array.init_data` and `array.init_elem`.
    pub(super) fn array_init_segment(&mut self, builtin: Builtin, ty: u32, segment: u32, args: &[Value]) {
        let (ty, segment) = (self.word(ty), self.word(segment));
        let all: smallvec::SmallVec<[Value; 8]> = [ty, segment].iter().chain(args).copied().collect();
        self.call(builtin, &all);
    }
}
