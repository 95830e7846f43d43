//! From a failing case to a short one: leave steps out, then make those that stay simpler.

use crate::{Case, Failure, Program};
use heapwright_collectors::Registration;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// Runs that shrinking may take.
const MAX_RUNS: usize = 3000;

impl Case {
    /// The shortest failing case found that comes from this one by leaving out and simplifying steps, and why it fails.
    ///
    /// # Panics
    ///
    /// When this case does not fail.
    pub fn shrink(&self, registration: &Registration) -> (Case, Failure) {
        let failure = self.check(registration).expect_err("only a failing case is shrunk");
        let mut best = Best { registration, case: self.clone(), failure, runs: MAX_RUNS };
        loop {
            let before = best.case.program.clone();
            best.leave_out();
            best.simplify();
            if best.case.program == before || best.runs == 0 {
                return (best.case, best.failure);
            }
        }
    }
}

/// The shortest failing case so far.
struct Best<'a> {
    registration: &'a Registration,
    case: Case,
    failure: Failure,
    runs: usize,
}

impl Best<'_> {
    /// Takes other steps if they fail too.
    fn try_steps(&mut self, steps: Vec<crate::Op>) -> bool {
        if self.runs == 0 {
            return false;
        }
        self.runs -= 1;
        let case = Case { program: Program { steps }, ..self.case };
        match case.check(self.registration) {
            Ok(()) => false,
            Err(failure) => {
                (self.case, self.failure) = (case, failure);
                true
            }
        }
    }

    /// Leaves out runs of steps, long ones first.
    fn leave_out(&mut self) {
        let mut length = self.case.program.steps.len().next_power_of_two();
        while length > 0 {
            let mut at = 0;
            while at < self.case.program.steps.len() {
                let mut steps = self.case.program.steps.clone();
                steps.drain(at..(at + length).min(steps.len()));
                if !self.try_steps(steps) {
                    at += length;
                }
            }
            length /= 2;
        }
    }

    /// Makes each step as simple as it can be.
    fn simplify(&mut self) {
        for at in 0..self.case.program.steps.len() {
            while self.case.program.steps[at].simpler().into_iter().any(|simpler| {
                let mut steps = self.case.program.steps.clone();
                steps[at] = simpler;
                self.try_steps(steps)
            }) {}
        }
    }
}

thread_local! {
    /// Whether panics of this thread are expected, and not to be printed.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`; when it panics, the message is returned instead of printed.
pub(crate) fn quietly(f: impl FnOnce()) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                print(info);
            }
        }));
    });
    let before = EXPECTED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    EXPECTED.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
    })
}
