;; Casts: an evaluator of expression trees that tells open classes apart by chains of casts, and a count of a mixed array.
;; n: evaluations of one tree with 511 inner nodes, and passes over an array of 64 values of six kinds.
;; check: the values of the tree, each with the number of the round as its variable, and the counts, folded.
;; bench: n=30000
(module $casts
  (rec
    (type $node (sub (struct)))
    (type $number (sub $node (struct (field $value i32))))
    (type $variable (sub $node (struct)))
    (type $binary (sub $node (struct (field $left (ref $node)) (field $right (ref $node)))))
    (type $add (sub $binary (struct (field $left (ref $node)) (field $right (ref $node)))))
    (type $multiply (sub $binary (struct (field $left (ref $node)) (field $right (ref $node)))))
    (type $subtract (sub $binary (struct (field $left (ref $node)) (field $right (ref $node)))))
    (type $negate (sub $node (struct (field $operand (ref $node))))))
  (type $mixed (array (mut anyref)))

  (func $eval (param $node (ref $node)) (param $x i32) (result i32)
    (local $add (ref $add)) (local $multiply (ref $multiply)) (local $subtract (ref $subtract))
    (local $negate (ref $negate))
    (block $is_number (result (ref $number))
      (block $is_add (result (ref $add))
        (block $is_multiply (result (ref $multiply))
          (block $is_subtract (result (ref $subtract))
            (block $is_negate (result (ref $negate))
              (br_on_cast $is_number (ref $node) (ref $number) (local.get $node))
              (br_on_cast $is_add (ref $node) (ref $add))
              (br_on_cast $is_multiply (ref $node) (ref $multiply))
              (br_on_cast $is_subtract (ref $node) (ref $subtract))
              (br_on_cast $is_negate (ref $node) (ref $negate))
              (drop (ref.cast (ref $variable)))
              (return (local.get $x)))
            (local.set $negate)
            (return
              (i32.sub
                (i32.const 0)
                (call $eval (struct.get $negate $operand (local.get $negate)) (local.get $x)))))
          (local.set $subtract)
          (return
            (i32.sub
              (call $eval (struct.get $subtract $left (local.get $subtract)) (local.get $x))
              (call $eval (struct.get $subtract $right (local.get $subtract)) (local.get $x)))))
        (local.set $multiply)
        (return
          (i32.mul
            (call $eval (struct.get $multiply $left (local.get $multiply)) (local.get $x))
            (call $eval (struct.get $multiply $right (local.get $multiply)) (local.get $x)))))
      (local.set $add)
      (return
        (i32.add
          (call $eval (struct.get $add $left (local.get $add)) (local.get $x))
          (call $eval (struct.get $add $right (local.get $add)) (local.get $x)))))
    (struct.get $number $value))

  ;; A full tree; what stands where follows from the path: 1 at the root, 2p and 2p + 1 below p.
  (func $make (param $depth i32) (param $path i32) (result (ref $node))
    (local $left (ref $node)) (local $right (ref $node)) (local $kind i32)
    (if (i32.eqz (local.get $depth))
      (then
        (if (i32.eqz (i32.rem_u (local.get $path) (i32.const 3))) (then (return (struct.new $variable))))
        (return (struct.new $number (local.get $path)))))
    (local.set $left
      (call $make (i32.sub (local.get $depth) (i32.const 1)) (i32.shl (local.get $path) (i32.const 1))))
    (local.set $right
      (call $make
        (i32.sub (local.get $depth) (i32.const 1))
        (i32.add (i32.shl (local.get $path) (i32.const 1)) (i32.const 1))))
    (local.set $kind (i32.rem_u (i32.mul (local.get $path) (i32.const 7)) (i32.const 5)))
    (if (i32.eqz (local.get $kind))
      (then (return (struct.new $multiply (local.get $left) (local.get $right)))))
    (if (i32.eq (local.get $kind) (i32.const 1))
      (then (return (struct.new $subtract (local.get $left) (struct.new $negate (local.get $right))))))
    (struct.new $add (local.get $left) (local.get $right)))

  (func $mix (result (ref $mixed))
    (local $mixed (ref $mixed)) (local $i i32) (local $kind i32) (local $one (ref $node))
    (local.set $mixed (array.new_default $mixed (i32.const 64)))
    (local.set $one (struct.new $number (i32.const 1)))
    (loop $next
      (local.set $kind (i32.rem_u (i32.mul (local.get $i) (i32.const 11)) (i32.const 6)))
      (array.set $mixed (local.get $mixed) (local.get $i)
        (if (result anyref) (i32.eqz (local.get $kind))
          (then (ref.i31 (local.get $i)))
          (else
            (if (result anyref) (i32.eq (local.get $kind) (i32.const 1))
              (then (local.get $one))
              (else
                (if (result anyref) (i32.eq (local.get $kind) (i32.const 2))
                  (then (struct.new $add (local.get $one) (local.get $one)))
                  (else
                    (if (result anyref) (i32.eq (local.get $kind) (i32.const 3))
                      (then (struct.new $variable))
                      (else
                        (if (result anyref) (i32.eq (local.get $kind) (i32.const 4))
                          (then (local.get $mixed))
                          (else (ref.null any))))))))))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
    (local.get $mixed))

  ;; Weights: i31 1, a binary node 10, any other node 100, an array 1000, null 10000.
  (func $weigh (param $mixed (ref $mixed)) (result i32)
    (local $i i32) (local $sum i32) (local $it anyref)
    (loop $next
      (local.set $it (array.get $mixed (local.get $mixed) (local.get $i)))
      (local.set $sum
        (i32.add
          (local.get $sum)
          (if (result i32) (ref.test (ref i31) (local.get $it))
            (then (i32.const 1))
            (else
              (if (result i32) (ref.test (ref $binary) (local.get $it))
                (then (i32.const 10))
                (else
                  (if (result i32) (ref.test (ref $node) (local.get $it))
                    (then (i32.const 100))
                    (else
                      (if (result i32) (ref.test (ref array) (local.get $it))
                        (then (i32.const 1000))
                        (else (i32.const 10000)))))))))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
    (local.get $sum))

  (func $run (export "run") (param $n i32) (result i32)
    (local $tree (ref $node)) (local $mixed (ref $mixed)) (local $i i32) (local $check i32)
    (local.set $tree (call $make (i32.const 9) (i32.const 1)))
    (local.set $mixed (call $mix))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $check
          (i32.add
            (i32.add
              (i32.mul (local.get $check) (i32.const 31))
              (call $eval (local.get $tree) (local.get $i)))
            (call $weigh (local.get $mixed))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $check)))
