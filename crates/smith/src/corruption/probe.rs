//! What a host does with the objects of a store, whatever has become of them.

use heapwright::{AnyRef, AsContextMut, ExternRef, Result, RootScope, Rooted, Val};

/// Objects that a probe looks at.
const MOST_OBJECTS: usize = 60;
/// Fields or elements of each.
const MOST_VALUES: u32 = 20;

/// Looks at what a value reaches: types, lengths, fields, identities, host values. The sum says nothing; the errors do.
///
/// # Errors
///
/// The first that the embedding interface gives.
pub(super) fn probe(store: impl AsContextMut, value: Val) -> Result<u32> {
    let mut scope = RootScope::new(store);
    let (mut waiting, mut sum) = (vec![value], 0u32);
    let mut next = 0;
    while let Some(value) = waiting.get(next).copied() {
        next += 1;
        if next > MOST_OBJECTS {
            break;
        }
        sum = sum.wrapping_add(match value {
            Val::I32(v) => v as u32,
            Val::ExternRef(Some(host)) => look(&mut scope, host)?,
            Val::ExnRef(Some(exn)) => {
                let _ = exn.tag(&mut scope)?;
                waiting.extend(exn.fields(&mut scope)?.into_iter().take(MOST_VALUES as usize));
                1
            }
            Val::AnyRef(Some(object)) => object_values(&mut scope, object, &mut waiting)?,
            _ => 0,
        });
    }
    Ok(sum)
}

fn object_values(scope: &mut impl AsContextMut, object: Rooted<AnyRef>, waiting: &mut Vec<Val>) -> Result<u32> {
    if let Some(i31) = object.as_i31(&mut *scope)? {
        return Ok(i31.get_u32());
    }
    let _ = object.identity(&mut *scope)?;
    if let Some(object) = object.as_struct(&mut *scope)? {
        let fields = object.fields(&mut *scope)?;
        let count = fields.len() as u32;
        if let Some(first) = fields.first() {
            // Written back as it was: that runs the barriers.
            let _ = object.set_field(&mut *scope, 0, *first);
        }
        waiting.extend(fields.into_iter().take(MOST_VALUES as usize));
        return Ok(count);
    }
    if let Some(array) = object.as_array(&mut *scope)? {
        let length = array.len(&mut *scope)?;
        for index in (0..length).step_by((length / MOST_VALUES + 1) as usize) {
            let element = array.get(&mut *scope, index)?;
            array.set(&mut *scope, index, element)?;
            waiting.push(element);
        }
        return Ok(length);
    }
    let host = ExternRef::convert_any(&mut *scope, object)?;
    look(scope, host)
}

/// The number in a host value; 0 if it is another.
pub(super) fn look(store: &mut impl AsContextMut, host: Rooted<ExternRef>) -> Result<u32> {
    let data = host.data(&*store)?;
    Ok(data.and_then(|data| data.downcast_ref::<super::Token>()).map_or(0, |token| token.number as u32))
}
