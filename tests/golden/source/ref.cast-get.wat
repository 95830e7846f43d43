;; The usual pair: a cast, and a field of what was cast.
(func (param (ref null $animal)) (result i32)
  (struct.get $tabby $stripes (ref.cast (ref $tabby) (local.get 0))))
