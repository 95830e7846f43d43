(func (param (ref $nodes) i32 i32 i32)
  (array.init_elem $nodes $elements (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
