//! `heapwright collectors`: what each collector declares.

use crate::args::CollectorsArgs;
use crate::failure::Failure;
use crate::output::{columns, print};
use heapwright::{AllocSpec, BulkBarrier, Collector, Elision, Moves, Spec};
use serde_json::{Value, json};
use std::fmt::Write;

/// Lists the collectors, or describes one.
pub(crate) fn run(args: &CollectorsArgs) -> Result<u8, Failure> {
    let one = args.name.as_deref().and_then(Collector::by_name);
    let text = match (one, args.json) {
        (Some(collector), true) => format!("{:#}\n", as_json(collector)),
        (None, true) => format!("{:#}\n", Collector::all().map(as_json).collect::<Value>()),
        (Some(collector), false) => in_full(collector),
        (None, false) => list(),
    };
    print(&text)?;
    Ok(0)
}

/// A line for what each is, then a table of what they declare.
fn list() -> String {
    let mut rows = Vec::new();
    for collector in Collector::all() {
        let mut summary = collector.spec().summary.to_owned();
        if collector == Collector::default() {
            summary.push_str(" (default)");
        }
        rows.push(vec![collector.name().to_owned(), summary]);
    }
    let mut text = columns(&rows, &[]);
    let heads = ["", "objects", "header words", "side tables", "allocation", "barriers", "elisions"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for collector in Collector::all() {
        let spec = collector.spec();
        rows.push(vec![
            collector.name().to_owned(),
            moves(spec).to_owned(),
            names(spec.header.iter().map(|word| word.name)),
            names(spec.side_tables.iter().map(|table| table.name)),
            allocation(spec).to_owned(),
            names(barriers(spec).into_iter().map(|(place, _)| place)),
            names(spec.elide.iter().map(|elision| elided(*elision))),
        ]);
    }
    text.push('\n');
    text.push_str(&columns(&rows, &[]));
    text.push_str("\n`heapwright collectors NAME` prints a declaration in full.\n");
    text
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn moves(spec: &Spec) -> &'static str {
    match spec.moves {
        Moves::Never => "never move",
        Moves::AtSafepoint => "may move at safepoints",
    }
}

fn allocation(spec: &Spec) -> &'static str {
    match spec.alloc {
        AllocSpec::Bump => "bump",
        AllocSpec::FreeList { .. } => "free lists",
        AllocSpec::Call => "call",
    }
}

fn elided(elision: Elision) -> &'static str {
    match elision {
        Elision::FreshObject => "fresh object",
        Elision::NullStored => "null stored",
        Elision::I31Stored => "i31 stored",
        Elision::SameObject => "same object",
    }
}

/// What runs where, as text; the bulk barrier may be the store program.
fn barriers(spec: &Spec) -> Vec<(&'static str, String)> {
    let places = heapwright::Barriers::PLACES.into_iter().zip(spec.barriers.programs());
    let mut found: Vec<_> = places.filter_map(|(place, program)| Some((place, program?.text(spec)))).collect();
    if let BulkBarrier::Elements = spec.barriers.bulk {
        found.push(("bulk", "the store program, for each element\n".to_owned()));
    }
    found
}

fn as_json(collector: Collector) -> Value {
    let spec = collector.spec();
    let barriers: serde_json::Map<_, _> =
        barriers(spec).into_iter().map(|(place, text)| (place.replace(' ', "_"), text.into())).collect();
    json!({
        "name": collector.name(),
        "summary": spec.summary,
        "default": collector == Collector::default(),
        "header": spec.header.iter().map(|word| json!({ "name": word.name, "initial": word.initial })).collect::<Value>(),
        "side_tables": spec
            .side_tables
            .iter()
            .map(|table| json!({ "name": table.name, "granule": table.granule, "bits": table.bits }))
            .collect::<Value>(),
        "allocation": allocation(spec),
        "inline_limit": spec.inline_limit,
        "barriers": barriers,
        "elisions": spec.elide.iter().map(|elision| elided(*elision)).collect::<Value>(),
        "moves": spec.moves == Moves::AtSafepoint,
        "needs_roots": spec.needs_roots,
        "cites": spec.cites.iter().map(|cite| json!({ "text": cite.text, "departs": cite.departs })).collect::<Value>(),
    })
}

/// Everything that is declared. Writing to a string does not fail.
fn in_full(collector: Collector) -> String {
    let spec = collector.spec();
    let default = if collector == Collector::default() { " (default)" } else { "" };
    let mut text = format!("{}{default}\n  {}\n\n", collector.name(), spec.summary);
    let header: Vec<String> = spec.header.iter().map(|w| format!("{} (at first {:#x})", w.name, w.initial)).collect();
    let tables = spec.side_tables.iter();
    let tables: Vec<String> =
        tables.map(|t| format!("{} ({} bits for each {} bytes)", t.name, t.bits, t.granule)).collect();
    let roots = if spec.needs_roots { "all; compiled code has stack maps" } else { "not looked at; no stack maps" };
    let allocation = match spec.alloc {
        AllocSpec::Call => "a call of the collector".to_owned(),
        AllocSpec::FreeList { classes } => {
            let classes: Vec<String> = classes.iter().map(u32::to_string).collect();
            format!("free lists, inline for objects of known size; cells of {} bytes", classes.join(", "))
        }
        AllocSpec::Bump => format!("{}, inline for objects of up to {} bytes", allocation(spec), spec.inline_limit),
    };
    let rows = [
        ("objects", moves(spec).to_owned()),
        ("header words", names(header.iter().map(String::as_str))),
        ("side tables", names(tables.iter().map(String::as_str))),
        ("allocation", allocation),
        ("roots", roots.to_owned()),
        ("elisions", names(spec.elide.iter().map(|elision| elided(*elision)))),
    ];
    text.push_str(&columns(&rows.map(|(what, how)| vec![what.to_owned(), how]), &[]));
    let barriers = barriers(spec);
    text.push_str(if barriers.is_empty() { "\n  No barriers.\n" } else { "\n  Barriers\n" });
    for (place, program) in barriers {
        let _ = writeln!(text, "\n    {place}:");
        program.lines().for_each(|line| _ = writeln!(text, "      {line}"));
    }
    text.push_str("\n  Follows\n");
    for cite in spec.cites {
        paragraph(&mut text, cite.text, "\n    ");
        if !cite.departs.is_empty() {
            paragraph(&mut text, &format!("Departs: {}.", cite.departs), "      ");
        }
    }
    text
}

/// Width of a paragraph's lines.
const WIDTH: usize = 100;

/// Text in lines of at most [`WIDTH`] characters, indented like the first.
fn paragraph(text: &mut String, words: &str, indent: &str) {
    let margin = indent.trim_start_matches('\n');
    let mut line = String::new();
    text.push_str(&indent[..indent.len() - margin.len()]);
    for word in words.split_whitespace() {
        if !line.is_empty() && margin.len() + line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{margin}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(text, "{margin}{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_wrapped() {
        let mut text = String::new();
        paragraph(&mut text, &"word ".repeat(40), "  ");
        assert!(
            text.lines().count() == 3 && text.lines().all(|line| line.len() <= WIDTH && line.starts_with("  word"))
        );
    }
}
