//! Objects: making them, reading them, asking for their type.

use super::code::Code;
use super::shape::{DATA_BYTES, ELEMENTS, FUNC_SEGMENT, I31_SEGMENT, REFERENCES, TABLE_SIZE};
use super::types::{Heap, Ref, Storage, Ty};
use arbitrary::Result;
use wasm_encoder::{BlockType, Instruction as I};

impl Code<'_, '_, '_> {
    /// The cheapest value of a type that is not null.
    pub(super) fn least(&mut self, heap: Heap) -> Result<()> {
        match heap {
            Heap::Any | Heap::Eq | Heap::I31 => {
                self.push(I::I32Const(5));
                self.count(I::RefI31);
            }
            Heap::Extern => {
                self.least(Heap::I31)?;
                self.count(I::ExternConvertAny);
            }
            Heap::Struct => self.least(Heap::Object(0))?,
            Heap::Array => self.least(Heap::Object(1))?,
            Heap::Func(signature) => {
                let functions = self.shape.functions_of(signature);
                let function = *self.u.choose(&functions)?;
                self.push(I::RefFunc(self.shape.function(function)));
            }
            Heap::Object(ty) => {
                let object = self.shape.types.object_at(ty);
                if object.is_array {
                    self.count(I::ArrayNewFixed { array_type_index: ty, array_size: 0 });
                } else if object.has_default() {
                    self.count(I::StructNewDefault(ty));
                } else {
                    for field in object.fields.clone() {
                        match field.storage.unpacked() {
                            // Goes to an earlier type, so this ends.
                            Ty::Ref(Ref { nullable: false, heap }) => self.least(heap)?,
                            other => self.leaf(other)?,
                        }
                    }
                    self.count(I::StructNew(ty));
                }
            }
            Heap::Exn => unreachable!("no place holds an exception that cannot be null"),
        }
        Ok(())
    }

    /// A reference.
    pub(super) fn reference(&mut self, r: Ref, depth: u32) -> Result<()> {
        match r.heap {
            Heap::Extern => match self.u.int_in_range(0..=2)? {
                0 if r.nullable => {
                    self.value(Heap::Any.nullable(), depth)?;
                    self.count(I::ExternConvertAny);
                }
                1 => {
                    self.value(Heap::Any.non_null(), depth)?;
                    self.count(I::ExternConvertAny);
                }
                _ => {
                    self.host_reference(depth)?;
                    self.non_null(r)?;
                }
            },
            Heap::Any if self.u.ratio(1, 8)? => {
                self.value(Ty::Ref(Ref { nullable: r.nullable, heap: Heap::Extern }), depth)?;
                self.count(I::AnyConvertExtern);
            }
            Heap::I31 => {
                self.value(Ty::I32, depth)?;
                self.count(I::RefI31);
            }
            Heap::Func(_) | Heap::Exn => self.leaf(Ty::Ref(r))?,
            Heap::Any | Heap::Eq | Heap::Struct | Heap::Array | Heap::Object(_) => match self.u.int_in_range(0..=7)? {
                0 | 3 => self.guarded_cast(r, depth)?,
                1 if !r.nullable => {
                    self.value(r.heap.nullable(), depth)?;
                    self.non_null(r)?;
                }
                2 if self.shape.types.fits(self.shape.references.nullable(), r.heap.nullable()) => {
                    self.table_slot(depth)?;
                    self.count(I::TableGet(REFERENCES));
                    self.non_null(r)?;
                }
                _ => {
                    let types = self.shape.types.objects_of(r.heap);
                    let ty = *self.u.choose(&types)?;
                    self.new_object(ty, depth)?;
                }
            },
        }
        Ok(())
    }

    /// Makes the nullable reference on the stack one of type `r`: where it must not be null, another takes the place of
    /// null.
    fn non_null(&mut self, r: Ref) -> Result<()> {
        if r.nullable {
            return Ok(());
        }
        if self.u.ratio(1, 120)? {
            self.count(I::RefAsNonNull);
            return Ok(());
        }
        let ty = Ty::Ref(r).encode();
        let local = self.scratch_for(Ty::Ref(r));
        if self.u.arbitrary()? {
            self.extend([I::LocalSet(local), I::Block(BlockType::Result(ty)), I::LocalGet(local)]);
            self.count(I::BrOnNonNull(0));
            self.least(r.heap)?;
            self.push(I::End);
        } else {
            self.push(I::LocalTee(local));
            self.count(I::RefIsNull);
            self.push(I::If(BlockType::Result(ty)));
            self.least(r.heap)?;
            self.extend([I::Else, I::LocalGet(local)]);
            self.count(I::RefAsNonNull);
            self.push(I::End);
        }
        Ok(())
    }

    /// A slot of a table.
    pub(super) fn table_slot(&mut self, depth: u32) -> Result<()> {
        self.value(Ty::I32, depth)?;
        self.extend([I::I32Const(TABLE_SIZE as i32 - 1), I::I32And]);
        Ok(())
    }

    /// A value of any type, cast, with something else where the cast fails.
    fn guarded_cast(&mut self, r: Ref, depth: u32) -> Result<()> {
        let any = Heap::Any.nullable();
        let ty = Ty::Ref(r).encode();
        match self.u.int_in_range(0..=2)? {
            0 => {
                let local = self.scratch_for(any);
                self.value(any, depth)?;
                self.push(I::LocalTee(local));
                self.count(match r.nullable {
                    true => I::RefTestNullable(r.heap.encode()),
                    false => I::RefTestNonNull(r.heap.encode()),
                });
                self.extend([I::If(BlockType::Result(ty)), I::LocalGet(local)]);
                self.count(match r.nullable {
                    true => I::RefCastNullable(r.heap.encode()),
                    false => I::RefCastNonNull(r.heap.encode()),
                });
                self.push(I::Else);
                self.leaf(Ty::Ref(r))?;
                self.push(I::End);
            }
            1 => {
                self.push(I::Block(BlockType::Result(ty)));
                self.labels += 1;
                self.value(any, depth)?;
                let from = Ref { nullable: true, heap: Heap::Any }.encode();
                self.count(I::BrOnCast { relative_depth: 0, from_ref_type: from, to_ref_type: r.encode() });
                self.push(I::Drop);
                self.leaf(Ty::Ref(r))?;
                self.labels -= 1;
                self.push(I::End);
            }
            _ => {
                self.push(I::Block(BlockType::Result(ty)));
                self.push(I::Block(BlockType::Result(any.encode())));
                self.labels += 2;
                self.value(any, depth)?;
                let from = Ref { nullable: true, heap: Heap::Any }.encode();
                self.count(I::BrOnCastFail { relative_depth: 0, from_ref_type: from, to_ref_type: r.encode() });
                self.push(I::Br(1));
                self.labels -= 1;
                self.extend([I::End, I::Drop]);
                self.leaf(Ty::Ref(r))?;
                self.labels -= 1;
                self.push(I::End);
            }
        }
        Ok(())
    }

    /// A new object of exactly this type.
    pub(super) fn new_object(&mut self, ty: u32, depth: u32) -> Result<()> {
        let object = self.shape.types.object_at(ty).clone();
        if !object.is_array {
            if object.has_default() && self.u.ratio(1, 4)? {
                self.count(I::StructNewDefault(ty));
                return Ok(());
            }
            for field in &object.fields {
                self.value(field.storage.unpacked(), depth.saturating_sub(1))?;
            }
            self.count(I::StructNew(ty));
            return Ok(());
        }
        let storage = object.fields[0].storage;
        let element = storage.unpacked();
        match self.u.int_in_range(0..=5)? {
            0 if element.has_default() => {
                self.small_length(depth)?;
                self.count(I::ArrayNewDefault(ty));
            }
            1 | 2 => {
                self.value(element, depth.saturating_sub(1))?;
                self.small_length(depth)?;
                self.count(I::ArrayNew(ty));
            }
            3 if !matches!(element, Ty::Ref(_)) => {
                self.data_range()?;
                self.count(I::ArrayNewData { array_type_index: ty, array_data_index: 0 });
            }
            3 if self.element_segment(storage).is_some() => {
                let segment = self.element_segment(storage).unwrap_or(I31_SEGMENT);
                self.element_range()?;
                self.count(I::ArrayNewElem { array_type_index: ty, array_elem_index: segment });
            }
            _ => {
                let size = self.u.int_in_range(0..=5)?;
                for _ in 0..size {
                    self.value(element, depth.saturating_sub(1))?;
                }
                self.count(I::ArrayNewFixed { array_type_index: ty, array_size: size });
            }
        }
        Ok(())
    }

    fn small_length(&mut self, depth: u32) -> Result<()> {
        self.value(Ty::I32, depth.saturating_sub(1))?;
        let mask = *self.u.choose(&[3, 7, 7, 15, 63])?;
        self.extend([I::I32Const(mask), I::I32And]);
        Ok(())
    }

    /// Offset and length that lie within the data segment at every element width.
    pub(super) fn data_range(&mut self) -> Result<()> {
        let offset = self.u.int_in_range(0..=15)?;
        let length = self.u.int_in_range(0..=3)?;
        debug_assert!(offset + 16 * length <= DATA_BYTES as i32);
        self.extend([I::I32Const(offset), I::I32Const(length)]);
        Ok(())
    }

    pub(super) fn element_range(&mut self) -> Result<()> {
        let offset = self.u.int_in_range(0..=ELEMENTS as i32)?;
        let length = self.u.int_in_range(0..=ELEMENTS as i32 - offset)?;
        self.extend([I::I32Const(offset), I::I32Const(length)]);
        Ok(())
    }

    /// A segment whose elements fit.
    pub(super) fn element_segment(&self, storage: Storage) -> Option<u32> {
        let fits = |heap: Heap| matches!(storage, Storage::Ty(ty) if self.shape.types.fits(heap.non_null(), ty));
        let first = self.shape.types.objects.len() as u32;
        if fits(Heap::I31) {
            Some(I31_SEGMENT)
        } else if fits(Heap::Func(first)) {
            Some(FUNC_SEGMENT)
        } else {
            None
        }
    }

    /// An object to access, mostly not null.
    pub(super) fn receiver(&mut self, ty: u32, depth: u32) -> Result<()> {
        let heap = Heap::Object(ty);
        if self.u.ratio(1, 250)? { self.value(heap.nullable(), depth) } else { self.value(heap.non_null(), depth) }
    }

    /// An array to access, in a local too, and an index, mostly below its length.
    pub(super) fn element(&mut self, ty: u32, depth: u32) -> Result<()> {
        let array = self.scratch_for(Heap::Object(ty).nullable());
        self.receiver(ty, depth)?;
        self.push(I::LocalTee(array));
        self.value(Ty::I32, depth)?;
        if self.u.ratio(1, 250)? {
            self.extend([I::I32Const(7), I::I32And]);
        } else {
            self.push(I::LocalGet(array));
            self.count(I::ArrayLen);
            self.extend([I::I32Const(1), I::I32Or, I::I32RemU]);
        }
        Ok(())
    }

    /// Reads a value of a type out of some object.
    pub(super) fn read(&mut self, ty: Ty, depth: u32) -> Result<()> {
        let types = &self.shape.types;
        let mut places = Vec::new();
        for (index, object) in (0u32..).zip(&types.objects) {
            for (field, data) in (0u32..).zip(&object.fields) {
                if types.fits(data.storage.unpacked(), ty) {
                    places.push((index, field, *data, object.is_array));
                }
            }
        }
        if places.is_empty() {
            return self.leaf(ty);
        }
        let (index, field, data, is_array) = *self.u.choose(&places)?;
        let packed = !matches!(data.storage, Storage::Ty(_));
        let signed = packed && self.u.arbitrary()?;
        if is_array {
            self.element(index, depth)?;
            self.count(match (packed, signed) {
                (false, _) => I::ArrayGet(index),
                (true, true) => I::ArrayGetS(index),
                (true, false) => I::ArrayGetU(index),
            });
        } else {
            self.receiver(index, depth)?;
            let (struct_type_index, field_index) = (index, field);
            self.count(match (packed, signed) {
                (false, _) => I::StructGet { struct_type_index, field_index },
                (true, true) => I::StructGetS { struct_type_index, field_index },
                (true, false) => I::StructGetU { struct_type_index, field_index },
            });
        }
        Ok(())
    }

    /// A type test.
    pub(super) fn test(&mut self, depth: u32) -> Result<()> {
        self.value(Heap::Any.nullable(), depth)?;
        let last = self.shape.types.objects.len() as u32 - 1;
        let object = Heap::Object(self.u.int_in_range(0..=last)?);
        let heap = *self.u.choose(&[object, object, object, Heap::I31, Heap::Eq, Heap::Struct, Heap::Array])?;
        let nullable = self.u.arbitrary()?;
        self.count(if nullable { I::RefTestNullable(heap.encode()) } else { I::RefTestNonNull(heap.encode()) });
        Ok(())
    }

    /// An array's length.
    pub(super) fn length(&mut self, depth: u32) -> Result<()> {
        let heap = Heap::Array;
        self.value(heap.non_null(), depth)?;
        self.count(I::ArrayLen);
        Ok(())
    }
}
