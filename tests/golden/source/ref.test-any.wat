(func (param anyref) (result i32)
  (ref.test (ref null $tabby) (local.get 0)))
