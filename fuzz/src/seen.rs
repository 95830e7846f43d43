//! What two engines can be compared by: how calls end, in words that all of them have, and what is in memory.

use heapwright::TrapCode;
use heapwright_smith::oracle::{Ending, Observation};

/// What was seen of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// How each call ended: a number, `exception`, or a kind of trap.
    pub endings: Vec<String>,
    /// A hash of the memory.
    pub memory: u64,
    /// Host values made.
    pub made: u64,
}

impl From<Observation> for Seen {
    fn from(seen: Observation) -> Seen {
        let Observation { endings, memory, made, .. } = seen;
        Seen { endings: endings.into_iter().map(word).collect(), memory, made }
    }
}

/// What differs, if anything.
pub fn difference(ours: &Seen, theirs: &Seen) -> Option<String> {
    if let Some(at) = (0..ours.endings.len()).find(|&at| ours.endings.get(at) != theirs.endings.get(at)) {
        return Some(format!("call {at} ended with {:?} and {:?}", ours.endings.get(at), theirs.endings.get(at)));
    }
    if ours.memory != theirs.memory {
        return Some(format!("memory {:#x} and {:#x}", ours.memory, theirs.memory));
    }
    (ours.made != theirs.made).then(|| format!("{} and {} host values", ours.made, theirs.made))
}

/// The word for how a call ended.
pub fn word(ending: Ending) -> String {
    match ending {
        Ending::Value(value) => value.to_string(),
        Ending::Exception => "exception".into(),
        Ending::Trap(code) => kind(code).into(),
    }
}

/// A kind of trap that engines agree on: they divide traps differently.
pub fn kind(code: TrapCode) -> &'static str {
    use TrapCode as T;
    match code {
        T::Unreachable => "unreachable",
        T::MemoryOutOfBounds => "memory",
        T::TableOutOfBounds | T::UndefinedElement => "table",
        T::UninitializedElement | T::IndirectCallTypeMismatch => "indirect call",
        T::IntegerOverflow => "overflow",
        T::IntegerDivideByZero => "divide",
        T::InvalidConversionToInteger => "conversion",
        T::NullFunctionReference
        | T::NullStructReference
        | T::NullArrayReference
        | T::NullI31Reference
        | T::NullReference
        | T::NullExceptionReference => "null",
        T::ArrayOutOfBounds => "array",
        T::CastFailure => "cast",
        T::StackOverflow => "stack",
        T::AllocationTooLarge => "too large",
        T::GcHeapOutOfMemory => "heap",
        _ => "defect",
    }
}
