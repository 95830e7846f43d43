//! Files of modules.

use crate::failure::Failure;
use heapwright::{Engine, Module};
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const MAGIC: &[u8] = b"\0asm";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Loads a module in the binary or the text format, or one that `heapwright compile` has made.
pub(crate) fn program(engine: &Engine, path: &Path) -> Result<Module, Failure> {
    let failed = |e: heapwright::Error| Failure::unusable(format_args!("cannot load {}: {e:#}", path.display()));
    if is_compiled(path) {
        // SAFETY: whoever runs a compiled module runs a program, as `heapwright compile --help` says: the file is the user's choice,
        // and to leave it alone meanwhile is, too.
        #[allow(unsafe_code, reason = "the one place of this crate that trusts a file")]
        let module = unsafe { Module::deserialize_file(engine, path) };
        return module.map_err(|e| {
            let refused = format!("cannot load {}: {}", path.display(), e.root_cause());
            Failure::unusable(format_args!("{refused}; `heapwright compile` makes it anew"))
        });
    }
    Module::from_binary(engine, &module(path)?).map_err(failed)
}

/// Whether a file begins like a compiled module. What cannot be read does not, and will be reported by who reads it next.
fn is_compiled(path: &Path) -> bool {
    let mut start = [0; 8];
    File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && Engine::is_precompiled(&start)
}

/// Reads a file that holds a module in the binary or the text format, and gives the binary one. It is not validated.
pub(crate) fn module(path: &Path) -> Result<Vec<u8>, Failure> {
    let name = path.display();
    let contents = std::fs::read(path).map_err(|e| Failure::unusable(format_args!("cannot read {name}: {e}")))?;
    if contents.starts_with(COMPONENT) {
        return Err(Failure::unusable(format_args!(
            "cannot load {name}: it is a component, and only core modules are supported"
        )));
    }
    if contents.starts_with(MAGIC) {
        return Ok(contents);
    }
    let is_text = path.extension().is_some_and(|e| e == "wat") || looks_like_text(&contents);
    if !is_text {
        return Err(Failure::unusable(format_args!(
            "cannot load {name}: it is no WebAssembly module (neither binary, which begins with `\\0asm`, nor text)"
        )));
    }
    match wat::Parser::new().parse_bytes(Some(path), &contents) {
        Ok(Cow::Borrowed(_)) => Ok(contents),
        Ok(Cow::Owned(bytes)) => Ok(bytes),
        Err(e) => Err(Failure::unusable(format_args!("cannot load {name}: {e}"))),
    }
}

/// Whether the first thing after spaces is a parenthesis or a comment.
fn looks_like_text(contents: &[u8]) -> bool {
    let start = contents.trim_ascii_start();
    start.starts_with(b"(") || start.starts_with(b";;")
}
