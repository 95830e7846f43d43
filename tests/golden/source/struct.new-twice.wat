;; Two allocations in a row, the second of which refers to the first.
(func (param i32) (result (ref $node))
  (struct.new $node (local.get 0) (struct.new $node (local.get 0) (ref.null $node))))
