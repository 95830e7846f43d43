;; Allocation from under many waiting frames, each of which holds a reference; the innermost eight come and go.
;; run(depth, n): n pairs of objects, n a multiple of 1,000. Result: n + 9,000 + depth + 1.
(module
 (type $p (struct (field i32) (field i32) (field (ref null $p))))
 (func $work (param $n i32) (result i32) (local $s i32) (local $q (ref null $p))
  (loop $l
   (local.set $q (struct.new $p (local.get $n) (i32.const 1) (ref.null $p)))
   (local.set $s (i32.add (local.get $s) (struct.get $p 0 (struct.new $p (i32.const 1) (i32.const 2) (local.get $q)))))
   (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $s))
 (func $up (param $d i32) (param $n i32) (result i32) (local $mine (ref $p)) (local $r i32)
  (local.set $mine (struct.new $p (local.get $d) (i32.const 1) (ref.null $p)))
  (local.set $r (if (result i32) (local.get $d) (then (call $up (i32.sub (local.get $d) (i32.const 1)) (local.get $n))) (else (call $work (local.get $n)))))
  (i32.add (local.get $r) (struct.get $p 1 (local.get $mine))))
 (func $rounds (param $n i32) (result i32) (local $i i32) (local $r i32)
  (local.set $i (i32.const 1000))
  (loop $l
   (local.set $r (i32.add (local.get $r) (call $up (i32.const 8) (i32.div_u (local.get $n) (i32.const 1000)))))
   (br_if $l (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
  (local.get $r))
 (func $down (param $d i32) (param $n i32) (result i32) (local $mine (ref $p)) (local $r i32)
  (local.set $mine (struct.new $p (local.get $d) (i32.const 1) (ref.null $p)))
  (local.set $r (if (result i32) (local.get $d) (then (call $down (i32.sub (local.get $d) (i32.const 1)) (local.get $n))) (else (call $rounds (local.get $n)))))
  (i32.add (local.get $r) (struct.get $p 1 (local.get $mine))))
 (func (export "run") (param $d i32) (param $n i32) (result i32) (call $down (local.get $d) (local.get $n))))
