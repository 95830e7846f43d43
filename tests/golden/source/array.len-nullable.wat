(func (param (ref null array)) (result i32)
  (array.len (local.get 0)))
