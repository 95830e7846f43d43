(func (param (ref $words) (ref $words) i32)
  (array.copy $words $words (local.get 0) (local.get 2) (local.get 1) (i32.const 0) (i32.const 6)))
