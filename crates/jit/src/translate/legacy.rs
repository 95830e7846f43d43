//! The legacy exception instructions: `try`, `catch`, `catch_all`, `delegate`, `rethrow`.
//!
//! A call in a `try` body must know the clauses, which follow the body in the code. So the first `try` of a function
//! triggers one scan ahead that collects the clauses of every `try` in it.

use cranelift_codegen::ir::types;
use rustc_hash::FxHashMap;
use wasmparser::{BinaryReaderError, BlockType, Operator, OperatorsReader};

use super::control::{FrameKind, Handler};
use super::state::FuncTranslator;

/// What ends the body of a `try`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clauses {
    /// The tag of each clause; `None` for `catch_all`.
    pub catches: Vec<Option<u32>>,
    /// The label of `delegate`.
    pub delegate: Option<u32>,
}

/// The clauses of a function's `try`s by the offset of the `try`; `None` before the scan.
pub(crate) type LegacyClauses = Option<FxHashMap<u64, Clauses>>;

/// Scans from a `try` (whose operator was just read at `offset`) to the function's end.
pub(super) fn scan(mut reader: OperatorsReader<'_>, offset: u64) -> Result<FxHashMap<u64, Clauses>, BinaryReaderError> {
    let mut clauses = FxHashMap::<u64, Clauses>::default();
    clauses.insert(offset, Clauses::default());
    // Offsets of open `try`s; `None` for other frames.
    let mut open = vec![Some(offset)];
    while !reader.eof() {
        let (op, at) = reader.read_with_offset()?;
        let mut note = |open: &[Option<u64>], tag| {
            if let Some(Some(at)) = open.last() {
                clauses.entry(*at).or_default().catches.push(tag);
            }
        };
        match op {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } | Operator::TryTable { .. } => {
                open.push(None)
            }
            Operator::Try { .. } => {
                clauses.insert(at, Clauses::default());
                open.push(Some(at));
            }
            Operator::Catch { tag_index } => note(&open, Some(tag_index)),
            Operator::CatchAll => note(&open, None),
            Operator::Delegate { relative_depth } => {
                if let Some(Some(at)) = open.pop() {
                    clauses.entry(at).or_default().delegate = Some(relative_depth);
                }
            }
            Operator::End => {
                open.pop();
            }
            _ => {}
        }
    }
    Ok(clauses)
}

impl FuncTranslator<'_> {
    pub(super) fn start_try(&mut self, ty: BlockType, offset: u64) {
        let clauses = self.legacy.as_ref().and_then(|l| l.get(&offset)).cloned().unwrap_or_default();
        let (params, results) = self.block_type(ty);
        let handlers = clauses
            .catches
            .iter()
            .map(|&tag| {
                let block = self.builder.create_block();
                self.builder.append_block_param(block, types::I32);
                Handler { tag, block }
            })
            .collect();
        // The label counts from outside the `try`; the frame is pushed next, at index `control.len()`.
        let delegate = clauses.delegate.map(|label| self.control.len() - 1 - label as usize);
        self.push_frame(FrameKind::Try { handlers, delegate, next_clause: 0 }, params.len(), &results);
    }

    /// Ends the body or the previous clause, and starts the next one.
    pub(super) fn start_catch(&mut self) {
        if self.reachable {
            self.branch_to_continuation();
        }
        let frame = self.control.last_mut().expect("catch stands in a frame");
        if !frame.reachable {
            return;
        }
        let kind = core::mem::replace(&mut frame.kind, FrameKind::Block);
        self.stack.truncate(frame.height);
        let (handlers, clause) = match kind {
            FrameKind::Try { handlers, next_clause, .. } => {
                // No call can add an edge any more.
                for handler in handlers.iter().filter(|h| self.caught.contains(&h.block)) {
                    self.builder.seal_block(handler.block);
                    self.builder.set_cold_block(handler.block);
                }
                (handlers, next_clause)
            }
            FrameKind::Catch { handlers, next_clause, .. } => (handlers, next_clause),
            other => unreachable!("validation pairs catch with try, found {other:?}"),
        };
        let Handler { tag, block } = handlers[clause];
        let exception = self.builder.block_params(block)[0];
        self.control.last_mut().expect("the same frame").kind =
            FrameKind::Catch { exception, handlers, next_clause: clause + 1 };
        // Without a call in the body, nothing is ever caught.
        self.reachable = self.caught.contains(&block);
        if !self.reachable {
            return;
        }
        self.gc.refs.insert(exception);
        self.builder.switch_to_block(block);
        if let Some(tag) = tag {
            self.unpack_exception(exception, tag);
        }
    }

    pub(super) fn rethrow(&mut self, depth: u32) {
        let index = self.control.len() - 1 - depth as usize;
        let FrameKind::Catch { exception, .. } = self.control[index].kind else {
            unreachable!("validation lets rethrow name a catch only");
        };
        self.throw_exception(exception);
    }
}
