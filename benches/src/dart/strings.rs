//! The standard string builtins, <https://github.com/WebAssembly/js-string-builtins>: a value that is no string traps.

use super::value::{Js, to_wasm};
use super::{External, Host, MOST_UNITS};
use anyhow::bail;
use heapwright::{
    ArrayRef, AsContextMut, Caller, ExternRef, ExternType, FuncType, Linker, Module, Result, Rooted, Val,
};
use std::cmp::Ordering;
use std::sync::Arc;

const MODULE: &str = "wasm:js-string";

/// The units of the string behind a reference.
fn units<'a>(caller: &'a Caller<'_, Host>, value: &'a External) -> Result<&'a Arc<[u16]>> {
    let data = match value {
        Some(value) => value.data(caller)?,
        None => bail!("null is no string"),
    };
    match data.and_then(|data| data.downcast_ref::<Js>()) {
        Some(js) => js.as_string(),
        None => bail!("an object of the guest's is no string"),
    }
}

fn give(caller: impl AsContextMut, units: impl Into<Arc<[u16]>>) -> Result<Rooted<ExternRef>> {
    ExternRef::new(caller, Js::String(units.into()))
}

pub(super) fn define(linker: &mut Linker<Host>, module: &Module) -> Result<()> {
    linker
        .func_wrap(MODULE, "test", |caller: Caller<'_, Host>, value: External| -> Result<i32> {
            let data = value.as_ref().map(|value| value.data(&caller)).transpose()?.flatten();
            Ok(matches!(data.and_then(|data| data.downcast_ref()), Some(Js::String(_))).into())
        })?
        .func_wrap(MODULE, "length", |caller: Caller<'_, Host>, text: External| -> Result<i32> {
            // As the package's own JavaScript has it, and the program needs it; the standard has it trap.
            Ok(if text.is_none() { 0 } else { units(&caller, &text)?.len() as i32 })
        })?
        .func_wrap(MODULE, "charCodeAt", |caller: Caller<'_, Host>, text: External, at: i32| -> Result<i32> {
            match units(&caller, &text)?.get(at as u32 as usize) {
                Some(&unit) => Ok(unit.into()),
                None => bail!("index {} beyond the string", at as u32),
            }
        })?
        .func_wrap(MODULE, "equals", |caller: Caller<'_, Host>, a: External, b: External| -> Result<i32> {
            Ok(match (&a, &b) {
                (None, None) => true,
                (None, _) | (_, None) => false,
                _ => units(&caller, &a)? == units(&caller, &b)?,
            }
            .into())
        })?
        .func_wrap(MODULE, "compare", |caller: Caller<'_, Host>, a: External, b: External| -> Result<i32> {
            Ok(match units(&caller, &a)?.cmp(units(&caller, &b)?) {
                Ordering::Less => -1,
                Ordering::Equal => 0,
                Ordering::Greater => 1,
            })
        })?
        .func_wrap(
            MODULE,
            "concat",
            |caller: Caller<'_, Host>, a: External, b: External| -> Result<Rooted<ExternRef>> {
                let (a, b) = (units(&caller, &a)?, units(&caller, &b)?);
                if a.len() + b.len() > MOST_UNITS {
                    bail!("no string is that long");
                }
                let joined = [&**a, &**b].concat();
                give(caller, joined)
            },
        )?
        .func_wrap(
            MODULE,
            "substring",
            |caller: Caller<'_, Host>, text: External, start: i32, end: i32| -> Result<Rooted<ExternRef>> {
                let text = units(&caller, &text)?;
                let (start, end) = (start as u32 as usize, (end as u32 as usize).min(text.len()));
                let part: Arc<[u16]> = text.get(start..end).unwrap_or_default().into();
                give(caller, part)
            },
        )?;

    // Two have the module's own array type as a parameter.
    for import in module.imports().filter(|import| import.module() == MODULE) {
        let ExternType::Func(ty) = import.ty() else { continue };
        match import.name() {
            "fromCharCodeArray" => from_char_code_array(linker, ty)?,
            "intoCharCodeArray" => into_char_code_array(linker, ty)?,
            _ => {}
        }
    }
    Ok(())
}

fn array(caller: &mut Caller<'_, Host>, value: &Val) -> Result<Rooted<ArrayRef>> {
    match value.unwrap_anyref().map(|value| value.as_array(caller)).transpose()?.flatten() {
        Some(array) => Ok(array),
        None => bail!("null is no array"),
    }
}

fn from_char_code_array(linker: &mut Linker<Host>, ty: FuncType) -> Result<()> {
    linker.func_new(MODULE, "fromCharCodeArray", ty, |mut caller, params, results| {
        let array = array(&mut caller, &params[0])?;
        let (start, end) = (params[1].unwrap_i32() as u32, params[2].unwrap_i32() as u32);
        let length = array.len(&mut caller)?;
        if start > end || end > length {
            bail!("elements {start} to {end} of an array of {length}");
        }
        let mut units = vec![0u16; (end - start) as usize];
        array.copy_to_slice(&mut caller, start, &mut units)?;
        results[0] = to_wasm(&mut caller, Js::String(units.into()))?.into();
        Ok(())
    })?;
    Ok(())
}

fn into_char_code_array(linker: &mut Linker<Host>, ty: FuncType) -> Result<()> {
    linker.func_new(MODULE, "intoCharCodeArray", ty, |mut caller, params, results| {
        let text = units(&caller, &params[0].unwrap_externref())?.clone();
        let array = array(&mut caller, &params[1])?;
        array.copy_from_slice(&mut caller, params[2].unwrap_i32() as u32, &text)?;
        results[0] = Val::I32(text.len() as i32);
        Ok(())
    })?;
    Ok(())
}
