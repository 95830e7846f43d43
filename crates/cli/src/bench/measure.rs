//! Measures one program under all contenders, in turns, and compares what they compute.

use super::engines::Contender;
use super::figures::{Figures, result};
use super::interrupt::Interrupt;
use super::process::{self, Failed, Limits, Outcome};
use super::programs::Program;
use super::progress::Progress;
use std::path::Path;

/// A program with a row for each contender.
#[derive(Debug)]
pub(super) struct Measured {
    /// The program's name.
    pub(super) name: String,
    /// What it computes, as most find.
    pub(super) result: Option<String>,
    /// In the order of the contenders.
    pub(super) rows: Vec<Row>,
}

/// One contender's part.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) engine: String,
    pub(super) collector: String,
    pub(super) ours: bool,
    /// The figures, or why there are none.
    pub(super) outcome: Result<Figures, String>,
}

impl Row {
    pub(super) fn figures(&self) -> Option<&Figures> {
        self.outcome.as_ref().ok()
    }

    pub(super) fn median(&self) -> Option<f64> {
        self.figures()?.median_ms()
    }
}

impl Measured {
    /// The headline of its table.
    pub(super) fn title(&self) -> String {
        match &self.result {
            Some(result) => format!("{}  (result {result})", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether one of ours failed or was wrong.
    pub(super) fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.ours && row.outcome.is_err())
    }
}

/// What a contender has come to so far.
struct State<'a> {
    contender: &'a Contender,
    outcomes: Vec<Outcome>,
    failed: Option<String>,
}

/// Runs everything. Nothing comes back when somebody asked for the end before each contender had a turn.
pub(super) fn measure(
    program: &Program,
    contenders: &[Contender],
    runs: u32,
    limits: &Limits,
    scratch: &Path,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Option<Measured> {
    let mut states: Vec<State<'_>> =
        contenders.iter().map(|contender| State { contender, outcomes: Vec::new(), failed: None }).collect();
    'runs: for run in 0..runs {
        for state in &mut states {
            progress.step(program, state.contender, run, runs);
            if state.failed.is_some() {
                continue;
            }
            match process::run(state.contender, program, limits, scratch, interrupt) {
                Ok(outcome) => match wrong_output(program, &outcome) {
                    Some(wrong) => state.failed = Some(wrong),
                    None => state.outcomes.push(outcome),
                },
                Err(Failed::Error(why)) => state.failed = Some(why),
                Err(Failed::TimedOut) => state.failed = Some(format!("gave up after {} s", limits.timeout.as_secs())),
                Err(Failed::Interrupted) => break 'runs,
            }
        }
    }
    if states.iter().any(|state| state.outcomes.is_empty() && state.failed.is_none()) {
        return None;
    }
    let agreed = agreed(program, &states);
    let rows = states.into_iter().map(|state| row(program, state, agreed.as_deref())).collect();
    Some(Measured { name: program.name.clone(), result: agreed, rows })
}

/// A program whose output is known prints that.
fn wrong_output(program: &Program, outcome: &Outcome) -> Option<String> {
    let expected = program.expected.as_ref()?;
    (outcome.output != *expected).then(|| "WRONG: the output is not the expected one".to_owned())
}

/// The result that most processes have; of equally many, the first.
fn agreed(program: &Program, states: &[State<'_>]) -> Option<String> {
    let outcomes = states.iter().flat_map(|state| &state.outcomes);
    let results: Vec<String> = outcomes.filter_map(|outcome| result(outcome, program.task)).collect();
    let count = |wanted: &String| results.iter().filter(|result| *result == wanted).count();
    results.iter().rev().max_by_key(|result| count(result)).cloned()
}

fn row(program: &Program, state: State<'_>, agreed: Option<&str>) -> Row {
    let Contender { engine, collector, ours, .. } = state.contender;
    let calls = state.outcomes.iter().flat_map(|outcome| &outcome.report.calls);
    let first = calls.clone().next().map(|call| call.result.clone());
    let differs = calls.clone().any(|call| Some(&call.result) != first.as_ref());
    let wrong = state.outcomes.iter().find_map(|o| result(o, program.task).filter(|r| Some(r.as_str()) != agreed));
    let outcome = match (state.failed, wrong) {
        (Some(why), _) => Err(why),
        (None, _) if differs => Err("WRONG: not every call has the same result".to_owned()),
        (None, Some(wrong)) => Err(format!("WRONG: the result is {wrong}")),
        (None, None) => Ok(Figures::of(program.task, &state.outcomes)),
    };
    Row { engine: engine.clone(), collector: collector.clone(), ours: *ours, outcome }
}
