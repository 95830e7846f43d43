(func (param (ref null $leaf)) (result i32)
  (struct.get $leaf $x (local.get 0)))
