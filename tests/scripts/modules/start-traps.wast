;; Start functions and initialisers that trap, throw or run out of stack: the instance is none, but what it did to others stays, and
;; what it left in shared tables and globals can be used.

(module $shared
  (type $s (struct (field (mut i32)) (field (ref null $s))))
  (type $f (func (result i32)))
  (import "wasmtime" "gc" (func $gc))
  (table $t (export "t") 10 funcref)
  (table $o (export "o") 10 anyref)
  (global $g (export "g") (mut anyref) (ref.null any))
  (memory (export "m") 1)
  (tag (export "e") (param (ref null $s)))
  (func (export "call") (param i32) (result i32) (call $gc) (call_indirect $t (type $f) (local.get 0)))
  (func (export "global") (result i32) (call $gc) (struct.get $s 0 (ref.cast (ref $s) (global.get $g))))
  (func (export "object") (param i32) (result i32)
    (call $gc)
    (struct.get $s 0 (ref.cast (ref $s) (table.get $o (local.get 0)))))
  (func (export "byte") (param i32) (result i32) (i32.load8_u (local.get 0))))
(register "shared" $shared)

(assert_trap
  (module
    (type $s (struct (field (mut i32)) (field (ref null $s))))
    (import "shared" "t" (table $t 10 funcref))
    (import "shared" "o" (table $o 10 anyref))
    (import "shared" "g" (global $g (mut anyref)))
    (import "shared" "m" (memory 1))
    (data (i32.const 5) "\2a")
    (global $own (ref $s) (struct.new $s (i32.const 41) (ref.null $s)))
    (func $f (result i32) (struct.set $s 0 (global.get $own) (i32.add (struct.get $s 0 (global.get $own)) (i32.const 1)))
      (struct.get $s 0 (global.get $own)))
    (elem (table $t) (i32.const 1) func $f)
    (elem (table $o) (i32.const 2) anyref (item (struct.new $s (i32.const 7) (ref.null $s))))
    (func $start
      (global.set $g (struct.new $s (i32.const 9) (global.get $own)))
      (unreachable))
    (start $start))
  "unreachable")
(assert_return (invoke "call" (i32.const 1)) (i32.const 42))
(assert_return (invoke "call" (i32.const 1)) (i32.const 43))
(assert_return (invoke "global") (i32.const 9))
(assert_return (invoke "object" (i32.const 2)) (i32.const 7))
(assert_return (invoke "byte" (i32.const 5)) (i32.const 42))

;; Segments are applied one after the other until one does not fit; the start function is not reached.
(assert_trap
  (module
    (type $s (struct (field (mut i32)) (field (ref null $s))))
    (import "shared" "o" (table $o 10 anyref))
    (import "shared" "g" (global $g (mut anyref)))
    (elem (table $o) (i32.const 3) anyref (item (struct.new $s (i32.const 33) (ref.null $s))))
    (elem (table $o) (i32.const 9) anyref
      (item (struct.new $s (i32.const 99) (ref.null $s))) (item (struct.new $s (i32.const 100) (ref.null $s))))
    (func $start (global.set $g (ref.null any)))
    (start $start))
  "out of bounds table access")
(assert_return (invoke "object" (i32.const 3)) (i32.const 33))
(assert_trap (invoke "object" (i32.const 9)) "cast failure")
(assert_return (invoke "global") (i32.const 9))
(assert_trap
  (module
    (import "shared" "m" (memory 1))
    (data (i32.const 6) "\07")
    (data (i32.const 65535) "ab"))
  "out of bounds memory access")
(assert_return (invoke "byte" (i32.const 6)) (i32.const 7))

;; A trap in the start function behind calls, with references live.
(assert_trap
  (module
    (type $s (struct (field (mut i32)) (field (ref null $s))))
    (import "shared" "g" (global $g (mut anyref)))
    (func $deep (param $n i32) (param $x (ref null $s)) (result i32)
      (global.set $g (struct.new $s (local.get $n) (local.get $x)))
      (if (i32.eqz (local.get $n)) (then (return (struct.get $s 0 (ref.null $s)))))
      (i32.add
        (call $deep (i32.sub (local.get $n) (i32.const 1)) (ref.cast (ref $s) (global.get $g)))
        (struct.get $s 0 (local.get $x))))
    (func $start (drop (call $deep (i32.const 20) (ref.null $s))))
    (start $start))
  "null structure reference")
(assert_return (invoke "global") (i32.const 0))

;; An endless recursion in the start function.
(assert_trap
  (module
    (type $s (struct (field (mut i32)) (field (ref null $s))))
    (import "shared" "g" (global $g (mut anyref)))
    (func $f (param (ref $s))
      (global.set $g (local.get 0))
      (call $f (local.get 0))
      (global.set $g (local.get 0)))
    (func $start (call $f (struct.new $s (i32.const 77) (ref.null $s))))
    (start $start))
  "call stack exhausted")
(assert_return (invoke "global") (i32.const 77))

;; A start function that is imported, and one that throws and catches.
(module
  (type $s (struct (field (mut i32)) (field (ref null $s))))
  (import "wasmtime" "gc" (func $gc))
  (start $gc))
(module
  (type $s (struct (field (mut i32)) (field (ref null $s))))
  (import "shared" "g" (global $g (mut anyref)))
  (import "shared" "e" (tag $e (param (ref null $s))))
  (func $start
    (block $h (result (ref null $s))
      (try_table (catch $e $h) (throw $e (struct.new $s (i32.const 55) (ref.null $s))))
      (unreachable))
    (global.set $g))
  (start $start))
(assert_return (invoke $shared "global") (i32.const 55))
