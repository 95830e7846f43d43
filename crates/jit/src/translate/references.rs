//! Reference and GC operators: each becomes one operation of [`crate::gc`].

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, types};
use heapwright_gc_heap::{AbstractHeapType, CompositeType};
use wasmparser::{HeapType, Operator, RefType, UnpackedIndex, ValType};

use super::Operands;
use super::state::FuncTranslator;
use crate::abi::Trap;
use crate::gc::{CastTarget, Extend, GcOp};

/// The abstract heap type of the same name.
fn abstract_type(ty: wasmparser::AbstractHeapType) -> AbstractHeapType {
    use wasmparser::AbstractHeapType as W;
    match ty {
        W::Func => AbstractHeapType::Func,
        W::Extern => AbstractHeapType::Extern,
        W::Any => AbstractHeapType::Any,
        W::None => AbstractHeapType::None,
        W::NoExtern => AbstractHeapType::NoExtern,
        W::NoFunc => AbstractHeapType::NoFunc,
        W::Eq => AbstractHeapType::Eq,
        W::Struct => AbstractHeapType::Struct,
        W::Array => AbstractHeapType::Array,
        W::I31 => AbstractHeapType::I31,
        W::Exn => AbstractHeapType::Exn,
        W::NoExn => AbstractHeapType::NoExn,
        W::Cont | W::NoCont => unreachable!("stack switching is not accepted by validation"),
    }
}

fn cast_target(ty: HeapType) -> CastTarget {
    match ty {
        HeapType::Abstract { ty, .. } => CastTarget::Abstract(abstract_type(ty)),
        HeapType::Concrete(UnpackedIndex::Module(index)) | HeapType::Exact(UnpackedIndex::Module(index)) => {
            CastTarget::Concrete(index)
        }
        HeapType::Concrete(_) | HeapType::Exact(_) => unreachable!("operators name types by module index"),
    }
}

/// Whether a value of this operand type may be null. An unknown operand may be anything.
fn nullable(operand: Option<ValType>) -> bool {
    !matches!(operand, Some(ValType::Ref(r)) if !r.is_nullable())
}

/// Whether a value of this type may be an i31.
fn may_be_i31(ty: Option<RefType>) -> bool {
    use wasmparser::AbstractHeapType as W;
    match ty.map(|r| r.heap_type()) {
        Some(HeapType::Abstract { ty, .. }) => matches!(ty, W::Any | W::Eq | W::I31 | W::Extern),
        Some(HeapType::Concrete(_) | HeapType::Exact(_)) => false,
        None => true,
    }
}

impl FuncTranslator<'_> {
    /// Whether a cast target belongs to the function hierarchy.
    fn is_func_target(&self, target: CastTarget) -> bool {
        match target {
            CastTarget::Abstract(a) => matches!(a, AbstractHeapType::Func | AbstractHeapType::NoFunc),
            CastTarget::Concrete(ty) => {
                matches!(self.module.types[ty as usize].composite, CompositeType::Func(_))
            }
        }
    }

    /// The operation that tests an operand of type `from`.
    fn test_op(&self, to: HeapType, admits_null: bool, from: Option<ValType>) -> GcOp {
        let target = cast_target(to);
        let nullable = nullable(from);
        if self.is_func_target(target) {
            return GcOp::FuncTest { target, admits_null, nullable };
        }
        GcOp::RefTest { target, admits_null, nullable, may_be_i31: may_be_i31(as_ref(from)) }
    }

    fn cast_op(&self, to: HeapType, admits_null: bool, from: Option<ValType>) -> GcOp {
        match self.test_op(to, admits_null, from) {
            GcOp::RefTest { target, admits_null, nullable, may_be_i31 } => {
                GcOp::RefCast { target, admits_null, nullable, may_be_i31 }
            }
            GcOp::FuncTest { target, admits_null, nullable } => GcOp::FuncCast { target, admits_null, nullable },
            other => other,
        }
    }

    fn push_null(&mut self) {
        let null = self.builder.ins().iconst(types::I32, 0);
        self.push(null);
    }

    fn new_object(&mut self, op: GcOp, operands: usize) {
        let args = self.pop_n(operands);
        self.push_gc_op(op, &args);
    }

    /// Translates a reference or GC operator; `false` when `op` is none. `operands` are the operand types before it.
    pub(super) fn reference_operator(&mut self, op: &Operator<'_>, operands: &Operands) -> bool {
        let top = operands.0[0];
        match *op {
            Operator::RefNull { .. } => self.push_null(),
            Operator::RefIsNull => {
                let reference = self.pop();
                let is_null = self.builder.ins().icmp_imm_u(IntCC::Equal, reference, 0);
                let is_null = self.builder.ins().uextend(types::I32, is_null);
                self.push(is_null);
            }
            Operator::RefFunc { function_index } => {
                self.ref_func(function_index);
            }
            Operator::RefEq => {
                let (a, b) = self.pop2();
                let same = self.builder.ins().icmp(IntCC::Equal, a, b);
                let same = self.builder.ins().uextend(types::I32, same);
                self.push(same);
            }
            Operator::RefAsNonNull => {
                let reference = *self.stack.last().expect("validated");
                self.trap_unless(reference, Trap::NullReference);
            }
            Operator::BrOnNull { relative_depth } => self.br_on_null(relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.br_on_non_null(relative_depth),
            Operator::BrOnCast { relative_depth, to_ref_type, .. } => {
                let test = self.test_op(to_ref_type.heap_type(), to_ref_type.is_nullable(), top);
                self.br_on_cast(relative_depth, test, false);
            }
            Operator::BrOnCastFail { relative_depth, to_ref_type, .. } => {
                let test = self.test_op(to_ref_type.heap_type(), to_ref_type.is_nullable(), top);
                self.br_on_cast(relative_depth, test, true);
            }
            Operator::RefTestNonNull { hty } => self.test(hty, false, top),
            Operator::RefTestNullable { hty } => self.test(hty, true, top),
            Operator::RefCastNonNull { hty } => self.cast(hty, false, top),
            Operator::RefCastNullable { hty } => self.cast(hty, true, top),
            // The two hierarchies share one representation: an extern value inside is the box that holds it, an
            // internal value outside is itself.
            Operator::AnyConvertExtern | Operator::ExternConvertAny => {}
            Operator::RefI31 => self.new_object(GcOp::RefI31, 1),
            Operator::I31GetS => self.new_object(GcOp::I31Get { signed: true, nullable: nullable(top) }, 1),
            Operator::I31GetU => self.new_object(GcOp::I31Get { signed: false, nullable: nullable(top) }, 1),
            _ => return self.struct_operator(op, operands) || self.array_operator(op, operands),
        }
        true
    }

    fn test(&mut self, to: HeapType, admits_null: bool, from: Option<ValType>) {
        let op = self.test_op(to, admits_null, from);
        self.new_object(op, 1);
    }

    fn cast(&mut self, to: HeapType, admits_null: bool, from: Option<ValType>) {
        let op = self.cast_op(to, admits_null, from);
        let reference = *self.stack.last().expect("validated");
        self.new_object(op, 1);
        let cast = *self.stack.last().expect("just pushed");
        self.know_same(cast, reference);
    }

    fn struct_operator(&mut self, op: &Operator<'_>, operands: &Operands) -> bool {
        let get = |ty, field, extend| GcOp::StructGet { ty, field, extend, nullable: nullable(operands.0[0]) };
        match *op {
            Operator::StructNew { struct_type_index: ty } => {
                let count = self.module.struct_layout(ty).fields.len();
                let fields = self.pop_n(count);
                let object = self.gc_op(GcOp::StructNew { ty }, &fields).expect("an object");
                self.know_object(object, ty, &fields);
                self.push(object);
            }
            Operator::StructNewDefault { struct_type_index: ty } => self.new_object(GcOp::StructNewDefault { ty }, 0),
            Operator::StructGet { struct_type_index, field_index } => {
                let object = self.pop();
                if !self.push_known_field(object, struct_type_index, field_index) {
                    let op = get(struct_type_index, field_index, Extend::None);
                    let value = self.gc_op(op, &[object]).expect("a field has a value");
                    self.know_field(value, object, struct_type_index, field_index);
                    self.push(value);
                }
            }
            Operator::StructGetS { struct_type_index, field_index } => {
                self.new_object(get(struct_type_index, field_index, Extend::Signed), 1);
            }
            Operator::StructGetU { struct_type_index, field_index } => {
                self.new_object(get(struct_type_index, field_index, Extend::Unsigned), 1);
            }
            Operator::StructSet { struct_type_index: ty, field_index: field } => {
                let (reference, value) = self.pop2();
                self.gc_op(GcOp::StructSet { ty, field, nullable: nullable(operands.0[1]) }, &[reference, value]);
            }
            _ => return false,
        }
        true
    }

    fn array_operator(&mut self, op: &Operator<'_>, operands: &Operands) -> bool {
        let get = |ty, extend| GcOp::ArrayGet { ty, extend, nullable: nullable(operands.0[1]), in_bounds: false };
        match *op {
            Operator::ArrayNew { array_type_index: ty } => self.new_object(GcOp::ArrayNew { ty }, 2),
            Operator::ArrayNewDefault { array_type_index: ty } => self.new_object(GcOp::ArrayNewDefault { ty }, 1),
            Operator::ArrayNewFixed { array_type_index: ty, array_size: count } => {
                self.new_object(GcOp::ArrayNewFixed { ty, count }, count as usize);
            }
            Operator::ArrayNewData { array_type_index: ty, array_data_index: segment } => {
                self.new_object(GcOp::ArrayNewData { ty, segment }, 2);
            }
            Operator::ArrayNewElem { array_type_index: ty, array_elem_index: segment } => {
                self.new_object(GcOp::ArrayNewElem { ty, segment }, 2);
            }
            Operator::ArrayGet { array_type_index } => self.new_object(get(array_type_index, Extend::None), 2),
            Operator::ArrayGetS { array_type_index } => self.new_object(get(array_type_index, Extend::Signed), 2),
            Operator::ArrayGetU { array_type_index } => self.new_object(get(array_type_index, Extend::Unsigned), 2),
            Operator::ArrayLen => self.new_object(GcOp::ArrayLen { nullable: nullable(operands.0[0]) }, 1),
            Operator::ArraySet { array_type_index: ty } => {
                let nullable = nullable(operands.0[2]);
                let args = self.pop_n(3);
                self.gc_op(GcOp::ArraySet { ty, nullable, in_bounds: false }, &args);
            }
            Operator::ArrayFill { array_type_index: ty } => {
                let nullable = nullable(operands.0[3]);
                let args = self.pop_n(4);
                self.gc_op(GcOp::ArrayFill { ty, nullable }, &args);
            }
            Operator::ArrayCopy { array_type_index_dst: to, array_type_index_src: from } => {
                let (to_nullable, from_nullable) = (nullable(operands.0[4]), nullable(operands.0[2]));
                let args = self.pop_n(5);
                self.gc_op(GcOp::ArrayCopy { to, from, to_nullable, from_nullable }, &args);
            }
            Operator::ArrayInitData { array_type_index: ty, array_data_index: segment } => {
                let args = self.pop_n(4);
                self.gc_op(GcOp::ArrayInitData { ty, segment }, &args);
            }
            Operator::ArrayInitElem { array_type_index: ty, array_elem_index: segment } => {
                let args = self.pop_n(4);
                self.gc_op(GcOp::ArrayInitElem { ty, segment }, &args);
            }
            _ => return false,
        }
        true
    }
}

fn as_ref(ty: Option<ValType>) -> Option<RefType> {
    match ty {
        Some(ValType::Ref(r)) => Some(r),
        _ => None,
    }
}
