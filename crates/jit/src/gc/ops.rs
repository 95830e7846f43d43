//! The operations, and what translation remembers about a function for the later passes.

use cranelift_codegen::ir::UserExternalName;
use cranelift_codegen::ir::{self, AbiParam, ExtFuncData, ExternalName, FuncRef, Inst, InstBuilder, Signature, Value};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use heapwright_gc_heap::{AbstractHeapType, StorageType};
use rustc_hash::{FxHashMap, FxHashSet};

use super::elide::Reduced;
use crate::abi::{Builtin, Kind};
use crate::module::ModuleInfo;

/// Namespace of pseudo-call names; the index is the position in [`FuncGc::ops`].
pub(crate) const GC_NAMESPACE: u32 = 0x4743;

/// How a packed value is widened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Extend {
    /// Not packed.
    None,
    /// Sign-extended.
    Signed,
    /// Zero-extended.
    Unsigned,
}

/// The type that a test or a cast asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum CastTarget {
    /// A built-in heap type.
    Abstract(AbstractHeapType),
    /// The module's type with this index.
    Concrete(u32),
}

/// A GC operation. Values in parentheses are the pseudo-call's arguments after the instance context, which is argument
/// 0 of every one. `nullable` says that the receiver may be null (the operation then traps), `in_bounds` that the index
/// is known to be below the length of the receiver, which is not null; type indices are the module's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum GcOp {
    /// `(fields…) -> ref`
    StructNew { ty: u32 },
    /// `() -> ref`
    StructNewDefault { ty: u32 },
    /// `(ref) -> value`
    StructGet { ty: u32, field: u32, extend: Extend, nullable: bool },
    /// `(ref, value)`
    StructSet { ty: u32, field: u32, nullable: bool },
    /// `(init, length) -> ref`
    ArrayNew { ty: u32 },
    /// `(length) -> ref`
    ArrayNewDefault { ty: u32 },
    /// `(elements…) -> ref`
    ArrayNewFixed { ty: u32, count: u32 },
    /// `(offset, length) -> ref`
    ArrayNewData { ty: u32, segment: u32 },
    /// `(offset, length) -> ref`
    ArrayNewElem { ty: u32, segment: u32 },
    /// `(ref, index) -> value`
    ArrayGet { ty: u32, extend: Extend, nullable: bool, in_bounds: bool },
    /// `(ref, index, value)`
    ArraySet { ty: u32, nullable: bool, in_bounds: bool },
    /// `(ref) -> i32`
    ArrayLen { nullable: bool },
    /// `(ref, offset, value, length)`
    ArrayFill { ty: u32, nullable: bool },
    /// `(destination, offset, source, offset, length)`
    ArrayCopy { to: u32, from: u32, to_nullable: bool, from_nullable: bool },
    /// `(ref, offset, source offset, length)`
    ArrayInitData { ty: u32, segment: u32 },
    /// `(ref, offset, source offset, length)`
    ArrayInitElem { ty: u32, segment: u32 },
    /// `(i32) -> ref`
    RefI31,
    /// `(ref) -> i32`
    I31Get { signed: bool, nullable: bool },
    /// `(ref) -> i32`: whether the value belongs to the type; `admits_null` decides about null. `nullable` and
    /// `may_be_i31` describe the operand.
    RefTest { target: CastTarget, admits_null: bool, nullable: bool, may_be_i31: bool },
    /// `(ref) -> ref`: traps with `CastFailure` unless the value belongs to the type.
    RefCast { target: CastTarget, admits_null: bool, nullable: bool, may_be_i31: bool },
    /// `(function id) -> i32`: as `RefTest` for function references.
    FuncTest { target: CastTarget, admits_null: bool, nullable: bool },
    /// `(function id) -> function id`
    FuncCast { target: CastTarget, admits_null: bool, nullable: bool },
    /// `(parameters…) -> exnref`: a new exception of the module's tag.
    ExnNew { tag: u32 },
    /// `(exnref) -> value`: parameter `index` of an exception known to have this tag.
    ExnGet { tag: u32, index: u32 },
    /// `(address, ref)`: stores a reference into the global or table slot at `address + offset`.
    RootStore { offset: i32 },
}

/// What translation remembers about a function's GC operations and references.
#[derive(Debug, Default)]
pub(crate) struct FuncGc {
    /// Interned operations, named by pseudo-calls.
    pub(crate) ops: Vec<GcOp>,
    refs_by_op: FxHashMap<GcOp, FuncRef>,
    /// Values known to be traced references by their definition: parameters, loads from globals and tables, call
    /// results, results of pseudo-calls. Block parameters and selects that carry them are found by propagation.
    pub(crate) refs: FxHashSet<Value>,
    /// Real calls during which no collection can happen.
    pub(crate) quiet_calls: FxHashSet<Inst>,
    /// Pseudo-calls that store a reference and need less than the store program.
    pub(crate) reduced: FxHashMap<Inst, Reduced>,
    /// Instructions, by their numbers, that lowering made for allocations and barriers. For tools.
    pub(crate) marks: Vec<(Mark, std::ops::Range<u32>)>,
}

/// What a piece of code is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The allocation sequence that the collector declares, the initialisation of the object included.
    Allocation,
    /// One of the collector's barrier programs.
    Barrier,
}

impl GcOp {
    /// Whether the operation gives an object that is allocated as its last step that may collect, with all its fields
    /// set.
    pub(crate) fn allocates_inline(&self) -> bool {
        use GcOp::*;
        matches!(
            self,
            StructNew { .. }
                | StructNewDefault { .. }
                | ArrayNew { .. }
                | ArrayNewDefault { .. }
                | ArrayNewFixed { .. }
                | ExnNew { .. }
        )
    }

    /// Whether it makes an object, inline or in a builtin.
    pub(crate) fn allocates(&self) -> bool {
        self.allocates_inline() || matches!(self, GcOp::ArrayNewData { .. } | GcOp::ArrayNewElem { .. })
    }

    /// Whether a collection can happen during the operation.
    pub(crate) fn may_collect(&self) -> bool {
        use GcOp::*;
        self.allocates_inline()
            || match self {
                ArrayNewData { .. } => Builtin::ArrayNewData.is_safepoint(),
                ArrayNewElem { .. } => Builtin::ArrayNewElem.is_safepoint(),
                ArrayInitData { .. } => Builtin::ArrayInitData.is_safepoint(),
                ArrayInitElem { .. } => Builtin::ArrayInitElem.is_safepoint(),
                ArrayCopy { .. } => Builtin::ArrayCopy.is_safepoint(),
                ArrayFill { .. } => Builtin::ArrayFillRef.is_safepoint(),
                _ => false,
            }
    }

    /// The type of result, if any: machine kind and whether it is a traced reference.
    pub(crate) fn result(&self, module: &ModuleInfo) -> Option<(Kind, bool)> {
        use GcOp::*;
        let stored = |storage: StorageType, traced: bool| match storage {
            StorageType::I8 | StorageType::I16 => (Kind::I32, false),
            StorageType::Val(v) => (Kind::of(&v), traced),
        };
        match *self {
            StructNew { .. }
            | StructNewDefault { .. }
            | ArrayNew { .. }
            | ArrayNewDefault { .. }
            | ArrayNewFixed { .. }
            | ArrayNewData { .. }
            | ArrayNewElem { .. }
            | RefI31
            | RefCast { .. }
            | ExnNew { .. } => Some((Kind::I32, true)),
            StructGet { ty, field, .. } => {
                let f = module.struct_layout(ty).fields[field as usize];
                Some(stored(f.storage, f.traced))
            }
            ArrayGet { ty, .. } => {
                let a = module.array_layout(ty);
                Some(stored(a.storage, a.traced))
            }
            ArrayLen { .. } | I31Get { .. } | RefTest { .. } | FuncTest { .. } | FuncCast { .. } => {
                Some((Kind::I32, false))
            }
            ExnGet { tag, index } => {
                let ty = &module.func_type_at(module.tags[tag as usize]).params[index as usize];
                Some((Kind::of(ty), module.is_traced(ty)))
            }
            StructSet { .. }
            | ArraySet { .. }
            | ArrayFill { .. }
            | ArrayCopy { .. }
            | ArrayInitData { .. }
            | ArrayInitElem { .. }
            | RootStore { .. } => None,
        }
    }
}

impl FuncGc {
    /// Emits the pseudo-call of `op` with `args` (the first is the instance context) and returns its result.
    pub(crate) fn emit(
        &mut self,
        builder: &mut FunctionBuilder<'_>,
        module: &ModuleInfo,
        op: GcOp,
        args: &[Value],
    ) -> Option<Value> {
        let callee = *self.refs_by_op.entry(op).or_insert_with(|| {
            let index = self.ops.len() as u32;
            self.ops.push(op);
            let mut sig = Signature::new(CallConv::Fast);
            sig.params.extend(args.iter().map(|&a| AbiParam::new(builder.func.dfg.value_type(a))));
            sig.returns.extend(op.result(module).map(|(kind, _)| AbiParam::new(kind.clif())));
            let signature = builder.import_signature(sig);
            let name = builder.func.declare_imported_user_function(UserExternalName::new(GC_NAMESPACE, index));
            builder.import_function(callee(ExternalName::user(name), signature))
        });
        let call = builder.ins().call(callee, args);
        let (_, traced) = op.result(module)?;
        let value = builder.inst_results(call)[0];
        if traced {
            self.refs.insert(value);
        }
        Some(value)
    }

    /// Whether the function has no GC operation.
    pub(crate) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Turns the pseudo-call `inst` into one of `op`, which takes and gives the same.
    pub(crate) fn retarget(&mut self, func: &mut ir::Function, inst: Inst, op: GcOp) {
        let ir::InstructionData::Call { func_ref, .. } = func.dfg.insts[inst] else {
            unreachable!("a pseudo-call is a call");
        };
        let signature = func.dfg.ext_funcs[func_ref].signature;
        let callee = *self.refs_by_op.entry(op).or_insert_with(|| {
            let index = self.ops.len() as u32;
            self.ops.push(op);
            let name = func.declare_imported_user_function(UserExternalName::new(GC_NAMESPACE, index));
            func.import_function(callee(ExternalName::user(name), signature))
        });
        if let ir::InstructionData::Call { func_ref, .. } = &mut func.dfg.insts[inst] {
            *func_ref = callee;
        }
    }

    /// The operation behind a call instruction, if it is a pseudo-call.
    pub(crate) fn op_of(&self, func: &ir::Function, inst: Inst) -> Option<GcOp> {
        let ir::InstructionData::Call { func_ref, .. } = func.dfg.insts[inst] else { return None };
        let ExternalName::User(name) = func.dfg.ext_funcs[func_ref].name else { return None };
        let name = &func.params.user_named_funcs()[name];
        (name.namespace == GC_NAMESPACE).then(|| self.ops[name.index as usize])
    }
}

fn callee(name: ExternalName, signature: ir::SigRef) -> ExtFuncData {
    ExtFuncData { name, signature, colocated: true, patchable: false }
}
