//! Which function a reference is, where the code says so.
//!
//! A `call_ref` of a known function is a direct call, and may be inlined. A reference is known when it comes from a
//! `ref.func`, from an immutable global, or from an immutable field of an object that is known: one that this function
//! (or what is inlined in it) has made, or one that a global's constant expression makes. So closures that are made,
//! passed and called in one place are seen through, and virtual tables that stand in immutable globals.
//!
//! Facts belong to values and hold wherever the value exists; what merges with something else is another value, and
//! unknown. Code behind a cast that must fail is translated too, so each use of a fact asks whether the types fit.

use cranelift_codegen::ir::{Value, types};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::state::FuncTranslator;
use crate::module::{ConstOp, ModuleInfo};

/// What is known about values.
#[derive(Default)]
pub(super) struct Known {
    facts: FxHashMap<Value, Fact>,
    /// Fields of objects that were made here, one object behind the other.
    fields: Vec<Value>,
}

/// What is known about a value.
#[derive(Clone, Copy, Debug)]
enum Fact {
    /// It refers to this function (imports counted).
    Func(u32),
    /// It is an object of this type that was made here, with its fields from this position of [`Known::fields`].
    Made { ty: u32, first: usize },
    /// It is what the part of a global's constant expression that ends with operator `end` gives.
    Constant { global: u32, end: usize },
    /// It was read from this field, which never changes, of an object of this static type.
    Loaded { ty: u32, field: u32 },
}

/// Constant expressions of more operators are not looked into: each look costs their length.
const MOST_OPERATORS: usize = 256;
/// Globals whose value is that of another are followed so far: the guest may chain up all that it has.
const MOST_GLOBALS: usize = 16;

impl FuncTranslator<'_> {
    /// Notes that `value` refers to a function.
    pub(super) fn know_function(&mut self, value: Value, function: u32) {
        self.know(value, Fact::Func(function));
    }

    /// Notes that `value` is an object of type `ty` that was made with these fields.
    pub(super) fn know_object(&mut self, value: Value, ty: u32, fields: &[Value]) {
        let first = self.known.fields.len();
        if self.settings.knows_targets() {
            self.known.fields.extend_from_slice(fields);
            self.know(value, Fact::Made { ty, first });
        }
    }

    /// Notes that `value` was read from a global.
    pub(super) fn know_global(&mut self, value: Value, global: u32) {
        let Some(init) = initial(self.module, global) else { return };
        let Some(end) = init.len().checked_sub(1) else { return };
        if let Some(fact) = constant(self.module, global, end) {
            self.know(value, fact);
        }
    }

    /// Notes that `value` is the same reference as `other`: it was cast.
    pub(super) fn know_same(&mut self, value: Value, other: Value) {
        if let Some(&fact) = self.known.facts.get(&other) {
            self.know(value, fact);
        }
    }

    /// The function that a reference is known to be, if it can be called as one of type `ty`.
    pub(super) fn known_function(&self, value: Value, ty: u32) -> Option<u32> {
        match self.known.facts.get(&value) {
            Some(&Fact::Func(function)) if self.settings.knows_targets() => {
                self.is_declared_subtype(self.module.funcs[function as usize], ty).then_some(function)
            }
            _ => None,
        }
    }

    /// Reads a field of an object that is known, and pushes it; `false` when the object has to be asked.
    pub(super) fn push_known_field(&mut self, object: Value, ty: u32, field: u32) -> bool {
        if !self.settings.knows_targets() || !self.module.is_constant_field(ty, field) {
            return false;
        }
        match self.known.facts.get(&object) {
            Some(&Fact::Made { ty: made, first }) if self.is_declared_subtype(made, ty) => {
                let value = self.known.fields[first + field as usize];
                self.push(value);
                true
            }
            Some(&Fact::Constant { global, end }) => match self.element(global, end, ty, field) {
                Some(Fact::Func(function)) => {
                    self.ref_func(function);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// After a field was read from `object` as `value`: what is known of the one is known of the other.
    pub(super) fn know_field(&mut self, value: Value, object: Value, ty: u32, field: u32) {
        if let Some(&Fact::Constant { global, end }) = self.known.facts.get(&object)
            && self.module.is_constant_field(ty, field)
            && let Some(fact) = self.element(global, end, ty, field)
        {
            self.know(value, fact);
        } else if self.candidates.is_some_and(|candidates| !candidates.of_field(ty, field).is_empty()) {
            self.know(value, Fact::Loaded { ty, field });
        }
    }

    /// The functions that the call at `offset` probably calls, if they can be called as one of type `ty`. The callee is
    /// `value`, if that is a reference.
    pub(super) fn candidates(&self, value: Option<Value>, ty: u32, offset: u64) -> SmallVec<[u32; 4]> {
        let Some(candidates) = self.candidates else { return SmallVec::new() };
        let fact = value.and_then(|value| self.known.facts.get(&value));
        let functions = match (candidates.of_call(offset), fact) {
            (Some(functions), _) => functions,
            (None, Some(&Fact::Loaded { ty, field })) => candidates.of_field(ty, field),
            (None, _) => candidates.of_type(ty),
        };
        let fits = |&function: &u32| self.is_declared_subtype(self.module.funcs[function as usize], ty);
        functions.iter().copied().filter(fits).collect()
    }

    /// Pushes a reference to a function.
    pub(super) fn ref_func(&mut self, function: u32) {
        let escape = self.module.escape_index[&function];
        let id = self.load_constant(types::I32, self.context, self.layout.func_id(escape));
        self.know_function(id, function);
        self.push(id);
    }

    /// What field `field` of type `ty` is in an object that a constant expression makes.
    fn element(&self, global: u32, end: usize, ty: u32, field: u32) -> Option<Fact> {
        let (made, operand) = operand(self.module, global, end, field)?;
        let fact = constant(self.module, global, operand)?;
        self.is_declared_subtype(made, ty).then_some(fact)
    }

    fn know(&mut self, value: Value, fact: Fact) {
        if self.settings.knows_targets() || self.candidates.is_some() {
            self.known.facts.insert(value, fact);
        }
    }
}

/// The constant expression of a global that keeps its value.
fn initial(module: &ModuleInfo, global: u32) -> Option<&[ConstOp]> {
    let info = &module.globals[global as usize];
    info.init.as_deref().filter(|init| !info.mutable && init.len() <= MOST_OPERATORS)
}

/// What the part of a constant expression that ends at `end` gives.
fn constant(module: &ModuleInfo, mut global: u32, mut end: usize) -> Option<Fact> {
    for _ in 0..MOST_GLOBALS {
        match *initial(module, global)?.get(end)? {
            ConstOp::RefFunc(function) => return Some(Fact::Func(function)),
            ConstOp::StructNew(_) => return Some(Fact::Constant { global, end }),
            ConstOp::GlobalGet(other) => (global, end) = (other, initial(module, other)?.len().checked_sub(1)?),
            _ => return None,
        }
    }
    None
}

/// The type of the object that a constant expression makes, and where the operand for field `field` ends.
fn operand(module: &ModuleInfo, global: u32, end: usize, field: u32) -> Option<(u32, usize)> {
    let init = initial(module, global)?;
    let ConstOp::StructNew(ty) = *init.get(end)? else { return None };
    // The ends of the operands that are on the stack.
    let mut operands: SmallVec<[usize; 16]> = SmallVec::new();
    for (at, op) in init[..end].iter().enumerate() {
        let taken = op.operands(module);
        operands.truncate(operands.len().checked_sub(taken)?);
        operands.push(at);
    }
    let first = operands.len().checked_sub(module.struct_layout(ty).fields.len())?;
    Some((ty, *operands.get(first + field as usize)?))
}
