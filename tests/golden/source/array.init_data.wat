(func (param (ref $bytes) i32 i32 i32)
  (array.init_data $bytes $data (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
