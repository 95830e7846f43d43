(func (param anyref) (result (ref null $tabby))
  (ref.cast (ref null $tabby) (local.get 0)))
