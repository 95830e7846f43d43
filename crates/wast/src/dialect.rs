//! What scripts written for other engines say differently.
//!
//! The specification's scripts name traps and link errors in its own words. Scripts of other projects use the same
//! directives with the words of their engine, and expect a named module to be importable by that name.

use heapwright::{LinkError, Trap, TrapCode};

/// Whose words a script uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// The specification's, and only those.
    #[default]
    Specification,
    /// Those of other engines too, for the same traps. They call a segment that does not fit a link error, word link
    /// errors in their own way, and import from a module by the name that the script gave it.
    OtherEngines,
}

/// What other engines call a trap; the specification's own words are the trap's message.
fn other_words(code: TrapCode) -> &'static [&'static str] {
    match code {
        TrapCode::NullStructReference
        | TrapCode::NullArrayReference
        | TrapCode::NullI31Reference
        | TrapCode::NullFunctionReference
        | TrapCode::NullExceptionReference => &["null reference"],
        TrapCode::IntegerDivideByZero => &["divide by zero"],
        TrapCode::IndirectCallTypeMismatch => &["call type mismatch"],
        TrapCode::UndefinedElement => &["out of bounds table access", "table out of bounds"],
        TrapCode::TableOutOfBounds => &["undefined element"],
        _ => &[],
    }
}

/// Whether a message is the one that a script expects: one begins with the other.
pub(crate) fn says(actual: &str, expected: &str) -> bool {
    actual.starts_with(expected) || expected.starts_with(actual)
}

impl Dialect {
    /// Whether a trap is the one that a script expects.
    pub(crate) fn is_trap(self, trap: &Trap, expected: &str) -> bool {
        says(&trap.to_string(), expected)
            || self.is_foreign() && other_words(trap.code()).iter().any(|words| says(words, expected))
    }

    /// Whether a link error is the one that a script expects. The specification knows two; what other engines say in
    /// detail is taken for whichever came.
    pub(crate) fn is_link_error(self, error: &LinkError, expected: &str) -> bool {
        let known = ["unknown import", "incompatible import type"].iter().any(|words| says(words, expected));
        says(&error.to_string(), expected) || self.is_foreign() && !known
    }

    /// Whether the script may be of another engine.
    pub(crate) fn is_foreign(self) -> bool {
        self == Dialect::OtherEngines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_may_be_cut_short_on_either_side() {
        assert!(says("uninitialized element", "uninitialized element 7"));
        assert!(says("out of bounds memory access", "out of bounds"));
        assert!(!says("out of bounds memory access", "memory"));
    }

    #[test]
    fn the_specification_tells_its_link_errors_apart() {
        let unknown = LinkError { module: "m".into(), name: "n".into(), expected: "(func)".into(), got: None };
        for dialect in [Dialect::Specification, Dialect::OtherEngines] {
            assert!(dialect.is_link_error(&unknown, "unknown import"));
            assert!(!dialect.is_link_error(&unknown, "incompatible import type"));
        }
        let foreign = "expected 64-bit memory, found 32-bit memory";
        assert!(Dialect::OtherEngines.is_link_error(&unknown, foreign));
        assert!(!Dialect::Specification.is_link_error(&unknown, foreign));
    }
}
