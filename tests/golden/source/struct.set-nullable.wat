(func (param (ref null $leaf) i32)
  (struct.set $leaf $x (local.get 0) (local.get 1)))
