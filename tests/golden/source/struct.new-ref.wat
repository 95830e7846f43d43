(func (param i32 (ref null $node)) (result (ref $node))
  (struct.new $node (local.get 0) (local.get 1)))
