;; Closures: fresh objects that hold a function reference and what it captured; composed, called, and one with shared state.
;; n: rounds, each with four closures.
;; check: what the composed closures compute from each other's results.
;; bench: n=6000000
(module $closures
  (rec
    (type $closure (sub (struct (field $code (ref $code)))))
    (type $code (func (param $self (ref $closure)) (param $x i32) (result i32))))
  (type $cell (struct (field $value (mut i32))))
  (type $with_int (sub final $closure (struct (field $code (ref $code)) (field $int i32))))
  (type $with_two (sub final $closure (struct
    (field $code (ref $code)) (field $first (ref $closure)) (field $second (ref $closure)))))
  (type $with_cell (sub final $closure (struct (field $code (ref $code)) (field $cell (ref $cell)))))
  (elem declare func $add_code $multiply_code $compose_code $count_code)

  (func $add_code (type $code) (param $self (ref $closure)) (param $x i32) (result i32)
    (i32.add (local.get $x) (struct.get $with_int $int (ref.cast (ref $with_int) (local.get $self)))))
  (func $multiply_code (type $code) (param $self (ref $closure)) (param $x i32) (result i32)
    (i32.mul (local.get $x) (struct.get $with_int $int (ref.cast (ref $with_int) (local.get $self)))))
  (func $compose_code (type $code) (param $self (ref $closure)) (param $x i32) (result i32)
    (local $own (ref $with_two))
    (local.set $own (ref.cast (ref $with_two) (local.get $self)))
    (call $apply
      (struct.get $with_two $second (local.get $own))
      (call $apply (struct.get $with_two $first (local.get $own)) (local.get $x))))
  (func $count_code (type $code) (param $self (ref $closure)) (param $x i32) (result i32)
    (local $cell (ref $cell))
    (local.set $cell (struct.get $with_cell $cell (ref.cast (ref $with_cell) (local.get $self))))
    (struct.set $cell $value (local.get $cell)
      (i32.add (struct.get $cell $value (local.get $cell)) (local.get $x)))
    (struct.get $cell $value (local.get $cell)))

  (func $adder (param $by i32) (result (ref $closure)) (struct.new $with_int (ref.func $add_code) (local.get $by)))
  (func $multiplier (param $by i32) (result (ref $closure))
    (struct.new $with_int (ref.func $multiply_code) (local.get $by)))
  (func $compose (param $first (ref $closure)) (param $second (ref $closure)) (result (ref $closure))
    (struct.new $with_two (ref.func $compose_code) (local.get $first) (local.get $second)))
  (func $counter (param $cell (ref $cell)) (result (ref $closure))
    (struct.new $with_cell (ref.func $count_code) (local.get $cell)))

  (func $apply (param $f (ref $closure)) (param $x i32) (result i32)
    (call_ref $code (local.get $f) (local.get $x) (struct.get $closure $code (local.get $f))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $i i32) (local $x i32) (local $cell (ref $cell))
    (local.set $cell (struct.new $cell (i32.const 0)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $x
          (i32.xor
            (local.get $i)
            (call $apply
              (call $compose (call $adder (local.get $i)) (call $multiplier (i32.const 3)))
              (local.get $x))))
        (drop (call $apply (call $counter (local.get $cell)) (local.get $x)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.xor (local.get $x) (struct.get $cell $value (local.get $cell)))))
