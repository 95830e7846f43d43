//! Code at the border between compiled code and the vm.

use super::function::Worker;
use super::{CompileError, Compiler, Target};
use crate::abi::{Builtin, HostCall, HostFuncContext, InstanceLayout, Kind, SignatureKinds, StoreContext};
use crate::artifact::CodeRange;
use core::mem::offset_of;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{
    AbiParam, Block, BlockArg, ExceptionTableData, ExceptionTableItem, ExtFuncData, ExternalName, Function, Inst,
    InstBuilder, MemFlagsData, Signature, StackSlotData, StackSlotKind, UserExternalName, Value, types,
};
use cranelift_codegen::isa::CallConv;
use cranelift_codegen::{CompiledCode, FinalizedMachExceptionHandler, FinalizedMachReloc, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// Machine code of stubs, position-independent.
#[derive(Clone, Debug, Default)]
pub struct StubText {
    /// The code.
    pub text: Vec<u8>,
    /// The stubs, in the order asked for.
    pub stubs: Vec<CodeRange>,
    /// For entry trampolines: text offset of the catch-all handler and the distance of the handler's stack pointer below the
    /// trampoline's frame pointer.
    pub handlers: Vec<(u32, u32)>,
}

/// What stubs to compile.
#[derive(Clone, Debug)]
pub enum Stubs<'a> {
    /// One stub per [`Builtin`](crate::abi::Builtin), in `Builtin::ALL` order. Stub `i` reads the vm's implementation from
    /// entry `Builtin::ALL.len() + i` of the builtin table of the context: the table holds stub addresses first,
    /// implementations (host calling convention) after them.
    ///
    /// A stub: `(context, arguments…)`: records its frame pointer in `StoreContext::exit_fp`, calls the implementation with the
    /// same arguments, returns its result. `RawCopy` and `RawFill` record nothing. For an interpreter the call is a
    /// [`HostCall`] instead, and the table's second half is not read.
    Builtins,
    /// Entry trampolines: `extern "C" fn(code: *const u8, context: *mut u8, slots: *mut [u8; 16], store: *mut StoreContext) -> u32`.
    /// Stores its frame pointer in `store.entry_fp`, loads the parameters from `slots`, calls `code` under a catch-all handler, writes
    /// results to `slots` and returns 0; 1 when control came through the handler.
    Entries(&'a [SignatureKinds]),
    /// Host-call stubs under the `Tail` convention: context is a `HostFuncContext`. Records its frame pointer in
    /// `context.store.exit_fp`, spills parameters to an array of 16-byte slots (as many as the larger of parameters and results, at
    /// least one), calls `context.call(context, slots)` (for an interpreter, [`HostCall::Function`]), loads results and returns them.
    HostCalls(&'a [SignatureKinds]),
}

/// Stubs start at multiples of this.
const ALIGNMENT: usize = 16;

/// The namespace of the names of [`HostCall`]s; a name's index is the operand.
const HOST_NAMESPACE: u32 = u32::MAX;

/// Where the operand of the interpreter's host-call instruction is.
const HOST_CALL_OPERAND: usize = 3;

/// Bytes of a parameter or result slot. A value takes the first bytes of its slot; the others are undefined.
const SLOT: i32 = 16;

impl Compiler {
    /// Compiles stubs.
    ///
    /// # Errors
    ///
    /// [`CompileError`].
    pub fn compile_stubs(&self, stubs: Stubs<'_>) -> Result<StubText, CompileError> {
        let border = Border { target: self.settings.target, host: self.isa.default_call_conv() };
        let mut out = StubText::default();
        let mut worker = Worker::new();
        match stubs {
            Stubs::Builtins => {
                for (i, &builtin) in Builtin::ALL.iter().enumerate() {
                    self.stub(&mut worker, &mut out, builtin.call_signature(), |b| {
                        emit_builtin(b, i, builtin, border)
                    })?;
                }
            }
            Stubs::Entries(signatures) => {
                for kinds in signatures {
                    let code =
                        self.stub(&mut worker, &mut out, entry_signature(border.host), |b| emit_entry(b, kinds))?;
                    let (handler, frame_size) = catch_all(code)?;
                    let start = out.stubs.last().expect("the stub was just added").start;
                    out.handlers.push((start + handler, frame_size));
                }
            }
            Stubs::HostCalls(signatures) => {
                for kinds in signatures {
                    self.stub(&mut worker, &mut out, kinds.tail(), |b| emit_host_call(b, kinds, border))?;
                }
            }
        }
        Ok(out)
    }

    /// Compiles one stub and appends its code.
    fn stub<'w>(
        &self,
        worker: &'w mut Worker,
        out: &mut StubText,
        signature: Signature,
        emit: impl FnOnce(&mut StubBuilder<'_>),
    ) -> Result<&'w CompiledCode, CompileError> {
        // The optimiser has nothing to gain here.
        let isa = &*self.light_isa;
        let build = |func: &mut Function, context: &mut FunctionBuilderContext| {
            let mut b = FunctionBuilder::new(func, context);
            let entry = b.create_block();
            b.append_block_params_for_function_params(entry);
            b.switch_to_block(entry);
            let params = b.block_params(entry).to_vec();
            let mut stub = StubBuilder { b, params };
            emit(&mut stub);
            stub.b.seal_all_blocks();
            stub.b.finalize(isa.frontend_config());
        };
        let (code, relocs) = worker.compile_stub(isa, signature, build)?;
        debug_assert!(code.buffer.alignment as usize <= ALIGNMENT);
        out.text.resize(out.text.len().next_multiple_of(ALIGNMENT), 0);
        let start = out.text.len();
        out.stubs.push(CodeRange { start: start as u32, length: code.code_buffer().len() as u32 });
        out.text.extend_from_slice(code.code_buffer());
        for reloc in &relocs {
            out.text[start + reloc.offset as usize + HOST_CALL_OPERAND] = reloc.host_call;
        }
        Ok(code)
    }
}

/// What a stub has to do with on the other side.
#[derive(Clone, Copy)]
struct Border {
    target: Target,
    /// The host's calling convention.
    host: CallConv,
}

/// A host-call instruction whose operand is missing.
pub(super) struct HostCallReloc {
    offset: u32,
    host_call: u8,
}

/// The host calls of a stub that was just compiled.
pub(super) fn host_calls(func: &Function, code: &CompiledCode) -> Result<Vec<HostCallReloc>, CompileError> {
    let host_call = |reloc: &FinalizedMachReloc| {
        let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = reloc.target else { return None };
        let name = &func.params.user_named_funcs()[name];
        (reloc.kind == Reloc::PulleyCallIndirectHost && name.namespace == HOST_NAMESPACE)
            .then_some(HostCallReloc { offset: reloc.offset, host_call: name.index as u8 })
    };
    let relocs = code.buffer.relocs().iter().map(|reloc| {
        let message = || format!("a stub needs {reloc:?}");
        host_call(reloc).ok_or_else(|| CompileError::Internal { function: None, message: message() })
    });
    relocs.collect()
}

/// A stub under construction and its parameters.
struct StubBuilder<'a> {
    b: FunctionBuilder<'a>,
    params: Vec<Value>,
}

impl StubBuilder<'_> {
    /// Loads from a structure of the vm: always mapped, always aligned.
    fn load(&mut self, kind: Kind, base: Value, offset: i32) -> Value {
        self.b.ins().load(kind.clif(), MemFlagsData::trusted(), base, offset)
    }

    fn store(&mut self, value: Value, base: Value, offset: i32) {
        self.b.ins().store(MemFlagsData::trusted(), value, base, offset);
    }

    /// Calls the host: `code`, or for an interpreter `call`.
    fn call_host(
        &mut self,
        border: Border,
        call: HostCall,
        code: impl FnOnce(&mut Self) -> Value,
        args: &[Value],
    ) -> Inst {
        if border.target == Target::Native {
            let code = code(self);
            let signature = match call {
                HostCall::Builtin(builtin) => builtin.host_signature(border.host),
                HostCall::Function => call.signature(border.host),
            };
            let signature = self.b.import_signature(signature);
            return self.b.ins().call_indirect(signature, code, args);
        }
        let name = UserExternalName::new(HOST_NAMESPACE, call.id().into());
        let name = ExternalName::user(self.b.func.declare_imported_user_function(name));
        let signature = self.b.import_signature(call.signature(border.host));
        let callee = self.b.import_function(ExtFuncData { name, signature, colocated: false, patchable: false });
        self.b.ins().call(callee, args)
    }

    /// Stores this frame's frame pointer in the store's field at `field`.
    fn record_frame(&mut self, store: Value, field: usize) {
        let fp = self.b.ins().get_frame_pointer(types::I64);
        self.store(fp, store, field as i32);
    }

    /// Loads values from consecutive slots, which the host need not have aligned.
    fn load_slots(&mut self, kinds: &[Kind], slots: Value) -> Vec<Value> {
        let flags = MemFlagsData::new().with_notrap();
        let offsets = (0..).step_by(SLOT as usize);
        kinds.iter().zip(offsets).map(|(kind, o)| self.b.ins().load(kind.clif(), flags, slots, o)).collect()
    }

    /// Stores values to consecutive slots.
    fn store_slots(&mut self, values: &[Value], slots: Value) {
        let flags = MemFlagsData::new().with_notrap();
        for (&value, offset) in values.iter().zip((0..).step_by(SLOT as usize)) {
            self.b.ins().store(flags, value, slots, offset);
        }
    }
}

fn emit_builtin(stub: &mut StubBuilder<'_>, number: usize, builtin: Builtin, border: Border) {
    let params = stub.params.clone();
    let context = params[0];
    if !matches!(builtin, Builtin::RawCopy | Builtin::RawFill) {
        let store = stub.load(Kind::I64, context, InstanceLayout::STORE);
        stub.record_frame(store, offset_of!(StoreContext, exit_fp));
    }
    let code = |stub: &mut StubBuilder<'_>| {
        let table = stub.load(Kind::I64, context, InstanceLayout::BUILTINS);
        let entry = (Builtin::ALL.len() + number) * size_of::<*const u8>();
        stub.load(Kind::I64, table, entry as i32)
    };
    let call = stub.call_host(border, HostCall::Builtin(builtin), code, &params);
    let results = stub.b.inst_results(call).to_vec();
    stub.b.ins().return_(&results);
}

fn entry_signature(host: CallConv) -> Signature {
    let mut signature = Signature::new(host);
    signature.params.extend([AbiParam::new(types::I64); 4]);
    signature.returns.push(AbiParam::new(types::I32));
    signature
}

fn emit_entry(stub: &mut StubBuilder<'_>, kinds: &SignatureKinds) {
    let &[code, context, slots, store] = stub.params.as_slice() else {
        unreachable!("an entry trampoline has four parameters")
    };
    stub.record_frame(store, offset_of!(StoreContext, entry_fp));
    let mut args = vec![context];
    args.extend(stub.load_slots(&kinds.params, slots));

    let returned = stub.b.create_block();
    let results: Vec<Value> =
        kinds.results.iter().map(|kind| stub.b.append_block_param(returned, kind.clif())).collect();
    let caught: Block = stub.b.create_block();
    let passed: Vec<BlockArg> = (0..results.len() as u32).map(BlockArg::TryCallRet).collect();
    let normal = stub.b.func.dfg.block_call(returned, &passed);
    let handler = stub.b.func.dfg.block_call(caught, &[]);
    let signature = stub.b.import_signature(kinds.tail());
    let table = ExceptionTableData::new(signature, normal, [ExceptionTableItem::Default(handler)]);
    let table = stub.b.func.dfg.exception_tables.push(table);
    stub.b.ins().try_call_indirect(code, &args, table);

    stub.b.switch_to_block(returned);
    stub.store_slots(&results, slots);
    let zero = stub.b.ins().iconst(types::I32, 0);
    stub.b.ins().return_(&[zero]);

    stub.b.switch_to_block(caught);
    let one = stub.b.ins().iconst(types::I32, 1);
    stub.b.ins().return_(&[one]);
}

/// The handler of an entry trampoline's only protected call: its code offset and its frame's size.
fn catch_all(code: &CompiledCode) -> Result<(u32, u32), CompileError> {
    let mut sites = code.buffer.call_sites().filter(|s| !s.exception_handlers.is_empty());
    if let (Some(site), None) = (sites.next(), sites.next())
        && let ([FinalizedMachExceptionHandler::Default(handler)], Some(size)) =
            (site.exception_handlers, site.frame_offset)
    {
        return Ok((*handler, size));
    }
    let message = "an entry trampoline without exactly one handler".to_string();
    Err(CompileError::Internal { function: None, message })
}

fn emit_host_call(stub: &mut StubBuilder<'_>, kinds: &SignatureKinds, border: Border) {
    let params = stub.params.clone();
    let context = params[0];
    let store = stub.load(Kind::I64, context, offset_of!(HostFuncContext, store) as i32);
    stub.record_frame(store, offset_of!(StoreContext, exit_fp));

    let count = kinds.params.len().max(kinds.results.len()).max(1);
    let size = count as u32 * SLOT as u32;
    let array = stub.b.create_sized_stack_slot(StackSlotData::new(
        StackSlotKind::ExplicitSlot,
        size,
        SLOT.trailing_zeros() as u8,
    ));
    let slots = stub.b.ins().stack_addr(types::I64, array, 0);
    stub.store_slots(&params[1..], slots);

    let code = |stub: &mut StubBuilder<'_>| stub.load(Kind::I64, context, offset_of!(HostFuncContext, call) as i32);
    stub.call_host(border, HostCall::Function, code, &[context, slots]);

    let results = stub.load_slots(&kinds.results, slots);
    stub.b.ins().return_(&results);
}
