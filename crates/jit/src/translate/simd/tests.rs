//! Every scalar and vector operator that wasmparser knows is named in a table of ours.

use std::collections::HashSet;

const SOURCES: &[&str] = &[
    include_str!("../numeric.rs"),
    include_str!("arithmetic.rs"),
    include_str!("bits.rs"),
    include_str!("compare.rs"),
    include_str!("convert.rs"),
    include_str!("lanes.rs"),
    include_str!("memory.rs"),
    include_str!("relaxed.rs"),
    include_str!("widen.rs"),
];

/// The operators of one proposal each, by name.
macro_rules! operators {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($arity:tt)*))*) => {
        &[$((stringify!($proposal), stringify!($op)),)*]
    };
}

const OPERATORS: &[(&str, &str)] = wasmparser::for_each_operator!(operators);

/// Numeric operators and memory accesses of the first version start with the type that they are about.
fn is_ours(proposal: &str, name: &str) -> bool {
    match proposal {
        "mvp" => ["I32", "I64", "F32", "F64"].iter().any(|ty| name.starts_with(ty)),
        "sign_extension" | "saturating_float_to_int" | "simd" | "relaxed_simd" | "wide_arithmetic" => true,
        _ => false,
    }
}

#[test]
fn every_operator_is_translated() {
    let words: HashSet<&str> =
        SOURCES.iter().flat_map(|source| source.split(|c: char| !c.is_ascii_alphanumeric())).collect();
    let ours = OPERATORS.iter().filter(|(proposal, name)| is_ours(proposal, name));
    let missing: Vec<&str> = ours.clone().map(|&(_, name)| name).filter(|name| !words.contains(name)).collect();
    assert!(ours.count() > 400);
    assert!(missing.is_empty(), "not translated: {missing:?}");
}
