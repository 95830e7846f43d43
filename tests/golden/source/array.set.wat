(func (param (ref $words) i32 i32)
  (array.set $words (local.get 0) (local.get 1) (local.get 2)))
