(func (param (ref func)) (result (ref $unary))
  (ref.cast (ref $unary) (local.get 0)))
