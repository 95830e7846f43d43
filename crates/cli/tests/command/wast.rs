//! `heapwright wast`.

use crate::support::Here;

const SCRIPT: &str = r#"(module
  (import "spectest" "print_i32" (func $print (param i32)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "print") (call $print (i32.const 7))))
(assert_return (invoke "add" (i32.const 1) (i32.const 2)) (i32.const 3))
(assert_invalid (module (func (result i32))) "type mismatch")
(invoke "print")
"#;

#[test]
fn the_last_line_is_the_total() {
    let here = Here::with("good.wast", SCRIPT);
    here.heapwright(["wast", "good.wast"])
        .prints("7 : i32\n1 of the 4 that passed test only the validator\n4 passed, 0 failed, 0 skipped\n");
}

#[test]
fn failures_are_shown_with_their_place() {
    let here = Here::with("bad.wast", SCRIPT.replace("(i32.const 3)", "(i32.const 4)"));
    let ended = here.heapwright(["wast", "bad.wast"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("bad.wast:5:2: expected i32:4, got i32:3\n"), "{ended:?}");
    assert!(ended.out.ends_with("\n3 passed, 1 failed, 0 skipped\n"), "{ended:?}");
}

#[test]
fn several_files_under_every_collector_add_up() {
    let here = Here::with("a.wast", "(module)\n(thread $t)");
    here.file("b.wast", "(module)\n(invoke \"f\")");
    let collectors = heapwright::Collector::all().len();
    let ended = here.heapwright(["wast", "--collector", "all", "--zeal", "1", "--no-signals", "a.wast", "b.wast"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("a.wast:2: skipped: threads are not supported [null]\n"), "{ended:?}");
    assert!(ended.out.contains("b.wast:2:2: expected a function \"f\", got no such export [null]\n"), "{ended:?}");
    let total = format!("\n{} passed, {collectors} failed, {collectors} skipped\n", 2 * collectors);
    assert!(ended.out.ends_with(&total), "{ended:?}");
}

#[test]
fn words_of_other_engines_are_understood_unless_told_not_to() {
    let here = Here::with(
        "foreign.wast",
        r#"(module $a (func (export "f") (drop (i32.div_s (i32.const 1) (i32.const 0)))))
        (module (import "a" "f" (func $f)) (export "f" (func $f)))
        (assert_trap (invoke "f") "divide by zero")"#,
    );
    here.heapwright(["wast", "foreign.wast"]).prints("3 passed, 0 failed, 0 skipped\n");
    let ended = here.heapwright(["wast", "--strict", "foreign.wast"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.out.contains("foreign.wast:2:10: expected an instance, got link error: unknown import"), "{ended:?}");
}

#[test]
fn files_that_are_no_scripts() {
    let here = Here::with("binary.wast", [0xff, 0xfe]);
    here.heapwright(["wast", "absent.wast"]).fails(1, &["absent.wast", "No such file"]);
    here.heapwright(["wast", "binary.wast"]).fails(1, &["binary.wast", "not text"]);
    here.file("text.wast", "(modul)");
    let ended = here.heapwright(["wast", "text.wast"]);
    assert_eq!((ended.code, ended.out.lines().last()), (Some(1), Some("0 passed, 1 failed, 0 skipped")));
    here.heapwright(["wast"]).fails(2, &["FILE"]);
    here.heapwright(["wast", "--collector", "none", "text.wast"]).fails(2, &["null", "copying", "all"]);
}
