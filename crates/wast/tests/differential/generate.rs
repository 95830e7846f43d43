//! Random modules that build, change and read a graph of objects.
//!
//! Everything a module does is bounded and decided by its seed, so that any engine must give the same answers.

use std::fmt::Write;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Locals of each kind that statements choose from.
const LOCALS: u64 = 4;
const FUNCTIONS: u64 = 4;
/// How deep statements nest.
const DEPTH: u64 = 3;

const HEAD: &str = r#"(module
  (import "wasmtime" "gc" (func $gc))
  (rec
    (type $node (sub (struct (field (mut i8)) (field (mut (ref null $node))) (field (mut i64)) (field (mut anyref)))))
    (type $leaf (sub final $node
      (struct (field (mut i8)) (field (mut (ref null $node))) (field (mut i64)) (field (mut anyref))
        (field (mut i16)) (field (mut (ref null $refs))))))
    (type $refs (array (mut (ref null $node)))))
  (type $bytes (array (mut i8)))
  (tag $e (param i32 (ref null $node)))
  (memory (export "memory") 1)
  (table $t 8 anyref)
  (global $g (mut (ref null $node)) (ref.null $node))
  (global $count (export "count") (mut i32) (i32.const 0))
  ;; A number from everything that can be reached in a few steps.
  (func $digest (param $x anyref) (param $depth i32) (result i32) (local $h i32) (local $n (ref null $node)) (local $a (ref null $refs))
    (if (i32.eqz (local.get $depth)) (then (return (i32.const 1))))
    (if (ref.is_null (local.get $x)) (then (return (i32.const 2))))
    (if (ref.test (ref i31) (local.get $x)) (then (return (i31.get_s (ref.cast (ref i31) (local.get $x))))))
    (local.set $depth (i32.sub (local.get $depth) (i32.const 1)))
    (if (ref.test (ref $node) (local.get $x))
      (then
        (local.set $n (ref.cast (ref $node) (local.get $x)))
        (local.set $h (i32.add (struct.get_s $node 0 (local.get $n)) (i32.wrap_i64 (struct.get $node 2 (local.get $n)))))
        (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31)) (call $digest (struct.get $node 1 (local.get $n)) (local.get $depth))))
        (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31)) (call $digest (struct.get $node 3 (local.get $n)) (local.get $depth))))
        (if (ref.test (ref $leaf) (local.get $n))
          (then
            (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 31)) (struct.get_u $leaf 4 (ref.cast (ref $leaf) (local.get $n)))))
            (local.set $h
              (i32.add (i32.mul (local.get $h) (i32.const 31))
                (call $digest (struct.get $leaf 5 (ref.cast (ref $leaf) (local.get $n))) (local.get $depth))))))
        (return (local.get $h))))
    (if (ref.test (ref $refs) (local.get $x))
      (then
        (local.set $a (ref.cast (ref $refs) (local.get $x)))
        (local.set $h (array.len (local.get $a)))
        (return
          (i32.add (i32.mul (local.get $h) (i32.const 17))
            (call $digest (array.get $refs (local.get $a) (i32.shr_u (local.get $h) (i32.const 1))) (local.get $depth))))))
    (i32.const 3))
  (func (export "digest") (result i32) (local $i i32) (local $h i32)
    (loop $l
      (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 7)) (call $digest (table.get $t (local.get $i)) (i32.const 6))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8))))
    (i32.add (local.get $h) (call $digest (global.get $g) (i32.const 8))))
"#;

/// A script: a module and calls.
pub(crate) fn script(seed: u64) -> String {
    let mut random = Random(seed);
    let mut text = HEAD.to_owned();
    for f in 0..FUNCTIONS {
        let _ = write!(text, "  (func $f{f} (export \"f{f}\") (param $p i32) (param $q i32) (result i32)");
        for i in 0..LOCALS {
            let _ = write!(text, " (local $n{i} (ref null $node)) (local $a{i} (ref null $refs)) (local $x{i} anyref)");
        }
        for depth in 1..=DEPTH {
            let _ = write!(text, " (local $loop{depth} i32)");
        }
        text.push_str("\n    (if (i32.gt_u (global.get $count) (i32.const 400)) (then (return (i32.const 0))))\n");
        text.push_str("    (global.set $count (i32.add (global.get $count) (i32.const 1)))\n");
        for _ in 0..8 + random.below(16) {
            statement(&mut text, &mut random, f, DEPTH);
        }
        let (n, x) = (random.below(LOCALS), random.below(LOCALS));
        let _ = writeln!(
            text,
            "    (i32.add (call $digest (local.get $n{n}) (i32.const 5)) (call $digest (local.get $x{x}) (i32.const 5))))"
        );
    }
    text.push_str(")\n");
    for _ in 0..12 {
        let (f, p, q) = (random.below(FUNCTIONS), random.below(9), random.below(100));
        let _ = writeln!(text, "(invoke \"f{f}\" (i32.const {p}) (i32.const {q}))\n(invoke \"digest\")");
    }
    text
}

/// A statement; `depth` bounds how deep it nests.
fn statement(text: &mut String, random: &mut Random, f: u64, depth: u64) {
    let (i, j, k) = (random.below(LOCALS), random.below(LOCALS), random.below(LOCALS));
    let number = random.below(1 << 20);
    let nested = |text: &mut String, random: &mut Random| {
        for _ in 0..1 + random.below(3) {
            statement(text, random, f, depth - 1);
        }
    };
    // The last ones nest.
    let choice = random.below(if depth > 0 { 24 } else { 19 });
    let _ = match choice {
        0 | 1 => writeln!(
            text,
            "(local.set $n{i} (struct.new $node (local.get $p) (local.get $n{j}) (i64.const {number}) (local.get $x{k})))"
        ),
        2 => writeln!(
            text,
            "(local.set $n{i} (struct.new $leaf (i32.const {number}) (local.get $n{j}) (i64.extend_i32_s (local.get $q)) (local.get $n{k}) \
             (i32.const {number}) (local.get $a{k})))"
        ),
        3 => writeln!(text, "(local.set $a{i} (array.new $refs (local.get $n{j}) (i32.const {})))", 2 + number % 40),
        4 => writeln!(text, "(local.set $x{i} (ref.i31 (i32.add (local.get $q) (i32.const {number}))))"),
        5 => writeln!(text, "(local.set $x{i} (local.get $n{j}))"),
        6 => writeln!(text, "(local.set $x{i} (local.get $a{j}))"),
        7 => writeln!(
            text,
            "(if (i32.eqz (ref.is_null (local.get $n{i}))) (then (struct.set $node 1 (local.get $n{i}) (local.get $n{j}))))"
        ),
        8 => writeln!(
            text,
            "(if (i32.eqz (ref.is_null (local.get $n{i}))) (then (struct.set $node 3 (local.get $n{i}) (local.get $x{j}))))"
        ),
        9 => writeln!(
            text,
            "(if (i32.eqz (ref.is_null (local.get $n{i}))) (then (local.set $n{j} (struct.get $node 1 (local.get $n{i})))))"
        ),
        10 => writeln!(
            text,
            "(if (ref.test (ref $node) (local.get $x{i})) (then (local.set $n{j} (ref.cast (ref $node) (local.get $x{i})))))"
        ),
        11 => writeln!(
            text,
            "(if (i32.eqz (ref.is_null (local.get $a{i}))) (then (array.set $refs (local.get $a{i}) (i32.const {}) (local.get $n{j}))))",
            number % 2
        ),
        12 => writeln!(
            text,
            "(if (i32.eqz (ref.is_null (local.get $a{i}))) (then (array.copy $refs $refs (local.get $a{i}) (i32.const {}) (local.get $a{i}) \
             (i32.const {}) (i32.const 1)) (array.fill $refs (local.get $a{i}) (i32.const 0) (local.get $n{j}) (i32.const {}))))",
            number % 2,
            (number >> 1) % 2,
            (number >> 2) % 3
        ),
        13 => writeln!(text, "(table.set $t (i32.const {}) (local.get $x{i}))", number % 8),
        14 => writeln!(text, "(local.set $x{i} (table.get $t (i32.const {})))", number % 8),
        15 => writeln!(text, "(global.set $g (local.get $n{i}))"),
        16 => writeln!(
            text,
            "(local.set $n{i} (select (result (ref null $node)) (global.get $g) (local.get $n{j}) (local.get $p)))"
        ),
        17 => writeln!(text, "(call $gc)"),
        18 => {
            writeln!(text, "(i32.store (i32.const {}) (call $digest (local.get $n{i}) (i32.const 4)))", number % 65_532)
        }
        19 => {
            let _ = writeln!(text, "(if (i32.and (local.get $p) (i32.const {})) (then", 1 << (number % 3));
            nested(text, random);
            text.push_str(") (else\n");
            nested(text, random);
            writeln!(text, "))")
        }
        20 => {
            // A counter for each depth: an exception may leave a loop at any time.
            let _ = writeln!(text, "(local.set $loop{depth} (i32.const {})) (loop", 1 + number % 5);
            nested(text, random);
            writeln!(
                text,
                "(br_if 0 (i32.gt_s (local.tee $loop{depth} (i32.sub (local.get $loop{depth}) (i32.const 1))) (i32.const 0))))"
            )
        }
        21 | 22 => {
            // In the body an exception may be thrown, here or in a function called.
            let _ = writeln!(text, "(block $done (block $h (result i32 (ref null $node)) (try_table (catch $e $h)");
            nested(text, random);
            let _ = match (number % 3, f) {
                (0, _) | (1, 0) => writeln!(
                    text,
                    "(if (i32.and (local.get $q) (i32.const 1)) (then (throw $e (i32.const {number}) (local.get $n{j}))))"
                ),
                _ => writeln!(
                    text,
                    "(drop (call $f{} (i32.const {}) (local.get $q)))",
                    random.below(f.max(1)),
                    number % 8
                ),
            };
            writeln!(text, ") (br $done)) (local.set $n{k}) (local.set $q))")
        }
        _ => writeln!(
            text,
            "(if (i32.eq (local.get $q) (i32.const {})) (then (throw $e (local.get $p) (local.get $n{i}))))",
            number % 100
        ),
    };
}
