(func (param (ref null $leaf)) (result i32)
  (block $null
    (br_on_null $null (local.get 0))
    (return (struct.get $leaf $x)))
  (i32.const 0))
