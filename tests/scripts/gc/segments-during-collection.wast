;; array.new_data, array.new_elem and their init forms while objects are live in locals, on the operand stack and in the segments
;; themselves: element segments hold references for as long as they are not dropped.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $box (struct (field i32)))
  (type $bytes (array i8))
  (type $mbytes (array (mut i8)))
  (type $boxes (array (mut (ref null $box))))
  (type $pair (struct (field (ref $bytes)) (field (ref $boxes))))
  (data $d "heapwright")
  (elem $e (ref null $box)
    (item (struct.new $box (i32.const 1)))
    (item (struct.new $box (i32.const 2)))
    (item (ref.null $box))
    (item (struct.new $box (i32.const 4))))
  (func (export "drop") (elem.drop $e) (call $gc))
  (func $junk (param i32)
    (loop $next
      (drop (struct.new $box (i32.const 0x7ead_beef)))
      (drop (array.new_data $bytes $d (i32.const 0) (i32.const 10)))
      (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))

  ;; Operands of the second allocation are live during the first.
  (func (export "pair") (result i32) (local $p (ref null $pair))
    (local.set $p
      (struct.new $pair
        (array.new_data $bytes $d (i32.const 4) (i32.const 4))
        (array.new_elem $boxes $e (i32.const 0) (i32.const 4))))
    (call $junk (i32.const 20))
    (i32.add
      (array.get_u $bytes (struct.get $pair 0 (local.get $p)) (i32.const 3))
      (i32.add
        (struct.get $box 0 (array.get $boxes (struct.get $pair 1 (local.get $p)) (i32.const 1)))
        (i32.add
          (struct.get $box 0 (array.get $boxes (struct.get $pair 1 (local.get $p)) (i32.const 3)))
          (i32.shl
            (ref.is_null (array.get $boxes (struct.get $pair 1 (local.get $p)) (i32.const 2)))
            (i32.const 8))))))
  ;; The segment's objects are the same each time.
  (func (export "identity") (result i32)
    (local $a (ref $boxes)) (local $b (ref $boxes))
    (local.set $a (array.new_elem $boxes $e (i32.const 0) (i32.const 2)))
    (call $gc)
    (local.set $b (array.new_elem $boxes $e (i32.const 1) (i32.const 3)))
    (call $gc)
    (i32.add
      (i32.shl
        (ref.eq (array.get $boxes (local.get $a) (i32.const 1)) (array.get $boxes (local.get $b) (i32.const 0)))
        (i32.const 1))
      (ref.eq (array.get $boxes (local.get $a) (i32.const 0)) (array.get $boxes (local.get $b) (i32.const 0)))))
  ;; Overwrites what an array held by what the segment holds; then the array is the last that does.
  (func (export "init") (result i32) (local $a (ref $boxes)) (local $i i32) (local $sum i32)
    (local.set $a (array.new $boxes (struct.new $box (i32.const 100)) (i32.const 6)))
    (array.init_elem $boxes $e (local.get $a) (i32.const 1) (i32.const 0) (i32.const 4))
    (call $junk (i32.const 10))
    (call $gc)
    (loop $next
      (block $null
        (local.set $sum
          (i32.add
            (i32.mul (local.get $sum) (i32.const 3))
            (struct.get $box 0 (br_on_null $null (array.get $boxes (local.get $a) (local.get $i)))))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 6))))
    (local.get $sum))
  (global $kept (mut (ref null $boxes)) (ref.null $boxes))
  (func (export "keep")
    (global.set $kept (array.new_elem $boxes $e (i32.const 0) (i32.const 4))))
  (func (export "kept") (param i32) (result i32)
    (call $junk (i32.const 5))
    (struct.get $box 0 (array.get $boxes (global.get $kept) (local.get 0))))
  (func (export "init data") (result i32) (local $a (ref $mbytes))
    (local.set $a (array.new $mbytes (i32.const 0x55) (i32.const 12)))
    (call $gc)
    (array.init_data $mbytes $d (local.get $a) (i32.const 1) (i32.const 0) (i32.const 10))
    (call $gc)
    (i32.or
      (i32.or
        (array.get_u $mbytes (local.get $a) (i32.const 0))
        (i32.shl (array.get_u $mbytes (local.get $a) (i32.const 1)) (i32.const 8)))
      (i32.or
        (i32.shl (array.get_u $mbytes (local.get $a) (i32.const 10)) (i32.const 16))
        (i32.shl (array.get_u $mbytes (local.get $a) (i32.const 11)) (i32.const 24))))))

(assert_return (invoke "pair") (i32.const 365))
(assert_return (invoke "pair") (i32.const 365))
(assert_return (invoke "identity") (i32.const 2))
;; ((((100·3 + 1)·3 + 2)·3 + 4)·3 + 100
(assert_return (invoke "init") (i32.const 8257))
(assert_return (invoke "init") (i32.const 8257))
(assert_return (invoke "init data") (i32.const 0x55_74_68_55))
(invoke "keep")
(invoke "drop")
(assert_return (invoke "kept" (i32.const 0)) (i32.const 1))
(assert_return (invoke "kept" (i32.const 3)) (i32.const 4))
(assert_trap (invoke "kept" (i32.const 2)) "null structure reference")
(assert_trap (invoke "pair") "out of bounds table access")
