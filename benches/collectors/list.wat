;; A list of n links, all of which live, and one walk over it. run(n). Result: the sum of 1 to n.
(module (type $p (struct (field i32) (field (ref null $p))))
 (func (export "run") (param $n i32) (result i32) (local $l (ref null $p)) (local $s i32)
  (loop $f (local.set $l (struct.new $p (local.get $n) (local.get $l))) (br_if $f (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (loop $g (local.set $s (i32.add (local.get $s) (struct.get $p 0 (local.get $l)))) (br_if $g (i32.eqz (ref.is_null (local.tee $l (struct.get $p 1 (local.get $l)))))))
  (local.get $s)))
