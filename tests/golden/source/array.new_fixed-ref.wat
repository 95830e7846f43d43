(func (param (ref null $node)) (result (ref $nodes))
  (array.new_fixed $nodes 2 (local.get 0) (ref.null $node)))
