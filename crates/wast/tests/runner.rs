//! The runner itself: that it notices what is wrong, says where, and goes on.

use heapwright::Collector;
use heapwright_wast::{Options, Summary, run_script};

fn run(script: &str) -> Summary {
    run_script(&Options::default(), "test.wast", script).unwrap()
}

/// Runs `assertion` after a module, and gives what it expected and got.
fn failure(module: &str, assertion: &str) -> (String, String) {
    let summary = run(&format!("{module}\n{assertion}"));
    assert_eq!((summary.passed, summary.failed), (1, 1), "{assertion}: {:?}", summary.failures);
    let failure = &summary.failures[0];
    assert_eq!((failure.line, failure.col), (module.lines().count() + 1, 2));
    (failure.expected.clone(), failure.got.clone())
}

fn got(module: &str, assertion: &str) -> String {
    failure(module, assertion).1
}

const VALUES: &str = r#"(module
  (type $s (struct)) (type $a (array i8)) (tag $t)
  (elem declare func $f) (func $f)
  (func (export "i32") (result i32) (i32.const 1))
  (func (export "i64") (result i64) (i64.const 1))
  (func (export "f32") (result f32) (f32.const 1))
  (func (export "nan") (result f32) (f32.const nan:0x600000))
  (func (export "f64") (result f64) (f64.const 1))
  (func (export "v128") (result v128) (v128.const i32x4 1 2 3 4))
  (func (export "two") (result i32 i64) (i32.const 1) (i64.const 2))
  (func (export "none"))
  (func (export "func") (result funcref) (ref.func $f))
  (func (export "struct") (result anyref) (struct.new $s))
  (func (export "array") (result anyref) (array.new_default $a (i32.const 3)))
  (func (export "i31") (result anyref) (ref.i31 (i32.const -5)))
  (func (export "extern") (param externref) (result externref) (local.get 0))
  (func (export "any") (param anyref) (result anyref) (local.get 0))
  (func (export "null") (result anyref) (ref.null any))
  (func (export "exn") (result exnref)
    (block $l (result exnref) (try_table (catch_all_ref $l) (throw $t)) (unreachable)))
  (func (export "throw") (throw $t))
  (func (export "trap") (unreachable))
  (func $deep (export "deep") (call $deep))
  (global (export "g") i32 (i32.const 7)))"#;

#[test]
fn what_is_right_passes() {
    let summary = run(&format!(
        r#"{VALUES}
        (assert_return (invoke "i32") (i32.const 1))
        (assert_return (invoke "i64") (i64.const 1))
        (assert_return (invoke "f32") (f32.const 1))
        (assert_return (invoke "nan") (f32.const nan:arithmetic))
        (assert_return (invoke "f64") (f64.const 1))
        (assert_return (invoke "v128") (v128.const i64x2 0x0000000200000001 0x0000000400000003))
        (assert_return (invoke "two") (i32.const 1) (i64.const 2))
        (assert_return (invoke "none"))
        (assert_return (invoke "func") (ref.func))
        (assert_return (invoke "struct") (ref.struct))
        (assert_return (invoke "struct") (ref.eq))
        (assert_return (invoke "struct") (ref.any))
        (assert_return (invoke "array") (ref.array))
        (assert_return (invoke "i31") (ref.i31))
        (assert_return (invoke "extern" (ref.extern 3)) (ref.extern 3))
        (assert_return (invoke "extern" (ref.extern 3)) (ref.extern))
        (assert_return (invoke "extern" (ref.null extern)) (ref.null extern))
        (assert_return (invoke "any" (ref.host 4)) (ref.host 4))
        (assert_return (invoke "any" (ref.null none)) (ref.null))
        (assert_return (invoke "null") (ref.null struct))
        (assert_return (invoke "exn") (ref.exn))
        (assert_return (invoke "i32") (either (i32.const 0) (i32.const 1)))
        (assert_return (get "g") (i32.const 7))
        (assert_return (module))
        (assert_exception (invoke "throw"))
        (assert_trap (invoke "trap") "unreachable")
        (assert_trap (module (func $s (unreachable)) (start $s)) "unreachable")
        (assert_exhaustion (invoke "deep") "call stack exhausted")
        (assert_unlinkable (module (import "a" "b" (func))) "unknown import")
        (assert_invalid (module (func (result i32))) "type mismatch")
        (assert_malformed (module quote "(func") "unexpected token")"#
    ));
    assert_eq!(summary.failures, []);
    assert_eq!((summary.passed, summary.validator_only, summary.skipped), (30, 2, 0));
    assert_eq!(summary.total_passed(), 32);
}

#[test]
fn wrong_values_are_told() {
    let text = |expected: &str, got: &str| (expected.to_owned(), got.to_owned());
    let fails = |assertion: &str| failure(VALUES, assertion);
    assert_eq!(fails(r#"(assert_return (invoke "i32") (i32.const 2))"#), text("i32:2", "i32:1"));
    assert_eq!(fails(r#"(assert_return (invoke "i64") (i32.const 1))"#), text("i32:1", "i64:1"));
    assert_eq!(
        fails(r#"(assert_return (invoke "f32") (f32.const -1))"#),
        text("f32:-1 (0xbf800000)", "f32:1 (0x3f800000)")
    );
    assert_eq!(
        fails(r#"(assert_return (invoke "nan") (f32.const nan:canonical))"#),
        text("f32:nan:canonical", "f32:NaN (0x7fe00000)")
    );
    assert_eq!(
        fails(r#"(assert_return (invoke "v128") (v128.const i32x4 1 2 3 5))"#),
        text(
            "v128:i32x4 00000001 00000002 00000003 00000005",
            "v128:i8x16 01 00 00 00 02 00 00 00 03 00 00 00 04 00 00 00"
        )
    );
    assert_eq!(fails(r#"(assert_return (invoke "two") (i32.const 1))"#), text("i32:1", "i32:1 i64:2"));
    assert_eq!(fails(r#"(assert_return (invoke "none") (i32.const 1))"#), text("i32:1", "nothing"));
    assert_eq!(fails(r#"(assert_return (invoke "i32"))"#), text("nothing", "i32:1"));
    assert_eq!(
        fails(r#"(assert_return (invoke "i32") (either (i32.const 2) (i32.const 3)))"#),
        text("i32:2 or i32:3", "i32:1")
    );
    assert_eq!(fails(r#"(assert_return (get "g") (i32.const 8))"#), text("i32:8", "i32:7"));
}

#[test]
fn wrong_references_are_told() {
    let got = |assertion: &str| got(VALUES, assertion);
    assert_eq!(got(r#"(assert_return (invoke "struct") (ref.array))"#), "ref.struct");
    assert_eq!(got(r#"(assert_return (invoke "array") (ref.i31))"#), "ref.array");
    assert_eq!(got(r#"(assert_return (invoke "i31") (ref.struct))"#), "ref.i31 -5");
    assert_eq!(got(r#"(assert_return (invoke "func") (ref.null func))"#), "ref.func");
    assert_eq!(got(r#"(assert_return (invoke "null") (ref.any))"#), "ref.null any");
    assert_eq!(got(r#"(assert_return (invoke "null") (ref.null func))"#), "ref.null any");
    assert_eq!(got(r#"(assert_return (invoke "extern" (ref.extern 3)) (ref.extern 4))"#), "ref.extern 3");
    assert_eq!(got(r#"(assert_return (invoke "any" (ref.host 3)) (ref.host 4))"#), "ref.host 3");
    assert_eq!(got(r#"(assert_return (invoke "any" (ref.host 3)) (ref.eq))"#), "ref.host 3");
    assert_eq!(got(r#"(assert_return (invoke "exn") (ref.any))"#), "ref.exn");
    assert_eq!(got(r#"(assert_return (invoke "exn") (ref.null exn))"#), "ref.exn");
}

#[test]
fn wrong_ends_are_told() {
    let got = |assertion: &str| got(VALUES, assertion);
    assert_eq!(got(r#"(assert_trap (invoke "i32") "unreachable")"#), "i32:1");
    assert_eq!(got(r#"(assert_trap (invoke "trap") "integer overflow")"#), "trap: unreachable");
    assert_eq!(got(r#"(assert_trap (invoke "throw") "unreachable")"#), "an exception");
    assert_eq!(got(r#"(assert_exception (invoke "trap"))"#), "trap: unreachable");
    assert_eq!(got(r#"(assert_exception (invoke "none"))"#), "nothing");
    assert_eq!(got(r#"(assert_exhaustion (invoke "trap") "call stack exhausted")"#), "trap: unreachable");
    assert_eq!(got(r#"(assert_return (invoke "throw"))"#), "an exception");
    assert_eq!(got(r#"(invoke "trap")"#), "trap: unreachable");
    assert_eq!(got(r#"(invoke "absent")"#), "no such export");
    assert_eq!(got(r#"(invoke "g")"#), "no such export");
    assert_eq!(got(r#"(invoke "i32" (i32.const 1))"#), "1");
    assert_eq!(got(r#"(invoke $absent "i32")"#), "no instance is named $absent");
}

#[test]
fn modules_that_should_fail_and_do_not_are_told() {
    let got = |assertion: &str| got("(module)", assertion);
    assert_eq!(got(r#"(assert_invalid (module (func)) "type mismatch")"#), "the validator accepts it");
    assert_eq!(got(r#"(assert_malformed (module quote "(func)") "unexpected")"#), "the validator accepts it");
    assert_eq!(got(r#"(assert_unlinkable (module) "unknown import")"#), "an instance");
    assert_eq!(got(r#"(assert_trap (module) "unreachable")"#), "nothing");
    let wrong = got(r#"(assert_unlinkable (module (import "spectest" "print" (global i32))) "unknown import")"#);
    assert!(wrong.starts_with("link error: incompatible import type"), "{wrong}");
}

#[test]
fn a_failed_module_takes_its_assertions_with_it() {
    let summary = run(r#"
        (module $good (func (export "f")))
        (module $bad (import "nobody" "home" (func)))
        (invoke "f")
        (invoke $bad "f")
        (register "bad" $bad)
        (invoke $good "f")
        (module)
        (invoke "f")"#);
    let lines: Vec<_> = summary.failures.iter().map(|f| f.line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 9]);
    assert_eq!((summary.passed, summary.failed), (3, 5));
    assert_eq!(summary.failures[1].got, "no instance: the module on line 3 failed");
}

#[test]
fn definitions_instances_and_registered_names() {
    let summary = run(r#"
        (module definition $d (global (export "g") (mut i32) (i32.const 0))
          (func (export "set") (global.set 0 (i32.const 1))))
        (module instance $a $d)
        (module instance $b $d)
        (invoke $a "set")
        (assert_return (get $a "g") (i32.const 1))
        (assert_return (get $b "g") (i32.const 0))
        (register "a" $a)
        (module (import "a" "g" (global (mut i32))) (func (export "get") (result i32) (global.get 0)))
        (assert_return (invoke "get") (i32.const 1))
        (assert_unlinkable (module (import "a" "h" (global i32))) "unknown import")"#);
    assert_eq!(summary.failures, []);
    assert_eq!(summary.passed, 10);
}

#[test]
fn everything_a_script_can_import() {
    for collector in Collector::all() {
        let options = Options { collector, ..Options::default() };
        let summary = run_script(
            &options,
            "imports.wast",
            r#"(module
              (import "spectest" "print" (func))
              (import "spectest" "print_i32" (func (param i32)))
              (import "spectest" "print_i64" (func (param i64)))
              (import "spectest" "print_f32" (func (param f32)))
              (import "spectest" "print_f64" (func (param f64)))
              (import "spectest" "print_i32_f32" (func (param i32 f32)))
              (import "spectest" "print_f64_f64" (func (param f64 f64)))
              (import "spectest" "global_i32" (global $a i32))
              (import "spectest" "global_i64" (global $b i64))
              (import "spectest" "global_f32" (global $c f32))
              (import "spectest" "global_f64" (global $d f64))
              (import "spectest" "table" (table $t 10 20 funcref))
              (import "spectest" "table64" (table $u i64 10 20 funcref))
              (import "spectest" "memory" (memory 1 2))
              (import "wasmtime" "gc" (func $gc))
              (type $s (struct (field i32)))
              (global $kept (mut (ref null $s)) (ref.null $s))
              (export "a" (global $a)) (export "b" (global $b)) (export "c" (global $c)) (export "d" (global $d))
              (func (export "sizes") (result i32 i64) (table.size $t) (table.size $u))
              (func (export "collect") (result i32)
                (global.set $kept (struct.new $s (i32.const 42)))
                (call $gc)
                (struct.get $s 0 (global.get $kept))))
            (assert_return (get "a") (i32.const 666))
            (assert_return (get "b") (i64.const 666))
            (assert_return (get "c") (f32.const 666.6))
            (assert_return (get "d") (f64.const 666.6))
            (assert_return (invoke "sizes") (i32.const 10) (i64.const 10))
            (assert_return (invoke "collect") (i32.const 42))"#,
        )
        .unwrap();
        assert_eq!(summary.failures, [], "{collector:?}");
    }
}

#[test]
fn what_cannot_be_run_is_skipped_with_a_reason() {
    let summary = run(r#"
        (module)
        (thread $t (invoke "f"))
        (wait $t)
        (component)
        (assert_suspension (invoke "f") "unhandled")
        (assert_malformed_custom (module quote "(func)") "custom")"#);
    let reasons: Vec<_> = summary.skips.iter().map(|s| (s.line, s.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (3, "threads are not supported"),
            (4, "threads are not supported"),
            (5, "the component model is not supported"),
            (6, "stack switching is not supported"),
            (7, "custom sections are not validated"),
        ]
    );
    assert_eq!((summary.passed, summary.failed, summary.skipped), (1, 0, 5));
}

#[test]
fn a_script_that_is_none_is_one_failure() {
    let summary = run("(module)\n  (assert_retrun)");
    assert_eq!((summary.passed, summary.failed), (0, 1));
    assert_eq!(summary.failures[0].line, 2);
    assert_eq!(run("\"").failed, 1);
}

#[test]
fn options_without_sense_are_an_error() {
    let options = Options { max_heap: Some(0), ..Options::default() };
    assert!(run_script(&options, "test.wast", "(module)").is_err());
}
