;; Objects that never leave their function, in all the ways in which their fields can be written and meet.

(module
  (type $p (sub (struct (field $x (mut i32)) (field $y (mut i64)) (field $f (mut f64)))))
  (type $q (sub final $p (struct (field (mut i32)) (field (mut i64)) (field (mut f64)) (field $b (mut i8)) (field $h (mut i16))
    (field $r (mut anyref)) (field $v (mut v128)))))
  (type $list (sub final (struct (field $next (mut (ref null $list))) (field $value i32))))
  (tag $t (param i32))
  (func $throw (param i32) (throw $t (local.get 0)))
  (func $collect (drop (array.new_default $filler (i32.const 100))))
  (type $filler (array (mut i64)))

  (func (export "packed") (param $v i32) (result i32 i32 i32 i32)
    (local $o (ref $q))
    (local.set $o (struct.new_default $q))
    (struct.set $q $b (local.get $o) (local.get $v))
    (struct.set $q $h (local.get $o) (local.get $v))
    (struct.get_s $q $b (local.get $o))
    (struct.get_u $q $b (local.get $o))
    (struct.get_s $q $h (local.get $o))
    (struct.get_u $q $h (local.get $o)))

  ;; Every field has its default.
  (func (export "defaults") (result i32 i64 f64 i32 i32 v128)
    (local $o (ref $q))
    (local.set $o (struct.new_default $q))
    (struct.get $p $x (local.get $o)) (struct.get $p $y (local.get $o)) (struct.get $p $f (local.get $o))
    (struct.get_u $q $b (local.get $o)) (ref.is_null (struct.get $q $r (local.get $o)))
    (struct.get $q $v (local.get $o)))

  ;; The fields meet behind a switch in a loop.
  (func (export "machine") (param $n i32) (result i32 i64)
    (local $o (ref $p))
    (local.set $o (struct.new $p (i32.const 1) (i64.const 0) (f64.const 0)))
    (loop $l
      (block $two (block $one (block $zero
        (br_table $zero $one $two (i32.rem_u (local.get $n) (i32.const 3))))
        ;; 0: x *= 2
        (struct.set $p $x (local.get $o) (i32.mul (struct.get $p $x (local.get $o)) (i32.const 2)))
        (br $two))
        ;; 1: y += x
        (struct.set $p $y (local.get $o)
          (i64.add (struct.get $p $y (local.get $o)) (i64.extend_i32_s (struct.get $p $x (local.get $o))))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (local.get $n)))
    (struct.get $p $x (local.get $o)) (struct.get $p $y (local.get $o)))

  ;; A new object each round: the old one's fields must not shine through.
  (func (export "fresh") (param $n i32) (result i32)
    (local $o (ref null $p)) (local $sum i32)
    (loop $l
      (local.set $o (struct.new_default $p))
      (if (i32.and (local.get $n) (i32.const 1))
        (then (struct.set $p $x (local.get $o) (local.get $n))))
      (local.set $sum (i32.add (local.get $sum) (struct.get $p $x (local.get $o))))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $l (local.get $n)))
    (local.get $sum))

  ;; A reference that only a replaced object holds lives across collections.
  (func (export "holds") (param $n i32) (result i32)
    (local $o (ref $q)) (local $l (ref null $list)) (local $sum i32)
    (local.set $o (struct.new_default $q))
    (struct.set $q $r (local.get $o) (struct.new $list (ref.null $list) (i32.const 5)))
    (loop $again
      (call $collect)
      (struct.set $q $r (local.get $o)
        (struct.new $list (ref.cast (ref null $list) (struct.get $q $r (local.get $o))) (local.get $n)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br_if $again (local.get $n)))
    (call $collect)
    (local.set $l (ref.cast (ref null $list) (struct.get $q $r (local.get $o))))
    (block $end
      (loop $walk
        (br_if $end (ref.is_null (local.get $l)))
        (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 10)) (struct.get $list $value (local.get $l))))
        (local.set $l (struct.get $list $next (local.get $l)))
        (br $walk)))
    (local.get $sum))

  ;; A handler sees what was written before the call that threw, and not what was to be written after it.
  (func (export "caught") (param $n i32) (result i32)
    (local $o (ref $p))
    (local.set $o (struct.new_default $p))
    (drop (block $h (result i32)
      (try_table (catch $t $h)
        (struct.set $p $x (local.get $o) (i32.const 10))
        (if (local.get $n) (then (call $throw (local.get $n))))
        (struct.set $p $x (local.get $o) (i32.const 20))
        (call $throw (i32.const 0)))
      (i32.const 0)))
    (struct.get $p $x (local.get $o)))
)

(assert_return (invoke "packed" (i32.const 0x12fedc))
  (i32.const -36) (i32.const 0xdc) (i32.const 0xfffffedc) (i32.const 0xfedc))
(assert_return (invoke "defaults")
  (i32.const 0) (i64.const 0) (f64.const 0) (i32.const 0) (i32.const 1) (v128.const i32x4 0 0 0 0))
;; n = 7..1: residues 1 0 2 1 0 2 1, so y = 1 + 2 + 4 and x = 4.
(assert_return (invoke "machine" (i32.const 7)) (i32.const 4) (i64.const 7))
(assert_return (invoke "fresh" (i32.const 6)) (i32.const 9))
(assert_return (invoke "holds" (i32.const 4)) (i32.const 12345))
(assert_return (invoke "caught" (i32.const 1)) (i32.const 10))
(assert_return (invoke "caught" (i32.const 0)) (i32.const 20))
