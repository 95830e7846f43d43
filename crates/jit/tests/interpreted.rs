//! Bytecode for the interpreter: what it must not do, and what it should not cost.

use heapwright_gc_heap::Spec;
use heapwright_jit::{Compiler, Settings, Target};

/// The code of the first function of a module for a collector.
fn code(collector: &str, wat: &str) -> String {
    let spec: &'static Spec = heapwright_collectors::by_name(collector).expect("a collector").spec;
    let settings = Settings { target: Target::Pulley64, verify: true, ..Settings::default() };
    let compiler = Compiler::new(settings, spec).expect("the interpreter runs everywhere");
    let text = compiler.explain(&wat::parse_str(wat).expect("a module")).expect("it compiles").swap_remove(0);
    println!("{}\n{}", text.clif, text.asm);
    text.asm
}

const MODULE: &str = r#"(type $s (sub (struct (field (mut i32)) (field (mut f64)) (field (mut (ref null $s))))))
    (type $t (sub $s (struct (field (mut i32)) (field (mut f64)) (field (mut (ref null $s))) (field i64))))
    (type $a (array (mut i64)))"#;

fn body(params: &str, body: &str) -> String {
    format!("(module {MODULE} (func {params} {body}))")
}

fn count(asm: &str, what: &str) -> usize {
    asm.lines().filter(|line| line.contains(what)).count()
}

/// Checks are part of the access: no comparison of their own, no access that is not checked.
#[test]
fn a_field_is_checked_and_read_in_one_instruction() {
    let asm = code("null", &body("(param (ref $s)) (result i32)", "(struct.get $s 0 (local.get 0))"));
    assert_eq!((count(&asm, "_g32"), count(&asm, "select"), count(&asm, "br_if")), (1, 0, 0), "{asm}");
    let asm = code("null", &body("(param (ref $s) f64)", "(struct.set $s 1 (local.get 0) (local.get 1))"));
    assert_eq!((count(&asm, "_g32"), count(&asm, "select"), count(&asm, "br_if")), (1, 0, 0), "{asm}");
    let asm = code("null", &body("(param (ref $a) i32) (result i64)", "(array.get $a (local.get 0) (local.get 1))"));
    // The length and the element, and the index compared with the length.
    assert_eq!((count(&asm, "_g32"), count(&asm, "select")), (2, 0), "{asm}");
    // The header, an entry of the type space.
    let asm = code("null", &body("(param (ref $s)) (result i32)", "(ref.test (ref $t) (local.get 0))"));
    assert_eq!((count(&asm, "_g32"), count(&asm, "select")), (2, 0), "{asm}");
}

/// Traps need no call: their instructions stop the interpreter.
#[test]
fn traps_are_instructions() {
    let asm = code("null", &body("(param (ref null $s)) (result i32)", "(struct.get $s 0 (local.get 0))"));
    assert_eq!((count(&asm, "call"), count(&asm, "trap")), (0, 1), "{asm}");
    let asm = code("null", &body("(param i32 i32) (result i32)", "(i32.div_s (local.get 0) (local.get 1))"));
    assert_eq!((count(&asm, "call"), count(&asm, "br_if")), (0, 0), "{asm}");
}
