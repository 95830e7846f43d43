;; What a store computes whose heap nobody touched: a list of 1..n, the squares in an array, a box, an exception.
(module
  (type $list (struct (field $head i32) (field $tail (mut (ref null $list)))))
  (type $squares (array (mut i64)))
  (type $both (struct (field (mut (ref null $list))) (field (mut (ref null $squares))) (field (mut anyref))))
  (import "host" "collect" (func $collect))
  (tag $end (param (ref null $list)))
  (memory (export "memory") 1)
  (table $t (export "t") 4 anyref)
  (global $kept (export "g0") (mut (ref null $both)) (ref.null $both))

  (func $build (param $n i32) (result (ref null $list))
    (local $l (ref null $list)) (local $i i32)
    (loop $next
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $l (struct.new $list (local.get $i) (local.get $l)))
      (i32.store (i32.shl (local.get $i) (i32.const 2)) (local.get $i))
      (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
    (throw $end (local.get $l)))

  ;; 1 + … + n, and 1 + 4 + … + n²
  (func (export "sum") (param $n i32) (result i64)
    (local $l (ref null $list)) (local $q (ref null $squares)) (local $i i32) (local $sum i64)
    (local.set $l (block $caught (result (ref null $list))
      (try_table (result (ref null $list)) (catch $end $caught) (call $build (local.get $n)))))
    (local.set $q (array.new_default $squares (local.get $n)))
    (global.set $kept (struct.new $both (local.get $l) (local.get $q) (ref.i31 (i32.const 5))))
    (table.fill $t (i32.const 0) (local.get $l) (i32.const 4))
    (call $collect)
    (loop $next
      (local.set $i (struct.get $list $head (local.get $l)))
      (array.set $squares (local.get $q) (i32.sub (local.get $i) (i32.const 1))
        (i64.mul (i64.extend_i32_u (local.get $i)) (i64.extend_i32_u (local.get $i))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (local.get $i))))
      (local.set $l (struct.get $list $tail (local.get $l)))
      (br_if $next (i32.eqz (ref.is_null (local.get $l)))))
    (call $collect)
    (local.set $i (i32.const 0))
    (loop $more
      (local.set $sum (i64.add (local.get $sum) (array.get $squares (local.get $q) (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $more (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $sum)))
