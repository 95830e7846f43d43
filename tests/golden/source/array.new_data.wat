(func (param i32 i32) (result (ref $bytes))
  (array.new_data $bytes $data (local.get 0) (local.get 1)))
