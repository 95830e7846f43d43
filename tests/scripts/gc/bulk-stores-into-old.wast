;; Bulk stores of new objects into arrays that have outlived collections: afterwards nothing else names those objects, and
;; so many others are made that their memory is used again if they are not kept. What is read back is arithmetic.

(module $arrays
  (import "wasmtime" "gc" (func $gc))
  (type $box (struct (field i32)))
  (type $boxes (array (mut (ref null $box))))
  (type $bytes (array (mut i8)))
  (global $kept (export "kept") (ref $boxes) (array.new $boxes (ref.null $box) (i32.const 400)))
  (global $long (ref $boxes) (array.new $boxes (ref.null $box) (i32.const 20000)))

  ;; An array of new boxes that hold `from`, `from` + 1, ...
  (func $new (param $from i32) (param $count i32) (result (ref $boxes)) (local $a (ref $boxes)) (local $i i32)
    (local.set $a (array.new $boxes (ref.null $box) (local.get $count)))
    (loop $l
      (array.set $boxes (local.get $a) (local.get $i) (struct.new $box (i32.add (local.get $from) (local.get $i))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (local.get $a))

  (func (export "settle") (call $gc) (call $gc))

  ;; Garbage whose contents are expected nowhere.
  (func (export "churn") (param $n i32) (local $last (ref null $bytes))
    (loop $l
      (local.set $last (array.new $bytes (i32.const -1) (i32.const 4000)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))

  (func (export "copy") (param $to i32) (param $from i32) (param $count i32)
    (array.copy $boxes $boxes (global.get $kept) (local.get $to)
      (call $new (local.get $from) (local.get $count)) (i32.const 0) (local.get $count)))
  ;; Within one array, upwards and onto itself: the new ones come by single stores first.
  (func (export "copy within") (param $to i32) (param $from i32) (param $count i32) (local $i i32)
    (loop $l
      (array.set $boxes (global.get $kept) (i32.add (local.get $to) (local.get $i)) (struct.new $box (i32.add (local.get $from) (local.get $i))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $count))))
    (array.copy $boxes $boxes (global.get $kept) (i32.add (local.get $to) (i32.const 1)) (global.get $kept) (local.get $to) (local.get $count))
    (array.set $boxes (global.get $kept) (local.get $to) (ref.null $box)))
  (func (export "fill") (param $to i32) (param $value i32) (param $count i32)
    (array.fill $boxes (global.get $kept) (local.get $to) (struct.new $box (local.get $value)) (local.get $count)))
  (func (export "copy long") (param $to i32) (param $from i32) (param $count i32)
    (array.copy $boxes $boxes (global.get $long) (local.get $to)
      (call $new (local.get $from) (local.get $count)) (i32.const 0) (local.get $count)))

  (func (export "kept sum") (param $from i32) (param $count i32) (result i32) (local $sum i32)
    (loop $l
      (local.set $sum (i32.add (local.get $sum) (struct.get $box 0 (array.get $boxes (global.get $kept) (local.get $from)))))
      (local.set $from (i32.add (local.get $from) (i32.const 1)))
      (br_if $l (local.tee $count (i32.sub (local.get $count) (i32.const 1)))))
    (local.get $sum))
  (func (export "long") (param i32) (result i32)
    (struct.get $box 0 (array.get $boxes (global.get $long) (local.get 0)))))
(register "arrays" $arrays)

(invoke "settle")
(invoke "copy" (i32.const 10) (i32.const 1000) (i32.const 50))
(invoke "churn" (i32.const 300))
;; 50 x 1000 + (0 + ... + 49)
(assert_return (invoke "kept sum" (i32.const 10) (i32.const 50)) (i32.const 51225))
(invoke "settle")
(invoke "copy within" (i32.const 100) (i32.const 7) (i32.const 10))
(invoke "churn" (i32.const 300))
;; 10 x 7 + (0 + ... + 9), one place further up
(assert_return (invoke "kept sum" (i32.const 101) (i32.const 10)) (i32.const 115))
(invoke "settle")
(invoke "fill" (i32.const 200) (i32.const 12345) (i32.const 100))
(invoke "churn" (i32.const 300))
(assert_return (invoke "kept sum" (i32.const 200) (i32.const 100)) (i32.const 1234500))
(invoke "settle")
(invoke "copy long" (i32.const 19000) (i32.const 5) (i32.const 20))
(invoke "churn" (i32.const 300))
(assert_return (invoke "long" (i32.const 19000)) (i32.const 5))
(assert_return (invoke "long" (i32.const 19019)) (i32.const 24))

;; From a segment whose objects are made after the array has settled. When the segment is dropped the array alone keeps them.
(module $segments
  (type $box (struct (field i32)))
  (type $boxes (array (mut (ref null $box))))
  (import "arrays" "kept" (global $kept (ref $boxes)))
  (elem $e (ref null $box) (struct.new $box (i32.const 21)) (struct.new $box (i32.const 300)) (ref.null $box))
  (func (export "init")
    (array.init_elem $boxes $e (global.get $kept) (i32.const 350) (i32.const 0) (i32.const 3))
    (elem.drop $e)))
(invoke $segments "init")
(invoke $arrays "churn" (i32.const 300))
(assert_return (invoke $arrays "kept sum" (i32.const 350) (i32.const 2)) (i32.const 321))
