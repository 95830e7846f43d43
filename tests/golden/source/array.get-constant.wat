(func (param (ref $words)) (result i32)
  (array.get $words (local.get 0) (i32.const 3)))
