//! `heapwright compile`, `heapwright run` of its files, and the compile cache.

use crate::support::{Ended, Here};
use std::fs;
use std::process::Stdio;

const ANSWER: &str = r#"(module (type $box (struct (field i32)))
  (func (export "answer") (param i32) (result i32)
    (i32.add (struct.get $box 0 (struct.new $box (local.get 0))) (i32.const 2))))"#;

#[test]
fn a_compiled_file_runs() {
    let here = Here::with("a.wat", ANSWER);
    here.heapwright(["compile", "-o", "x.hwm", "a.wat"]).prints("");
    here.heapwright(["run", "--invoke", "answer", "x.hwm", "40"]).prints("42\n");
    here.heapwright(["compile", "a.wat"]).prints("");
    assert_eq!(fs::read(here.path("a.hwm")).unwrap(), fs::read(here.path("x.hwm")).unwrap());
    // Its name does not matter.
    fs::rename(here.path("a.hwm"), here.path("renamed")).unwrap();
    here.heapwright(["run", "--invoke", "answer", "renamed", "40"]).prints("42\n");
    for collector in heapwright::Collector::all() {
        here.heapwright(["compile", "--collector", collector.name(), "-o", "x.hwm", "a.wat"]).prints("");
        here.heapwright(["run", "--collector", collector.name(), "--zeal", "1", "--invoke", "answer", "x.hwm", "1"])
            .prints("3\n");
    }
}

#[test]
fn compiled_files_that_do_not_fit_are_refused() {
    let here = Here::with("a.wat", ANSWER);
    here.heapwright(["compile", "--collector", "drc", "a.wat"]).prints("");
    let run = |flags: &[&str]| here.heapwright([&["run"], flags, &["--invoke", "answer", "a.hwm", "40"]].concat());
    run(&["--collector", "drc"]).prints("42\n");
    run(&["--collector", "copying"]).fails(1, &["a.hwm", "collector `drc`", "`copying`", "heapwright compile"]);
    run(&["--collector", "drc", "--no-optimize"]).fails(1, &["optimize: true", "optimize: false"]);
    let whole = fs::read(here.path("a.hwm")).unwrap();
    here.file("a.hwm", &whole[..whole.len() - 1]);
    run(&["--collector", "drc"]).fails(1, &[&format!("{} bytes instead of {}", whole.len() - 1, whole.len())]);
    let mut flipped = whole;
    flipped[4000] ^= 8;
    here.file("a.hwm", &flipped);
    run(&["--collector", "drc"]).fails(1, &["corrupted", "checksum"]);
}

#[test]
fn what_cannot_be_compiled() {
    let here = Here::with("bad.wat", "(module (func (result i32)))");
    here.heapwright(["compile", "bad.wat"]).fails(1, &["cannot compile bad.wat"]);
    assert!(!here.path("bad.hwm").exists());
    here.heapwright(["compile", "absent.wasm"]).fails(1, &["cannot read absent.wasm"]);
    here.file("a.wat", ANSWER);
    here.heapwright(["compile", "a.wat"]).prints("");
    for command in ["compile", "inspect", "explore"] {
        here.heapwright([command, "a.hwm"]).fails(1, &["a.hwm", "compiled module", "`heapwright run`"]);
    }
    here.heapwright(["compile", "-o", "no/such/place.hwm", "a.wat"]).fails(1, &["cannot write no/such/place.hwm"]);
}

#[test]
fn runs_use_the_cache() {
    let here = Here::with("a.wat", ANSWER);
    let run = |flags: &[&str]| here.heapwright([&["run"], flags, &["--invoke", "answer", "a.wat", "40"]].concat());
    let info = |flags: &[&str]| here.heapwright([&["cache", "info"], flags].concat()).out;
    assert!(info(&[]).contains(": 0 entries, 0 bytes"), "{}", info(&[]));
    assert!(!here.path("cache").exists(), "looking does not make it");

    let first = run(&["--verbose"]);
    assert_eq!(first.out, "42\n");
    assert!(first.err.contains("added to the compile cache"), "{}", first.err);
    let second = run(&["--verbose"]);
    assert_eq!(second.out, "42\n");
    assert!(second.err.contains("taken from the compile cache"), "{}", second.err);
    run(&[]).prints("42\n");
    assert!(info(&[]).contains(": 1 entry, "), "{}", info(&[]));

    // A damaged entry is a note, not an error; and only where notes are wanted.
    let entry = fs::read_dir(here.path("cache/heapwright")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&entry).unwrap();
    bytes[200] ^= 1;
    fs::write(&entry, &bytes).unwrap();
    let repaired = run(&["--verbose"]);
    assert_eq!(repaired.out, "42\n");
    assert!(repaired.err.contains("corrupted") && repaired.err.contains("compiled again"), "{}", repaired.err);
    bytes.truncate(1000);
    fs::write(&entry, &bytes).unwrap();
    run(&[]).prints("42\n");

    let cleared = here.heapwright(["cache", "clear"]);
    assert!(cleared.out.contains(": 1 entry, ") && cleared.out.ends_with("removed\n"), "{}", cleared.out);
    run(&["--no-cache"]).prints("42\n");
    assert!(info(&[]).contains(": 0 entries"));

    run(&["--cache-dir", "mine"]).prints("42\n");
    assert!(info(&["--cache-dir", "mine"]).contains(": 1 entry, "));
    assert!(info(&[]).contains(": 0 entries"));
    run(&["--cache-dir", "tiny", "--cache-size", "1k"]).prints("42\n");
    assert!(info(&["--cache-dir", "tiny"]).contains(": 0 entries"));

    here.file("file", "");
    run(&["--cache-dir", "file"]).fails(2, &["--cache-dir", "file"]);
    run(&["--no-cache", "--cache-dir", "mine"]).fails(2, &["--no-cache"]);
}

#[test]
fn calls_are_recorded_for_the_next_compilation() {
    let text = r#"(module
      (type $f (func (param i32) (result i32)))
      (table 5 funcref)
      (elem (i32.const 0) $0 $1 $2 $3 $4)
      (func $0 (type $f) (i32.const 10)) (func $1 (type $f) (i32.const 11)) (func $2 (type $f) (i32.const 12))
      (func $3 (type $f) (i32.const 13)) (func $4 (type $f) (i32.const 14))
      (func (export "run") (param i32) (result i32) (call_indirect (type $f) (i32.const 0) (local.get 0))))"#;
    let here = Here::with("a.wat", text);
    here.heapwright(["run", "--record-calls", "a.calls", "--invoke", "run", "a.wat", "3"]).prints("13\n");
    let profile = fs::read_to_string(here.path("a.calls")).unwrap();
    assert!(profile.starts_with("heapwright call profile 1\nmodule ") && profile.ends_with(" 3 1\n"), "{profile}");
    for n in 0..5 {
        let printed = format!("1{n}\n");
        here.heapwright(["run", "--call-profile", "a.calls", "--invoke", "run", "a.wat", &n.to_string()])
            .prints(&printed);
    }
    // Code depends on the profile, so a compiled file does.
    here.heapwright(["compile", "--call-profile", "a.calls", "a.wat"]).prints("");
    here.heapwright(["run", "--call-profile", "a.calls", "--invoke", "run", "a.hwm", "3"]).prints("13\n");
    here.heapwright(["run", "--invoke", "run", "a.hwm", "3"]).fails(1, &["a.hwm", "call_profile"]);
    here.file("bad.calls", "heapwright call profile 1\ncall 1 2 3\n");
    here.heapwright(["run", "--call-profile", "bad.calls", "a.wat"]).fails(2, &["bad.calls", "line 2"]);
    here.heapwright(["run", "--call-profile", "none.calls", "a.wat"]).fails(2, &["none.calls"]);
}

/// Processes that run at the same time, each with a function of its own: what they have compiled is all there
/// afterwards.
#[test]
fn processes_add_to_the_cache_together() {
    const PROCESSES: usize = 6;
    let function = |i: usize| format!("(func (export \"f{i}\") (result i32) (i32.const {i}))");
    let here = Here::with("a.wat", format!("(module {})", (0..PROCESSES).map(function).collect::<String>()));
    let command = |i: usize| here.command(["run", "--verbose", "--invoke", &format!("f{i}"), "a.wat"]);
    let processes: Vec<_> =
        (0..PROCESSES).map(|i| command(i).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()).collect();
    for (i, process) in processes.into_iter().enumerate() {
        let ended: Ended = process.wait_with_output().unwrap().into();
        assert_eq!((ended.code, ended.out), (Some(0), format!("{i}\n")), "{}", ended.err);
        assert!(ended.err.contains("added to the compile cache"), "{}", ended.err);
    }
    for i in 0..PROCESSES {
        let again: Ended = command(i).output().unwrap().into();
        assert!(again.err.contains("taken from the compile cache"), "{}", again.err);
        assert!(!again.err.contains("added to the compile cache"), "function {i} was lost: {}", again.err);
    }
}
