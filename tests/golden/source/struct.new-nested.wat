(func (param (ref $node) i32) (result (ref $node))
  (struct.new $node
    (i32.add (local.get 1) (struct.get $node $value (local.get 0)))
    (struct.new $node (local.get 1) (struct.new $node (i32.const 0) (local.get 0)))))
