//! A walk over all that is rooted in a store, and over the model at the same time.

use super::model::{Object, SHAPES, Target, Value};
use super::references::internal;
use super::{Context, Token, World};
use anyhow::{bail, ensure};
use heapwright::{AnyRef, AsContextMut, ExternRef, I31, Identity, Result, RootScope, Rooted, Val};
use std::collections::HashMap;

impl World {
    /// Compares everything that roots, globals and the table of a store reach.
    pub(super) fn audit(&self, at: usize, ctx: &mut Context<'_>) -> Result<()> {
        let mut scope = RootScope::new(ctx);
        let mut ctx = scope.as_context_mut();
        let mut walk = Walk { found: HashMap::new(), known: HashMap::new(), waiting: Vec::new() };
        for root in self.roots.iter().filter(|root| self.fault(root, at).is_none()) {
            let any = internal(&mut ctx, root.handle)?;
            walk.reference(&mut ctx, any, root.target)?;
        }
        for owned in self.owned.iter().filter(|owned| owned.store == at) {
            let any = owned.root.to_rooted(&mut ctx)?;
            walk.reference(&mut ctx, any, owned.target)?;
        }
        for (global, target) in self.globals[at].iter().zip(self.stores[at].globals) {
            let val = global.get(&mut ctx)?;
            walk.value(&mut ctx, val, target.map_or(Value::Null, Value::Ref))?;
        }
        for (index, target) in self.stores[at].table.iter().enumerate() {
            let Some(val) = self.tables[at].get(&mut ctx, index as u64)? else { bail!("slot {index} is gone") };
            walk.value(&mut ctx, val.into(), target.map_or(Value::Null, Value::Ref))?;
        }
        while let Some((any, index)) = walk.waiting.pop() {
            match &self.stores[at].objects[index] {
                Object::Host(_) => {
                    let external = ExternRef::convert_any(&mut ctx, any)?;
                    let data = external.data(&ctx)?;
                    let number = data.map(|data| data.downcast_ref::<Token>().map(|token| token.number));
                    self.same_host(at, Target::Object(index), number)?;
                }
                Object::Made(shape, values) => {
                    let found = if SHAPES[*shape].is_array {
                        let Some(array) = any.as_array(&mut ctx)? else { bail!("object {index} is no array") };
                        array.elems(&mut ctx)?
                    } else {
                        let Some(object) = any.as_struct(&mut ctx)? else { bail!("object {index} is no struct") };
                        object.fields(&mut ctx)?
                    };
                    ensure!(found.len() == values.len(), "object {index} has {} values", found.len());
                    for (val, value) in found.into_iter().zip(values) {
                        walk.value(&mut ctx, val, *value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

struct Walk {
    /// What stands for each object of the model, and the other way round.
    found: HashMap<usize, Identity>,
    known: HashMap<Identity, usize>,
    waiting: Vec<(Rooted<AnyRef>, usize)>,
}

impl Walk {
    fn value(&mut self, ctx: &mut Context<'_>, val: Val, value: Value) -> Result<()> {
        match (val, value) {
            (Val::I32(a), Value::I32(b)) if a == b => Ok(()),
            (Val::I64(a), Value::I64(b)) if a == b => Ok(()),
            (Val::F32(a), Value::F32(b)) if a == b => Ok(()),
            (Val::F64(a), Value::F64(b)) if a == b => Ok(()),
            (Val::AnyRef(None) | Val::ExternRef(None), Value::Null) => Ok(()),
            (Val::AnyRef(Some(r)), Value::Ref(target)) => self.reference(ctx, r, target),
            (Val::ExternRef(Some(r)), Value::Ref(target)) => {
                let any = AnyRef::convert_extern(&mut *ctx, r)?;
                self.reference(ctx, any, target)
            }
            _ => bail!("{val:?} stands where {value:?} was written"),
        }
    }

    fn reference(&mut self, ctx: &mut Context<'_>, any: Rooted<AnyRef>, target: Target) -> Result<()> {
        let i31 = any.as_i31(&*ctx)?.map(I31::get_u32);
        let index = match (i31, target) {
            (Some(a), Target::I31(b)) if a == b => return Ok(()),
            (None, Target::Object(index)) => index,
            _ => bail!("i31 {i31:?} stands where {target:?} was written"),
        };
        let identity = any.identity(&mut *ctx)?;
        match (self.found.get(&index), self.known.get(&identity)) {
            (None, None) => {
                self.found.insert(index, identity.clone());
                self.known.insert(identity, index);
                self.waiting.push((any, index));
                Ok(())
            }
            (Some(_), Some(&other)) if other == index => Ok(()),
            (Some(_), None) => bail!("object {index} exists twice"),
            (_, other) => bail!("objects {index} and {other:?} are one"),
        }
    }
}
