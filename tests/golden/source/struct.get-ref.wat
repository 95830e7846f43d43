(func (param (ref $node)) (result (ref null $node))
  (struct.get $node $next (local.get 0)))
