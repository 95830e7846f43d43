//! Where a module's information for debuggers is. Nobody needs it before something goes wrong, so it is looked for in
//! the module's bytes when somebody asks, and not kept with the declarations.

use std::ops::Range;
use wasmparser::{Parser, Payload};

/// Places in a module's bytes that source positions are computed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugMap {
    /// Offset of the code section's contents: addresses in DWARF count from here (WebAssembly's tool conventions, "Code
    /// addresses").
    pub code_start: u32,
    /// Offset of the body of each defined function, where its declarations of locals begin.
    pub bodies: Vec<u32>,
    /// Custom sections whose names begin with `.debug_`, and where their contents are.
    pub sections: Vec<(String, Range<usize>)>,
}

impl DebugMap {
    /// Reads a module in the binary format. What does not parse ends the search: the rest counts as absent.
    pub fn read(bytes: &[u8]) -> DebugMap {
        let mut map = DebugMap::default();
        for payload in Parser::new(0).parse_all(bytes).map_while(Result::ok) {
            match payload {
                Payload::CodeSectionStart { unchecked_range, .. } => map.code_start = unchecked_range.start as u32,
                Payload::CodeSectionEntry(body) => map.bodies.push(body.range().start as u32),
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    let contents = section.data_offset() as usize..section.range().end as usize;
                    map.sections.push((section.name().to_owned(), contents));
                }
                _ => {}
            }
        }
        map
    }

    /// Where the section with this name is.
    pub fn section(&self, name: &str) -> Option<Range<usize>> {
        self.sections.iter().find(|(n, _)| n == name).map(|(_, range)| range.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_bodies_and_sections() {
        let wat =
            r#"(module (func) (func (local i32)) (@custom ".debug_line" (after last) "abc") (@custom "other" "d"))"#;
        let bytes = wat::parse_str(wat).unwrap();
        let map = DebugMap::read(&bytes);
        assert_eq!(map.sections.len(), 1);
        assert_eq!(&bytes[map.section(".debug_line").unwrap()], b"abc");
        // Two bodies: `[size 2] 0 locals, end` and `[size 4] 1 × 1 i32, end`, behind the count.
        assert_eq!(bytes[map.code_start as usize], 2);
        assert_eq!(map.bodies, [map.code_start + 2, map.code_start + 5]);
        assert_eq!(DebugMap::read(b"\0asm"), DebugMap::default());
        assert_eq!(DebugMap::read(&bytes[..bytes.len() - 1]).bodies, map.bodies);
    }
}
