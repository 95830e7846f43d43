//! `heapwright inspect`, `heapwright collectors` and the help.

use crate::support::{Ended, Here};
use std::io::{Read, Write};
use std::process::Stdio;

#[test]
fn a_module_is_described() {
    let here = Here::with(
        "m.wat",
        r#"(module $mine
          (type $point (struct (field f64) (field f64)))
          (import "host" "log" (func (param i32)))
          (memory (export "memory") 1)
          (global $g (ref null $point) (ref.null $point))
          (func (export "f") (drop (struct.new_default $point)))
          (data "abc"))"#,
    );
    let ended = here.heapwright(["inspect", "m.wat"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    for line in [
        "module name: mine",
        "  1  imported functions",
        "  1  struct types",
        "  1  data segments",
        "  garbage collection  WebAssembly 3.0",
        "  function of type 1  `host`  `log`",
        "  memory    `memory`",
        "  function  `f`",
        "Heapwright supports this module.",
    ] {
        assert!(ended.out.lines().any(|l| l == line), "no line {line:?} in:\n{}", ended.out);
    }
    let section = |name: &str| ended.out.lines().any(|l| l.split_whitespace().next() == Some(name));
    for name in ["type", "import", "function", "memory", "global", "export", "code", "data", "custom"] {
        assert!(section(name), "no section {name} in:\n{}", ended.out);
    }
    assert!(!section("table"));
}

#[test]
fn what_is_not_supported_is_said() {
    let here = Here::with("threads.wat", "(module (memory 1 1 shared))");
    let ended = here.heapwright(["inspect", "threads.wat"]);
    assert_eq!(ended.code, Some(0));
    assert!(ended.out.contains("Heapwright does not support this module"), "{ended:?}");
    assert!(ended.out.contains("threads  proposal"), "{ended:?}");
}

#[test]
fn names_cannot_command_the_terminal() {
    let here = Here::with("m.wat", r#"(module (func (export "\1b[31mred\0anext")))"#);
    let ended = here.heapwright(["inspect", "m.wat"]);
    assert!(ended.out.contains(r"`\u{1b}[31mred\nnext`"), "{ended:?}");
}

#[test]
fn long_names_are_cut() {
    let here = Here::with("m.wat", format!(r#"(module (func (export "{}")))"#, "ü".repeat(101)));
    let ended = here.heapwright(["inspect", "m.wat"]);
    assert!(ended.out.contains(&format!("`{}…`\n", "ü".repeat(100))), "{ended:?}");
}

#[test]
fn what_is_no_module_is_refused() {
    let here = Here::with("bad.wasm", b"\0asm\x01\0\0\0\x01\x7f");
    here.heapwright(["inspect", "bad.wasm"]).fails(1, &["bad.wasm is not valid", "at offset 0x"]);
    here.heapwright(["inspect", "absent.wasm"]).fails(1, &["cannot read absent.wasm"]);
    here.heapwright(["inspect"]).fails(2, &["FILE"]);
}

#[test]
fn collectors_are_listed_with_one_default() {
    let ended = Here::new().heapwright(["collectors"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let summaries = ended.out.lines().take_while(|line| !line.is_empty());
    let names: Vec<_> = summaries.filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(names, heapwright::Collector::all().map(|c| c.name()).collect::<Vec<_>>());
    let default = ended.out.lines().find(|l| l.ends_with("(default)")).unwrap();
    assert!(default.trim_start().starts_with(heapwright::Collector::default().name()));
    assert_eq!(ended.out.matches("(default)").count(), 1);
}

#[test]
fn a_collector_is_described_in_full() {
    let here = Here::new();
    for collector in heapwright::Collector::all() {
        let spec = collector.spec();
        let text = here.heapwright(["collectors", collector.name()]).out;
        let json = here.heapwright(["collectors", "--json", collector.name()]).out;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        for program in spec.barriers.programs().into_iter().flatten() {
            for line in program.text(spec).lines() {
                assert!(text.lines().any(|shown| shown.trim() == line.trim()), "{line} in {text}");
            }
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for cite in spec.cites {
            let cited = words(cite.text);
            assert!(words(&text).windows(cited.len()).any(|shown| shown == cited), "{} in {text}", cite.text);
        }
        assert_eq!(json["name"], collector.name());
        assert_eq!(json["cites"].as_array().unwrap().len(), spec.cites.len());
        assert_eq!(json["barriers"].get("store").is_some(), spec.barriers.store.is_some());
        assert_eq!(json["header"].as_array().unwrap().len(), spec.header.len());
    }
    let all: serde_json::Value = serde_json::from_str(&here.heapwright(["collectors", "--json"]).out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), heapwright::Collector::all().len());
    here.heapwright(["collectors", "none"]).fails(2, &["none"]);
}

#[test]
fn help_has_examples() {
    let here = Here::new();
    for command in ["run", "wast", "inspect", "collectors"] {
        let ended = here.heapwright([command, "--help"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("Examples:") && ended.out.contains(&format!("heapwright {command}")), "{ended:?}");
    }
    assert!(here.heapwright(["--help"]).out.contains("Examples:"));
    assert!(here.heapwright(["run", "--help"]).out.contains("--zeal"));
    assert!(here.heapwright(["run", "--help"]).out.contains("The exit code is"));
    assert!(!here.heapwright(["run", "-h"]).out.contains("--zeal"));
    here.heapwright(["--version"]).prints(concat!("heapwright ", env!("CARGO_PKG_VERSION"), "\n"));
    here.heapwright(["rnu"]).fails(2, &["rnu", "--help"]);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let exports: String = (0..20_000).map(|i| format!("(export \"function number {i}\" (func 0))")).collect();
    let here = Here::with("m.wat", format!("(module (func) {exports})"));
    let mut child = here.command(["inspect", "m.wat"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 10];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(141), Vec::new()));
    // Nor one that was never there.
    for args in [&["explore", "m.wat"][..], &["collectors"], &["bench", "--list"], &["cache", "info"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = here.command(args).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((ended.status.code(), ended.stderr), (Some(141), Vec::new()), "{args:?}");
    }
}

#[test]
fn a_module_may_come_through_a_pipe() {
    let here = Here::with("m.wat", r#"(module (func (export "f") (result i32) (i32.const 7)))"#);
    here.heapwright(["compile", "m.wat"]).prints("");
    let piped = |args: &[&str], file: &str| {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut command = here.command(args);
        let child = command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(command);
        writer.write_all(&std::fs::read(here.path(file)).unwrap()).unwrap();
        drop(writer);
        Ended::from(child.wait_with_output().unwrap())
    };
    for name in ["-", "/dev/stdin"] {
        piped(&["run", "--invoke", "f", name], "m.wat").prints("7\n");
        piped(&["run", "--invoke", "f", name], "m.hwm").prints("7\n");
    }
    assert!(piped(&["inspect", "-"], "m.wat").out.contains("`f`"));
    piped(&["compile", "-o", "again.hwm", "-"], "m.wat").prints("");
    here.heapwright(["run", "--invoke", "f", "again.hwm"]).prints("7\n");
    here.heapwright(["compile", "-"]).fails(2, &["--output"]);
    here.heapwright(["explore", "-"]).fails(2, &["--output"]);
}
