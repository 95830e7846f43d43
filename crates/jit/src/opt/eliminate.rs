//! Removes what is known already: loads of fields, elements and lengths; casts and tests; null checks and bounds
//! checks.
//!
//! One walk over the dominator tree with the tables of [`facts`](super::facts). At a block with several predecessors,
//! what is known of mutable places at the end of its immediate dominator stays known unless something on the ways
//! between may change them. A collection changes no place: it renames references, and the safepoint pass renames the
//! values that are reused here too.
//!
//! Two names of one reference, before and after a cast, are one key: the name before.

use super::edges::{self, Condition};
use super::effects::{self, BlockEffects};
use super::facts::{Access, Content, Facts, Index, Less, Mark, Place};
use super::{Shape, is_subtype, ranges};
use crate::abi::Kind;
use crate::gc::{CastTarget, Extend, FuncGc, GcOp};
use crate::module::ModuleInfo;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, Function, Inst, InstBuilder, InstructionData, Opcode, Value, types};
use heapwright_gc_heap::{AbstractHeapType, Bug, CompositeType, HeapType, StorageType, TypeRef, planted};
use rustc_hash::FxHashMap;

/// Runs the pass.
pub(super) fn run(func: &mut Function, gc: &mut FuncGc, module: &ModuleInfo) {
    let shape = Shape::of(func);
    let effects = BlockEffects::new(func, gc, module);
    let mut pass = Pass { func, gc, module, shape: &shape, facts: Facts::default(), original: FxHashMap::default() };
    let Some(entry) = pass.func.layout.entry_block() else { return };

    /// What is still to be done, last first.
    enum Task {
        Enter(Block),
        Leave(Mark),
    }
    let mut tasks = vec![Task::Enter(entry)];
    while let Some(task) = tasks.pop() {
        match task {
            Task::Leave(mark) => pass.facts.roll_back(mark),
            Task::Enter(block) => {
                tasks.push(Task::Leave(pass.facts.mark()));
                pass.enter(block, &effects);
                pass.visit(block);
                tasks.extend(shape.tree.children(block).map(Task::Enter));
            }
        }
    }
}

struct Pass<'a> {
    func: &'a mut Function,
    gc: &'a mut FuncGc,
    module: &'a ModuleInfo,
    shape: &'a Shape,
    facts: Facts,
    /// The operands of casts, by result.
    original: FxHashMap<Value, Value>,
}

impl Pass<'_> {
    /// The first name of a value.
    fn canonical(&self, value: Value) -> Value {
        let mut value = self.func.dfg.resolve_aliases(value);
        while let Some(&before) = self.original.get(&value) {
            value = self.func.dfg.resolve_aliases(before);
        }
        value
    }

    fn constant(&self, value: Value) -> Option<u32> {
        edges::constant(self.func, self.func.dfg.resolve_aliases(value)).map(|c| c as u32)
    }

    fn index(&self, value: Value) -> Index {
        self.constant(value).map_or(Index::Value(self.func.dfg.resolve_aliases(value)), Index::Constant)
    }

    // What is learned.

    fn is_non_null(&self, reference: Value) -> bool {
        self.facts.non_null.get(reference).is_some()
    }

    fn learn_non_null(&mut self, reference: Value) {
        if !self.is_non_null(reference) {
            self.facts.non_null.insert(reference, ());
        }
    }

    fn learn_type(&mut self, reference: Value, ty: u32) {
        if self.facts.types.get(reference).is_none_or(|known| known != ty && is_subtype(self.module, ty, known)) {
            self.facts.types.insert(reference, ty);
        }
    }

    /// An access has been made, with static type `ty` of the receiver.
    fn learn_access(&mut self, reference: Value, ty: u32) {
        self.learn_non_null(reference);
        self.learn_type(reference, ty);
    }

    /// A value came from a place of this type.
    fn learn_static(&mut self, value: Value, storage: StorageType) {
        let StorageType::Val(heapwright_gc_heap::ValType::Ref(ty)) = storage else { return };
        if let HeapType::Concrete(TypeRef::Module(ty)) = ty.heap {
            self.learn_type(value, ty);
        }
        if !ty.nullable {
            self.learn_non_null(value);
        }
    }

    fn learn_less(&mut self, signed: bool, smaller: Value, larger: Value) {
        let [smaller, larger] = [smaller, larger].map(|v| self.func.dfg.resolve_aliases(v));
        self.facts.less.insert(Less { signed, smaller, larger }, ());
    }

    /// `value` is known to be non-zero (`holds`) or zero from here on.
    fn assume(&mut self, value: Value, holds: bool) {
        match edges::analyse(self.func, value, holds) {
            Condition::Compare(IntCC::SignedLessThan, a, b) => self.learn_less(true, a, b),
            Condition::Compare(IntCC::UnsignedLessThan, a, b) => self.learn_less(false, a, b),
            Condition::Compare(..) | Condition::Unknown => {}
            Condition::NonZero(value, inst) => {
                let test = inst.and_then(|inst| Some((inst, self.gc.op_of(self.func, inst)?)));
                match test {
                    Some((inst, GcOp::RefTest { target, admits_null, .. })) => {
                        let operand = self.canonical(self.func.dfg.inst_args(inst)[1]);
                        self.learn_cast(operand, target, admits_null);
                    }
                    Some((inst, GcOp::FuncTest { admits_null: false, .. })) => {
                        let operand = self.canonical(self.func.dfg.inst_args(inst)[1]);
                        self.learn_non_null(operand);
                    }
                    _ => {
                        let value = self.canonical(value);
                        self.learn_non_null(value);
                    }
                }
            }
        }
    }

    fn learn_cast(&mut self, operand: Value, target: CastTarget, admits_null: bool) {
        match target {
            CastTarget::Concrete(ty) => self.learn_type(operand, ty),
            CastTarget::Abstract(AbstractHeapType::I31) => self.facts.i31s.insert(operand, ()),
            CastTarget::Abstract(_) => {}
        }
        if !admits_null {
            self.learn_non_null(operand);
        }
    }

    // The walk.

    fn enter(&mut self, block: Block, effects: &BlockEffects) {
        if let Some(dominator) = self.shape.tree.idom(block) {
            let between = effects.between(&self.shape.cfg, dominator, block);
            if between.all {
                self.facts.forget_all();
            }
            for class in between.classes {
                self.facts.forget(class);
            }
        }
        if let Some((condition, holds)) = edges::condition(self.func, &self.shape.cfg, block) {
            self.assume(condition, holds);
        }
    }

    fn visit(&mut self, block: Block) {
        let mut next = self.func.layout.first_inst(block);
        while let Some(inst) = next {
            next = self.func.layout.next_inst(inst);
            if let Some(op) = self.gc.op_of(self.func, inst) {
                self.operation(inst, op);
                continue;
            }
            match self.func.dfg.insts[inst] {
                InstructionData::IntCompare { cond, args, .. } => self.compare(inst, cond, args),
                InstructionData::CondTrap { opcode, arg, .. } => self.conditional_trap(inst, opcode, arg),
                _ if effects::calls(self.func, inst) => self.facts.forget_all(),
                _ => {}
            }
        }
    }

    fn conditional_trap(&mut self, inst: Inst, opcode: Opcode, condition: Value) {
        let traps_on_zero = opcode == Opcode::Trapz;
        if traps_on_zero {
            let value = self.canonical(condition);
            if self.is_non_null(value) {
                self.func.layout.remove_inst(inst);
                return;
            }
        }
        self.assume(condition, traps_on_zero);
    }

    /// Decides a comparison of a reference that is not null with null.
    fn compare(&mut self, inst: Inst, cond: IntCC, [a, b]: [Value; 2]) {
        if matches!(cond, IntCC::Equal | IntCC::NotEqual)
            && self.constant(b) == Some(0)
            && self.func.dfg.value_type(a) == types::I32
            && self.is_non_null(self.canonical(a))
        {
            let mut pos = FuncCursor::new(self.func).at_inst(inst);
            let decided = pos.ins().iconst(types::I8, i64::from(cond == IntCC::NotEqual));
            self.replace(inst, Content::Value(decided));
        }
    }

    /// Gives the uses of an operation's result to what is known, and removes the operation.
    fn replace(&mut self, inst: Inst, known: Content) {
        let value = match known {
            Content::Value(value) => value,
            Content::Constant(bits) => {
                let mut pos = FuncCursor::new(self.func).at_inst(inst);
                pos.ins().iconst(types::I32, i64::from(bits))
            }
        };
        self.func.layout.remove_inst(inst);
        let dfg = &mut self.func.dfg;
        let old = dfg.first_result(inst);
        dfg.detach_inst_results(inst);
        dfg.change_to_alias(old, value);
    }

    /// The receiver of an access of static type `ty`, if `nullable` for the first time; returns whether it still may be
    /// null.
    fn receive(&mut self, reference: Value, ty: u32, nullable: bool) -> bool {
        let nullable = nullable && !self.is_non_null(reference);
        self.learn_access(reference, ty);
        nullable
    }

    fn rewrite(&mut self, inst: Inst, from: GcOp, to: GcOp) {
        if from != to {
            self.gc.retarget(self.func, inst, to);
        }
    }

    fn operation(&mut self, inst: Inst, op: GcOp) {
        let argument = |number: usize, pass: &Self| pass.func.dfg.inst_args(inst)[number + 1];
        match op {
            GcOp::StructNew { ty } => self.struct_new(inst, ty),
            GcOp::StructNewDefault { ty } => self.fresh(inst, ty),
            GcOp::ArrayNew { ty } => self.array_new(inst, ty, Content::Value(argument(1, self))),
            GcOp::ArrayNewDefault { ty } => self.array_new(inst, ty, Content::Value(argument(0, self))),
            GcOp::ArrayNewData { ty, .. } | GcOp::ArrayNewElem { ty, .. } => {
                self.array_new(inst, ty, Content::Value(argument(1, self)));
            }
            GcOp::ArrayNewFixed { ty, count } => {
                self.array_new(inst, ty, Content::Constant(count));
                let layout = self.module.array_layout(ty);
                if let StorageType::Val(_) = layout.storage {
                    let array = self.func.dfg.first_result(inst);
                    for i in 0..count.min(MOST_ELEMENTS) {
                        let value = argument(i as usize, self);
                        self.know_element(array, ty, Index::Constant(i), value);
                    }
                }
            }
            GcOp::StructGet { ty, field, extend, nullable } => self.struct_get(inst, ty, field, extend, nullable),
            GcOp::StructSet { ty, field, nullable } => self.struct_set(inst, ty, field, nullable),
            GcOp::ArrayGet { .. } => self.array_get(inst, op),
            GcOp::ArraySet { .. } => self.array_set(inst, op),
            GcOp::ArrayLen { nullable } => self.array_len(inst, nullable),
            GcOp::ArrayFill { ty, .. } | GcOp::ArrayInitData { ty, .. } | GcOp::ArrayInitElem { ty, .. } => {
                let array = self.canonical(argument(0, self));
                self.learn_access(array, ty);
                self.facts.forget(effects::element_class(self.module, ty));
            }
            GcOp::ArrayCopy { to, from, .. } => {
                for (number, ty) in [(0, to), (2, from)] {
                    let array = self.canonical(argument(number, self));
                    self.learn_access(array, ty);
                }
                self.facts.forget(effects::element_class(self.module, to));
            }
            GcOp::RefI31 => {
                let value = self.func.dfg.first_result(inst);
                self.learn_cast(value, CastTarget::Abstract(AbstractHeapType::I31), false);
            }
            GcOp::ExnNew { .. } => {
                let value = self.func.dfg.first_result(inst);
                self.learn_non_null(value);
            }
            GcOp::I31Get { signed, nullable } => self.i31_get(inst, signed, nullable),
            GcOp::RefCast { target, admits_null, nullable, may_be_i31 } => {
                self.cast(inst, target, admits_null, nullable, may_be_i31);
            }
            GcOp::RefTest { target, admits_null, nullable, may_be_i31 } => {
                self.test(inst, target, admits_null, nullable, may_be_i31);
            }
            GcOp::FuncCast { admits_null, .. } => {
                let (operand, result) = (self.canonical(argument(0, self)), self.func.dfg.first_result(inst));
                self.original.insert(result, operand);
                if !admits_null {
                    self.learn_non_null(operand);
                }
            }
            GcOp::FuncTest { .. } | GcOp::ExnGet { .. } | GcOp::RootStore { .. } => {}
        }
    }

    // Structs.

    fn fresh(&mut self, inst: Inst, ty: u32) {
        let object = self.func.dfg.first_result(inst);
        self.learn_access(object, ty);
    }

    fn field_place(&self, object: Value, ty: u32, field: u32, extend: Extend) -> Place {
        let mutable = match &self.module.types[ty as usize].composite {
            CompositeType::Struct(s) => s.fields[field as usize].mutable,
            other => unreachable!("type {ty} is {other:?}"),
        };
        let layout = self.module.struct_layout(ty).fields[field as usize];
        let stamp = if mutable { self.facts.stamp(effects::field_class(self.module, ty, field)) } else { 0 };
        Place::Field { object, offset: layout.offset, access: access(layout.storage, layout.traced, extend), stamp }
    }

    fn field_storage(&self, ty: u32, field: u32) -> StorageType {
        self.module.struct_layout(ty).fields[field as usize].storage
    }

    fn struct_new(&mut self, inst: Inst, ty: u32) {
        self.fresh(inst, ty);
        let object = self.func.dfg.first_result(inst);
        for field in 0..self.module.struct_layout(ty).fields.len().min(MOST_ELEMENTS as usize) as u32 {
            if let StorageType::Val(_) = self.field_storage(ty, field) {
                let value = self.func.dfg.inst_args(inst)[field as usize + 1];
                let place = self.field_place(object, ty, field, Extend::None);
                self.facts.contents.insert(place, Content::Value(value));
            }
        }
    }

    fn struct_get(&mut self, inst: Inst, ty: u32, field: u32, extend: Extend, nullable: bool) {
        let object = self.canonical(self.func.dfg.inst_args(inst)[1]);
        let place = self.field_place(object, ty, field, extend);
        if let Some(known) = self.facts.contents.get(place) {
            // Known contents come from an allocation or an access, so the object is not null.
            self.learn_type(object, ty);
            self.replace(inst, known);
            return;
        }
        let still = self.receive(object, ty, nullable);
        let from = GcOp::StructGet { ty, field, extend, nullable };
        self.rewrite(inst, from, GcOp::StructGet { ty, field, extend, nullable: still });
        let value = self.func.dfg.first_result(inst);
        self.facts.contents.insert(place, Content::Value(value));
        self.learn_static(value, self.field_storage(ty, field));
    }

    fn struct_set(&mut self, inst: Inst, ty: u32, field: u32, nullable: bool) {
        let (object, value) = (self.func.dfg.inst_args(inst)[1], self.func.dfg.inst_args(inst)[2]);
        let object = self.canonical(object);
        let still = self.receive(object, ty, nullable);
        self.rewrite(inst, GcOp::StructSet { ty, field, nullable }, GcOp::StructSet { ty, field, nullable: still });
        if !planted(Bug::StaleLoad) {
            self.facts.forget(effects::field_class(self.module, ty, field));
        }
        // A packed field keeps only a part of the value.
        if let StorageType::Val(_) = self.field_storage(ty, field) {
            let place = self.field_place(object, ty, field, Extend::None);
            self.facts.contents.insert(place, Content::Value(value));
        }
    }

    // Arrays.

    fn array_new(&mut self, inst: Inst, ty: u32, length: Content) {
        self.fresh(inst, ty);
        let array = self.func.dfg.first_result(inst);
        self.facts.contents.insert(Place::Length { array }, length);
    }

    fn element_place(&self, array: Value, ty: u32, index: Index, extend: Extend) -> Place {
        let mutable = match &self.module.types[ty as usize].composite {
            CompositeType::Array(array) => array.0.mutable,
            other => unreachable!("type {ty} is {other:?}"),
        };
        let stamp = if mutable { self.facts.stamp(effects::element_class(self.module, ty)) } else { 0 };
        let layout = self.module.array_layout(ty);
        Place::Element { array, index, access: access(layout.storage, layout.traced, extend), stamp }
    }

    fn know_element(&mut self, array: Value, ty: u32, index: Index, value: Value) {
        let place = self.element_place(array, ty, index, Extend::None);
        self.facts.contents.insert(place, Content::Value(value));
    }

    fn array_len(&mut self, inst: Inst, nullable: bool) {
        let array = self.canonical(self.func.dfg.inst_args(inst)[1]);
        if let Some(known) = self.facts.contents.get(Place::Length { array }) {
            self.replace(inst, known);
            return;
        }
        let still = nullable && !self.is_non_null(array);
        self.learn_non_null(array);
        self.rewrite(inst, GcOp::ArrayLen { nullable }, GcOp::ArrayLen { nullable: still });
        let length = self.func.dfg.first_result(inst);
        self.facts.contents.insert(Place::Length { array }, Content::Value(length));
    }

    /// Whether an index is known to be below an array's length.
    fn within(&self, array: Value, index: Index) -> bool {
        if self.facts.in_bounds.get((array, index)).is_some() {
            return true;
        }
        let length = self.facts.contents.get(Place::Length { array }).map(|length| match length {
            Content::Value(value) => self.constant(value).map_or(Content::Value(value), Content::Constant),
            constant => constant,
        });
        match (index, length) {
            (Index::Constant(index), Some(Content::Constant(length))) => index < length,
            (Index::Constant(index), _) => self.facts.largest.get(array).is_some_and(|largest| index <= largest),
            (Index::Value(index), Some(Content::Value(length))) => {
                let length = self.func.dfg.resolve_aliases(length);
                let less = |signed| self.facts.less.get(Less { signed, smaller: index, larger: length }).is_some();
                // A counter from 0 that is below the length as a signed number is so as an unsigned one: a length that
                // is negative as a signed number has no such counter below it.
                less(false) || less(true) && ranges::non_negative(self.func, self.shape, index)
            }
            (Index::Value(_), _) => false,
        }
    }

    fn learn_within(&mut self, array: Value, index: Index) {
        self.facts.in_bounds.insert((array, index), ());
        if let Index::Constant(index) = index
            && self.facts.largest.get(array).is_none_or(|largest| largest < index)
        {
            self.facts.largest.insert(array, index);
        }
    }

    fn array_get(&mut self, inst: Inst, op: GcOp) {
        let GcOp::ArrayGet { ty, extend, nullable, in_bounds } = op else { return };
        let (array, index) = (self.func.dfg.inst_args(inst)[1], self.func.dfg.inst_args(inst)[2]);
        let (array, index) = (self.canonical(array), self.index(index));
        let place = self.element_place(array, ty, index, extend);
        if let Some(known) = self.facts.contents.get(place) {
            self.learn_type(array, ty);
            self.replace(inst, known);
            return;
        }
        let still = self.receive(array, ty, nullable);
        let in_bounds = in_bounds || !still && self.within(array, index);
        self.rewrite(inst, op, GcOp::ArrayGet { ty, extend, nullable: still, in_bounds });
        self.learn_within(array, index);
        let value = self.func.dfg.first_result(inst);
        self.facts.contents.insert(place, Content::Value(value));
        self.learn_static(value, self.module.array_layout(ty).storage);
    }

    fn array_set(&mut self, inst: Inst, op: GcOp) {
        let GcOp::ArraySet { ty, nullable, in_bounds } = op else { return };
        let [array, index, value] = [1, 2, 3].map(|n| self.func.dfg.inst_args(inst)[n]);
        let (array, index) = (self.canonical(array), self.index(index));
        let still = self.receive(array, ty, nullable);
        let in_bounds = in_bounds || !still && self.within(array, index);
        self.rewrite(inst, op, GcOp::ArraySet { ty, nullable: still, in_bounds });
        self.learn_within(array, index);
        self.facts.forget(effects::element_class(self.module, ty));
        if let StorageType::Val(_) = self.module.array_layout(ty).storage {
            self.know_element(array, ty, index, value);
        }
    }

    // I31s.

    fn i31_get(&mut self, inst: Inst, signed: bool, nullable: bool) {
        let reference = self.canonical(self.func.dfg.inst_args(inst)[1]);
        let place = Place::I31 { reference, signed };
        if let Some(known) = self.facts.contents.get(place) {
            self.replace(inst, known);
            return;
        }
        let still = nullable && !self.is_non_null(reference);
        self.learn_non_null(reference);
        self.rewrite(inst, GcOp::I31Get { signed, nullable }, GcOp::I31Get { signed, nullable: still });
        let value = self.func.dfg.first_result(inst);
        self.facts.contents.insert(place, Content::Value(value));
    }

    // Casts.

    /// Whether every value that is not null of a reference's known type belongs to `target`.
    fn belongs(&self, operand: Value, target: CastTarget) -> bool {
        let known = self.facts.types.get(operand);
        match target {
            CastTarget::Abstract(AbstractHeapType::Any | AbstractHeapType::Extern | AbstractHeapType::Exn) => true,
            CastTarget::Abstract(AbstractHeapType::Eq) => known.is_some() || self.facts.i31s.get(operand).is_some(),
            CastTarget::Abstract(AbstractHeapType::I31) => self.facts.i31s.get(operand).is_some(),
            CastTarget::Abstract(AbstractHeapType::Struct) => {
                known.is_some_and(|ty| matches!(self.module.types[ty as usize].composite, CompositeType::Struct(_)))
            }
            CastTarget::Abstract(AbstractHeapType::Array) => {
                known.is_some_and(|ty| matches!(self.module.types[ty as usize].composite, CompositeType::Array(_)))
            }
            CastTarget::Abstract(_) => false,
            CastTarget::Concrete(target) => known.is_some_and(|ty| is_subtype(self.module, ty, target)),
        }
    }

    fn cast(&mut self, inst: Inst, target: CastTarget, admits_null: bool, nullable: bool, may_be_i31: bool) {
        let argument = self.func.dfg.inst_args(inst)[1];
        let operand = self.canonical(argument);
        let still = nullable && !self.is_non_null(operand);
        if self.belongs(operand, target) && (admits_null || !still) {
            self.replace(inst, Content::Value(argument));
            return;
        }
        // A value of a defined type is no i31.
        let i31 = may_be_i31 && self.facts.types.get(operand).is_none();
        let from = GcOp::RefCast { target, admits_null, nullable, may_be_i31 };
        self.rewrite(inst, from, GcOp::RefCast { target, admits_null, nullable: still, may_be_i31: i31 });
        self.original.insert(self.func.dfg.first_result(inst), operand);
        self.learn_cast(operand, target, admits_null);
    }

    fn test(&mut self, inst: Inst, target: CastTarget, admits_null: bool, nullable: bool, may_be_i31: bool) {
        let operand = self.canonical(self.func.dfg.inst_args(inst)[1]);
        let still = nullable && !self.is_non_null(operand);
        if self.belongs(operand, target) && (admits_null || !still) {
            self.replace(inst, Content::Constant(1));
            return;
        }
        let i31 = may_be_i31 && self.facts.types.get(operand).is_none();
        let from = GcOp::RefTest { target, admits_null, nullable, may_be_i31 };
        self.rewrite(inst, from, GcOp::RefTest { target, admits_null, nullable: still, may_be_i31: i31 });
    }
}

fn access(storage: StorageType, traced: bool, extend: Extend) -> Access {
    let stored = match storage {
        StorageType::I8 => types::I8,
        StorageType::I16 => types::I16,
        StorageType::Val(ty) => Kind::of(&ty).clif(),
    };
    Access { stored, traced, extend }
}

/// More initial values of one object than this are not remembered.
const MOST_ELEMENTS: u32 = 32;
