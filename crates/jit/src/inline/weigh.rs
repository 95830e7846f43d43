//! What a body would cost where it is inlined.
//!
//! The unit is about one machine instruction or two. Locals, constants and structure cost nothing: they are names and
//! edges. A direct call costs [`CALL`], which is also what inlining it saves.

use wasmparser::{BinaryReaderError, FunctionBody, Operator};

/// Weight of a direct call.
pub(super) const CALL: u32 = 4;

/// Declared locals beyond which a body is not inlined.
const MOST_LOCALS: u32 = 32;

/// A body that may be inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weighed {
    /// Its weight, calls included.
    pub(super) weight: u32,
    /// The functions that it calls directly, once for each call.
    pub(super) callees: Vec<u32>,
}

/// Weighs a body; `None` when it is heavier than `most`, or not to be inlined:
///
/// - with tail calls, whose callee would return to the wrong place;
/// - with the legacy `try`, which needs a scan of its own;
/// - when it ends by not returning: such a function is called on cold paths, which are to stay small.
pub(super) fn weigh(body: &FunctionBody<'_>, most: u32) -> Result<Option<Weighed>, BinaryReaderError> {
    let mut locals = 0u32;
    for group in body.get_locals_reader()? {
        locals = locals.saturating_add(group?.0);
    }
    if locals > MOST_LOCALS {
        return Ok(None);
    }
    let mut weighed = Weighed { weight: 0, callees: Vec::new() };
    let mut reader = body.get_operators_reader()?;
    let mut ends_elsewhere = false;
    while !reader.eof() {
        let op = reader.read()?;
        if let Operator::Call { function_index } = op {
            weighed.callees.push(function_index);
        }
        let Some(weight) = weight(&op) else { return Ok(None) };
        weighed.weight = weighed.weight.saturating_add(weight);
        if weighed.weight > most + CALL * weighed.callees.len() as u32 {
            return Ok(None);
        }
        match op {
            Operator::Unreachable | Operator::Throw { .. } | Operator::ThrowRef => ends_elsewhere = true,
            Operator::End if reader.eof() => {}
            _ => ends_elsewhere = false,
        }
    }
    Ok((!ends_elsewhere).then_some(weighed))
}

/// The weight of an operator; `None` for one that is not inlined.
fn weight(op: &Operator<'_>) -> Option<u32> {
    use Operator as O;
    Some(match op {
        O::ReturnCall { .. }
        | O::ReturnCallIndirect { .. }
        | O::ReturnCallRef { .. }
        | O::Try { .. }
        | O::Catch { .. }
        | O::CatchAll
        | O::Delegate { .. }
        | O::Rethrow { .. } => return None,
        O::Nop
        | O::Drop
        | O::Block { .. }
        | O::Else
        | O::End
        | O::Return
        | O::LocalGet { .. }
        | O::LocalSet { .. }
        | O::LocalTee { .. }
        | O::I32Const { .. }
        | O::I64Const { .. }
        | O::F32Const { .. }
        | O::F64Const { .. }
        | O::RefNull { .. }
        | O::RefAsNonNull
        | O::I32WrapI64
        | O::I64ExtendI32S
        | O::I64ExtendI32U => 0,
        O::Call { .. } => CALL,
        O::CallRef { .. } | O::CallIndirect { .. } => 8,
        O::StructNew { .. }
        | O::StructNewDefault { .. }
        | O::ArrayNew { .. }
        | O::ArrayNewDefault { .. }
        | O::ArrayNewData { .. }
        | O::ArrayNewElem { .. } => 12,
        O::ArrayNewFixed { array_size, .. } => array_size.saturating_add(6),
        O::RefCastNonNull { .. }
        | O::RefCastNullable { .. }
        | O::RefTestNonNull { .. }
        | O::RefTestNullable { .. }
        | O::BrOnCast { .. }
        | O::BrOnCastFail { .. }
        | O::StructSet { .. }
        | O::ArraySet { .. } => 3,
        // What a call costs is little beside what a loop does.
        O::Loop { .. } => 8,
        O::TryTable { try_table } => 6 + 4 * try_table.catches.len() as u32,
        O::Throw { .. } | O::ThrowRef => 8,
        O::BrTable { targets } => 3 + targets.len(),
        O::ArrayCopy { .. }
        | O::ArrayFill { .. }
        | O::ArrayInitData { .. }
        | O::ArrayInitElem { .. }
        | O::MemoryCopy { .. }
        | O::MemoryFill { .. }
        | O::MemoryInit { .. }
        | O::MemoryGrow { .. }
        | O::TableCopy { .. }
        | O::TableFill { .. }
        | O::TableInit { .. }
        | O::TableGrow { .. } => 10,
        _ => 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weighs the first function of a module.
    fn of(text: &str) -> Option<Weighed> {
        let wasm = wat::parse_str(format!("(module {text})")).expect("valid text");
        let bodies = wasmparser::Parser::new(0).parse_all(&wasm).filter_map(|payload| match payload.expect("valid") {
            wasmparser::Payload::CodeSectionEntry(body) => Some(body),
            _ => None,
        });
        weigh(&bodies.into_iter().next().expect("a function"), 40).expect("valid")
    }

    #[test]
    fn names_and_structure_are_free() {
        let weighed =
            of("(func (param i32 i32) (result i32) (block (result i32) (i32.add (local.get 0) (local.get 1))))");
        assert_eq!(weighed, Some(Weighed { weight: 1, callees: vec![] }));
        let weighed = of("(func (call 0) (call 1)) (func)");
        assert_eq!(weighed, Some(Weighed { weight: 2 * CALL, callees: vec![0, 1] }));
    }

    #[test]
    fn what_is_not_inlined() {
        assert_eq!(of("(func (return_call 0))"), None);
        assert_eq!(of("(func unreachable)"), None);
        assert_eq!(of("(tag $t) (func (throw $t))"), None);
        assert_eq!(of("(func try catch_all end)"), None);
        assert!(of("(func (param i32) (if (local.get 0) (then unreachable)))").is_some());
        let locals = |n: usize| format!("(func (local {}))", "i32 ".repeat(n));
        assert!(of(&locals(32)).is_some() && of(&locals(33)).is_none());
        let adds =
            |n: usize| format!("(func (param i32) (drop {} (local.get 0) {}))", "(i32.eqz".repeat(n), ")".repeat(n));
        assert_eq!(of(&adds(40)).map(|w| w.weight), Some(40));
        assert_eq!(of(&adds(41)), None);
    }
}
