(func (param (ref $packed)) (result i32 i32)
  (struct.get_s $packed $byte (local.get 0))
  (struct.get_u $packed $short (local.get 0)))
