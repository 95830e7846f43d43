(func (param i32) (result (ref $bytes))
  (array.new_default $bytes (local.get 0)))
