;; Imports are checked against canonical types: functions, globals, tables and tags.

(module $m
  (type $super (sub (func (result anyref))))
  (type $sub (sub $super (func (result eqref))))
  (type $final (func (result anyref)))
  (type $s (sub (struct (field i32))))
  (type $t (sub $s (struct (field i32) (field i32))))
  (func (export "super") (type $super) (ref.null any))
  (func (export "sub") (type $sub) (ref.i31 (i32.const 3)))
  (func (export "final") (type $final) (ref.null any))
  (global (export "gt") (ref $t) (struct.new $t (i32.const 1) (i32.const 2)))
  (global (export "gnull") (ref null $t) (ref.null $t))
  (global (export "gmut") (mut (ref null $t)) (ref.null $t))
  (table (export "tt") 1 (ref null $t))
  (table (export "ts") 1 (ref null $s))
  (tag (export "tag") (param (ref null $t)))
  (tag (export "tag2") (param (ref null $s))))
(register "m" $m)

;; A function matches an import of its own type and of its supertypes.
(module
  (type $super (sub (func (result anyref))))
  (type $sub (sub $super (func (result eqref))))
  (import "m" "super" (func $f (type $super)))
  (import "m" "sub" (func $g (type $super)))
  (import "m" "sub" (func $h (type $sub)))
  (func (export "g") (result i32) (ref.is_null (call $g)))
  (func (export "h") (result i32) (i31.get_s (ref.cast (ref i31) (call $h)))))
(assert_return (invoke "g") (i32.const 0))
(assert_return (invoke "h") (i32.const 3))
(assert_unlinkable
  (module
    (type $super (sub (func (result anyref))))
    (type $sub (sub $super (func (result eqref))))
    (import "m" "super" (func (type $sub))))
  "incompatible import type")
;; What is final is not what is open, even with the same signature.
(assert_unlinkable (module (import "m" "super" (func (result anyref)))) "incompatible import type")
(assert_unlinkable
  (module (type $super (sub (func (result anyref)))) (import "m" "final" (func (type $super))))
  "incompatible import type")
;; A signature that would be a subtype is not, unless declared.
(assert_unlinkable (module (type $sub (sub (func (result eqref)))) (import "m" "sub" (func (type $sub))))
  "incompatible import type")

;; Immutable globals may be imported at a supertype, mutable ones only at their own.
(module
  (type $s (sub (struct (field i32))))
  (type $t (sub $s (struct (field i32) (field i32))))
  (import "m" "gt" (global $a (ref $t)))
  (import "m" "gt" (global $b (ref $s)))
  (import "m" "gt" (global $c (ref null $s)))
  (import "m" "gt" (global $d (ref struct)))
  (import "m" "gt" (global $e anyref))
  (import "m" "gmut" (global $f (mut (ref null $t))))
  (func (export "get") (result i32)
    (i32.add
      (i32.add (struct.get $t 1 (global.get $a)) (struct.get $s 0 (global.get $b)))
      (i32.add (struct.get $s 0 (global.get $c)) (ref.eq (global.get $d) (ref.cast eqref (global.get $e)))))))
(assert_return (invoke "get") (i32.const 5))
(assert_unlinkable (module (import "m" "gnull" (global (ref struct)))) "incompatible import type")
(assert_unlinkable (module (import "m" "gt" (global (mut anyref)))) "incompatible import type")
(assert_unlinkable (module (import "m" "gmut" (global (mut anyref)))) "incompatible import type")
(assert_unlinkable (module (import "m" "gmut" (global anyref))) "incompatible import type")
(assert_unlinkable (module (type $s (struct (field i32))) (import "m" "gt" (global (ref $s)))) "incompatible import type")
(assert_unlinkable (module (import "m" "gt" (global (ref array)))) "incompatible import type")

;; Tables are invariant.
(module
  (type $x (sub (struct (field i32))))
  (type $y (sub $x (struct (field i32) (field i32))))
  (import "m" "tt" (table 1 (ref null $y)))
  (import "m" "ts" (table 0 (ref null $x))))
(assert_unlinkable
  (module (type $s (sub (struct (field i32)))) (import "m" "tt" (table 1 (ref null $s))))
  "incompatible import type")
(assert_unlinkable
  (module
    (type $s (sub (struct (field i32))))
    (type $t (sub $s (struct (field i32) (field i32))))
    (import "m" "ts" (table 1 (ref null $t))))
  "incompatible import type")
(assert_unlinkable (module (import "m" "tt" (table 1 anyref))) "incompatible import type")

;; So are tags.
(module
  (type $x (sub (struct (field i32))))
  (type $y (sub $x (struct (field i32) (field i32))))
  (import "m" "tag" (tag (param (ref null $y)))))
(assert_unlinkable
  (module (type $s (sub (struct (field i32)))) (import "m" "tag" (tag (param (ref null $s)))))
  "incompatible import type")
(assert_unlinkable (module (import "m" "tag" (tag (param anyref)))) "incompatible import type")
(assert_unlinkable (module (import "m" "tag" (tag))) "incompatible import type")
(assert_unlinkable (module (import "m" "tag" (func))) "incompatible import type")
