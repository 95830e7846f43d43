//! What came of a script.

use std::fmt;
use std::ops::AddAssign;

/// What came of a script, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Directives that did what they say.
    pub passed: usize,
    /// Directives that did not: see [`failures`](Self::failures).
    pub failed: usize,
    /// Directives that were not run: see [`skips`](Self::skips).
    pub skipped: usize,
    /// `assert_invalid`, `assert_malformed` and the like that passed. They are not in [`passed`](Self::passed).
    pub validator_only: usize,
    /// One for each failed directive, in the script's order.
    pub failures: Vec<Failure>,
    /// One for each skipped directive, in the script's order.
    pub skips: Vec<Skip>,
}

/// A failed directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The script's name.
    pub file: String,
    /// Line of the directive, from 1.
    pub line: usize,
    /// Column of the directive, from 1.
    pub col: usize,
    /// What it asks for.
    pub expected: String,
    /// What happened.
    pub got: String,
}

/// A directive that was not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// The script's name.
    pub file: String,
    /// Line of the directive, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

impl Summary {
    /// Every directive that passed, those that only test the validator included.
    pub fn total_passed(&self) -> usize {
        self.passed + self.validator_only
    }
}

impl AddAssign for Summary {
    fn add_assign(&mut self, other: Summary) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.validator_only += other.validator_only;
        self.failures.extend(other.failures);
        self.skips.extend(other.skips);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { file, line, col, expected, got } = self;
        write!(f, "{file}:{line}:{col}: expected {expected}, got {got}")
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Skip { file, line, reason } = self;
        write!(f, "{file}:{line}: skipped: {reason}")
    }
}
