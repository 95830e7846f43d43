(func (param (ref $nodes) i32 (ref null $node))
  (array.set $nodes (local.get 0) (local.get 1) (local.get 2)))
