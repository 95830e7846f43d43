(func (param (ref $animal)) (result (ref $cat))
  (ref.cast (ref $cat) (local.get 0)))
