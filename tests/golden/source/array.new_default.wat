(func (param i32) (result (ref $longs))
  (array.new_default $longs (local.get 0)))
