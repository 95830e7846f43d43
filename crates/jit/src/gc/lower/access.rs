//! Reading and writing fields and elements.
//!
//! The address of an access is the heap base plus a *zero-extended 32-bit* offset; whatever a corrupted heap puts into
//! a reference or a length, it cannot leave the reservation and its guard. Only what the instruction's own constant
//! offset adds lies beyond, and that is bounded by the guard.

use super::barrier::{Inputs, usually_reads};
use super::emit::{Base, Emitter};
use crate::abi::{Kind, Trap};
use crate::gc::Extend;
use crate::gc::elide::Reduced;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use heapwright_gc_heap::barrier::Input;
use heapwright_gc_heap::{ArrayLayout, Bug, GUARD_BYTES, NULL_PAGE_BYTES, StorageType, StructLayout, planted};

/// A field's or an element's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The object.
    pub(super) object: Value,
    /// The heap offset of the place is `slot + slot_offset`, in 32 bits.
    pub(super) slot: Value,
    pub(super) slot_offset: u32,
    /// The host address is `address + offset`.
    pub(super) address: Value,
    pub(super) offset: i32,
}

/// What an element access has to check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Check {
    /// Nothing: the array is not null, the index below its length.
    None,
    /// The index, and null with this trap if there is one.
    Bounds { null: Option<Trap> },
}

impl Emitter<'_> {
    // Plain memory.

    /// Loads a stored value.
    pub(super) fn load(
        &mut self,
        storage: StorageType,
        extend: Extend,
        trap: Option<Trap>,
        address: Value,
        at: i32,
    ) -> Value {
        let flags = Self::heap_flags(trap);
        let signed = extend == Extend::Signed;
        match storage {
            StorageType::I8 if signed => self.ins().sload8(types::I32, flags, address, at),
            StorageType::I8 => self.ins().uload8(types::I32, flags, address, at),
            StorageType::I16 if signed => self.ins().sload16(types::I32, flags, address, at),
            StorageType::I16 => self.ins().uload16(types::I32, flags, address, at),
            StorageType::Val(ty) => self.ins().load(Kind::of(&ty).clif(), flags, address, at),
        }
    }

    /// Stores a value.
    pub(super) fn store(&mut self, storage: StorageType, value: Value, trap: Option<Trap>, address: Value, at: i32) {
        let flags = Self::heap_flags(trap);
        match storage {
            StorageType::I8 => self.ins().istore8(flags, value, address, at),
            StorageType::I16 => self.ins().istore16(flags, value, address, at),
            StorageType::Val(_) => self.ins().store(flags, value, address, at),
        };
    }

    // Places.

    /// Checks a receiver. The result is the trap code that the first access to `[0, end)` of the object must carry;
    /// where no access can serve as the check, an explicit one has been emitted.
    pub(super) fn guard(&mut self, object: Value, null: Option<Trap>, end: u32) -> Option<Trap> {
        let trap = null?;
        if self.env.settings.faults_trap() && end <= NULL_PAGE_BYTES {
            return Some(trap);
        }
        self.trap_unless(object, trap);
        None
    }

    /// The place at a constant offset in an object.
    pub(super) fn place(&mut self, object: Value, offset: u32) -> Place {
        self.place_in(object, object, offset)
    }

    pub(super) fn place_in(&mut self, object: Value, slot: Value, offset: u32) -> Place {
        // The guard also covers the widest access.
        if u64::from(offset) + 16 <= GUARD_BYTES {
            let address = self.address(Base::Heap, slot);
            return Place { object, slot, slot_offset: offset, address, offset: offset as i32 };
        }
        let slot = self.add_word(slot, offset);
        let address = self.address(Base::Heap, slot);
        Place { object, slot, slot_offset: 0, address, offset: 0 }
    }

    /// The place of element `index`, which is not checked here.
    pub(super) fn element_place(&mut self, array: Value, layout: &ArrayLayout, index: Value) -> Place {
        if let Some(index) = self.constant(index) {
            let offset = u64::from(layout.elements_offset) + ((index & 0xffff_ffff) << layout.element_shift);
            if offset + 16 <= GUARD_BYTES {
                return self.place(array, offset as u32);
            }
        }
        let scaled = match layout.element_shift {
            0 => index,
            shift => self.ins().ishl_imm_u(index, i64::from(shift)),
        };
        let slot = self.ins().iadd(array, scaled);
        self.place_in(array, slot, layout.elements_offset)
    }

    // References, with the collector's barriers.

    /// Stores a reference over another.
    pub(super) fn store_reference(&mut self, place: Place, value: Value, trap: Option<Trap>, reduced: Option<Reduced>) {
        let mut trap = trap;
        let barriers = &self.env.spec.barriers;
        let program = match reduced {
            None => barriers.store,
            Some(Reduced::Init) => barriers.init,
            Some(Reduced::Nothing) => None,
        };
        if let Some(program) = program.filter(|_| !planted(Bug::MissingBarrier)) {
            // Where the program seldom asks, it is loaded where the program asks.
            let old = usually_reads(program.body, Input::Old)
                .then(|| self.ins().load(types::I32, Self::heap_flags(trap.take()), place.address, place.offset));
            if let Some(trap) = trap.take() {
                // The program may touch the header before the store does.
                self.trap_unless(place.object, trap);
            }
            self.run(program, Inputs { place: Some(place), old, new: Some(value) });
        }
        self.ins().store(Self::heap_flags(trap), value, place.address, place.offset);
    }

    /// Stores the first reference into a place of a fresh object.
    pub(super) fn init_reference(&mut self, place: Place, value: Value) {
        if let Some(program) = self.env.spec.barriers.init {
            self.run(program, Inputs { place: Some(place), old: None, new: Some(value) });
        }
        self.ins().store(Self::heap_flags(None), value, place.address, place.offset);
    }

    fn read(&mut self, place: Place, storage: StorageType, traced: bool, extend: Extend, trap: Option<Trap>) -> Value {
        let value = self.load(storage, extend, trap, place.address, place.offset);
        if traced {
            self.gc.refs.insert(value);
            if let Some(program) = self.env.spec.barriers.load {
                let loaded = self.run(program, Inputs { place: Some(place), old: None, new: Some(value) });
                let loaded = loaded.unwrap_or(value);
                self.gc.refs.insert(loaded);
                return loaded;
            }
        }
        value
    }

    /// Writes a field or an element; a store of a reference may be `reduced`.
    fn write(
        &mut self,
        place: Place,
        (storage, traced): (StorageType, bool),
        value: Value,
        trap: Option<Trap>,
        reduced: Option<Reduced>,
    ) {
        if traced {
            self.store_reference(place, value, trap, reduced);
        } else {
            self.store(storage, value, trap, place.address, place.offset);
        }
    }

    /// Initialises a place of a fresh object.
    pub(super) fn init(&mut self, place: Place, storage: StorageType, traced: bool, value: Value) {
        if traced {
            self.init_reference(place, value);
        } else {
            self.store(storage, value, None, place.address, place.offset);
        }
    }

    /// Stores a reference into a global or a table slot, with its barrier.
    pub(super) fn root_store(&mut self, address: Value, offset: i32, new: Value) {
        if let Some(program) = self.env.spec.barriers.root_store {
            let old = program
                .mentions(Input::Old)
                .then(|| self.ins().load(types::I32, Self::engine_flags(), address, offset));
            self.run(program, Inputs { place: None, old, new: Some(new) });
        }
        self.ins().store(Self::engine_flags(), new, address, offset);
    }

    // Operations.

    pub(super) fn struct_get(
        &mut self,
        ty: u32,
        field: u32,
        extend: Extend,
        null: Option<Trap>,
        object: Value,
    ) -> Value {
        self.field_get(self.env.module.struct_layout(ty), field, extend, null, object)
    }

    pub(super) fn field_get(
        &mut self,
        layout: &StructLayout,
        field: u32,
        extend: Extend,
        null: Option<Trap>,
        object: Value,
    ) -> Value {
        let field = layout.fields[field as usize];
        let trap = self.guard(object, null, field.offset + field.storage.byte_size());
        let place = self.place(object, field.offset);
        self.read(place, field.storage, field.traced, extend, trap)
    }

    pub(super) fn struct_set(
        &mut self,
        ty: u32,
        field: u32,
        null: Option<Trap>,
        reduced: Option<Reduced>,
        object: Value,
        value: Value,
    ) {
        let field = self.env.module.struct_layout(ty).fields[field as usize];
        let trap = self.guard(object, null, field.offset + field.storage.byte_size());
        let place = self.place(object, field.offset);
        self.write(place, (field.storage, field.traced), value, trap, reduced);
    }

    /// The length word of an array, at `length_offset`.
    pub(super) fn length(&mut self, length_offset: u32, null: Option<Trap>, array: Value) -> Value {
        let trap = self.guard(array, null, length_offset + 4);
        let place = self.place(array, length_offset);
        self.ins().load(types::I32, Self::heap_flags(trap), place.address, place.offset)
    }

    pub(super) fn array_len(&mut self, null: Option<Trap>, array: Value) -> Value {
        // Every array has its length in the same place, so the operation names no type.
        self.length(self.env.spec.header_layout().length_offset(), null, array)
    }

    fn checked_element(&mut self, layout: &ArrayLayout, check: Check, array: Value, index: Value) -> Place {
        if let Check::Bounds { null } = check {
            let length = self.length(layout.length_offset, null, array);
            let outside = self.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, length);
            self.trap_if(outside, Trap::ArrayOutOfBounds);
        }
        self.element_place(array, layout, index)
    }

    pub(super) fn array_get(&mut self, ty: u32, extend: Extend, check: Check, array: Value, index: Value) -> Value {
        let layout = self.env.module.array_layout(ty);
        let place = self.checked_element(&layout, check, array, index);
        self.read(place, layout.storage, layout.traced, extend, None)
    }

    /// `array.set`: `(array, index, value)`.
    pub(super) fn array_set(&mut self, ty: u32, check: Check, reduced: Option<Reduced>, args: &[Value]) {
        let &[array, index, value] = args else { unreachable!("array.set has three operands") };
        let layout = self.env.module.array_layout(ty);
        let place = self.checked_element(&layout, check, array, index);
        self.write(place, (layout.storage, layout.traced), value, None, reduced);
    }
}
