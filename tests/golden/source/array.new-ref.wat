(func (param (ref null $node) i32) (result (ref $nodes))
  (array.new $nodes (local.get 0) (local.get 1)))
