;; A store into an object that a call separates from its allocation.
(func (param (ref null $node)) (result (ref $node)) (local $new (ref $node))
  (local.set $new (struct.new_default $node))
  (call $work)
  (struct.set $node $next (local.get $new) (local.get 0))
  (local.get $new))
