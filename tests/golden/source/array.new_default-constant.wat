(func (result (ref $words))
  (array.new_default $words (i32.const 10)))
