//! How function types are passed.

use cranelift_codegen::ir::{AbiParam, ArgumentPurpose, Signature, Type, types};
use cranelift_codegen::isa::CallConv;
use heapwright_gc_heap::{FuncType, ValType};

/// The machine kind of a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// 32-bit integer, and every reference.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector, passed as `i8x16`.
    V128,
}

/// The machine kinds of a function type: all that its callers and trampolines need to know.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SignatureKinds {
    /// Parameters, without the context.
    pub params: Box<[Kind]>,
    /// Results.
    pub results: Box<[Kind]>,
}

impl Kind {
    /// The kind of a value type.
    pub fn of(ty: &ValType) -> Kind {
        match ty {
            ValType::I32 | ValType::Ref(_) => Kind::I32,
            ValType::I64 => Kind::I64,
            ValType::F32 => Kind::F32,
            ValType::F64 => Kind::F64,
            ValType::V128 => Kind::V128,
        }
    }

    /// Its Cranelift type.
    pub fn clif(self) -> Type {
        match self {
            Kind::I32 => types::I32,
            Kind::I64 => types::I64,
            Kind::F32 => types::F32,
            Kind::F64 => types::F64,
            Kind::V128 => types::I8X16,
        }
    }
}

impl SignatureKinds {
    /// The kinds of a function type.
    pub fn of(ty: &FuncType) -> SignatureKinds {
        SignatureKinds {
            params: ty.params.iter().map(Kind::of).collect(),
            results: ty.results.iter().map(Kind::of).collect(),
        }
    }

    /// Whether there are more results than registers for them (eight for integers and references, eight for floats and
    /// vectors). The caller then passes the address of a place for the others in front of the context.
    pub fn results_in_memory(&self) -> bool {
        let floats = self.results.iter().filter(|kind| matches!(kind, Kind::F32 | Kind::F64 | Kind::V128)).count();
        floats > 8 || self.results.len() - floats > 8
    }

    /// The Cranelift signature of compiled functions: context first, `Tail` convention.
    pub fn tail(&self) -> Signature {
        let mut sig = Signature::new(CallConv::Tail);
        // The stack check in prologues reads the limit through this parameter.
        sig.params.push(AbiParam::special(types::I64, ArgumentPurpose::VMContext));
        sig.params.extend(self.params.iter().map(|k| AbiParam::new(k.clif())));
        sig.returns.extend(self.results.iter().map(|k| AbiParam::new(k.clif())));
        sig
    }
}

/// The Cranelift type of a WebAssembly value.
pub fn clif_type(ty: &ValType) -> Type {
    Kind::of(ty).clif()
}

/// The Cranelift signature of a function type: context first, `Tail` convention.
pub fn tail_signature(ty: &FuncType) -> Signature {
    SignatureKinds::of(ty).tail()
}
