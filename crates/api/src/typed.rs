//! Static types for functions on both sides.

use crate::func::with_caller;
use crate::store::{AsContextMut, StoreOpaque};
use crate::{
    AnyRef, ArrayRef, Caller, Engine, EqRef, ExnRef, ExternRef, Func, FuncType, HeapType, RefType, Result, Rooted,
    StructRef, V128, ValType,
};
use anyhow::{bail, ensure};
use heapwright_gc_heap::GcRef;
use heapwright_vm::{HostFn, ValRaw};
use smallvec::SmallVec;
use std::marker::PhantomData;

/// A Rust type that is passed as one WebAssembly value.
pub trait WasmTy: Send + Sync + Sized + 'static {
    /// The WebAssembly type: what a host function of this type declares.
    fn valtype() -> ValType;
    #[doc(hidden)]
    fn into_raw(self, store: &mut Access<'_>) -> Result<ValRaw>;
    #[doc(hidden)]
    fn from_raw(store: &mut Access<'_>, raw: ValRaw) -> Result<Self>;
}

/// Opaque access to a store for conversions.
#[doc(hidden)]
pub struct Access<'a>(pub(crate) &'a mut StoreOpaque);

macro_rules! numbers {
    ($($ty:ty, $val:ident, $from:ident, $get:ident, $via:ty;)*) => {$(
        impl WasmTy for $ty {
            fn valtype() -> ValType { ValType::$val }
            fn into_raw(self, _: &mut Access<'_>) -> Result<ValRaw> { Ok(ValRaw::$from(self as $via)) }
            fn from_raw(_: &mut Access<'_>, raw: ValRaw) -> Result<Self> { Ok(raw.$get() as $ty) }
        }
    )*};
}

numbers! {
    i32, I32, from_i32, i32, i32;
    u32, I32, from_u32, u32, u32;
    i64, I64, from_i64, i64, i64;
    u64, I64, from_u64, u64, u64;
    f32, F32, from_f32, f32, f32;
    f64, F64, from_f64, f64, f64;
}

impl WasmTy for V128 {
    fn valtype() -> ValType {
        ValType::V128
    }
    fn into_raw(self, _: &mut Access<'_>) -> Result<ValRaw> {
        Ok(ValRaw::from_v128(self.as_u128()))
    }
    fn from_raw(_: &mut Access<'_>, raw: ValRaw) -> Result<Self> {
        Ok(V128::from(raw.v128()))
    }
}

macro_rules! references {
    ($($marker:ident $heap:ident;)*) => {$(
        impl WasmTy for Option<Rooted<$marker>> {
            fn valtype() -> ValType { ValType::Ref(RefType::new(true, HeapType::$heap)) }
            fn into_raw(self, store: &mut Access<'_>) -> Result<ValRaw> {
                Ok(ValRaw::from_ref(self.map_or(Ok(GcRef::NULL), |r| r.gc_ref(store.0))?))
            }
            fn from_raw(store: &mut Access<'_>, raw: ValRaw) -> Result<Self> {
                let r = raw.gc_ref();
                Ok((!r.is_null()).then(|| store.0.root(r)))
            }
        }

        impl WasmTy for Rooted<$marker> {
            fn valtype() -> ValType { ValType::Ref(RefType::new(false, HeapType::$heap)) }
            fn into_raw(self, store: &mut Access<'_>) -> Result<ValRaw> {
                Ok(ValRaw::from_ref(self.gc_ref(store.0)?))
            }
            fn from_raw(store: &mut Access<'_>, raw: ValRaw) -> Result<Self> {
                ensure!(!raw.gc_ref().is_null(), "null reference where none is allowed");
                Ok(store.0.root(raw.gc_ref()))
            }
        }
    )*};
}

references! {
    AnyRef Any;
    EqRef Eq;
    StructRef Struct;
    ArrayRef Array;
    ExternRef Extern;
    ExnRef Exn;
}

impl WasmTy for Option<Func> {
    fn valtype() -> ValType {
        ValType::FUNCREF
    }
    fn into_raw(self, store: &mut Access<'_>) -> Result<ValRaw> {
        Ok(ValRaw::from_u32(self.map_or(Ok(0), |f| f.funcref(store.0))?))
    }
    fn from_raw(store: &mut Access<'_>, raw: ValRaw) -> Result<Self> {
        Ok(Func::from_funcref(store.0, raw.u32()))
    }
}

impl WasmTy for Func {
    fn valtype() -> ValType {
        ValType::Ref(RefType::new(false, HeapType::Func))
    }
    fn into_raw(self, store: &mut Access<'_>) -> Result<ValRaw> {
        Ok(ValRaw::from_u32(self.funcref(store.0)?))
    }
    fn from_raw(store: &mut Access<'_>, raw: ValRaw) -> Result<Self> {
        match Func::from_funcref(store.0, raw.u32()) {
            Some(f) => Ok(f),
            None => bail!("null function reference where none is allowed"),
        }
    }
}

fn check_all(actual: &[ValType], expected: &[ValType], incoming: bool, what: &str) -> Result<()> {
    ensure!(
        actual.len() == expected.len(),
        "type mismatch with {what}s: expected {} {what}s, found {}",
        actual.len(),
        expected.len()
    );
    for (i, (actual, rust)) in actual.iter().zip(expected).enumerate() {
        check_one(i, actual, rust, incoming, what)?;
    }
    Ok(())
}

fn check_one(i: usize, actual: &ValType, rust: &ValType, incoming: bool, what: &str) -> Result<()> {
    // What Rust passes in must belong to the declared type; what comes out must belong to Rust's.
    let fits = if incoming { rust.matches(actual) } else { actual.matches(rust) };
    ensure!(fits, "type mismatch with {what}s: {what} {i} is {actual}, not {rust}");
    Ok(())
}

/// The parameters of a [`TypedFunc`]: one value or a tuple.
pub trait WasmParams: Send + 'static {
    #[doc(hidden)]
    fn check(actual: &[ValType], what: &str) -> Result<()>;
    #[doc(hidden)]
    fn store(self, store: &mut Access<'_>, slots: &mut SmallVec<[ValRaw; 8]>) -> Result<()>;
}

/// The results of a [`TypedFunc`]: one value or a tuple.
pub trait WasmResults: Send + Sized + 'static {
    #[doc(hidden)]
    fn check(actual: &[ValType], what: &str) -> Result<()>;
    #[doc(hidden)]
    const COUNT: usize;
    #[doc(hidden)]
    fn load(store: &mut Access<'_>, slots: &[ValRaw]) -> Result<Self>;
}

impl<A: WasmTy> WasmParams for A {
    fn check(actual: &[ValType], what: &str) -> Result<()> {
        <(A,) as WasmParams>::check(actual, what)
    }
    fn store(self, store: &mut Access<'_>, slots: &mut SmallVec<[ValRaw; 8]>) -> Result<()> {
        (self,).store(store, slots)
    }
}

impl<A: WasmTy> WasmResults for A {
    fn check(actual: &[ValType], what: &str) -> Result<()> {
        <(A,) as WasmResults>::check(actual, what)
    }
    const COUNT: usize = 1;
    fn load(store: &mut Access<'_>, slots: &[ValRaw]) -> Result<Self> {
        A::from_raw(store, slots[0])
    }
}

/// What a host function may return: nothing, one value or a tuple, each also as a [`Result`].
pub trait WasmReturn: 'static {
    #[doc(hidden)]
    fn types() -> Vec<ValType>;
    #[doc(hidden)]
    fn write(self, store: &mut Access<'_>, slots: &mut [ValRaw]) -> Result<()>;
}

impl<A: WasmTy> WasmReturn for A {
    fn types() -> Vec<ValType> {
        vec![A::valtype()]
    }
    fn write(self, store: &mut Access<'_>, slots: &mut [ValRaw]) -> Result<()> {
        slots[0] = self.into_raw(store)?;
        Ok(())
    }
}

impl<R: WasmReturn> WasmReturn for Result<R> {
    fn types() -> Vec<ValType> {
        R::types()
    }
    fn write(self, store: &mut Access<'_>, slots: &mut [ValRaw]) -> Result<()> {
        self?.write(store, slots)
    }
}

/// A Rust closure that can be a host function: up to 16 parameters, optionally after a [`Caller`].
pub trait IntoFunc<T, Params, Results>: Send + Sync + 'static {
    #[doc(hidden)]
    fn into_func(self, engine: &Engine) -> (FuncType, Box<HostFn>);
}

macro_rules! tuples {
    ($($name:ident $index:tt),*) => {
        impl<$($name: WasmTy),*> WasmParams for ($($name,)*) {
            fn check(actual: &[ValType], what: &str) -> Result<()> {
                check_all(actual, &[$($name::valtype()),*], true, what)
            }
            #[allow(unused_variables, reason = "unused by the empty tuple")]
            fn store(self, store: &mut Access<'_>, slots: &mut SmallVec<[ValRaw; 8]>) -> Result<()> {
                $(slots.push(self.$index.into_raw(store)?);)*
                Ok(())
            }
        }

        impl<$($name: WasmTy),*> WasmResults for ($($name,)*) {
            fn check(actual: &[ValType], what: &str) -> Result<()> {
                check_all(actual, &[$($name::valtype()),*], false, what)
            }
            const COUNT: usize = { let names: &[&str] = &[$(stringify!($name)),*]; names.len() };
            #[allow(unused_variables, reason = "unused by the empty tuple")]
            fn load(store: &mut Access<'_>, slots: &[ValRaw]) -> Result<Self> {
                Ok(($($name::from_raw(store, slots[$index])?,)*))
            }
        }

        impl<$($name: WasmTy),*> WasmReturn for ($($name,)*) {
            fn types() -> Vec<ValType> {
                vec![$($name::valtype()),*]
            }
            #[allow(unused_variables, reason = "unused by the empty tuple")]
            fn write(self, store: &mut Access<'_>, slots: &mut [ValRaw]) -> Result<()> {
                $(slots[$index] = self.$index.into_raw(store)?;)*
                Ok(())
            }
        }

        impl<T: 'static, F, $($name: WasmTy,)* R: WasmReturn> IntoFunc<T, ($($name,)*), R> for F
        where
            F: Fn($($name),*) -> R + Send + Sync + 'static,
        {
            #[allow(non_snake_case, reason = "a type parameter's name names its argument")]
            fn into_func(self, engine: &Engine) -> (FuncType, Box<HostFn>) {
                let f = move |_: Caller<'_, T>, $($name: $name),*| self($($name),*);
                IntoFunc::<T, (Caller<'static, T>, $($name,)*), R>::into_func(f, engine)
            }
        }

        impl<T: 'static, F, $($name: WasmTy,)* R: WasmReturn> IntoFunc<T, (Caller<'static, T>, $($name,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($name),*) -> R + Send + Sync + 'static,
        {
            #[allow(non_snake_case, unused_variables, unused_mut, reason = "as above, and for no arguments")]
            fn into_func(self, engine: &Engine) -> (FuncType, Box<HostFn>) {
                let ty = FuncType::new(engine, vec![$($name::valtype()),*], R::types());
                let host = Box::new(move |call: &mut heapwright_vm::HostCall<'_>, slots: &mut [ValRaw]| {
                    with_caller(call, |mut caller: Caller<'_, T>| {
                        let mut access = Access(caller.store.opaque());
                        $(let $name = $name::from_raw(&mut access, slots[$index])?;)*
                        let result = self(caller.reborrow(), $($name),*);
                        result.write(&mut Access(caller.store.opaque()), slots)
                    })
                });
                (ty, host)
            }
        }
    };
}

tuples!();
tuples!(A0 0);
tuples!(A0 0, A1 1);
tuples!(A0 0, A1 1, A2 2);
tuples!(A0 0, A1 1, A2 2, A3 3);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4, A5 5);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4, A5 5, A6 6);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4, A5 5, A6 6, A7 7);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4, A5 5, A6 6, A7 7, A8 8);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4, A5 5, A6 6, A7 7, A8 8, A9 9);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4, A5 5, A6 6, A7 7, A8 8, A9 9, A10 10);
tuples!(A0 0, A1 1, A2 2, A3 3, A4 4, A5 5, A6 6, A7 7, A8 8, A9 9, A10 10, A11 11);

/// A function whose type was checked once. Calls skip the checks that [`Func::call`] makes.
pub struct TypedFunc<P, R> {
    func: Func,
    marker: PhantomData<fn(P) -> R>,
}

impl<P: WasmParams, R: WasmResults> TypedFunc<P, R> {
    pub(crate) fn new(func: Func) -> TypedFunc<P, R> {
        TypedFunc { func, marker: PhantomData }
    }

    /// The function.
    pub fn func(&self) -> &Func {
        &self.func
    }

    /// Calls it.
    ///
    /// # Errors
    ///
    /// As [`Func::call`].
    pub fn call(&self, mut store: impl AsContextMut, params: P) -> Result<R> {
        let mut store = store.as_context_mut();
        let store = store.enter();
        store.check(self.func.store)?;
        let mut slots = SmallVec::<[ValRaw; 8]>::new();
        params.store(&mut Access(store), &mut slots)?;
        if slots.len() < R::COUNT.max(1) {
            slots.resize(R::COUNT.max(1), ValRaw::default());
        }
        self.func.call_slots(store, &mut slots)?;
        R::load(&mut Access(store), &slots)
    }
}

impl<P, R> Clone for TypedFunc<P, R> {
    fn clone(&self) -> Self {
        TypedFunc { func: self.func, marker: PhantomData }
    }
}

impl<P, R> std::fmt::Debug for TypedFunc<P, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TypedFunc").field("func", &self.func).finish()
    }
}
