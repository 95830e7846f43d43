//! From bytes to declarations and unvalidated function bodies.

use super::sections::SectionReader;
use super::{ModuleInfo, layouts};
use crate::CompileError;
use heapwright_gc_heap::HeaderLayout;
use wasmparser::{FuncToValidate, Parser, ValidPayload, Validator, ValidatorResources, WasmFeatures};

/// A function body that is still to be validated and compiled.
pub struct FunctionBody<'a> {
    /// Function index (imports counted).
    pub index: u32,
    /// Its validator.
    pub validator: FuncToValidate<ValidatorResources>,
    /// Its bytes.
    pub body: wasmparser::FunctionBody<'a>,
}

/// A module whose declarations are validated and whose bodies are not yet.
pub struct ParsedModule<'a> {
    /// Declarations.
    pub info: ModuleInfo,
    /// Bodies of the defined functions, in order.
    pub bodies: Vec<FunctionBody<'a>>,
}

/// Parses and validates everything but function bodies.
///
/// # Errors
///
/// Malformed or invalid modules, with the byte offset; unsupported proposals by name.
pub fn parse<'a>(
    bytes: &'a [u8],
    features: WasmFeatures,
    header: HeaderLayout,
) -> Result<ParsedModule<'a>, CompileError> {
    check_preamble(bytes)?;
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut validator = Validator::new_with_features(features);
    let mut sections = SectionReader::default();
    let mut bodies = Vec::new();
    for payload in parser.parse_all(bytes) {
        let payload = payload?;
        // Validation goes first, so that reading a section afterwards meets nothing unexpected.
        match validator.payload(&payload)? {
            ValidPayload::Func(validator, body) => {
                bodies.push(FunctionBody { index: validator.index, validator, body });
            }
            ValidPayload::Ok | ValidPayload::End(_) => sections.read(payload)?,
            ValidPayload::Parser(_) => return Err(component()),
        }
    }
    let mut info = sections.finish();
    info.layouts = layouts::compute(&info, header);
    info.needs_heap = layouts::needs_heap(&info);
    Ok(ParsedModule { info, bodies })
}

const MAGIC: &[u8; 4] = b"\0asm";

/// Says what the bytes are when they are not a core module at all.
fn check_preamble(bytes: &[u8]) -> Result<(), CompileError> {
    let malformed = |offset, message| Err(CompileError::Invalid { message, offset });
    let Some(magic) = bytes.first_chunk::<4>() else {
        return malformed(bytes.len(), format!("not a WebAssembly module: unexpected end after {} bytes", bytes.len()));
    };
    if magic != MAGIC {
        let text = bytes.iter().find(|b| !b.is_ascii_whitespace()).is_some_and(|&b| b == b'(' || b == b';');
        let hint = if text { "; this looks like the text format, which has to be assembled first" } else { "" };
        return malformed(0, format!("not a WebAssembly module: bad magic number {magic:02x?}{hint}"));
    }
    // The version field's upper half is the layer: 0 for core modules, 1 for components.
    if bytes.len() >= 8 && bytes[6..8] == [1, 0] {
        return Err(component());
    }
    Ok(())
}

fn component() -> CompileError {
    CompileError::Invalid { message: "this is a component, not a core module".to_string(), offset: 4 }
}
