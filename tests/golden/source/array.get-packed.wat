(func (param (ref $bytes) i32) (result i32)
  (array.get_u $bytes (local.get 0) (local.get 1)))
