;; A table of 200,000 live entries, of which n are replaced, at places that a fixed random sequence names; two short-lived entries for each.
;; run(n). Result: the sum of the keys that were replaced.
(module
 (type $v (struct (field (mut i64)) (field (mut i64))))
 (type $e (struct (field (mut i32)) (field (mut (ref null $v))) (field (mut (ref null $e)))))
 (type $a (array (mut (ref null $e))))
 (global $seed (mut i32) (i32.const 12345))
 (func $rand (result i32)
  (global.set $seed (i32.add (i32.mul (global.get $seed) (i32.const 1103515245)) (i32.const 12345)))
  (i32.and (i32.shr_u (global.get $seed) (i32.const 8)) (i32.const 0xffffff)))
 (func $entry (param $i i32) (result (ref $e)) (struct.new $e (local.get $i) (struct.new $v (i64.extend_i32_u (local.get $i)) (i64.const 7)) (ref.null $e)))
 (func (export "run") (param $n i32) (result i32) (local $t (ref $a)) (local $i i32) (local $s i32) (local $tmp (ref null $e))
  (local.set $t (array.new $a (ref.null $e) (i32.const 200000)))
  (loop $f
   (array.set $a (local.get $t) (local.get $i) (call $entry (local.get $i)))
   (br_if $f (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200000))))
  (loop $m
   (local.set $i (i32.rem_u (call $rand) (i32.const 200000)))
   ;; two short-lived entries, one that stays
   (local.set $tmp (call $entry (local.get $n)))
   (local.set $tmp (call $entry (struct.get $e 0 (local.get $tmp))))
   (local.set $s (i32.add (local.get $s) (struct.get $e 0 (array.get $a (local.get $t) (local.get $i)))))
   (array.set $a (local.get $t) (local.get $i) (call $entry (struct.get $e 0 (local.get $tmp))))
   (br_if $m (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $s)))
