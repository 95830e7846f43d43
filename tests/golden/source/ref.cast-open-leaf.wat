(func (param (ref $d8)) (result (ref $d9))
  (ref.cast (ref $d9) (local.get 0)))
