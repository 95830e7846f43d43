//! Structured control.
//!
//! Each frame has a continuation block whose parameters are the frame's results; a loop also has a header whose
//! parameters are the frame's parameters. Code after an unconditional branch is skipped, only its nesting is followed.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, BlockArg, BlockCall, InstBuilder, JumpTableData, Value};
use cranelift_entity::packed_option::ReservedValue;
use smallvec::SmallVec;
use wasmparser::BlockType;

use super::state::FuncTranslator;
use crate::abi::{Kind, Trap};
use crate::gc::GcOp;

/// A catch clause as calls in its scope see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    /// Tag index; `None` catches everything.
    pub tag: Option<u32>,
    /// Where the exception reference is passed.
    pub block: Block,
}

/// What a clause of a `try_table` does with the exception.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clause {
    /// Where it branches.
    pub label: u32,
    /// Whether the exception's reference is passed too.
    pub with_reference: bool,
}

/// What a frame is.
#[derive(Debug)]
pub(crate) enum FrameKind {
    /// The function body or a `block`.
    Block,
    /// A `loop`.
    Loop {
        /// Where branches go.
        header: Block,
    },
    /// The first arm of an `if`.
    If {
        /// The other arm.
        otherwise: Block,
        /// The frame's arguments, for the other arm.
        args: SmallVec<[Value; 4]>,
    },
    /// The second arm of an `if`.
    Else,
    /// A `try_table`.
    TryTable {
        /// What calls in its scope see of its clauses, in order.
        handlers: Vec<Handler>,
        /// The rest of the clauses.
        clauses: Vec<Clause>,
    },
    /// The body of a legacy `try`.
    Try {
        /// Its clauses, in order.
        handlers: Vec<Handler>,
        /// With `delegate`: the index of the frame whose handlers, and those outside it, apply instead.
        delegate: Option<usize>,
        /// How many clauses have begun.
        next_clause: usize,
    },
    /// A clause of a legacy `try`.
    Catch {
        /// The caught exception.
        exception: Value,
        /// All clauses of the `try`.
        handlers: Vec<Handler>,
        /// How many clauses have begun.
        next_clause: usize,
    },
}

/// A control frame.
#[derive(Debug)]
pub(crate) struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Where its end, and branches to it unless it is a loop, go.
    pub continuation: Block,
    /// Number of parameters.
    pub params: usize,
    /// Number of results.
    pub results: usize,
    /// Operands below the frame's parameters.
    pub height: usize,
    /// Whether its start can be reached.
    pub reachable: bool,
    /// Whether anything branches to the continuation.
    pub branched: bool,
}

impl Frame {
    /// Number of values that a branch to this frame carries.
    pub fn branch_arity(&self) -> usize {
        if matches!(self.kind, FrameKind::Loop { .. }) { self.params } else { self.results }
    }
}

/// Values as block-call arguments.
pub(super) fn block_args(values: &[Value]) -> SmallVec<[BlockArg; 8]> {
    values.iter().map(|&v| v.into()).collect()
}

impl FuncTranslator<'_> {
    /// The machine kinds of a block type's parameters and results.
    pub(super) fn block_type(&self, ty: BlockType) -> (SmallVec<[Kind; 4]>, SmallVec<[Kind; 4]>) {
        match ty {
            BlockType::Empty => Default::default(),
            BlockType::Type(t) => (SmallVec::new(), [super::kind_of(t)].into_iter().collect()),
            BlockType::FuncType(i) => {
                let ty = self.module.func_type_at(i);
                (ty.params.iter().map(Kind::of).collect(), ty.results.iter().map(Kind::of).collect())
            }
        }
    }

    /// A block with parameters of these kinds.
    pub(super) fn block_with(&mut self, kinds: &[Kind]) -> Block {
        let block = self.builder.create_block();
        for kind in kinds {
            self.builder.append_block_param(block, kind.clif());
        }
        block
    }

    /// Pushes a frame whose parameters are on the operand stack.
    pub(super) fn push_frame(&mut self, kind: FrameKind, params: usize, results: &[Kind]) {
        let continuation = self.block_with(results);
        self.control.push(Frame {
            kind,
            continuation,
            params,
            results: results.len(),
            height: self.stack.len() - params,
            reachable: true,
            branched: false,
        });
    }

    /// Follows the nesting of a frame that cannot be reached.
    pub(super) fn push_unreachable_frame(&mut self) {
        self.control.push(Frame {
            kind: FrameKind::Block,
            continuation: Block::reserved_value(),
            params: 0,
            results: 0,
            height: self.stack.len(),
            reachable: false,
            branched: false,
        });
    }

    pub(super) fn start_block(&mut self, ty: BlockType) {
        let (params, results) = self.block_type(ty);
        self.push_frame(FrameKind::Block, params.len(), &results);
    }

    pub(super) fn start_loop(&mut self, ty: BlockType) {
        let (params, results) = self.block_type(ty);
        let header = self.block_with(&params);
        let args = self.pop_n(params.len());
        self.builder.ins().jump(header, &block_args(&args));
        self.builder.switch_to_block(header);
        self.stack.extend_from_slice(self.builder.func.dfg.block_params(header));
        self.push_frame(FrameKind::Loop { header }, params.len(), &results);
        self.inlining.enter_loop();
        self.check_turn();
        self.charge_turn();
    }

    pub(super) fn start_if(&mut self, ty: BlockType) {
        let condition = self.pop();
        let (params, results) = self.block_type(ty);
        let (then, otherwise) = (self.builder.create_block(), self.builder.create_block());
        self.builder.ins().brif(condition, then, &[], otherwise, &[]);
        self.builder.seal_block(then);
        self.builder.seal_block(otherwise);
        self.builder.switch_to_block(then);
        let args = self.stack[self.stack.len() - params.len()..].iter().copied().collect();
        self.push_frame(FrameKind::If { otherwise, args }, params.len(), &results);
    }

    pub(super) fn start_else(&mut self) {
        if self.reachable {
            self.branch_to_continuation();
        }
        let frame = self.control.last_mut().expect("else stands in a frame");
        if !frame.reachable {
            return;
        }
        let FrameKind::If { otherwise, args } = core::mem::replace(&mut frame.kind, FrameKind::Else) else {
            unreachable!("validation pairs else with if");
        };
        self.stack.truncate(frame.height);
        self.stack.extend(args);
        self.builder.switch_to_block(otherwise);
        self.reachable = true;
    }

    /// Ends the innermost frame.
    pub(super) fn end_frame(&mut self) {
        if self.inlining.ends(self.control.len()) {
            return self.end_inlined();
        }
        if self.reachable {
            self.branch_to_continuation();
        }
        let frame = self.control.pop().expect("end stands in a frame");
        if !frame.reachable {
            self.reachable = false;
            return;
        }
        let mut branched = frame.branched;
        match frame.kind {
            FrameKind::Loop { header } => {
                self.inlining.leave_loop();
                self.builder.seal_block(header);
            }
            FrameKind::If { otherwise, args } => {
                // No else: the arguments are the results.
                self.builder.switch_to_block(otherwise);
                self.builder.ins().jump(frame.continuation, &block_args(&args));
                branched = true;
            }
            FrameKind::TryTable { handlers, clauses } => self.finish_try_table(&handlers, &clauses),
            // A legacy `try` that ends here has no clauses of its own.
            FrameKind::Block | FrameKind::Else | FrameKind::Try { .. } | FrameKind::Catch { .. } => {}
        }
        self.builder.seal_block(frame.continuation);
        self.stack.truncate(frame.height);
        self.reachable = branched;
        if branched {
            self.builder.switch_to_block(frame.continuation);
            self.stack.extend_from_slice(self.builder.func.dfg.block_params(frame.continuation));
        }
    }

    /// Jumps to the continuation of the innermost frame with its results from the operand stack, which stay there.
    pub(super) fn branch_to_continuation(&mut self) {
        let frame = self.control.last_mut().expect("in a frame");
        frame.branched = true;
        let (block, arity) = (frame.continuation, frame.results);
        let args = block_args(&self.stack[self.stack.len() - arity..]);
        self.builder.ins().jump(block, &args);
    }

    /// The destination of a branch to `depth` and the number of values that it carries.
    pub(super) fn branch_target(&mut self, depth: u32) -> (Block, usize) {
        let index = self.control.len() - 1 - depth as usize;
        let frame = &mut self.control[index];
        let arity = frame.branch_arity();
        match frame.kind {
            FrameKind::Loop { header } => (header, arity),
            _ => {
                frame.branched = true;
                (frame.continuation, arity)
            }
        }
    }

    pub(super) fn branch(&mut self, depth: u32) {
        let (block, arity) = self.branch_target(depth);
        let args = block_args(&self.stack[self.stack.len() - arity..]);
        self.builder.ins().jump(block, &args);
        self.reachable = false;
    }

    /// Branches to `depth` when `condition` is non-zero, else goes on in a new block.
    pub(super) fn branch_if(&mut self, condition: Value, depth: u32) {
        let (block, arity) = self.branch_target(depth);
        let args = block_args(&self.stack[self.stack.len() - arity..]);
        let next = self.builder.create_block();
        self.builder.ins().brif(condition, block, &args, next, &[]);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
    }

    pub(super) fn branch_table(
        &mut self,
        table: &wasmparser::BrTable<'_>,
    ) -> Result<(), wasmparser::BinaryReaderError> {
        let index = self.pop();
        let (default, arity) = self.branch_target(table.default());
        let args = block_args(&self.stack[self.stack.len() - arity..]);
        let mut calls = Vec::with_capacity(table.len() as usize);
        for depth in table.targets() {
            let (block, _) = self.branch_target(depth?);
            calls.push(BlockCall::new(block, args.iter().copied(), &mut self.builder.func.dfg.value_lists));
        }
        let default = BlockCall::new(default, args.iter().copied(), &mut self.builder.func.dfg.value_lists);
        let data = JumpTableData::new(default, &calls);
        let table = self.builder.create_jump_table(data);
        self.builder.ins().br_table(index, table);
        self.reachable = false;
        Ok(())
    }

    pub(super) fn return_values(&mut self) {
        if self.inlining.is_inside() {
            return self.return_inlined();
        }
        let arity = self.control[0].results;
        let values: SmallVec<[Value; 8]> = self.stack[self.stack.len() - arity..].iter().copied().collect();
        self.builder.ins().return_(&values);
        self.reachable = false;
    }

    pub(super) fn br_on_null(&mut self, depth: u32) {
        let reference = self.pop();
        let is_null = self.builder.ins().icmp_imm_u(IntCC::Equal, reference, 0);
        self.branch_if(is_null, depth);
        self.push(reference);
    }

    pub(super) fn br_on_non_null(&mut self, depth: u32) {
        let reference = *self.stack.last().expect("validated");
        self.branch_if(reference, depth);
        self.pop();
    }

    /// `br_on_cast`, or with `on_fail` `br_on_cast_fail`.
    pub(super) fn br_on_cast(&mut self, depth: u32, test: GcOp, on_fail: bool) {
        let reference = *self.stack.last().expect("validated");
        let mut condition = self.gc_op(test, &[reference]).expect("a test has a result");
        if on_fail {
            condition = self.builder.ins().icmp_imm_u(IntCC::Equal, condition, 0);
        }
        self.branch_if(condition, depth);
    }

    pub(super) fn unreachable(&mut self) {
        self.trap(Trap::Unreachable);
        self.reachable = false;
    }
}
