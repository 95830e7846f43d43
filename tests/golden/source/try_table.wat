;; A call in a region with a clause that takes the payload apart.
(func (result i32 (ref null $node))
  (block $caught (result i32 (ref null $node))
    (try_table (catch $failure $caught) (call $work))
    (i32.const 0) (ref.null $node)))
