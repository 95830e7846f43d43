(func (param (ref $nodes) i32 (ref $nodes) i32 i32)
  (array.copy $nodes $nodes (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
