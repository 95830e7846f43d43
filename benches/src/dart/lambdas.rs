//! The numbered JavaScript functions. The numbers are those of `dart_fmt` 0.4.0; what each does is told by its body in
//! the package's `dart_fmt.mjs`, to which the comments refer in JavaScript's terms.

use super::regexp::{construct, index_of, split_at};
use super::value::{Js, from_wasm, to_wasm};
use super::{External, Host, MOST_ITEMS, MOST_UNITS};
use anyhow::bail;
use heapwright::{AsContextMut, Caller, ExternRef, Linker, Result, Rooted, WasmBacktrace};

const MODULE: &str = "dart2wasm";

/// Defines functions from values to values: `NUMBER name => body`.
macro_rules! on_values {
    ($linker:ident: $($number:literal ($($x:ident),*) => $body:expr;)*) => {$(
        $linker.func_wrap(
            MODULE,
            concat!("_", $number),
            |mut caller: Caller<'_, Host>, $($x: External),*| -> Result<External> {
                $(let $x = from_wasm(&mut caller, $x)?;)*
                let result: Js = $body;
                to_wasm(&mut caller, result)
            },
        )?;
    )*};
}

/// As `on_values`, for functions that answer yes or no.
macro_rules! tests {
    ($linker:ident: $($number:literal ($($x:ident),*) => $body:expr;)*) => {$(
        $linker.func_wrap(
            MODULE,
            concat!("_", $number),
            |mut caller: Caller<'_, Host>, $($x: External),*| -> Result<i32> {
                $(let $x = from_wasm(&mut caller, $x)?;)*
                let result: bool = $body;
                Ok(result.into())
            },
        )?;
    )*};
}

pub(super) fn define(linker: &mut Linker<Host>) -> Result<()> {
    on_values! { linker:
        // Arrays and objects.
        36 (length) => match length.as_index()? {
            Some(length @ ..=MOST_ITEMS) => Js::array(vec![Js::Undefined; length]),
            _ => bail!("no array is that long"),
        };
        38 (x) => match &x {
            Js::String(text) => Js::Number(text.len() as f64),
            other => Js::Number(other.as_array()?.items().len() as f64),
        };
        40 (x, at) => element(&x, at.as_index()?)?;
        208 (x) => x.as_array()?.items().pop().unwrap_or(Js::Undefined);
        181 () => Js::object();
        // Regular expressions and their matches.
        205 (pattern, flags) => construct(&pattern, &flags)?;
        206 (regexp, text) => regexp.as_regexp()?.exec(text.as_string()?);
        207 (regexp, text) => Js::Bool(regexp.as_regexp()?.test(text.as_string()?));
        257 (found) => found.as_array()?.index.map_or(Js::Undefined, |index| Js::Number(index as f64));
        259 (regexp) => Js::string(&regexp.as_regexp()?.flags);
        260 (regexp) => Js::Bool(regexp.as_regexp()?.has('m'));
        261 (regexp) => Js::Bool(regexp.as_regexp()?.has('i'));
        262 (regexp) => Js::Bool(regexp.as_regexp()?.has('u'));
        263 (regexp) => Js::Bool(regexp.as_regexp()?.has('s'));
        // Strings.
        103 (text) => map_chars(&text, |c, out| out.extend(c.to_lowercase()))?;
        104 (text) => map_chars(&text, |c, out| out.extend(c.to_uppercase()))?;
        105 (text) => trim(&text)?;
        111 (text, separator) => Js::array(match &separator {
            Js::RegExp(regexp) => regexp.split(text.as_string()?),
            other => split_at(text.as_string()?, other.as_string()?),
        });
        235 (x) => x.to_js_string()?;
        // The environment: no `location`, and `Math`.
        82 () => Js::Null;
        272 () => Js::Math;
    }
    tests! { linker:
        112 (a, b) => match (&a, &b) {
            (Js::Number(a), Js::Number(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
            _ => a.strictly_equals(&b),
        };
        113 (x) => matches!(x, Js::Array(_));
        210 (x) => matches!(x, Js::Undefined);
        212 (x) => matches!(x, Js::Function(_));
        215 (x) => matches!(x, Js::RegExp(_));
        216 (a, b) => a.strictly_equals(&b);
        219 (x) => match x {
            Js::Bool(value) => value,
            other => bail!("{} is no boolean", other.kind()),
        };
    }
    numbers(linker)?;
    others(linker)
}

/// Functions with numbers among their parameters or results.
fn numbers(linker: &mut Linker<Host>) -> Result<()> {
    linker
        .func_wrap(MODULE, "_73", |mut caller: Caller<'_, Host>, text: External| number_of(&mut caller, text))?
        .func_wrap(MODULE, "_77", |mut caller: Caller<'_, Host>, text: External| number_of(&mut caller, text))?
        .func_wrap(MODULE, "_83", || 0i32)?
        .func_wrap(MODULE, "_108", |mut caller: Caller<'_, Host>, text: External, times: i32| -> Result<External> {
            let text = from_wasm(&mut caller, text)?;
            let Ok(times) = usize::try_from(times) else { bail!("a string repeated {times} times") };
            if text.as_string()?.len().saturating_mul(times) > MOST_UNITS {
                bail!("no string is that long");
            }
            let repeated = text.as_string()?.repeat(times);
            to_wasm(&mut caller, Js::String(repeated.into()))
        })?
        .func_wrap(
            MODULE,
            "_109",
            |mut caller: Caller<'_, Host>, text: External, part: External, from: i32| -> Result<f64> {
                let (text, part) = (from_wasm(&mut caller, text)?, from_wasm(&mut caller, part)?);
                let found = index_of(text.as_string()?, part.as_string()?, from.max(0) as usize);
                Ok(found.map_or(-1.0, |at| at as f64))
            },
        )?
        .func_wrap(
            MODULE,
            "_110",
            |mut caller: Caller<'_, Host>, text: External, part: External, from: f64| -> Result<f64> {
                let (text, part) = (from_wasm(&mut caller, text)?, from_wasm(&mut caller, part)?);
                let (text, part) = (text.as_string()?, part.as_string()?);
                // NaN is the end; a negative place is the beginning.
                let last = text.len().saturating_sub(part.len());
                let from = if from.is_nan() { last } else { (from as usize).min(last) };
                let found = (0..=from).rev().find(|&at| text[at..].starts_with(part));
                Ok(found.map_or(-1.0, |at| at as f64))
            },
        )?
        .func_wrap(MODULE, "_124", |mut caller: Caller<'_, Host>, array: External| -> Result<f64> {
            Ok(from_wasm(&mut caller, array)?.as_array()?.items().len() as f64)
        })?
        .func_wrap(MODULE, "_126", |mut caller: Caller<'_, Host>, array: External, at: i32| -> Result<External> {
            let item = element(&from_wasm(&mut caller, array)?, usize::try_from(at).ok())?;
            to_wasm(&mut caller, item)
        })?
        .func_wrap(
            MODULE,
            "_127",
            |mut caller: Caller<'_, Host>, array: External, at: i32, value: External| -> Result<()> {
                let (array, value) = (from_wasm(&mut caller, array)?, from_wasm(&mut caller, value)?);
                set_element(&array, usize::try_from(at).ok(), value)
            },
        )?
        .func_wrap(MODULE, "_217", |mut caller: Caller<'_, Host>, x: External| -> Result<f64> {
            from_wasm(&mut caller, x)?.as_number()
        })?
        .func_wrap(MODULE, "_218", |mut caller: Caller<'_, Host>, x: f64| to_wasm(&mut caller, Js::Number(x)))?
        .func_wrap(MODULE, "_220", |mut caller: Caller<'_, Host>, x: i32| to_wasm(&mut caller, Js::Bool(x != 0)))?
        .func_wrap(MODULE, "_221", |mut caller: Caller<'_, Host>, x: External| -> Result<i32> {
            Ok(from_wasm(&mut caller, x)?.as_array()?.items().len() as i32)
        })?
        .func_wrap(MODULE, "_223", |mut caller: Caller<'_, Host>, x: External, at: i32| -> Result<External> {
            let item = element(&from_wasm(&mut caller, x)?, usize::try_from(at).ok())?;
            to_wasm(&mut caller, item)
        })?
        .func_wrap(MODULE, "_239", |mut caller: Caller<'_, Host>, x: External| -> Result<i32> {
            Ok(match from_wasm(&mut caller, x)? {
                Js::Undefined => 1,
                Js::Bool(_) => 2,
                Js::Number(_) => 3,
                Js::String(_) => 4,
                Js::Array(_) => 5,
                _ => 19,
            })
        })?
        .func_wrap(MODULE, "_269", |mut caller: Caller<'_, Host>, _: External| -> Result<External> {
            // The same numbers in every run; a linear congruential generator (Knuth's MMIX).
            let state = &mut caller.data_mut().random;
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let random = (*state >> 11) as f64 / (1u64 << 53) as f64;
            to_wasm(&mut caller, Js::Number(random))
        })?
        .func_wrap(MODULE, "_273", |mut caller: Caller<'_, Host>, x: i32, radix: i32| -> Result<External> {
            let text = in_radix(x.into(), radix)?;
            to_wasm(&mut caller, Js::string(&text))
        })?
        .func_wrap(MODULE, "_274", |mut caller: Caller<'_, Host>, x: i64, radix: i32| -> Result<External> {
            let text = in_radix(x, radix)?;
            to_wasm(&mut caller, Js::string(&text))
        })?;
    Ok(())
}

/// Functions without a result, and those that carry Dart's closures.
fn others(linker: &mut Linker<Host>) -> Result<()> {
    for (name, property) in [("_182", "success"), ("_183", "code"), ("_184", "error")] {
        linker.func_wrap(MODULE, name, move |mut caller: Caller<'_, Host>, object: External, value: External| {
            from_wasm(&mut caller, object)?.set(property, from_wasm(&mut caller, value)?)
        })?;
    }
    linker
        .func_wrap(MODULE, "_41", |mut caller: Caller<'_, Host>, array: External, at: External, value: External| {
            let at = from_wasm(&mut caller, at)?.as_index()?;
            set_element(&from_wasm(&mut caller, array)?, at, from_wasm(&mut caller, value)?)
        })?
        .func_wrap(MODULE, "_100", |mut caller: Caller<'_, Host>, text: External| -> Result<()> {
            println!("{}", from_wasm(&mut caller, text)?.to_text()?);
            Ok(())
        })?
        .func_wrap(MODULE, "_264", |mut caller: Caller<'_, Host>, regexp: External, at: External| -> Result<()> {
            let at = from_wasm(&mut caller, at)?.as_index()?.unwrap_or(0);
            from_wasm(&mut caller, regexp)?.as_regexp()?.set_last_index(at);
            Ok(())
        })?
        // The stack of the running program, for an error that it is about to throw.
        .func_wrap(MODULE, "_78", |mut caller: Caller<'_, Host>| -> Result<External> {
            let stack = WasmBacktrace::force_capture(&caller).to_string();
            to_wasm(&mut caller, Js::string(&stack))
        })?
        // A function that calls a closure with three arguments.
        .func_wrap(MODULE, "_186", |mut caller: Caller<'_, Host>, closure: Rooted<ExternRef>| {
            let closure = closure.to_owned_rooted(&mut caller)?;
            let closures = &mut caller.data_mut().closures;
            closures.push(closure.into());
            let number = closures.len() - 1;
            ExternRef::new(&mut caller, Js::Function(number))
        })?
        .func_wrap(MODULE, "_185", |mut caller: Caller<'_, Host>, function: External| -> Result<()> {
            let Js::Function(closure) = from_wasm(&mut caller, function)? else { bail!("`format` is no function") };
            caller.data_mut().format = Some(closure);
            Ok(())
        })?;
    Ok(())
}

/// The Dart closure of a number.
pub(super) fn closure(mut store: impl AsContextMut<Data = Host>, number: usize) -> Result<Rooted<ExternRef>> {
    let mut store = store.as_context_mut();
    let closure = store.data().closures[number].clone();
    closure.to_rooted(&mut store)
}

fn element(array: &Js, at: Option<usize>) -> Result<Js> {
    let items = array.as_array()?.items();
    Ok(at.and_then(|at| items.get(at)).cloned().unwrap_or(Js::Undefined))
}

/// JavaScript would make room; the program assigns only to elements that are there.
fn set_element(array: &Js, at: Option<usize>, value: Js) -> Result<()> {
    let mut items = array.as_array()?.items();
    let length = items.len();
    match at.and_then(|at| items.get_mut(at)) {
        Some(item) => *item = value,
        None => bail!("an element beyond an array of {length} is assigned"),
    }
    Ok(())
}

/// What JavaScript takes for white space.
fn is_space(unit: u16) -> bool {
    unit == 0xfeff || unit != 0x85 && char::from_u32(unit.into()).is_some_and(char::is_whitespace)
}

fn trim(text: &Js) -> Result<Js> {
    let mut units = &**text.as_string()?;
    while let [first, rest @ ..] = units
        && is_space(*first)
    {
        units = rest;
    }
    while let [rest @ .., last] = units
        && is_space(*last)
    {
        units = rest;
    }
    Ok(Js::String(units.into()))
}

/// A string with each character replaced; surrogates that stand alone stay.
fn map_chars(text: &Js, map: impl Fn(char, &mut String)) -> Result<Js> {
    let mut units = Vec::new();
    let mut mapped = String::new();
    for c in char::decode_utf16(text.as_string()?.iter().copied()) {
        match c {
            Ok(c) => {
                mapped.clear();
                map(c, &mut mapped);
                units.extend(mapped.encode_utf16());
            }
            Err(alone) => units.push(alone.unpaired_surrogate()),
        }
    }
    Ok(Js::String(units.into()))
}

/// The number that a text is in decimal notation, or NaN.
fn number_of(caller: &mut Caller<'_, Host>, text: External) -> Result<f64> {
    let text = trim(&from_wasm(caller, text)?)?.to_text()?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    Ok(match digits {
        "Infinity" if text.starts_with('-') => f64::NEG_INFINITY,
        "Infinity" => f64::INFINITY,
        // Rust's notation is JavaScript's, but for its names of what is no number.
        _ if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => text.parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    })
}

fn in_radix(value: i64, radix: i32) -> Result<String> {
    if !(2..=36).contains(&radix) {
        bail!("a number in radix {radix}");
    }
    let (radix, mut rest) = (radix as u64, value.unsigned_abs());
    let mut digits = Vec::new();
    while digits.is_empty() || rest > 0 {
        let digit = char::from_digit((rest % radix) as u32, radix as u32);
        digits.push(digit.unwrap_or('0'));
        rest /= radix;
    }
    if value < 0 {
        digits.push('-');
    }
    Ok(digits.iter().rev().collect())
}
