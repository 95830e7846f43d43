//! What is measured: built-in programs, modules with an export `run`, WASI commands.

use super::generate;
use super::protocol::Task;
use crate::failure::Failure;
use crate::load;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A program of `benches/programs`.
struct BuiltIn {
    name: &'static str,
    text: &'static str,
}

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(BuiltIn {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/programs/", $name, ".wat")),
        }),*]
    };
}

const BUILT_IN: &[BuiltIn] = built_in!(
    "binary_trees" "bulk_arrays" "casts" "closures" "cyclic_garbage" "deep_recursion" "exceptions_far" "exceptions_near"
    "hash_map" "i31" "linked_list" "live_heap" "lru_cache" "matrix" "nbody" "non_escaping" "short_lived" "shuffle" "sieve"
    "sort_boxed" "strings" "virtual_dispatch"
);

/// The name of the module that is made and not read.
const GENERATED: &str = "huge_function";

/// How a program says which argument a measurement uses.
const DIRECTIVE: &str = ";; bench: n=";

/// A program, ready to be measured.
#[derive(Debug)]
pub(super) struct Program {
    /// How it is called in tables: its name, with the argument if it has one.
    pub(super) name: String,
    /// The module in the binary format.
    pub(super) file: PathBuf,
    /// What is done with it.
    pub(super) task: Task,
    /// What it must print.
    pub(super) expected: Option<Vec<u8>>,
}

/// The built-in programs, with their arguments and the first lines of their texts.
pub(super) fn list() -> Vec<Vec<String>> {
    let row = |p: &BuiltIn| {
        let what = p.text.lines().next().unwrap_or_default().trim_start_matches([';', ' ']);
        let n = directive(p.text).map_or_else(String::new, |n| n.to_string());
        vec![p.name.to_owned(), n, what.to_owned()]
    };
    let generated = "One function with 60,000 operators and 5,600 allocations, made on demand, for --compile.";
    let made = vec![GENERATED.to_owned(), String::new(), generated.to_owned()];
    BUILT_IN.iter().map(row).chain([made]).collect()
}

/// Prepares what the command line names. Modules that are not files in the binary format are put into `scratch`.
pub(super) fn resolve(names: &[String], compile: bool, scratch: &TempDir) -> Result<Vec<Program>, Failure> {
    if names.is_empty() {
        return BUILT_IN.iter().map(|p| resolve_one(p.name, compile, scratch)).collect();
    }
    names.iter().map(|name| resolve_one(name, compile, scratch)).collect()
}

fn resolve_one(given: &str, compile: bool, scratch: &TempDir) -> Result<Program, Failure> {
    let (name, n) = split(given)?;
    let (file, text, title) = if let Some(built_in) = BUILT_IN.iter().find(|p| p.name == name) {
        let bytes = wat::parse_str(built_in.text).map_err(Failure::unusable)?;
        (store(scratch, name, &bytes)?, Some(built_in.text.to_owned()), name.to_owned())
    } else if name == GENERATED {
        (store(scratch, name, &generate::huge_function())?, None, name.to_owned())
    } else {
        let path = Path::new(name);
        let load::Source { binary, text } = load::module(path)?;
        let title = short(path);
        // Each process reads it again, which a pipe does not allow.
        let file = match text.is_none() && path.is_file() {
            true => path.to_owned(),
            false => store(scratch, &title.replace('/', "-"), &binary)?,
        };
        (file, text, title)
    };
    if compile {
        return Ok(Program { name: title, file, task: Task::Compile, expected: None });
    }
    if let Some(n) = n.or_else(|| text.as_deref().and_then(directive)) {
        return Ok(Program { name: format!("{title}={n}"), file, task: Task::Call(n), expected: None });
    }
    if !exports_start(&file) {
        return Err(Failure::usage(format_args!(
            "{given}: it exports no `_start`, so it is no WASI command; to call an export `run` of a module, give {given}=N"
        )));
    }
    Ok(Program { name: title, expected: expected(Path::new(name)), file, task: Task::Command })
}

/// A name and its argument. A file whose name ends like an argument is a file.
fn split(given: &str) -> Result<(&str, Option<i32>), Failure> {
    match given.rsplit_once('=') {
        Some((name, n)) if !Path::new(given).exists() => match n.parse() {
            Ok(n) => Ok((name, Some(n))),
            Err(_) => Err(Failure::usage(format_args!("{given}: `{n}` is no argument for `run`, which is an i32"))),
        },
        _ => Ok((given, None)),
    }
}

fn directive(text: &str) -> Option<i32> {
    text.lines().find_map(|line| line.strip_prefix(DIRECTIVE))?.trim().parse().ok()
}

/// Enough of a path to tell programs apart: the folder that it is in, and its name.
fn short(path: &Path) -> String {
    let name = path.with_extension("");
    let mut parts: Vec<_> = name.components().rev().take(2).map(|c| c.as_os_str().to_string_lossy()).collect();
    parts.reverse();
    parts.join("/")
}

fn store(scratch: &TempDir, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
    let path = scratch.path().join(name).with_extension("wasm");
    std::fs::write(&path, bytes)
        .map_err(|e| Failure::unusable(format_args!("cannot write {}: {e}", path.display())))?;
    Ok(path)
}

fn exports_start(file: &Path) -> bool {
    let Ok(bytes) = std::fs::read(file) else { return false };
    let payloads = wasmparser::Parser::new(0).parse_all(&bytes);
    let exports = payloads.map_while(Result::ok).find_map(|payload| match payload {
        wasmparser::Payload::ExportSection(exports) => Some(exports),
        _ => None,
    });
    exports.is_some_and(|exports| exports.into_iter().map_while(Result::ok).any(|export| export.name == "_start"))
}

/// What a program prints is in `NAME.expected`; what a variant `NAME_VARIANT` prints, too.
fn expected(module: &Path) -> Option<Vec<u8>> {
    if let Ok(own) = std::fs::read(module.with_extension("expected")) {
        return Some(own);
    }
    let (name, _variant) = module.file_stem()?.to_str()?.rsplit_once('_')?;
    std::fs::read(module.with_file_name(format!("{name}.expected"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_built_in_and_says_its_argument() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/programs");
        let mut files: Vec<String> = Path::new(folder)
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(BUILT_IN.iter().map(|p| p.name).collect::<Vec<_>>(), files);
        for program in BUILT_IN {
            assert!(directive(program.text).is_some_and(|n| n > 0), "{}", program.name);
        }
    }

    #[test]
    fn names_and_arguments() {
        assert_eq!(split("sieve").unwrap(), ("sieve", None));
        assert_eq!(split("a=b.wasm=-7").unwrap(), ("a=b.wasm", Some(-7)));
        assert!(split("sieve=many").is_err());
        assert!(split("sieve=").is_err());
        assert_eq!(short(Path::new("/x/kotlin/hello.wasm")), "kotlin/hello");
        assert_eq!(short(Path::new("hello.wasm")), "hello");
    }

    #[test]
    fn programs_resolve() {
        let scratch = TempDir::new().unwrap();
        let programs = resolve(&["sieve".into(), "sieve=9".into()], false, &scratch).unwrap();
        assert_eq!(programs[1].task, Task::Call(9));
        assert!(matches!(programs[0].task, Task::Call(n) if n > 1000));
        assert!(programs[0].file.is_file());
        assert_eq!(resolve(&[], false, &scratch).unwrap().len(), BUILT_IN.len());
        // It is there to be compiled, and has nothing to run.
        assert!(resolve(&[GENERATED.into()], false, &scratch).is_err());
        assert_eq!(resolve(&[GENERATED.into()], true, &scratch).unwrap()[0].task, Task::Compile);
    }
}
