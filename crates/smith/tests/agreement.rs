//! Generated modules do the same under every setting.
//!
//! `HEAPWRIGHT_SEEDS=FROM..TO` runs other seeds than the few of an ordinary run.

use arbitrary::Unstructured;
use heapwright::Collector;
use heapwright_smith::oracle::{Limit, Outcome, Setting, compare, run};
use heapwright_smith::{Generated, Options, bytes_of, generate};
use std::collections::HashMap;

mod seeds;

fn module(seed: u64, options: Options) -> Generated {
    let bytes = bytes_of(seed, 12_000 + (seed as usize % 7) * 2000);
    generate(&mut Unstructured::new(&bytes), options).expect("the reader makes up for missing bytes")
}

fn validate(generated: &Generated) {
    let features = wasmparser::WasmFeatures::WASM3 | wasmparser::WasmFeatures::LEGACY_EXCEPTIONS;
    let mut validator = wasmparser::Validator::new_with_features(features);
    if let Err(error) = validator.validate_all(&generated.bytes) {
        panic!("{error}\n{}", before(&generated.bytes, error.offset()));
    }
}

/// The operators before an offset.
fn before(bytes: &[u8], offset: u64) -> String {
    let mut text = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        if let Ok(wasmparser::Payload::CodeSectionEntry(body)) = payload
            && body.range().contains(&offset)
            && let Ok(operators) = body.get_operators_reader()
        {
            let until = operators.into_iter_with_offsets().map_while(Result::ok).take_while(|(_, at)| *at <= offset);
            text.extend(until.map(|(op, at)| format!("{at:#x} {op:?}")));
        }
    }
    text[text.len().saturating_sub(24)..].join("\n")
}

#[test]
fn modules_are_valid() {
    for seed in seeds::range(0..400) {
        for count in [false, true] {
            for portable in [false, true] {
                validate(&module(seed, Options { count, portable }));
            }
        }
    }
    // Any number of bytes will do.
    for length in 0..200 {
        let bytes = bytes_of(7, length);
        validate(&generate(&mut Unstructured::new(&bytes), Options::default()).expect("few bytes make a small module"));
    }
}

#[test]
fn settings_agree() {
    let all = Setting::all();
    let mut limited: HashMap<Limit, u32> = HashMap::new();
    let (mut compared, mut objects) = (0u32, 0);
    let range = seeds::range(0..5);
    for seed in range.clone() {
        let generated = module(seed, Options::default());
        let reference = match run(&generated, &Setting::reference()).unwrap_or_else(|e| panic!("seed {seed}: {e:?}")) {
            Outcome::Seen(seen) => seen,
            Outcome::Limited(limit) => {
                *limited.entry(limit).or_default() += 1;
                continue;
            }
        };
        objects += reference.objects;
        // Every setting has its turn; each seed takes some.
        let picked = (0..all.len()).filter(|i| (i + seed as usize).is_multiple_of(11));
        for setting in picked.map(|i| &all[i]) {
            match run(&generated, setting).unwrap_or_else(|e| panic!("seed {seed}, {setting}: {e:?}")) {
                Outcome::Seen(seen) => {
                    compare(&reference, &seen).unwrap_or_else(|e| panic!("seed {seed}, {setting}: {e}"));
                    compared += 1;
                }
                Outcome::Limited(limit) => *limited.entry(limit).or_default() += 1,
            }
        }
    }
    println!("{compared} runs compared, {objects} objects reached, discarded: {limited:?}");
    assert!(compared > 5 * (range.end - range.start) as u32, "too many runs were discarded: {limited:?}");
    assert!(objects > 0);
}

/// Modules count what they execute: the share of every operation, so that none is only said to be tested.
#[test]
fn every_operation_is_executed() {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let collector = Collector::by_name("copying").expect("it is registered");
    let setting = Setting { collector, growing: true, optimize: true, ..Setting::reference() };
    for seed in seeds::range(1000..1400) {
        let generated = module(seed, Options { count: true, portable: false });
        if let Outcome::Seen(seen) = run(&generated, &setting).unwrap_or_else(|e| panic!("seed {seed}: {e:?}")) {
            for (name, count) in generated.operations.iter().zip(seen.counts) {
                *counts.entry(name.clone()).or_default() += count;
            }
        }
    }
    let total: u64 = counts.values().sum();
    let mut lines: Vec<_> = counts.iter().collect();
    lines.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (name, count) in lines {
        println!("{name:>18} {count:>9} {:6.2} %", 100.0 * *count as f64 / total as f64);
    }
    for name in [
        "StructNew",
        "StructNewDefault",
        "StructGet",
        "StructGetS",
        "StructGetU",
        "StructSet",
        "ArrayNew",
        "ArrayNewDefault",
        "ArrayNewFixed",
        "ArrayNewData",
        "ArrayNewElem",
        "ArrayGet",
        "ArrayGetS",
        "ArrayGetU",
        "ArraySet",
        "ArrayLen",
        "ArrayFill",
        "ArrayCopy",
        "ArrayInitData",
        "ArrayInitElem",
        "RefTestNonNull",
        "RefTestNullable",
        "RefCastNonNull",
        "RefCastNullable",
        "BrOnCast",
        "BrOnCastFail",
        "BrOnNonNull",
        "RefIsNull",
        "RefEq",
        "RefAsNonNull",
        "RefI31",
        "I31GetS",
        "I31GetU",
        "ExternConvertAny",
        "AnyConvertExtern",
        "Call",
        "CallRef",
        "CallIndirect",
        "ReturnCall",
        "ReturnCallRef",
        "GlobalGet",
        "GlobalSet",
        "TableGet",
        "TableSet",
        "TableGrow",
        "TableFill",
        "TableCopy",
        "Throw",
        "ThrowRef",
        "TryTable",
        "Try",
        "Rethrow",
        "TypedSelect",
        "BrTable",
        "BrIf",
        "I32Load",
        "I32Store",
    ] {
        assert!(counts.get(name).is_some_and(|&n| n > 0), "{name} was never executed");
    }
    let share = |names: &[&str]| names.iter().filter_map(|n| counts.get(*n)).sum::<u64>() as f64 / total as f64;
    let mutation =
        ["StructSet", "ArraySet", "ArrayFill", "ArrayCopy", "ArrayInitData", "ArrayInitElem", "GlobalSet", "TableSet"];
    assert!(share(&mutation) > 0.08, "only {:.3} of the operations write", share(&mutation));
}
