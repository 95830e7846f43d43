;; A reference that lives across a call.
(func (param (ref $leaf)) (result i32)
  (call $work)
  (struct.get $leaf $x (local.get 0)))
