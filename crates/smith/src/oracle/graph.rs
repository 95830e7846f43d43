//! A hash of the objects that globals reach.
//!
//! Objects are numbered in the order in which they are met; a reference counts as the number of what it names. So two
//! graphs have the same hash if and (nearly) only if they are isomorphic, wherever their objects stand.

use heapwright::{AnyRef, Global, Identity, Result, Rooted, StoreContextMut, Val};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The hash, and the number of objects; nothing if there are more than `most`.
pub(super) fn hash<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    globals: &[Global],
    most: usize,
) -> Result<Option<(u64, usize)>> {
    let mut walk = Walk { hasher: DefaultHasher::new(), known: HashMap::new(), waiting: Vec::new() };
    for global in globals {
        let value = global.get(&mut *store)?;
        walk.value(store, value)?;
    }
    let mut next = 0;
    while let Some(&object) = walk.waiting.get(next) {
        next += 1;
        if walk.waiting.len() > most {
            return Ok(None);
        }
        walk.object(store, object)?;
    }
    Ok(Some((walk.hasher.finish(), next)))
}

struct Walk {
    hasher: DefaultHasher,
    known: HashMap<Identity, usize>,
    waiting: Vec<Rooted<AnyRef>>,
}

impl Walk {
    fn value<T: 'static>(&mut self, store: &mut StoreContextMut<'_, T>, value: Val) -> Result<()> {
        match value {
            Val::I32(v) => (0, v).hash(&mut self.hasher),
            Val::I64(v) => (1, v).hash(&mut self.hasher),
            // The payload of a NaN is not determined.
            Val::F32(bits) => (2, if f32::from_bits(bits).is_nan() { !0 } else { bits }).hash(&mut self.hasher),
            Val::F64(bits) => (3, if f64::from_bits(bits).is_nan() { !0 } else { bits }).hash(&mut self.hasher),
            Val::V128(v) => (4, v.as_u128()).hash(&mut self.hasher),
            Val::FuncRef(f) => (5, f.is_some()).hash(&mut self.hasher),
            Val::ExnRef(e) => (6, e.is_some()).hash(&mut self.hasher),
            Val::ExternRef(e) => match e {
                None => 7.hash(&mut self.hasher),
                Some(e) => {
                    let any = AnyRef::convert_extern(&mut *store, e)?;
                    self.reference(store, any)?;
                }
            },
            Val::AnyRef(None) => 8.hash(&mut self.hasher),
            Val::AnyRef(Some(r)) => self.reference(store, r)?,
        }
        Ok(())
    }

    fn reference<T: 'static>(&mut self, store: &mut StoreContextMut<'_, T>, r: Rooted<AnyRef>) -> Result<()> {
        if let Some(i31) = r.as_i31(&mut *store)? {
            (9, i31.get_u32()).hash(&mut self.hasher);
            return Ok(());
        }
        let identity = r.identity(&mut *store)?;
        let next = self.known.len();
        let number = *self.known.entry(identity).or_insert(next);
        if number == next {
            self.waiting.push(r);
        }
        (10, number).hash(&mut self.hasher);
        Ok(())
    }

    fn object<T: 'static>(&mut self, store: &mut StoreContextMut<'_, T>, r: Rooted<AnyRef>) -> Result<()> {
        let values = if let Some(object) = r.as_struct(&mut *store)? {
            11.hash(&mut self.hasher);
            object.fields(&mut *store)?
        } else if let Some(array) = r.as_array(&mut *store)? {
            12.hash(&mut self.hasher);
            array.elems(&mut *store)?
        } else {
            // A host value.
            13.hash(&mut self.hasher);
            return Ok(());
        };
        values.len().hash(&mut self.hasher);
        values.into_iter().try_for_each(|value| self.value(store, value))
    }
}
