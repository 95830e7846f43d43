//! References as such: host values, conversions, casts, equality, owned roots, globals and tables.

use super::model::{Fault, Object, SHAPES, Target, Type, Value};
use super::{Bytes, Context, Handle, Owned, Root, Token, World, engine_of, judged};
use anyhow::{bail, ensure};
use heapwright::{
    AnyRef, EqRef, ExternRef, GcRefKind, HeapType, I31, OwnedRooted, Ref, Result, Rooted, Trap, TrapCode, Val,
};
use std::sync::Arc;

impl World {
    pub(super) fn new_host(&mut self, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        self.trace.push(format!("{at}: host value {}", self.made));
        let token = Token { number: self.made, drops: Arc::clone(&self.drops) };
        self.made += 1;
        if let Some(root) = judged(ExternRef::new(&mut *ctx, token), &[], true)? {
            let objects = &mut self.stores[at].objects;
            objects.push(Object::Host(self.made - 1));
            let target = Target::Object(objects.len() - 1);
            self.keep(at, target, Handle::Extern(root));
        }
        Ok(())
    }

    pub(super) fn host_data(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some(root) = self.some_root(u, at, |h| matches!(h, Handle::Extern(_)))? else { return Ok(()) };
        let Handle::Extern(handle) = root.handle else { return Ok(()) };
        let due: Vec<Fault> = self.fault(&root, at).into_iter().collect();
        self.trace.push(format!("{at}: host value of {:?}, due {due:?}", root.target));
        let data = handle.data(&*ctx).map(|data| data.map(|data| data.downcast_ref::<Token>().map(|t| t.number)));
        if let Some(found) = judged(data, &due, false)? {
            self.same_host(at, root.target, found)?;
        }
        Ok(())
    }

    /// Compares a host value's number; converted internal references have none.
    pub(super) fn same_host(&self, at: usize, target: Target, found: Option<Option<u64>>) -> Result<()> {
        let expected = match target {
            Target::Object(index) => match self.stores[at].objects[index] {
                Object::Host(number) => Some(Some(number)),
                Object::Made(..) => None,
            },
            Target::I31(_) => None,
        };
        ensure!(found == expected, "host value {found:?} instead of {expected:?}");
        Ok(())
    }

    pub(super) fn convert(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some(root) = self.some_root(u, at, |_| true)? else { return Ok(()) };
        let due: Vec<Fault> = self.fault(&root, at).into_iter().collect();
        self.trace.push(format!("{at}: convert {:?}, due {due:?}", root.handle));
        let result = match root.handle {
            Handle::Extern(handle) => AnyRef::convert_extern(&mut *ctx, handle).map(Handle::Any),
            other => ExternRef::convert_any(&mut *ctx, any(other)).map(Handle::Extern),
        };
        if let Some(handle) = judged(result, &due, false)? {
            self.keep(at, root.target, handle);
        }
        Ok(())
    }

    /// Kind, conversions and type tests of one reference.
    pub(super) fn cast(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let Some(root) = self.some_root(u, at, |h| !matches!(h, Handle::Extern(_)))? else { return Ok(()) };
        let due: Vec<Fault> = self.fault(&root, at).into_iter().collect();
        let shape = if due.is_empty() { self.stores[at].shape(root.target) } else { None };
        let kind = match (root.target, shape) {
            (Target::I31(_), _) => GcRefKind::I31,
            (_, Some(shape)) if SHAPES[shape].is_array => GcRefKind::Array,
            (_, Some(_)) => GcRefKind::Struct,
            (_, None) => GcRefKind::Extern,
        };
        let question = u.int_in_range(0..=5)?;
        self.trace.push(format!("{at}: cast {question} of {:?}, due {due:?}", root.target));
        match question {
            0 => {
                let found = match root.handle {
                    Handle::Eq(handle) => handle.kind(&mut *ctx),
                    other => any(other).kind(&mut *ctx),
                };
                if let Some(found) = judged(found, &due, false)? {
                    ensure!(found == kind, "kind {found:?} instead of {kind:?}");
                }
            }
            1 => {
                let found = judged(any(root.handle).as_struct(&mut *ctx), &due, false)?;
                self.given(&root, found, kind == GcRefKind::Struct, Handle::Struct)?;
            }
            2 => {
                let found = judged(any(root.handle).as_array(&mut *ctx), &due, false)?;
                self.given(&root, found, kind == GcRefKind::Array, Handle::Array)?;
            }
            3 => {
                let found = judged(any(root.handle).as_eqref(&mut *ctx), &due, false)?;
                self.given(&root, found, kind != GcRefKind::Extern, Handle::Eq)?;
            }
            4 => {
                let expected = match root.target {
                    Target::I31(value) => Some(value),
                    Target::Object(_) => None,
                };
                let found = any(root.handle).as_i31(&*ctx).map(|i31| i31.map(I31::get_u32));
                if let Some(found) = judged(found, &due, false)? {
                    ensure!(found == expected, "i31 {found:?} instead of {expected:?}");
                }
            }
            _ => self.type_test(u, at, ctx, &root, kind, shape, due)?,
        }
        Ok(())
    }

    /// Remembers what a cast gave, if it was to give something: the same root under another type.
    fn given<R>(
        &mut self,
        root: &Root,
        found: Option<Option<Rooted<R>>>,
        expected: bool,
        handle: impl Fn(Rooted<R>) -> Handle,
    ) -> Result<()> {
        let Some(found) = found else { return Ok(()) };
        ensure!(found.is_some() == expected, "the cast gave {found:?}");
        if let Some(cast) = found {
            self.remember(Root { handle: handle(cast), ..*root });
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "what was found out about one reference, used once")]
    fn type_test(
        &mut self,
        u: Bytes<'_, '_>,
        at: usize,
        ctx: &mut Context<'_>,
        root: &Root,
        kind: GcRefKind,
        shape: Option<usize>,
        mut due: Vec<Fault>,
    ) -> Result<()> {
        let is_eq = kind != GcRefKind::Extern;
        let (ty, expected) = match u.int_in_range(0..=7)? {
            0 => (HeapType::Any, true),
            1 => (HeapType::Eq, is_eq),
            2 => (HeapType::I31, kind == GcRefKind::I31),
            3 => (HeapType::Struct, kind == GcRefKind::Struct),
            4 => (HeapType::Array, kind == GcRefKind::Array),
            5 => (HeapType::Extern, false),
            _ => {
                let asked = u.int_in_range(0..=SHAPES.len() - 1)?;
                let engine = if u.ratio(1, 8)? { 1 - engine_of(at) } else { engine_of(at) };
                due.extend((engine != engine_of(at)).then_some(Fault::WrongEngine));
                let ty = match self.types[engine][asked].clone() {
                    Type::Struct(ty) => HeapType::ConcreteStruct(ty),
                    Type::Array(ty) => HeapType::ConcreteArray(ty),
                };
                (ty, shape == Some(asked))
            }
        };
        let found = any(root.handle).matches_ty(&mut *ctx, &ty);
        if let Some(found) = judged(found, &due, false)? {
            ensure!(found == expected, "belongs to {ty}: {found} instead of {expected}");
        }
        Ok(())
    }

    pub(super) fn equality(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let (Some(a), Some(b)) = (self.some_root(u, at, |_| true)?, self.some_root(u, at, |_| true)?) else {
            return Ok(());
        };
        let due: Vec<Fault> = self.fault(&a, at).into_iter().chain(self.fault(&b, at)).collect();
        self.trace.push(format!("{at}: equality of {:?} and {:?}, due {due:?}", a.target, b.target));
        let found = match (a.handle, b.handle) {
            (Handle::Extern(a), Handle::Extern(b)) => Rooted::ref_eq(&*ctx, &a, &b),
            (Handle::Extern(a), b) => Rooted::ref_eq(&*ctx, &a, &any(b)),
            (a, Handle::Extern(b)) => Rooted::ref_eq(&*ctx, &any(a), &b),
            (a, b) => Rooted::ref_eq(&*ctx, &any(a), &any(b)),
        };
        if let Some(found) = judged(found, &due, false)? {
            let expected = a.target == b.target;
            ensure!(found == expected, "equality is {found} instead of {expected}");
        }
        Ok(())
    }

    /// Makes, uses or drops a root that lives until it is dropped.
    pub(super) fn owned(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let what = u.int_in_range(0..=3)?;
        if what < 2 || self.owned.is_empty() {
            let Some(root) = self.some_root(u, at, |h| !matches!(h, Handle::Extern(_)))? else { return Ok(()) };
            let due: Vec<Fault> = self.fault(&root, at).into_iter().collect();
            self.trace.push(format!("{at}: own {:?}, due {due:?}", root.target));
            let made: Result<OwnedRooted<AnyRef>> = any(root.handle).to_owned_rooted(&mut *ctx);
            if let Some(owned) = judged(made, &due, false)? {
                self.owned.push(Owned { store: at, target: root.target, root: owned });
            }
            return Ok(());
        }
        let index = u.int_in_range(0..=self.owned.len() - 1)?;
        if what == 2 {
            let Owned { store, target, .. } = self.owned.swap_remove(index);
            self.trace.push(format!("{store}: disown {target:?}"));
            return Ok(());
        }
        let owned = &self.owned[index];
        let (store, target) = (owned.store, owned.target);
        let due: &[Fault] = if store == at { &[] } else { &[Fault::WrongStore] };
        self.trace.push(format!("{at}: root of owned {target:?} of {store}, due {due:?}"));
        if let Some(root) = judged(owned.root.to_rooted(&mut *ctx), due, false)? {
            self.keep(at, target, Handle::Any(root));
        }
        Ok(())
    }

    pub(super) fn global(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let which = u.int_in_range(0..=1)?;
        let owner = if u.ratio(1, 12)? { (at + 1) % self.globals.len() } else { at };
        let global = self.globals[owner][which];
        let wrong = (owner != at).then_some(Fault::WrongStore);
        if u.arbitrary()? {
            self.trace.push(format!("{at}: get global {which} of {owner}"));
            let due: Vec<Fault> = wrong.into_iter().collect();
            let Some(val) = judged(global.get(&mut *ctx), &due, false)? else { return Ok(()) };
            let value = self.stores[at].globals[which].map_or(Value::Null, Value::Ref);
            return self.read(at, ctx, val, value);
        }
        let external = (which == 1) != u.ratio(1, 16)?;
        let operand = self.reference(u, at, external)?;
        let mut due: Vec<Fault> = wrong.into_iter().chain(operand.fault).collect();
        due.extend((operand.external != (which == 1)).then_some(Fault::Mismatch));
        self.trace.push(format!("{at}: set global {which} of {owner} to {:?}, due {due:?}", operand.model));
        judged(global.set(&mut *ctx, operand.val), &due, false)?;
        if due.is_empty() {
            self.stores[at].globals[which] = target_of(operand.model);
        }
        Ok(())
    }

    pub(super) fn table(&mut self, u: Bytes<'_, '_>, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let owner = if u.ratio(1, 12)? { (at + 1) % self.tables.len() } else { at };
        let table = self.tables[owner];
        let wrong = (owner != at).then_some(Fault::WrongStore);
        let size = self.stores[at].table.len();
        let index = u.int_in_range(0..=size)?;
        if u.arbitrary()? {
            self.trace.push(format!("{at}: get slot {index} of the table of {owner}"));
            let due: Vec<Fault> = wrong.into_iter().collect();
            let Some(found) = judged(table.get(&mut *ctx, index as u64), &due, false)? else { return Ok(()) };
            return match (found, self.stores[at].table.get(index).copied()) {
                (None, None) => Ok(()),
                (Some(found), Some(value)) => self.read(at, ctx, found.into(), value.map_or(Value::Null, Value::Ref)),
                (found, expected) => bail!("slot {index} holds {found:?} instead of {expected:?}"),
            };
        }
        let external = u.ratio(1, 16)?;
        let operand = self.reference(u, at, external)?;
        let due: Vec<Fault> =
            wrong.into_iter().chain(operand.fault).chain(operand.external.then_some(Fault::Mismatch)).collect();
        let Some(value) = operand.val.as_ref_value() else { return Ok(()) };
        if u.ratio(1, 4)? {
            self.trace.push(format!("{at}: grow the table of {owner}, due {due:?}"));
            return self.grow(at, ctx, table, value, target_of(operand.model), &due);
        }
        self.trace.push(format!("{at}: set slot {index} of the table of {owner} to {:?}, due {due:?}", operand.model));
        let result = table.set(&mut *ctx, index as u64, value);
        if due.is_empty() && index == size {
            let Err(error) = result else { bail!("a slot beyond the end was set") };
            let code = error.downcast_ref::<Trap>().map(Trap::code);
            ensure!(code == Some(TrapCode::TableOutOfBounds), "{error:?} for a slot beyond the end");
            return Ok(());
        }
        judged(result, &due, false)?;
        if due.is_empty() {
            self.stores[at].table[index] = target_of(operand.model);
        }
        Ok(())
    }

    fn grow(
        &mut self,
        at: usize,
        ctx: &mut Context<'_>,
        table: heapwright::Table,
        value: Ref,
        target: Option<Target>,
        due: &[Fault],
    ) -> Result<()> {
        let size = self.stores[at].table.len();
        let result = table.grow(&mut *ctx, 1, value);
        if due.is_empty() && size == 8 {
            ensure!(result.is_err(), "a table grew beyond its maximum");
            return Ok(());
        }
        if let Some(old) = judged(result, due, false)? {
            ensure!(old == size as u64, "the table had {old} slots instead of {size}");
            self.stores[at].table.push(target);
        }
        Ok(())
    }

    /// Compares a value that was read; a reference is remembered.
    pub(super) fn read(&mut self, at: usize, ctx: &mut Context<'_>, val: Val, value: Value) -> Result<()> {
        let handle = match (val, value) {
            (Val::I32(a), Value::I32(b)) if a == b => return Ok(()),
            (Val::I64(a), Value::I64(b)) if a == b => return Ok(()),
            (Val::F32(a), Value::F32(b)) if a == b => return Ok(()),
            (Val::F64(a), Value::F64(b)) if a == b => return Ok(()),
            (Val::AnyRef(None) | Val::ExternRef(None), Value::Null) => return Ok(()),
            (Val::AnyRef(Some(r)), Value::Ref(_)) => Handle::Any(r),
            (Val::ExternRef(Some(r)), Value::Ref(_)) => Handle::Extern(r),
            _ => bail!("read {val:?} instead of {value:?}"),
        };
        let Value::Ref(target) = value else { return Ok(()) };
        // Another root that is alive tells whether it is the same object; the audit looks at it from inside.
        let known = self.roots.iter().find(|root| root.target == target && self.fault(root, at).is_none()).copied();
        if let Some(known) = known {
            let a = internal(ctx, handle)?;
            let b = internal(ctx, known.handle)?;
            ensure!(Rooted::ref_eq(&*ctx, &a, &b)?, "read another object than {target:?}");
        }
        self.keep(at, target, handle);
        Ok(())
    }
}

fn target_of(value: Value) -> Option<Target> {
    match value {
        Value::Ref(target) => Some(target),
        _ => None,
    }
}

/// An internal root as an `anyref`.
fn any(handle: Handle) -> Rooted<AnyRef> {
    match handle {
        Handle::Any(r) => r,
        Handle::Eq(r) => Rooted::<EqRef>::to_anyref(r),
        Handle::Struct(r) => r.to_anyref(),
        Handle::Array(r) => r.to_anyref(),
        Handle::Extern(_) => unreachable!("callers take internal roots only"),
    }
}

/// Any root as an `anyref`.
pub(super) fn internal(ctx: &mut Context<'_>, handle: Handle) -> Result<Rooted<AnyRef>> {
    match handle {
        Handle::Extern(r) => AnyRef::convert_extern(ctx, r),
        other => Ok(any(other)),
    }
}
