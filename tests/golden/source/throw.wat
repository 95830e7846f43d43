(func (param i32 (ref null $node))
  (throw $failure (local.get 0) (local.get 1)))
