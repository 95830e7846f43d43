//! Programs, and cases: a program and the heap that it runs in.

use crate::op::Op;
use crate::shrink::quietly;
use crate::{Run, SMALL};
use arbitrary::{Arbitrary, Result, Unstructured};
use heapwright_collectors::Registration;
use heapwright_gc_heap::{AllocError, Cause, HeapConfig, SizingPolicy};
use std::fmt;

/// Longest program that bytes are read as.
const MAX_STEPS: usize = 2000;

/// A heap program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its steps.
    pub steps: Vec<Op>,
}

impl Program {
    /// The program that some bytes stand for; every sequence of bytes is one.
    pub fn from_bytes(bytes: &[u8]) -> Program {
        Program::arbitrary(&mut Unstructured::new(bytes)).unwrap_or_default()
    }
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Program> {
        let mut steps = Vec::new();
        while !u.is_empty() && steps.len() < MAX_STEPS {
            steps.push(Op::arbitrary(u)?);
        }
        Ok(Program { steps })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().enumerate().try_for_each(|(i, step)| writeln!(f, "{:>4}  {step}", i + 1))
    }
}

/// A program and the settings of the heap that it runs in.
#[derive(Clone, Debug)]
pub struct Case {
    /// The heap's settings. A collector that never frees gets a larger maximum.
    pub config: HeapConfig,
    /// The program.
    pub program: Program,
}

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The collector.
    pub collector: &'static str,
    /// What the failed check said.
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "collector {}: {}", self.collector, self.message)
    }
}

impl std::error::Error for Failure {}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Case> {
        let zeal = *u.choose(&[0, 0, 1, 7])?;
        // Under zeal each allocation is followed by a walk over the heap.
        let sizes: &[u64] = if zeal == 0 { &[1 << 20, 8 << 20, 64 << 20] } else { &[256 << 10, 4 << 20] };
        let sizing = *u.choose(&[SizingPolicy::Growing, SizingPolicy::Fixed, SizingPolicy::Adaptive])?;
        let config = HeapConfig { zeal, max: *u.choose(sizes)?, sizing, ..SMALL };
        Ok(Case { config, program: u.arbitrary()? })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HeapConfig { initial, max, sizing, zeal } = self.config;
        writeln!(f, "heap of {} to {} KiB, {sizing:?}, zeal {zeal}", initial >> 10, max >> 10)?;
        self.program.fmt(f)
    }
}

impl Case {
    /// Runs the program in a heap with this collector and in the model, and compares: after each collection, and in the
    /// end, when everything unreachable has to be gone and, with the heap, each host value.
    ///
    /// # Panics
    ///
    /// When heap and model differ, or the collector breaks another promise.
    pub fn run(&self, registration: &Registration) {
        let max = if registration.spec.needs_roots { self.config.max } else { 1 << 30 };
        let config = HeapConfig { max, ..self.config };
        let mut run = Run::new(registration, config);
        let last = [Cause::Internal, Cause::Explicit, Cause::Internal].map(|cause| Op::Collect { cause });
        for step in self.program.steps.iter().chain(&last) {
            match run.step(step) {
                Ok(()) => {}
                Err(AllocError::OutOfMemory { requested, .. }) => run.check_full(requested),
                Err(error) => panic!("{step}: {error:?}"),
            }
            if matches!(step, Op::Collect { .. }) {
                run.check(false);
            }
        }
        // Once more, with nothing but the result of a collection to start from.
        run.step(&Op::Collect { cause: Cause::Explicit }).expect("a collection allocates nothing");
        run.check(true);
        run.end();
    }

    /// Runs the case and says what went wrong, if anything.
    ///
    /// # Errors
    ///
    /// What [`run`](Self::run) panicked with.
    pub fn check(&self, registration: &Registration) -> std::result::Result<(), Failure> {
        quietly(|| self.run(registration)).map_err(|message| Failure { collector: registration.spec.name, message })
    }

    /// Runs the case; if it fails, finds a short case that fails too and panics with its text.
    ///
    /// # Panics
    ///
    /// When the case fails.
    pub fn require(&self, registration: &Registration) {
        if self.check(registration).is_err() {
            let (shortest, failure) = self.shrink(registration);
            panic!("{failure}\n\nThe shortest case found:\n{shortest}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Random;

    #[test]
    fn any_bytes_are_a_program() {
        assert!(Program::from_bytes(&[]).steps.is_empty());
        let mut random = Random::new(5);
        for length in 0..300 {
            let bytes = random.bytes(length);
            let program = Program::from_bytes(&bytes);
            assert_eq!(program.steps.is_empty(), length == 0);
            assert_eq!(program.to_string().lines().count(), program.steps.len());
        }
        let all = Program::from_bytes(&random.bytes(1 << 20));
        assert_eq!(all.steps.len(), MAX_STEPS);
        for sample in ["collect (", "= new Pair", "= new Refs[", "fill r", "copy ", "a ring of "] {
            assert!(all.to_string().contains(sample), "no {sample}");
        }
    }

    #[test]
    fn simpler_steps_come_to_an_end() {
        for mut step in Program::from_bytes(&Random::new(9).bytes(20_000)).steps {
            for _ in 0..40 {
                match step.simpler().pop() {
                    Some(simpler) => step = simpler,
                    None => break,
                }
            }
            assert!(step.simpler().len() < 8, "{step:?}");
        }
    }
}
