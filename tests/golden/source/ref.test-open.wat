(func (param (ref $animal)) (result i32)
  (ref.test (ref $cat) (local.get 0)))
