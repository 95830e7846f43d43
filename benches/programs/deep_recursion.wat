;; Deep recursion with allocation: lists built, mapped and summed without tail calls, so that collections find deep stacks.
;; n: rounds, each with three recursions 4,000 deep.
;; check: the sums of the mapped lists, folded.
;; bench: n=1500
(module $deep_recursion
  (type $box (struct (field $value i32)))
  (type $list (struct (field $head (ref $box)) (field $tail (ref null $list))))

  (func $build (param $n i32) (result (ref null $list))
    (local $box (ref $box))
    (if (i32.eqz (local.get $n)) (then (return (ref.null $list))))
    ;; Lives while all that is deeper allocates.
    (local.set $box (struct.new $box (local.get $n)))
    (struct.new $list (local.get $box) (call $build (i32.sub (local.get $n) (i32.const 1)))))

  (func $map (param $list (ref null $list)) (param $round i32) (result (ref null $list))
    (local $box (ref $box))
    (if (ref.is_null (local.get $list)) (then (return (ref.null $list))))
    (local.set $box
      (struct.new $box
        (i32.add
          (i32.shl (struct.get $box $value (struct.get $list $head (local.get $list))) (i32.const 1))
          (local.get $round))))
    (struct.new $list
      (local.get $box)
      (call $map (struct.get $list $tail (local.get $list)) (local.get $round))))

  (func $sum (param $list (ref null $list)) (result i32)
    (if (result i32) (ref.is_null (local.get $list))
      (then (i32.const 0))
      (else
        (i32.add
          (struct.get $box $value (struct.get $list $head (local.get $list)))
          (call $sum (struct.get $list $tail (local.get $list)))))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $round i32) (local $check i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $round) (local.get $n)))
        (local.set $check
          (i32.add
            (i32.mul (local.get $check) (i32.const 31))
            (call $sum (call $map (call $build (i32.const 4000)) (local.get $round)))))
        (local.set $round (i32.add (local.get $round) (i32.const 1)))
        (br $next)))
    (local.get $check)))
