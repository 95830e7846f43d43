//! The book's chapter on adding a collector: its collector passes the kit, and what the chapter shows is the code that
//! does.
//!
//! `heapwright_fuzzing::samples::mark_sweep` is the collector's folder as it would stand in `src/`. In
//! `docs/add-a-collector.md` a comment `<!-- mark_sweep/mark.rs:sweep -->` stands before each block of code: the part of the file between `// ANCHOR: sweep` and
//! `// ANCHOR_END: sweep`. `HEAPWRIGHT_BLESS=1 cargo test -p heapwright-collectors --test chapter` writes the blocks anew.

use heapwright_collectors::Registration;
use heapwright_fuzzing::conformance;
use heapwright_fuzzing::samples::mark_sweep;
use std::fs;
use std::path::{Path, PathBuf};

// ANCHOR: registration
static REGISTRATION: Registration =
    Registration { spec: &mark_sweep::SPEC, create: || Box::<mark_sweep::MarkSweep>::default() };
// ANCHOR_END: registration

// ANCHOR: kit
#[test]
fn it_passes_the_kit() {
    conformance::check(&REGISTRATION);
}
// ANCHOR_END: kit

/// The folder that holds a file of the chapter: the collector's, or that of this test.
fn folder(file: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join(if file.starts_with("mark_sweep") { "../fuzzing/src/samples" } else { "tests/chapter" })
}

/// The lines of a file between two anchors, moved to the left margin.
fn anchored(file: &str, anchor: &str) -> String {
    let text = fs::read_to_string(folder(file).join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let (begin, end) = (format!("// ANCHOR: {anchor}"), format!("// ANCHOR_END: {anchor}"));
    let mut lines = text.lines().map(str::trim_end).skip_while(|line| line.trim_start() != begin);
    assert!(lines.next().is_some(), "{file} has no anchor {anchor}");
    let rest: Vec<&str> = lines.collect();
    let length = rest.iter().position(|line| line.trim_start() == end);
    let length = length.unwrap_or_else(|| panic!("the anchor {anchor} of {file} has no end"));
    let indents =
        rest[..length].iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start().len());
    let margin = indents.min().unwrap_or(0);
    let mut shown = String::new();
    for line in rest[..length].iter().filter(|line| !line.trim_start().starts_with("// ANCHOR")) {
        shown.push_str(line.get(margin..).unwrap_or_default());
        shown.push('\n');
    }
    shown
}

/// The chapter with its blocks as they should be, and the number of blocks.
fn rendered(chapter: &str) -> (String, usize) {
    let mut out = String::new();
    let (mut lines, mut count) = (chapter.lines(), 0);
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let reference = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        let Some((file, anchor)) = reference.and_then(|reference| reference.split_once(".rs:")) else { continue };
        assert_eq!(lines.next(), Some("```rust"), "after {line}");
        lines.by_ref().find(|line| *line == "```").expect("an end of the block");
        out.push_str(&format!("```rust\n{}```\n", anchored(&format!("{file}.rs"), anchor)));
        count += 1;
    }
    (out, count)
}

#[test]
fn the_chapter_shows_the_code_that_is_tested() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/add-a-collector.md");
    let chapter = fs::read_to_string(&path).expect("the chapter is there");
    let (rendered, count) = rendered(&chapter);
    assert!(count >= 10, "only {count} blocks were found");
    if std::env::var_os("HEAPWRIGHT_BLESS").is_some_and(|value| value == "1") {
        fs::write(&path, rendered).expect("the chapter can be written");
        return;
    }
    for (i, (now, then)) in rendered.lines().zip(chapter.lines()).enumerate() {
        assert_eq!(then, now, "line {} of the chapter; HEAPWRIGHT_BLESS=1 writes it anew", i + 1);
    }
    assert_eq!(rendered.lines().count(), chapter.lines().count());
}

/// Every line of the collector is shown or said in its modules, and it is small.
#[test]
fn the_collector_is_small() {
    let folder = fs::read_dir(folder("mark_sweep").join("mark_sweep")).expect("the folder is there");
    let lines = |path: PathBuf| fs::read_to_string(path).expect("a readable file").lines().count();
    let total: usize = folder.map(|file| lines(file.expect("a readable folder").path())).sum();
    assert!(total < 400, "{total} lines");
}
