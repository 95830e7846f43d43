(func (param (ref null $node))
  (global.set $kept (local.get 0)))
