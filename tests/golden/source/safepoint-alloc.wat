;; References that live across an allocation: spilled in the cold block only.
(func (param (ref $leaf) (ref $node)) (result (ref $node) (ref $node))
  (struct.new $node (struct.get $leaf $x (local.get 0)) (local.get 1))
  (struct.set $leaf $x (local.get 0) (i32.const 1))
  (local.get 1))
