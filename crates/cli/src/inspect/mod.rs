//! `heapwright inspect`.

mod contents;
mod features;

use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::load;
use crate::output::{columns, one_line, print};
use contents::Contents;
use heapwright::Engine;
use std::fmt::Write;

/// Describes a module.
pub(crate) fn run(args: &InspectArgs) -> Result<u8, Failure> {
    let file = args.file.display();
    let bytes = load::module(&args.file)?.binary;
    let features = features::needed(&bytes).map_err(|e| {
        Failure::unusable(format_args!("{file} is not valid: {} (at offset {:#x})", e.message(), e.offset()))
    })?;
    let contents = contents::read(&bytes).map_err(|e| {
        Failure::unusable(format_args!("cannot read {file}: {} (at offset {:#x})", e.message(), e.offset()))
    })?;

    let mut text = format!("{file}: {} bytes\n", bytes.len());
    if let Some(name) = &contents.name {
        let _ = writeln!(text, "module name: {}", one_line(name));
    }
    section(&mut text, "sections", &sections(&contents), &[1, 2, 3]);
    section(&mut text, "definitions", &counts(&contents), &[0]);
    let rows: Vec<_> = features.iter().map(|&(name, level)| vec![name.to_owned(), level.to_owned()]).collect();
    section(&mut text, "language features", &rows, &[]);
    section(&mut text, "imports", &contents.imports, &[]);
    section(&mut text, "exports", &contents.exports, &[]);
    match Engine::default().validate(&bytes) {
        Ok(()) => text.push_str("\nHeapwright supports this module.\n"),
        Err(e) => {
            let _ = writeln!(text, "\nHeapwright does not support this module: {e:#}");
        }
    }
    print(&text)?;
    Ok(0)
}

fn section(text: &mut String, title: &str, rows: &[Vec<String>], right: &[usize]) {
    let _ = if rows.is_empty() { writeln!(text, "\n{title}: none") } else { writeln!(text, "\n{title}:") };
    text.push_str(&columns(rows, right));
}

fn sections(contents: &Contents) -> Vec<Vec<String>> {
    let head = ["name", "offset", "bytes", "items"].map(str::to_owned).to_vec();
    let rows = contents.sections.iter().map(|s| {
        let items = s.items.map_or_else(String::new, |n| n.to_string());
        vec![s.name.clone(), format!("{:#x}", s.offset), s.bytes.to_string(), items]
    });
    std::iter::once(head).chain(rows).collect()
}

fn counts(contents: &Contents) -> Vec<Vec<String>> {
    let c = &contents.counts;
    [
        (c.func_types, "function types"),
        (c.struct_types, "struct types"),
        (c.array_types, "array types"),
        (c.other_types, "other types"),
        (c.rec_groups, "recursion groups with several types"),
        (c.imported_functions, "imported functions"),
        (c.functions, "functions"),
        (c.largest_function, "bytes in the largest function"),
        (c.globals, "globals"),
        (c.tables, "tables"),
        (c.memories, "memories"),
        (c.tags, "tags"),
        (c.elements, "element segments"),
        (c.data, "data segments"),
    ]
    .into_iter()
    .filter(|&(n, _)| n > 0)
    .map(|(n, what)| vec![n.to_string(), what.to_owned()])
    .collect()
}
