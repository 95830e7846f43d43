;; Linked list: build, walk, reverse in place, copy at the tail, walk again.
;; n: rounds, each with a list of 10,000 cells and its copy.
;; check: sums of the values, those after the reversal weighted by position.
;; bench: n=600
(module $linked_list
  (type $cell (struct (field $value i32) (field $next (mut (ref null $cell)))))

  (func $build (param $length i32) (param $round i32) (result (ref null $cell))
    (local $list (ref null $cell)) (local $i i32)
    (loop $next
      (local.set $list
        (struct.new $cell (i32.xor (local.get $i) (local.get $round)) (local.get $list)))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $length))))
    (local.get $list))

  (func $sum (param $list (ref null $cell)) (result i32)
    (local $sum i32)
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $list)))
        (local.set $sum (i32.add (local.get $sum) (struct.get $cell $value (local.get $list))))
        (local.set $list (struct.get $cell $next (local.get $list)))
        (br $next)))
    (local.get $sum))

  (func $weighted (param $list (ref null $cell)) (result i32)
    (local $sum i32) (local $i i32)
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $list)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (local.set $sum
          (i32.add (local.get $sum) (i32.mul (local.get $i) (struct.get $cell $value (local.get $list)))))
        (local.set $list (struct.get $cell $next (local.get $list)))
        (br $next)))
    (local.get $sum))

  (func $reverse (param $list (ref null $cell)) (result (ref null $cell))
    (local $done (ref null $cell)) (local $rest (ref null $cell))
    (block $end
      (loop $next
        (br_if $end (ref.is_null (local.get $list)))
        (local.set $rest (struct.get $cell $next (local.get $list)))
        (struct.set $cell $next (local.get $list) (local.get $done))
        (local.set $done (local.get $list))
        (local.set $list (local.get $rest))
        (br $next)))
    (local.get $done))

  ;; A copy in the same order, with each value doubled.
  (func $doubled (param $list (ref null $cell)) (result (ref null $cell))
    (local $head (ref $cell)) (local $tail (ref $cell)) (local $new (ref $cell))
    (local.set $head (struct.new $cell (i32.const 0) (ref.null $cell)))
    (local.set $tail (local.get $head))
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $list)))
        (local.set $new
          (struct.new $cell
            (i32.shl (struct.get $cell $value (local.get $list)) (i32.const 1))
            (ref.null $cell)))
        (struct.set $cell $next (local.get $tail) (local.get $new))
        (local.set $tail (local.get $new))
        (local.set $list (struct.get $cell $next (local.get $list)))
        (br $next)))
    (struct.get $cell $next (local.get $head)))

  (func $run (export "run") (param $n i32) (result i32)
    (local $round i32) (local $list (ref null $cell)) (local $check i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $round) (local.get $n)))
        (local.set $list (call $build (i32.const 10000) (local.get $round)))
        (local.set $check (i32.add (local.get $check) (call $sum (local.get $list))))
        (local.set $list (call $reverse (local.get $list)))
        (local.set $check (i32.add (local.get $check) (call $weighted (local.get $list))))
        (local.set $check
          (i32.xor (local.get $check) (call $weighted (call $doubled (local.get $list)))))
        (local.set $round (i32.add (local.get $round) (i32.const 1)))
        (br $next)))
    (local.get $check)))
