//! Which seeds a test runs.

use std::ops::Range;

/// Those that `HEAPWRIGHT_SEEDS=FROM..TO` says, or the default.
pub fn range(default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var("HEAPWRIGHT_SEEDS") else { return default };
    let parse = |part: &str| part.parse().unwrap_or_else(|_| panic!("HEAPWRIGHT_SEEDS={text} is not FROM..TO"));
    let (from, to) = text.split_once("..").unwrap_or_else(|| panic!("HEAPWRIGHT_SEEDS={text} is not FROM..TO"));
    parse(from)..parse(to)
}
