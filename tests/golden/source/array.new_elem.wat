(func (param i32 i32) (result (ref $nodes))
  (array.new_elem $nodes $elements (local.get 0) (local.get 1)))
