;; Stores into a fresh object on both sides of a branch and behind it.
(func (param (ref null $node) i32) (result (ref $node)) (local $new (ref $node))
  (local.set $new (struct.new_default $node))
  (if (local.get 1)
    (then (struct.set $node $next (local.get $new) (local.get 0)))
    (else (struct.set $node $value (local.get $new) (i32.const 7))))
  (struct.set $node $next (local.get $new) (local.get 0))
  (local.get $new))
