//! `heapwright run`.

use crate::support::Here;
use std::io::{Read, Write};
use std::process::Stdio;

/// A program that writes one line to standard output and then does `rest`.
fn program(rest: &str) -> String {
    format!(
        r#"(module $prog
          (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $dir_name (param i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 16) "hello\n")
          (func $say
            (call $write (i32.const 16) (i32.const 6)))
          (func $write (param $at i32) (param $count i32)
            (i32.store (i32.const 0) (local.get $at))
            (i32.store (i32.const 4) (local.get $count))
            (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
          {rest})"#
    )
}

#[test]
fn a_program_runs() {
    let here = Here::with("p.wat", program(r#"(func (export "_start") (call $say))"#));
    here.heapwright(["run", "p.wat"]).prints("hello\n");
    for collector in heapwright::Collector::all() {
        here.heapwright(["run", "--collector", collector.name(), "p.wat"]).prints("hello\n");
    }
    here.heapwright(["run", "--no-elision", "p.wat"]).prints("hello\n");
    here.heapwright(["run", "--no-signals", "--no-optimize", "--zeal", "1", "--heap-policy", "fixed", "p.wat"])
        .prints("hello\n");
    for collector in heapwright::Collector::all() {
        here.heapwright(["run", "--target", "pulley64", "--collector", collector.name(), "p.wat"]).prints("hello\n");
    }
    here.heapwright(["run", "--target", "x86_64-unknown-linux-gnu", "p.wat"]).prints("hello\n");
    here.heapwright(["run", "--target", "pulley32", "p.wat"]).fails(2, &["`pulley32`", "`pulley64`"]);
    let binary = wat::parse_file(here.path("p.wat")).unwrap();
    here.file("p.wasm", binary);
    here.heapwright(["run", "p.wasm"]).prints("hello\n");
    here.file("text-without-extension", program(r#"(func (export "_start") (call $say))"#));
    here.heapwright(["run", "text-without-extension"]).prints("hello\n");
}

#[test]
fn other_ways_to_start() {
    let here = Here::with("i.wat", program(r#"(func (export "_initialize") (call $say))"#));
    here.heapwright(["run", "i.wat"]).prints("hello\n");
    here.file("s.wat", program("(start $say)"));
    here.heapwright(["run", "s.wat"]).prints("hello\n");
    here.file("n.wat", r#"(module (func (export "f")) (func (export "g")))"#);
    here.heapwright(["run", "n.wat"]).fails(1, &["_start", "_initialize", "`f`, `g`", "--invoke"]);
    here.file("t.wat", r#"(module (func (export "_start") (param i32)))"#);
    here.heapwright(["run", "t.wat"]).fails(1, &["`_start` is (func (param i32))"]);
}

#[test]
fn the_exit_code_is_the_programs() {
    let exit = |code: u32| program(&format!(r#"(func (export "_start") (call $say) (call $exit (i32.const {code})))"#));
    let here = Here::new();
    for (code, seen) in [(0, 0), (1, 1), (3, 3), (134, 134), (255, 255), (256, 255), (0xffff_ffff, 255)] {
        here.file("e.wat", exit(code));
        let ended = here.heapwright(["run", "e.wat"]);
        assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(seen), "hello\n", ""), "{code}");
    }
    here.file("e.wat", program("(start $s) (func $s (call $exit (i32.const 4)))"));
    assert_eq!(here.heapwright(["run", "e.wat"]).code, Some(4));
}

#[test]
fn a_trap_is_134_with_a_backtrace_after_the_output() {
    let here = Here::with(
        "t.wat",
        program(
            r#"(func $inner (unreachable))
            (func $outer (call $inner))
            (func (export "_start") (call $say) (call $outer))"#,
        ),
    );
    for mode in [&[][..], &["--no-signals"], &["--no-optimize"]] {
        let ended = here.heapwright(["run"].iter().chain(mode).chain(&["t.wat"]));
        assert_eq!((ended.code, ended.out.as_str()), (Some(134), "hello\n"));
        let (inner, outer) = (ended.err.find("prog!inner"), ended.err.find("prog!outer"));
        assert!(inner.is_some() && inner < outer, "{}", ended.err);
        assert!(ended.err.contains("error: t.wat: trap: unreachable\n"), "{}", ended.err);
    }
    here.file("t.wat", "(module $prog (func $bad (i32.div_s (i32.const 1) (i32.const 0)) drop) (start $bad))");
    here.heapwright(["run", "t.wat"]).fails(134, &["trap: integer divide by zero", "prog!bad"]);
}

#[test]
fn an_uncaught_exception_is_134() {
    let here = Here::with(
        "e.wat",
        program(
            r#"(tag $t (param i32 f64))
            (func (export "_start") (call $say) (throw $t (i32.const 7) (f64.const 1.5)))"#,
        ),
    );
    let ended = here.heapwright(["run", "e.wat"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(134), "hello\n"));
    assert!(ended.err.contains("uncaught exception with 7, 1.5"), "{}", ended.err);
    assert!(ended.err.contains("!<wasm function "), "where it was thrown: {}", ended.err);
    let ended = here.heapwright(["run", "--no-backtrace", "e.wat"]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(134), "error: e.wat: uncaught exception with 7, 1.5\n"));
}

#[test]
fn an_exhausted_heap_is_134() {
    let here = Here::with(
        "h.wat",
        program(
            r#"(type $node (struct (field (ref null $node))))
            (func $fill (local $last (ref null $node))
              (loop $again (local.set $last (struct.new $node (local.get $last))) (br $again)))
            (func (export "_start") (call $say) (call $fill))"#,
        ),
    );
    for collector in heapwright::Collector::all() {
        let ended = here.heapwright(["run", "--collector", collector.name(), "--max-heap", "256k", "h.wat"]);
        assert_eq!((ended.code, ended.out.as_str()), (Some(134), "hello\n"), "{collector:?} {}", ended.err);
        assert!(ended.err.contains("GC heap out of memory") && ended.err.contains("prog!fill"), "{}", ended.err);
    }
}

#[test]
fn garbage_does_not_exhaust_a_collected_heap() {
    let here = Here::with(
        "g.wat",
        r#"(module
          (type $node (struct (field i64) (field i64)))
          (func (export "_start") (local $i i32)
            (loop $again
              (drop (struct.new $node (i64.const 1) (i64.extend_i32_s (local.get $i))))
              (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))))"#,
    );
    for collector in heapwright::Collector::all() {
        // The optimiser would leave nothing to collect.
        let really = ["--without", "scalar-replacement"];
        let flags = ["run", "--collector", collector.name(), "--max-heap", "256k", "--stats"];
        let ended = here.heapwright(flags.iter().chain(&really).chain(&["g.wat"]));
        let frees = collector.spec().needs_roots;
        assert_eq!(ended.code, Some(if frees { 0 } else { 134 }), "{collector:?} {}", ended.err);
        let line = |start: &str| ended.err.lines().find(|l| l.starts_with(start)).unwrap_or_default().to_owned();
        assert!(line("collector:").ends_with(collector.name()), "{}", ended.err);
        assert!(line("peak heap:").contains("KiB"), "{}", ended.err);
        assert!(line("pauses:").contains("ms in all"), "{}", ended.err);
        let number = |line: String| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap();
        if frees {
            assert!(number(line("collections:")) > 0, "{}", ended.err);
            assert!(number(line("allocated:")) >= 2_000_000, "{}", ended.err);
        }
    }
}

#[test]
fn deep_recursion_ends_as_a_trap_at_the_size_asked_for() {
    let here = Here::with(
        "d.wat",
        r#"(module $prog
          (func $down (export "down") (param i32) (result i32)
            (if (result i32) (local.get 0)
              (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
              (else (i32.const 0)))))"#,
    );
    let down =
        |depth: &str, stack: &str| here.heapwright(["run", "--max-stack", stack, "--invoke", "down", "d.wat", depth]);
    down("1000", "64k").prints("1000\n");
    down("100000", "64k").fails(134, &["call stack exhausted", "prog!down"]);
    down("100000", "16m").prints("100000\n");
    down("5000000", "1g").prints("5000000\n");
    down("1", "1k").fails(2, &["--max-stack", "64k"]);
    here.heapwright(["run", "--invoke", "down", "d.wat", "100000"]).prints("100000\n");
}

#[test]
fn modules_that_cannot_be_loaded() {
    let here = Here::new();
    let whole = wat::parse_str(program(r#"(func (export "_start") (call $say))"#)).unwrap();
    here.file("cut.wasm", &whole[..whole.len() / 2]);
    here.heapwright(["run", "cut.wasm"]).fails(1, &["cannot load cut.wasm", "unexpected", "(at offset 0x"]);
    here.file("threads.wat", r#"(module (memory 1 1 shared) (func (export "_start")))"#);
    here.heapwright(["run", "threads.wat"]).fails(1, &["cannot load threads.wat", "threads", "not supported"]);
    here.file("invalid.wat", r#"(module (func (export "_start") (result i32)))"#);
    here.heapwright(["run", "invalid.wat"]).fails(1, &["type mismatch", "(at offset 0x"]);
    here.file("text.wat", "(module\n  (func $f)\n  (fnuc))");
    here.heapwright(["run", "text.wat"]).fails(1, &["text.wat:3:4"]);
    here.file("notes.txt", "not a module");
    here.heapwright(["run", "notes.txt"]).fails(1, &["notes.txt", "no WebAssembly module"]);
    here.file("empty.wasm", "");
    here.heapwright(["run", "empty.wasm"]).fails(1, &["empty.wasm", "no WebAssembly module"]);
    here.file("component.wasm", b"\0asm\x0d\0\x01\0");
    here.heapwright(["run", "component.wasm"]).fails(1, &["component"]);
    here.heapwright(["run", "absent.wasm"]).fails(1, &["cannot read absent.wasm", "No such file"]);
    here.heapwright(["run", "."]).fails(1, &["cannot read ."]);
}

#[test]
fn modules_that_cannot_be_linked() {
    let here = Here::with("m.wat", r#"(module (import "env" "missing" (func (param i32))) (func (export "_start")))"#);
    here.heapwright(["run", "m.wat"]).fails(1, &["cannot link m.wat", "unknown import `env::missing`", "(param i32)"]);
    let wrong = r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i64))) (func (export "_start")))"#;
    here.file("m.wat", wrong);
    here.heapwright(["run", "m.wat"]).fails(
        1,
        &["incompatible import type for `wasi_snapshot_preview1::fd_write`", "(param i64)", "(param i32 i32 i32 i32)"],
    );
}

#[test]
fn one_function_can_be_called() {
    let here = Here::with(
        "f.wat",
        r#"(module
          (type $s (struct))
          (global $ready (mut i32) (i32.const 0))
          (func (export "_initialize") (global.set $ready (i32.const 1)))
          (func (export "ready") (result i32) (global.get $ready))
          (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
          (func (export "swap") (param i64 f64) (result f64 i64) (local.get 1) (local.get 0))
          (func (export "refs") (param externref) (result externref funcref (ref $s) i31ref)
            (local.get 0) (ref.null func) (struct.new $s) (ref.i31 (i32.const -3)))
          (func (export "vector") (param v128) (result v128) (local.get 0))
          (func (export "none"))
          (func (export "trap") (unreachable))
          (memory (export "memory") 1))"#,
    );
    let invoke = |args: &[&str]| {
        here.heapwright(["run", "--invoke"].iter().chain(&args[..1]).chain(&["f.wat"]).chain(&args[1..]))
    };
    invoke(&["ready"]).prints("1\n");
    invoke(&["add", "20", "22"]).prints("42\n");
    invoke(&["add", "-1", "0xffffffff"]).prints("-2\n");
    invoke(&["swap", "-7", "2.5"]).prints("2.5\n-7\n");
    invoke(&["refs", "null"]).prints("null\nnull\n(struct)\n(i31 -3)\n");
    invoke(&["vector", "0xff"]).prints("0x000000000000000000000000000000ff\n");
    invoke(&["none"]).prints("");
    invoke(&["trap"]).fails(134, &["unreachable"]);
    invoke(&["absent"]).fails(1, &["no export `absent`", "`add`"]);
    invoke(&["memory"]).fails(1, &["`memory` is (memory 1), not a function"]);
    invoke(&["add", "1"]).fails(2, &["`add` takes 2 arguments and was given 1", "(func (param i32 i32) (result i32))"]);
    invoke(&["add", "1", "x"]).fails(2, &["argument 2 of `add`, `x`"]);
    invoke(&["add", "1", "4294967296"]).fails(2, &["does not fit 32 bits"]);
    invoke(&["refs", "7"]).fails(2, &["`null`"]);
}

#[test]
fn wrong_usage_is_2() {
    let here = Here::with("p.wat", program(r#"(func (export "_start") (call $say))"#));
    let run = |args: &[&str]| here.heapwright(["run"].iter().chain(args).chain(&["p.wat"]));
    run(&["--max-heap", "0"]).fails(2, &["--max-heap", "more than 0"]);
    run(&["--max-heap", "12q"]).fails(2, &["--max-heap", "12q"]);
    run(&["--initial-heap=-1"]).fails(2, &["--initial-heap"]);
    run(&["--initial-heap", "2m", "--max-heap", "1m"]).fails(2, &["--initial-heap", "--max-heap"]);
    let names: Vec<_> = heapwright::Collector::all().map(|c| c.name()).collect();
    run(&["--collector", "best"]).fails(2, &names);
    run(&["--env", "NOVALUE"]).fails(2, &["NAME=VALUE"]);
    run(&["--dir", "absent"]).fails(2, &["absent", "No such file"]);
    run(&["--zeal", "often"]).fails(2, &["--zeal"]);
    run(&["--max-stack", "9999999g"]).fails(2, &["--max-stack"]);
    run(&["--unknown"]).fails(2, &["--unknown"]);
    here.heapwright(["run"]).fails(2, &["FILE"]);
    run(&["--max-heap", "1m", "--initial-heap", "64k"]).prints("hello\n");
}

/// Prints the arguments, or the variables, as they are in memory: each ends with a NUL.
fn lister(what: &str) -> String {
    program(&format!(
        r#"(func (export "_start")
          (drop (call ${what}_sizes (i32.const 100) (i32.const 104)))
          (drop (call ${what} (i32.const 1000) (i32.const 2000)))
          (call $write (i32.const 2000) (i32.load (i32.const 104))))"#
    ))
}

#[test]
fn arguments_and_variables_reach_the_program() {
    let here = Here::with("a.wat", lister("args"));
    here.heapwright(["run", "a.wat", "one", "--two", "--", "ü"]).prints("a.wat\0one\0--two\0--\0ü\0");
    here.heapwright(["run", "--stats", "a.wat", "--stats"]).out.ends_with("--stats\0").then_some(()).unwrap();
    here.file("e.wat", lister("environ"));
    here.heapwright(["run", "--env", "A=1", "--env", "B=x=y", "--env", "C=", "e.wat"]).prints("A=1\0B=x=y\0C=\0");
    here.command(["run", "e.wat"])
        .env("SECRET", "of the host")
        .output()
        .map(crate::support::Ended::from)
        .unwrap()
        .prints("");
}

#[test]
fn directories_reach_the_program_under_their_names() {
    let name_of = |fd: u32| {
        program(&format!(
            r#"(func (export "_start")
              (if (call $prestat (i32.const {fd}) (i32.const 100)) (then (call $exit (i32.const 9))))
              (drop (call $dir_name (i32.const {fd}) (i32.const 200) (i32.load (i32.const 104))))
              (call $write (i32.const 200) (i32.load (i32.const 104))))"#
        ))
    };
    let here = Here::with("3.wat", name_of(3));
    here.file("4.wat", name_of(4));
    std::fs::create_dir(here.path("data")).unwrap();
    here.heapwright(["run", "--dir", ".", "--dir", "data::/inside", "3.wat"]).prints(".");
    here.heapwright(["run", "--dir", ".", "--dir", "data::/inside", "4.wat"]).prints("/inside");
    assert_eq!(here.heapwright(["run", "--dir", ".", "4.wat"]).code, Some(9));
    assert_eq!(here.heapwright(["run", "3.wat"]).code, Some(9));
}

#[test]
fn characters_of_moonbit() {
    let calls = |units: &[u32]| units.iter().map(|u| format!("(call $put (i32.const {u}))")).collect::<String>();
    let here = Here::new();
    let program = |units: &[u32], rest: &str| {
        format!(
            r#"(module $prog (import "spectest" "print_char" (func $put (param i32)))
            (func (export "_start") {} {rest}))"#,
            calls(units)
        )
    };
    here.file("m.wat", program(&[0x48, 0xe9, 0x20ac, 0xd83d, 0xde00, 10], ""));
    here.heapwright(["run", "m.wat"]).prints("Hé€😀\n");
    here.file("m.wat", program(&[0x41, 0xd83d, 0x42, 0xde00, 0xd83d], ""));
    here.heapwright(["run", "m.wat"]).prints("A\u{fffd}B\u{fffd}\u{fffd}");
    here.file("m.wat", program(&[0x41, 10], "unreachable"));
    let ended = here.heapwright(["run", "m.wat"]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(134), "A\n"));
}

#[test]
fn standard_input_reaches_the_program() {
    let here = Here::with(
        "cat.wat",
        r#"(module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (loop $again
              (i32.store (i32.const 0) (i32.const 100))
              (i32.store (i32.const 4) (i32.const 1000))
              (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))
              (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
              (br_if $again (i32.load (i32.const 8))))))"#,
    );
    let mut command = here.command(["run", "cat.wat"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"in and out").unwrap();
    crate::support::Ended::from(child.wait_with_output().unwrap()).prints("in and out");
}

#[test]
fn output_without_reader_is_no_panic() {
    let forever = r#"(module (import "spectest" "print_char" (func $put (param i32)))
        (func (export "_start") (loop $again (call $put (i32.const 65)) (br $again))))"#;
    let here = Here::with("forever.wat", forever);
    let mut command = here.command(["run", "forever.wat"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 4];
    out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"AAAA");
    drop(out);
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(141), Vec::new()));
}

#[test]
fn limits_stop_a_program() {
    let here = Here::with("spin.wat", program(r#"(func (export "_start") (loop (br 0)))"#));
    let stopped = |flags: &[&str], why: &str| {
        let flags = ["run"].iter().chain(flags).chain(&["spin.wat"]);
        here.heapwright(flags).fails(134, &[why, "prog!"]);
    };
    stopped(&["--fuel", "100000"], "trap: all fuel consumed");
    stopped(&["--timeout", "50ms"], "trap: interrupt");
    stopped(&["--timeout", "50ms", "--fuel", "1000000000000000"], "trap: interrupt");

    // What stays within them does not notice.
    here.file("p.wat", program(r#"(func (export "_start") (call $say))"#));
    let generous =
        ["--fuel", "1000", "--timeout", "1h", "--max-memory", "1m", "--max-table", "10", "--max-object", "64k"];
    here.heapwright(["run"].iter().chain(&generous).chain(&["p.wat"])).prints("hello\n");

    here.file(
        "grow.wat",
        r#"(module (memory 1) (table 1 funcref) (type $b (array i8))
            (func (export "memory") (result i32) (memory.grow (i32.const 16)))
            (func (export "table") (result i32) (table.grow (ref.null func) (i32.const 16)))
            (func (export "object") (result i32) (array.len (array.new_default $b (i32.const 100000)))))"#,
    );
    let invoke =
        |export: &str, flag: &str, value: &str| here.heapwright(["run", "--invoke", export, flag, value, "grow.wat"]);
    invoke("memory", "--max-memory", "1088k").prints("1\n");
    invoke("memory", "--max-memory", "1087k").prints("-1\n");
    invoke("table", "--max-table", "17").prints("1\n");
    invoke("table", "--max-table", "16").prints("-1\n");
    invoke("object", "--max-object", "128k").prints("100000\n");
    invoke("object", "--max-object", "64k").fails(134, &["allocation size too large", "100"]);
    invoke("object", "--max-object", "1k").fails(1, &["at least 65536 bytes"]);
    invoke("object", "--timeout", "soon").fails(2, &["--timeout", "number of seconds"]);
}
