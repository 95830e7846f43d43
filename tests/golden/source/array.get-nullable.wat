(func (param (ref null $words) i32) (result i32)
  (array.get $words (local.get 0) (local.get 1)))
