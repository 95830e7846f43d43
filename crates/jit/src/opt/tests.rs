//! What is left of small functions, in GC operations.
//!
//! That what is left computes the same is for the scripts and programs to show, which run with the passes and without.

use crate::compile::{Compiler, Settings};
use crate::gc::GcOp;
use heapwright_gc_heap::{AllocSpec, Barriers, Moves, Spec};

static SPEC: Spec = Spec {
    name: "test",
    summary: "",
    cites: &[],
    header: &[],
    side_tables: &[],
    alloc: AllocSpec::Bump,
    barriers: Barriers::NONE,
    elide: &[],
    moves: Moves::AtSafepoint,
    needs_roots: true,
    inline_limit: 4096,
};

const TYPES: &str = "
    (type $point (sub (struct (field $x (mut i32)) (field $y (mut i32)) (field $id i32))))
    (type $pixel (sub final $point (struct (field (mut i32)) (field (mut i32)) (field i32) (field $c (mut i8)))))
    (type $box (sub final (struct (field $in (mut (ref null $point))) (field $to (ref $point)))))
    (type $words (array (mut i32)))
    (type $fixed (array i32))
    (import \"m\" \"f\" (func $f))";

fn compiler(settings: Settings) -> Compiler {
    Compiler::new(settings, &SPEC).expect("the machine is supported")
}

/// The operations left in the only function, as their names in the debug format.
fn left_with(settings: Settings, signature_and_body: &str) -> Vec<String> {
    let text = format!("(module {TYPES} (func {signature_and_body}))");
    let bytes = wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}"));
    let mut all = compiler(settings).operations(&bytes).unwrap_or_else(|e| panic!("{e}"));
    let (ops, clif) = all.remove(0);
    // The context also has to be right for the rest of the pipeline.
    compiler(Settings::default()).compile_module(&bytes).unwrap_or_else(|e| panic!("{e}\n{clif}"));
    ops.iter().map(name).collect()
}

fn left(signature_and_body: &str) -> Vec<String> {
    left_with(Settings::default(), signature_and_body)
}

fn name(op: &GcOp) -> String {
    let text = format!("{op:?}");
    let name: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
    let mut flags = String::new();
    for flag in ["nullable: true", "in_bounds: true"] {
        if text.contains(flag) {
            flags.push(if flag.starts_with('n') { '?' } else { '!' });
        }
    }
    name + &flags
}

#[test]
fn a_second_read_is_the_first() {
    let twice = "(param (ref null $point)) (result i32)
        (i32.add (struct.get $point $x (local.get 0)) (struct.get $point $x (local.get 0)))";
    assert_eq!(left(twice), ["StructGet?"]);
    let off = Settings { redundancy_elimination: false, ..Settings::default() };
    assert_eq!(left_with(off, twice), ["StructGet?", "StructGet?"]);
    // Another field of the same object is another place, but the object is not null any more.
    let other = "(param (ref null $point)) (result i32)
        (i32.add (struct.get $point $x (local.get 0)) (struct.get $point $y (local.get 0)))";
    assert_eq!(left(other), ["StructGet?", "StructGet"]);
}

#[test]
fn a_store_forgets_what_may_be_the_same_place_and_knows_its_own() {
    let same = "(param (ref $point) (ref $point)) (result i32)
        (drop (struct.get $point $x (local.get 0))) (drop (struct.get $point $y (local.get 0)))
        (struct.set $point $x (local.get 1) (i32.const 7))
        (drop (struct.get $point $x (local.get 1)))
        (i32.add (struct.get $point $y (local.get 0)) (struct.get $point $x (local.get 0)))";
    // Of the reads after the store, only x of the other object is read again.
    assert_eq!(left(same), ["StructGet", "StructGet", "StructSet", "StructGet"]);
}

#[test]
fn a_call_forgets_what_is_mutable_and_keeps_the_rest() {
    let call = "(param (ref $point)) (result i32)
        (drop (struct.get $point $x (local.get 0))) (drop (struct.get $point $id (local.get 0)))
        (call $f)
        (i32.add (struct.get $point $x (local.get 0)) (struct.get $point $id (local.get 0)))";
    assert_eq!(left(call), ["StructGet", "StructGet", "StructGet"]);
}

#[test]
fn an_allocation_forgets_nothing() {
    let body = "(param (ref $point)) (result (ref $words) i32)
        (drop (struct.get $point $x (local.get 0)))
        (array.new_default $words (i32.const 3))
        (struct.get $point $x (local.get 0))";
    assert_eq!(left(body), ["StructGet", "ArrayNewDefault"]);
}

#[test]
fn packed_fields_are_not_forwarded() {
    let body = "(param (ref $pixel)) (result i32)
        (struct.set $pixel $c (local.get 0) (i32.const 0x1ff))
        (struct.get_u $pixel $c (local.get 0))";
    assert_eq!(left(body), ["StructSet", "StructGet"]);
    let body = "(param (ref $pixel)) (result i32)
        (i32.add (struct.get_u $pixel $c (local.get 0)) (struct.get_s $pixel $c (local.get 0)))";
    assert_eq!(left(body), ["StructGet", "StructGet"]);
}

#[test]
fn branches_that_change_nothing_keep_what_is_known() {
    let diamond = |arm: &str| {
        format!(
            "(param (ref $point) (ref $point) i32) (result i32)
            (drop (struct.get $point $x (local.get 0)))
            (if (local.get 2) (then {arm}) (else (drop (struct.get $point $y (local.get 1)))))
            (struct.get $point $x (local.get 0))"
        )
    };
    let y = "(struct.set $point $y (local.get 1) (i32.const 1))";
    assert_eq!(left(&diamond(y)), ["StructGet", "StructSet", "StructGet"]);
    let x = "(struct.set $point $x (local.get 1) (i32.const 1))";
    assert_eq!(left(&diamond(x)), ["StructGet", "StructSet", "StructGet", "StructGet"]);
}

#[test]
fn loops_forget_what_they_change() {
    let body = |inside: &str| {
        format!(
            "(param (ref $point) (ref $point) i32) (result i32)
            (drop (struct.get $point $x (local.get 0)))
            (loop $l
                (local.set 2 (i32.sub (local.get 2) (struct.get $point $x (local.get 0))))
                {inside}
                (br_if $l (local.get 2)))
            (local.get 2)"
        )
    };
    assert_eq!(left(&body("")), ["StructGet"]);
    let y = "(struct.set $point $y (local.get 1) (i32.const 1))";
    assert_eq!(left(&body(y)), ["StructGet", "StructSet"]);
    let x = "(struct.set $point $x (local.get 1) (i32.const 1))";
    assert_eq!(left(&body(x)), ["StructGet", "StructGet", "StructSet"]);
    assert_eq!(left(&body("(call $f)")), ["StructGet", "StructGet"]);
}

#[test]
fn casts_that_must_succeed_go() {
    let twice = "(param anyref) (result i32)
        (i32.add (struct.get $pixel 0 (ref.cast (ref $pixel) (local.get 0)))
                 (struct.get $point $y (ref.cast (ref null $point) (local.get 0))))";
    assert_eq!(left(twice), ["RefCast?", "StructGet", "StructGet"]);
    // To a subtype it stays, but it need not ask for null and i31.
    let down = "(param anyref) (result i32)
        (drop (ref.cast (ref $point) (local.get 0))) (ref.test (ref $pixel) (local.get 0))";
    assert_eq!(left(down), ["RefCast?", "RefTest"]);
    let tested = "(param anyref) (result i32)
        (if (result i32) (ref.test (ref $pixel) (local.get 0))
            (then (struct.get $point $x (ref.cast (ref $point) (local.get 0))))
            (else (struct.get $point $x (ref.cast (ref $point) (local.get 0)))))";
    assert_eq!(left(tested), ["RefTest?", "StructGet", "RefCast?", "StructGet"]);
    // A bound on what is not null says nothing about null.
    let null = "(param anyref) (result i32)
        (drop (ref.cast (ref null $point) (local.get 0))) (ref.test (ref $point) (local.get 0))";
    assert_eq!(left(null), ["RefCast?", "RefTest?"]);
}

#[test]
fn an_i31_stays_one() {
    let body = "(param (ref null eq)) (result i32)
        (drop (i31.get_s (ref.cast (ref i31) (local.get 0))))
        (call $f)
        (drop (ref.cast (ref eq) (local.get 0)))
        (drop (i31.get_u (ref.cast (ref null i31) (local.get 0))))
        (i32.add (i31.get_s (ref.cast (ref i31) (local.get 0))) (ref.test (ref i31) (local.get 0)))";
    assert_eq!(left(body), ["RefCast?", "I31Get", "I31Get"]);
    let tested = "(param eqref) (result i32)
        (if (result i32) (ref.test (ref i31) (local.get 0))
            (then (i31.get_s (ref.cast (ref i31) (local.get 0))))
            (else (i31.get_s (ref.cast (ref i31) (local.get 0)))))";
    assert_eq!(left(tested), ["RefTest?", "I31Get", "RefCast?", "I31Get"]);
    // Null may be what belongs.
    let null = "(param eqref) (result i32)
        (drop (ref.cast (ref null i31) (local.get 0))) (ref.test (ref i31) (local.get 0))";
    assert_eq!(left(null), ["RefCast?", "RefTest?"]);
    // A made one is one, but not under another name.
    let made = "(param i32 eqref) (result i32)
        (drop (ref.cast (ref i31) (ref.i31 (local.get 0)))) (ref.test (ref i31) (local.get 1))";
    assert_eq!(left(made), ["RefI31", "RefTest?"]);
}

#[test]
fn types_that_are_equal_but_declared_apart_are_never_told_apart() {
    let text = "(module
        (type $a (sub final (struct (field i32)))) (type $b (sub final (struct (field i32))))
        (func (param (ref $a)) (result i32)
            (drop (struct.get $a 0 (local.get 0)))
            (ref.test (ref $b) (local.get 0))))";
    let bytes = wat::parse_str(text).expect("it assembles");
    let (ops, clif) = compiler(Settings::default()).operations(&bytes).expect("it compiles").remove(0);
    assert!(ops.iter().any(|op| matches!(op, GcOp::RefTest { .. })), "{clif}");
}

#[test]
fn lengths_are_read_once_and_allocations_know_theirs() {
    let body = "(param (ref null $words)) (result i32)
        (i32.add (array.len (local.get 0)) (array.len (local.get 0)))";
    assert_eq!(left(body), ["ArrayLen?"]);
    let body = "(param i32) (result i32) (local (ref null $words))
        (local.set 1 (array.new_default $words (local.get 0)))
        (i32.add (array.len (local.get 1)) (array.get $words (local.get 1) (i32.const 0)))";
    assert_eq!(left(body), ["ArrayNewDefault", "ArrayGet"]);
}

#[test]
fn indices_that_were_checked_are_not_checked_again() {
    let again = "(param (ref $words) i32)
        (array.set $words (local.get 0) (local.get 1)
            (i32.add (array.get $words (local.get 0) (local.get 1)) (i32.const 1)))";
    assert_eq!(left(again), ["ArrayGet", "ArraySet!"]);
    let smaller = "(param (ref $fixed)) (result i32)
        (i32.add (array.get $fixed (local.get 0) (i32.const 5))
            (i32.add (array.get $fixed (local.get 0) (i32.const 4)) (array.get $fixed (local.get 0) (i32.const 6))))";
    assert_eq!(left(smaller), ["ArrayGet", "ArrayGet!", "ArrayGet"]);
    let made = "(param i32) (result i32) (local (ref null $words))
        (local.set 1 (array.new $words (local.get 0) (i32.const 8)))
        (i32.add (array.get $words (local.get 1) (i32.const 7)) (array.get $words (local.get 1) (i32.const 8)))";
    assert_eq!(left(made), ["ArrayNew", "ArrayGet!", "ArrayGet"]);
}

fn counting_loop(start: i32, test: &str, step: i32) -> String {
    format!(
        "(param $a (ref $words)) (result i32) (local $i i32) (local $n i32) (local $sum i32)
        (local.set $i (i32.const {start}))
        (local.set $n (array.len (local.get $a)))
        (block $done
            (loop $next
                (br_if $done (i32.eqz ({test} (local.get $i) (local.get $n))))
                (local.set $sum (i32.add (local.get $sum) (array.get $words (local.get $a) (local.get $i))))
                (local.set $i (i32.add (local.get $i) (i32.const {step})))
                (br $next)))
        (local.get $sum)"
    )
}

#[test]
fn a_counter_below_the_length_needs_no_check() {
    assert_eq!(left(&counting_loop(0, "i32.lt_s", 1)), ["ArrayLen", "ArrayGet!"]);
    assert_eq!(left(&counting_loop(3, "i32.lt_u", 5)), ["ArrayLen", "ArrayGet!"]);
    // Negative numbers, or steps that wrap around, need one.
    assert_eq!(left(&counting_loop(-1, "i32.lt_s", 1)), ["ArrayLen", "ArrayGet"]);
    assert_eq!(left(&counting_loop(0, "i32.lt_s", 2)), ["ArrayLen", "ArrayGet"]);
    assert_eq!(left(&counting_loop(0, "i32.lt_s", -1)), ["ArrayLen", "ArrayGet"]);
    assert_eq!(left(&counting_loop(0, "i32.le_s", 1)), ["ArrayLen", "ArrayGet"]);
    assert_eq!(left(&counting_loop(0, "i32.ne", 1)), ["ArrayLen", "ArrayGet"]);
}

#[test]
fn objects_that_do_not_escape_become_their_fields() {
    let body = "(param i32 i32) (result i32) (local $p (ref null $point))
        (local.set $p (struct.new $point (local.get 0) (local.get 1) (i32.const 1)))
        (i32.add (struct.get $point $x (local.get $p)) (struct.get $point $y (local.get $p)))";
    assert_eq!(left(body), [""; 0]);
    // A loop whose every round writes a field of an object from before the loop.
    let body = "(param $n i32) (result i32) (local $p (ref null $point))
        (local.set $p (struct.new_default $pixel))
        (loop $l
            (struct.set $point $x (local.get $p) (i32.add (struct.get $point $x (local.get $p)) (local.get $n)))
            (if (i32.and (local.get $n) (i32.const 1))
                (then (struct.set $point $y (local.get $p) (local.get $n))))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $l (local.get $n)))
        (i32.add (struct.get $point $x (local.get $p)) (struct.get $point $y (local.get $p)))";
    assert_eq!(left(body), [""; 0]);
    // One inside another.
    let body = "(param i32) (result i32)
        (struct.get $point $x (struct.get $box $to (struct.new $box (ref.null $point)
            (struct.new $point (local.get 0) (i32.const 2) (i32.const 3)))))";
    assert_eq!(left(body), [""; 0]);
    let off = Settings { scalar_replacement: false, ..Settings::default() };
    assert_eq!(left_with(off, body), ["StructNew", "StructNew"]);
}

#[test]
fn objects_that_escape_stay() {
    let stored = "(param (ref $box))
        (struct.set $box $in (local.get 0) (struct.new_default $point))";
    assert_eq!(left(stored), ["StructNewDefault", "StructSet"]);
    let returned = "(param i32) (result (ref $point))
        (struct.new $point (local.get 0) (local.get 0) (local.get 0))";
    assert_eq!(left(returned), ["StructNew"]);
    let merged = "(param (ref $point) i32) (result i32)
        (if (result (ref $point)) (local.get 1) (then (local.get 0)) (else (struct.new_default $point)))
        (struct.get $point $x)";
    assert_eq!(left(merged), ["StructNewDefault", "StructGet"]);
}

/// `count` conditions in a row, each of which may write a field of an object from before the first.
fn merges(count: usize) -> String {
    let arm = "(if (local.get $n) (then (struct.set $point $y (local.get $p) (local.get $n))))\n";
    format!(
        "(param $n i32) (result i32) (local $p (ref null $point))
        (local.set $p (struct.new_default $point))
        {}
        (i32.add (struct.get $point $x (local.get $p)) (struct.get $point $y (local.get $p)))",
        arm.repeat(count)
    )
}

#[test]
fn the_search_for_a_field_fits_a_small_stack() {
    let left_on_small_stack = |count: usize| {
        let text = format!("(module {TYPES} (func {}))", merges(count));
        let bytes = wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}"));
        let compile =
            move || compiler(Settings::default()).operations(&bytes).unwrap_or_else(|e| panic!("{e}")).remove(0).0;
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(compile).expect("a thread");
        thread.join().expect("the stack suffices").len()
    };
    assert_eq!(left_on_small_stack(60), 0);
    // Above the bound the object stays.
    assert!(left_on_small_stack(20_000) > 20_000);
}
