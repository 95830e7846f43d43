//! Calling one export with arguments from the command line.

use super::ending::show;
use super::host::Host;
use crate::failure::Failure;
use crate::output::quoted;
use anyhow::anyhow;
use heapwright::{ExternType, FuncType, GcRefKind, Instance, Module, Result, Store, V128, Val, ValType};
use std::ffi::OsString;
use std::path::Path;
use std::str::FromStr;

/// A call, checked against the export's type.
pub(crate) struct Call {
    name: String,
    args: Vec<Val>,
    results: usize,
}

impl Call {
    /// Finds the export and reads its arguments.
    pub(crate) fn parse(file: &Path, module: &Module, name: &str, args: &[OsString]) -> Result<Call, Failure> {
        let file = file.display();
        let ty = match module.get_export(name) {
            Some(ExternType::Func(ty)) => ty,
            Some(other) => {
                return Err(Failure::unusable(format_args!("{file}: the export `{name}` is {other}, not a function")));
            }
            None => {
                return Err(Failure::unusable(format_args!("{file} has no export `{name}`; {}", functions(module))));
            }
        };
        let args = arguments(name, &ty, args).map_err(Failure::usage)?;
        Ok(Call { name: name.to_owned(), args, results: ty.results().len() })
    }

    /// Calls it, and gives the results, one a line.
    pub(crate) fn run(&self, store: &mut Store<Host>, instance: Instance) -> Result<String> {
        let func = instance.get_func(&mut *store, &self.name);
        let func = func.ok_or_else(|| anyhow!("no exported function `{}`", self.name))?;
        let mut results = vec![Val::I32(0); self.results];
        func.call(&mut *store, &self.args, &mut results)?;
        let mut text = String::new();
        for result in &results {
            text.push_str(&show_result(store, result));
            text.push('\n');
        }
        Ok(text)
    }
}

/// A list of the functions that can be called.
pub(crate) fn functions(module: &Module) -> String {
    /// More would be noise.
    const SHOWN: usize = 12;
    let names: Vec<String> = module.exports().filter(|e| e.ty().func().is_some()).map(|e| quoted(e.name())).collect();
    match names.len() {
        0 => "it exports no functions".to_owned(),
        n if n > SHOWN => format!("it exports the functions {} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        1 => format!("it exports the function {}; use --invoke to call it", names[0]),
        _ => format!("it exports the functions {}; use --invoke to call one", names.join(", ")),
    }
}

fn arguments(name: &str, ty: &FuncType, args: &[OsString]) -> Result<Vec<Val>, String> {
    let params: Vec<ValType> = ty.params().collect();
    if params.len() != args.len() {
        let plural = if params.len() == 1 { "" } else { "s" };
        return Err(format!(
            "`{name}` takes {} argument{plural} and was given {}: its type is {ty}",
            params.len(),
            args.len()
        ));
    }
    let parse = |(i, (text, ty)): (usize, (&OsString, &ValType))| {
        let text = text.to_str().ok_or_else(|| format!("argument {} of `{name}` is not UTF-8", i + 1))?;
        argument(text, ty).map_err(|why| format!("argument {} of `{name}`, `{text}`: {why}", i + 1))
    };
    args.iter().zip(&params).enumerate().map(parse).collect()
}

fn argument(text: &str, ty: &ValType) -> Result<Val, String> {
    match ty {
        ValType::I32 => integer(text, 32).map(|v| Val::I32(v as i32)),
        ValType::I64 => integer(text, 64).map(|v| Val::I64(v as i64)),
        ValType::F32 => float::<f32>(text).map(Val::from),
        ValType::F64 => float::<f64>(text).map(Val::from),
        ValType::V128 => {
            let digits = text.strip_prefix("0x").filter(|d| !d.starts_with('+'));
            let bits = digits.and_then(|d| u128::from_str_radix(d, 16).ok());
            bits.map(|bits| V128::from(bits).into())
                .ok_or_else(|| "a v128 is given as up to 32 hexadecimal digits after `0x`".into())
        }
        ValType::Ref(r) if r.is_nullable() && text == "null" => Ok(Val::null_ref(r.heap_type())),
        ValType::Ref(r) if r.is_nullable() => Err(format!("the only {ty} that can be given here is `null`")),
        ValType::Ref(_) => Err(format!("no {ty} can be given here")),
    }
}

/// An integer of so many bits, signed or unsigned, in decimal or after `0x` in hexadecimal.
fn integer(text: &str, bits: u32) -> Result<u64, String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    let plain = !digits.starts_with(['+', '-']);
    let magnitude = u64::from_str_radix(digits, radix).ok().filter(|_| plain);
    let magnitude = magnitude.ok_or_else(|| format!("it is no integer of {bits} bits"))?;
    let most = if negative { 1 << (bits - 1) } else { u64::MAX >> (64 - bits) };
    if magnitude > most {
        return Err(format!("it does not fit {bits} bits"));
    }
    Ok(if negative { magnitude.wrapping_neg() } else { magnitude })
}

fn float<F: FromStr>(text: &str) -> Result<F, String> {
    text.parse().map_err(|_| "it is no number".to_owned())
}

fn show_result(store: &mut Store<Host>, value: &Val) -> String {
    let Val::AnyRef(Some(r)) = value else { return show(value) };
    match r.kind(&mut *store) {
        Ok(GcRefKind::I31) => match r.as_i31(&*store) {
            Ok(Some(v)) => format!("(i31 {})", v.get_i32()),
            _ => show(value),
        },
        Ok(GcRefKind::Struct) => "(struct)".to_owned(),
        Ok(GcRefKind::Array) => "(array)".to_owned(),
        _ => show(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heapwright::{HeapType, RefType};

    fn bits(text: &str, ty: &ValType) -> Option<u128> {
        Some(match argument(text, ty).ok()? {
            Val::I32(v) => u128::from(v as u32),
            Val::I64(v) => u128::from(v as u64),
            Val::F32(v) => v.into(),
            Val::F64(v) => v.into(),
            Val::V128(v) => v.as_u128(),
            _ => return None,
        })
    }

    #[test]
    fn arguments_by_type() {
        assert_eq!(bits("-1", &ValType::I32), Some(0xffff_ffff));
        assert_eq!(bits("4294967295", &ValType::I32), Some(0xffff_ffff));
        assert_eq!(bits("0x80000000", &ValType::I32), Some(0x8000_0000));
        assert_eq!(bits("-2147483648", &ValType::I32), Some(0x8000_0000));
        for wrong in ["-2147483649", "4294967296", "", "-", "0x", "+1", "--1", "-+1", "1.0", "0x-1", "one"] {
            assert_eq!(bits(wrong, &ValType::I32), None, "{wrong}");
        }
        assert_eq!(bits("-9223372036854775808", &ValType::I64), Some(1 << 63));
        assert_eq!(bits("18446744073709551615", &ValType::I64), Some(u128::from(u64::MAX)));
        assert_eq!(bits("-9223372036854775809", &ValType::I64), None);
        assert_eq!(bits("1.5", &ValType::F32), Some(0x3fc0_0000));
        assert_eq!(bits("-inf", &ValType::F64), Some(0xfff0_0000_0000_0000));
        assert_eq!(bits("x", &ValType::F64), None);
        assert_eq!(bits("0xff", &ValType::V128), Some(255));
        assert_eq!(bits("255", &ValType::V128), None);
    }

    #[test]
    fn the_only_reference_is_null() {
        assert!(matches!(argument("null", &ValType::EXTERNREF), Ok(Val::ExternRef(None))));
        assert!(matches!(argument("null", &ValType::FUNCREF), Ok(Val::FuncRef(None))));
        assert!(argument("7", &ValType::EXTERNREF).is_err());
        assert!(argument("null", &ValType::Ref(RefType::new(false, HeapType::Any))).is_err());
    }
}
