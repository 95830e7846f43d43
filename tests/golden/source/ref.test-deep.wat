(func (param (ref $d0)) (result i32)
  (ref.test (ref $d9) (local.get 0)))
