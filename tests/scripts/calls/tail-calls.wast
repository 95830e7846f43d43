;; Tail calls with more stack arguments than the caller has, with fewer, with references among them, through every kind of call; in constant
;; stack.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $box (struct (field i32)))
  (func $value (param anyref) (result i32) (struct.get $box 0 (ref.cast (ref $box) (local.get 0))))
  (type $wide
    (func (param i32 anyref i64 anyref f64 anyref i32 anyref i64 anyref f32 anyref i32 anyref i64 anyref i32 anyref i32 anyref i32)
      (result i32)))
  (type $narrow (func (param i32) (result i32)))
  (table $t 4 funcref)
  (elem (table $t) (i32.const 0) func $wide $narrow)

  ;; Ten references of weight 1 … 10 and the rest of the numbers.
  (func $wide (type $wide)
    (call $gc)
    (i32.add
      (i32.add
        (i32.add
          (i32.add (call $value (local.get 1)) (i32.mul (i32.const 2) (call $value (local.get 3))))
          (i32.add
            (i32.mul (i32.const 3) (call $value (local.get 5)))
            (i32.mul (i32.const 4) (call $value (local.get 7)))))
        (i32.add
          (i32.add
            (i32.mul (i32.const 5) (call $value (local.get 9)))
            (i32.mul (i32.const 6) (call $value (local.get 11))))
          (i32.add
            (i32.mul (i32.const 7) (call $value (local.get 13)))
            (i32.mul (i32.const 8) (call $value (local.get 15))))))
      (i32.add
        (i32.add
          (i32.add
            (i32.mul (i32.const 9) (call $value (local.get 17)))
            (i32.mul (i32.const 10) (call $value (local.get 19))))
          (i32.add (local.get 0) (i32.wrap_i64 (local.get 2))))
        (i32.add
          (i32.add (i32.trunc_f64_s (local.get 4)) (local.get 6))
          (i32.add
            (i32.add (i32.wrap_i64 (local.get 8)) (i32.trunc_f32_s (local.get 10)))
            (i32.add
              (i32.add (local.get 12) (i32.wrap_i64 (local.get 14)))
              (i32.add (local.get 16) (i32.add (local.get 18) (local.get 20)))))))))
  (func $narrow (type $narrow)
    (call $gc)
    (local.get 0))
  (func $box (param i32) (result anyref) (struct.new $box (local.get 0)))
  (func $null (result (ref null $wide)) (ref.null $wide))

  ;; From one argument in a register to many on the stack.
  (func (export "widen") (param $n i32) (result i32)
    (return_call $wide
      (i32.const 1000) (call $box (local.get $n)) (i64.const 1000) (call $box (i32.const 1)) (f64.const 1000)
      (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i64.const 1000) (call $box (i32.const 1))
      (f32.const 1000) (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i64.const 1000)
      (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1))
      (i32.const 1000)))
  (func (export "widen ref") (param $n i32) (result i32)
    (local $f (ref $wide))
    (local.set $f (ref.func $wide))
    (return_call_ref $wide
      (i32.const 1000) (call $box (local.get $n)) (i64.const 1000) (call $box (i32.const 1)) (f64.const 1000)
      (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i64.const 1000) (call $box (i32.const 1))
      (f32.const 1000) (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i64.const 1000)
      (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1))
      (i32.const 1000) (local.get $f)))
  (func (export "widen indirect") (param $n i32) (param $at i32) (result i32)
    (return_call_indirect $t (type $wide)
      (i32.const 1000) (call $box (local.get $n)) (i64.const 1000) (call $box (i32.const 1)) (f64.const 1000)
      (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i64.const 1000) (call $box (i32.const 1))
      (f32.const 1000) (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i64.const 1000)
      (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1)) (i32.const 1000) (call $box (i32.const 1))
      (i32.const 1000) (local.get $at)))
  (func (export "null") (result i32)
    (return_call_ref $narrow (i32.const 1) (ref.null $narrow)))

  ;; The many, in another order each round; the sum of products is taken at the end.
  (func $rotate (type $wide)
    (if (i32.eqz (local.get 0))
      (then
        (return_call $wide
          (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6) (local.get 7)
          (local.get 8) (local.get 9) (local.get 10) (local.get 11) (local.get 12) (local.get 13) (local.get 14)
          (local.get 15) (local.get 16) (local.get 17) (local.get 18) (local.get 19) (local.get 20))))
    (return_call $rotate
      (i32.sub (local.get 0) (i32.const 1))
      (local.get 3) (local.get 8) (local.get 5) (local.get 4) (local.get 7) (local.get 12) (local.get 9) (local.get 14)
      (local.get 11) (local.get 10) (local.get 13) (local.get 16) (local.get 15) (local.get 2) (local.get 17)
      (local.get 18) (local.get 19) (local.get 20)
      (struct.new $box (call $value (local.get 1)))
      (local.get 6)))
  (func (export "rotate") (param $n i32) (result i32)
    (call $rotate
      (local.get $n) (call $box (i32.const 1)) (i64.const 10) (call $box (i32.const 2)) (f64.const 20)
      (call $box (i32.const 3)) (i32.const 30) (call $box (i32.const 4)) (i64.const 40) (call $box (i32.const 5))
      (f32.const 50) (call $box (i32.const 6)) (i32.const 60) (call $box (i32.const 7)) (i64.const 70)
      (call $box (i32.const 8)) (i32.const 80) (call $box (i32.const 9)) (i32.const 90) (call $box (i32.const 10))
      (i32.const 100)))

  ;; From many to few.
  (func $shrink (type $wide)
    (return_call $narrow (i32.add (local.get 20) (call $value (local.get 19)))))
  (func (export "shrink") (result i32)
    (i32.add (i32.const 5)
      (call $shrink
        (i32.const 1) (call $box (i32.const 1)) (i64.const 10) (call $box (i32.const 2)) (f64.const 20)
        (call $box (i32.const 3)) (i32.const 30) (call $box (i32.const 4)) (i64.const 40) (call $box (i32.const 5))
        (f32.const 50) (call $box (i32.const 6)) (i32.const 60) (call $box (i32.const 7)) (i64.const 70)
        (call $box (i32.const 8)) (i32.const 80) (call $box (i32.const 9)) (i32.const 90) (call $box (i32.const 10))
        (i32.const 100))))

  ;; Back and forth between few and many, many times: a frame that grew would overflow the stack.
  (func $few (param $n i32) (param $x anyref) (result i32)
    (if (i32.eqz (local.get $n)) (then (return (call $value (local.get $x)))))
    (return_call $lots
      (local.get $n) (local.get $x) (i64.const 1) (local.get $x) (f64.const 2) (local.get $x) (i32.const 3) (local.get $x)
      (i64.const 4) (local.get $x) (f32.const 5) (local.get $x) (i32.const 6) (local.get $x) (i64.const 7) (local.get $x)
      (i32.const 8) (local.get $x) (i32.const 9) (local.get $x) (i32.const 10)))
  (func $lots (type $wide)
    (if (i32.ne (i32.add (local.get 18) (local.get 20)) (i32.const 19)) (then (unreachable)))
    (if (i32.eqz (ref.eq (ref.cast eqref (local.get 1)) (ref.cast eqref (local.get 19)))) (then (unreachable)))
    (return_call $few (i32.sub (local.get 0) (i32.const 1)) (local.get 13)))
  (func (export "ping pong") (param i32) (result i32)
    (call $few (local.get 0) (call $box (i32.const 77))))
  (func $even (param $n i64) (result i32)
    (if (i64.eqz (local.get $n)) (then (return (i32.const 1))))
    (return_call_indirect $u (param i64) (result i32) (i64.sub (local.get $n) (i64.const 1)) (i32.const 1)))
  (func $odd (param $n i64) (result i32)
    (if (i64.eqz (local.get $n)) (then (return (i32.const 0))))
    (return_call_ref $parity (i64.sub (local.get $n) (i64.const 1)) (ref.func $even)))
  (type $parity (func (param i64) (result i32)))
  (table $u funcref (elem $even $odd))
  (func (export "even") (param i64) (result i32) (return_call $even (local.get 0)))
  ;; A tail call to a host function.
  (func (export "host") (return_call $gc)))

;; 20 of weight 2 … 10, and eleven thousands.
(assert_return (invoke "widen" (i32.const 1)) (i32.const 11055))
(assert_return (invoke "widen" (i32.const 101)) (i32.const 11155))
(assert_return (invoke "widen ref" (i32.const 101)) (i32.const 11155))
(assert_return (invoke "widen indirect" (i32.const 101) (i32.const 0)) (i32.const 11155))
(assert_trap (invoke "widen indirect" (i32.const 101) (i32.const 1)) "indirect call type mismatch")
(assert_trap (invoke "widen indirect" (i32.const 101) (i32.const 2)) "uninitialized element")
(assert_trap (invoke "widen indirect" (i32.const 101) (i32.const 4)) "undefined element")
(assert_trap (invoke "null") "null function reference")
;; The references rotate by one, the numbers stay the same altogether.
(assert_return (invoke "rotate" (i32.const 0)) (i32.const 935))
(assert_return (invoke "rotate" (i32.const 1)) (i32.const 890))
(assert_return (invoke "rotate" (i32.const 10)) (i32.const 935))
(assert_return (invoke "rotate" (i32.const 51)) (i32.const 890))
(assert_return (invoke "shrink") (i32.const 115))
(assert_return (invoke "ping pong" (i32.const 1)) (i32.const 77))
(assert_return (invoke "ping pong" (i32.const 100_000)) (i32.const 77))
(assert_return (invoke "even" (i64.const 100_000)) (i32.const 1))
(assert_return (invoke "even" (i64.const 100_001)) (i32.const 0))
(assert_return (invoke "host"))
