//! The file of a compiled module.
//!
//! A header of fixed size, then four sections: the identity and the tables (postcard), the module's own bytes, and the
//! text. The text starts at a multiple of [`PAGE`], so that it can be mapped from the file as it is. Declarations are
//! not kept: they are read again from the module's bytes, which must be there for their data segments anyway.
//!
//! Reading checks in this order: first bytes, file format, length, checksum, identity, and then that the tables are
//! consistent. Bytes that no engine wrote give an error, never a panic, and no allocation beyond a multiple of their
//! length. The checksum is no signature: who can write a file can make its checksum fit, and has thereby chosen what
//! the processor executes.

use super::{ArtifactError, CodeRange, CompiledModule, Identity, Tables};
use crate::module::{ParsedModule, parse};
use crate::{Bodies, Compiler, JUMP_STUB};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;

/// Alignment of the text in the file, and what its length is filled up to: the page size of every supported system.
pub const PAGE: usize = 4096;

/// The first byte is no text, and the line ends show what a transfer as text does to the file.
const MAGIC: [u8; 8] = *b"\x89HWM\r\n\x1a\n";
/// To be raised with each change of this file's layout.
const FORMAT: u32 = 1;

/// `MAGIC`, `FORMAT`, four zero bytes, checksum, total length, offset and length of each section.
const HEADER: usize = 128;
const CHECKSUM: Range<usize> = 16..48;
const LENGTH: usize = 48;
const SECTIONS: usize = 56;

/// The sections, in the order of their places.
const IDENTITY: usize = 0;
const CONTENTS: usize = 1;
const WASM: usize = 2;
const TEXT: usize = 3;

/// An artifact that was read: where its large parts are in the bytes, and the module without its text.
pub struct ArtifactFile {
    /// The module; its text is empty.
    pub module: CompiledModule,
    /// The functions' bodies, for those that are still to be compiled.
    pub bodies: Bodies,
    /// Where the text is. It starts at a multiple of [`PAGE`], and zeros fill the last page.
    pub text: Range<usize>,
    /// The module in the binary format.
    pub wasm: Arc<[u8]>,
}

/// The section of tables, to be written.
#[derive(Serialize)]
struct Contents<'a> {
    jumps: bool,
    funcs: &'a [CodeRange],
    tables: &'a Tables,
}

/// The section of tables, as read.
#[derive(Deserialize)]
struct OwnedContents {
    jumps: bool,
    funcs: Vec<CodeRange>,
    tables: Tables,
}

impl ArtifactFile {
    /// Whether bytes begin like an artifact; the first eight suffice.
    pub fn detect(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }
}

impl Compiler {
    /// Writes a compiled module with its text (which has all code that was added until now, or more) and the bytes that
    /// it was compiled from.
    pub fn write_artifact(&self, module: &CompiledModule, text: &[u8], wasm: &[u8]) -> Vec<u8> {
        let (funcs, tables) = module.whole();
        let contents = Contents { jumps: module.jumps, funcs: &funcs, tables: &tables };
        let contents = postcard::to_allocvec(&contents).expect("tables are plain data, and memory grows");
        let identity = self.identity().canonical_bytes();
        let mut out = vec![0; HEADER];
        let mut places = [0..0, 0..0, 0..0, 0..0];
        for (i, (place, section)) in places.iter_mut().zip([&identity, &contents, wasm, text]).enumerate() {
            if i == TEXT {
                out.resize(out.len().next_multiple_of(PAGE), 0);
            }
            let start = out.len();
            out.extend_from_slice(section);
            *place = start..out.len();
        }
        out.resize(out.len().next_multiple_of(PAGE), 0);

        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let length = out.len() as u64;
        out[LENGTH..LENGTH + 8].copy_from_slice(&length.to_le_bytes());
        for (i, place) in places.iter().enumerate() {
            let at = SECTIONS + 16 * i;
            out[at..at + 8].copy_from_slice(&(place.start as u64).to_le_bytes());
            out[at + 8..at + 16].copy_from_slice(&(place.len() as u64).to_le_bytes());
        }
        let checksum = checksum(&out);
        out[CHECKSUM].copy_from_slice(checksum.as_bytes());
        out
    }

    /// Reads an artifact that this compiler could have written. See the module's description for what is checked.
    ///
    /// # Errors
    ///
    /// [`ArtifactError`].
    pub fn read_artifact(&self, bytes: &[u8]) -> Result<ArtifactFile, ArtifactError> {
        let malformed = |what: &str| ArtifactError::Malformed(what.to_owned());
        let places = places(bytes)?;
        let section = |i: usize| &bytes[places[i].clone()];
        let identity: Identity =
            postcard::from_bytes(section(IDENTITY)).map_err(|_| malformed("its identity cannot be read"))?;
        self.identity().admits(&identity)?;
        let OwnedContents { jumps, funcs, mut tables } =
            postcard::from_bytes(section(CONTENTS)).map_err(|_| malformed("its tables cannot be read"))?;

        let text = places[TEXT].clone();
        let length = u32::try_from(text.len()).map_err(|_| malformed("its text is too long"))?;
        if !text.start.is_multiple_of(PAGE) || bytes.len() - text.end != text.end.next_multiple_of(PAGE) - text.end {
            return Err(malformed("its text does not fill pages at the end"));
        }
        let first = if jumps { funcs.len() as u64 * u64::from(JUMP_STUB) } else { 0 };
        let inside = |f: &CodeRange| {
            let end = u64::from(f.start) + u64::from(f.length);
            let whole = f.length > 0 && first <= u64::from(f.start) && end <= u64::from(length);
            whole || (jumps && *f == CodeRange::NONE)
        };
        if first > u64::from(length) || !funcs.iter().all(inside) {
            return Err(malformed("functions lie outside its text"));
        }
        tables.check(length).map_err(malformed)?;
        tables.index();

        let wasm: Arc<[u8]> = section(WASM).into();
        let parsed = parse(&wasm, self.features(), self.spec().header_layout());
        let ParsedModule { info, bodies } =
            parsed.map_err(|e| ArtifactError::Malformed(format!("its module is invalid: {e}")))?;
        if bodies.len() != funcs.len() {
            return Err(malformed("its functions are not those of its module"));
        }
        let bodies = Bodies::new(wasm.clone(), &bodies);
        let module = CompiledModule::new(info, Vec::new(), funcs, tables, jumps);
        Ok(ArtifactFile { module, bodies, text, wasm })
    }
}

/// Checks the header and the checksum, and gives the places of the sections, which lie inside.
fn places(bytes: &[u8]) -> Result<[Range<usize>; 4], ArtifactError> {
    if !ArtifactFile::detect(bytes) {
        return Err(ArtifactError::NotAnArtifact);
    }
    let wrong_length = |expected| ArtifactError::WrongLength { found: bytes.len() as u64, expected };
    if bytes.len() < HEADER {
        return Err(wrong_length(HEADER as u64));
    }
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("the header is there"));
    let format = word(8) as u32;
    if format != FORMAT {
        return Err(ArtifactError::WrongFormat { found: format, expected: FORMAT });
    }
    if word(LENGTH) != bytes.len() as u64 {
        return Err(wrong_length(word(LENGTH)));
    }
    if checksum(bytes) != *bytes[CHECKSUM].first_chunk::<32>().expect("the header is there") {
        return Err(ArtifactError::Corrupted);
    }
    let mut places = [0..0, 0..0, 0..0, 0..0];
    for (i, place) in places.iter_mut().enumerate() {
        let (start, length) = (word(SECTIONS + 16 * i), word(SECTIONS + 16 * i + 8));
        let end = start.checked_add(length).filter(|&end| end <= bytes.len() as u64);
        let end = end.ok_or_else(|| ArtifactError::Malformed("a section lies outside the file".to_owned()))?;
        *place = start as usize..end as usize;
    }
    Ok(places)
}

/// blake3 of everything but the checksum's own place.
fn checksum(bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..CHECKSUM.start]);
    hasher.update(&bytes[CHECKSUM.end..]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn compiler() -> Compiler {
        let spec = heapwright_collectors::default().spec;
        Compiler::new(Settings { parallel: false, ..Settings::default() }, spec).expect("a compiler for this machine")
    }

    fn artifact(compiler: &Compiler) -> Vec<u8> {
        let wasm = wat::parse_str(
            r#"(module (tag $t) (func $f (param externref) (throw $t))
                 (func (param externref) (result externref)
                   (block $b (try_table (catch $t $b) (call $f (local.get 0)))) (local.get 0)))"#,
        );
        let wasm = wasm.expect("valid text");
        let module = compiler.compile_module(&wasm).expect("valid");
        compiler.write_artifact(&module, &module.text, &wasm)
    }

    /// Makes the checksum fit again, as somebody would who means it.
    fn seal(bytes: &mut [u8]) {
        let sum = checksum(bytes);
        bytes[CHECKSUM].copy_from_slice(sum.as_bytes());
    }

    /// Whoever means it can have code executed; but reading tables, asking them, and refusing them never panics.
    #[test]
    fn forged_contents_are_refused_or_consistent() {
        let compiler = compiler();
        let original = artifact(&compiler);
        let [_, contents, wasm, text] = places(&original).expect("it was just written");
        let mut refused = 0;
        let places = contents.chain(wasm).chain(SECTIONS..HEADER);
        for at in places {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = original.clone();
                bytes[at] ^= flip;
                seal(&mut bytes);
                match compiler.read_artifact(&bytes) {
                    Err(_) => refused += 1,
                    Ok(read) => {
                        for offset in 0..=text.len() as u32 + 1 {
                            let module = &read.module;
                            let _ = (module.func_at(offset), module.stack_map_at(offset), module.trap_at(offset));
                            let handlers = module.handlers_at(offset).map_or(&[][..], |h| h.handlers);
                            assert!(handlers.iter().all(|h| (h.code as usize) < text.len()));
                            let _ = module.wasm_offset_at(offset);
                        }
                    }
                }
            }
        }
        assert!(refused > 0);
    }

    #[test]
    fn lengths_out_of_all_proportion_are_no_reason_to_allocate() {
        let compiler = compiler();
        let mut bytes = artifact(&compiler);
        let [_, contents, ..] = places(&bytes).expect("it was just written");
        // The number of functions: the largest that the encoding can express.
        bytes[contents.start..contents.start + 9].fill(0xff);
        bytes[contents.start + 9] = 0x01;
        seal(&mut bytes);
        assert!(matches!(compiler.read_artifact(&bytes), Err(ArtifactError::Malformed(_))));
    }
}
