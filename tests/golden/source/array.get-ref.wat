(func (param (ref $nodes) i32) (result (ref null $node))
  (array.get $nodes (local.get 0) (local.get 1)))
