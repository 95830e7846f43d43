(func (param i32 i32) (result (ref $words))
  (array.new $words (local.get 0) (local.get 1)))
