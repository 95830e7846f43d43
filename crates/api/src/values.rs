//! Values.

use crate::gc_error::GcError;
use crate::store::StoreOpaque;
use crate::{
    AnyRef, ArrayRef, AsContextMut, EqRef, ExnRef, ExternRef, Func, HeapType, I31, RefType, Result, Rooted, StructRef,
    ValType,
};
use heapwright_gc_heap::{self as gc, GcRef, TypeKind, TypeRef};
use heapwright_vm::ValRaw;

/// A 128-bit vector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct V128(u128);

impl V128 {
    /// The bits, lane 0 lowest.
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl From<u128> for V128 {
    fn from(bits: u128) -> V128 {
        V128(bits)
    }
}

/// A value. References are [`Rooted`].
#[derive(Clone, Copy, Debug)]
pub enum Val {
    /// `i32`
    I32(i32),
    /// `i64`
    I64(i64),
    /// `f32`, as bits
    F32(u32),
    /// `f64`, as bits
    F64(u64),
    /// `v128`
    V128(V128),
    /// A reference of the `func` hierarchy.
    FuncRef(Option<Func>),
    /// A reference of the `extern` hierarchy.
    ExternRef(Option<Rooted<ExternRef>>),
    /// A reference of the `any` hierarchy.
    AnyRef(Option<Rooted<AnyRef>>),
    /// A reference of the `exn` hierarchy.
    ExnRef(Option<Rooted<ExnRef>>),
}

/// A reference value.
#[derive(Clone, Copy, Debug)]
pub enum Ref {
    /// A reference of the `func` hierarchy.
    Func(Option<Func>),
    /// A reference of the `extern` hierarchy.
    Extern(Option<Rooted<ExternRef>>),
    /// A reference of the `any` hierarchy.
    Any(Option<Rooted<AnyRef>>),
    /// A reference of the `exn` hierarchy.
    Exn(Option<Rooted<ExnRef>>),
}

macro_rules! unwrap {
    ($($(#[doc = $doc:literal])* $variant:ident $get:ident $unwrap:ident $ty:ty, $value:ident => $e:expr;)*) => {$(
        #[doc = concat!("The value as `", stringify!($ty), "`, if it is one.")]
        pub fn $get(&self) -> Option<$ty> {
            match *self { Val::$variant($value) => Some($e), _ => None }
        }

        #[doc = concat!("The value as `", stringify!($ty), "`.")]
        ///
        /// # Panics
        ///
        /// When it is a value of another type.
        pub fn $unwrap(&self) -> $ty {
            self.$get().unwrap_or_else(|| panic!(concat!("expected ", stringify!($ty), ", found {:?}"), self))
        }
    )*};
}

impl Val {
    unwrap! {
        I32 i32 unwrap_i32 i32, v => v;
        I64 i64 unwrap_i64 i64, v => v;
        F32 f32 unwrap_f32 f32, v => f32::from_bits(v);
        F64 f64 unwrap_f64 f64, v => f64::from_bits(v);
        V128 v128 unwrap_v128 V128, v => v;
        FuncRef func_ref unwrap_funcref Option<Func>, v => v;
        ExternRef extern_ref unwrap_externref Option<Rooted<ExternRef>>, v => v;
        AnyRef any_ref unwrap_anyref Option<Rooted<AnyRef>>, v => v;
        ExnRef exn_ref unwrap_exnref Option<Rooted<ExnRef>>, v => v;
    }

    /// The null reference of a heap type's hierarchy.
    pub fn null_ref(heap: &HeapType) -> Val {
        match heap {
            HeapType::Func | HeapType::NoFunc | HeapType::ConcreteFunc(_) => Val::FuncRef(None),
            HeapType::Extern | HeapType::NoExtern => Val::ExternRef(None),
            HeapType::Exn | HeapType::NoExn => Val::ExnRef(None),
            _ => Val::AnyRef(None),
        }
    }

    /// The default value of a type: zero or null; `None` when it has none.
    pub fn default_for(ty: &ValType) -> Option<Val> {
        Some(match ty {
            ValType::I32 => Val::I32(0),
            ValType::I64 => Val::I64(0),
            ValType::F32 => Val::F32(0),
            ValType::F64 => Val::F64(0),
            ValType::V128 => Val::V128(V128(0)),
            ValType::Ref(r) if r.is_nullable() => Val::null_ref(r.heap_type()),
            ValType::Ref(_) => return None,
        })
    }

    /// The reference, if this is one.
    pub fn as_ref_value(&self) -> Option<Ref> {
        Some(match *self {
            Val::FuncRef(f) => Ref::Func(f),
            Val::ExternRef(e) => Ref::Extern(e),
            Val::AnyRef(a) => Ref::Any(a),
            Val::ExnRef(e) => Ref::Exn(e),
            _ => return None,
        })
    }

    /// The value in the heap's terms, after checking that it belongs to `ty` and to this store.
    pub(crate) fn checked(&self, store: &mut StoreOpaque, ty: &gc::ValType) -> Result<gc::Value, GcError> {
        use gc::ValType as T;
        let value = match (*self, ty) {
            (Val::I32(v), T::I32) => gc::Value::I32(v as u32),
            (Val::I64(v), T::I64) => gc::Value::I64(v as u64),
            (Val::F32(v), T::F32) => gc::Value::F32(v),
            (Val::F64(v), T::F64) => gc::Value::F64(v),
            (Val::V128(v), T::V128) => gc::Value::V128(v.0),
            (Val::FuncRef(f), T::Ref(r)) => {
                let id = f.map(|f| f.funcref(store)).transpose()?;
                if !func_matches(store, f, r) {
                    return Err(GcError::mismatch(show(store, ty), "a function reference"));
                }
                gc::Value::Func(id.unwrap_or(0))
            }
            (Val::ExternRef(v), T::Ref(r)) => checked_ref(store, optional(v, store)?, r, gc::AbstractHeapType::Extern)?,
            (Val::AnyRef(v), T::Ref(r)) => checked_ref(store, optional(v, store)?, r, gc::AbstractHeapType::Any)?,
            (Val::ExnRef(v), T::Ref(r)) => checked_ref(store, optional(v, store)?, r, gc::AbstractHeapType::Exn)?,
            _ => return Err(GcError::mismatch(show(store, ty), self.kind())),
        };
        Ok(value)
    }

    /// A value of the store as the embedder sees it; references are rooted in the innermost scope.
    pub(crate) fn from_value(store: &mut StoreOpaque, value: gc::Value, ty: &gc::ValType) -> Val {
        match value {
            gc::Value::I32(v) => Val::I32(v as i32),
            gc::Value::I64(v) => Val::I64(v as i64),
            gc::Value::F32(v) => Val::F32(v),
            gc::Value::F64(v) => Val::F64(v),
            gc::Value::V128(v) => Val::V128(V128(v)),
            gc::Value::Func(id) => Val::FuncRef(Func::from_funcref(store, id)),
            gc::Value::Ref(r) => {
                let gc::ValType::Ref(ty) = ty else { unreachable!("a reference has a reference type") };
                match ty.heap.top(false) {
                    gc::AbstractHeapType::Extern => Val::ExternRef(rooted(store, r)),
                    gc::AbstractHeapType::Exn => Val::ExnRef(rooted(store, r)),
                    _ => Val::AnyRef(rooted(store, r)),
                }
            }
        }
    }

    /// As [`Val::from_value`], from a slot.
    pub(crate) fn from_raw(store: &mut StoreOpaque, raw: ValRaw, ty: &gc::ValType) -> Val {
        let func = is_func(store, ty);
        Val::from_value(store, raw.to_value(ty, func), ty)
    }

    fn kind(&self) -> &'static str {
        match self {
            Val::I32(_) => "i32",
            Val::I64(_) => "i64",
            Val::F32(_) => "f32",
            Val::F64(_) => "f64",
            Val::V128(_) => "v128",
            Val::FuncRef(_) => "a function reference",
            Val::ExternRef(_) => "an external reference",
            Val::AnyRef(_) => "an internal reference",
            Val::ExnRef(_) => "an exception reference",
        }
    }
}

/// Whether values of a type are function ids.
pub(crate) fn is_func(store: &StoreOpaque, ty: &gc::ValType) -> bool {
    match ty {
        gc::ValType::Ref(r) => is_func_type(store, &r.heap),
        _ => false,
    }
}

fn show(store: &StoreOpaque, ty: &gc::ValType) -> String {
    ValType::from_gc(&store.engine, ty).to_string()
}

fn optional<R>(root: Option<Rooted<R>>, store: &StoreOpaque) -> Result<GcRef, GcError> {
    root.map_or(Ok(GcRef::NULL), |r| r.gc_ref(store))
}

fn rooted<R>(store: &mut StoreOpaque, r: GcRef) -> Option<Rooted<R>> {
    (!r.is_null()).then(|| store.root(r))
}

fn func_matches(store: &StoreOpaque, func: Option<Func>, ty: &gc::RefType) -> bool {
    let types = store.engine.runtime().types();
    match func {
        None => ty.nullable && types.heap_type_matches(&gc::HeapType::Abstract(gc::AbstractHeapType::NoFunc), &ty.heap),
        Some(f) => {
            let own = gc::HeapType::Concrete(gc::TypeRef::Canonical(store.vm.func_type(f.id)));
            types.heap_type_matches(&own, &ty.heap)
        }
    }
}

/// Whether references to a heap type are function ids.
fn is_func_type(store: &StoreOpaque, ty: &gc::HeapType) -> bool {
    match *ty {
        gc::HeapType::Concrete(TypeRef::Canonical(id)) => {
            store.engine.runtime().types().space().kind(id.0) == Ok(TypeKind::Func)
        }
        gc::HeapType::Concrete(_) => false,
        gc::HeapType::Abstract(a) => matches!(a, gc::AbstractHeapType::Func | gc::AbstractHeapType::NoFunc),
    }
}

/// Checks that `r`, a value of the hierarchy `top`, belongs to `ty`.
fn checked_ref(
    store: &mut StoreOpaque,
    r: GcRef,
    ty: &gc::RefType,
    top: gc::AbstractHeapType,
) -> Result<gc::Value, GcError> {
    let found = if ty.heap.top(is_func_type(store, &ty.heap)) != top {
        "a reference of another hierarchy"
    } else if r.is_null() {
        if ty.nullable {
            return Ok(gc::Value::Ref(r));
        }
        "null"
    } else if belongs(store, r, &ty.heap)? {
        return Ok(gc::Value::Ref(r));
    } else {
        "a reference of another type"
    };
    Err(GcError::mismatch(RefType::from_gc(&store.engine, ty), found))
}

/// Whether a non-null reference belongs to a heap type of its own hierarchy.
pub(crate) fn belongs(store: &mut StoreOpaque, r: GcRef, heap_type: &gc::HeapType) -> Result<bool, GcError> {
    use gc::AbstractHeapType as A;
    let a = match *heap_type {
        gc::HeapType::Concrete(TypeRef::Canonical(id)) => {
            let answer = store.heap()?.is_instance(r, id);
            return answer.map_err(|e| store.corrupted(e));
        }
        gc::HeapType::Concrete(_) => return Ok(false),
        gc::HeapType::Abstract(a) => a,
    };
    Ok(match a {
        A::Any | A::Extern | A::Exn => true,
        A::None | A::NoExtern | A::NoExn | A::Func | A::NoFunc => false,
        A::I31 => r.is_i31(),
        A::Eq => matches!(kind_of(store, r)?, None | Some(TypeKind::Struct | TypeKind::Array)),
        A::Struct => kind_of(store, r)? == Some(TypeKind::Struct),
        A::Array => kind_of(store, r)? == Some(TypeKind::Array),
    })
}

/// The kind of object behind a non-null reference; `None` for an i31.
pub(crate) fn kind_of(store: &mut StoreOpaque, r: GcRef) -> Result<Option<TypeKind>, GcError> {
    if r.is_i31() {
        return Ok(None);
    }
    let kind = store.heap()?.type_of(r).map(|entry| entry.kind);
    kind.map(Some).map_err(|e| store.bad_reference(e))
}

/// A heap type of the embedder in the heap's terms, when it is of the store's engine.
pub(crate) fn checked_heap_type(store: &StoreOpaque, ty: &HeapType) -> Result<gc::HeapType, GcError> {
    match ty {
        HeapType::ConcreteFunc(t) => store.check_engine(t.engine())?,
        HeapType::ConcreteStruct(t) => store.check_engine(t.engine())?,
        HeapType::ConcreteArray(t) => store.check_engine(t.engine())?,
        _ => {}
    }
    Ok(ty.to_gc(&store.engine))
}

impl Val {
    /// Whether the value belongs to a type.
    ///
    /// # Errors
    ///
    /// [`GcError::WrongEngine`] when the type is another engine's; [`GcError::DeadRoot`], [`GcError::WrongStore`],
    /// [`GcError::Corrupted`].
    pub fn matches_ty(&self, mut store: impl AsContextMut, ty: &ValType) -> Result<bool> {
        let mut store = store.as_context_mut();
        let store = store.opaque();
        if let ValType::Ref(r) = ty {
            checked_heap_type(store, r.heap_type())?;
        }
        let ty = ty.to_gc(&store.engine);
        match self.checked(store, &ty) {
            Ok(_) => Ok(true),
            Err(GcError::TypeMismatch { .. }) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

macro_rules! from {
    ($($ty:ty, $v:ident => $e:expr;)*) => {$(
        impl From<$ty> for Val {
            fn from($v: $ty) -> Val { $e }
        }
    )*};
}

from! {
    i32, v => Val::I32(v);
    u32, v => Val::I32(v as i32);
    i64, v => Val::I64(v);
    u64, v => Val::I64(v as i64);
    f32, v => Val::F32(v.to_bits());
    f64, v => Val::F64(v.to_bits());
    V128, v => Val::V128(v);
    Func, v => Val::FuncRef(Some(v));
    Option<Func>, v => Val::FuncRef(v);
    Rooted<ExternRef>, v => Val::ExternRef(Some(v));
    Option<Rooted<ExternRef>>, v => Val::ExternRef(v);
    Rooted<ExnRef>, v => Val::ExnRef(Some(v));
    Option<Rooted<ExnRef>>, v => Val::ExnRef(v);
    Rooted<AnyRef>, v => Val::AnyRef(Some(v));
    Option<Rooted<AnyRef>>, v => Val::AnyRef(v);
    Rooted<EqRef>, v => Val::AnyRef(Some(v.to_anyref()));
    Rooted<StructRef>, v => Val::AnyRef(Some(v.to_anyref()));
    Rooted<ArrayRef>, v => Val::AnyRef(Some(v.to_anyref()));
}

impl Val {
    /// An i31 as a value. It needs a store because every `AnyRef` is a root.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn i31(mut store: impl crate::AsContextMut, value: I31) -> Result<Val> {
        Ok(Val::AnyRef(Some(AnyRef::from_i31(&mut store, value))))
    }
}

impl From<Ref> for Val {
    fn from(r: Ref) -> Val {
        match r {
            Ref::Func(f) => Val::FuncRef(f),
            Ref::Extern(e) => Val::ExternRef(e),
            Ref::Any(a) => Val::AnyRef(a),
            Ref::Exn(e) => Val::ExnRef(e),
        }
    }
}
