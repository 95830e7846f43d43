(func (param (ref any)) (result i32)
  (ref.test (ref eq) (local.get 0)))
