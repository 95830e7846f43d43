//! Values in the form in which trampolines pass them.

use heapwright_gc_heap::{GcRef, ValType, Value};

/// A value in a 16-byte slot, little-endian, from byte 0. References and function ids are 32 bits wide.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ValRaw(pub [u8; 16]);

macro_rules! accessors {
    ($($name:ident $from:ident $ty:ty, $what:literal;)*) => {$(
        #[doc = concat!("A slot that holds ", $what, ".")]
        #[inline]
        pub fn $from(value: $ty) -> ValRaw {
            let mut slot = ValRaw::default();
            slot.0[..size_of::<$ty>()].copy_from_slice(&value.to_le_bytes());
            slot
        }

        #[doc = concat!("The slot read as ", $what, ".")]
        #[inline]
        pub fn $name(&self) -> $ty {
            let mut bytes = [0; size_of::<$ty>()];
            bytes.copy_from_slice(&self.0[..size_of::<$ty>()]);
            <$ty>::from_le_bytes(bytes)
        }
    )*};
}

impl ValRaw {
    accessors! {
        i32 from_i32 i32, "an `i32`";
        u32 from_u32 u32, "an unsigned `i32`";
        i64 from_i64 i64, "an `i64`";
        u64 from_u64 u64, "an unsigned `i64`";
        f32 from_f32 f32, "an `f32`";
        f64 from_f64 f64, "an `f64`";
        v128 from_v128 u128, "a `v128`";
    }

    /// A slot that holds a reference.
    #[inline]
    pub fn from_ref(r: GcRef) -> ValRaw {
        ValRaw::from_u32(r.raw())
    }

    /// The slot read as a reference.
    #[inline]
    pub fn gc_ref(&self) -> GcRef {
        GcRef::from_raw(self.u32())
    }

    /// The slot read as a value of type `ty`; `func` says whether a reference type is one of functions.
    pub fn to_value(&self, ty: &ValType, func: bool) -> Value {
        match ty {
            ValType::I32 => Value::I32(self.u32()),
            ValType::I64 => Value::I64(self.u64()),
            ValType::F32 => Value::F32(self.u32()),
            ValType::F64 => Value::F64(self.u64()),
            ValType::V128 => Value::V128(self.v128()),
            ValType::Ref(_) if func => Value::Func(self.u32()),
            ValType::Ref(_) => Value::Ref(self.gc_ref()),
        }
    }
}

impl From<Value> for ValRaw {
    fn from(value: Value) -> ValRaw {
        match value {
            Value::I32(v) | Value::F32(v) | Value::Func(v) => ValRaw::from_u32(v),
            Value::I64(v) | Value::F64(v) => ValRaw::from_u64(v),
            Value::V128(v) => ValRaw::from_v128(v),
            Value::Ref(r) => ValRaw::from_ref(r),
        }
    }
}
