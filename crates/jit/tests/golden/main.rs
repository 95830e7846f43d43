//! Golden code: for each GC operation and each collector, the source of a small function, its CLIF before Cranelift's
//! optimiser and its x64 code, so that a change in code quality is a visible difference.
//!
//! `tests/golden/source/<operation>.wat` holds one function each, over the declarations of `tests/golden/prelude.wat`;
//! a new file there is a new golden file of every collector.
//! `HEAPWRIGHT_BLESS=1 cargo test -p heapwright-jit --test golden` writes them anew. The code is for the oldest
//! processor that is supported, so it is the same on each machine.
//!
//! [`structure`] counts what matters in the same code: a golden file shows a change, a count says that it is bad.

#![cfg(target_arch = "x86_64")]

mod structure;

use heapwright_gc_heap::Spec;
use heapwright_jit::{Compiler, FunctionText, Settings};
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the golden files.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

/// The declarations that all functions share.
fn prelude() -> String {
    fs::read_to_string(folder().join("prelude.wat")).expect("the prelude is there")
}

/// Name and source of each operation, by name.
fn operations() -> Vec<(String, String)> {
    let read = fs::read_dir(folder().join("source")).expect("the sources are there");
    let mut found: Vec<_> = read
        .map(|file| {
            let path = file.expect("a readable folder").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a readable file"))
        })
        .collect();
    found.sort();
    found
}

/// The text of a function under a collector.
fn explain(spec: &'static Spec, prelude: &str, source: &str) -> FunctionText {
    let compiler = Compiler::baseline(Settings { verify: true, ..Settings::default() }, spec).unwrap();
    let module = wat::parse_str(format!("(module {prelude} {source})")).unwrap_or_else(|e| panic!("{source}: {e}"));
    let mut texts = compiler.explain(&module).unwrap_or_else(|e| panic!("{source}: {e}"));
    assert_eq!(texts.len(), 1);
    texts.remove(0)
}

/// What stands in a golden file.
fn golden(source: &str, text: &FunctionText) -> String {
    let trim = |text: &str| text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    format!(
        "=== source\n{}\n\n=== CLIF\n{}\n\n=== x64\n{}\n",
        trim(source),
        trim(&text.clif),
        text.asm.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    )
}

#[test]
fn code_is_as_recorded() {
    let bless = std::env::var_os("HEAPWRIGHT_BLESS").is_some_and(|value| value == "1");
    let (prelude, operations) = (prelude(), operations());
    let mut different = Vec::new();
    for collector in heapwright_collectors::all() {
        let spec = collector.spec;
        let folder = folder().join(spec.name);
        let mut stale: Vec<PathBuf> = fs::read_dir(&folder).into_iter().flatten().map(|f| f.unwrap().path()).collect();
        for (name, source) in &operations {
            let path = folder.join(format!("{name}.txt"));
            stale.retain(|other| *other != path);
            let now = golden(source, &explain(spec, &prelude, source));
            let recorded = fs::read_to_string(&path).unwrap_or_default();
            if now == recorded {
                continue;
            }
            if bless {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, now).unwrap();
            } else {
                different.push(format!("{}/{name}: {}", spec.name, first_difference(&recorded, &now)));
            }
        }
        for path in stale {
            if bless {
                fs::remove_file(&path).unwrap();
            } else {
                different.push(format!("{} has no source", path.display()));
            }
        }
    }
    assert!(
        different.is_empty(),
        "{} golden files differ; HEAPWRIGHT_BLESS=1 writes them anew, for `git diff` to show\n{}",
        different.len(),
        different.join("\n")
    );
}

/// What fuel and epochs add to code, whatever the collector: at the entry, at a loop, around a call, before an
/// operation on a range.
#[test]
fn interruption_is_as_recorded() {
    const SOURCE: &str = r#"(module
  (import "" "f" (func $f))
  (memory 1)
  (func (param i32)
    (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (call $f)
    (memory.fill (i32.const 0) (i32.const 0) (local.get 0))))"#;
    let bless = std::env::var_os("HEAPWRIGHT_BLESS").is_some_and(|value| value == "1");
    let spec = heapwright_collectors::by_name("null").expect("the reference").spec;
    for (name, fuel, epochs) in [("fuel", true, false), ("epoch", false, true)] {
        let settings = Settings { verify: true, fuel, epochs, ..Settings::default() };
        let texts = Compiler::baseline(settings, spec).unwrap().explain(&wat::parse_str(SOURCE).unwrap()).unwrap();
        let now = golden(SOURCE, &texts[0]);
        let path = folder().join("interruption").join(format!("{name}.txt"));
        if bless {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, now).unwrap();
        } else {
            let recorded = fs::read_to_string(&path).unwrap_or_default();
            assert!(now == recorded, "{}: {}", path.display(), first_difference(&recorded, &now));
        }
    }
}

/// The first line that is not as recorded.
fn first_difference(recorded: &str, now: &str) -> String {
    if recorded.is_empty() {
        return "not recorded".into();
    }
    let (mut old, mut new) = (recorded.lines(), now.lines());
    let mut line = 0;
    loop {
        line += 1;
        match (old.next(), new.next()) {
            (a, b) if a != b => {
                return format!("line {line} was {:?}, is {:?}", a.unwrap_or_default(), b.unwrap_or_default());
            }
            (None, None) => return "white space".into(),
            _ => {}
        }
    }
}
