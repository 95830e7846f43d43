//! Source positions, from the DWARF sections of a module.
//!
//! DWARF comes from whoever made the module and is not trusted. Its readers answer malformed input with errors;
//! nesting, over which they recurse, is bounded here before they see it.

use addr2line::Context;
use gimli::{Dwarf, EndianReader, LittleEndian, SectionId, constants as dw};
use heapwright_jit::module::DebugMap;
use std::sync::{Arc, Mutex, PoisonError};

type Reader = EndianReader<LittleEndian, Arc<[u8]>>;

/// How deep inlined functions may be nested: compilers stay far below, and the reader's recursion must not use the
/// stack up.
const MAX_INLINE_DEPTH: usize = 100;

/// A source position. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Symbol {
    /// The function's name as the compiler wrote it (mangled), if known.
    pub name: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The column.
    pub column: Option<u32>,
}

/// What a module's bytes tell debuggers: read when somebody asks first.
pub(crate) struct SourceMap {
    map: DebugMap,
    /// Lookups fill caches in it, which are for one thread.
    dwarf: Option<Mutex<Context<Reader>>>,
}

impl SourceMap {
    pub(crate) fn read(bytes: &Arc<[u8]>) -> SourceMap {
        let map = DebugMap::read(bytes);
        let dwarf = if map.section(".debug_info").is_some() {
            load(bytes, &map).inspect_err(|e| log::debug!("a module's DWARF is ignored: {e}")).ok()
        } else {
            None
        };
        SourceMap { map, dwarf: dwarf.map(Mutex::new) }
    }

    /// Where a defined function's body begins in the module.
    pub(crate) fn body_start(&self, defined: u32) -> Option<u32> {
        self.map.bodies.get(defined as usize).copied()
    }

    /// The source positions of the instruction at a module offset, innermost inlined function first.
    pub(crate) fn symbols(&self, offset: u32) -> Vec<Symbol> {
        let Some(dwarf) = &self.dwarf else { return Vec::new() };
        let Some(address) = offset.checked_sub(self.map.code_start) else { return Vec::new() };
        let dwarf = dwarf.lock().unwrap_or_else(PoisonError::into_inner);
        find(&dwarf, address.into()).unwrap_or_else(|e| {
            log::debug!("no source position for {offset:#x}: {e}");
            Vec::new()
        })
    }
}

fn load(bytes: &Arc<[u8]>, map: &DebugMap) -> Result<Context<Reader>, gimli::Error> {
    let whole = EndianReader::new(bytes.clone(), LittleEndian);
    let section = |id: SectionId| Ok::<_, gimli::Error>(whole.range(map.section(id.name()).unwrap_or(0..0)));
    let dwarf = Dwarf::load(section)?;
    bound_nesting(&dwarf)?;
    Context::from_dwarf(dwarf)
}

/// Refuses inlined functions that are nested too deep.
fn bound_nesting(dwarf: &Dwarf<Reader>) -> Result<(), gimli::Error> {
    let mut units = dwarf.units();
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let mut entries = unit.entries_raw(None)?;
        // Depths of the inlined functions that the current entry is in.
        let mut open: Vec<isize> = Vec::new();
        while !entries.is_empty() {
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            while open.last().is_some_and(|&outer| outer >= depth) {
                open.pop();
            }
            if abbreviation.tag() == dw::DW_TAG_inlined_subroutine {
                open.push(depth);
                if open.len() > MAX_INLINE_DEPTH {
                    return Err(gimli::Error::UnsupportedOffset);
                }
            }
            entries.skip_attributes(abbreviation.attributes())?;
        }
    }
    Ok(())
}

fn find(dwarf: &Context<Reader>, address: u64) -> Result<Vec<Symbol>, gimli::Error> {
    // Modules refer to no other files: there is nothing to load on the way.
    let mut frames = dwarf.find_frames(address).skip_all_loads()?;
    let mut symbols = Vec::new();
    while let Some(frame) = frames.next()? {
        let name = match &frame.function {
            Some(function) => Some(function.raw_name()?.into_owned()),
            None => None,
        };
        let (mut file, mut line, mut column) = (None, None, None);
        if let Some(location) = frame.location {
            (file, line, column) = (location.file.map(str::to_owned), location.line, location.column);
        }
        // Zero means that the compiler could not tell.
        let known = |n: Option<u32>| n.filter(|&n| n != 0);
        symbols.push(Symbol { name, file, line: known(line), column: known(column) });
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSITIONS: &[u8] = include_bytes!("../../../api/tests/fixtures/positions.wasm");

    fn section(name: &str, contents: &[u8]) -> Vec<u8> {
        let mut out = vec![0];
        let leb = |out: &mut Vec<u8>, mut n: usize| {
            while n >= 0x80 {
                out.push(n as u8 | 0x80);
                n >>= 7;
            }
            out.push(n as u8);
        };
        leb(&mut out, 1 + name.len() + contents.len());
        leb(&mut out, name.len());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(contents);
        out
    }

    /// A module whose DWARF is `depth` inlined functions, one in the other.
    fn nested(depth: usize) -> Arc<[u8]> {
        // Abbreviations: 1 is a unit with children, 2 an inlined function with children.
        let abbreviations = [1, 0x11, 1, 0, 0, 2, 0x1d, 1, 0, 0, 0];
        // Version 4, abbreviations at 0, addresses of 4 bytes.
        let mut unit = vec![4, 0, 0, 0, 0, 0, 4, 1];
        unit.extend(std::iter::repeat_n(2, depth));
        unit.extend(std::iter::repeat_n(0, depth + 1));
        let mut info = (unit.len() as u32).to_le_bytes().to_vec();
        info.extend(unit);
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend(section(".debug_abbrev", &abbreviations));
        module.extend(section(".debug_info", &info));
        module.into()
    }

    #[test]
    fn deep_nesting_is_refused_before_it_is_followed() {
        assert!(SourceMap::read(&nested(MAX_INLINE_DEPTH)).dwarf.is_some());
        assert!(SourceMap::read(&nested(MAX_INLINE_DEPTH + 1)).dwarf.is_none());
        assert!(SourceMap::read(&nested(1_000_000)).dwarf.is_none());
    }

    #[test]
    fn damaged_dwarf_never_panics() {
        let whole = SourceMap::read(&POSITIONS.into());
        let first = whole.map.sections.iter().map(|(_, range)| range.start).min().unwrap();
        let code = whole.map.code_start;
        assert!((code..code + 64).any(|offset| whole.symbols(offset).len() == 3));
        let mut different = 0;
        for at in first..POSITIONS.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = POSITIONS.to_vec();
                bytes[at] ^= flip;
                let map = SourceMap::read(&bytes.into());
                different += (code..code + 64).filter(|&o| map.symbols(o) != whole.symbols(o)).count();
            }
        }
        assert!(different > 0, "damage shows");
        for end in 0..POSITIONS.len() {
            let map = SourceMap::read(&POSITIONS[..end].into());
            (code..code + 64).for_each(|o| drop(map.symbols(o)));
        }
    }
}
