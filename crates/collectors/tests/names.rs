//! No collector is known by name to the compiler, the machine or the API: what is special about one is in its
//! declaration.
//!
//! The sources are searched, comments and tests left out. A collector's name counts in any spelling (`mark-region`,
//! `MarkRegion`, `mark_region`, `MARK_REGION`) and inside longer identifiers. Some names are ordinary words: of those,
//! what counts is to ask for the collector, or to compare with its name.

use std::fs;
use std::path::{Path, PathBuf};

/// Names that are ordinary words elsewhere.
const WORDS: [&str; 2] = ["null", "copying"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if stem == "tests" {
            continue;
        }
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Letters and digits, in lower case.
fn normal(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A source without the tests at its end.
fn code(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// The lines of a source that name a collector, with their numbers.
fn naming(source: &str, names: &[&str]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (i, line) in code(source).lines().enumerate() {
        let line = line.split("//").next().unwrap_or_default();
        let words: Vec<String> = line
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .filter(|word| !word.is_empty())
            .map(normal)
            .collect();
        let named = names.iter().any(|name| {
            if WORDS.contains(name) {
                let uses = [format!("== \"{name}\""), format!("(\"{name}\")"), format!("collectors::{name}")];
                return uses.iter().any(|text| line.contains(text));
            }
            let name = normal(name);
            words.iter().any(|word| word.contains(&name))
        });
        if named {
            found.push((i + 1, line.trim().to_owned()));
        }
    }
    found
}

fn names() -> Vec<&'static str> {
    heapwright_collectors::all().iter().map(|registration| registration.spec.name).collect()
}

#[test]
fn no_collector_is_known_by_name() {
    if cfg!(miri) {
        return;
    }
    let names = names();
    for crate_folder in ["jit", "vm", "api"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(crate_folder).join("src");
        let mut files = Vec::new();
        sources(&folder, &mut files);
        assert!(files.len() > 5, "{crate_folder} has {} sources", files.len());
        for file in files {
            let source = fs::read_to_string(&file).unwrap();
            let found = naming(&source, &names);
            assert!(found.is_empty(), "{}: {found:?}", file.display());
            // The crates below the API do not even see the registry.
            assert!(crate_folder == "api" || !code(&source).contains("heapwright_collectors"), "{}", file.display());
        }
    }
}

#[test]
fn a_name_is_found_in_any_spelling() {
    let names = names();
    for line in [
        "if spec.name == \"drc\" {",
        "fn emit_mark_region_barrier() {}",
        "use heapwright_collectors::null;",
        "let is_null = name == \"null\";",
        "let chosen = by_name(\"copying\");",
        "struct GenerationalStore;",
        "const MARK_REGION: u8 = 1;",
        "match name { \"mark-region\" => 1, _ => 2 }",
    ] {
        assert_eq!(naming(line, &names).len(), 1, "{line}");
    }
    for line in ["let null = value.is_null(); // copying", "/// As the copying collector does.", "Trap::NullReference"]
    {
        assert!(naming(line, &names).is_empty(), "{line}");
    }
    let tested = "fn f() {}\n#[cfg(test)]\nmod tests {\n    const NAME: &str = \"drc\";\n}\n";
    assert!(naming(tested, &names).is_empty());
}
