(func (param (ref $animal)) (result (ref $tabby))
  (ref.cast (ref $tabby) (local.get 0)))
