;; Types of different modules are one type when their recursion groups are equal member by member, after what they refer to has been made
;; canonical; finality, nullability, mutability, storage and the place in the group all count.

(module $producer
  (type $point (struct (field i32) (field (mut i64))))
  (rec
    (type $list (struct (field i32) (field (ref null $list)))))
  (rec
    (type $a (struct (field (ref null $b))))
    (type $b (struct (field (ref null $a)) (field i32))))
  (func (export "point") (result anyref) (struct.new $point (i32.const 1) (i64.const 2)))
  (func (export "list") (result anyref)
    (struct.new $list (i32.const 1) (struct.new $list (i32.const 2) (ref.null $list))))
  (func (export "a") (result anyref) (struct.new $a (struct.new_default $b)))
  (func (export "b") (result anyref) (struct.new $b (struct.new_default $a) (i32.const 9))))
(register "producer" $producer)

;; The same types at other indices, with other types before, between and after them.
(module
  (type $pad0 (func (param f32)))
  (rec
    (type $aa (struct (field (ref null $bb))))
    (type $bb (struct (field (ref null $aa)) (field i32))))
  (type $pad1 (array i8))
  (rec
    (type $l (struct (field i32) (field (ref null $l)))))
  (type $pt (struct (field i32) (field (mut i64))))
  (import "producer" "point" (func $point (result anyref)))
  (import "producer" "list" (func $list (result anyref)))
  (import "producer" "a" (func $a (result anyref)))
  (import "producer" "b" (func $b (result anyref)))
  (func (export "point") (result i64) (struct.get $pt 1 (ref.cast (ref $pt) (call $point))))
  (func (export "list") (result i32)
    (struct.get $l 0 (struct.get $l 1 (ref.cast (ref $l) (call $list)))))
  (func (export "a") (result i32) (struct.get $bb 1 (struct.get $aa 0 (ref.cast (ref $aa) (call $a)))))
  (func (export "b") (result i32) (struct.get $bb 1 (ref.cast (ref $bb) (call $b))))
  (func (export "a is b") (result i32) (ref.test (ref $bb) (call $a)))
  (func (export "b is a") (result i32) (ref.test (ref $aa) (call $b)))
  (func (export "list is point") (result i32) (ref.test (ref $pt) (call $list))))
(assert_return (invoke "point") (i64.const 2))
(assert_return (invoke "list") (i32.const 2))
(assert_return (invoke "a") (i32.const 0))
(assert_return (invoke "b") (i32.const 9))
(assert_return (invoke "a is b") (i32.const 0))
(assert_return (invoke "b is a") (i32.const 0))
(assert_return (invoke "list is point") (i32.const 0))

;; Nearly the same types. None of them is the producer's.
(module
  (import "producer" "point" (func $point (result anyref)))
  (import "producer" "list" (func $list (result anyref)))
  (import "producer" "a" (func $a (result anyref)))
  (import "producer" "b" (func $b (result anyref)))
  (type $immutable (struct (field i32) (field i64)))
  (type $mutable (struct (field (mut i32)) (field (mut i64))))
  (type $open (sub (struct (field i32) (field (mut i64)))))
  (type $longer (struct (field i32) (field (mut i64)) (field i32)))
  (type $packed (struct (field i8) (field (mut i64))))
  (rec (type $point2 (struct (field i32) (field (mut i64)))) (type $other (struct)))
  (rec (type $before (struct)) (type $point3 (struct (field i32) (field (mut i64)))))
  (func (export "points") (result i32)
    (i32.or
      (i32.or
        (i32.or (ref.test (ref $immutable) (call $point)) (ref.test (ref $mutable) (call $point)))
        (i32.or (ref.test (ref $open) (call $point)) (ref.test (ref $longer) (call $point))))
      (i32.or
        (ref.test (ref $packed) (call $point))
        (i32.or (ref.test (ref $point2) (call $point)) (ref.test (ref $point3) (call $point))))))

  (rec (type $strict (struct (field i32) (field (ref $strict)))))
  (rec (type $l0 (struct (field i32) (field (ref null $l1)))) (type $l1 (struct (field i32) (field (ref null $l0)))))
  (type $la (struct (field i32) (field anyref)))
  (type $ls (struct (field i32) (field structref)))
  (func (export "lists") (result i32)
    (i32.or
      (i32.or (ref.test (ref $strict) (call $list)) (ref.test (ref $l0) (call $list)))
      (i32.or
        (ref.test (ref $l1) (call $list))
        (i32.or (ref.test (ref $la) (call $list)) (ref.test (ref $ls) (call $list))))))

  ;; The same two in the other order, and with a reference to themselves in place of the other's.
  (rec
    (type $b0 (struct (field (ref null $a0)) (field i32)))
    (type $a0 (struct (field (ref null $b0)))))
  (rec
    (type $a1 (struct (field (ref null $a1))))
    (type $b1 (struct (field (ref null $a1)) (field i32))))
  (rec
    (type $a2 (struct (field (ref null $b2))))
    (type $b2 (struct (field (ref null $b2)) (field i32))))
  (func (export "pairs") (result i32)
    (i32.or
      (i32.or
        (i32.or (ref.test (ref $a0) (call $a)) (ref.test (ref $b0) (call $b)))
        (i32.or (ref.test (ref $a1) (call $a)) (ref.test (ref $b1) (call $b))))
      (i32.or (ref.test (ref $a2) (call $a)) (ref.test (ref $b2) (call $b))))))
(assert_return (invoke "points") (i32.const 0))
(assert_return (invoke "lists") (i32.const 0))
(assert_return (invoke "pairs") (i32.const 0))

;; A reference to an outer group is the same whether the index is relative or not, as long as the type is the same.
(module $outer1
  (type $s (struct (field i32)))
  (rec (type $r (struct (field (ref null $s)) (field (ref null $r)))))
  (func (export "new") (result anyref) (struct.new $r (struct.new $s (i32.const 5)) (ref.null none))))
(register "outer1" $outer1)
(module
  (rec (type $q (struct (field (ref null $q)) (field (ref null $q)))))
  (type $t (struct (field i32)))
  (rec (type $p (struct (field (ref null $t)) (field (ref null $p)))))
  (import "outer1" "new" (func $new (result anyref)))
  (func (export "same") (result i32) (ref.test (ref $p) (call $new)))
  (func (export "self") (result i32) (ref.test (ref $q) (call $new)))
  (func (export "value") (result i32) (struct.get $t 0 (struct.get $p 0 (ref.cast (ref $p) (call $new))))))
(assert_return (invoke "same") (i32.const 1))
(assert_return (invoke "self") (i32.const 0))
(assert_return (invoke "value") (i32.const 5))

;; Supertypes are part of a type: two subtypes with equal fields but different parents are different.
(module $parents
  (type $p1 (sub (struct (field i32))))
  (type $p2 (sub (struct (field i32) (field i32))))
  (type $c1 (sub $p1 (struct (field i32) (field i32) (field i32))))
  (type $c2 (sub $p2 (struct (field i32) (field i32) (field i32))))
  (func (export "c1") (result anyref) (struct.new_default $c1))
  (func (export "c2") (result anyref) (struct.new_default $c2))
  (func (export "c1 is c2") (result i32) (ref.test (ref $c2) (struct.new_default $c1)))
  (func (export "c1 is p2") (result i32) (ref.test (ref $p2) (struct.new_default $c1)))
  (func (export "c2 is p1") (result i32) (ref.test (ref $p1) (struct.new_default $c2))))
(register "parents" $parents)
(assert_return (invoke "c1 is c2") (i32.const 0))
(assert_return (invoke "c1 is p2") (i32.const 0))
(assert_return (invoke "c2 is p1") (i32.const 0))
(module
  (type $q2 (sub (struct (field i32) (field i32))))
  (type $d2 (sub $q2 (struct (field i32) (field i32) (field i32))))
  (type $final2 (sub final $q2 (struct (field i32) (field i32) (field i32))))
  (import "parents" "c1" (func $c1 (result anyref)))
  (import "parents" "c2" (func $c2 (result anyref)))
  (func (export "test") (param i32) (result i32)
    (local $x anyref)
    (local.set $x (if (result anyref) (local.get 0) (then (call $c1)) (else (call $c2))))
    (i32.or
      (ref.test (ref $q2) (local.get $x))
      (i32.or
        (i32.shl (ref.test (ref $d2) (local.get $x)) (i32.const 1))
        (i32.shl (ref.test (ref $final2) (local.get $x)) (i32.const 2))))))
(assert_return (invoke "test" (i32.const 1)) (i32.const 0))
(assert_return (invoke "test" (i32.const 0)) (i32.const 3))
