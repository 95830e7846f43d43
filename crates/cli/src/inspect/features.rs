//! What a module needs beyond the first version of the language.

use wasmparser::{Error, Validator, WasmFeatures};

const WASM_2: &str = "WebAssembly 2.0";
const WASM_3: &str = "WebAssembly 3.0";
const LEGACY: &str = "legacy";
const PROPOSAL: &str = "proposal";

/// What can be needed, and where it belongs.
const FEATURES: &[(WasmFeatures, &str, &str)] = &[
    (WasmFeatures::MUTABLE_GLOBAL, "import and export of mutable globals", "WebAssembly 1.0"),
    (WasmFeatures::SIGN_EXTENSION, "sign extension", WASM_2),
    (WasmFeatures::SATURATING_FLOAT_TO_INT, "saturating float conversions", WASM_2),
    (WasmFeatures::MULTI_VALUE, "multiple values", WASM_2),
    (WasmFeatures::BULK_MEMORY, "bulk memory", WASM_2),
    (WasmFeatures::REFERENCE_TYPES, "reference types", WASM_2),
    (WasmFeatures::SIMD, "SIMD", WASM_2),
    (WasmFeatures::RELAXED_SIMD, "relaxed SIMD", WASM_3),
    (WasmFeatures::TAIL_CALL, "tail calls", WASM_3),
    (WasmFeatures::EXTENDED_CONST, "extended constant expressions", WASM_3),
    (WasmFeatures::FUNCTION_REFERENCES, "typed function references", WASM_3),
    (WasmFeatures::GC, "garbage collection", WASM_3),
    (WasmFeatures::EXCEPTIONS, "exceptions", WASM_3),
    (WasmFeatures::MULTI_MEMORY, "several memories", WASM_3),
    (WasmFeatures::MEMORY64, "64-bit memories and tables", WASM_3),
    (WasmFeatures::LEGACY_EXCEPTIONS, "exceptions in the encoding before 3.0", LEGACY),
    (WasmFeatures::CUSTOM_PAGE_SIZES, "custom page sizes", PROPOSAL),
    (WasmFeatures::WIDE_ARITHMETIC, "wide arithmetic", PROPOSAL),
    (WasmFeatures::THREADS, "threads", PROPOSAL),
    (WasmFeatures::SHARED_EVERYTHING_THREADS, "shared-everything threads", PROPOSAL),
    (WasmFeatures::STACK_SWITCHING, "stack switching", PROPOSAL),
    (WasmFeatures::MEMORY_CONTROL, "memory control", PROPOSAL),
    (WasmFeatures::CUSTOM_DESCRIPTORS, "custom descriptors", PROPOSAL),
    (WasmFeatures::COMPACT_IMPORTS, "compact import section", PROPOSAL),
    (WasmFeatures::ACQUIRE_RELEASE_ATOMICS, "acquire and release atomics", PROPOSAL),
    (WasmFeatures::MULTIBYTE_ARRAY_ACCESS, "multibyte array access", PROPOSAL),
];

/// The features without which the module is not valid, with where each belongs.
///
/// # Errors
///
/// When the module is not even valid with all of them.
pub(super) fn needed(bytes: &[u8]) -> Result<Vec<(&'static str, &'static str)>, Error> {
    validate(bytes, WasmFeatures::all())?;
    let mut needed = Vec::new();
    if validate(bytes, WasmFeatures::MVP).is_err() {
        for &(feature, name, level) in FEATURES {
            if validate(bytes, WasmFeatures::all() - feature).is_err() {
                needed.push((name, level));
            }
        }
    }
    Ok(needed)
}

fn validate(bytes: &[u8], features: WasmFeatures) -> Result<(), Error> {
    Validator::new_with_features(features).validate_all(bytes).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&'static str> {
        needed(&wat::parse_str(text).unwrap()).unwrap().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn each_is_found_by_leaving_it_out() {
        assert!(of("(module (func (result i32) i32.const 1))").is_empty());
        assert_eq!(of("(module (memory 1 1 shared))"), ["threads"]);
        assert_eq!(of("(module (func $f return_call $f))"), ["tail calls"]);
        assert_eq!(of("(module (memory i64 1))"), ["64-bit memories and tables"]);
        assert_eq!(of("(module (func (param i32) (result i32) (i32.extend8_s (local.get 0))))"), ["sign extension"]);
        assert!(of("(module (type (struct)))").contains(&"garbage collection"));
        assert!(needed(b"\0asm\x01\0\0\0\x01").is_err());
    }
}
