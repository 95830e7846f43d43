//! JavaScript values, as far as the formatter meets them.

use super::External;
use super::regexp::RegExp;
use anyhow::bail;
use heapwright::{AnyRef, AsContextMut, ExternRef, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A JavaScript value. Objects are shared, and equal when they are the same.
#[derive(Clone, Debug)]
pub(super) enum Js {
    Undefined,
    Null,
    Bool(bool),
    Number(f64),
    /// UTF-16, not always well-formed.
    String(Arc<[u16]>),
    Array(Arc<Array>),
    Object(Arc<Mutex<BTreeMap<&'static str, Js>>>),
    RegExp(Arc<RegExp>),
    /// A JavaScript function that calls a Dart closure: its number with the host.
    Function(usize),
    /// The object `Math`.
    Math,
    /// An object of the guest's.
    Guest,
}

/// An array, perhaps the match of a regular expression.
#[derive(Debug)]
pub(super) struct Array {
    items: Mutex<Vec<Js>>,
    /// Property `index` of a match.
    pub(super) index: Option<usize>,
}

/// The contents of a lock: they are whole even if a thread has panicked while it held it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Array {
    pub(super) fn items(&self) -> MutexGuard<'_, Vec<Js>> {
        lock(&self.items)
    }
}

impl Js {
    pub(super) fn string(text: &str) -> Js {
        Js::String(text.encode_utf16().collect())
    }

    pub(super) fn array(items: Vec<Js>) -> Js {
        Js::Array(Arc::new(Array { items: Mutex::new(items), index: None }))
    }

    /// The array that `RegExp.prototype.exec` gives.
    pub(super) fn matched(index: usize, groups: Vec<Js>) -> Js {
        Js::Array(Arc::new(Array { items: Mutex::new(groups), index: Some(index) }))
    }

    /// An object without properties.
    pub(super) fn object() -> Js {
        Js::Object(Arc::default())
    }

    /// A named property of an object; `undefined` where there is none.
    pub(super) fn get(&self, property: &str) -> Result<Js> {
        match self {
            Js::Object(object) => Ok(lock(object).get(property).cloned().unwrap_or(Js::Undefined)),
            other => bail!("{} has no property `{property}`", other.kind()),
        }
    }

    pub(super) fn set(&self, property: &'static str, value: Js) -> Result<()> {
        match self {
            Js::Object(object) => lock(object).insert(property, value),
            other => bail!("{} takes no property `{property}`", other.kind()),
        };
        Ok(())
    }

    pub(super) fn as_string(&self) -> Result<&Arc<[u16]>> {
        match self {
            Js::String(text) => Ok(text),
            other => bail!("{} is no string", other.kind()),
        }
    }

    pub(super) fn as_array(&self) -> Result<&Arc<Array>> {
        match self {
            Js::Array(array) => Ok(array),
            other => bail!("{} is no array", other.kind()),
        }
    }

    pub(super) fn as_regexp(&self) -> Result<&Arc<RegExp>> {
        match self {
            Js::RegExp(regexp) => Ok(regexp),
            other => bail!("{} is no regular expression", other.kind()),
        }
    }

    pub(super) fn as_number(&self) -> Result<f64> {
        match self {
            Js::Number(number) => Ok(*number),
            other => bail!("{} is no number", other.kind()),
        }
    }

    /// A number that is an index, if it is one.
    pub(super) fn as_index(&self) -> Result<Option<usize>> {
        let number = self.as_number()?;
        let index = number as usize;
        Ok((index as f64 == number).then_some(index))
    }

    /// The operator `===`.
    pub(super) fn strictly_equals(&self, other: &Js) -> bool {
        match (self, other) {
            (Js::Undefined, Js::Undefined) | (Js::Null, Js::Null) | (Js::Math, Js::Math) => true,
            (Js::Bool(a), Js::Bool(b)) => a == b,
            (Js::Number(a), Js::Number(b)) => a == b,
            (Js::String(a), Js::String(b)) => a == b,
            (Js::Array(a), Js::Array(b)) => Arc::ptr_eq(a, b),
            (Js::Object(a), Js::Object(b)) => Arc::ptr_eq(a, b),
            (Js::RegExp(a), Js::RegExp(b)) => Arc::ptr_eq(a, b),
            (Js::Function(a), Js::Function(b)) => a == b,
            _ => false,
        }
    }

    /// `String(value)`, for primitive values.
    pub(super) fn to_js_string(&self) -> Result<Js> {
        Ok(match self {
            Js::String(text) => Js::String(text.clone()),
            Js::Undefined => Js::string("undefined"),
            Js::Null => Js::string("null"),
            Js::Bool(value) => Js::string(if *value { "true" } else { "false" }),
            // Integers of this size have no exponent, in JavaScript as in Rust.
            Js::Number(n) if n.fract() == 0.0 && n.abs() < 1e15 => Js::string(&format!("{}", *n as i64)),
            other => bail!("String() of {} is not implemented", other.kind()),
        })
    }

    /// The text of a string, in Rust's encoding.
    pub(super) fn to_text(&self) -> Result<String> {
        Ok(String::from_utf16(self.as_string()?)?)
    }

    /// What it is, for errors.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Js::Undefined => "undefined",
            Js::Null => "null",
            Js::Bool(_) => "a boolean",
            Js::Number(_) => "a number",
            Js::String(_) => "a string",
            Js::Array(_) => "an array",
            Js::Object(_) => "an object",
            Js::RegExp(_) => "a regular expression",
            Js::Function(_) => "a function",
            Js::Math => "Math",
            Js::Guest => "an object of the guest's",
        }
    }
}

/// The value behind a reference.
pub(super) fn from_wasm(store: &mut impl AsContextMut, value: External) -> Result<Js> {
    let Some(value) = value else { return Ok(Js::Null) };
    match value.data(store)? {
        // JavaScript sees an i31 as a number.
        None => Ok(match AnyRef::convert_extern(&mut *store, value)?.as_i31(store)? {
            Some(small) => Js::Number(small.get_i32().into()),
            None => Js::Guest,
        }),
        Some(data) => match data.downcast_ref::<Js>() {
            Some(js) => Ok(js.clone()),
            None => bail!("a host value of another kind"),
        },
    }
}

/// A reference to a value.
pub(super) fn to_wasm(store: impl AsContextMut, value: Js) -> Result<External> {
    match value {
        Js::Null => Ok(None),
        Js::Guest => bail!("an object of the guest's cannot be given back"),
        other => Ok(Some(ExternRef::new(store, other)?)),
    }
}
