//! Statements: what changes something.

use super::code::Code;
use super::shape::{FIRST_GLOBAL, FUNCTIONS, HOST_COLLECT, REFERENCES};
use super::types::{Heap, Storage, Ty};
use arbitrary::Result;
use wasm_encoder::{Instruction as I, MemArg, MemArgTarget};

impl Code<'_, '_, '_> {
    pub(super) fn statement(&mut self, depth: u32) -> Result<()> {
        if self.full() {
            return Ok(());
        }
        let nested = depth > 0;
        match self.u.int_in_range(0..=34)? {
            0..=4 => self.struct_set(),
            5..=7 => self.array_set(),
            8 | 9 => self.array_copy(),
            10 => self.array_fill(),
            11 => self.array_init(),
            12 | 13 | 28 => self.global_set(),
            14 => self.table_statement(),
            15 => self.memory_statement(),
            16 | 17 if nested => self.if_statement(depth - 1),
            18 | 19 if nested => self.loop_statement(depth - 1),
            20 if nested => self.switch_statement(depth - 1),
            21 | 22 if nested => self.try_statement(depth - 1),
            23 => self.throw_statement(),
            24 | 25 => self.call_statement(),
            26 => self.deep_call(),
            27 if !self.shape.options.portable => {
                self.count(I::Call(HOST_COLLECT));
                Ok(())
            }
            29 | 30 => self.two_names(),
            31 | 32 => self.old_to_young(),
            33 => self.swell(depth),
            _ => self.local_set(),
        }
    }

    fn local_set(&mut self) -> Result<()> {
        let local = self.u.int_in_range(0..=self.locals.len() as u32 - 1)?;
        // The number of nested calls, for one, is not the program's.
        if !self.is_free(local) {
            return Ok(());
        }
        self.value(self.locals[local as usize], 3)?;
        self.push(I::LocalSet(local));
        Ok(())
    }

    fn struct_set(&mut self) -> Result<()> {
        let mut places = Vec::new();
        for (index, object) in (0u32..).zip(&self.shape.types.objects).filter(|(_, o)| !o.is_array) {
            for (field, data) in (0u32..).zip(&object.fields).filter(|(_, f)| f.mutable) {
                places.push((index, field, data.storage.unpacked()));
            }
        }
        let (struct_type_index, field_index, ty) = *self.u.choose(&places)?;
        self.receiver(struct_type_index, 2)?;
        self.value(ty, 2)?;
        self.count(I::StructSet { struct_type_index, field_index });
        Ok(())
    }

    /// The array types whose elements can be written, with their elements.
    fn arrays(&self) -> Vec<(u32, Storage)> {
        let objects = (0u32..).zip(&self.shape.types.objects);
        objects.filter(|(_, o)| o.is_array && o.fields[0].mutable).map(|(i, o)| (i, o.fields[0].storage)).collect()
    }

    fn array_set(&mut self) -> Result<()> {
        let (ty, storage) = *self.u.choose(&self.arrays())?;
        self.element(ty, 2)?;
        self.value(storage.unpacked(), 2)?;
        self.count(I::ArraySet(ty));
        Ok(())
    }

    /// An array, in a local too, and an offset in it, in another: `array, offset` on the stack.
    fn array_offset(&mut self, ty: u32, again: Option<u32>) -> Result<(u32, u32)> {
        let array = self.scratch_for(Heap::Object(ty).nullable());
        match again {
            Some(other) => self.push(I::LocalGet(other)),
            None => self.receiver(ty, 2)?,
        }
        self.push(I::LocalTee(array));
        let offset = self.scratch_for(Ty::I32);
        self.value(Ty::I32, 1)?;
        self.push(I::LocalGet(array));
        self.count(I::ArrayLen);
        self.extend([I::I32Const(1), I::I32Or, I::I32RemU, I::LocalTee(offset)]);
        Ok((array, offset))
    }

    /// Makes the number on the stack a length that fits behind an offset.
    fn fitting(&mut self, (array, offset): (u32, u32)) {
        self.push(I::LocalGet(array));
        self.count(I::ArrayLen);
        self.extend([I::LocalGet(offset), I::I32Sub, I::I32Const(1), I::I32Add, I::I32RemU]);
    }

    fn array_fill(&mut self) -> Result<()> {
        let (ty, storage) = *self.u.choose(&self.arrays())?;
        let place = self.array_offset(ty, None)?;
        self.value(storage.unpacked(), 1)?;
        // Evaluating the value may have given the locals to something else; then this traps.
        self.value(Ty::I32, 1)?;
        self.fitting(place);
        self.count(I::ArrayFill(ty));
        Ok(())
    }

    fn array_copy(&mut self) -> Result<()> {
        let arrays = self.arrays();
        let (to, storage) = *self.u.choose(&arrays)?;
        let fits = |from: Storage| match (from, storage) {
            (Storage::Ty(from), Storage::Ty(to)) => self.shape.types.fits(from, to),
            (from, to) => from == to,
        };
        let sources: Vec<u32> = (0u32..)
            .zip(&self.shape.types.objects)
            .filter(|(_, o)| o.is_array && fits(o.fields[0].storage))
            .map(|(i, _)| i)
            .collect();
        let from = *self.u.choose(&sources)?;
        let target = self.array_offset(to, None)?;
        // Within one array the ranges may overlap.
        let again = (from == to && self.u.arbitrary()?).then_some(target.0);
        let source = self.array_offset(from, again)?;
        self.value(Ty::I32, 1)?;
        self.fitting(target);
        self.fitting(source);
        self.count(I::ArrayCopy { array_type_index_dst: to, array_type_index_src: from });
        Ok(())
    }

    fn array_init(&mut self) -> Result<()> {
        let (ty, storage) = *self.u.choose(&self.arrays())?;
        let numbers = !matches!(storage.unpacked(), Ty::Ref(_));
        let Some(segment) = self.element_segment(storage).or(numbers.then_some(0)) else { return self.array_fill() };
        let place = self.array_offset(ty, None)?;
        let offset = self.u.int_in_range(0..=5)?;
        self.push(I::I32Const(offset));
        self.value(Ty::I32, 0)?;
        self.extend([I::I32Const(3), I::I32And]);
        self.fitting(place);
        self.count(match numbers {
            true => I::ArrayInitData { array_type_index: ty, array_data_index: 0 },
            false => I::ArrayInitElem { array_type_index: ty, array_elem_index: segment },
        });
        Ok(())
    }

    fn global_set(&mut self) -> Result<()> {
        let global = self.u.int_in_range(0..=self.shape.globals.len() as u32 - 1)?;
        self.value(self.shape.globals[global as usize], 3)?;
        self.count(I::GlobalSet(FIRST_GLOBAL + global));
        Ok(())
    }

    fn table_statement(&mut self) -> Result<()> {
        let ty = self.shape.references.nullable();
        match self.u.int_in_range(0..=5)? {
            0 | 1 => {
                self.table_slot(1)?;
                self.value(ty, 2)?;
                self.count(I::TableSet(REFERENCES));
            }
            2 => {
                self.value(ty, 1)?;
                self.value(Ty::I32, 0)?;
                self.extend([I::I32Const(1), I::I32And]);
                self.count(I::TableGrow(REFERENCES));
                let grown = self.scratch_for(Ty::I32);
                self.push(I::LocalSet(grown));
            }
            3 => {
                let start = self.u.int_in_range(0..=4)?;
                self.push(I::I32Const(start));
                self.value(ty, 1)?;
                self.push(I::I32Const(4));
                self.count(I::TableFill(REFERENCES));
            }
            4 => {
                let ends = [0, 1, 4];
                let (to, from) = (*self.u.choose(&ends)?, *self.u.choose(&ends)?);
                self.extend([I::I32Const(to), I::I32Const(from), I::I32Const(4)]);
                self.count(I::TableCopy { src_table: REFERENCES, dst_table: REFERENCES });
            }
            _ => {
                // A function to a slot where one like it was.
                let slot = self.u.int_in_range(0..=super::shape::TABLE_SIZE - 1)?;
                let signature = self.shape.functions[slot as usize % self.shape.functions.len()];
                self.push(I::I32Const(slot as i32));
                self.value(Heap::Func(signature).nullable(), 1)?;
                self.count(I::TableSet(FUNCTIONS));
            }
        }
        Ok(())
    }

    fn memory_statement(&mut self) -> Result<()> {
        let at = MemArg { offset: 16, align: 2, target: MemArgTarget::Memory(0), ordering: None };
        self.value(Ty::I32, 1)?;
        self.extend([I::I32Const(0xfffc), I::I32And]);
        if self.u.arbitrary()? {
            self.value(Ty::I32, 2)?;
            self.count(I::I32Store(at));
        } else {
            self.count(I::I32Load(at));
            let local = self.scratch_for(Ty::I32);
            self.push(I::LocalSet(local));
        }
        Ok(())
    }
}
