(func (param (ref i31)) (result i32)
  (i31.get_s (local.get 0)))
