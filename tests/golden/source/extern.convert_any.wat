(func (param anyref) (result externref)
  (extern.convert_any (local.get 0)))
