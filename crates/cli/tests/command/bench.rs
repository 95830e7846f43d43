//! `heapwright bench`.

use crate::support::Here;
use heapwright::Collector;
use serde_json::Value;
use std::time::Duration;

const ADD: &str = "(module (func (export \"run\") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3))))";

fn lines(here: &Here, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(here.path(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_module_under_every_collector() {
    let here = Here::with("x.wat", ADD);
    let ended =
        here.heapwright(["bench", "--peers", "none", "--runs", "2", "--calls", "4", "--json", "out", "x.wat=-5"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("x=-5  (result -15)"), "{}", ended.out);
    assert!(ended.out.contains("geometric means"), "{}", ended.out);
    let lines = lines(&here, "out");
    let collectors: Vec<_> = lines.iter().map(|line| line["collector"].as_str().unwrap()).collect();
    assert_eq!(collectors, Collector::all().map(|c| c.name()).collect::<Vec<_>>());
    for line in &lines {
        assert_eq!((line["program"].as_str(), line["engine"].as_str()), (Some("x=-5"), Some("heapwright")));
        assert_eq!(line["result"], "-15");
        // Two processes, each with the later half of five calls.
        assert_eq!(line["samples"], 6);
        let number = |key: &str| line[key].as_f64().unwrap_or_else(|| panic!("no {key} in {line}"));
        assert!(number("min_ms") <= number("median_ms") && number("median_ms") <= number("max_ms"));
        assert!(number("compile_ms") > 0.0 && number("first_ms") > 0.0 && number("peak_rss_kib") > 0.0);
        assert_eq!(number("gc_ms"), 0.0);
    }
}

/// A built-in program that collects, with an argument of its own; the value is that of its model.
#[test]
fn a_built_in_program() {
    let here = Here::new();
    let args =
        ["bench", "--peers", "none", "--collectors", "copying,null", "--runs", "1", "--calls", "1", "--json", "out"];
    let ended = here.heapwright(args.iter().chain(&["sieve=1000", "binary_trees=10"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = lines(&here, "out");
    let rows: Vec<_> =
        lines.iter().map(|l| (l["program"].as_str().unwrap(), l["collector"].as_str().unwrap())).collect();
    assert_eq!(
        rows,
        [
            ("sieve=1000", "null"),
            ("sieve=1000", "copying"),
            ("binary_trees=10", "null"),
            ("binary_trees=10", "copying")
        ]
    );
    assert_eq!(lines[0]["result"], "168");
    let collecting = lines.iter().find(|l| l["program"] == "binary_trees=10" && l["collector"] == "copying").unwrap();
    assert!(collecting["gc_ms"].as_f64().unwrap() > 0.0, "{collecting}");
}

/// A program's output is compared with the file beside it.
#[test]
fn a_command_and_its_output() {
    let hello = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/corpus/kotlin/hello.wasm");
    let here = Here::new();
    std::fs::copy(hello, here.path("hello.wasm")).unwrap();
    let args = ["bench", "--peers", "none", "--collectors", "copying", "--runs", "1", "--json", "out", "hello.wasm"];
    let ended = here.heapwright(args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(lines(&here, "out")[0]["output_ms"].as_f64().unwrap() > 0.0);
    here.file("hello.expected", "something else\n");
    let ended = here.heapwright(args);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("WRONG: the output is not the expected one"), "{}", ended.out);
}

/// A module whose result changes from call to call is not a benchmark.
#[test]
fn results_are_checked() {
    let text = "(module (global $g (mut i32) (i32.const 0))
        (func (export \"run\") (param i32) (result i32)
          (global.set $g (i32.add (global.get $g) (i32.const 1))) (global.get $g)))";
    let here = Here::with("x.wat", text);
    let args = ["bench", "--peers", "none", "--collectors", "copying", "--runs", "1", "--json", "out", "x.wat=1"];
    let ended = here.heapwright(args);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let line = &lines(&here, "out")[0];
    assert!(line["error"].as_str().unwrap().starts_with("WRONG"), "{line}");
    assert!(line["median_ms"].is_null());
}

/// A trap is a row with its reason; a program that never ends is given up.
#[test]
fn failures_have_reasons() {
    let here = Here::with("trap.wat", "(module (func (export \"run\") (param i32) (result i32) unreachable))");
    here.file("loop.wat", "(module (func (export \"run\") (param i32) (result i32) (loop (br 0)) unreachable))");
    let args = ["bench", "--peers", "none", "--collectors", "copying", "--runs", "1", "--timeout", "1"];
    let ended = here.heapwright(args.iter().chain(&["trap.wat=1", "loop.wat=1"]));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("unreachable"), "{}", ended.out);
    assert!(ended.out.contains("gave up after 1 s"), "{}", ended.out);
}

#[test]
fn compilation_alone() {
    let here = Here::with("x.wat", ADD);
    let args =
        ["bench", "--compile", "--peers", "none", "--runs", "2", "--with=--no-optimize", "--json", "out", "x.wat"];
    let ended = here.heapwright(args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = lines(&here, "out");
    let engines: Vec<_> = lines.iter().map(|line| line["engine"].as_str().unwrap()).collect();
    assert_eq!(engines, ["heapwright", "heapwright --no-optimize"]);
    assert!(lines.iter().all(|l| l["median_ms"].as_f64().unwrap() > 0.0 && l["code_bytes"].as_u64().unwrap() > 0));
}

#[test]
fn absent_peers_are_named() {
    let here = Here::with("x.wat", ADD);
    let run = |node: &str| {
        let mut command =
            here.command(["bench", "--peers", "wasmtime,node", "--collectors", "copying", "--runs", "1", "x.wat=1"]);
        command.env("HEAPWRIGHT_NODE", node).env("HEAPWRIGHT_WASMTIME_PEER", "nowhere/peer");
        command.output().unwrap()
    };
    here.file("old-node", "#!/bin/sh\necho v18.2.0\n");
    let old = here.path("old-node");
    std::process::Command::new("chmod").arg("+x").arg(&old).status().unwrap();
    for (node, reason) in [("nowhere/node", "cannot be run"), (old.to_str().unwrap(), "version 18, and at least 22")] {
        let output = run(node);
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{out}");
        assert!(out.contains("node is skipped: ") && out.contains(reason), "{out}");
        assert!(out.contains("wasmtime is skipped: HEAPWRIGHT_WASMTIME_PEER: no file nowhere/peer"), "{out}");
    }
}

/// An interrupt ends the measured process, too, and leaves no files.
#[test]
fn an_interrupt_ends_everything() {
    let here =
        Here::with("loop.wat", "(module (func (export \"run\") (param i32) (result i32) (loop (br 0)) unreachable))");
    std::fs::create_dir(here.path("tmp")).unwrap();
    let mut command = here.command(["bench", "--peers", "none", "--collectors", "copying", "loop.wat=1"]);
    let mut bench = command.env("TMPDIR", here.path("tmp")).stdout(std::process::Stdio::null()).spawn().unwrap();
    // The report is made before the call that does not end.
    let started = || {
        let folders = std::fs::read_dir(here.path("tmp")).unwrap();
        folders
            .map(|f| f.unwrap().path().join("report"))
            .any(|report| std::fs::metadata(report).is_ok_and(|m| m.len() > 0))
    };
    while !started() {
        assert!(bench.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    let kill = std::process::Command::new("kill").args(["-INT", &bench.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(bench.wait().unwrap().code(), Some(130));
    assert_eq!(std::fs::read_dir(here.path("tmp")).unwrap().count(), 0);
}

#[test]
fn wrong_usage() {
    let here = Here::with("x.wat", ADD);
    let fails = |args: &[&str], code, says: &[&str]| {
        here.heapwright([&["bench", "--peers", "none"], args].concat()).fails(code, says)
    };
    fails(&["x.wat"], 2, &["no `_start`", "x.wat=N"]);
    fails(&["x.wat=many"], 2, &["`many` is no argument"]);
    fails(&["nothing=1"], 1, &["cannot read nothing"]);
    fails(&["--collectors", "none", "x.wat=1"], 2, &["nothing to measure"]);
    fails(&["--with=--no-such-option", "x.wat=1"], 2, &["--no-such-option"]);
    let refused = here.heapwright(["bench", "--with=--no-such-option", "x.wat=1"]);
    assert!(!refused.err.contains("bench-child"), "{refused:?}");
    fails(&["--json", "no/such/folder/x", "x.wat=1"], 1, &["cannot write"]);
    let list = here.heapwright(["bench", "--list"]);
    assert!(
        list.code == Some(0) && list.out.contains("binary_trees") && list.out.contains("huge_function"),
        "{list:?}"
    );
}
