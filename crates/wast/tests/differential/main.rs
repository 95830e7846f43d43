//! The same program gives the same answers under every collector, with and without pressure, and under another engine.
//!
//! What is run are the modules and calls of our scripts, and random modules. Compared are results (any NaN is like any
//! other, any reference like any other that is not null), whether a call returned, trapped or threw, and, at the end,
//! exported memories and globals. The other engine is V8, in a Node that the environment variable `HEAPWRIGHT_NODE`
//! names, or `node` when that is recent enough; where there is none, that part is skipped, with a line that says so.

mod commands;
mod generate;
mod node;
mod ours;

use commands::Command;
use heapwright::Collector;
use libtest_mimic::{Arguments, Failed, Trial};
use node::Node;
use ours::NOT_COMPARED;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many random modules are run, if the environment variable `HEAPWRIGHT_SEEDS` names no other number.
const SEEDS: u64 = 60;

/// Scripts that are about a limit of their own, and what limit: another engine's is elsewhere.
const NOT_COMPARABLE: &[(&str, &str)] =
    &[("limits/heap-exhaustion.wast", "it is about the size of the heap, which is larger here and elsewhere")];

/// How many differences are shown.
const SHOWN: usize = 10;

fn main() {
    let arguments = Arguments::from_args();
    let node = match Node::find() {
        Ok(node) => {
            println!("compared with Node {}", node.version);
            Some(node)
        }
        Err(why) => {
            println!("skipped: the comparison with Node ({why})");
            None
        }
    };
    let node = Arc::new(node);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scripts");
    let mut files = Vec::new();
    find(&root, &mut files);
    files.sort();
    let mut trials = Vec::new();
    for path in files {
        let name = path.strip_prefix(&root).expect("it was found there").display().to_string();
        if let Some((_, why)) = NOT_COMPARABLE.iter().find(|(script, _)| *script == name) {
            println!("skipped: {name} ({why})");
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let node = node.clone();
        trials.push(Trial::test(format!("differential/{name}"), move || compare(&name, &text, (*node).as_ref())));
    }
    let seeds = std::env::var("HEAPWRIGHT_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(SEEDS);
    for seed in 0..seeds {
        let node = node.clone();
        let name = format!("random {seed}");
        trials.push(Trial::test(format!("differential/{name}"), move || {
            let text = generate::script(seed);
            compare(&name, &text, (*node).as_ref()).map_err(|e| format!("{}\n{text}", e.message().unwrap_or("")).into())
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// All scripts below a folder.
fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|e| panic!("{}: {e}", folder.display())).path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|e| e == "wast") {
            files.push(path);
        }
    }
}

fn compare(name: &str, text: &str, node: Option<&Node>) -> Result<(), Failed> {
    let script = commands::of_script(text)?;
    let commands = &script.commands;
    let mut reference: Option<ours::Answers> = None;
    let mut differences = Vec::new();
    for collector in Collector::all() {
        for zeal in [0, 1] {
            let answers = ours::run(commands, collector, zeal).map_err(|e| format!("{e:#}"))?;
            if let Some(at) = answers.ended.iter().position(|e| e.starts_with("failed")) {
                return Err(format!("{} {zeal}: {}", collector.name(), answers.ended[at]).into());
            }
            match &reference {
                None => reference = Some(answers),
                Some(first) => differ(
                    &mut differences,
                    commands,
                    ("the first collector", &first.ended),
                    (&format!("{}, zeal {zeal}", collector.name()), &answers.ended),
                ),
            }
        }
    }
    let reference = reference.ok_or("there are no collectors")?;
    if let Some(node) = node {
        let theirs = node.run(name, commands, &reference)?;
        // What an engine does not know it cannot be asked about, and neither what depends on it.
        let unknown =
            theirs.iter().zip(&reference.ended).find(|(t, o)| t.starts_with("rejected") && !o.starts_with("rejected"));
        match unknown {
            Some((why, _)) => {
                println!("skipped: the comparison of {name} with Node, which does not take a module ({why})")
            }
            None => differ(&mut differences, commands, ("Heapwright", &reference.ended), ("Node", &theirs)),
        }
        let apart = theirs.iter().filter(|t| *t == NOT_COMPARED).count() + script.left_out;
        if apart > 0 {
            println!("skipped: {apart} of {} steps of {name} under Node (JavaScript cannot take them)", commands.len());
        }
    }
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    if more > 0 {
        differences.push(format!("… and {more} more"));
    }
    Err(differences.join("\n").into())
}

/// Notes where two runs differ.
fn differ(notes: &mut Vec<String>, commands: &[Command], one: (&str, &[String]), other: (&str, &[String])) {
    for (i, command) in commands.iter().enumerate() {
        let (a, b) = (&one.1[i], &other.1[i]);
        // Why a module is refused is each engine's own text.
        let same = a == b || (a.starts_with("rejected") && b.starts_with("rejected")) || b == NOT_COMPARED;
        if !same {
            let what = match command {
                Command::Module { id, .. } => format!("module {id}"),
                Command::Register { name, .. } => format!("register {name:?}"),
                Command::Invoke { id, name, .. } => format!("step {i}: {name:?} of module {id}"),
                Command::Dump { id } => format!("memories and globals of module {id}"),
            };
            notes.push(format!("{what}: {}: {a}; {}: {b}", one.0, other.0));
        }
    }
}
