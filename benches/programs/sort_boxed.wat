;; Sort of boxed values: a merge sort of an array of objects with a comparator that is a function reference and casts.
;; n: objects.
;; check: each value times its place in the sorted order, summed; traps when the order is wrong.
;; bench: n=300000
(module $sort_boxed
  (rec
    (type $object (sub (struct)))
    (type $box (sub final $object (struct (field $value i32)))))
  (type $objects (array (mut (ref null $object))))
  (type $comparator (func (param (ref null $object) (ref null $object)) (result i32)))
  (elem declare func $by_value)

  (func $by_value (type $comparator) (param $a (ref null $object)) (param $b (ref null $object)) (result i32)
    (local $x i32) (local $y i32)
    (local.set $x (struct.get $box $value (ref.cast (ref $box) (local.get $a))))
    (local.set $y (struct.get $box $value (ref.cast (ref $box) (local.get $b))))
    (i32.sub (i32.gt_s (local.get $x) (local.get $y)) (i32.lt_s (local.get $x) (local.get $y))))

  (func $sort (param $a (ref $objects)) (param $scratch (ref $objects)) (param $low i32) (param $high i32)
              (param $compare (ref $comparator))
    (local $middle i32) (local $i i32) (local $j i32) (local $k i32)
    (if (i32.lt_u (i32.sub (local.get $high) (local.get $low)) (i32.const 2)) (then (return)))
    (local.set $middle (i32.shr_u (i32.add (local.get $low) (local.get $high)) (i32.const 1)))
    (call $sort (local.get $a) (local.get $scratch) (local.get $low) (local.get $middle) (local.get $compare))
    (call $sort (local.get $a) (local.get $scratch) (local.get $middle) (local.get $high) (local.get $compare))
    (local.set $i (local.get $low))
    (local.set $j (local.get $middle))
    (local.set $k (local.get $low))
    (block $done
      (loop $merge
        (br_if $done (i32.ge_u (local.get $i) (local.get $middle)))
        (br_if $done (i32.ge_u (local.get $j) (local.get $high)))
        (if
          (i32.le_s
            (call_ref $comparator
              (array.get $objects (local.get $a) (local.get $i))
              (array.get $objects (local.get $a) (local.get $j))
              (local.get $compare))
            (i32.const 0))
          (then
            (array.set $objects (local.get $scratch) (local.get $k) (array.get $objects (local.get $a) (local.get $i)))
            (local.set $i (i32.add (local.get $i) (i32.const 1))))
          (else
            (array.set $objects (local.get $scratch) (local.get $k) (array.get $objects (local.get $a) (local.get $j)))
            (local.set $j (i32.add (local.get $j) (i32.const 1)))))
        (local.set $k (i32.add (local.get $k) (i32.const 1)))
        (br $merge)))
    ;; What is left of the right half stands where it belongs; what is left of the left half goes behind what was merged.
    (array.copy $objects $objects
      (local.get $a) (local.get $k)
      (local.get $a) (local.get $i) (i32.sub (local.get $middle) (local.get $i)))
    (array.copy $objects $objects
      (local.get $a) (local.get $low)
      (local.get $scratch) (local.get $low) (i32.sub (local.get $k) (local.get $low))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $a (ref $objects)) (local $i i32) (local $seed i32) (local $check i32)
    (local $value i32) (local $before i32)
    (local.set $a (array.new_default $objects (local.get $n)))
    (local.set $seed (i32.const 12345))
    (block $filled
      (loop $fill
        (br_if $filled (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $seed
          (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 1013904223)))
        (array.set $objects (local.get $a) (local.get $i)
          (struct.new $box (i32.shr_s (local.get $seed) (i32.const 8))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $fill)))
    (call $sort (local.get $a) (array.new_default $objects (local.get $n))
      (i32.const 0) (local.get $n) (ref.func $by_value))
    (local.set $i (i32.const 0))
    (local.set $before (i32.const 0x80000000))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $value
          (struct.get $box $value (ref.cast (ref $box) (array.get $objects (local.get $a) (local.get $i)))))
        (if (i32.lt_s (local.get $value) (local.get $before)) (then (unreachable)))
        (local.set $before (local.get $value))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (local.set $check
          (i32.add (local.get $check) (i32.mul (local.get $value) (local.get $i))))
        (br $next)))
    (local.get $check)))
