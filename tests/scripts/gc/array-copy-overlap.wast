;; array.copy within one array, in both directions, for every width and for references; what was read must be as it was before the copy,
;; and each reference must stay counted exactly as often as it is held.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $box (struct (field i32)))
  (type $refs (array (mut (ref null $box))))
  (type $i8 (array (mut i8)))
  (type $i16 (array (mut i16)))
  (type $i64 (array (mut i64)))
  (type $v128 (array (mut v128)))
  (type $eqs (array (mut eqref)))

  ;; An array of `n` boxes of 1 … n.
  (func $boxes (param $n i32) (result (ref $refs)) (local $a (ref $refs)) (local $i i32)
    (local.set $a (array.new_default $refs (local.get $n)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (array.set $refs (local.get $a) (local.get $i) (struct.new $box (i32.add (local.get $i) (i32.const 1))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $a))
  ;; The elements as one number, in base 31; null is 0.
  (func $digest (param $a (ref $refs)) (result i32) (local $i i32) (local $h i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (array.len (local.get $a))))
        (local.set $h
          (i32.add
            (i32.mul (local.get $h) (i32.const 31))
            (block $value (result i32)
              (block $null
                (br $value (struct.get $box 0 (br_on_null $null (array.get $refs (local.get $a) (local.get $i))))))
              (i32.const 0))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $h))
  ;; What the copy must give, computed element by element through a second array.
  (func $expected (param $n i32) (param $to i32) (param $from i32) (param $len i32) (result i32)
    (local $a (ref $refs)) (local $b (ref $refs)) (local $i i32)
    (local.set $a (call $boxes (local.get $n)))
    (local.set $b (call $boxes (local.get $n)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
        (array.set $refs (local.get $b) (i32.add (local.get $to) (local.get $i))
          (array.get $refs (local.get $a) (i32.add (local.get $from) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (call $digest (local.get $b)))
  ;; Twice the same copy and its reverse, with collections between, then all read.
  (func $refs (param $n i32) (param $to i32) (param $from i32) (param $len i32) (result i32)
    (local $a (ref $refs))
    (local.set $a (call $boxes (local.get $n)))
    (call $gc)
    (array.copy $refs $refs (local.get $a) (local.get $to) (local.get $a) (local.get $from) (local.get $len))
    (call $gc)
    (i32.eq
      (call $digest (local.get $a))
      (call $expected (local.get $n) (local.get $to) (local.get $from) (local.get $len))))
  (func (export "refs") (param i32 i32 i32 i32) (result i32)
    (call $refs (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  ;; Each pair of places and each length in an array of 6.
  (func (export "all refs") (result i32) (local $to i32) (local $from i32) (local $len i32) (local $bad i32)
    (loop $t
      (local.set $from (i32.const 0))
      (loop $f
        (local.set $len (i32.const 0))
        (loop $l
          (if (i32.eqz (call $refs (i32.const 6) (local.get $to) (local.get $from) (local.get $len)))
            (then (local.set $bad (i32.add (local.get $bad) (i32.const 1)))))
          (local.set $len (i32.add (local.get $len) (i32.const 1)))
          (br_if $l
            (i32.and
              (i32.le_u (i32.add (local.get $to) (local.get $len)) (i32.const 6))
              (i32.le_u (i32.add (local.get $from) (local.get $len)) (i32.const 6)))))
        (br_if $f (i32.le_u (local.tee $from (i32.add (local.get $from) (i32.const 1))) (i32.const 6))))
      (br_if $t (i32.le_u (local.tee $to (i32.add (local.get $to) (i32.const 1))) (i32.const 6))))
    (local.get $bad))
  ;; Shifted one by one until only copies of one box are left; then that is overwritten too.
  (func (export "shift down") (param $n i32) (result i32) (local $a (ref $refs)) (local $i i32)
    (local.set $a (call $boxes (local.get $n)))
    (local.set $i (local.get $n))
    (loop $next
      (array.copy $refs $refs (local.get $a) (i32.const 0) (local.get $a) (i32.const 1)
        (i32.sub (local.get $n) (i32.const 1)))
      (call $gc)
      (br_if $next (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (local.set $i (struct.get $box 0 (array.get $refs (local.get $a) (i32.const 0))))
    (array.fill $refs (local.get $a) (i32.const 0) (ref.null $box) (local.get $n))
    (call $gc)
    (i32.add (local.get $i) (call $digest (local.get $a))))
  (func (export "shift up") (param $n i32) (result i32) (local $a (ref $refs)) (local $i i32)
    (local.set $a (call $boxes (local.get $n)))
    (local.set $i (local.get $n))
    (loop $next
      (array.copy $refs $refs (local.get $a) (i32.const 1) (local.get $a) (i32.const 0)
        (i32.sub (local.get $n) (i32.const 1)))
      (call $gc)
      (br_if $next (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (i32.add
      (i32.mul (struct.get $box 0 (array.get $refs (local.get $a) (i32.const 0))) (i32.const 100))
      (struct.get $box 0 (array.get $refs (local.get $a) (i32.sub (local.get $n) (i32.const 1))))))
  ;; Onto itself.
  (func (export "same place") (result i32) (local $a (ref $refs))
    (local.set $a (call $boxes (i32.const 5)))
    (array.copy $refs $refs (local.get $a) (i32.const 0) (local.get $a) (i32.const 0) (i32.const 5))
    (call $gc)
    (array.copy $refs $refs (local.get $a) (i32.const 2) (local.get $a) (i32.const 2) (i32.const 3))
    (call $gc)
    (i32.eq (call $digest (local.get $a)) (call $digest (call $boxes (i32.const 5)))))
  ;; From an array of a subtype to one of its supertype, whose old contents go.
  (func (export "to supertype") (result i32) (local $a (ref $refs)) (local $e (ref $eqs))
    (local.set $a (call $boxes (i32.const 8)))
    (local.set $e (array.new $eqs (struct.new $box (i32.const 77)) (i32.const 10)))
    (array.copy $eqs $refs (local.get $e) (i32.const 1) (local.get $a) (i32.const 0) (i32.const 8))
    (local.set $a (call $boxes (i32.const 1)))
    (call $gc)
    (i32.add
      (i32.add
        (struct.get $box 0 (ref.cast (ref $box) (array.get $eqs (local.get $e) (i32.const 0))))
        (struct.get $box 0 (ref.cast (ref $box) (array.get $eqs (local.get $e) (i32.const 8)))))
      (ref.eq (array.get $eqs (local.get $e) (i32.const 0)) (array.get $eqs (local.get $e) (i32.const 9)))))

  (func (export "i8") (param $to i32) (param $from i32) (param $len i32) (result i32)
    (local $a (ref $i8)) (local $i i32) (local $h i32)
    (local.set $a (array.new_default $i8 (i32.const 10)))
    (loop $next
      (array.set $i8 (local.get $a) (local.get $i) (local.get $i))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (array.copy $i8 $i8 (local.get $a) (local.get $to) (local.get $a) (local.get $from) (local.get $len))
    (local.set $i (i32.const 0))
    (loop $next
      (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 10)) (array.get_u $i8 (local.get $a) (local.get $i))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (local.get $h))
  (func (export "i16") (param $to i32) (param $from i32) (param $len i32) (result i32)
    (local $a (ref $i16)) (local $i i32) (local $h i32)
    (local.set $a (array.new_default $i16 (i32.const 10)))
    (loop $next
      (array.set $i16 (local.get $a) (local.get $i) (local.get $i))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (array.copy $i16 $i16 (local.get $a) (local.get $to) (local.get $a) (local.get $from) (local.get $len))
    (local.set $i (i32.const 0))
    (loop $next
      (local.set $h (i32.add (i32.mul (local.get $h) (i32.const 10)) (array.get_u $i16 (local.get $a) (local.get $i))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (local.get $h))
  (func (export "i64") (param $to i32) (param $from i32) (param $len i32) (result i64)
    (local $a (ref $i64)) (local $i i32) (local $h i64)
    (local.set $a (array.new_default $i64 (i32.const 10)))
    (loop $next
      (array.set $i64 (local.get $a) (local.get $i) (i64.extend_i32_u (local.get $i)))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (array.copy $i64 $i64 (local.get $a) (local.get $to) (local.get $a) (local.get $from) (local.get $len))
    (local.set $i (i32.const 0))
    (loop $next
      (local.set $h (i64.add (i64.mul (local.get $h) (i64.const 10)) (array.get $i64 (local.get $a) (local.get $i))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (local.get $h))
  (func (export "v128") (param $to i32) (param $from i32) (param $len i32) (result i32)
    (local $a (ref $v128)) (local $i i32) (local $h i32)
    (local.set $a (array.new_default $v128 (i32.const 10)))
    (loop $next
      (array.set $v128 (local.get $a) (local.get $i) (i32x4.splat (local.get $i)))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (array.copy $v128 $v128 (local.get $a) (local.get $to) (local.get $a) (local.get $from) (local.get $len))
    (local.set $i (i32.const 0))
    (loop $next
      (local.set $h
        (i32.add (i32.mul (local.get $h) (i32.const 10)) (i32x4.extract_lane 3 (array.get $v128 (local.get $a) (local.get $i)))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
    (local.get $h)))

(assert_return (invoke "refs" (i32.const 6) (i32.const 1) (i32.const 0) (i32.const 5)) (i32.const 1))
(assert_return (invoke "refs" (i32.const 6) (i32.const 0) (i32.const 1) (i32.const 5)) (i32.const 1))
(assert_return (invoke "refs" (i32.const 100) (i32.const 3) (i32.const 0) (i32.const 97)) (i32.const 1))
(assert_return (invoke "refs" (i32.const 100) (i32.const 0) (i32.const 3) (i32.const 97)) (i32.const 1))
(assert_return (invoke "refs" (i32.const 100) (i32.const 50) (i32.const 0) (i32.const 50)) (i32.const 1))
(assert_return (invoke "all refs") (i32.const 0))
(assert_return (invoke "shift down" (i32.const 20)) (i32.const 20))
(assert_return (invoke "shift up" (i32.const 20)) (i32.const 101))
(assert_return (invoke "same place") (i32.const 1))
(assert_return (invoke "to supertype") (i32.const 86))
(assert_return (invoke "i8" (i32.const 1) (i32.const 0) (i32.const 9)) (i32.const 12345678))
(assert_return (invoke "i8" (i32.const 0) (i32.const 1) (i32.const 9)) (i32.const 1234567899))
(assert_return (invoke "i16" (i32.const 3) (i32.const 0) (i32.const 7)) (i32.const 120123456))
(assert_return (invoke "i16" (i32.const 0) (i32.const 2) (i32.const 7)) (i32.const 2_345_678_789))
(assert_return (invoke "i64" (i32.const 1) (i32.const 0) (i32.const 9)) (i64.const 12345678))
(assert_return (invoke "i64" (i32.const 0) (i32.const 2) (i32.const 7)) (i64.const 2345678789))
(assert_return (invoke "v128" (i32.const 1) (i32.const 0) (i32.const 9)) (i32.const 12345678))
(assert_return (invoke "v128" (i32.const 0) (i32.const 1) (i32.const 9)) (i32.const 1234567899))
