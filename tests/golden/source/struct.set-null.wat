(func (param (ref $node))
  (struct.set $node $next (local.get 0) (ref.null $node)))
