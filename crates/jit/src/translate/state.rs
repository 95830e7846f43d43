//! The translator's state: operand stack, control stack, builder and environment, and the small operations that
//! everything else is made of.

use cranelift_codegen::ir::{
    self, BlockArg, ExceptionTableData, ExceptionTableItem, ExtFuncData, ExternalName, FuncRef, InstBuilder,
    MemFlagsData, SigRef, Type, UserExternalName, Value, types,
};
use cranelift_frontend::{FunctionBuilder, Variable};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::control::Frame;
use super::fuel::Fuel;
use super::inline::Inlining;
use super::known::Known;
use super::legacy::LegacyClauses;
use crate::abi::{Builtin, InstanceLayout, Kind, StoreContext, Trap};
use crate::compile::Settings;
use crate::gc::{FuncGc, GcOp};
use crate::inline::Candidates;
use crate::module::ModuleInfo;

/// Namespace of names of the module's own functions; the index is the function index.
pub(crate) const FUNC_NAMESPACE: u32 = 0;

/// Translates one function.
pub(crate) struct FuncTranslator<'a> {
    /// The builder.
    pub builder: FunctionBuilder<'a>,
    /// Declarations.
    pub module: &'a ModuleInfo,
    /// Instance layout.
    pub layout: &'a InstanceLayout,
    /// Settings.
    pub settings: &'a Settings,
    /// GC operations and references.
    pub gc: &'a mut FuncGc,
    /// The instance context.
    pub context: Value,
    /// Operand stack. `v128` values are `i8x16`.
    pub stack: Vec<Value>,
    /// Control stack; frame 0 is the function.
    pub control: Vec<Frame>,
    /// Whether the current position can be reached.
    pub reachable: bool,
    /// Locals, parameters first.
    pub locals: Vec<Variable>,
    /// Clauses of the legacy `try`s of this function, by the operator's offset.
    pub legacy: LegacyClauses,
    /// Fuel, when it is counted.
    pub(super) fuel: Option<Fuel>,
    /// Inlined bodies.
    pub(super) inlining: Inlining<'a>,
    /// What is known about values.
    pub(super) known: Known,
    /// Which functions references probably refer to, when calls are to be guarded.
    pub(super) candidates: Option<&'a Candidates>,
    /// Catch blocks that some call can enter.
    pub(super) caught: FxHashSet<ir::Block>,
    pub(super) func_refs: FxHashMap<u32, FuncRef>,
    pub(super) type_sigs: FxHashMap<u32, SigRef>,
    pub(super) builtin_sigs: FxHashMap<Builtin, SigRef>,
}

/// What a call calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Callee {
    /// A function of this module.
    Direct(FuncRef),
    /// A code address with its signature.
    Indirect(SigRef, Value),
}

/// Loads that no store of this function can change and that no check guards.
pub(super) fn constant() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly().with_can_move()
}

impl FuncTranslator<'_> {
    /// Pops an operand.
    ///
    /// # Panics
    ///
    /// On an empty stack: validation has excluded that.
    pub fn pop(&mut self) -> Value {
        self.stack.pop().expect("validated code never underflows the operand stack")
    }

    /// Pops two operands; the second was on top.
    pub fn pop2(&mut self) -> (Value, Value) {
        let b = self.pop();
        (self.pop(), b)
    }

    /// Pops three operands; the last was on top.
    pub fn pop3(&mut self) -> (Value, Value, Value) {
        let c = self.pop();
        let (a, b) = self.pop2();
        (a, b, c)
    }

    /// Pops `n` operands, in push order.
    pub fn pop_n(&mut self, n: usize) -> SmallVec<[Value; 8]> {
        let start = self.stack.len() - n;
        self.stack.drain(start..).collect()
    }

    /// Pushes an operand. Vectors of any shape become `i8x16`.
    pub fn push(&mut self, value: Value) {
        let ty = self.builder.func.dfg.value_type(value);
        let value = if ty.is_vector() && ty != types::I8X16 { self.bitcast_vector(value, types::I8X16) } else { value };
        self.stack.push(value);
    }

    /// Pops a vector as `shape`.
    pub fn pop_vector(&mut self, shape: Type) -> Value {
        let value = self.pop();
        self.bitcast_vector(value, shape)
    }

    /// Reinterprets a vector; lanes are little-endian.
    pub fn bitcast_vector(&mut self, value: Value, shape: Type) -> Value {
        if self.builder.func.dfg.value_type(value) == shape {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(ir::Endianness::Little);
        self.builder.ins().bitcast(shape, flags, value)
    }

    /// The default value of a kind: zero, or null.
    pub fn zero(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::I32 => self.builder.ins().iconst(types::I32, 0),
            Kind::I64 => self.builder.ins().iconst(types::I64, 0),
            Kind::F32 => self.builder.ins().f32const(0.0),
            Kind::F64 => self.builder.ins().f64const(0.0),
            Kind::V128 => {
                let zero = self.builder.func.dfg.constants.insert(vec![0; 16].into());
                self.builder.ins().vconst(types::I8X16, zero)
            }
        }
    }

    /// A load that always gives the same value: instance fields.
    pub fn load_constant(&mut self, ty: Type, base: Value, offset: i32) -> Value {
        self.builder.ins().load(ty, constant(), base, offset)
    }

    /// The store's context.
    pub fn store_context(&mut self) -> Value {
        self.load_constant(types::I64, self.context, InstanceLayout::STORE)
    }

    /// Traps with `trap` when `condition` (any integer) is non-zero.
    pub fn trap_if(&mut self, condition: Value, trap: Trap) {
        if self.settings.instructions_trap() {
            self.builder.ins().trapnz(condition, trap.code());
            return;
        }
        let (cold, next) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(cold);
        self.builder.ins().brif(condition, cold, &[], next, &[]);
        self.builder.switch_to_block(cold);
        self.builder.seal_block(cold);
        self.trap(trap);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
    }

    /// Traps with `trap` when `condition` (any integer) is zero.
    pub fn trap_unless(&mut self, condition: Value, trap: Trap) {
        if self.settings.instructions_trap() {
            self.builder.ins().trapz(condition, trap.code());
        } else {
            let ty = self.builder.func.dfg.value_type(condition);
            let zero = self.builder.ins().iconst(ty, 0);
            let failed = self.builder.ins().icmp(ir::condcodes::IntCC::Equal, condition, zero);
            self.trap_if(failed, trap);
        }
    }

    /// Traps unconditionally; the current block is ended.
    pub fn trap(&mut self, trap: Trap) {
        if !self.settings.instructions_trap() {
            let number = self.builder.ins().iconst(types::I32, i64::from(trap as u8));
            self.call_builtin(Builtin::RaiseTrap, &[number]);
        }
        self.builder.ins().trap(trap.code());
    }

    /// Emits a GC operation; the context is added in front of `args`.
    pub fn gc_op(&mut self, op: GcOp, args: &[Value]) -> Option<Value> {
        let mut all = SmallVec::<[Value; 8]>::new();
        all.push(self.context);
        all.extend_from_slice(args);
        self.gc.emit(&mut self.builder, self.module, op, &all)
    }

    /// Emits a GC operation that has a result, and pushes it.
    pub fn push_gc_op(&mut self, op: GcOp, args: &[Value]) {
        let value = self.gc_op(op, args).expect("the operation has a result");
        self.push(value);
    }

    /// The callee of a builtin.
    pub(super) fn builtin_callee(&mut self, builtin: Builtin) -> Callee {
        let builder = &mut self.builder;
        let sig =
            *self.builtin_sigs.entry(builtin).or_insert_with(|| builder.import_signature(builtin.call_signature()));
        let table = self.load_constant(types::I64, self.context, InstanceLayout::BUILTINS);
        let code = self.load_constant(types::I64, table, 8 * builtin as i32);
        Callee::Indirect(sig, code)
    }

    /// Calls a builtin that throws no exception. The context is added in front of `args`.
    pub fn call_builtin(&mut self, builtin: Builtin, args: &[Value]) -> Option<Value> {
        let Callee::Indirect(sig, code) = self.builtin_callee(builtin) else { unreachable!("builtins are indirect") };
        let mut all = SmallVec::<[Value; 8]>::new();
        all.push(self.context);
        all.extend_from_slice(args);
        let call = self.builder.ins().call_indirect(sig, code, &all);
        // Operations on memories ask now and then whether they may go on; the answer may come from code that collects.
        if !(builtin.is_safepoint() || self.settings.epochs && builtin.is_interruptible()) {
            self.gc.quiet_calls.insert(call);
        }
        self.builder.inst_results(call).first().copied()
    }

    /// The imported name of one of the module's own functions.
    pub(super) fn func_ref(&mut self, index: u32) -> FuncRef {
        if let Some(&f) = self.func_refs.get(&index) {
            return f;
        }
        let signature = self.type_sig(self.module.funcs[index as usize]);
        let name = self.builder.func.declare_imported_user_function(UserExternalName::new(FUNC_NAMESPACE, index));
        let f = self.builder.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: true,
            patchable: false,
        });
        self.func_refs.insert(index, f);
        f
    }

    /// The machine signature of function type `ty`.
    pub(super) fn type_sig(&mut self, ty: u32) -> SigRef {
        let (module, builder) = (self.module, &mut self.builder);
        *self
            .type_sigs
            .entry(ty)
            .or_insert_with(|| builder.import_signature(crate::abi::tail_signature(module.func_type_at(ty))))
    }

    /// Calls with `args` (the callee's context included), under the handlers in scope, and returns the results.
    pub(super) fn emit_call(&mut self, callee: Callee, args: &[Value]) -> SmallVec<[Value; 4]> {
        self.save_fuel();
        let handlers = self.handlers_in_scope();
        if handlers.is_empty() {
            let call = match callee {
                Callee::Direct(f) => self.builder.ins().call(f, args),
                Callee::Indirect(sig, code) => self.builder.ins().call_indirect(sig, code, args),
            };
            let results = self.builder.inst_results(call).iter().copied().collect();
            self.reload_fuel();
            return results;
        }
        let sig = match callee {
            Callee::Direct(f) => self.builder.func.dfg.ext_funcs[f].signature,
            Callee::Indirect(sig, _) => sig,
        };
        let result_types: SmallVec<[Type; 4]> =
            self.builder.func.dfg.signatures[sig].returns.iter().map(|r| r.value_type).collect();

        let normal = self.builder.create_block();
        let results: SmallVec<[Value; 4]> =
            result_types.iter().map(|&ty| self.builder.append_block_param(normal, ty)).collect();
        // Each destination is a block of this call alone, without arguments from this side: what is live across the
        // call is renamed there when a collection moves it.
        let landings: SmallVec<[ir::Block; 4]> = handlers.iter().map(|_| self.builder.create_block()).collect();

        let pool = &mut self.builder.func.dfg.value_lists;
        let returned = (0..result_types.len()).map(|i| BlockArg::TryCallRet(i as u32));
        let normal_call = ir::BlockCall::new(normal, returned, pool);
        let mut items = vec![ExceptionTableItem::Context(self.context)];
        for (handler, &landing) in handlers.iter().zip(&landings) {
            let target = ir::BlockCall::new(landing, [BlockArg::TryCallExn(0)], pool);
            items.push(match handler.tag {
                Some(tag) => {
                    ExceptionTableItem::Tag(ir::ExceptionTag::with_number(tag).expect("tag indices are small"), target)
                }
                None => ExceptionTableItem::Default(target),
            });
        }
        let table = self.builder.func.dfg.exception_tables.push(ExceptionTableData::new(sig, normal_call, items));
        match callee {
            Callee::Direct(f) => self.builder.ins().try_call(f, args, table),
            Callee::Indirect(_, code) => self.builder.ins().try_call_indirect(code, args, table),
        };
        for (handler, landing) in handlers.iter().zip(landings) {
            let payload = self.builder.append_block_param(landing, types::I64);
            self.builder.set_cold_block(landing);
            self.builder.switch_to_block(landing);
            self.builder.seal_block(landing);
            let exception = self.builder.ins().ireduce(types::I32, payload);
            self.gc.refs.insert(exception);
            self.reload_fuel();
            self.builder.ins().jump(handler.block, &[exception.into()]);
            self.caught.insert(handler.block);
        }
        self.builder.switch_to_block(normal);
        self.builder.seal_block(normal);
        self.reload_fuel();
        results
    }

    /// Whether the given function-type result is a reference that the collector traces, for each result of `ty`.
    pub(super) fn mark_results(&mut self, ty: u32, results: &[Value]) {
        for (result, value_type) in results.iter().zip(&self.module.func_type_at(ty).results) {
            if self.module.is_traced(value_type) {
                self.gc.refs.insert(*result);
            }
        }
    }

    /// Offset of a field of the store's context.
    pub(super) fn func_table_length(&mut self) -> Value {
        let store = self.store_context();
        let offset = core::mem::offset_of!(StoreContext, func_table_len) as i32;
        self.builder.ins().load(types::I32, MemFlagsData::trusted(), store, offset)
    }
}
