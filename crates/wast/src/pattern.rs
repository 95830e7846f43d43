//! The results that a script expects.

use crate::values::{abstract_null, host_number, host_number_any, show_f32, show_f64};
use heapwright::{AsContextMut, GcRefKind, V128, Val};
use std::fmt::{Display, Write};
use wast::WastRet;
use wast::core::{NanPattern, V128Pattern, WastRetCore};
use wast::token::{F32, F64};

/// Whether the values are what is expected.
///
/// `any_is_exn` says that the script's `(ref.exn)` patterns arrive as `(ref.any)`.
///
/// # Errors
///
/// When a pattern is of a kind that this engine has no values for.
pub(crate) fn matches(
    store: &mut impl AsContextMut,
    values: &[Val],
    patterns: &[WastRet<'_>],
    any_is_exn: bool,
) -> Result<bool, String> {
    if values.len() != patterns.len() {
        return Ok(false);
    }
    for (value, pattern) in values.iter().zip(patterns) {
        let WastRet::Core(pattern) = pattern else {
            return Err("values of the component model are not supported".to_owned());
        };
        if !matches_one(store, value, pattern, any_is_exn)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn matches_one(
    store: &mut impl AsContextMut,
    value: &Val,
    pattern: &WastRetCore<'_>,
    any_is_exn: bool,
) -> Result<bool, String> {
    use WastRetCore as P;
    let mut kind_is = |wanted: &[GcRefKind]| match value {
        Val::AnyRef(Some(r)) => r.kind(&mut *store).is_ok_and(|kind| wanted.contains(&kind)),
        _ => false,
    };
    Ok(match (pattern, value) {
        (P::I32(a), Val::I32(b)) => a == b,
        (P::I64(a), Val::I64(b)) => a == b,
        (P::F32(a), Val::F32(b)) => f32_matches(a, *b),
        (P::F64(a), Val::F64(b)) => f64_matches(a, *b),
        (P::V128(a), Val::V128(b)) => v128_matches(a, *b),
        (P::RefNull(None), _) => is_null(value),
        (P::RefNull(Some(heap)), _) => match abstract_null(heap) {
            // Null has a hierarchy, and no more type than that.
            Some(null) => is_null(value) && std::mem::discriminant(&null) == std::mem::discriminant(value),
            None => is_null(value),
        },
        (P::RefExtern(None), Val::ExternRef(r)) => r.is_some(),
        (P::RefExtern(Some(n)), Val::ExternRef(Some(r))) => host_number(store, r) == Some(*n),
        (P::RefHost(n), Val::AnyRef(Some(r))) => host_number_any(store, *r) == Some(*n),
        (P::RefFunc(None), Val::FuncRef(f)) => f.is_some(),
        (P::RefFunc(Some(_)), _) => return Err("a function's index cannot be told from its reference".to_owned()),
        (P::RefAny, Val::ExnRef(r)) => any_is_exn && r.is_some(),
        (P::RefAny, Val::AnyRef(r)) => r.is_some(),
        (P::RefEq, _) => kind_is(&[GcRefKind::I31, GcRefKind::Struct, GcRefKind::Array]),
        (P::RefI31, _) => kind_is(&[GcRefKind::I31]),
        (P::RefStruct, _) => kind_is(&[GcRefKind::Struct]),
        (P::RefArray, _) => kind_is(&[GcRefKind::Array]),
        (P::RefI31Shared, _) => return Err("shared references are not supported".to_owned()),
        (P::Either(cases), _) => {
            for case in cases {
                if matches_one(store, value, case, any_is_exn)? {
                    return Ok(true);
                }
            }
            false
        }
        _ => false,
    })
}

fn is_null(value: &Val) -> bool {
    matches!(value, Val::FuncRef(None) | Val::ExternRef(None) | Val::AnyRef(None) | Val::ExnRef(None))
}

/// A canonical NaN has only the highest bit of its payload set; an arithmetic one has at least that.
fn f32_matches(pattern: &NanPattern<F32>, bits: u32) -> bool {
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff == 0x7fc0_0000,
        NanPattern::ArithmeticNan => bits & 0x7fc0_0000 == 0x7fc0_0000,
        NanPattern::Value(v) => v.bits == bits,
    }
}

fn f64_matches(pattern: &NanPattern<F64>, bits: u64) -> bool {
    match pattern {
        NanPattern::CanonicalNan => bits & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
        NanPattern::ArithmeticNan => bits & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
        NanPattern::Value(v) => v.bits == bits,
    }
}

fn v128_matches(pattern: &V128Pattern, value: V128) -> bool {
    let bits = value.as_u128();
    let lane32 = |i: usize| (bits >> (32 * i)) as u32;
    let lane64 = |i: usize| (bits >> (64 * i)) as u64;
    match pattern {
        V128Pattern::I8x16(lanes) => lanes.iter().enumerate().all(|(i, l)| (bits >> (8 * i)) as u8 == *l as u8),
        V128Pattern::I16x8(lanes) => lanes.iter().enumerate().all(|(i, l)| (bits >> (16 * i)) as u16 == *l as u16),
        V128Pattern::I32x4(lanes) => lanes.iter().enumerate().all(|(i, l)| lane32(i) == *l as u32),
        V128Pattern::I64x2(lanes) => lanes.iter().enumerate().all(|(i, l)| lane64(i) == *l as u64),
        V128Pattern::F32x4(lanes) => lanes.iter().enumerate().all(|(i, l)| f32_matches(l, lane32(i))),
        V128Pattern::F64x2(lanes) => lanes.iter().enumerate().all(|(i, l)| f64_matches(l, lane64(i))),
    }
}

/// Patterns for people to read.
pub(crate) fn show_all(patterns: &[WastRet<'_>]) -> String {
    match patterns {
        [] => "nothing".to_owned(),
        _ => {
            let show = |p: &WastRet<'_>| match p {
                WastRet::Core(p) => show(p),
                _ => "a value of the component model".to_owned(),
            };
            patterns.iter().map(show).collect::<Vec<_>>().join(" ")
        }
    }
}

fn show(pattern: &WastRetCore<'_>) -> String {
    use WastRetCore as P;
    match pattern {
        P::I32(v) => format!("i32:{v}"),
        P::I64(v) => format!("i64:{v}"),
        P::F32(p) => nan(p, "f32", |v| show_f32(v.bits)),
        P::F64(p) => nan(p, "f64", |v| show_f64(v.bits)),
        P::V128(V128Pattern::I8x16(lanes)) => format!("v128:i8x16{}", hex(lanes, |l| format!("{l:02x}"))),
        P::V128(V128Pattern::I16x8(lanes)) => format!("v128:i16x8{}", hex(lanes, |l| format!("{l:04x}"))),
        P::V128(V128Pattern::I32x4(lanes)) => format!("v128:i32x4{}", hex(lanes, |l| format!("{l:08x}"))),
        P::V128(V128Pattern::I64x2(lanes)) => format!("v128:i64x2{}", hex(lanes, |l| format!("{l:016x}"))),
        P::V128(V128Pattern::F32x4(lanes)) => {
            format!("v128:f32x4{}", hex(lanes, |l| nan(l, "f32", |v| show_f32(v.bits))))
        }
        P::V128(V128Pattern::F64x2(lanes)) => {
            format!("v128:f64x2{}", hex(lanes, |l| nan(l, "f64", |v| show_f64(v.bits))))
        }
        P::RefNull(None) => "ref.null".to_owned(),
        P::RefNull(Some(heap)) => match abstract_null(heap) {
            Some(Val::FuncRef(_)) => "ref.null func".to_owned(),
            Some(Val::ExternRef(_)) => "ref.null extern".to_owned(),
            Some(Val::ExnRef(_)) => "ref.null exn".to_owned(),
            Some(_) => "ref.null any".to_owned(),
            None => "ref.null".to_owned(),
        },
        P::RefExtern(None) => "ref.extern".to_owned(),
        P::RefExtern(Some(n)) => format!("ref.extern {n}"),
        P::RefHost(n) => format!("ref.host {n}"),
        P::RefFunc(_) => "ref.func".to_owned(),
        P::RefAny => "ref.any".to_owned(),
        P::RefEq => "ref.eq".to_owned(),
        P::RefArray => "ref.array".to_owned(),
        P::RefStruct => "ref.struct".to_owned(),
        P::RefI31 => "ref.i31".to_owned(),
        P::RefI31Shared => "ref.i31_shared".to_owned(),
        P::Either(cases) => cases.iter().map(show).collect::<Vec<_>>().join(" or "),
    }
}

fn nan<T>(pattern: &NanPattern<T>, ty: &str, value: impl Fn(&T) -> String) -> String {
    match pattern {
        NanPattern::CanonicalNan => format!("{ty}:nan:canonical"),
        NanPattern::ArithmeticNan => format!("{ty}:nan:arithmetic"),
        NanPattern::Value(v) => value(v),
    }
}

fn hex<T>(lanes: &[T], show: impl Fn(&T) -> String) -> impl Display {
    lanes.iter().fold(String::new(), |mut text, lane| {
        let _ = write!(text, " {}", show(lane));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_patterns() {
        let canonical: NanPattern<F32> = NanPattern::CanonicalNan;
        let arithmetic: NanPattern<F32> = NanPattern::ArithmeticNan;
        for (bits, is_canonical, is_arithmetic) in [
            (0x7fc0_0000, true, true),
            (0xffc0_0000, true, true),
            (0x7fc0_0001, false, true),
            (0xffff_ffff, false, true),
            (0x7fa0_0000, false, false),
            (0x7f80_0000, false, false),
            (0x3f80_0000, false, false),
        ] {
            assert_eq!(f32_matches(&canonical, bits), is_canonical, "{bits:#x}");
            assert_eq!(f32_matches(&arithmetic, bits), is_arithmetic, "{bits:#x}");
        }
        let canonical: NanPattern<F64> = NanPattern::CanonicalNan;
        let arithmetic: NanPattern<F64> = NanPattern::ArithmeticNan;
        for (bits, is_canonical, is_arithmetic) in [
            (0x7ff8_0000_0000_0000, true, true),
            (0xfff8_0000_0000_0000, true, true),
            (0x7ff8_0000_0000_0001, false, true),
            (0x7ff4_0000_0000_0000, false, false),
            (0x7ff0_0000_0000_0000, false, false),
            (0, false, false),
        ] {
            assert_eq!(f64_matches(&canonical, bits), is_canonical, "{bits:#x}");
            assert_eq!(f64_matches(&arithmetic, bits), is_arithmetic, "{bits:#x}");
        }
    }

    #[test]
    fn lanes_are_compared_in_order() {
        let value = V128::from(u128::from_le_bytes(std::array::from_fn(|i| i as u8)));
        assert!(v128_matches(&V128Pattern::I8x16(std::array::from_fn(|i| i as i8)), value));
        assert!(!v128_matches(&V128Pattern::I8x16(std::array::from_fn(|i| 15 - i as i8)), value));
        assert!(v128_matches(&V128Pattern::I64x2([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]), value));
        assert!(!v128_matches(&V128Pattern::I64x2([0x0f0e_0d0c_0b0a_0908, 0x0706_0504_0302_0100]), value));
        assert!(v128_matches(&V128Pattern::I16x8(std::array::from_fn(|i| (0x0100 + 0x0202 * i) as i16)), value));
        let quiet = V128::from(0x7fc0_0000_ffc0_0001_7fc0_0000_3f80_0000);
        let one = NanPattern::Value(F32 { bits: 0x3f80_0000 });
        let (canonical, arithmetic) = (NanPattern::CanonicalNan, NanPattern::ArithmeticNan);
        assert!(v128_matches(&V128Pattern::F32x4([one, canonical, arithmetic, canonical]), quiet));
        assert!(!v128_matches(&V128Pattern::F32x4([one, canonical, canonical, canonical]), quiet));
    }
}
