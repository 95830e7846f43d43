(func (param (ref null i31)) (result i32)
  (i31.get_u (local.get 0)))
