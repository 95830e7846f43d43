(func (param (ref $words) i32 (ref $words) i32 i32)
  (array.copy $words $words (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
