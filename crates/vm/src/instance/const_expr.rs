//! Constant expressions: evaluated, never compiled.
//!
//! Operands stand on a stack of the store, which is part of its roots: a collection in the middle of an expression
//! finds and updates them. A reference that leaves the stack goes straight into an object or to the caller, with no
//! allocation in between.

use crate::{CallError, InstanceId, LoadedModule, Store};
use heapwright_gc_heap::{BadReference, GcRef, HeapType, RefType, StorageType, ValType, Value};
use heapwright_jit::abi::Trap;
use heapwright_jit::module::{ConstOp, ModuleInfo};

impl Store {
    /// Evaluates a constant expression of a module.
    pub(super) fn evaluate(
        &mut self,
        id: InstanceId,
        module: &LoadedModule,
        expr: &[ConstOp],
    ) -> Result<Value, CallError> {
        let base = self.state.operands.len();
        let result = expr.iter().try_for_each(|op| self.step(id, module, op));
        let value = self.state.operands.get(base).copied();
        self.state.operands.truncate(base);
        result?;
        value.ok_or_else(invalid)
    }

    fn step(&mut self, id: InstanceId, module: &LoadedModule, op: &ConstOp) -> Result<(), CallError> {
        let info = module.info();
        let value = match *op {
            ConstOp::I32(v) => Value::I32(v as u32),
            ConstOp::I64(v) => Value::I64(v as u64),
            ConstOp::F32(v) => Value::F32(v),
            ConstOp::F64(v) => Value::F64(v),
            ConstOp::V128(v) => Value::V128(v),
            ConstOp::GlobalGet(index) => {
                let global = self.state.instances[id.0 as usize].global(index);
                self.global_get(global)
            }
            ConstOp::RefNull(heap) => null_of(info, heap),
            ConstOp::RefFunc(func) => Value::Func(self.state.instances[id.0 as usize].func_ref(func)),
            ConstOp::RefI31 => Value::Ref(GcRef::i31(self.pop_i32()?)),
            ConstOp::I32Add => self.binary32(u32::wrapping_add)?,
            ConstOp::I32Sub => self.binary32(u32::wrapping_sub)?,
            ConstOp::I32Mul => self.binary32(u32::wrapping_mul)?,
            ConstOp::I64Add => self.binary64(u64::wrapping_add)?,
            ConstOp::I64Sub => self.binary64(u64::wrapping_sub)?,
            ConstOp::I64Mul => self.binary64(u64::wrapping_mul)?,
            ConstOp::StructNew(ty) => {
                let count = info.struct_layout(ty).fields.len();
                let base = self.operand_base(count)?;
                let object = self.alloc(module, ty, 0)?;
                for field in 0..count {
                    self.set_field(object, field, self.state.operands[base + field])?;
                }
                self.state.operands.truncate(base);
                Value::Ref(object)
            }
            ConstOp::StructNewDefault(ty) => {
                let object = self.alloc(module, ty, 0)?;
                for (i, field) in info.struct_layout(ty).fields.iter().enumerate() {
                    self.set_field(object, i, default_of(info, field.storage))?;
                }
                Value::Ref(object)
            }
            ConstOp::ArrayNew(ty) => {
                let length = self.pop_i32()?;
                let base = self.operand_base(1)?;
                let object = self.alloc(module, ty, length)?;
                let value = self.state.operands[base];
                self.state.operands.truncate(base);
                self.fill(object, value, length)?
            }
            ConstOp::ArrayNewDefault(ty) => {
                let length = self.pop_i32()?;
                let object = self.alloc(module, ty, length)?;
                self.fill(object, default_of(info, info.array_layout(ty).storage), length)?
            }
            ConstOp::ArrayNewFixed(ty, count) => {
                let base = self.operand_base(count as usize)?;
                let object = self.alloc(module, ty, count)?;
                for element in 0..count {
                    let value = self.state.operands[base + element as usize];
                    let heap = self.heap.as_mut().ok_or_else(invalid)?;
                    heap.set_element(object, element, value, true).map_err(unexpected)?;
                }
                self.state.operands.truncate(base);
                Value::Ref(object)
            }
            // Both hierarchies share one representation.
            ConstOp::AnyConvertExtern | ConstOp::ExternConvertAny => return Ok(()),
        };
        self.state.operands.push(value);
        Ok(())
    }

    fn alloc(&mut self, module: &LoadedModule, ty: u32, length: u32) -> Result<GcRef, CallError> {
        let (heap, state) = self.heap_for_code()?;
        Ok(heap.alloc(module.type_id(ty), length, state)?)
    }

    fn set_field(&mut self, object: GcRef, field: usize, value: Value) -> Result<(), CallError> {
        let heap = self.heap.as_mut().ok_or_else(invalid)?;
        heap.set_field(object, field as u32, value, true).map_err(unexpected)
    }

    fn fill(&mut self, object: GcRef, value: Value, length: u32) -> Result<Value, CallError> {
        let heap = self.heap.as_mut().ok_or_else(invalid)?;
        heap.array_fill(object, 0, value, length, true).map_err(unexpected)?;
        Ok(Value::Ref(object))
    }

    /// Where the topmost `count` operands begin.
    fn operand_base(&self, count: usize) -> Result<usize, CallError> {
        self.state.operands.len().checked_sub(count).ok_or_else(invalid)
    }

    fn pop_i32(&mut self) -> Result<u32, CallError> {
        match self.state.operands.pop() {
            Some(Value::I32(v)) => Ok(v),
            _ => Err(invalid()),
        }
    }

    fn binary32(&mut self, op: fn(u32, u32) -> u32) -> Result<Value, CallError> {
        let (b, a) = (self.pop_i32()?, self.pop_i32()?);
        Ok(Value::I32(op(a, b)))
    }

    fn binary64(&mut self, op: fn(u64, u64) -> u64) -> Result<Value, CallError> {
        match (self.state.operands.pop(), self.state.operands.pop()) {
            (Some(Value::I64(b)), Some(Value::I64(a))) => Ok(Value::I64(op(a, b))),
            _ => Err(invalid()),
        }
    }
}

/// The value that a field or an element of this kind has by default.
fn default_of(info: &ModuleInfo, storage: StorageType) -> Value {
    match storage {
        StorageType::I8 | StorageType::I16 | StorageType::Val(ValType::I32) => Value::I32(0),
        StorageType::Val(ValType::I64) => Value::I64(0),
        StorageType::Val(ValType::F32) => Value::F32(0),
        StorageType::Val(ValType::F64) => Value::F64(0),
        StorageType::Val(ValType::V128) => Value::V128(0),
        StorageType::Val(ValType::Ref(r)) => null_of(info, r.heap),
    }
}

fn null_of(info: &ModuleInfo, heap: HeapType) -> Value {
    match info.is_func_ref(&RefType { nullable: true, heap }) {
        true => Value::Func(0),
        false => Value::Ref(GcRef::NULL),
    }
}

/// Validation has excluded it.
fn invalid() -> CallError {
    CallError::trap(Trap::Internal)
}

/// A fresh object is not what was asked for: the heap is not what the engine made it.
fn unexpected(e: BadReference) -> CallError {
    match e {
        BadReference::Corrupted(e) => e.into(),
        _ => CallError::trap(Trap::HeapCorrupted),
    }
}
