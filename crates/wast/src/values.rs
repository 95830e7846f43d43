//! Arguments of calls, and how values are shown.

use heapwright::{AnyRef, AsContextMut, ExternRef, GcRefKind, Result, Rooted, V128, Val, ValType};
use std::fmt::Write;
use wast::WastArg;
use wast::core::WastArgCore;

/// What `ref.extern N` and `ref.host N` wrap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostValue(pub(crate) u32);

/// The value of an argument. `ty` is the parameter's type: a null takes its hierarchy from there when the script names
/// a type by index.
pub(crate) fn argument(store: &mut impl AsContextMut, arg: &WastArg<'_>, ty: &ValType) -> Result<Val, String> {
    let WastArg::Core(arg) = arg else {
        return Err("values of the component model are not supported".to_owned());
    };
    let fail = |e: heapwright::Error| format!("{e:#}");
    Ok(match arg {
        WastArgCore::I32(v) => Val::I32(*v),
        WastArgCore::I64(v) => Val::I64(*v),
        WastArgCore::F32(v) => Val::F32(v.bits),
        WastArgCore::F64(v) => Val::F64(v.bits),
        WastArgCore::V128(v) => Val::V128(V128::from(u128::from_le_bytes(v.to_le_bytes()))),
        WastArgCore::RefNull(heap) => match (abstract_null(heap), ty) {
            (Some(null), _) => null,
            (None, ValType::Ref(r)) => Val::null_ref(r.heap_type()),
            (None, _) => return Err(format!("ref.null cannot be an {ty}")),
        },
        WastArgCore::RefExtern(n) => ExternRef::new(&mut *store, HostValue(*n)).map_err(fail)?.into(),
        WastArgCore::RefHost(n) => {
            let value = ExternRef::new(&mut *store, HostValue(*n)).map_err(fail)?;
            AnyRef::convert_extern(&mut *store, value).map_err(fail)?.into()
        }
    })
}

/// The null of an abstract heap type's hierarchy; `None` for types named by index, and for those of proposals that the
/// engine has not.
pub(crate) fn abstract_null(heap: &wast::core::HeapType<'_>) -> Option<Val> {
    use wast::core::AbstractHeapType as A;
    let wast::core::HeapType::Abstract { shared: false, ty } = heap else { return None };
    match ty {
        A::Func | A::NoFunc => Some(Val::FuncRef(None)),
        A::Extern | A::NoExtern => Some(Val::ExternRef(None)),
        A::Exn | A::NoExn => Some(Val::ExnRef(None)),
        A::Any | A::Eq | A::Struct | A::Array | A::I31 | A::None => Some(Val::AnyRef(None)),
        A::Cont | A::NoCont => None,
    }
}

/// The number that a host value wraps; `None` when the reference is of another kind.
pub(crate) fn host_number(store: &impl AsContextMut, r: &Rooted<ExternRef>) -> Option<u32> {
    let value = r.data(store).ok()??;
    value.downcast_ref::<HostValue>().map(|v| v.0)
}

/// The number of a host value in the `any` hierarchy.
pub(crate) fn host_number_any(store: &mut impl AsContextMut, r: Rooted<AnyRef>) -> Option<u32> {
    if r.kind(&mut *store).ok()? != GcRefKind::Extern {
        return None;
    }
    let r = ExternRef::convert_any(&mut *store, r).ok()?;
    host_number(store, &r)
}

/// Values for people to read.
pub(crate) fn show_all(store: &mut impl AsContextMut, values: &[Val]) -> String {
    match values {
        [] => "nothing".to_owned(),
        _ => values.iter().map(|v| show(store, v)).collect::<Vec<_>>().join(" "),
    }
}

fn show(store: &mut impl AsContextMut, value: &Val) -> String {
    match value {
        Val::I32(v) => format!("i32:{v}"),
        Val::I64(v) => format!("i64:{v}"),
        Val::F32(v) => show_f32(*v),
        Val::F64(v) => show_f64(*v),
        Val::V128(v) => {
            let lanes = v.as_u128().to_le_bytes().iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, " {byte:02x}");
                text
            });
            format!("v128:i8x16{lanes}")
        }
        Val::FuncRef(None) => "ref.null func".to_owned(),
        Val::ExternRef(None) => "ref.null extern".to_owned(),
        Val::AnyRef(None) => "ref.null any".to_owned(),
        Val::ExnRef(None) => "ref.null exn".to_owned(),
        Val::FuncRef(Some(_)) => "ref.func".to_owned(),
        Val::ExnRef(Some(_)) => "ref.exn".to_owned(),
        Val::ExternRef(Some(r)) => match host_number(store, r) {
            Some(n) => format!("ref.extern {n}"),
            None => "ref.extern".to_owned(),
        },
        Val::AnyRef(Some(r)) => match r.kind(&mut *store) {
            Ok(GcRefKind::I31) => match r.as_i31(&*store) {
                Ok(Some(v)) => format!("ref.i31 {}", v.get_i32()),
                _ => "ref.i31".to_owned(),
            },
            Ok(GcRefKind::Struct) => "ref.struct".to_owned(),
            Ok(GcRefKind::Array) => "ref.array".to_owned(),
            Ok(GcRefKind::Exception) => "ref.exn".to_owned(),
            Ok(GcRefKind::Extern) => match host_number_any(store, *r) {
                Some(n) => format!("ref.host {n}"),
                None => "ref.host".to_owned(),
            },
            Err(e) => format!("a bad reference ({e:#})"),
        },
    }
}

/// A float and its bits: two NaNs look alike without them.
pub(crate) fn show_f32(bits: u32) -> String {
    format!("f32:{} ({bits:#010x})", f32::from_bits(bits))
}

/// As [`show_f32`].
pub(crate) fn show_f64(bits: u64) -> String {
    format!("f64:{} ({bits:#018x})", f64::from_bits(bits))
}
