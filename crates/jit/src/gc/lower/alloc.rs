//! Allocation and initialisation.
//!
//! The common path is inline: the cursor is advanced in 32 bits and compared with the limit, which leaves room so that
//! the sum cannot wrap; an array's length is compared with a constant maximum before it is shifted. The slow path is
//! out of line, and its call is the only safepoint, so that whatever a collection costs in spills and reloads is paid
//! there.

use super::bytes::{Length, Pattern, Start};
use super::emit::{Base, Emitter, mutator_offset};
use crate::abi::{Builtin, StoreContext};
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use heapwright_gc_heap::cells::LINK_OFFSET;
use heapwright_gc_heap::{AllocSpec, ArrayLayout, NULL_PAGE_BYTES, StorageType, StructLayout, layout_exception};

use crate::gc::Extend;

/// Zeroing of at most this many bytes of known size is unrolled.
const UNROLLED_ZEROING: u32 = 128;
/// Non-zero initialisation of at most this many elements of known number is unrolled.
const UNROLLED_ELEMENTS: u64 = 8;
/// Zeroing of more bytes than this is worth a call.
const CALLED_ZEROING: i64 = 512;

/// What is allocated.
#[derive(Clone, Copy, Debug)]
enum Extent<'a> {
    Struct(&'a StructLayout),
    Array(&'a ArrayLayout, Value),
}

impl Extent<'_> {
    /// Of an array, where its length is written, and the length.
    fn length_word(&self) -> Option<(u32, Value)> {
        match *self {
            Extent::Struct(_) => None,
            Extent::Array(layout, length) => Some((layout.length_offset, length)),
        }
    }
}

impl Emitter<'_> {
    /// Allocates an object with its header written; its contents are undefined.
    fn allocate(&mut self, type_word: Value, extent: Extent<'_>) -> Value {
        let spec = self.env.spec;
        let inline_limit = match spec.alloc {
            AllocSpec::Bump => spec.inline_limit & !7,
            AllocSpec::FreeList { .. } | AllocSpec::Call => 0,
        };
        let (length, known_size) = match extent {
            Extent::Struct(layout) => (None, Some(u64::from(layout.size))),
            Extent::Array(layout, length) => (Some(length), self.constant(length).map(|n| layout.size(n as u32))),
        };
        if let Some(class) = known_size.and_then(|size| spec.alloc.class(size)) {
            return self.allocate_cell(class, type_word, extent);
        }
        let smallest = match extent {
            Extent::Struct(layout) => u64::from(layout.size),
            Extent::Array(layout, _) => known_size.unwrap_or(layout.size(0)),
        };
        if smallest > u64::from(inline_limit) {
            return self.allocate_slow(type_word, length);
        }

        let (slow, fast) = (self.block(), self.block());
        let (done, object) = self.block_with(types::I32);
        self.gc.refs.insert(object);
        let size = match (known_size, extent) {
            (Some(size), _) => self.word(size as u32),
            (None, Extent::Struct(_)) => unreachable!("a struct's size is known"),
            (None, Extent::Array(layout, length)) => {
                let most = (inline_limit - layout.elements_offset) >> layout.element_shift;
                let short = self.block();
                let long = self.compare(IntCC::UnsignedGreaterThan, length, most);
                self.branch(long, slow, short);
                self.start(short);
                self.array_size(layout, length)
            }
        };
        let cursor = self.load_store_word(types::I32, mutator_offset!(cursor));
        let end = self.ins().iadd(cursor, size);
        let limit = self.load_store_word(types::I32, mutator_offset!(limit));
        let full = self.ins().icmp(IntCC::UnsignedGreaterThan, end, limit);
        self.branch(full, slow, fast);

        self.start(fast);
        self.set_store_word(end, mutator_offset!(cursor));
        let address = self.address(Base::Heap, cursor);
        self.write_header(address, type_word, extent.length_word());
        self.jump(done, &[cursor]);

        self.cold(slow, |e| {
            let object = e.allocate_slow(type_word, length);
            e.jump(done, &[object]);
        });
        self.start(done);
        object
    }

    /// Takes the first free cell of a class. The compare proves that it lies in committed memory, whatever the link
    /// says that led to it.
    fn allocate_cell(&mut self, class: usize, type_word: Value, extent: Extent<'_>) -> Value {
        let (slow, fast) = (self.block(), self.block());
        let (done, object) = self.block_with(types::I32);
        self.gc.refs.insert(object);
        let head = mutator_offset!(free) + 4 * class as i32;
        let cell = self.load_store_word(types::I32, head);
        let granule = self.ins().rotr_imm_u(cell, 3);
        let granule = self.ins().iadd_imm_s(granule, -i64::from(NULL_PAGE_BYTES / 8));
        let limit = self.load_store_word(types::I32, mutator_offset!(limit));
        let good = self.ins().icmp(IntCC::UnsignedLessThan, granule, limit);
        self.branch(good, fast, slow);

        self.start(fast);
        let address = self.address(Base::Heap, cell);
        let next = self.ins().load(types::I32, Self::heap_flags(None), address, LINK_OFFSET as i32);
        self.set_store_word(next, head);
        self.write_header(address, type_word, extent.length_word());
        self.jump(done, &[cell]);

        self.cold(slow, |e| {
            let object = e.allocate_slow(type_word, extent.length_word().map(|(_, length)| length));
            e.jump(done, &[object]);
        });
        self.start(done);
        object
    }

    /// Writes a new object's header, and its length at an offset if it is an array.
    pub(super) fn write_header(&mut self, address: Value, type_word: Value, length: Option<(u32, Value)>) {
        let flags = Self::heap_flags(None);
        self.ins().store(flags, type_word, address, 0);
        for (i, word) in self.env.spec.header.iter().enumerate() {
            let initial = self.word(word.initial);
            self.ins().store(flags, initial, address, 4 + 4 * i as i32);
        }
        if let Some((offset, length)) = length {
            self.ins().store(flags, length, address, offset as i32);
        }
    }

    pub(super) fn allocate_slow(&mut self, type_word: Value, length: Option<Value>) -> Value {
        let length = length.unwrap_or_else(|| self.word(0));
        self.call(Builtin::AllocObject, &[type_word, length]);
        let object = self.load_store_word(types::I32, offset_of!(StoreContext, slow_result) as i32);
        self.gc.refs.insert(object);
        object
    }

    /// Size in bytes of an array whose length is known not to be too large for 32 bits.
    fn array_size(&mut self, layout: &ArrayLayout, length: Value) -> Value {
        let scaled = self.ins().ishl_imm_u(length, i64::from(layout.element_shift));
        if layout.element_shift >= 3 && layout.elements_offset.is_multiple_of(8) {
            return self.add_word(scaled, layout.elements_offset);
        }
        let padded = self.add_word(scaled, layout.elements_offset + 7);
        self.ins().band_imm_u(padded, i64::from(!7u32))
    }

    // Structs.

    /// `struct.new` with the fields' values, `struct.new_default` without.
    pub(super) fn struct_new(&mut self, ty: u32, fields: Option<&[Value]>) -> Value {
        let layout = self.env.module.struct_layout(ty);
        let type_word = self.type_word(ty);
        let object = self.allocate(type_word, Extent::Struct(layout));
        self.init_struct(ty, object, fields);
        object
    }

    /// Writes the fields of a new struct.
    pub(super) fn init_struct(&mut self, ty: u32, object: Value, fields: Option<&[Value]>) {
        let layout = self.env.module.struct_layout(ty);
        match fields {
            Some(values) => {
                for (field, &value) in layout.fields.iter().zip(values) {
                    let place = self.place(object, field.offset);
                    self.init(place, field.storage, field.traced, value);
                }
            }
            None => self.zero_bytes(object, self.env.spec.header_layout().bytes(), layout.size),
        }
    }

    /// A new exception of a tag.
    pub(super) fn exception_new(&mut self, tag: u32, params: &[Value]) -> Value {
        let layout = self.exception_layout(tag);
        let type_word = self.context_word(self.env.layout.exception_type(tag));
        let object = self.allocate(type_word, Extent::Struct(&layout));
        let id = self.context_word(self.env.layout.tag_id(tag));
        for (field, &value) in layout.fields.iter().zip([id].iter().chain(params)) {
            let place = self.place(object, field.offset);
            self.init(place, field.storage, field.traced, value);
        }
        object
    }

    /// Parameter `index` of an exception of a tag.
    pub(super) fn exception_get(&mut self, tag: u32, index: u32, exception: Value) -> Value {
        let layout = self.exception_layout(tag);
        self.field_get(&layout, index + 1, Extend::None, None, exception)
    }

    fn exception_layout(&self, tag: u32) -> StructLayout {
        let module = self.env.module;
        let params = &module.func_type_at(module.tags[tag as usize]).params;
        let stored: Vec<_> = params.iter().map(|ty| (StorageType::Val(*ty), module.is_traced(ty))).collect();
        layout_exception(self.env.spec.header_layout(), &stored)
    }

    // Arrays.

    /// `array.new` with a value, `array.new_default` without.
    pub(super) fn array_new(&mut self, ty: u32, value: Option<Value>, length: Value) -> Value {
        let layout = self.env.module.array_layout(ty);
        let type_word = self.type_word(ty);
        let array = self.allocate(type_word, Extent::Array(&layout, length));
        // All zero bytes are what a default array holds; a null needs no barrier there.
        let Some(value) = value.filter(|&v| !self.is_zero(v)) else {
            self.zero_elements(array, &layout, length);
            return array;
        };
        match self.constant(length) {
            Some(count) if count <= UNROLLED_ELEMENTS => {
                for i in 0..count as u32 {
                    let place = self.place(array, layout.elements_offset + (i << layout.element_shift));
                    self.init(place, layout.storage, layout.traced, value);
                }
            }
            // Half an array of references must not be left behind: a collector that counts may look into garbage.
            _ if layout.traced && self.env.spec.barriers.init.is_some() || !self.env.settings.inlines_bulk() => {
                self.for_each_element(array, &layout, None, length, !layout.traced, |e, place| {
                    e.init(place, layout.storage, layout.traced, value);
                });
            }
            _ => self.fill_fresh(array, &layout, value, length),
        }
        array
    }

    /// `array.new_fixed`.
    pub(super) fn array_new_fixed(&mut self, ty: u32, values: &[Value]) -> Value {
        let layout = self.env.module.array_layout(ty);
        let type_word = self.type_word(ty);
        let length = self.word(values.len() as u32);
        let array = self.allocate(type_word, Extent::Array(&layout, length));
        self.init_fixed(ty, array, values);
        array
    }

    /// Writes the elements of a new array.
    pub(super) fn init_fixed(&mut self, ty: u32, array: Value, values: &[Value]) {
        let layout = self.env.module.array_layout(ty);
        for (i, &value) in values.iter().enumerate() {
            let place = self.place(array, layout.elements_offset + ((i as u32) << layout.element_shift));
            self.init(place, layout.storage, layout.traced, value);
        }
    }

    /// `array.new_data` and `array.new_elem`.
    pub(super) fn array_new_segment(
        &mut self,
        builtin: Builtin,
        ty: u32,
        segment: u32,
        args: &[Value],
    ) -> Option<Value> {
        let (ty, segment) = (self.word(ty), self.word(segment));
        let array = self.call(builtin, &[ty, segment, args[0], args[1]])?;
        self.gc.refs.insert(array);
        Some(array)
    }

    // Zeroing of fresh objects. Objects are padded to 8 bytes, so whole double words can be written up to the end.

    /// Zeroes `[start, end)` of an object; both are multiples of 4, `end` of 8.
    fn zero_bytes(&mut self, object: Value, start: u32, end: u32) {
        if end - start > UNROLLED_ZEROING {
            let address = self.address(Base::Heap, object);
            let address = self.ins().iadd_imm_u(address, i64::from(start));
            let size = self.ins().iconst(types::I64, i64::from(end - start));
            self.fill_bytes(address, size);
            return;
        }
        let mut at = start;
        while at < end {
            let ty = if at.is_multiple_of(8) { types::I64 } else { types::I32 };
            let zero = self.ins().iconst(ty, 0);
            let place = self.place(object, at);
            self.ins().store(Self::heap_flags(None), zero, place.address, place.offset);
            at += ty.bytes();
        }
    }

    pub(super) fn zero_elements(&mut self, array: Value, layout: &ArrayLayout, length: Value) {
        if let Some(count) = self.constant(length) {
            let end = layout.size(count as u32);
            if end - u64::from(layout.elements_offset) <= u64::from(UNROLLED_ZEROING) {
                self.zero_bytes(array, layout.elements_offset, end as u32);
                return;
            }
        }
        let address = self.address(Base::Heap, array);
        let start = layout.elements_offset.next_multiple_of(8);
        if start > layout.elements_offset {
            // Even an empty array has this word, as padding.
            let zero = self.word(0);
            self.ins().store(Self::heap_flags(None), zero, address, layout.elements_offset as i32);
        }
        let count = self.ins().uextend(types::I64, length);
        let bytes = self.ins().ishl_imm_u(count, i64::from(layout.element_shift));
        let bytes = self.ins().iadd_imm_u(bytes, i64::from(7 - (start - layout.elements_offset)));
        let bytes = self.ins().band_imm_s(bytes, -8);
        let first = self.ins().iadd_imm_u(address, i64::from(start));

        let (many, few, done) = (self.block(), self.block(), self.block());
        let long = self.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, bytes, CALLED_ZEROING);
        self.branch(long, many, few);
        self.cold(many, |e| {
            e.fill_bytes(first, bytes);
            e.jump(done, &[]);
        });
        self.start(few);
        let zero = self.ins().iconst(types::I64, 0);
        self.fill(Start { address: first, offset: 0 }, Length::Value(bytes), 8, Pattern::Word(zero), |_| ());
        self.jump(done, &[]);
        self.start(done);
    }

    /// Zeroes host memory that was just allocated.
    fn fill_bytes(&mut self, address: Value, size: Value) {
        let zero = self.word(0);
        self.call(Builtin::RawFill, &[address, zero, size]);
    }
}
