;; Matrix product on nested arrays of floats: a row is an array, a matrix an array of rows.
;; n: rows and columns.
;; check: the sum of the product's elements, each weighted by its place; all are small integers, so that sums are exact.
;; bench: n=400
(module $matrix
  (type $row (array (mut f64)))
  (type $matrix (array (mut (ref null $row))))

  (func $zero (param $n i32) (result (ref $matrix))
    (local $m (ref $matrix)) (local $i i32)
    (local.set $m (array.new_default $matrix (local.get $n)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (array.set $matrix (local.get $m) (local.get $i) (array.new_default $row (local.get $n)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $m))

  ;; The element at (i, j) is (i * factor + j) modulo 10.
  (func $make (param $n i32) (param $factor i32) (result (ref $matrix))
    (local $m (ref $matrix)) (local $i i32) (local $j i32) (local $row (ref null $row))
    (local.set $m (call $zero (local.get $n)))
    (block $done
      (loop $rows
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $row (array.get $matrix (local.get $m) (local.get $i)))
        (local.set $j (i32.const 0))
        (loop $columns
          (array.set $row (local.get $row) (local.get $j)
            (f64.convert_i32_u
              (i32.rem_u
                (i32.add (i32.mul (local.get $i) (local.get $factor)) (local.get $j))
                (i32.const 10))))
          (br_if $columns
            (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $rows)))
    (local.get $m))

  (func $multiply (param $n i32) (param $a (ref $matrix)) (param $b (ref $matrix)) (result (ref $matrix))
    (local $c (ref $matrix)) (local $i i32) (local $j i32) (local $k i32) (local $sum f64)
    (local $row (ref null $row)) (local $out (ref null $row))
    (local.set $c (call $zero (local.get $n)))
    (block $done
      (loop $rows
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $row (array.get $matrix (local.get $a) (local.get $i)))
        (local.set $out (array.get $matrix (local.get $c) (local.get $i)))
        (local.set $j (i32.const 0))
        (loop $columns
          (local.set $sum (f64.const 0))
          (local.set $k (i32.const 0))
          (loop $inner
            (local.set $sum
              (f64.add
                (local.get $sum)
                (f64.mul
                  (array.get $row (local.get $row) (local.get $k))
                  (array.get $row (array.get $matrix (local.get $b) (local.get $k)) (local.get $j)))))
            (br_if $inner
              (i32.lt_u (local.tee $k (i32.add (local.get $k) (i32.const 1))) (local.get $n))))
          (array.set $row (local.get $out) (local.get $j) (local.get $sum))
          (br_if $columns
            (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $rows)))
    (local.get $c))

  (func $run (export "run") (param $n i32) (result i32)
    (local $c (ref $matrix)) (local $i i32) (local $j i32) (local $check i32)
    (local.set $c
      (call $multiply (local.get $n) (call $make (local.get $n) (i32.const 3)) (call $make (local.get $n) (i32.const 7))))
    (block $done
      (loop $rows
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $j (i32.const 0))
        (loop $columns
          (local.set $check
            (i32.add
              (local.get $check)
              (i32.mul
                (i32.add (i32.add (local.get $i) (local.get $i)) (local.get $j))
                (i32.trunc_sat_f64_s
                  (array.get $row (array.get $matrix (local.get $c) (local.get $i)) (local.get $j))))))
          (br_if $columns
            (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (local.get $n))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $rows)))
    (local.get $check)))
