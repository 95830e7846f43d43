//! What programs do on purpose and chance does seldom: shapes of code in which an optimiser or a barrier that is
//! slightly wrong shows.
//!
//! - [`two_names`](Code::two_names): one object under two names that code cannot tell apart, read by one and written by
//!   the other;
//! - [`old_to_young`](Code::old_to_young): an object that outlives collections and is then given a new one;
//! - [`swell`](Code::swell): large arrays that are kept, so that a heap which may grow does, between two accesses of
//!   one function.

use super::code::Code;
use super::shape::{FIRST_GLOBAL, HOST_COLLECT, REFERENCES};
use super::types::{Heap, Ref, Storage, Ty};
use arbitrary::Result;
use wasm_encoder::{BlockType, Instruction as I, MemArg, MemArgTarget};

/// The global that holds any object.
const ANY_GLOBAL: u32 = FIRST_GLOBAL + 1;
/// What a large array costs, of the fuel of a run.
const SWELL_FUEL: i32 = 60;

/// A place in an object of some type that can be written.
#[derive(Clone, Copy)]
struct Slot {
    object: u32,
    /// The field, or the element with this constant index.
    index: u32,
    is_array: bool,
    storage: Storage,
}

impl Code<'_, '_, '_> {
    /// Places that can be written and satisfy a condition.
    fn slots(&self, fits: impl Fn(Storage) -> bool) -> Vec<Slot> {
        let mut slots = Vec::new();
        for (object, data) in (0u32..).zip(&self.shape.types.objects) {
            for (index, field) in (0u32..).zip(&data.fields).filter(|(_, f)| f.mutable && fits(f.storage)) {
                slots.push(Slot { object, index, is_array: data.is_array, storage: field.storage });
            }
        }
        slots
    }

    /// Reads a slot of the object in a local into another local, which is returned.
    fn read_slot(&mut self, slot: Slot, object: u32) -> u32 {
        let value = self.own_local(slot.storage.unpacked());
        let (struct_type_index, field_index) = (slot.object, slot.index);
        let packed = !matches!(slot.storage, Storage::Ty(_));
        self.push(I::LocalGet(object));
        if slot.is_array {
            self.push(I::I32Const(slot.index as i32));
            self.count(if packed { I::ArrayGetU(slot.object) } else { I::ArrayGet(slot.object) });
        } else {
            self.count(match packed {
                true => I::StructGetS { struct_type_index, field_index },
                false => I::StructGet { struct_type_index, field_index },
            });
        }
        self.push(I::LocalSet(value));
        value
    }

    /// Starts a write to a slot of the object in a local: the value is to follow.
    fn begin_write(&mut self, slot: Slot, object: u32) {
        self.push(I::LocalGet(object));
        if slot.is_array {
            self.push(I::I32Const(slot.index as i32));
        }
    }

    fn end_write(&mut self, slot: Slot) {
        let (struct_type_index, field_index) = (slot.object, slot.index);
        self.count(match slot.is_array {
            true => I::ArraySet(slot.object),
            false => I::StructSet { struct_type_index, field_index },
        });
    }

    /// A new object of the slot's type, large enough to have the slot, in a local of its own.
    fn object_with(&mut self, slot: Slot) -> Result<u32> {
        let local = self.own_local(Heap::Object(slot.object).nullable());
        if slot.is_array {
            self.value(slot.storage.unpacked(), 1)?;
            let length = self.u.int_in_range(1..=6)?;
            self.push(I::I32Const(length));
            self.count(I::ArrayNew(slot.object));
        } else {
            self.new_object(slot.object, 1)?;
        }
        self.push(I::LocalSet(local));
        Ok(local)
    }

    /// Makes a value visible from outside: numbers go to memory, references to a global.
    fn show(&mut self, local: u32) -> Result<()> {
        let ty = self.locals[local as usize];
        if let Ty::Ref(_) = ty
            && self.shape.types.fits(ty, Heap::Any.nullable())
        {
            self.push(I::LocalGet(local));
            self.count(I::GlobalSet(ANY_GLOBAL));
            return Ok(());
        }
        let at = self.u.int_in_range(0..=4000)?;
        self.extend([I::I32Const(8 * at), I::LocalGet(local)]);
        self.number_of(ty);
        self.push(I::I64Store(MemArg { offset: 0, align: 3, target: MemArgTarget::Memory(0), ordering: None }));
        Ok(())
    }

    /// Another name of the object in a local, or of another object: which one is not known before the code runs.
    fn other_name(&mut self, slot: Slot, object: u32) -> Result<u32> {
        let ty = self.locals[object as usize];
        let heap = Heap::Object(slot.object);
        let other = self.own_local(ty);
        match self.u.int_in_range(0..=3)? {
            0 => {
                self.push(I::LocalGet(object));
                self.count(I::GlobalSet(ANY_GLOBAL));
                self.count(I::GlobalGet(ANY_GLOBAL));
                self.count(I::RefCastNullable(heap.encode()));
            }
            1 if self.shape.types.fits(ty, self.shape.references.nullable()) => {
                let index = self.u.int_in_range(0..=7)?;
                self.extend([I::I32Const(index), I::LocalGet(object)]);
                self.count(I::TableSet(REFERENCES));
                self.push(I::I32Const(index));
                self.count(I::TableGet(REFERENCES));
                self.count(I::RefCastNullable(heap.encode()));
            }
            2 => {
                let second = self.object_with(slot)?;
                self.extend([I::LocalGet(object), I::LocalGet(second)]);
                self.value(Ty::I32, 1)?;
                self.count(I::TypedSelect(ty.encode()));
            }
            _ => {
                let second = self.object_with(slot)?;
                self.value(Ty::I32, 1)?;
                self.extend([I::If(BlockType::Result(ty.encode())), I::LocalGet(object), I::Else]);
                self.extend([I::LocalGet(second), I::End]);
            }
        }
        self.push(I::LocalSet(other));
        Ok(other)
    }

    /// Reads and writes one slot by two names of, perhaps, one object.
    pub(super) fn two_names(&mut self) -> Result<()> {
        let slot = *self.u.choose(&self.slots(|_| true))?;
        let first = self.object_with(slot)?;
        let second = self.other_name(slot, first)?;
        let mut seen = Vec::new();
        for _ in 0..self.u.int_in_range(1..=3)? {
            let names = if self.u.arbitrary()? { [first, second] } else { [second, first] };
            seen.push(self.read_slot(slot, names[0]));
            self.begin_write(slot, names[1]);
            self.value(slot.storage.unpacked(), 1)?;
            self.end_write(slot);
            seen.push(self.read_slot(slot, names[0]));
        }
        seen.into_iter().try_for_each(|local| self.show(local))
    }

    /// Something during which a collection may happen.
    fn safepoint(&mut self) -> Result<()> {
        match self.u.int_in_range(0..=2)? {
            0 if !self.shape.options.portable => {
                self.count(I::Call(HOST_COLLECT));
                Ok(())
            }
            1 => {
                // Allocated here, and not only for nothing: the table keeps it for a while.
                let index = self.u.int_in_range(0..=7)?;
                self.push(I::I32Const(index));
                self.new_object(0, 1)?;
                self.count(I::TableSet(REFERENCES));
                Ok(())
            }
            _ => self.deep_call(),
        }
    }

    /// Makes an object, lets it grow old, and then stores a new object into it that nothing else refers to.
    pub(super) fn old_to_young(&mut self) -> Result<()> {
        let types = &self.shape.types;
        let fitting = |storage| match storage {
            Storage::Ty(Ty::Ref(Ref { heap, .. })) => types.objects_of(heap),
            _ => Vec::new(),
        };
        let slot = *self.u.choose(&self.slots(|storage| !fitting(storage).is_empty()))?;
        let young = fitting(slot.storage);
        let old = self.object_with(slot)?;
        for _ in 0..self.u.int_in_range(1..=3)? {
            self.safepoint()?;
        }
        self.begin_write(slot, old);
        let ty = *self.u.choose(&young)?;
        self.new_object(ty, 2)?;
        self.end_write(slot);
        self.safepoint()?;
        if self.u.arbitrary()? {
            let value = self.read_slot(slot, old);
            self.show(value)?;
        }
        self.show(old)
    }

    /// Makes a large array of numbers, lets other things happen, and uses the array again.
    pub(super) fn swell(&mut self, depth: u32) -> Result<()> {
        let arrays = self.slots(|storage| !matches!(storage.unpacked(), Ty::Ref(_)));
        let arrays: Vec<Slot> = arrays.into_iter().filter(|slot| slot.is_array).collect();
        let slot = *self.u.choose(&arrays)?;
        let array = self.own_local(Heap::Object(slot.object).nullable());
        let length: i32 = *self.u.choose(&[3000, 9000, 20_000, 20_000])?;
        self.burn(SWELL_FUEL);
        self.value(slot.storage.unpacked(), 1)?;
        self.push(I::I32Const(length));
        self.count(I::ArrayNew(slot.object));
        self.push(I::LocalSet(array));
        self.show(array)?;
        let at = Slot { index: self.u.int_in_range(0..=length as u32 - 1)?, ..slot };
        self.begin_write(at, array);
        self.value(slot.storage.unpacked(), 1)?;
        self.end_write(at);
        if depth > 0 {
            self.statement(depth - 1)?;
        }
        let seen = self.read_slot(at, array);
        self.show(seen)
    }
}
