(func (param (ref $nodes) i32 (ref null $node) i32)
  (array.fill $nodes (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
