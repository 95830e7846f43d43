;; Run with a heap of at most 64 MiB. What is too large for that heap traps; the store can still be used, and what is no longer reachable is
;; no reason to fail.

(module
  (type $i8 (array (mut i8)))
  (type $i64 (array (mut i64)))
  (type $any (array (mut anyref)))
  (type $cell (struct (field i64) (field (ref null $cell)) (field (ref null $i64))))
  (global $kept (mut anyref) (ref.null any))
  (func (export "bytes") (param i32) (array.len (array.new_default $i8 (local.get 0))) (drop))
  (func (export "words") (param i32) (array.len (array.new $i64 (i64.const -1) (local.get 0))) (drop))
  (func (export "refs") (param i32) (array.len (array.new $any (ref.i31 (i32.const 1)) (local.get 0))) (drop))
  ;; A list of arrays that is never dropped.
  (func (export "list") (local $list (ref null $cell))
    (loop $forever
      (local.set $list
        (struct.new $cell (i64.const 7) (local.get $list) (array.new $i64 (i64.const 1) (i32.const 0x1_0000))))
      (br $forever)))
  (func (export "keep")
    (global.set $kept (array.new $i64 (i64.const 0x1234_5678_9abc) (i32.const 1000))))
  (func (export "kept") (result i64)
    (array.get $i64 (ref.cast (ref $i64) (global.get $kept)) (i32.const 999))))

(invoke "keep")
(assert_trap (invoke "bytes" (i32.const 0x4000_0000)) "GC heap out of memory")
(assert_trap (invoke "bytes" (i32.const 0x0800_0000)) "GC heap out of memory")
(assert_trap (invoke "words" (i32.const 0x0100_0000)) "GC heap out of memory")
(assert_trap (invoke "words" (i32.const 0x1000_0000)) "GC heap out of memory")
(assert_trap (invoke "refs" (i32.const 0x1000_0000)) "GC heap out of memory")
(assert_return (invoke "kept") (i64.const 0x1234_5678_9abc))
(assert_trap (invoke "list") "GC heap out of memory")
(assert_return (invoke "kept") (i64.const 0x1234_5678_9abc))
