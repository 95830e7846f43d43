//! Files of modules.

use crate::failure::Failure;
use heapwright::{Engine, Module};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::string::FromUtf8Error;

const MAGIC: &[u8] = b"\0asm";
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// Largest file that is read, in bytes: the limit of modules in WebAssembly's JavaScript interface. A device may have
/// no end.
const MOST: u64 = 1 << 30;

/// The name that stands for standard input.
const STDIN: &str = "-";

/// A module in the binary format, and the text that it was made of if it was text. It is not validated.
pub(crate) struct Source {
    pub(crate) binary: Vec<u8>,
    pub(crate) text: Option<String>,
}

/// Loads a module in the binary or the text format, or one that `heapwright compile` has made.
pub(crate) fn program(engine: &Engine, path: &Path) -> Result<Module, Failure> {
    let name = path.display();
    let refused = |e: heapwright::Error| {
        let why = e.root_cause();
        Failure::unusable(format_args!("cannot load {name}: {why}; `heapwright compile` makes it anew"))
    };
    // What can be mapped is not read.
    let read = if is_compiled_file(path) { None } else { Some(contents(path).map_err(|why| unreadable(path, &why))?) };
    let read = match read {
        Some(contents) if !Engine::is_precompiled(&contents) => contents,
        compiled => {
            // SAFETY: whoever runs a compiled module runs a program, as `heapwright compile --help` says: the file is
            // the user's choice, and to leave it alone meanwhile is, too.
            #[allow(unsafe_code, reason = "the one place of this crate that trusts a file")]
            let module = unsafe {
                match compiled {
                    None => Module::deserialize_file(engine, path),
                    Some(contents) => Module::deserialize(engine, contents),
                }
            };
            return module.map_err(refused);
        }
    };
    let binary = binary(path, read)?.binary;
    Module::from_binary(engine, &binary).map_err(|e| Failure::unusable(format_args!("cannot load {name}: {e:#}")))
}

/// Whether a file that can be mapped begins like a compiled module. A pipe cannot, and what is read of it is gone. What
/// cannot be read does not, and will be reported by who reads it next.
fn is_compiled_file(path: &Path) -> bool {
    let mut start = [0; 8];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && Engine::is_precompiled(&start)
}

/// Reads a file that holds a module in the binary or the text format.
pub(crate) fn module(path: &Path) -> Result<Source, Failure> {
    binary(path, contents(path).map_err(|why| unreadable(path, &why))?)
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::unusable(format_args!("cannot read {}: {why}", path.display()))
}

/// Whether a name stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// Reads a file that must be text, or says why it cannot.
pub(crate) fn text(path: &Path) -> Result<String, String> {
    let refused = |e: FromUtf8Error| format!("it is not text in UTF-8 (at offset {:#x})", e.utf8_error().valid_up_to());
    String::from_utf8(contents(path)?).map_err(refused)
}

/// Reads a file, or says why it cannot.
fn contents(path: &Path) -> Result<Vec<u8>, String> {
    let read = match is_stdin(path) {
        true => bounded(io::stdin().lock(), 0),
        false => File::open(path).and_then(|file| {
            let known = file.metadata()?.len();
            bounded(file, known)
        }),
    };
    match read {
        Ok(Some(contents)) => Ok(contents),
        Ok(None) => Err(format!("it has more than {MOST} bytes")),
        Err(e) => Err(e.to_string()),
    }
}

/// Everything there is to read, unless it is too much. `known` is how much that is, as far as one can tell.
fn bounded(from: impl Read, known: u64) -> io::Result<Option<Vec<u8>>> {
    if known > MOST {
        return Ok(None);
    }
    let mut contents = Vec::new();
    contents.try_reserve_exact(known as usize + 1).map_err(|_| io::ErrorKind::OutOfMemory)?;
    from.take(MOST + 1).read_to_end(&mut contents)?;
    Ok((contents.len() as u64 <= MOST).then_some(contents))
}

fn binary(path: &Path, contents: Vec<u8>) -> Result<Source, Failure> {
    let failed = |why: &dyn Display| Failure::unusable(format_args!("cannot load {}: {why}", path.display()));
    if contents.starts_with(COMPONENT) {
        return Err(failed(&"it is a component, and only core modules are supported"));
    }
    if Engine::is_precompiled(&contents) {
        return Err(failed(&"it is a compiled module, which only `heapwright run` takes"));
    }
    if contents.starts_with(MAGIC) {
        return Ok(Source { binary: contents, text: None });
    }
    if path.extension().is_none_or(|e| e != "wat") && !looks_like_text(&contents) {
        return Err(failed(&"it is no WebAssembly module (neither binary, which begins with `\\0asm`, nor text)"));
    }
    let text = String::from_utf8(contents).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        failed(&format_args!("it is no WebAssembly module: neither binary nor text in UTF-8 (at offset {at:#x})"))
    })?;
    match wat::Parser::new().parse_str(Some(path), &text) {
        Ok(binary) => Ok(Source { binary, text: Some(text) }),
        Err(e) => Err(failed(&without_long_lines(&e.to_string()))),
    }
}

/// A message that quotes the text, without the quotation where the text has very long lines. What and where stand
/// before it.
fn without_long_lines(message: &str) -> String {
    const LONG: usize = 240;
    if message.lines().all(|line| line.len() <= LONG) {
        return message.to_owned();
    }
    let place: Vec<&str> = message.lines().take_while(|line| line.len() <= LONG && line.trim() != "|").collect();
    place.join("\n")
}

/// Whether the first thing after spaces is a parenthesis or a comment.
fn looks_like_text(contents: &[u8]) -> bool {
    let start = contents.trim_ascii_start();
    start.starts_with(b"(") || start.starts_with(b";;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_not_read_to_it() {
        assert_eq!(bounded(&b"abc"[..], 3).unwrap().unwrap(), b"abc");
        assert_eq!(bounded(&b"abc"[..], 0).unwrap().unwrap(), b"abc", "the length is a hint");
        assert!(bounded(io::empty(), MOST + 1).unwrap().is_none());
    }

    #[test]
    fn messages_quote_short_lines_only() {
        let message = |text: &str| {
            let source = binary(Path::new("x.wat"), text.into());
            format!("{:?}", source.err().unwrap())
        };
        assert!(message("(module (what))").contains("(module (what))"));
        let long = message(&format!("(module (what{}))", " ".repeat(1000)));
        assert!(long.contains("x.wat:1:") && long.len() < 200, "{long}");
    }
}
