(func (param funcref) (result i32)
  (ref.test (ref $open_unary) (local.get 0)))
