(func (param anyref) (result i32)
  (ref.test (ref i31) (local.get 0)))
