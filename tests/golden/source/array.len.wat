(func (param (ref array)) (result i32)
  (array.len (local.get 0)))
