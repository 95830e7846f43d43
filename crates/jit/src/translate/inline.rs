//! Calls that are replaced by the callee's body.
//!
//! The body is translated in the caller's place, with locals of its own, as if it were a `block` whose label is what
//! the function returns to. So everything that works on one function sees through it: what handlers catch, what fuel
//! costs, and all passes that follow. A callee of the same module has the same instance context.
//!
//! Code of an inlined body must tell where it is: in which function, and by way of which calls. Its source locations
//! are therefore numbers of entries in [`InlinedCode`]; a module's offsets stay below them.

use cranelift_codegen::ir::{InstBuilder, SourceLoc, Value};
use cranelift_frontend::{FunctionBuilder, Variable};
use smallvec::SmallVec;
use wasmparser::FuncValidatorAllocations;

use super::control::block_args;
use super::state::FuncTranslator;
use crate::abi::Kind;
use crate::artifact::InlinedCall;
use crate::compile::CompileError;
use crate::inline::{Budget, GUARD, Heat, Inliner};
use crate::module::FunctionBody;

/// Source locations with this bit are numbers of [`InlinedCode::places`]. No module is that long.
const INLINED: u32 = 1 << 31;

/// How many inlined bodies may stand in each other before a call through a reference becomes one more.
const MOST_OPEN: usize = 12;

/// What code comes from inlined bodies.
#[derive(Debug, Default)]
pub(crate) struct InlinedCode {
    /// The calls that were replaced. Those around a call stand before it.
    pub(crate) calls: Vec<InlinedCall>,
    /// For each operator that was translated there: the innermost call that it is inlined by, and its offset in the
    /// module.
    places: Vec<(u32, u32)>,
}

/// What a source location says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Offset in the module.
    pub(crate) wasm: u32,
    /// The innermost inlined call that the code belongs to, as an index of [`InlinedCode::calls`].
    pub(crate) call: Option<u32>,
}

impl InlinedCode {
    /// What a location says; `None` for the one that says nothing. One that is not from here stands for itself.
    pub(crate) fn place(&self, location: SourceLoc) -> Option<Place> {
        if location.is_default() {
            return None;
        }
        let bits = location.bits();
        if bits & INLINED == 0 {
            return Some(Place { wasm: bits, call: None });
        }
        match self.places.get((bits & !INLINED) as usize) {
            Some(&(call, wasm)) => Some(Place { wasm, call: Some(call) }),
            None => Some(Place { wasm: bits, call: None }),
        }
    }

    /// For a location in an inlined body: the offset of the call in the function itself.
    pub(crate) fn own_offset(&self, location: SourceLoc) -> Option<u32> {
        let mut call = &self.calls[self.place(location)?.call? as usize];
        while let Some(outer) = call.outer() {
            call = &self.calls[outer as usize];
        }
        Some(call.call)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.calls.clear();
        self.places.clear();
    }
}

/// Inlined bodies while a function is translated.
pub(super) struct Inlining<'a> {
    inliner: Option<Inliner<'a>>,
    budget: Budget,
    /// The loops that the current place is in, those of inlined bodies among them.
    loops: u32,
    /// The bodies that the current place is in, innermost last.
    open: SmallVec<[Open; 4]>,
    code: &'a mut InlinedCode,
    /// Variables whose body has ended, by kind: the next body takes them. Cranelift's tables grow with variables times
    /// blocks.
    free: [Vec<Variable>; 5],
    allocations: Vec<FuncValidatorAllocations>,
}

/// An inlined body that is being translated.
struct Open {
    /// Index of its function's frame in the control stack.
    frame: usize,
    /// Index in [`InlinedCode::calls`].
    call: u32,
    /// The results, when the body's only `return` so far is on its outermost level: nothing behind it is reached, so it
    /// needs no jump.
    returned: Option<SmallVec<[Value; 4]>>,
}

impl<'a> Inlining<'a> {
    /// For a function whose body has `bytes` bytes.
    pub(super) fn new(inliner: Option<Inliner<'a>>, bytes: usize, code: &'a mut InlinedCode) -> Inlining<'a> {
        let budget = inliner.map(|inliner| inliner.budget(bytes)).unwrap_or_default();
        code.clear();
        Inlining {
            inliner,
            budget,
            loops: 0,
            open: SmallVec::new(),
            code,
            free: Default::default(),
            allocations: Vec::new(),
        }
    }

    /// Whether the current place is in an inlined body.
    pub(super) fn is_inside(&self) -> bool {
        !self.open.is_empty()
    }

    /// Notes that what follows is in one more loop.
    pub(super) fn enter_loop(&mut self) {
        self.loops += 1;
    }

    /// Notes that the innermost loop ends.
    pub(super) fn leave_loop(&mut self) {
        self.loops -= 1;
    }

    /// How often the current place is run, as far as that shows.
    pub(super) fn heat(&self) -> Heat {
        if self.loops > 0 { Heat::Often } else { Heat::Once }
    }

    /// Pays for a comparison with an expected callee, behind which is a call.
    pub(super) fn pay_for_guard(&mut self, heat: Heat) -> bool {
        heat == Heat::Often && (self.inliner.is_none() || self.budget.pay_in_full(GUARD, heat))
    }

    /// Whether the end of the innermost of `depth` frames is that of an inlined body.
    pub(super) fn ends(&self, depth: usize) -> bool {
        self.open.last().is_some_and(|open| open.frame + 1 == depth)
    }

    /// A variable without value.
    pub(super) fn variable(&mut self, builder: &mut FunctionBuilder<'_>, kind: Kind) -> Variable {
        self.free[slot(kind)].pop().unwrap_or_else(|| builder.declare_var(kind.clif()))
    }
}

fn slot(kind: Kind) -> usize {
    match kind {
        Kind::I32 => 0,
        Kind::I64 => 1,
        Kind::F32 => 2,
        Kind::F64 => 3,
        Kind::V128 => 4,
    }
}

impl<'a> FuncTranslator<'a> {
    /// Says that what is emitted next implements the operator at `offset` of the current body.
    pub(super) fn locate(&mut self, offset: u64) {
        let mut bits = offset as u32;
        if let Some(open) = self.inlining.open.last() {
            let places = &mut self.inlining.code.places;
            bits = INLINED | places.len() as u32;
            places.push((open.call, offset as u32));
        }
        self.builder.set_srcloc(SourceLoc::new(bits));
    }

    /// The body of a function when a call of it here is to be replaced. `planned` says that it is a direct call in the
    /// program, and not one that was found to be.
    pub(super) fn body_of_call(&mut self, function: u32, planned: bool) -> Option<FunctionBody<'a>> {
        self.affordable_body(function, planned, 0, self.inlining.heat())
    }

    /// The same behind a comparison that tells whether it is this function that is called.
    pub(super) fn body_of_guess(&mut self, function: u32, heat: Heat) -> Option<FunctionBody<'a>> {
        self.affordable_body(function, false, GUARD, heat)
    }

    /// The same; what stands around the body weighs `more`.
    fn affordable_body(&mut self, function: u32, planned: bool, more: u32, heat: Heat) -> Option<FunctionBody<'a>> {
        let Inlining { inliner, budget, open, code, .. } = &mut self.inlining;
        let inliner = inliner.as_ref()?;
        let weight = inliner.plan.weight(function)?;
        let affordable = if open.is_empty() {
            budget.pay(weight + more, heat)
        } else if planned {
            // What the plan puts into a body has been paid for with it.
            true
        } else {
            // The plan knows nothing of this call, which may close a cycle.
            let recursive = open.iter().any(|open| code.calls[open.call as usize].func == function);
            open.len() < MOST_OPEN && !recursive && budget.pay_in_full(weight + more, heat)
        };
        if !affordable {
            return None;
        }
        inliner.body(function, function - self.module.imported_funcs)
    }

    /// Translates a body in place of the call at `offset`.
    pub(super) fn inline(&mut self, body: FunctionBody<'_>, offset: u64) -> Result<(), CompileError> {
        let FunctionBody { index, validator, body } = body;
        let module = self.module;
        let ty = module.func_type(index);
        let args = self.pop_n(ty.params.len());
        // As a call would: after a trap, the store's figure is the same.
        self.save_fuel();

        let outer = self.inlining.open.last().map(|open| open.call);
        let call = self.inlining.code.calls.len() as u32;
        self.inlining.code.calls.push(InlinedCall::new(index, offset as u32, outer));
        self.inlining.open.push(Open { frame: self.control.len(), call, returned: None });
        let locals = core::mem::take(&mut self.locals);
        for (arg, ty) in args.iter().zip(&ty.params) {
            self.declare_local(Kind::of(ty), *arg);
        }
        let allocations = self.inlining.allocations.pop().unwrap_or_default();
        let mut validator = validator.into_validator(allocations);
        self.body(&mut validator, &body, ty)?;
        for (i, variable) in core::mem::replace(&mut self.locals, locals).into_iter().enumerate() {
            let ty = validator.get_local_type(i as u32).expect("the validator knows the same locals");
            self.inlining.free[slot(super::kind_of(ty))].push(variable);
        }
        self.inlining.allocations.push(validator.into_allocations());
        self.inlining.open.pop();
        if self.reachable {
            self.save_fuel();
        }
        Ok(())
    }

    /// `return` in an inlined body: goes on behind the call, with the results from the operand stack.
    pub(super) fn return_inlined(&mut self) {
        let open = self.inlining.open.last_mut().expect("in an inlined body");
        let outermost = self.control.len() == open.frame + 1;
        let frame = &mut self.control[open.frame];
        let results = &self.stack[self.stack.len() - frame.results..];
        if outermost && !frame.branched {
            open.returned = Some(results.into());
        } else {
            let args = block_args(results);
            frame.branched = true;
            let continuation = frame.continuation;
            self.builder.ins().jump(continuation, &args);
        }
        self.reachable = false;
    }

    /// The end of an inlined body. What only one way leads to needs no block of its own, so that its results stay the
    /// values that they are.
    pub(super) fn end_inlined(&mut self) {
        let returned = self.inlining.open.last_mut().and_then(|open| open.returned.take());
        if self.reachable && self.control.last().is_some_and(|frame| frame.branched) {
            self.branch_to_continuation();
        }
        let frame = self.control.pop().expect("the function's frame");
        self.builder.seal_block(frame.continuation);
        if frame.branched {
            self.builder.switch_to_block(frame.continuation);
            self.stack.truncate(frame.height);
            self.stack.extend_from_slice(self.builder.func.dfg.block_params(frame.continuation));
            self.reachable = true;
        } else if let Some(results) = returned {
            self.stack.truncate(frame.height);
            self.stack.extend(results);
            self.reachable = true;
        } else if !self.reachable {
            self.stack.truncate(frame.height);
        }
    }
}
