(func (param i32) (result (ref i31))
  (ref.i31 (local.get 0)))
