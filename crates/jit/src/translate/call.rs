//! Calls: direct, through tables, through references; tail calls.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, SigRef, Value, types};
use heapwright_gc_heap::{
    Bug, DISPLAY_INLINE_DEPTH, ENTRY_DEPTH_OFFSET, ENTRY_DISPLAY_OFFSET, HeapType, TypeRef, planted,
};
use smallvec::SmallVec;

use super::state::{Callee, FuncTranslator};
use crate::abi::{FUNC_ID_MASK, FuncEntry, FuncImport, InstanceLayout, Trap};
use crate::compile::CompileError;

const ENTRY_SIZE: i64 = core::mem::size_of::<FuncEntry>() as i64;

/// A resolved call: what to call, and the context to pass.
struct Target {
    callee: Callee,
    context: Value,
    ty: u32,
}

/// Where a callee stands that is only known when the program runs.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A function reference.
    Reference(Value),
    /// The address of an entry of this table.
    Entry { entry: Value, table: u32 },
}

impl FuncTranslator<'_> {
    /// Calls a function of the module, or inlines it. The call is at `offset` in the module.
    pub(super) fn call(&mut self, function: u32, offset: u64) -> Result<(), CompileError> {
        self.call_known(function, offset, true)
    }

    /// The same; `planned` says that the program calls the function directly.
    fn call_known(&mut self, function: u32, offset: u64, planned: bool) -> Result<(), CompileError> {
        if let Some(body) = self.body_of_call(function, planned) {
            return self.inline(body, offset);
        }
        self.call_direct(function);
        Ok(())
    }

    pub(super) fn return_call(&mut self, function: u32) {
        let target = self.direct_target(function);
        self.return_call_target(target);
    }

    pub(super) fn call_ref(&mut self, ty: u32, offset: u64) -> Result<(), CompileError> {
        if let Some(function) = self.pop_known_function(ty) {
            return self.call_known(function, offset, false);
        }
        let reference = self.pop();
        self.call_guarded(Place::Reference(reference), ty, offset)
    }

    /// Calls the function that stands somewhere, which may be any of type `ty`.
    pub(super) fn call_place(&mut self, place: Place, ty: u32) {
        let target = match place {
            Place::Reference(id) => self.reference_target(id, ty),
            Place::Entry { entry, table } => self.entry_of_table_target(entry, table, ty),
        };
        self.call_target(target);
    }

    /// The function id of what stands there.
    pub(super) fn id_at(&mut self, place: Place) -> Value {
        match place {
            Place::Reference(id) => id,
            Place::Entry { entry, .. } => self.entry_field(types::I32, entry, core::mem::offset_of!(FuncEntry, id)),
        }
    }

    /// Calls a function of the module, and does not inline it.
    pub(super) fn call_direct(&mut self, function: u32) {
        let target = self.direct_target(function);
        self.call_target(target);
    }

    pub(super) fn return_call_ref(&mut self, ty: u32) {
        if let Some(function) = self.pop_known_function(ty) {
            return self.return_call(function);
        }
        let id = self.pop();
        let target = self.reference_target(id, ty);
        self.return_call_target(target);
    }

    pub(super) fn call_indirect(&mut self, table: u32, ty: u32, offset: u64) -> Result<(), CompileError> {
        let index = self.pop();
        let entry = self.table_slot(table, index, Trap::UndefinedElement);
        self.call_guarded(Place::Entry { entry, table }, ty, offset)
    }

    pub(super) fn return_call_indirect(&mut self, table: u32, ty: u32) {
        let index = self.pop();
        let entry = self.table_slot(table, index, Trap::UndefinedElement);
        let target = self.entry_of_table_target(entry, table, ty);
        self.return_call_target(target);
    }

    /// Takes a reference to a function of type `ty` from the operand stack when it is known which function it is.
    fn pop_known_function(&mut self, ty: u32) -> Option<u32> {
        let function = self.known_function(*self.stack.last().expect("validated"), ty)?;
        self.stack.pop();
        Some(function)
    }

    fn call_target(&mut self, target: Target) {
        let args = self.call_args(&target);
        let results = self.emit_call(target.callee, &args);
        self.mark_results(target.ty, &results);
        self.stack.extend(results);
    }

    fn return_call_target(&mut self, target: Target) {
        let args = self.call_args(&target);
        self.save_fuel();
        match target.callee {
            Callee::Direct(f) => self.builder.ins().return_call(f, &args),
            Callee::Indirect(sig, code) => self.builder.ins().return_call_indirect(sig, code, &args),
        };
        self.reachable = false;
    }

    fn call_args(&mut self, target: &Target) -> SmallVec<[Value; 8]> {
        let count = self.module.func_type_at(target.ty).params.len();
        let mut args = self.pop_n(count);
        args.insert(0, target.context);
        args
    }

    fn direct_target(&mut self, function: u32) -> Target {
        let ty = self.module.funcs[function as usize];
        if function >= self.module.imported_funcs {
            return Target { callee: Callee::Direct(self.func_ref(function)), context: self.context, ty };
        }
        let slot = self.layout.imported_func(function);
        let code = self.load_constant(types::I64, self.context, slot + core::mem::offset_of!(FuncImport, code) as i32);
        let context =
            self.load_constant(types::I64, self.context, slot + core::mem::offset_of!(FuncImport, context) as i32);
        Target { callee: Callee::Indirect(self.type_sig(ty), code), context, ty }
    }

    fn entry_field(&mut self, ty: types::Type, entry: Value, offset: usize) -> Value {
        self.builder.ins().load(ty, MemFlagsData::trusted(), entry, offset as i32)
    }

    fn entry_target(&mut self, entry: Value, sig: SigRef, ty: u32) -> Target {
        let code = self.entry_field(types::I64, entry, core::mem::offset_of!(FuncEntry, code));
        let context = self.entry_field(types::I64, entry, core::mem::offset_of!(FuncEntry, context));
        Target { callee: Callee::Indirect(sig, code), context, ty }
    }

    /// Resolves a function id. Subtyping does not change how a function is called, so one machine-signature
    /// compare makes the call safe even if the id was forged; the null entry has no signature.
    fn reference_target(&mut self, id: Value, ty: u32) -> Target {
        let index = if planted(Bug::UnvalidatedFunctionId) {
            id
        } else if self.settings.faults_trap() {
            // What is not committed faults, and no function has the null entry's signature.
            self.builder.ins().band_imm_u(id, i64::from(FUNC_ID_MASK))
        } else {
            let length = self.func_table_length();
            let in_bounds = self.builder.ins().icmp(IntCC::UnsignedLessThan, id, length);
            self.trap_unless(in_bounds, Trap::ForgedFunctionReference);
            id
        };
        let table = self.load_constant(types::I64, self.context, InstanceLayout::FUNC_TABLE);
        let index = self.builder.ins().uextend(types::I64, index);
        let offset = self.builder.ins().imul_imm_s(index, ENTRY_SIZE);
        let entry = self.builder.ins().iadd(table, offset);
        let actual = self.entry_field(types::I32, entry, core::mem::offset_of!(FuncEntry, signature));
        // Not movable: it becomes an operand of the comparison, where a register would be spilled in many a loop.
        let flags = MemFlagsData::trusted().with_readonly();
        let expected = self.builder.ins().load(types::I32, flags, self.context, self.layout.signature_id(ty));
        let same = self.builder.ins().icmp(IntCC::Equal, actual, expected);
        self.on_failure(same, |t| {
            t.trap_unless(id, Trap::NullFunctionReference);
            t.trap(Trap::ForgedFunctionReference);
        });
        let sig = self.type_sig(ty);
        self.entry_target(entry, sig, ty)
    }

    /// Goes on where `condition` holds; elsewhere runs `failure`, which ends its block.
    pub(super) fn on_failure(&mut self, condition: Value, failure: impl FnOnce(&mut Self)) {
        let (cold, next) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(cold);
        self.builder.ins().brif(condition, next, &[], cold, &[]);
        self.builder.switch_to_block(cold);
        self.builder.seal_block(cold);
        failure(self);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
    }

    /// Resolves a table's entry.
    fn entry_of_table_target(&mut self, entry: Value, table: u32, ty: u32) -> Target {
        let element = self.module.tables[table as usize].element;
        let statically_typed = match element.heap {
            HeapType::Concrete(TypeRef::Module(t)) => self.is_declared_subtype(t, ty),
            _ => false,
        };
        let actual = self.entry_field(types::I32, entry, core::mem::offset_of!(FuncEntry, type_word));
        if statically_typed {
            if element.nullable {
                self.trap_unless(actual, Trap::UninitializedElement);
            }
        } else {
            self.check_entry_type(actual, ty);
        }
        let sig = self.type_sig(ty);
        self.entry_target(entry, sig, ty)
    }

    /// Whether module type `sub` is `sup` or declares it as a supertype, by index.
    pub(super) fn is_declared_subtype(&self, mut sub: u32, sup: u32) -> bool {
        loop {
            if sub == sup {
                return true;
            }
            match self.module.types[sub as usize].supertype {
                Some(TypeRef::Module(parent)) => sub = parent,
                _ => return false,
            }
        }
    }

    fn type_depth(&self, mut ty: u32) -> u32 {
        let mut depth = 0;
        while let Some(TypeRef::Module(parent)) = self.module.types[ty as usize].supertype {
            depth += 1;
            ty = parent;
        }
        depth
    }

    /// Traps unless the function type `actual` (a type word, 0 for a null entry) is module type `ty` or a subtype.
    fn check_entry_type(&mut self, actual: Value, ty: u32) {
        let expected = self.load_constant(types::I32, self.context, self.layout.type_word(ty));
        let same = self.builder.ins().icmp(IntCC::Equal, actual, expected);
        let is_final = self.module.types[ty as usize].is_final;
        let depth = self.type_depth(ty);
        let (cold, next) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(cold);
        self.builder.ins().brif(same, next, &[], cold, &[]);
        self.builder.switch_to_block(cold);
        self.builder.seal_block(cold);
        self.trap_unless(actual, Trap::UninitializedElement);
        if is_final {
            self.trap(Trap::IndirectCallTypeMismatch);
        } else {
            let space = self.load_constant(types::I64, self.context, InstanceLayout::TYPE_SPACE);
            let offset = self.builder.ins().uextend(types::I64, actual);
            let entry = self.builder.ins().iadd(space, offset);
            if depth >= DISPLAY_INLINE_DEPTH {
                let own =
                    self.builder.ins().load(types::I32, MemFlagsData::trusted(), entry, ENTRY_DEPTH_OFFSET as i32);
                let deep = self.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, own, i64::from(depth));
                self.trap_unless(deep, Trap::IndirectCallTypeMismatch);
            }
            let at = (ENTRY_DISPLAY_OFFSET + 4 * depth) as i32;
            let ancestor = self.builder.ins().load(types::I32, MemFlagsData::trusted(), entry, at);
            let matches = self.builder.ins().icmp(IntCC::Equal, ancestor, expected);
            self.trap_unless(matches, Trap::IndirectCallTypeMismatch);
            self.builder.ins().jump(next, &[]);
        }
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
    }
}
