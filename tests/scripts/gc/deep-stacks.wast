;; Deep stacks, on which each frame holds a reference to an object of its own, while collections go on. Each frame checks its
;; object when it runs again: after its callee returned, after frames were popped and others pushed in their place,
;; after tail calls, and after exceptions have passed. Results fill registers of all kinds.

(module
  (type $box (struct (field $id (mut i32)) (field i64)))
  (type $bytes (array (mut i8)))
  (tag $bang (param i32))
  (func $box (param $id i32) (result (ref $box)) (struct.new $box (local.get $id) (i64.const -1)))
  (func $check (param $b (ref $box)) (param $id i32)
    (if (i32.ne (struct.get $box $id (local.get $b)) (local.get $id)) (then (unreachable))))
  (func $churn (param $n i32) (local $last (ref null $bytes))
    (if (i32.eqz (local.get $n)) (then (return)))
    (loop $l
      (local.set $last (array.new $bytes (i32.const -1) (i32.const 4000)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))

  ;; Down and up once; the results come through registers of both kinds, and change at each return.
  (func $down (param $depth i32) (param $n i32) (result i32 i64 f32 f64 v128 i32) (local $mine (ref $box))
    (local $a i32) (local $b i64) (local $c f32) (local $d f64) (local $e v128) (local $f i32)
    (local.set $mine (call $box (local.get $depth)))
    (if (i32.eqz (local.get $depth))
      (then
        (call $churn (local.get $n)) (call $churn (local.get $n)) (call $churn (local.get $n))
        (return (i32.const 0) (i64.const 1) (f32.const 2) (f64.const 3) (v128.const i32x4 1 2 3 4) (i32.const 5))))
    (call $down (i32.sub (local.get $depth) (i32.const 1)) (local.get $n))
    (local.set $f) (local.set $e) (local.set $d) (local.set $c) (local.set $b) (local.set $a)
    (call $check (local.get $mine) (local.get $depth))
    (i32.add (local.get $a) (local.get $depth))
    (i64.add (local.get $b) (i64.const 2))
    (f32.add (local.get $c) (f32.const 1))
    (f64.add (local.get $d) (f64.const 2))
    (i32x4.add (local.get $e) (v128.const i32x4 1 1 2 2))
    (i32.add (local.get $f) (i32.const 1)))
  (func (export "down") (param i32 i32) (result i32 i64 f32 f64 v128 i32) (call $down (local.get 0) (local.get 1)))

  ;; A saw: at each of `depth` levels, half of the stack is popped and pushed again with other objects.
  (func $stack (param $depth i32) (param $id i32) (param $n i32) (result i32) (local $mine (ref $box)) (local $sum i32)
    (local.set $mine (call $box (local.get $id)))
    (if (i32.eqz (local.get $depth)) (then (call $churn (local.get $n)) (return (struct.get $box $id (local.get $mine)))))
    (local.set $sum (call $stack (i32.sub (local.get $depth) (i32.const 1)) (i32.add (local.get $id) (i32.const 1)) (local.get $n)))
    (call $check (local.get $mine) (local.get $id))
    (local.get $sum))
  (func $saw (param $depth i32) (param $teeth i32) (param $n i32) (result i32) (local $mine (ref $box)) (local $sum i32) (local $i i32)
    (local.set $mine (call $box (local.get $depth)))
    (if (local.get $depth)
      (then (local.set $sum (call $saw (i32.sub (local.get $depth) (i32.const 1)) (local.get $teeth) (local.get $n))))
      (else
        (loop $l
          (local.set $sum (i32.add (local.get $sum) (call $stack (i32.const 60) (i32.mul (local.get $i) (i32.const 1000)) (local.get $n))))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $teeth))))))
    (call $check (local.get $mine) (local.get $depth))
    (local.get $sum))
  (func (export "saw") (param i32 i32 i32) (result i32) (call $saw (local.get 0) (local.get 1) (local.get 2)))

  ;; Every 40th frame catches what is thrown at the bottom, lets collections go on, and throws it again.
  (func $throw (param $depth i32) (param $n i32) (result i32) (local $mine (ref $box)) (local $got i32)
    (local.set $mine (call $box (local.get $depth)))
    (if (i32.eqz (local.get $depth)) (then (call $churn (local.get $n)) (throw $bang (i32.const 1))))
    (if (i32.rem_u (local.get $depth) (i32.const 40))
      (then
        (local.set $got (call $throw (i32.sub (local.get $depth) (i32.const 1)) (local.get $n)))
        (call $check (local.get $mine) (local.get $depth))
        (return (local.get $got))))
    (block $caught (result i32)
      (try_table (result i32) (catch $bang $caught) (call $throw (i32.sub (local.get $depth) (i32.const 1)) (local.get $n)))
      (return))
    (local.set $got)
    (call $check (local.get $mine) (local.get $depth))
    (drop (call $stack (i32.const 50) (i32.const 5000) (local.get $n)))
    (call $check (local.get $mine) (local.get $depth))
    (throw $bang (i32.add (local.get $got) (i32.const 1))))
  (func (export "throw") (param $depth i32) (param $n i32) (result i32)
    (block $caught (result i32)
      (try_table (result i32) (catch $bang $caught) (call $throw (local.get $depth) (local.get $n)))))

  ;; Frames that are replaced by tail calls with fewer and more arguments on the stack, below frames that wait.
  (func $few (param $depth i32) (param $n i32) (result i32) (local $mine (ref $box)) (local $r i32)
    (local.set $mine (call $box (local.get $depth)))
    (call $churn (local.get $n))
    (if (i32.eqz (local.get $depth)) (then (return (i32.const 0))))
    (local.set $r (call $many0 (i32.sub (local.get $depth) (i32.const 1)) (local.get $n)))
    (call $check (local.get $mine) (local.get $depth))
    (i32.add (local.get $r) (i32.const 1)))
  (func $many0 (param $depth i32) (param $n i32) (result i32)
    (return_call $many (local.get $depth) (local.get $n) (call $box (i32.const 1)) (call $box (i32.const 2)) (call $box (i32.const 3))
      (call $box (i32.const 4)) (call $box (i32.const 5)) (call $box (i32.const 6)) (call $box (i32.const 7)) (call $box (i32.const 8))
      (call $box (i32.const 9)) (call $box (i32.const 10)) (call $box (i32.const 11)) (call $box (i32.const 12))))
  (func $many (param $depth i32) (param $n i32) (param (ref $box) (ref $box) (ref $box) (ref $box) (ref $box) (ref $box))
      (param (ref $box) (ref $box) (ref $box) (ref $box) (ref $box)) (param $last (ref $box)) (result i32)
    (call $churn (local.get $n))
    (call $check (local.get $last) (i32.const 12))
    (call $check (local.get 2) (i32.const 1))
    (return_call $few (local.get $depth) (local.get $n)))
  (func (export "tails") (param i32 i32) (result i32) (call $few (local.get 0) (local.get 1))))

;; 200 + 199 + ...; each other result has changed 200 times.
(assert_return (invoke "down" (i32.const 200) (i32.const 40)) (i32.const 20100) (i64.const 401) (f32.const 202) (f64.const 403)
  (v128.const i32x4 201 202 403 404) (i32.const 205))
(assert_return (invoke "down" (i32.const 0) (i32.const 0)) (i32.const 0) (i64.const 1) (f32.const 2) (f64.const 3)
  (v128.const i32x4 1 2 3 4) (i32.const 5))
;; The bottom of tooth i returns 1000 i + 60.
(assert_return (invoke "saw" (i32.const 100) (i32.const 4) (i32.const 40)) (i32.const 6240))
;; 1 at the bottom, and one more from each of 3 handlers.
(assert_return (invoke "throw" (i32.const 120) (i32.const 40)) (i32.const 4))
(assert_return (invoke "tails" (i32.const 90) (i32.const 4)) (i32.const 90))
