;; What a load gives after stores, calls, branches and loops that may have changed the place, where an optimiser is tempted to reuse what it
;; read before.

(module
  (type $cell (sub (struct (field $a (mut i32)) (field $b (mut i32)))))
  (type $wide (sub $cell (struct (field (mut i32)) (field (mut i32)) (field $c (mut i64)))))
  (type $ref (struct (field $r (mut (ref null $cell)))))
  (type $words (array (mut i32)))
  (type $bytes (array (mut i8)))
  (global $shared (mut (ref null $cell)) (ref.null $cell))

  (func $poke (struct.set $cell $a (global.get $shared) (i32.const 100)))

  ;; Two names of one object: the second store is seen through the first name, also by way of a subtype.
  (func $aliased (param $x (ref $cell)) (param $y (ref $cell)) (result i32)
    (struct.set $cell $a (local.get $x) (i32.const 1))
    (struct.set $cell $a (local.get $y) (i32.const 2))
    (struct.get $cell $a (local.get $x)))
  (func (export "aliased") (param $same i32) (result i32)
    (local $w (ref $wide))
    (local.set $w (struct.new $wide (i32.const 0) (i32.const 0) (i64.const 0)))
    (call $aliased (local.get $w)
      (if (result (ref $cell)) (local.get $same)
        (then (local.get $w)) (else (struct.new_default $cell)))))

  ;; A call changes what a global also names.
  (func (export "called") (result i32)
    (local $x (ref $cell))
    (local.set $x (struct.new $cell (i32.const 3) (i32.const 4)))
    (global.set $shared (local.get $x))
    (call $poke)
    (i32.add (struct.get $cell $a (local.get $x)) (struct.get $cell $b (local.get $x))))

  ;; A store in one arm, and in an inner loop, before the read behind both.
  (func (export "arms") (param $arm i32) (param $rounds i32) (result i32)
    (local $x (ref $cell))
    (local.set $x (struct.new $cell (i32.const 5) (i32.const 0)))
    (global.set $shared (local.get $x))
    (if (local.get $arm)
      (then
        (loop $again
          (struct.set $cell $a (global.get $shared)
            (i32.add (struct.get $cell $a (local.get $x)) (i32.const 1)))
          (local.set $rounds (i32.sub (local.get $rounds) (i32.const 1)))
          (br_if $again (i32.gt_s (local.get $rounds) (i32.const 0))))))
    (struct.get $cell $a (local.get $x)))

  ;; The read in the head of a loop sees the store in its end.
  (func (export "next-round") (param $n i32) (result i32)
    (local $x (ref $cell)) (local $y (ref null $cell)) (local $sum i32)
    (local.set $x (struct.new $cell (i32.const 1) (i32.const 0)))
    (global.set $shared (local.get $x))
    (local.set $y (global.get $shared))
    (loop $l
      (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 10)) (struct.get $cell $a (local.get $x))))
      (struct.set $cell $a (local.get $y) (i32.add (struct.get $cell $a (local.get $y)) (i32.const 1)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (local.get $n)))
    (local.get $sum))

  ;; References that were read before an allocation are used after it.
  (func (export "over-allocations") (param $n i32) (result i32)
    (local $x (ref $ref)) (local $sum i32)
    (local.set $x (struct.new $ref (struct.new $cell (i32.const 7) (i32.const 8))))
    (global.set $shared (struct.get $ref $r (local.get $x)))
    (loop $l
      (local.set $sum (i32.add (local.get $sum) (struct.get $cell $a (struct.get $ref $r (local.get $x)))))
      (global.set $shared (struct.new $cell (local.get $n) (local.get $sum)))
      (local.set $sum (i32.add (local.get $sum) (struct.get $cell $b (struct.get $ref $r (local.get $x)))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (local.get $n)))
    (local.get $sum))

  ;; Elements: an index that may be equal, a bulk store, a packed element.
  (func (export "elements") (param $i i32) (param $j i32) (result i32)
    (local $x (ref $words))
    (local.set $x (array.new $words (i32.const 1) (i32.const 4)))
    (array.set $words (local.get $x) (local.get $i) (i32.const 20))
    (array.set $words (local.get $x) (local.get $j) (i32.const 300))
    (i32.add (array.get $words (local.get $x) (local.get $i)) (array.get $words (local.get $x) (local.get $j))))
  (func (export "filled") (param $i i32) (result i32)
    (local $x (ref $words))
    (local.set $x (array.new_fixed $words 3 (i32.const 1) (i32.const 2) (i32.const 3)))
    (array.fill $words (local.get $x) (i32.const 1) (i32.const 9) (i32.const 2))
    (array.copy $words $words (local.get $x) (i32.const 0) (local.get $x) (i32.const 1) (i32.const 1))
    (array.get $words (local.get $x) (local.get $i)))
  (func (export "packed") (param $v i32) (result i32 i32)
    (local $x (ref $bytes))
    (local.set $x (array.new $bytes (local.get $v) (i32.const 2)))
    (array.set $bytes (local.get $x) (i32.const 1) (i32.add (local.get $v) (i32.const 1)))
    (array.get_u $bytes (local.get $x) (i32.const 1))
    (array.get_s $bytes (local.get $x) (i32.const 0)))

  ;; A counter that jumps over the length, one that goes below zero, and one that wraps: the check must be there.
  (func (export "over-the-end") (param $step i32) (result i32)
    (local $x (ref $words)) (local $i i32) (local $n i32) (local $sum i32)
    (local.set $x (array.new $words (i32.const 1) (i32.const 4)))
    (local.set $n (array.len (local.get $x)))
    (loop $l
      (if (i32.lt_s (local.get $i) (local.get $n))
        (then
          (local.set $sum (i32.add (local.get $sum) (array.get $words (local.get $x) (local.get $i))))
          (local.set $i (i32.add (local.get $i) (local.get $step)))
          (br $l))))
    (local.get $sum))
  (func (export "after-the-test") (result i32)
    (local $x (ref $words)) (local $i i32) (local $n i32)
    (local.set $x (array.new $words (i32.const 1) (i32.const 4)))
    (local.set $n (array.len (local.get $x)))
    (loop $l
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_s (local.get $i) (local.get $n))))
    (array.get $words (local.get $x) (local.get $i)))
)

(assert_return (invoke "aliased" (i32.const 1)) (i32.const 2))
(assert_return (invoke "aliased" (i32.const 0)) (i32.const 1))
(assert_return (invoke "called") (i32.const 104))
(assert_return (invoke "arms" (i32.const 0) (i32.const 0)) (i32.const 5))
(assert_return (invoke "arms" (i32.const 1) (i32.const 4)) (i32.const 9))
(assert_return (invoke "next-round" (i32.const 5)) (i32.const 12345))
(assert_return (invoke "over-allocations" (i32.const 10)) (i32.const 150))
(assert_return (invoke "elements" (i32.const 2) (i32.const 2)) (i32.const 600))
(assert_return (invoke "elements" (i32.const 1) (i32.const 2)) (i32.const 320))
(assert_trap (invoke "elements" (i32.const 1) (i32.const 4)) "out of bounds array access")
(assert_return (invoke "filled" (i32.const 0)) (i32.const 9))
(assert_return (invoke "filled" (i32.const 2)) (i32.const 9))
(assert_return (invoke "packed" (i32.const 255)) (i32.const 0) (i32.const -1))
(assert_return (invoke "packed" (i32.const 127)) (i32.const 128) (i32.const 127))
(assert_return (invoke "over-the-end" (i32.const 1)) (i32.const 4))
(assert_return (invoke "over-the-end" (i32.const 3)) (i32.const 2))
(assert_trap (invoke "over-the-end" (i32.const -1)) "out of bounds array access")
(assert_trap (invoke "over-the-end" (i32.const 0x80000001)) "out of bounds array access")
(assert_trap (invoke "after-the-test") "out of bounds array access")
