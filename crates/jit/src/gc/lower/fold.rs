//! Consecutive allocations are one.
//!
//! Objects of known size that are allocated one after the other share the comparison with the limit and the update of
//! the cursor: their places are the cursor and sums of it and constants. What stands between two allocations is moved
//! in front of the first, where it does not need what was allocated, changes nothing, and cannot fail.
//!
//! Nothing but the objects' own initialisation stands between the update of the cursor and the last object's fields; so
//! no one sees memory that is allocated and not yet an object. Where the region does not suffice, the objects are
//! allocated one by one out of line, each initialised before the next.

use super::emit::{Base, Emitter, mutator_offset};
use crate::gc::{GcOp, Mark};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Inst, InstBuilder, InstructionData, Value, types};
use heapwright_gc_heap::AllocSpec;
use smallvec::SmallVec;

/// Objects that are allocated together, at most.
const MOST_OBJECTS: usize = 8;

/// Instructions that are looked at, at most, to find them.
const MOST_STEPS: usize = 64;

/// An object to be allocated with others.
pub(super) struct Member {
    call: Inst,
    op: GcOp,
    size: u32,
}

/// Objects to be allocated together.
pub(super) type Group = SmallVec<[Member; 4]>;

impl Emitter<'_> {
    /// Collects allocations that follow each other, the first of which is `rest[at]`. They are moved behind what stands
    /// between them; the second result says how many instructions that is.
    pub(super) fn gather(&self, rest: &mut [Inst], at: usize) -> Option<(Group, usize)> {
        if !self.env.settings.optimize || !self.env.settings.fold_allocations || self.env.spec.alloc != AllocSpec::Bump
        {
            return None;
        }
        let mut group: Group = SmallVec::new();
        let mut room = self.env.spec.inline_limit & !7;
        let mut end = at;
        // The positions of the group's members.
        let mut members: SmallVec<[usize; 8]> = SmallVec::new();
        for (i, &inst) in rest.iter().enumerate().skip(at).take(MOST_STEPS) {
            if let Some((op, size)) = self.fixed_allocation(inst) {
                if size > room || group.len() == MOST_OBJECTS {
                    break;
                }
                room -= size;
                group.push(Member { call: inst, op, size });
                members.push(i);
                end = i + 1;
            } else if group.is_empty() || !self.moves_forward(inst, &group) {
                break;
            }
        }
        if group.len() < 2 {
            return None;
        }
        let between: SmallVec<[Inst; 16]> = (at..end).filter(|i| !members.contains(i)).map(|i| rest[i]).collect();
        let all = between.iter().copied().chain(group.iter().map(|member| member.call));
        for (place, inst) in rest[at..end].iter_mut().zip(all.collect::<SmallVec<[Inst; 16]>>()) {
            *place = inst;
        }
        Some((group, between.len()))
    }

    /// An allocation of a size that is known and small.
    fn fixed_allocation(&self, inst: Inst) -> Option<(GcOp, u32)> {
        let func = &*self.pos.func;
        let op = self.gc.op_of(func, inst)?;
        let array = |ty, length: u64| self.env.module.array_layout(ty).size(length as u32);
        let size = match op {
            GcOp::StructNew { ty } | GcOp::StructNewDefault { ty } => self.env.module.struct_layout(ty).size.into(),
            GcOp::ArrayNewFixed { ty, count } => array(ty, count.into()),
            GcOp::ArrayNewDefault { ty } => array(ty, self.constant(func.dfg.inst_args(inst)[1])?),
            _ => return None,
        };
        let limit = u64::from(self.env.spec.inline_limit & !7);
        (size <= limit).then_some((op, size as u32))
    }

    /// Whether an instruction can stand in front of the allocations in `group`.
    fn moves_forward(&self, inst: Inst, group: &Group) -> bool {
        let dfg = &self.pos.func.dfg;
        let movable = match self.gc.op_of(self.pos.func, inst) {
            Some(GcOp::StructGet { ty, field, nullable: false, .. }) => {
                !self.env.module.struct_layout(ty).fields[field as usize].traced
                    || self.env.spec.barriers.load.is_none()
            }
            Some(GcOp::ArrayGet { ty, nullable: false, in_bounds: true, .. }) => {
                !self.env.module.array_layout(ty).traced || self.env.spec.barriers.load.is_none()
            }
            Some(GcOp::RefI31 | GcOp::ArrayLen { nullable: false } | GcOp::I31Get { nullable: false, .. }) => true,
            Some(_) => false,
            None => match dfg.insts[inst] {
                InstructionData::Load { flags, .. } => dfg.mem_flags[flags].trap_code().is_none(),
                ref data => {
                    let opcode = data.opcode();
                    let acts =
                        opcode.can_trap() || opcode.can_load() || opcode.can_store() || opcode.other_side_effects();
                    !acts && !opcode.is_call() && !opcode.is_terminator()
                }
            },
        };
        let made =
            |value: Value| group.iter().any(|member| dfg.first_result(member.call) == dfg.resolve_aliases(value));
        movable && !dfg.inst_args(inst).iter().any(|&value| made(value))
    }

    /// Allocates the objects of a group, whose calls are no longer in the layout, and initialises them.
    pub(super) fn allocate_group(&mut self, group: &Group) {
        let first_inst = self.pos.func.dfg.num_insts() as u32;
        self.context = self.pos.func.dfg.inst_args(group[0].call)[0];
        let results: SmallVec<[Value; 8]> =
            group.iter().map(|member| self.pos.func.dfg.first_result(member.call)).collect();
        let (slow, fast, done) = (self.block(), self.block(), self.block());
        let total = group.iter().map(|member| member.size).sum();
        let cursor = self.load_store_word(types::I32, mutator_offset!(cursor));
        let end = self.add_word(cursor, total);
        let limit = self.load_store_word(types::I32, mutator_offset!(limit));
        let full = self.ins().icmp(IntCC::UnsignedGreaterThan, end, limit);
        self.branch(full, slow, fast);

        self.start(fast);
        self.set_store_word(end, mutator_offset!(cursor));
        let mut objects: SmallVec<[Value; 8]> = SmallVec::new();
        let mut offset = 0;
        for member in group {
            let object = self.add_word(cursor, offset);
            offset += member.size;
            objects.push(object);
            self.write_group_header(member, object);
            self.initialise_member(member, &results, &objects);
        }
        self.jump(done, &objects);

        self.cold(slow, |e| {
            let mut objects: SmallVec<[Value; 8]> = SmallVec::new();
            for member in group {
                e.pos.use_srcloc(member.call);
                let (ty, length) = e.type_and_length(member);
                let type_word = e.type_word(ty);
                objects.push(e.allocate_slow(type_word, length));
                e.initialise_member(member, &results, &objects);
            }
            e.jump(done, &objects);
        });

        self.start(done);
        for member in group {
            let object = self.pos.func.dfg.append_block_param(done, types::I32);
            self.gc.refs.insert(object);
            self.replace_result(member.call, object);
        }
        let end_inst = self.pos.func.dfg.num_insts() as u32;
        self.gc.marks.push((Mark::Allocation, first_inst..end_inst));
    }

    fn type_and_length(&mut self, member: &Member) -> (u32, Option<Value>) {
        match member.op {
            GcOp::StructNew { ty } | GcOp::StructNewDefault { ty } => (ty, None),
            GcOp::ArrayNewFixed { ty, count } => (ty, Some(self.word(count))),
            GcOp::ArrayNewDefault { ty } => (ty, Some(self.pos.func.dfg.inst_args(member.call)[1])),
            ref other => unreachable!("{other:?} has no fixed size"),
        }
    }

    fn write_group_header(&mut self, member: &Member, object: Value) {
        let (ty, length) = self.type_and_length(member);
        let type_word = self.type_word(ty);
        let length = length.map(|length| (self.env.module.array_layout(ty).length_offset, length));
        let address = self.address(Base::Heap, object);
        self.write_header(address, type_word, length);
    }

    /// Writes a new object's fields. In them, what is allocated before goes by its new name.
    fn initialise_member(&mut self, member: &Member, results: &[Value], objects: &[Value]) {
        let dfg = &self.pos.func.dfg;
        let renamed = |&value: &Value| {
            let value = dfg.resolve_aliases(value);
            // Code that cannot be reached may use what it defines later.
            let made = results.iter().position(|&result| result == value).and_then(|made| objects.get(made));
            made.copied().unwrap_or(value)
        };
        let args: SmallVec<[Value; 8]> = dfg.inst_args(member.call)[1..].iter().map(renamed).collect();
        let &object = objects.last().expect("the object was just allocated");
        match member.op {
            GcOp::StructNew { ty } => self.init_struct(ty, object, Some(&args)),
            GcOp::StructNewDefault { ty } => self.init_struct(ty, object, None),
            GcOp::ArrayNewFixed { ty, .. } => self.init_fixed(ty, object, &args),
            GcOp::ArrayNewDefault { ty } => self.zero_elements(object, &self.env.module.array_layout(ty), args[0]),
            ref other => unreachable!("{other:?} has no fixed size"),
        }
    }
}
