(func (param (ref eq)) (result i32)
  (ref.test (ref array) (local.get 0)))
