//! A program that dart2wasm has compiled runs under every collector, and prints what it prints in Node.

use heapwright::{Collector, Compilation, Config, Engine, Module, Result};
use heapwright_benches::dart::{Formatter, MODULE};

fn formatter(collector: Collector, zeal: u32) -> Result<Formatter> {
    let mut config = Config::new();
    config.collector(collector).compilation(Compilation::Lazy).zeal(zeal);
    let engine = Engine::new(&config)?;
    Formatter::new(&engine, &Module::from_file(&engine, MODULE)?)
}

/// A source text and what Node gave for it.
fn sample(name: &str) -> Result<(String, String)> {
    let read = |ending| std::fs::read_to_string(format!("{}/corpus/dart/{name}.{ending}", env!("CARGO_MANIFEST_DIR")));
    Ok((read("dart")?, read("expected")?))
}

fn text(result: core::result::Result<String, String>) -> String {
    result.unwrap_or_else(|error| format!("error: {error}"))
}

#[test]
fn the_formatter_prints_what_it_prints_in_node() -> Result<()> {
    for collector in Collector::all() {
        let mut formatter = formatter(collector, 0)?;
        for name in ["calculator", "jobs", "broken"] {
            let (source, expected) = sample(name)?;
            assert_eq!(text(formatter.format(&source)?), expected, "{name} under {}", collector.name());
        }
        // What is formatted stays as it is.
        let (_, formatted) = sample("calculator")?;
        assert_eq!(text(formatter.format(&formatted)?), formatted, "under {}", collector.name());
    }
    Ok(())
}

/// A collection at every 151st allocation, each followed by a verification of the heap.
#[test]
fn the_formatter_survives_frequent_collections() -> Result<()> {
    let (source, expected) = sample("broken")?;
    for collector in Collector::all() {
        let mut formatter = formatter(collector, 151)?;
        assert_eq!(text(formatter.format(&source)?), expected, "under {}", collector.name());
        let collections = formatter.gc_stats().collections;
        assert!(collections > 50 || collector.name() == "null", "{collections} under {}", collector.name());
    }
    Ok(())
}
