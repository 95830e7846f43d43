(func (param i32 (ref null $node))
  (table.set $table (local.get 0) (local.get 1)))
