//! The benchmark programs under every collector, against models of their own in `models`.
//!
//! Each program runs with a small and an odd argument; once as it is, and, where the collector frees memory, with
//! collections at moments that no collector would choose and the heap verified after each.

mod models;

use heapwright::{Collector, Config, Engine, Instance, Module, Store};
use models::MODELS;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn programs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("programs")
}

/// Calls `run` with each argument in turn, in one instance: what one call leaves behind must not change the next.
fn run(collector: Collector, zeal: u32, name: &str, arguments: &[i32]) -> Vec<i32> {
    let mut config = Config::new();
    config.collector(collector).zeal(zeal);
    let engine = Engine::new(&config).expect("a supported machine");
    let path = programs().join(name).with_extension("wat");
    let module = Module::from_file(&engine, &path).unwrap_or_else(|e| panic!("{e:#}"));
    let mut store = Store::new(&engine, ()).expect("address space");
    let instance = Instance::new(&mut store, &module, &[]).expect("no imports");
    let run = instance.typed_func::<i32, i32>(&mut store, "run").expect("an export `run`");
    let call = |&n: &i32| run.call(&mut store, n).unwrap_or_else(|e| panic!("{name} [{}]: {e:#}", collector.name()));
    arguments.iter().map(call).collect()
}

fn on_a_large_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(test).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Every program computes what its model does.
#[test]
fn results() {
    on_a_large_stack(|| {
        for collector in Collector::all() {
            for (name, model, arguments) in MODELS {
                let expected: Vec<i32> = arguments.iter().map(|&n| model(n)).collect();
                assert_eq!(run(collector, 0, name, arguments), expected, "{name} under {}", collector.name());
            }
        }
    });
}

/// The same with a collection at every 997th allocation.
#[test]
fn results_with_zeal() {
    on_a_large_stack(|| {
        for collector in Collector::all().filter(|c| c.spec().needs_roots) {
            for (name, model, arguments) in MODELS {
                let n = arguments[0];
                assert_eq!(run(collector, 997, name, &[n]), [model(n)], "{name} under {}", collector.name());
            }
        }
    });
}

/// Models of the number theory kind have known values.
#[test]
fn known_values() {
    let model = |name: &str| MODELS.iter().find(|m| m.0 == name).expect("a model").1;
    // The prime-counting function.
    assert_eq!([10, 1000, 10_000, 1_000_000].map(model("sieve")), [4, 168, 1229, 78_498]);
}

/// No program without a model, none without a header that the harness understands.
#[test]
fn every_program_has_a_model_and_a_header() {
    let files: BTreeSet<String> = programs()
        .read_dir()
        .expect("programs")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| path.file_stem().and_then(|s| s.to_str()).expect("a name").to_owned())
        .collect();
    let models: BTreeSet<String> = MODELS.iter().map(|m| m.0.to_owned()).collect();
    assert_eq!(files, models);
    for name in files {
        let text = std::fs::read_to_string(programs().join(&name).with_extension("wat")).expect("a program");
        for line in [";; n: ", ";; check: ", ";; bench: n="] {
            assert_eq!(text.matches(line).count(), 1, "{name} has one line {line:?}");
        }
    }
}
