;; Array copy and fill, of scalars of each size and of references; within one array, overlapping both ways, and between two.
;; n: rounds over arrays of 4,096 elements.
;; check: some elements of each array after each round, folded.
;; bench: n=20000
(module $bulk_arrays
  (type $bytes (array (mut i8)))
  (type $shorts (array (mut i16)))
  (type $ints (array (mut i32)))
  (type $longs (array (mut i64)))
  (type $box (struct (field $value i32)))
  (type $boxes (array (mut (ref null $box))))

  (func $bytes (param $a (ref $bytes)) (param $b (ref $bytes)) (param $r i32) (result i32)
    (array.fill $bytes (local.get $a) (i32.and (local.get $r) (i32.const 1023)) (local.get $r) (i32.const 3000))
    (array.copy $bytes $bytes (local.get $b) (i32.const 7) (local.get $a) (i32.const 0) (i32.const 4000))
    (array.copy $bytes $bytes (local.get $b) (i32.const 1) (local.get $b) (i32.const 0) (i32.const 4000))
    (array.copy $bytes $bytes (local.get $a) (i32.const 0) (local.get $b) (i32.const 3) (i32.const 2000))
    (i32.add
      (array.get_u $bytes (local.get $a) (i32.const 1000))
      (array.get_u $bytes (local.get $b) (i32.const 3500))))

  (func $shorts (param $a (ref $shorts)) (param $b (ref $shorts)) (param $r i32) (result i32)
    (array.fill $shorts (local.get $a) (i32.and (local.get $r) (i32.const 1023)) (local.get $r) (i32.const 3000))
    (array.copy $shorts $shorts (local.get $b) (i32.const 7) (local.get $a) (i32.const 0) (i32.const 4000))
    (array.copy $shorts $shorts (local.get $b) (i32.const 1) (local.get $b) (i32.const 0) (i32.const 4000))
    (array.copy $shorts $shorts (local.get $a) (i32.const 0) (local.get $b) (i32.const 3) (i32.const 2000))
    (i32.add
      (array.get_u $shorts (local.get $a) (i32.const 1000))
      (array.get_u $shorts (local.get $b) (i32.const 3500))))

  (func $ints (param $a (ref $ints)) (param $b (ref $ints)) (param $r i32) (result i32)
    (array.fill $ints (local.get $a) (i32.and (local.get $r) (i32.const 1023)) (local.get $r) (i32.const 3000))
    (array.copy $ints $ints (local.get $b) (i32.const 7) (local.get $a) (i32.const 0) (i32.const 4000))
    (array.copy $ints $ints (local.get $b) (i32.const 1) (local.get $b) (i32.const 0) (i32.const 4000))
    (array.copy $ints $ints (local.get $a) (i32.const 0) (local.get $b) (i32.const 3) (i32.const 2000))
    (i32.add
      (array.get $ints (local.get $a) (i32.const 1000))
      (array.get $ints (local.get $b) (i32.const 3500))))

  (func $longs (param $a (ref $longs)) (param $b (ref $longs)) (param $r i32) (result i32)
    (array.fill $longs (local.get $a)
      (i32.and (local.get $r) (i32.const 1023)) (i64.extend_i32_u (local.get $r)) (i32.const 3000))
    (array.copy $longs $longs (local.get $b) (i32.const 7) (local.get $a) (i32.const 0) (i32.const 4000))
    (array.copy $longs $longs (local.get $b) (i32.const 1) (local.get $b) (i32.const 0) (i32.const 4000))
    (array.copy $longs $longs (local.get $a) (i32.const 0) (local.get $b) (i32.const 3) (i32.const 2000))
    (i32.wrap_i64
      (i64.add
        (array.get $longs (local.get $a) (i32.const 1000))
        (array.get $longs (local.get $b) (i32.const 3500)))))

  (func $value (param $box (ref null $box)) (result i32)
    (if (result i32) (ref.is_null (local.get $box))
      (then (i32.const 0))
      (else (struct.get $box $value (local.get $box)))))

  (func $boxes (param $a (ref $boxes)) (param $b (ref $boxes)) (param $r i32) (result i32)
    (array.fill $boxes (local.get $a)
      (i32.and (local.get $r) (i32.const 1023)) (struct.new $box (local.get $r)) (i32.const 3000))
    (array.copy $boxes $boxes (local.get $b) (i32.const 7) (local.get $a) (i32.const 0) (i32.const 4000))
    (array.copy $boxes $boxes (local.get $b) (i32.const 1) (local.get $b) (i32.const 0) (i32.const 4000))
    (array.copy $boxes $boxes (local.get $a) (i32.const 0) (local.get $b) (i32.const 3) (i32.const 2000))
    (i32.add
      (call $value (array.get $boxes (local.get $a) (i32.const 1000)))
      (call $value (array.get $boxes (local.get $b) (i32.const 3500)))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $b1 (ref $bytes)) (local $b2 (ref $bytes)) (local $s1 (ref $shorts)) (local $s2 (ref $shorts))
    (local $i1 (ref $ints)) (local $i2 (ref $ints)) (local $l1 (ref $longs)) (local $l2 (ref $longs))
    (local $r1 (ref $boxes)) (local $r2 (ref $boxes)) (local $r i32) (local $check i32)
    (local.set $b1 (array.new_default $bytes (i32.const 4096)))
    (local.set $b2 (array.new_default $bytes (i32.const 4096)))
    (local.set $s1 (array.new_default $shorts (i32.const 4096)))
    (local.set $s2 (array.new_default $shorts (i32.const 4096)))
    (local.set $i1 (array.new_default $ints (i32.const 4096)))
    (local.set $i2 (array.new_default $ints (i32.const 4096)))
    (local.set $l1 (array.new_default $longs (i32.const 4096)))
    (local.set $l2 (array.new_default $longs (i32.const 4096)))
    (local.set $r1 (array.new_default $boxes (i32.const 4096)))
    (local.set $r2 (array.new_default $boxes (i32.const 4096)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $r) (local.get $n)))
        (local.set $check
          (i32.add
            (i32.mul (local.get $check) (i32.const 31))
            (call $bytes (local.get $b1) (local.get $b2) (local.get $r))))
        (local.set $check
          (i32.add
            (i32.mul (local.get $check) (i32.const 31))
            (call $shorts (local.get $s1) (local.get $s2) (local.get $r))))
        (local.set $check
          (i32.add
            (i32.mul (local.get $check) (i32.const 31))
            (call $ints (local.get $i1) (local.get $i2) (local.get $r))))
        (local.set $check
          (i32.add
            (i32.mul (local.get $check) (i32.const 31))
            (call $longs (local.get $l1) (local.get $l2) (local.get $r))))
        (local.set $check
          (i32.add
            (i32.mul (local.get $check) (i32.const 31))
            (call $boxes (local.get $r1) (local.get $r2) (local.get $r))))
        (local.set $r (i32.add (local.get $r) (i32.const 1)))
        (br $next)))
    (local.get $check)))
