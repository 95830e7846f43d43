//! One function: from a body, or from finished CLIF, to code with tables.

use super::stubs::{HostCallReloc, host_calls};
use super::{CompileError, Compiler, size};
use crate::abi::{InstanceLayout, Kind, SignatureKinds, Trap};
use crate::artifact::{Handler, Handlers, Tables};
use crate::gc::lower::LowerEnv;
use crate::gc::{self, FuncGc, safepoints};
use crate::inline::{Candidates, Inliner};
use crate::module::{FunctionBody, ModuleInfo};
use crate::opt;
use crate::translate::{FUNC_NAMESPACE, InlinedCode, TranslateEnv, translate_function};
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::ir::{self, ExternalName, Function, SourceLoc, UserExternalName, UserFuncName};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{
    CompiledCode, Context, ExceptionContextLoc, FinalizedMachCallSite, FinalizedMachExceptionHandler,
    FinalizedRelocTarget,
};
use cranelift_control::ControlPlane;
use cranelift_frontend::FunctionBuilderContext;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wasmparser::FuncValidatorAllocations;

/// Bytes of a reference in a frame.
const WORD: u32 = 4;

/// A compiled function that is not linked yet. Offsets count from its start.
pub(super) struct FunctionCode {
    pub(super) code: Vec<u8>,
    pub(super) alignment: u32,
    pub(super) relocs: Vec<CallReloc>,
    pub(super) tables: Tables,
}

/// A direct call of a function of the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallReloc {
    pub(super) offset: u32,
    pub(super) kind: Reloc,
    pub(super) addend: i64,
    /// Function index (imports counted).
    pub(super) callee: u32,
}

/// What one thread reuses from function to function.
pub(super) struct Worker {
    pub(super) context: Context,
    builder: FunctionBuilderContext,
    validator: FuncValidatorAllocations,
    control: ControlPlane,
    /// What of the current function comes from inlined bodies.
    pub(super) inlined: InlinedCode,
}

/// What all functions of a module share.
#[derive(Clone, Copy)]
pub(super) struct ModuleEnv<'a> {
    pub(super) compiler: &'a Compiler,
    pub(super) info: &'a ModuleInfo,
    pub(super) layout: &'a InstanceLayout,
    /// The bodies to inline, when that is wanted.
    pub(super) inliner: Option<Inliner<'a>>,
    /// Which functions references probably refer to, when calls through them are to be guarded.
    pub(super) candidates: Option<&'a Candidates>,
}

impl Worker {
    pub(super) fn new() -> Worker {
        Worker {
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            validator: FuncValidatorAllocations::default(),
            control: ControlPlane::default(),
            inlined: InlinedCode::default(),
        }
    }

    /// Validates and compiles a function of a module.
    pub(super) fn compile(&mut self, env: ModuleEnv<'_>, body: FunctionBody<'_>) -> Result<FunctionCode, CompileError> {
        let index = body.index;
        self.guarded(index, |worker| {
            worker.prepare(env, body)?;
            worker.generate(env.compiler, index)?;
            collect(&worker.context, &worker.inlined, index)
        })
    }

    /// Does something with a function of a module.
    ///
    /// Modules come from anywhere, and a code generator asserts its invariants: a panic is reported as a defect that concerns
    /// this function, and leaves the rest of the process alone.
    pub(super) fn guarded<T>(
        &mut self,
        index: u32,
        work: impl FnOnce(&mut Worker) -> Result<T, CompileError>,
    ) -> Result<T, CompileError> {
        catch_unwind(AssertUnwindSafe(|| work(self))).unwrap_or_else(|panic| {
            // Nothing that was reused can be trusted any more.
            *self = Worker::new();
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(CompileError::internal(index, format!("panic: {text}")))
        })
    }

    /// Validates a function of a module and leaves its CLIF, lowered and with safepoints, in the context. Gives what is
    /// known about its GC operations.
    pub(super) fn prepare(&mut self, env: ModuleEnv<'_>, body: FunctionBody<'_>) -> Result<FuncGc, CompileError> {
        let mut gc = self.translate(env, body)?;
        let ModuleEnv { compiler, info, layout, .. } = env;
        let settings = &compiler.settings;
        let func = &mut self.context.func;
        gc::expand(func, &mut gc, &LowerEnv { module: info, layout, spec: compiler.spec, settings });
        safepoints::insert(func, &gc, compiler.spec);
        Ok(gc)
    }

    /// Validates a function of a module and leaves its CLIF, with GC operations that are still to be lowered, in the context.
    pub(super) fn translate(&mut self, env: ModuleEnv<'_>, body: FunctionBody<'_>) -> Result<FuncGc, CompileError> {
        let ModuleEnv { compiler, info, layout, inliner, candidates } = env;
        let index = body.index;
        self.context.clear();
        let func = &mut self.context.func;
        func.name = UserFuncName::User(UserExternalName::new(FUNC_NAMESPACE, index));
        func.signature = SignatureKinds::of(info.func_type(index)).tail();

        let mut gc = FuncGc::default();
        let settings = &compiler.settings;
        let translate_env = TranslateEnv { module: info, layout, settings, isa: &*compiler.isa, inliner, candidates };
        let allocations = std::mem::take(&mut self.validator);
        let inlined = &mut self.inlined;
        match translate_function(&translate_env, func, &mut self.builder, body, &mut gc, inlined, allocations) {
            Ok(allocations) => self.validator = allocations,
            Err(e) => {
                // It was left in the middle of a function.
                self.builder = FunctionBuilderContext::new();
                return Err(e);
            }
        }
        if settings.verify {
            verify(index, func, &*compiler.isa)?;
        }
        opt::run(func, &mut gc, info, settings);
        if settings.verify {
            verify(index, func, &*compiler.isa)?;
        }
        Ok(gc)
    }

    /// Makes code of the function that was prepared; it is left in the context.
    pub(super) fn generate(&mut self, compiler: &Compiler, index: u32) -> Result<(), CompileError> {
        let isa = size::generator(compiler, &self.context.func);
        self.emit(isa, Some(index))
    }

    /// Compiles a stub that `build` makes and gives its code and its host calls; the compiled buffer stays in [`Worker::context`].
    pub(super) fn compile_stub(
        &mut self,
        isa: &dyn TargetIsa,
        signature: ir::Signature,
        build: impl FnOnce(&mut Function, &mut FunctionBuilderContext),
    ) -> Result<(&CompiledCode, Vec<HostCallReloc>), CompileError> {
        self.context.clear();
        self.context.func.signature = signature;
        build(&mut self.context.func, &mut self.builder);
        self.emit(isa, None)?;
        let code = self.context.compiled_code().expect("compilation has succeeded");
        Ok((code, host_calls(&self.context.func, code)?))
    }

    /// Runs Cranelift; the result is left in the context.
    fn emit(&mut self, isa: &dyn TargetIsa, index: Option<u32>) -> Result<(), CompileError> {
        match self.context.compile(isa, &mut self.control) {
            Ok(_) => Ok(()),
            Err(e) => Err(CompileError::codegen(index, e.func, e.inner)),
        }
    }
}

fn verify(index: u32, func: &Function, isa: &dyn TargetIsa) -> Result<(), CompileError> {
    cranelift_codegen::verify_function(func, isa).map_err(|e| CompileError::codegen(Some(index), func, e.into()))
}

/// Reads the tables of a function that was just compiled.
pub(super) fn collect(context: &Context, inlined: &InlinedCode, index: u32) -> Result<FunctionCode, CompileError> {
    let buffer = &context.compiled_code().expect("compilation has succeeded").buffer;
    let mut out = FunctionCode {
        code: buffer.data().to_vec(),
        alignment: buffer.alignment,
        relocs: Vec::with_capacity(buffer.relocs().len()),
        tables: Tables::default(),
    };
    for reloc in buffer.relocs() {
        let callee = match &reloc.target {
            FinalizedRelocTarget::ExternalName(name) => callee(&context.func, name, index)?,
            FinalizedRelocTarget::Func(_) => {
                return Err(CompileError::internal(index, format!("unexpected relocation {reloc:?}")));
            }
        };
        out.relocs.push(CallReloc { offset: reloc.offset, kind: reloc.kind, addend: reloc.addend, callee });
    }
    let mut slots = Vec::new();
    for (offset, frame_size, map) in buffer.user_stack_maps() {
        slots.clear();
        for (ty, above_sp) in map.entries() {
            let words = if ty == safepoints::RUN { run(context, above_sp) } else { single(ty, above_sp) };
            let words = words.filter(|words| words.end <= *frame_size).ok_or_else(|| {
                let what = format!("stack map entry of type {ty} at {above_sp} in a frame of {frame_size} bytes");
                CompileError::internal(index, what)
            })?;
            slots.extend(below_fp(*frame_size, words));
        }
        out.tables.stack_maps.push(*offset, &slots);
    }
    for trap in buffer.traps() {
        let known = Trap::from_code(trap.code)
            .ok_or_else(|| CompileError::internal(index, format!("unknown trap code {}", trap.code)))?;
        out.tables.traps.push(trap.offset, known);
    }
    for site in buffer.call_sites().filter(|s| !s.exception_handlers.is_empty()) {
        let (frame_size, context, handlers) = handlers(index, &site)?;
        out.tables.handlers.push(site.ret_addr, Handlers { handlers: &handlers, frame_size, context });
    }
    addresses(&mut out.tables, inlined, buffer.get_srclocs_sorted().iter().map(|s| (s.start, s.end, s.loc)));
    Ok(out)
}

/// The function that a relocation names.
fn callee(func: &Function, name: &ExternalName, index: u32) -> Result<u32, CompileError> {
    if let ExternalName::User(name) = name {
        let name = &func.params.user_named_funcs()[*name];
        if name.namespace == FUNC_NAMESPACE {
            return Ok(name.index);
        }
    }
    let name = name.display(Some(&func.params));
    Err(CompileError::internal(index, format!("code refers to {name}, which nothing provides")))
}

/// Where a stack map's entry for one reference has its bytes, above the stack pointer.
fn single(ty: ir::Type, above_sp: u32) -> Option<Range<u32>> {
    (ty == Kind::I32.clif()).then_some(above_sp..above_sp + ty.bytes())
}

/// Where the references of a run are, above the stack pointer. They fill the stack slot that starts at `above_sp`, except for its first
/// word, which has their number. When that is even, a word is left over in the end; it is always null.
fn run(context: &Context, above_sp: u32) -> Option<Range<u32>> {
    let layout = context.compiled_code()?.buffer.frame_layout()?;
    let slots = &context.func.sized_stack_slots;
    // A slot without bytes may start at the same place.
    let slot = slots.iter().find(|(slot, data)| layout.stackslots[*slot].offset == above_sp && data.size > 0)?;
    Some(above_sp + WORD..above_sp + slot.1.size)
}

/// The words of a range above the stack pointer, as distances below the frame pointer. Cranelift counts from the stack pointer,
/// which is the frame pointer less the frame's size at every call.
fn below_fp(frame_size: u32, above_sp: Range<u32>) -> impl Iterator<Item = u32> {
    above_sp.step_by(WORD as usize).map(move |word| frame_size - word)
}

/// Frame size, distance of the instance context below the frame pointer, and the handlers of a call.
fn handlers(index: u32, site: &FinalizedMachCallSite<'_>) -> Result<(u32, u32, Vec<Handler>), CompileError> {
    let malformed = |what: &str| CompileError::internal(index, format!("exception table {what}: {site:?}"));
    let frame_size = site.frame_offset.ok_or_else(|| malformed("without frame size"))?;
    let mut context = None;
    let mut handlers = Vec::new();
    for item in site.exception_handlers {
        match *item {
            FinalizedMachExceptionHandler::Context(ExceptionContextLoc::SPOffset(above_sp)) if context.is_none() => {
                context = Some(frame_size.checked_sub(above_sp).ok_or_else(|| malformed("with a stray context"))?);
            }
            // No register survives an exception, so the context cannot be in one.
            FinalizedMachExceptionHandler::Context(_) => return Err(malformed("with an unexpected context")),
            FinalizedMachExceptionHandler::Tag(tag, code) => handlers.push(Handler { tag: Some(tag.as_u32()), code }),
            FinalizedMachExceptionHandler::Default(code) => handlers.push(Handler { tag: None, code }),
        }
    }
    let context = context.ok_or_else(|| malformed("without context"))?;
    Ok((frame_size, context, handlers))
}

/// Fills a function's address map and its table of inlined calls from Cranelift's ranges. Code in between, and behind the last range,
/// belongs to no instruction.
fn addresses(tables: &mut Tables, inlined: &InlinedCode, ranges: impl Iterator<Item = (u32, u32, SourceLoc)>) {
    inlined.calls.iter().for_each(|call| tables.inlined.push_call(*call));
    let mut push = |code, location: Option<SourceLoc>| {
        let place = location.and_then(|location| inlined.place(location));
        tables.addresses.push(code, place.map(|place| place.wasm));
        tables.inlined.push(code, place.and_then(|place| place.call));
    };
    let mut end = 0;
    push(0, None);
    for (start, range_end, location) in ranges {
        if start > end {
            push(end, None);
        }
        push(start, Some(location));
        end = range_end;
    }
    push(end, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift_codegen::ir::types;

    #[test]
    fn slots_count_down_from_the_frame_pointer() {
        // A frame of 64 bytes: the word at sp + 16 is 48 below the frame pointer, the last word 4 below.
        let slots = |range| below_fp(64, range).collect::<Vec<_>>();
        assert_eq!(single(types::I32, 16).map(slots), Some(vec![48]));
        assert_eq!(single(types::I32, 60).map(slots), Some(vec![4]));
        assert_eq!(slots(16..28), [48, 44, 40]);
        assert!(single(types::F64, 0).is_none());
    }

    #[test]
    fn gaps_between_ranges_have_no_address() {
        let mut tables = Tables::default();
        addresses(
            &mut tables,
            &InlinedCode::default(),
            [(4, 8, SourceLoc::new(70)), (8, 10, SourceLoc::default()), (12, 20, SourceLoc::new(71))].into_iter(),
        );
        let at: Vec<_> = [0, 4, 7, 8, 10, 12, 19, 20].map(|o| tables.addresses.lookup(o)).into();
        assert_eq!(at, [None, Some(70), Some(70), None, None, Some(71), Some(71), None]);
    }
}
