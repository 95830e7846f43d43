;; Sums an array: what of the access stays in the loop.
(func (param $a (ref $words)) (result i32) (local $i i32) (local $sum i32)
  (block $done (loop $more
    (br_if $done (i32.ge_u (local.get $i) (array.len (local.get $a))))
    (local.set $sum (i32.add (local.get $sum) (array.get $words (local.get $a) (local.get $i))))
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br $more)))
  (local.get $sum))
