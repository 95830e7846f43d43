//! Fuel and epochs: what makes every loop of the guest stoppable.
//!
//! **Fuel** is counted where the language is still visible, before any GC operation is lowered or any code optimised,
//! so a program costs the same under every collector, backend and setting. An operator costs 1; those that only give
//! structure cost nothing (`block`, `end`, `else`, `nop`, `drop`, `return`, `unreachable`); an operation on a range
//! costs more by its length ([`Length`]). What is left is kept in a variable: its cost is summed up over straight-line
//! code and subtracted once, where control leaves that. It is written back to [`StoreContext::fuel`] at loop headers,
//! calls, returns, throws and operations on ranges, and read again after whatever may run other code. So after a trap
//! the store's figure lacks at most the straight-line code since the last of those.
//!
//! Fuel is compared at function entries, loop headers, and before an operation on a range is begun. At the first two
//! something that costs is bound to follow, so nothing left means too little.
//!
//! **Epochs** are one load and one compare, at function entries and loop headers: the vm clears
//! [`StoreContext::epoch_deadline`] when the deadline is reached.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value, types};
use cranelift_frontend::Variable;
use wasmparser::Operator;

use super::state::FuncTranslator;
use crate::abi::{Builtin, StoreContext};

const FUEL: i32 = core::mem::offset_of!(StoreContext, fuel) as i32;

/// The fuel of the function that is being translated.
pub(crate) struct Fuel {
    /// What is left, `i64`.
    left: Variable,
    /// Cost of the operators since `left` was last brought up to date.
    pending: i64,
}

/// How an operation on a range is charged: its length is the topmost operand.
enum Length {
    /// One unit for 8 bytes.
    Bytes,
    /// One unit an element or slot.
    Elements,
    /// One unit a slot up to the size that a table can have: more is refused without work.
    Growth,
}

/// Slots that no table exceeds.
const MAX_GROWTH: i64 = 10_000_000;
/// More than any range that exists is long, and so small that sums do not overflow.
const MAX_LENGTH: i64 = 1 << 48;

fn length_of(op: &Operator<'_>) -> Option<Length> {
    Some(match op {
        Operator::MemoryFill { .. } | Operator::MemoryCopy { .. } | Operator::MemoryInit { .. } => Length::Bytes,
        Operator::TableFill { .. }
        | Operator::TableCopy { .. }
        | Operator::TableInit { .. }
        | Operator::ArrayNew { .. }
        | Operator::ArrayNewDefault { .. }
        | Operator::ArrayNewData { .. }
        | Operator::ArrayNewElem { .. }
        | Operator::ArrayFill { .. }
        | Operator::ArrayCopy { .. }
        | Operator::ArrayInitData { .. }
        | Operator::ArrayInitElem { .. } => Length::Elements,
        Operator::TableGrow { .. } => Length::Growth,
        _ => return None,
    })
}

fn cost_of(op: &Operator<'_>) -> i64 {
    match op {
        Operator::Nop
        | Operator::Drop
        | Operator::Block { .. }
        // Charged each time round.
        | Operator::Loop { .. }
        | Operator::Else
        | Operator::End
        | Operator::Return
        | Operator::Unreachable
        | Operator::TryTable { .. }
        | Operator::Try { .. }
        | Operator::Catch { .. }
        | Operator::CatchAll
        | Operator::Delegate { .. } => 0,
        _ => 1,
    }
}

/// Whether control may go elsewhere than to the next operator, or come from elsewhere.
fn ends_straight_line(op: &Operator<'_>) -> bool {
    matches!(
        op,
        Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::BrOnCast { .. }
            | Operator::BrOnCastFail { .. }
            | Operator::Return
            | Operator::Unreachable
            | Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Rethrow { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. }
    )
}

impl FuncTranslator<'_> {
    /// At the beginning of a body.
    pub(super) fn start_fuel(&mut self) {
        // Entering a function costs something, or recursion without operators would be free.
        const ENTRY: i64 = 1;
        if let Some(fuel) = &mut self.fuel {
            // Inlined: the caller's figure is up to date.
            fuel.pending += ENTRY;
        } else if self.settings.fuel {
            let left = self.builder.declare_var(types::I64);
            self.fuel = Some(Fuel { left, pending: ENTRY });
            self.reload_fuel();
        }
    }

    /// Charges for an operator that is about to be translated at a place that can be reached.
    pub(super) fn charge(&mut self, op: &Operator<'_>) {
        let Some(fuel) = &mut self.fuel else { return };
        fuel.pending += cost_of(op);
        if ends_straight_line(op) {
            self.subtract_pending();
        }
        if let Some(length) = length_of(op) {
            self.charge_length(&length);
        }
        if matches!(op, Operator::Unreachable | Operator::Return) {
            self.save_fuel();
        }
    }

    /// Charges for another turn of a loop, behind the check in its header.
    pub(super) fn charge_turn(&mut self) {
        if let Some(fuel) = &mut self.fuel {
            fuel.pending += 1;
        }
    }

    /// After an operator that was charged for.
    pub(super) fn charged(&mut self, op: &Operator<'_>) {
        // A callback that was asked whether the operation may go on may have changed the fuel.
        if self.settings.epochs && length_of(op).is_some() {
            self.reload_fuel();
        }
    }

    fn subtract_pending(&mut self) {
        let Some(fuel) = &mut self.fuel else { return };
        let (left, pending) = (fuel.left, core::mem::take(&mut fuel.pending));
        if pending != 0 {
            let before = self.builder.use_var(left);
            let after = self.builder.ins().iadd_imm_s(before, -pending);
            self.builder.def_var(left, after);
        }
    }

    /// Writes the fuel back for others to see: before control leaves the function.
    pub(super) fn save_fuel(&mut self) {
        self.subtract_pending();
        let Some(left) = self.fuel.as_ref().map(|f| f.left) else { return };
        let left = self.builder.use_var(left);
        let store = self.store_context();
        self.builder.ins().store(MemFlagsData::trusted(), left, store, FUEL);
    }

    /// Reads the fuel after others may have changed it.
    pub(super) fn reload_fuel(&mut self) {
        let Some(left) = self.fuel.as_ref().map(|f| f.left) else { return };
        let store = self.store_context();
        let value = self.builder.ins().load(types::I64, MemFlagsData::trusted(), store, FUEL);
        self.builder.def_var(left, value);
    }

    /// Charges for the length on top of the operand stack, and stops when there is not enough fuel for the operation.
    fn charge_length(&mut self, length: &Length) {
        self.subtract_pending();
        let Some(left) = self.fuel.as_ref().map(|f| f.left) else { return };
        let count = *self.stack.last().expect("validated code never underflows the operand stack");
        let mut count = if self.builder.func.dfg.value_type(count) == types::I64 {
            self.at_most(count, MAX_LENGTH)
        } else {
            self.builder.ins().uextend(types::I64, count)
        };
        match length {
            Length::Bytes => count = self.builder.ins().ushr_imm_u(count, 3),
            Length::Elements => {}
            Length::Growth => count = self.at_most(count, MAX_GROWTH),
        }
        let before = self.builder.use_var(left);
        let after = self.builder.ins().isub(before, count);
        self.builder.def_var(left, after);
        self.save_fuel();
        let too_little = self.builder.ins().icmp_imm_s(IntCC::SignedLessThan, after, 0);
        self.interrupted_if(too_little);
    }

    fn at_most(&mut self, value: Value, limit: i64) -> Value {
        let limit = self.builder.ins().iconst(types::I64, limit);
        let above = self.builder.ins().icmp(IntCC::UnsignedGreaterThan, value, limit);
        self.builder.ins().select(above, limit, value)
    }

    /// Fuel and epoch checks, when the settings ask for them, at the beginning of a body, where the store's fuel is up
    /// to date. An inlined body needs no check of the epoch: no more of them than a bound stand between two checks of
    /// the function that they are in.
    pub(super) fn check_entry(&mut self) {
        self.check_fuel();
        if !self.inlining.is_inside() {
            self.check_epoch();
        }
    }

    /// The same at a loop's header.
    pub(super) fn check_turn(&mut self) {
        if let Some(left) = self.fuel.as_ref().map(|f| f.left) {
            let left = self.builder.use_var(left);
            let store = self.store_context();
            self.builder.ins().store(MemFlagsData::trusted(), left, store, FUEL);
        }
        self.check_fuel();
        self.check_epoch();
    }

    fn check_fuel(&mut self) {
        if let Some(left) = self.fuel.as_ref().map(|f| f.left) {
            let left = self.builder.use_var(left);
            let used_up = self.builder.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, left, 0);
            self.interrupted_if(used_up);
        }
    }

    fn check_epoch(&mut self) {
        if self.settings.epochs {
            let store = self.store_context();
            let offset = core::mem::offset_of!(StoreContext, epoch_deadline) as i32;
            let deadline = self.builder.ins().load(types::I64, MemFlagsData::trusted(), store, offset);
            let reached = self.builder.ins().icmp_imm_u(IntCC::Equal, deadline, 0);
            self.interrupted_if(reached);
        }
    }

    /// Asks the vm whether to go on, when `condition` holds.
    fn interrupted_if(&mut self, condition: Value) {
        let (cold, next) = (self.builder.create_block(), self.builder.create_block());
        self.builder.set_cold_block(cold);
        self.builder.ins().brif(condition, cold, &[], next, &[]);
        self.builder.switch_to_block(cold);
        self.builder.seal_block(cold);
        self.call_builtin(Builtin::Interrupted, &[]);
        // The answer may come from a callback that changed it.
        self.reload_fuel();
        self.builder.ins().jump(next, &[]);
        self.builder.switch_to_block(next);
        self.builder.seal_block(next);
    }
}
