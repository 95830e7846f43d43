//! Structs.

use super::model::{Fault, Field, LEAF, Object, SHAPES, Target, Type, Value, default_of};
use super::{Bytes, Context, Handle, World, engine_of, judged};
use heapwright::{Result, Rooted, StructRef, StructRefPre, Val};

impl World {
    /// Some struct type's index, mostly the leaf.
    fn struct_shape(u: Bytes<'_, '_>) -> Result<usize> {
        Ok(*u.choose(&[LEAF, LEAF, 1, 1, 2])?)
    }

    pub(super) fn new_struct(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let shape = World::struct_shape(u)?;
        let fields = SHAPES[shape].fields;
        let mut due = Vec::new();
        let engine = if u.ratio(1, 24)? { 1 - engine_of(at) } else { engine_of(at) };
        if engine != engine_of(at) {
            due.push(Fault::WrongEngine);
        }
        let Type::Struct(ty) = self.types[engine][shape].clone() else { return Ok(()) };
        let prepared = u.ratio(1, 4)? && due.is_empty();
        if u.ratio(1, 4)? {
            self.trace.push(format!("{at}: new default struct {shape} of engine {engine}"));
            if fields.iter().any(|&(slot, _)| default_of(slot).is_none()) {
                due.push(Fault::Mismatch);
            }
            let made = if prepared {
                let pre = StructRefPre::new(&mut *ctx, &ty)?;
                StructRef::new_default(&mut *ctx, &pre)
            } else {
                StructRef::new_default(&mut *ctx, &ty)
            };
            if let Some(root) = judged(made, &due, true)? {
                let values = fields.iter().filter_map(|&(slot, _)| default_of(slot)).collect();
                self.made_struct(at, shape, values, root);
            }
            return Ok(());
        }
        let count = if u.ratio(1, 24)? { u.int_in_range(0..=fields.len() + 1)? } else { fields.len() };
        if count != fields.len() {
            due.push(Fault::Count);
        }
        let (mut vals, mut values) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (slot, _): Field = fields[index.min(fields.len() - 1)];
            let operand = self.operand(u, at, slot)?;
            due.extend(operand.fault);
            // What another store's root names, this store's model cannot say.
            if operand.fault.is_none() {
                match self.stores[at].stored(slot, &operand) {
                    Ok(value) => values.push(value),
                    Err(fault) => due.push(fault),
                }
            } else {
                due.push(Fault::Mismatch);
            }
            vals.push(operand.val);
        }
        self.trace.push(format!("{at}: new struct {shape} of engine {engine} of {values:?}, due {due:?}"));
        let made = if prepared {
            let pre = StructRefPre::new(&mut *ctx, &ty)?;
            StructRef::new(&mut *ctx, &pre, &vals)
        } else {
            StructRef::new(&mut *ctx, &ty, &vals)
        };
        if let Some(root) = judged(made, &due, true)? {
            self.made_struct(at, shape, values, root);
        }
        Ok(())
    }

    fn made_struct(&mut self, at: usize, shape: usize, values: Vec<Value>, root: Rooted<StructRef>) {
        let objects = &mut self.stores[at].objects;
        objects.push(Object::Made(shape, values));
        let target = Target::Object(objects.len() - 1);
        self.keep(at, target, Handle::Struct(root));
    }

    /// A struct root, with what it names in the model if it is good for this store, and an index.
    #[allow(clippy::type_complexity, reason = "the parts of one choice, used at once")]
    fn some_field(
        &mut self,
        u: Bytes<'_, '_>,
        at: usize,
    ) -> Result<Option<(Rooted<StructRef>, Option<(Target, usize)>, usize, Vec<Fault>)>> {
        let Some(root) = self.some_root(u, at, |h| matches!(h, Handle::Struct(_)))? else { return Ok(None) };
        let Handle::Struct(handle) = root.handle else { return Ok(None) };
        let index = if u.ratio(1, 24)? { u.int_in_range(0..=9)? } else { u.int_in_range(0..=2)? };
        if let Some(fault) = self.fault(&root, at) {
            return Ok(Some((handle, None, index, vec![fault])));
        }
        let Some(shape) = self.stores[at].shape(root.target) else { return Ok(None) };
        let due = if index < SHAPES[shape].fields.len() { vec![] } else { vec![Fault::NoSuchField] };
        Ok(Some((handle, Some((root.target, shape)), index, due)))
    }

    pub(super) fn get_field(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some((root, known, index, mut due)) = self.some_field(u, at)? else { return Ok(()) };
        self.trace.push(format!("{at}: get field {index} of {known:?}, due {due:?}"));
        let result = match known {
            // Through an accessor that was prepared for one type, and is used with whatever there is.
            Some(_) if due.is_empty() && u.ratio(1, 4)? => {
                let shape = World::struct_shape(u)?;
                let engine = if u.ratio(1, 12)? { 1 - engine_of(at) } else { engine_of(at) };
                if engine != engine_of(at) {
                    due.push(Fault::WrongEngine);
                }
                if known.is_some_and(|(_, own)| own != shape) {
                    due.push(Fault::Mismatch);
                }
                let Type::Struct(ty) = &self.types[engine][shape] else { return Ok(()) };
                match ty.accessor(index) {
                    Ok(accessor) => accessor.get(&mut *ctx, &root),
                    Err(error) => {
                        due = vec![Fault::NoSuchField];
                        Err(error)
                    }
                }
            }
            _ => root.field(&mut *ctx, index),
        };
        let (Some(val), Some((target, _))) = (judged(result, &due, false)?, known) else { return Ok(()) };
        let Some((_, values)) = self.stores[at].values(target, false) else { return Ok(()) };
        let value = values[index];
        self.read(at, ctx, val, value)
    }

    pub(super) fn set_field(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some((root, known, index, mut due)) = self.some_field(u, at)? else { return Ok(()) };
        let field = known.and_then(|(_, shape)| SHAPES[shape].fields.get(index).copied());
        let (slot, mutable) = field.unwrap_or((super::Slot::I32, true));
        let operand = self.operand(u, at, slot)?;
        due.extend(operand.fault);
        let stored = match operand.fault {
            None => self.stores[at].stored(slot, &operand),
            Some(_) => Err(Fault::Mismatch),
        };
        if field.is_some() {
            due.extend(stored.err());
            due.extend((!mutable).then_some(Fault::ImmutableField));
        }
        self.trace.push(format!("{at}: set field {index} of {known:?} to {:?}, due {due:?}", operand.model));
        let val: Val = operand.val;
        judged(root.set_field(&mut *ctx, index, val), &due, false)?;
        if let (true, Some((target, _)), Ok(value)) = (due.is_empty(), known, stored)
            && let Some((_, values)) = self.stores[at].values(target, false)
        {
            values[index] = value;
        }
        Ok(())
    }
}
