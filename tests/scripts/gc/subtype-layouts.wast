;; A subtype keeps its supertype's fields where they are and may put its own into what alignment left over. Each field is written
;; with a value of its own and all are read back, through each type of the chain; the references are kept alive by the
;; object alone.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $a (sub (struct (field $a0 (mut i8)))))
  (type $b (sub $a (struct (field (mut i8)) (field $b0 (mut i64)))))
  (type $c (sub $b (struct (field (mut i8)) (field (mut i64)) (field $c0 (mut i16)) (field $c1 (mut anyref)))))
  (type $d (sub $c (struct (field (mut i8)) (field (mut i64)) (field (mut i16)) (field (mut anyref))
    (field $d0 (mut f32)) (field $d1 (mut i8)) (field $d2 (mut v128)) (field $d3 (mut externref)))))
  (type $e (sub final $d (struct (field (mut i8)) (field (mut i64)) (field (mut i16)) (field (mut anyref))
    (field (mut f32)) (field (mut i8)) (field (mut v128)) (field (mut externref))
    (field $e0 (mut i8)) (field $e1 (mut f64)) (field $e2 (mut i16)) (field $e3 (mut funcref)) (field $e4 (mut i8))
    (field $e5 (mut eqref)) (field $e6 (mut i8)))))
  (type $box (struct (field i32)))
  (elem declare func $seven)
  (type $void (func (result i32)))
  (func $seven (type $void) (i32.const 7))
  (func $box (param i32) (result (ref $box)) (struct.new $box (local.get 0)))
  (func $unbox (param anyref) (result i32) (struct.get $box 0 (ref.cast (ref $box) (local.get 0))))

  (func $make (result (ref $e)) (local $e (ref $e))
    (local.set $e (struct.new_default $e))
    (struct.set $a $a0 (local.get $e) (i32.const 0x11))
    (struct.set $b $b0 (local.get $e) (i64.const 0x2222222222222222))
    (struct.set $c $c0 (local.get $e) (i32.const 0x3333))
    (struct.set $c $c1 (local.get $e) (call $box (i32.const 4)))
    (struct.set $d $d0 (local.get $e) (f32.const 5.5))
    (struct.set $d $d1 (local.get $e) (i32.const 0x66))
    (struct.set $d $d2 (local.get $e) (v128.const i64x2 0x7777777777777777 0x8888888888888888))
    (struct.set $d $d3 (local.get $e) (extern.convert_any (call $box (i32.const 9))))
    (struct.set $e $e0 (local.get $e) (i32.const 0xaa))
    (struct.set $e $e1 (local.get $e) (f64.const 11.25))
    (struct.set $e $e2 (local.get $e) (i32.const 0xbbbb))
    (struct.set $e $e3 (local.get $e) (ref.func $seven))
    (struct.set $e $e4 (local.get $e) (i32.const 0xcc))
    (struct.set $e $e5 (local.get $e) (call $box (i32.const 13)))
    (struct.set $e $e6 (local.get $e) (i32.const 0xdd))
    (call $gc)
    (local.get $e))
  (func $check (param $e (ref $e)) (result i32)
    (if (i32.ne (struct.get_u $a $a0 (local.get $e)) (i32.const 0x11)) (then (return (i32.const 1))))
    (if (i64.ne (struct.get $b $b0 (local.get $e)) (i64.const 0x2222222222222222)) (then (return (i32.const 2))))
    (if (i32.ne (struct.get_u $c $c0 (local.get $e)) (i32.const 0x3333)) (then (return (i32.const 3))))
    (if (i32.ne (call $unbox (struct.get $c $c1 (local.get $e))) (i32.const 4)) (then (return (i32.const 4))))
    (if (f32.ne (struct.get $d $d0 (local.get $e)) (f32.const 5.5)) (then (return (i32.const 5))))
    (if (i32.ne (struct.get_s $d $d1 (local.get $e)) (i32.const 0x66)) (then (return (i32.const 6))))
    (if (i32.eqz
          (i8x16.all_true
            (i8x16.eq
              (struct.get $d $d2 (local.get $e))
              (v128.const i64x2 0x7777777777777777 0x8888888888888888))))
      (then (return (i32.const 7))))
    (if (i32.ne (call $unbox (any.convert_extern (struct.get $d $d3 (local.get $e)))) (i32.const 9))
      (then (return (i32.const 9))))
    (if (i32.ne (struct.get_u $e $e0 (local.get $e)) (i32.const 0xaa)) (then (return (i32.const 10))))
    (if (f64.ne (struct.get $e $e1 (local.get $e)) (f64.const 11.25)) (then (return (i32.const 11))))
    (if (i32.ne (struct.get_u $e $e2 (local.get $e)) (i32.const 0xbbbb)) (then (return (i32.const 12))))
    (if (i32.ne (call_ref $void (ref.cast (ref $void) (struct.get $e $e3 (local.get $e)))) (i32.const 7))
      (then (return (i32.const 13))))
    (if (i32.ne (struct.get_u $e $e4 (local.get $e)) (i32.const 0xcc)) (then (return (i32.const 14))))
    (if (i32.ne (call $unbox (struct.get $e $e5 (local.get $e))) (i32.const 13)) (then (return (i32.const 15))))
    (if (i32.ne (struct.get_s $e $e6 (local.get $e)) (i32.const -35)) (then (return (i32.const 16))))
    (i32.const 0))
  (func (export "all fields") (result i32) (call $check (call $make)))
  (func (export "with neighbours") (result i32)
    (local $x (ref $e)) (local $y (ref $e)) (local $z (ref $e))
    (local.set $x (call $make))
    (local.set $y (struct.new_default $e))
    (local.set $z (call $make))
    (i32.or
      (i32.or (call $check (local.get $x)) (i32.shl (call $check (local.get $z)) (i32.const 8)))
      (i32.shl
        (i32.or
          (ref.is_null (struct.get $c $c1 (local.get $y)))
          (i32.shl (ref.is_null (struct.get $e $e5 (local.get $y))) (i32.const 1)))
        (i32.const 16))))
  ;; The fields of the whole, given at once.
  (func (export "new") (result i32)
    (local $e (ref $e))
    (local.set $e
      (struct.new $e
        (i32.const 0x11) (i64.const 0x2222222222222222) (i32.const 0x3333) (call $box (i32.const 4)) (f32.const 5.5)
        (i32.const 0x66) (v128.const i64x2 0x7777777777777777 0x8888888888888888)
        (extern.convert_any (call $box (i32.const 9))) (i32.const 0xaa) (f64.const 11.25) (i32.const 0xbbbb)
        (ref.func $seven) (i32.const 0xcc) (call $box (i32.const 13)) (i32.const 0xdd)))
    (call $gc)
    (call $check (local.get $e)))
  ;; A constant expression lays out the same.
  (global $const (ref $e)
    (struct.new $e
      (i32.const 0x11) (i64.const 0x2222222222222222) (i32.const 0x3333) (struct.new $box (i32.const 4)) (f32.const 5.5)
      (i32.const 0x66) (v128.const i64x2 0x7777777777777777 0x8888888888888888)
      (extern.convert_any (struct.new $box (i32.const 9))) (i32.const 0xaa) (f64.const 11.25) (i32.const 0xbbbb)
      (ref.func $seven) (i32.const 0xcc) (struct.new $box (i32.const 13)) (i32.const 0xdd)))
  (func (export "const") (result i32) (call $gc) (call $check (global.get $const))))

(assert_return (invoke "all fields") (i32.const 0))
(assert_return (invoke "with neighbours") (i32.const 0x3_0000))
(assert_return (invoke "new") (i32.const 0))
(assert_return (invoke "const") (i32.const 0))

;; Two subtypes of one type put different things into the same hole.
(module
  (import "wasmtime" "gc" (func $gc))
  (type $base (sub (struct (field $k (mut i8)) (field $l (mut i64)))))
  (type $num (sub $base (struct (field (mut i8)) (field (mut i64)) (field $x (mut i32)) (field $y (mut i16)))))
  (type $ref (sub $base (struct (field (mut i8)) (field (mut i64)) (field $r (mut anyref)) (field $s (mut anyref)))))
  (table $t 8 (ref null $base))
  (func (export "fill") (local $i i32)
    (loop $next
      (table.set $t (local.get $i)
        (struct.new $num (local.get $i) (i64.const -1) (i32.const 0x1233_4568) (i32.const 0x7778)))
      (table.set $t (i32.add (local.get $i) (i32.const 1))
        (struct.new $ref (local.get $i) (i64.const -1)
          (struct.new $num (i32.const 1) (i64.const 2) (local.get $i) (i32.const 4))
          (ref.i31 (local.get $i))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 2))) (i32.const 8))))
    (call $gc))
  (func (export "sum") (result i32) (local $i i32) (local $sum i32) (local $o (ref null $base))
    (loop $next
      (local.set $o (table.get $t (local.get $i)))
      (local.set $sum
        (i32.add (local.get $sum)
          (if (result i32) (ref.test (ref $num) (local.get $o))
            (then (i32.sub (struct.get $num $x (ref.cast (ref $num) (local.get $o))) (i32.const 0x1233_4567)))
            (else
              (i32.add
                (struct.get $num $x (ref.cast (ref $num) (struct.get $ref $r (ref.cast (ref $ref) (local.get $o)))))
                (i31.get_u (ref.cast (ref i31) (struct.get $ref $s (ref.cast (ref $ref) (local.get $o))))))))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 8))))
    (local.get $sum)))
(invoke "fill")
;; Four ones, and twice 0 + 2 + 4 + 6.
(assert_return (invoke "sum") (i32.const 28))
(invoke "fill")
(assert_return (invoke "sum") (i32.const 28))
