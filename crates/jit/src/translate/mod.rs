//! WebAssembly operators to Cranelift's IR, one function at a time, in one pass with validation.
//!
//! The translator says *what*: GC operations become pseudo-calls of [`crate::gc`]. It never asks which collector runs.
//! References are plain `i32` values; those whose definition shows that the collector traces them are noted in
//! [`FuncGc::refs`], the rest is found by propagation.

mod call;
mod control;
mod exceptions;
mod fuel;
mod guard;
mod inline;
mod known;
mod legacy;
mod memory;
mod numeric;
mod operators;
mod references;
mod simd;
mod state;
mod table;

use cranelift_codegen::ir::{self, ArgumentPurpose, SourceLoc};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use smallvec::SmallVec;
use wasmparser::{FuncValidator, FuncValidatorAllocations, Operator, ValType, ValidatorResources, WasmModuleResources};

use crate::abi::{InstanceLayout, Kind, StoreContext};
use crate::compile::{CompileError, Settings, Target};
use crate::gc::FuncGc;
use crate::inline::{Candidates, Inliner};
use crate::module::{FunctionBody, ModuleInfo};
pub(crate) use inline::InlinedCode;
use inline::Inlining;
use operators::Handled;
pub(crate) use state::{FUNC_NAMESPACE, FuncTranslator};

/// What translation needs to know.
pub(crate) struct TranslateEnv<'a> {
    /// Declarations.
    pub module: &'a ModuleInfo,
    /// Instance layout.
    pub layout: &'a InstanceLayout,
    /// Settings.
    pub settings: &'a Settings,
    /// The target.
    pub isa: &'a dyn TargetIsa,
    /// The bodies to inline, when that is wanted.
    pub inliner: Option<Inliner<'a>>,
    /// Which functions references probably refer to, when calls through them are to be guarded.
    pub candidates: Option<&'a Candidates>,
}

/// The machine kind of a validator's value type.
fn kind_of(ty: ValType) -> Kind {
    match ty {
        ValType::I32 | ValType::Ref(_) => Kind::I32,
        ValType::I64 => Kind::I64,
        ValType::F32 => Kind::F32,
        ValType::F64 => Kind::F64,
        ValType::V128 => Kind::V128,
    }
}

/// The types of the topmost operands before an operator, top first; `None` where unknown.
pub(crate) struct Operands([Option<ValType>; 5]);

impl Operands {
    /// Reads the operand types that `op` is going to ask for.
    fn before<R: WasmModuleResources>(op: &Operator<'_>, validator: &FuncValidator<R>) -> Operands {
        let depth = match op {
            Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::RefTestNonNull { .. }
            | Operator::RefTestNullable { .. }
            | Operator::RefCastNonNull { .. }
            | Operator::RefCastNullable { .. }
            | Operator::I31GetS
            | Operator::I31GetU
            | Operator::StructGet { .. }
            | Operator::StructGetS { .. }
            | Operator::StructGetU { .. }
            | Operator::ArrayLen => 1,
            Operator::StructSet { .. }
            | Operator::ArrayGet { .. }
            | Operator::ArrayGetS { .. }
            | Operator::ArrayGetU { .. } => 2,
            Operator::ArraySet { .. } => 3,
            Operator::ArrayFill { .. } => 4,
            Operator::ArrayCopy { .. } => 5,
            _ => 0,
        };
        let mut types = [None; 5];
        for (i, ty) in types.iter_mut().enumerate().take(depth) {
            *ty = validator.get_operand_type(i).flatten();
        }
        Operands(types)
    }
}

/// Validates a body and translates it into `func`, whose name and signature are set. Source locations are byte offsets
/// in the module, or numbers that `inlined` resolves.
pub(crate) fn translate_function(
    env: &TranslateEnv<'_>,
    func: &mut ir::Function,
    fbx: &mut FunctionBuilderContext,
    body: FunctionBody<'_>,
    gc: &mut FuncGc,
    inlined: &mut InlinedCode,
    allocations: FuncValidatorAllocations,
) -> Result<FuncValidatorAllocations, CompileError> {
    let FunctionBody { index, validator, body } = body;
    let mut validator = validator.into_validator(allocations);
    if env.settings.target == Target::Native {
        // An interpreter checks its own stack.
        set_stack_limit(func, env.isa);
    }

    let builder = FunctionBuilder::new(func, fbx);
    let mut translator = FuncTranslator {
        context: ir::Value::from_u32(0),
        builder,
        module: env.module,
        layout: env.layout,
        settings: env.settings,
        gc,
        stack: Vec::new(),
        control: Vec::new(),
        reachable: true,
        locals: Vec::new(),
        legacy: None,
        fuel: None,
        inlining: Inlining::new(env.inliner, body.as_bytes().len(), inlined),
        known: Default::default(),
        candidates: env.candidates,
        caught: Default::default(),
        func_refs: Default::default(),
        type_sigs: Default::default(),
        builtin_sigs: Default::default(),
    };
    let ty = env.module.func_type(index);
    translator.builder.set_srcloc(SourceLoc::new(body.range().start as u32));
    translator.start_function(ty);
    translator.body(&mut validator, &body, ty)?;
    translator.finish_function();
    translator.builder.finalize(env.isa.frontend_config());
    Ok(validator.into_allocations())
}

/// Makes the prologue compare the stack pointer with [`StoreContext::stack_limit`].
fn set_stack_limit(func: &mut ir::Function, isa: &dyn TargetIsa) {
    let pointer = isa.pointer_type();
    let context = func.create_global_value(ir::GlobalValueData::VMContext);
    let flags = ir::MemFlagsData::trusted().with_readonly().with_can_move();
    let flags = func.dfg.mem_flags.insert(flags).expect("a new function has room for flags");
    let store = func.create_global_value(ir::GlobalValueData::Load {
        base: context,
        offset: InstanceLayout::STORE.into(),
        global_type: pointer,
        flags,
    });
    let flags = func.dfg.mem_flags.insert(ir::MemFlagsData::trusted()).expect("a new function has room for flags");
    let limit = func.create_global_value(ir::GlobalValueData::Load {
        base: store,
        offset: (core::mem::offset_of!(StoreContext, stack_limit) as i32).into(),
        global_type: pointer,
        flags,
    });
    func.stack_limit = Some(limit);
}

impl FuncTranslator<'_> {
    /// Validates and translates a body, whose parameters are declared, up to and including its last `end`.
    fn body(
        &mut self,
        validator: &mut FuncValidator<ValidatorResources>,
        body: &wasmparser::FunctionBody<'_>,
        ty: &heapwright_gc_heap::FuncType,
    ) -> Result<(), CompileError> {
        let mut locals = body.get_locals_reader()?;
        for _ in 0..locals.get_count() {
            let offset = locals.original_position();
            let (count, ty) = locals.read()?;
            validator.define_locals(offset, count, ty)?;
            self.declare_locals(count, kind_of(ty));
        }
        let results: SmallVec<[Kind; 4]> = ty.results.iter().map(Kind::of).collect();
        self.push_function_frame(&results);
        self.start_fuel();
        self.check_entry();

        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let (op, offset) = reader.read_with_offset()?;
            let operands = if self.reachable { Operands::before(&op, validator) } else { Operands([None; 5]) };
            validator.op(offset, &op)?;
            if matches!(op, Operator::Try { .. }) && self.legacy.is_none() {
                self.legacy = Some(legacy::scan(reader.clone(), offset)?);
            }
            self.locate(offset);
            if self.reachable {
                self.charge(&op);
            }
            if self.operator(&op, offset, &operands)? == Handled::No {
                return Err(CompileError::Limit(format!("operator {op:?} at offset {offset:#x}")));
            }
            if self.reachable {
                self.charged(&op);
            }
        }
        reader.finish()?;
        Ok(())
    }

    /// Opens the entry block and declares the parameters.
    fn start_function(&mut self, ty: &heapwright_gc_heap::FuncType) {
        let entry = self.builder.create_block();
        self.builder.append_block_params_for_function_params(entry);
        self.builder.switch_to_block(entry);
        self.builder.seal_block(entry);
        let params: SmallVec<[ir::Value; 8]> = self.builder.block_params(entry).iter().copied().collect();
        debug_assert_eq!(self.builder.func.signature.params[0].purpose, ArgumentPurpose::VMContext);
        self.context = params[0];
        for (value, ty) in params[1..].iter().zip(&ty.params) {
            self.declare_local(Kind::of(ty), *value);
            if self.module.is_traced(ty) {
                self.gc.refs.insert(*value);
            }
        }
    }

    fn declare_locals(&mut self, count: u32, kind: Kind) {
        let zero = self.zero(kind);
        for _ in 0..count {
            self.declare_local(kind, zero);
        }
    }

    fn declare_local(&mut self, kind: Kind, value: ir::Value) {
        let var = self.inlining.variable(&mut self.builder, kind);
        self.builder.def_var(var, value);
        self.locals.push(var);
    }
}
