;; Builds a list: a reference lives across the allocation.
(func (param $n i32) (result (ref null $node)) (local $list (ref null $node))
  (loop $more
    (local.set $list (struct.new $node (local.get $n) (local.get $list)))
    (br_if $more (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (local.get $list))
