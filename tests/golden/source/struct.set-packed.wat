(func (param (ref $packed) i32)
  (struct.set $packed $byte (local.get 0) (local.get 1)))
