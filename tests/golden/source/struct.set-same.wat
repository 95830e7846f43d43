;; Two stores into the same object.
(func (param (ref $node) (ref null $node) (ref null $node))
  (struct.set $node $next (local.get 0) (local.get 1))
  (struct.set $node $next (local.get 0) (local.get 2)))
