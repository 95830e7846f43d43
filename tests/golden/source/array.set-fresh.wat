;; A store into an array that no safepoint separates from its allocation, at an index below its constant length.
(func (param (ref null $node)) (result (ref $nodes)) (local $new (ref $nodes))
  (local.set $new (array.new_default $nodes (i32.const 3)))
  (array.set $nodes (local.get $new) (i32.const 1) (local.get 0))
  (local.get $new))
