;; Short-lived allocation: immutable vectors, three new ones a round, all dead in the next.
;; n: rounds.
;; check: the components of the last vector, xored.
;; bench: n=10000000
(module $short_lived
  (type $vec (struct (field $x i32) (field $y i32) (field $z i32)))
  (global $last (mut (ref null $vec)) (ref.null $vec))

  (func $add (param $a (ref $vec)) (param $b (ref $vec)) (result (ref $vec))
    (struct.new $vec
      (i32.add (struct.get $vec $x (local.get $a)) (struct.get $vec $x (local.get $b)))
      (i32.add (struct.get $vec $y (local.get $a)) (struct.get $vec $y (local.get $b)))
      (i32.add (struct.get $vec $z (local.get $a)) (struct.get $vec $z (local.get $b)))))

  (func $rotate (param $a (ref $vec)) (result (ref $vec))
    (struct.new $vec
      (struct.get $vec $y (local.get $a))
      (struct.get $vec $z (local.get $a))
      (struct.get $vec $x (local.get $a))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $i i32) (local $v (ref $vec))
    (local.set $v (struct.new $vec (i32.const 1) (i32.const 2) (i32.const 3)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $v
          (call $rotate
            (call $add
              (local.get $v)
              (struct.new $vec (local.get $i) (i32.shr_u (local.get $i) (i32.const 1)) (i32.const 1)))))
        ;; Somebody else sees each result, so none of them is only ours.
        (global.set $last (local.get $v))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.xor
      (struct.get $vec $x (local.get $v))
      (i32.xor (struct.get $vec $y (local.get $v)) (struct.get $vec $z (local.get $v))))))
