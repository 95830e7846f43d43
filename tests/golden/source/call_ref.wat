(func (param (ref $unary)) (result i32)
  (call_ref $unary (i32.const 7) (local.get 0)))
