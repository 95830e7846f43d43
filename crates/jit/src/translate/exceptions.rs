//! Exceptions.
//!
//! An exception is a heap object. A call in the scope of handlers becomes a `try_call` that lists them in the order in
//! which they are to be tried; the vm's unwinder matches tags by identity and enters the landing block of that call
//! with the exception's reference. Each clause has one *catch block*, shared by all calls in its scope, which unpacks
//! the exception and branches to the clause's label.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use smallvec::SmallVec;
use wasmparser::{Catch, TryTable};

use super::control::{Clause, FrameKind, Handler, block_args};
use super::state::FuncTranslator;
use crate::abi::Builtin;
use crate::gc::GcOp;

impl FuncTranslator<'_> {
    /// The handlers that protect a call at this position, innermost first, up to the first that catches everything.
    pub(super) fn handlers_in_scope(&self) -> SmallVec<[Handler; 4]> {
        let mut found = SmallVec::<[Handler; 4]>::new();
        let mut index = self.control.len();
        while index > 0 {
            index -= 1;
            let handlers = match &self.control[index].kind {
                FrameKind::TryTable { handlers, .. } => handlers,
                FrameKind::Try { delegate: Some(target), .. } => {
                    // Frame `target` is looked at next.
                    index = target + 1;
                    continue;
                }
                FrameKind::Try { handlers, .. } => handlers,
                _ => continue,
            };
            for handler in handlers {
                // A tag that an inner clause catches already never reaches an outer one.
                if handler.tag.is_some() && found.iter().any(|h| h.tag == handler.tag) {
                    continue;
                }
                found.push(*handler);
                if handler.tag.is_none() {
                    return found;
                }
            }
        }
        found
    }

    /// Pushes the parameters of an exception whose tag is known.
    pub(super) fn unpack_exception(&mut self, exception: Value, tag: u32) {
        let count = self.module.func_type_at(self.module.tags[tag as usize]).params.len() as u32;
        for index in 0..count {
            self.push_gc_op(GcOp::ExnGet { tag, index }, &[exception]);
        }
    }

    pub(super) fn start_try_table(&mut self, table: &TryTable) {
        let (params, results) = self.block_type(table.ty);
        let mut handlers = Vec::with_capacity(table.catches.len());
        let mut clauses = Vec::with_capacity(table.catches.len());
        for clause in &table.catches {
            let (tag, label, with_reference) = match *clause {
                Catch::One { tag, label } => (Some(tag), label, false),
                Catch::OneRef { tag, label } => (Some(tag), label, true),
                Catch::All { label } => (None, label, false),
                Catch::AllRef { label } => (None, label, true),
            };
            let block = self.builder.create_block();
            self.builder.append_block_param(block, types::I32);
            handlers.push(Handler { tag, block });
            clauses.push(Clause { label, with_reference });
        }
        self.push_frame(FrameKind::TryTable { handlers, clauses }, params.len(), &results);
    }

    /// Emits the catch blocks of a `try_table` whose frame was just popped, so that labels count from outside it. A
    /// clause that no call can reach makes nothing reachable.
    pub(super) fn finish_try_table(&mut self, handlers: &[Handler], clauses: &[Clause]) {
        for (handler, clause) in handlers.iter().zip(clauses) {
            let Handler { tag, block } = *handler;
            if !self.caught.contains(&block) {
                continue;
            }
            self.builder.set_cold_block(block);
            self.builder.seal_block(block);
            self.builder.switch_to_block(block);
            let exception = self.builder.block_params(block)[0];
            self.gc.refs.insert(exception);
            let height = self.stack.len();
            if let Some(tag) = tag {
                self.unpack_exception(exception, tag);
            }
            if clause.with_reference {
                self.push(exception);
            }
            let (target, arity) = self.branch_target(clause.label);
            let args = block_args(&self.stack[self.stack.len() - arity..]);
            self.builder.ins().jump(target, &args);
            self.stack.truncate(height);
        }
    }

    pub(super) fn throw(&mut self, tag: u32) {
        let count = self.module.func_type_at(self.module.tags[tag as usize]).params.len();
        let args = self.pop_n(count);
        let exception = self.gc_op(GcOp::ExnNew { tag }, &args).expect("an exception is created");
        self.throw_exception(exception);
    }

    /// Throws `exception`; a null reference traps.
    pub(super) fn throw_exception(&mut self, exception: Value) {
        let callee = self.builtin_callee(Builtin::Throw);
        self.emit_call(callee, &[self.context, exception]);
        // The builtin never returns.
        self.builder.ins().trap(crate::abi::Trap::Internal.code());
        self.reachable = false;
    }
}
