;; Small fields that share the bytes which alignment left in a supertype: each is written, none changes another.

(module
  (type $p (sub (struct (field (mut i8)))))
  (type $b3 (sub $p (struct (field (mut i8)) (field (mut i8)) (field (mut i8)) (field (mut i8)))))
  (type $mix (sub $p (struct (field (mut i8)) (field (mut i16)) (field (mut i8)))))
  (type $q (sub (struct (field (mut i8)) (field (mut i64)))))
  (type $b7 (sub $q
    (struct (field (mut i8)) (field (mut i64)) (field (mut i8)) (field (mut i8)) (field (mut i8)) (field (mut i8))
      (field (mut i8)) (field (mut i8)) (field (mut i8)) (field (mut i8)))))
  (type $w (sub $q
    (struct (field (mut i8)) (field (mut i64)) (field (mut i8)) (field (mut i16)) (field (mut i32)) (field (mut i8)))))
  (func (export "bytes") (param i32 i32 i32 i32) (result i32) (local $x (ref $b3))
    (local.set $x (struct.new_default $b3))
    (struct.set $b3 3 (local.get $x) (local.get 3))
    (struct.set $b3 2 (local.get $x) (local.get 2))
    (struct.set $b3 1 (local.get $x) (local.get 1))
    (struct.set $p 0 (local.get $x) (local.get 0))
    (i32.or
      (i32.or (struct.get_u $b3 0 (local.get $x)) (i32.shl (struct.get_u $b3 1 (local.get $x)) (i32.const 8)))
      (i32.or
        (i32.shl (struct.get_u $b3 2 (local.get $x)) (i32.const 16))
        (i32.shl (struct.get_u $b3 3 (local.get $x)) (i32.const 24)))))
  (func (export "mix") (result i32 i32 i32) (local $x (ref $mix))
    (local.set $x (struct.new $mix (i32.const 0x11) (i32.const 0x2222) (i32.const 0x33)))
    (struct.set $mix 1 (local.get $x) (i32.const 0x4444))
    (struct.get_u $mix 0 (local.get $x)) (struct.get_u $mix 1 (local.get $x)) (struct.get_u $mix 2 (local.get $x)))
  (func (export "eight") (result i64 i32) (local $x (ref $b7))
    (local.set $x
      (struct.new $b7 (i32.const 1) (i64.const 0x5555555555555555) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5)
        (i32.const 6) (i32.const 7) (i32.const 8) (i32.const 9)))
    (struct.get $q 1 (local.get $x))
    (i32.add
      (i32.add
        (i32.add
          (i32.mul (struct.get_u $b7 0 (local.get $x)) (i32.const 100000000))
          (i32.mul (struct.get_u $b7 2 (local.get $x)) (i32.const 10000000)))
        (i32.add
          (i32.mul (struct.get_u $b7 3 (local.get $x)) (i32.const 1000000))
          (i32.mul (struct.get_u $b7 4 (local.get $x)) (i32.const 100000))))
      (i32.add
        (i32.add
          (i32.add
            (i32.mul (struct.get_u $b7 5 (local.get $x)) (i32.const 10000))
            (i32.mul (struct.get_u $b7 6 (local.get $x)) (i32.const 1000)))
          (i32.mul (struct.get_u $b7 7 (local.get $x)) (i32.const 100)))
        (i32.add (i32.mul (struct.get_u $b7 8 (local.get $x)) (i32.const 10)) (struct.get_u $b7 9 (local.get $x))))))
  (func (export "wide") (result i32 i64 i32 i32 i32 i32) (local $x (ref $w))
    (local.set $x
      (struct.new $w (i32.const -1) (i64.const -1) (i32.const -1) (i32.const -1) (i32.const -1) (i32.const -1)))
    (struct.set $w 3 (local.get $x) (i32.const 0))
    (struct.set $w 5 (local.get $x) (i32.const 0))
    (struct.get_s $w 0 (local.get $x)) (struct.get $w 1 (local.get $x)) (struct.get_s $w 2 (local.get $x))
    (struct.get_s $w 3 (local.get $x)) (struct.get $w 4 (local.get $x)) (struct.get_s $w 5 (local.get $x))))

(assert_return (invoke "bytes" (i32.const 0x12) (i32.const 0x34) (i32.const 0x56) (i32.const 0x78)) (i32.const 0x7856_3412))
(assert_return (invoke "bytes" (i32.const 0) (i32.const -1) (i32.const 0) (i32.const -1)) (i32.const 0xff00_ff00))
(assert_return (invoke "mix") (i32.const 0x11) (i32.const 0x4444) (i32.const 0x33))
(assert_return (invoke "eight") (i64.const 0x5555555555555555) (i32.const 123456789))
(assert_return (invoke "wide")
  (i32.const -1) (i64.const -1) (i32.const -1) (i32.const 0) (i32.const -1) (i32.const 0))
