(func (param i32 i64) (result (ref $leaf))
  (struct.new $leaf (local.get 0) (local.get 1)))
