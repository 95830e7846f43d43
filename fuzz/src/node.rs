//! Node, as a third opinion: modules by the hundred, one process for all of them.

use crate::seen::{Seen, difference};
use anyhow::{Context, Result, ensure};
use arbitrary::Unstructured;
use heapwright::Collector;
use heapwright_smith::oracle::{self, ARGUMENTS, Setting};
use heapwright_smith::{COUNTERS, Generated, Options, bytes_of, generate};
use serde_json::Value;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// What came of a batch.
#[derive(Debug, Default)]
pub struct Batch {
    /// Modules that both engines ran to an end.
    pub compared: u32,
    /// Modules that met a limit in one of them.
    pub discarded: u32,
    /// Seeds with what differs.
    pub findings: Vec<(u64, String)>,
}

/// The script that runs in Node.
const SCRIPT: &str = include_str!("../node.mjs");

/// Runs the modules of some seeds in ours and in Node, and compares.
///
/// # Errors
///
/// When Node cannot be run, or does not answer for each module.
pub fn batch(node: &Path, seeds: Range<u64>) -> Result<Batch> {
    let dir = tempfile::tempdir()?;
    let mut modules = Vec::new();
    for seed in seeds.clone() {
        let generated = module(seed)?;
        std::fs::write(dir.path().join(format!("{seed}.wasm")), &generated.bytes)?;
        modules.push((seed, generated));
    }
    let script = dir.path().join("run.mjs");
    std::fs::write(&script, SCRIPT)?;
    let runs: Vec<String> = modules.iter().map(|(seed, module)| format!("{seed}:{}", module.runs)).collect();
    // Exceptions with references are behind a flag in some versions.
    let output = Command::new(node)
        .args(["--experimental-wasm-exnref", "--stack-size=900"])
        .arg(&script)
        .arg(dir.path())
        .arg(serde_json::to_string(&ARGUMENTS)?)
        .arg(COUNTERS.to_string())
        .args(runs)
        .output()
        .with_context(|| format!("cannot run {}", node.display()))?;
    ensure!(output.status.success(), "node: {}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout)?;
    let mut batch = Batch::default();
    let mut answers = answers.lines();
    for (seed, module) in &modules {
        let answer = answers.next().with_context(|| format!("node says nothing about seed {seed}"))?;
        let answer: Value = serde_json::from_str(answer)?;
        ensure!(answer["seed"] == Value::from(*seed), "node answers for another module than {seed}: {answer}");
        compare(*seed, module, &answer, &mut batch);
    }
    Ok(batch)
}

fn module(seed: u64) -> Result<Generated> {
    let bytes = bytes_of(seed, 3000 + (seed as usize % 9) * 1500);
    let options = Options { portable: true, ..Options::default() };
    Ok(generate(&mut Unstructured::new(&bytes), options)?)
}

/// Our setting for a seed: each collector has its turn.
fn setting(seed: u64) -> Setting {
    let collectors: Vec<Collector> = Collector::all().collect();
    let collector = collectors[seed as usize % collectors.len()];
    Setting { collector, growing: seed & 8 != 0, optimize: seed & 16 != 0, ..Setting::reference() }
}

fn compare(seed: u64, module: &Generated, answer: &Value, batch: &mut Batch) {
    let setting = setting(seed);
    let ours = match oracle::run(module, &setting) {
        Ok(oracle::Outcome::Seen(seen)) => Seen::from(seen),
        Ok(oracle::Outcome::Limited(_)) => {
            batch.discarded += 1;
            return;
        }
        Err(error) => {
            batch.findings.push((seed, format!("{setting}: {error:?}")));
            return;
        }
    };
    let words = answer["endings"].as_array().cloned().unwrap_or_default();
    let endings: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if let Some(refused) = answer["refused"].as_str() {
        batch.findings.push((seed, format!("node refuses it: {refused}")));
        return;
    }
    if endings.iter().any(|word| ["stack", "heap", "too large"].contains(&word.as_str())) {
        batch.discarded += 1;
        return;
    }
    let memory = answer["memory"].as_u64().unwrap_or_default();
    let theirs = Seen { endings, memory, made: answer["made"].as_u64().unwrap_or_default() };
    match difference(&ours, &theirs) {
        None => batch.compared += 1,
        Some(what) if what.contains("too large") => batch.discarded += 1,
        Some(what) => batch.findings.push((seed, format!("{setting}, ours and node's: {what}"))),
    }
}
