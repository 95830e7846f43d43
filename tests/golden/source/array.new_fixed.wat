(func (param i32 i32) (result (ref $words))
  (array.new_fixed $words 2 (local.get 0) (local.get 1)))
