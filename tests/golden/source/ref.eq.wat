(func (param eqref eqref) (result i32)
  (ref.eq (local.get 0) (local.get 1)))
