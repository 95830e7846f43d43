//! The Wasm column: the module's text, function by function.

use heapwright::FunctionListing;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Lines of Wasm by function index.
pub(super) struct Text(HashMap<u32, Vec<Value>>);

impl Text {
    /// Prints a module and keeps the lines of the functions listed.
    pub(super) fn of(bytes: &[u8], listed: &[FunctionListing]) -> anyhow::Result<Text> {
        if listed.is_empty() {
            return Ok(Text(HashMap::new()));
        }
        // Bodies do not overlap: a line belongs to the last one that begins before it, if it ends behind it.
        let mut bodies: Vec<_> = listed.iter().map(|f| (f.body.clone(), f.index)).collect();
        bodies.sort_by_key(|(body, _)| body.start);
        let mut storage = String::new();
        let config = wasmprinter::Config::new();
        let mut lines: HashMap<u32, Vec<Value>> = HashMap::new();
        for (offset, line) in config.offsets_and_lines(bytes, &mut storage)? {
            let Some(offset) = offset.and_then(|offset| usize::try_from(offset).ok()) else { continue };
            let at = bodies.partition_point(|(body, _)| body.start <= offset);
            let Some((body, index)) = at.checked_sub(1).map(|at| &bodies[at]) else { continue };
            if body.contains(&offset) {
                let line = line.trim_end();
                // The module's own indentation.
                let line = line.strip_prefix("  ").unwrap_or(line);
                lines.entry(*index).or_default().push(json!([offset, line]));
            }
        }
        Ok(Text(lines))
    }

    /// The lines of a function.
    pub(super) fn function(&self, index: u32) -> &[Value] {
        self.0.get(&index).map_or(&[], Vec::as_slice)
    }
}
