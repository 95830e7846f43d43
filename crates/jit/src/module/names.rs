//! The name section.

use rustc_hash::FxHashMap;
use wasmparser::{BinaryReader, Name, NameMap, NameSectionReader};

/// What the name section says.
#[derive(Default)]
pub(super) struct Names {
    /// The module's name.
    pub(super) module: Option<String>,
    /// Names of functions.
    pub(super) funcs: FxHashMap<u32, String>,
    /// Names of types.
    pub(super) types: FxHashMap<u32, String>,
}

/// Reads the name section. A malformed one counts as absent, as the specification wants.
pub(super) fn read(data: BinaryReader<'_>) -> Names {
    try_read(data).unwrap_or_else(|error| {
        log::debug!("the name section is ignored: {error}");
        Names::default()
    })
}

fn try_read(data: BinaryReader<'_>) -> wasmparser::Result<Names> {
    let mut names = Names::default();
    for subsection in NameSectionReader::new(data) {
        match subsection? {
            Name::Module { name, .. } => names.module = Some(name.to_string()),
            Name::Function(map) => names.funcs = read_map(map)?,
            Name::Type(map) => names.types = read_map(map)?,
            _ => {}
        }
    }
    Ok(names)
}

fn read_map(map: NameMap<'_>) -> wasmparser::Result<FxHashMap<u32, String>> {
    map.map(|naming| naming.map(|n| (n.index, n.name.to_string()))).collect()
}
