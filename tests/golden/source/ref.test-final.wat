(func (param (ref $animal)) (result i32)
  (ref.test (ref $tabby) (local.get 0)))
