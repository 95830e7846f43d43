//! Arrays.

use super::model::{Fault, Object, SHAPES, Slot, Target, Type, Value, default_of};
use super::{Bytes, Context, Handle, World, engine_of, judged};
use anyhow::ensure;
use heapwright::{ArrayRef, Result, Rooted, Scalar, Val};
use std::fmt::Debug;

/// An array root, and what the model says of it if it is good for the store.
struct Array {
    root: Rooted<ArrayRef>,
    known: Option<Known>,
    due: Vec<Fault>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    target: Target,
    slot: Slot,
    mutable: bool,
    length: u32,
}

impl World {
    pub(super) fn new_array(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let shape = u.int_in_range(3..=SHAPES.len() - 1)?;
        let (slot, _) = SHAPES[shape].fields[0];
        let engine = if u.ratio(1, 24)? { 1 - engine_of(at) } else { engine_of(at) };
        let mut due = Vec::new();
        due.extend((engine != engine_of(at)).then_some(Fault::WrongEngine));
        let Type::Array(ty) = self.types[engine][shape].clone() else { return Ok(()) };
        let (made, values) = match u.int_in_range(0..=3)? {
            0 => {
                let length = u.int_in_range(0..=40)?;
                self.trace.push(format!("{at}: new default array {shape} of {length}, due {due:?}"));
                let values = vec![default_of(slot).unwrap_or(Value::Null); length as usize];
                (ArrayRef::new_default(&mut *ctx, &ty, length), values)
            }
            1 => {
                let operand = self.operand(u, at, slot)?;
                let length = if u.ratio(1, 12)? { u.int_in_range(0..=6000)? } else { u.int_in_range(0..=40)? };
                let value = self.checked(at, slot, &operand, &mut due);
                self.trace.push(format!("{at}: new array {shape} of {length} {:?}, due {due:?}", operand.model));
                (ArrayRef::new(&mut *ctx, &ty, &operand.val, length), vec![value; length as usize])
            }
            _ => {
                let (vals, values) = self.operands(u, at, slot, &mut due)?;
                self.trace.push(format!("{at}: new array {shape} of {values:?}, due {due:?}"));
                (ArrayRef::new_fixed(&mut *ctx, &ty, &vals), values)
            }
        };
        if let Some(root) = judged(made, &due, true)? {
            let objects = &mut self.stores[at].objects;
            objects.push(Object::Made(shape, values));
            let target = Target::Object(objects.len() - 1);
            self.keep(at, target, Handle::Array(root));
        }
        Ok(())
    }

    /// The value that is stored; what is wrong with it is due.
    fn checked(&self, at: usize, slot: Slot, operand: &super::Operand, due: &mut Vec<Fault>) -> Value {
        if let Some(fault) = operand.fault {
            due.extend([fault, Fault::Mismatch]);
            return Value::Null;
        }
        self.stores[at].stored(slot, operand).unwrap_or_else(|fault| {
            due.push(fault);
            Value::Null
        })
    }

    fn operands(
        &self,
        u: Bytes<'_, '_>,
        at: usize,
        slot: Slot,
        due: &mut Vec<Fault>,
    ) -> Result<(Vec<Val>, Vec<Value>)> {
        let (mut vals, mut values) = (Vec::new(), Vec::new());
        for _ in 0..u.int_in_range(0..=6)? {
            let operand = self.operand(u, at, slot)?;
            values.push(self.checked(at, slot, &operand, due));
            vals.push(operand.val);
        }
        Ok((vals, values))
    }

    fn some_array(&mut self, u: Bytes<'_, '_>, at: usize) -> Result<Option<Array>> {
        let Some(found) = self.some_root(u, at, |h| matches!(h, Handle::Array(_)))? else { return Ok(None) };
        let Handle::Array(root) = found.handle else { return Ok(None) };
        if let Some(fault) = self.fault(&found, at) {
            return Ok(Some(Array { root, known: None, due: vec![fault] }));
        }
        let Some((shape, values)) = self.stores[at].values(found.target, true) else { return Ok(None) };
        let (slot, mutable) = SHAPES[shape].fields[0];
        let known = Known { target: found.target, slot, mutable, length: values.len() as u32 };
        Ok(Some(Array { root, known: Some(known), due: vec![] }))
    }

    fn elements(&mut self, at: usize, target: Target) -> &mut [Value] {
        self.stores[at].values(target, true).map_or(&mut [], |(_, values)| values)
    }

    /// A range of elements, mostly within the array.
    fn range(u: Bytes<'_, '_>, array: &mut Array, count: Option<u32>) -> Result<(u32, u32)> {
        let length = array.known.map_or(4, |known| known.length);
        let (start, count) = if u.ratio(1, 12)? {
            let start = *u.choose(&[0, 1, length, length.wrapping_add(1), u32::MAX])?;
            (start, count.unwrap_or(u.int_in_range(0..=length.saturating_add(1).min(5000))?))
        } else {
            let start = u.int_in_range(0..=length.saturating_sub(count.unwrap_or(0)))?;
            (start, count.unwrap_or(u.int_in_range(0..=length - start)?))
        };
        if array.known.is_some() && u64::from(start) + u64::from(count) > length.into() {
            array.due.push(Fault::Bounds);
        }
        Ok((start, count))
    }

    pub(super) fn get_elements(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some(mut array) = self.some_array(u, at)? else { return Ok(()) };
        if u.arbitrary()? {
            let result = array.root.len(&mut *ctx);
            self.trace.push(format!("{at}: length of {:?}, due {:?}", array.known, array.due));
            let length = judged(result, &array.due, false)?;
            if let (Some(length), Some(known)) = (length, array.known) {
                ensure!(length == known.length, "length {length} instead of {}", known.length);
            }
            return Ok(());
        }
        let one: bool = u.arbitrary()?;
        let (start, count) = World::range(u, &mut array, one.then_some(1))?;
        self.trace.push(format!("{at}: get {count} elements from {start} of {:?}, due {:?}", array.known, array.due));
        let result = match one {
            true => array.root.get(&mut *ctx, start).map(|val| vec![val]),
            false => array.root.elems_in(&mut *ctx, start, count),
        };
        let (Some(vals), Some(known)) = (judged(result, &array.due, false)?, array.known) else { return Ok(()) };
        ensure!(vals.len() == count as usize, "{} elements instead of {count}", vals.len());
        let values = self.elements(at, known.target)[start as usize..][..count as usize].to_vec();
        vals.into_iter().zip(values).try_for_each(|(val, value)| self.read(at, ctx, val, value))
    }

    pub(super) fn set_elements(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some(mut array) = self.some_array(u, at)? else { return Ok(()) };
        let slot = array.known.map_or(Slot::I32, |known| known.slot);
        array.due.extend(array.known.is_some_and(|known| !known.mutable).then_some(Fault::ImmutableElements));
        let (vals, values) = match u.arbitrary()? {
            true => {
                let operand = self.operand(u, at, slot)?;
                let value = self.checked(at, slot, &operand, &mut array.due);
                (vec![operand.val], vec![value])
            }
            false => self.operands(u, at, slot, &mut array.due)?,
        };
        let (start, _) = World::range(u, &mut array, Some(vals.len() as u32))?;
        self.trace.push(format!("{at}: set {values:?} from {start} of {:?}, due {:?}", array.known, array.due));
        let result = match vals[..] {
            [val] if u.arbitrary()? => array.root.set(&mut *ctx, start, val),
            _ => array.root.set_elems(&mut *ctx, start, &vals),
        };
        judged(result, &array.due, false)?;
        if let (true, Some(known)) = (array.due.is_empty(), array.known) {
            self.elements(at, known.target)[start as usize..][..values.len()].copy_from_slice(&values);
        }
        Ok(())
    }

    pub(super) fn fill_elements(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some(mut array) = self.some_array(u, at)? else { return Ok(()) };
        let slot = array.known.map_or(Slot::I32, |known| known.slot);
        array.due.extend(array.known.is_some_and(|known| !known.mutable).then_some(Fault::ImmutableElements));
        let operand = self.operand(u, at, slot)?;
        let value = self.checked(at, slot, &operand, &mut array.due);
        let (start, count) = World::range(u, &mut array, None)?;
        self.trace.push(format!("{at}: fill {count} from {start} of {:?}, due {:?}", array.known, array.due));
        judged(array.root.fill(&mut *ctx, start, operand.val, count), &array.due, false)?;
        if let (true, Some(known)) = (array.due.is_empty(), array.known) {
            self.elements(at, known.target)[start as usize..][..count as usize].fill(value);
        }
        Ok(())
    }

    pub(super) fn copy_elements(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let (Some(mut to), Some(mut from)) = (self.some_array(u, at)?, self.some_array(u, at)?) else { return Ok(()) };
        let (from_start, count) = World::range(u, &mut from, None)?;
        let (to_start, _) = World::range(u, &mut to, Some(count))?;
        let mut due = [to.due, from.due].concat();
        if let (Some(to), Some(from)) = (to.known, from.known) {
            due.extend((!to.mutable).then_some(Fault::ImmutableElements));
            let fits = from.slot == to.slot || (from.slot == Slot::Leaf && to.slot == Slot::Any);
            due.extend((!fits).then_some(Fault::Mismatch));
        }
        // With one of the roots in order, what it names may be wrong too.
        due.extend(to.known.is_some_and(|known| !known.mutable).then_some(Fault::ImmutableElements));
        self.trace.push(format!(
            "{at}: copy {count} from {from_start} of {:?} to {to_start} of {:?}, due {due:?}",
            from.known, to.known
        ));
        judged(ArrayRef::copy(&mut *ctx, &to.root, to_start, &from.root, from_start, count), &due, false)?;
        if let (true, Some(to), Some(from)) = (due.is_empty(), to.known, from.known) {
            let values = self.elements(at, from.target)[from_start as usize..][..count as usize].to_vec();
            self.elements(at, to.target)[to_start as usize..][..values.len()].copy_from_slice(&values);
        }
        Ok(())
    }

    /// Numbers in bulk: out of an array and into it.
    pub(super) fn scalars(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some(array) = self.some_array(u, at)? else { return Ok(()) };
        match u.int_in_range(0..=4)? {
            0 => self.scalars_of(u, at, ctx, array, Slot::I8, |v: u8| Value::I32(v.into())),
            1 => self.scalars_of(u, at, ctx, array, Slot::I16, |v: u16| Value::I32(v.into())),
            2 => self.scalars_of(u, at, ctx, array, Slot::I32, Value::I32),
            3 => self.scalars_of(u, at, ctx, array, Slot::I64, Value::I64),
            _ => self.scalars_of(u, at, ctx, array, Slot::F32, |v: f32| Value::F32(v.to_bits())),
        }
    }

    fn scalars_of<T: Scalar + Copy + Debug + Default + for<'a> arbitrary::Arbitrary<'a>>(
        &mut self,
        u: Bytes<'_, '_>,
        at: usize,
        ctx: &mut Context<'_>,
        mut array: Array,
        slot: Slot,
        value: impl Fn(T) -> Value,
    ) -> Result<()> {
        array.due.extend(array.known.is_some_and(|known| known.slot != slot).then_some(Fault::Mismatch));
        let count: u32 = u.int_in_range(0..=9)?;
        let (start, _) = World::range(u, &mut array, Some(count))?;
        let write = u.arbitrary()?;
        if write {
            array.due.extend(array.known.is_some_and(|known| !known.mutable).then_some(Fault::ImmutableElements));
        }
        self.trace.push(format!(
            "{at}: {} {count} {slot:?} from {start} of {:?}, due {:?}",
            if write { "write" } else { "read" },
            array.known,
            array.due
        ));
        if write {
            let numbers = (0..count).map(|_| u.arbitrary()).collect::<arbitrary::Result<Vec<T>>>()?;
            judged(array.root.copy_from_slice(&mut *ctx, start, &numbers), &array.due, false)?;
            if let (true, Some(known)) = (array.due.is_empty(), array.known) {
                let elements = &mut self.elements(at, known.target)[start as usize..];
                elements.iter_mut().zip(numbers).for_each(|(element, number)| *element = value(number));
            }
        } else {
            let mut numbers = vec![T::default(); count as usize];
            judged(array.root.copy_to_slice(&mut *ctx, start, &mut numbers), &array.due, false)?;
            if let (true, Some(known)) = (array.due.is_empty(), array.known) {
                let elements = &self.elements(at, known.target)[start as usize..][..numbers.len()];
                let found: Vec<Value> = numbers.into_iter().map(value).collect();
                ensure!(found == elements, "{found:?} instead of {elements:?}");
            }
        }
        Ok(())
    }
}
