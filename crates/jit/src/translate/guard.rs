//! Calls through references and tables that are compared with the functions they probably call.
//!
//! A reference is the number of a function in the store, which a table's entry has as well, and that of a function of
//! this instance stands in the instance's context. So one comparison with memory tells whether the callee is the
//! expected one, and where it is, the call is direct or replaced by the body. What meets none of the candidates takes
//! the ordinary way: a wrong guess costs its comparison and nothing else.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use smallvec::SmallVec;

use super::call::Place;
use super::control::block_args;
use super::state::FuncTranslator;
use crate::abi::{Builtin, Kind};
use crate::compile::CompileError;
use crate::inline::Heat;
use crate::module::FunctionBody;

/// Of more functions than this, those that cannot be inlined are not compared with: an indirect call is about as fast
/// as another comparison.
const MOST_DIRECT: usize = 2;

/// What a call does when its reference is the expected one.
enum Guess<'a> {
    /// It is replaced by this body.
    Inlined(FunctionBody<'a>),
    /// It is direct.
    Direct(u32),
}

impl Guess<'_> {
    fn function(&self) -> u32 {
        match self {
            Guess::Inlined(body) => body.index,
            Guess::Direct(function) => *function,
        }
    }
}

impl<'a> FuncTranslator<'a> {
    /// Calls what stands at a place, by way of comparisons with the functions that it may be, if there are some worth
    /// it. The call is at `offset` in the module.
    pub(super) fn call_guarded(&mut self, place: Place, ty: u32, offset: u64) -> Result<(), CompileError> {
        if self.settings.record_calls {
            let (call, id) = (self.builder.ins().iconst(types::I32, offset as i64), self.id_at(place));
            self.call_builtin(Builtin::RecordCall, &[call, id]);
        }
        let guesses = self.guesses(place, ty, offset);
        if guesses.is_empty() {
            self.call_place(place, ty);
            return Ok(());
        }
        let id = self.id_at(place);
        let callee = self.module.func_type_at(ty);
        let args = self.pop_n(callee.params.len());
        let join = self.builder.create_block();
        let results: SmallVec<[Value; 4]> =
            callee.results.iter().map(|ty| self.builder.append_block_param(join, Kind::of(ty).clif())).collect();
        for guess in guesses {
            let (hit, miss) = (self.builder.create_block(), self.builder.create_block());
            let escape = self.module.escape_index[&guess.function()];
            // Not movable: it becomes an operand of the comparison, where a register would be spilled in many a loop.
            let flags = MemFlagsData::trusted().with_readonly();
            let expected = self.builder.ins().load(types::I32, flags, self.context, self.layout.func_id(escape));
            let same = self.builder.ins().icmp(IntCC::Equal, id, expected);
            self.builder.ins().brif(same, hit, &[], miss, &[]);
            self.builder.switch_to_block(hit);
            self.builder.seal_block(hit);
            self.stack.extend_from_slice(&args);
            match guess {
                Guess::Inlined(body) => self.inline(body, offset)?,
                Guess::Direct(function) => self.call_direct(function),
            }
            self.locate(offset);
            if self.reachable {
                self.join(join, results.len());
            }
            self.reachable = true;
            self.builder.switch_to_block(miss);
            self.builder.seal_block(miss);
        }
        self.builder.set_cold_block(self.builder.current_block().expect("there is a guess"));
        self.stack.extend(args);
        self.call_place(place, ty);
        self.join(join, results.len());
        self.builder.switch_to_block(join);
        self.builder.seal_block(join);
        self.mark_results(ty, &results);
        self.stack.extend(results);
        Ok(())
    }

    /// Leaves one of the ways with its results.
    fn join(&mut self, join: cranelift_codegen::ir::Block, results: usize) {
        let results = self.pop_n(results);
        self.builder.ins().jump(join, &block_args(&results));
    }

    /// What is worth a comparison. What that adds to the function is paid for.
    fn guesses(&mut self, place: Place, ty: u32, offset: u64) -> SmallVec<[Guess<'a>; 4]> {
        let reference = match place {
            Place::Reference(id) => Some(id),
            Place::Entry { .. } => None,
        };
        let candidates = self.candidates(reference, ty, offset);
        let few = candidates.len() <= MOST_DIRECT;
        // What a profile knows has been run.
        let profiled = self.candidates.is_some_and(|candidates| candidates.of_call(offset).is_some());
        let heat = if profiled { Heat::Often } else { self.inlining.heat() };
        let guess = |function| match self.body_of_guess(function, heat) {
            Some(body) => Some(Guess::Inlined(body)),
            None => (few && self.inlining.pay_for_guard(heat)).then_some(Guess::Direct(function)),
        };
        candidates.into_iter().filter_map(guess).collect()
    }
}
