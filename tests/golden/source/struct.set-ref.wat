(func (param (ref $node) (ref null $node))
  (struct.set $node $next (local.get 0) (local.get 1)))
