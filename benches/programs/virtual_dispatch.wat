;; Virtual dispatch: vtables in immutable fields, call_ref, and a cast of the receiver in each method, as compilers of
;; object-oriented languages emit it. Four classes, in no order that a predictor of branches could learn soon.
;; n: rounds over 256 objects.
;; check: areas, summed, with each sum as the argument of the next call that changes an object.
;; bench: n=100000
(module $virtual_dispatch
  (rec
    (type $shape (sub (struct (field $vtable (ref $vtable)))))
    (type $area (func (param $this (ref $shape)) (result i32)))
    (type $grow (func (param $this (ref $shape)) (param $by i32)))
    (type $vtable (sub (struct (field $area (ref $area)) (field $grow (ref $grow)))))
    (type $square (sub $shape (struct (field $vtable (ref $vtable)) (field $side (mut i32)))))
    (type $rectangle (sub $shape (struct
      (field $vtable (ref $vtable)) (field $width (mut i32)) (field $height (mut i32)))))
    (type $triangle (sub $shape (struct
      (field $vtable (ref $vtable)) (field $base (mut i32)) (field $altitude (mut i32)))))
    ;; A rectangle with a hole: overrides one method and inherits the other.
    (type $frame (sub final $rectangle (struct
      (field $vtable (ref $vtable)) (field $width (mut i32)) (field $height (mut i32)) (field $hole i32)))))
  (type $shapes (array (mut (ref null $shape))))

  (elem declare func
    $square_area $square_grow $rectangle_area $rectangle_grow $triangle_area $triangle_grow $frame_area)
  (global $square_vtable (ref $vtable) (struct.new $vtable (ref.func $square_area) (ref.func $square_grow)))
  (global $rectangle_vtable (ref $vtable) (struct.new $vtable (ref.func $rectangle_area) (ref.func $rectangle_grow)))
  (global $triangle_vtable (ref $vtable) (struct.new $vtable (ref.func $triangle_area) (ref.func $triangle_grow)))
  (global $frame_vtable (ref $vtable) (struct.new $vtable (ref.func $frame_area) (ref.func $rectangle_grow)))

  (func $square_area (type $area) (param $this (ref $shape)) (result i32)
    (local $self (ref $square))
    (local.set $self (ref.cast (ref $square) (local.get $this)))
    (i32.mul (struct.get $square $side (local.get $self)) (struct.get $square $side (local.get $self))))
  (func $square_grow (type $grow) (param $this (ref $shape)) (param $by i32)
    (local $self (ref $square))
    (local.set $self (ref.cast (ref $square) (local.get $this)))
    (struct.set $square $side (local.get $self)
      (i32.and (i32.add (struct.get $square $side (local.get $self)) (local.get $by)) (i32.const 1023))))

  (func $rectangle_area (type $area) (param $this (ref $shape)) (result i32)
    (local $self (ref $rectangle))
    (local.set $self (ref.cast (ref $rectangle) (local.get $this)))
    (i32.mul (struct.get $rectangle $width (local.get $self)) (struct.get $rectangle $height (local.get $self))))
  (func $rectangle_grow (type $grow) (param $this (ref $shape)) (param $by i32)
    (local $self (ref $rectangle))
    (local.set $self (ref.cast (ref $rectangle) (local.get $this)))
    (struct.set $rectangle $width (local.get $self)
      (i32.and (i32.add (struct.get $rectangle $width (local.get $self)) (local.get $by)) (i32.const 1023))))

  (func $triangle_area (type $area) (param $this (ref $shape)) (result i32)
    (local $self (ref $triangle))
    (local.set $self (ref.cast (ref $triangle) (local.get $this)))
    (i32.shr_u
      (i32.mul (struct.get $triangle $base (local.get $self)) (struct.get $triangle $altitude (local.get $self)))
      (i32.const 1)))
  (func $triangle_grow (type $grow) (param $this (ref $shape)) (param $by i32)
    (local $self (ref $triangle))
    (local.set $self (ref.cast (ref $triangle) (local.get $this)))
    (struct.set $triangle $altitude (local.get $self)
      (i32.and
        (i32.xor (struct.get $triangle $altitude (local.get $self)) (local.get $by))
        (i32.const 1023))))

  (func $frame_area (type $area) (param $this (ref $shape)) (result i32)
    (local $self (ref $frame))
    (local.set $self (ref.cast (ref $frame) (local.get $this)))
    (i32.sub
      (i32.mul (struct.get $frame $width (local.get $self)) (struct.get $frame $height (local.get $self)))
      (struct.get $frame $hole (local.get $self))))

  (func $make (param $seed i32) (result (ref $shape))
    (local $a i32) (local $b i32)
    (local.set $a (i32.and (i32.shr_u (local.get $seed) (i32.const 8)) (i32.const 63)))
    (local.set $b (i32.and (i32.shr_u (local.get $seed) (i32.const 14)) (i32.const 63)))
    (block $frame (block $triangle (block $rectangle (block $square
      (br_table $square $rectangle $triangle $frame
        (i32.and (i32.shr_u (local.get $seed) (i32.const 20)) (i32.const 3))))
      (return (struct.new $square (global.get $square_vtable) (local.get $a))))
      (return (struct.new $rectangle (global.get $rectangle_vtable) (local.get $a) (local.get $b))))
      (return (struct.new $triangle (global.get $triangle_vtable) (local.get $a) (local.get $b))))
    (struct.new $frame (global.get $frame_vtable) (local.get $a) (local.get $b) (i32.const 1)))

  (func $run (export "run") (param $n i32) (result i32)
    (local $shapes (ref $shapes)) (local $shape (ref null $shape)) (local $i i32) (local $seed i32) (local $sum i32)
    (local.set $shapes (array.new_default $shapes (i32.const 256)))
    (local.set $seed (i32.const 7))
    (loop $fill
      (local.set $seed (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 1013904223)))
      (array.set $shapes (local.get $shapes) (local.get $i) (call $make (local.get $seed)))
      (br_if $fill
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 256))))
    (block $done
      (loop $round
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $i (i32.const 0))
        (loop $next
          (local.set $shape (array.get $shapes (local.get $shapes) (local.get $i)))
          (local.set $sum
            (i32.add
              (local.get $sum)
              (call_ref $area
                (ref.as_non_null (local.get $shape))
                (struct.get $vtable $area (struct.get $shape $vtable (local.get $shape))))))
          (if (i32.eqz (i32.and (local.get $sum) (i32.const 7)))
            (then
              (call_ref $grow
                (ref.as_non_null (local.get $shape))
                (local.get $sum)
                (struct.get $vtable $grow (struct.get $shape $vtable (local.get $shape))))))
          (br_if $next
            (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 256))))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $round)))
    (local.get $sum)))
