(func (param anyref) (result (ref $cat))
  (ref.cast (ref $cat) (local.get 0)))
