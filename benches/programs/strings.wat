;; String building: UTF-16 strings, a builder that doubles, numbers to text, concatenation, comparison, hashing.
;; n: numbers.
;; check: hashes of texts and of the builder's contents, folded.
;; bench: n=1000000
(module $strings
  (type $string (array (mut i16)))
  (type $builder (struct (field $chars (mut (ref $string))) (field $length (mut i32))))
  (global $unit (ref $string) (array.new_fixed $string 2 (i32.const 112) (i32.const 120)))
  (global $comma (ref $string) (array.new_fixed $string 2 (i32.const 44) (i32.const 32)))

  (func $builder (result (ref $builder))
    (struct.new $builder (array.new_default $string (i32.const 16)) (i32.const 0)))

  (func $reserve (param $b (ref $builder)) (param $more i32)
    (local $old (ref $string)) (local $new (ref $string)) (local $capacity i32) (local $needed i32)
    (local.set $old (struct.get $builder $chars (local.get $b)))
    (local.set $needed (i32.add (struct.get $builder $length (local.get $b)) (local.get $more)))
    (local.set $capacity (array.len (local.get $old)))
    (if (i32.le_u (local.get $needed) (local.get $capacity)) (then (return)))
    (local.set $capacity (i32.shl (local.get $capacity) (i32.const 1)))
    (if (i32.lt_u (local.get $capacity) (local.get $needed)) (then (local.set $capacity (local.get $needed))))
    (local.set $new (array.new_default $string (local.get $capacity)))
    (array.copy $string $string
      (local.get $new) (i32.const 0)
      (local.get $old) (i32.const 0) (struct.get $builder $length (local.get $b)))
    (struct.set $builder $chars (local.get $b) (local.get $new)))

  (func $append (param $b (ref $builder)) (param $s (ref $string))
    (call $reserve (local.get $b) (array.len (local.get $s)))
    (array.copy $string $string
      (struct.get $builder $chars (local.get $b)) (struct.get $builder $length (local.get $b))
      (local.get $s) (i32.const 0) (array.len (local.get $s)))
    (struct.set $builder $length (local.get $b)
      (i32.add (struct.get $builder $length (local.get $b)) (array.len (local.get $s)))))

  (func $append_char (param $b (ref $builder)) (param $c i32)
    (call $reserve (local.get $b) (i32.const 1))
    (array.set $string (struct.get $builder $chars (local.get $b)) (struct.get $builder $length (local.get $b))
      (local.get $c))
    (struct.set $builder $length (local.get $b)
      (i32.add (struct.get $builder $length (local.get $b)) (i32.const 1))))

  (func $to_string (param $b (ref $builder)) (result (ref $string))
    (local $s (ref $string))
    (local.set $s (array.new_default $string (struct.get $builder $length (local.get $b))))
    (array.copy $string $string
      (local.get $s) (i32.const 0)
      (struct.get $builder $chars (local.get $b)) (i32.const 0) (array.len (local.get $s)))
    (local.get $s))

  (func $concat (param $a (ref $string)) (param $b (ref $string)) (result (ref $string))
    (local $s (ref $string))
    (local.set $s
      (array.new_default $string (i32.add (array.len (local.get $a)) (array.len (local.get $b)))))
    (array.copy $string $string
      (local.get $s) (i32.const 0) (local.get $a) (i32.const 0) (array.len (local.get $a)))
    (array.copy $string $string
      (local.get $s) (array.len (local.get $a)) (local.get $b) (i32.const 0) (array.len (local.get $b)))
    (local.get $s))

  ;; Decimal digits of an unsigned number.
  (func $decimal (param $value i32) (result (ref $string))
    (local $digits i32) (local $rest i32) (local $s (ref $string))
    (local.set $rest (local.get $value))
    (loop $count
      (local.set $digits (i32.add (local.get $digits) (i32.const 1)))
      (br_if $count (local.tee $rest (i32.div_u (local.get $rest) (i32.const 10)))))
    (local.set $s (array.new_default $string (local.get $digits)))
    (loop $next
      (local.set $digits (i32.sub (local.get $digits) (i32.const 1)))
      (array.set $string (local.get $s) (local.get $digits)
        (i32.add (i32.const 48) (i32.rem_u (local.get $value) (i32.const 10))))
      (local.set $value (i32.div_u (local.get $value) (i32.const 10)))
      (br_if $next (local.get $digits)))
    (local.get $s))

  (func $hash (param $s (ref $string)) (result i32)
    (local $h i32) (local $i i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (array.len (local.get $s))))
        (local.set $h
          (i32.add
            (i32.mul (local.get $h) (i32.const 31))
            (array.get_u $string (local.get $s) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $h))

  (func $equal (param $a (ref $string)) (param $b (ref $string)) (result i32)
    (local $i i32)
    (if (i32.ne (array.len (local.get $a)) (array.len (local.get $b))) (then (return (i32.const 0))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (array.len (local.get $a))))
        (if
          (i32.ne
            (array.get_u $string (local.get $a) (local.get $i))
            (array.get_u $string (local.get $b) (local.get $i)))
          (then (return (i32.const 0))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.const 1))

  (func $run (export "run") (param $n i32) (result i32)
    (local $b (ref $builder)) (local $s (ref $string)) (local $before (ref $string)) (local $i i32) (local $check i32)
    (local.set $b (call $builder))
    (local.set $before (call $decimal (i32.const 0)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        ;; Each text comes twice in a row.
        (local.set $s (call $concat (call $decimal (i32.shr_u (local.get $i) (i32.const 1))) (global.get $unit)))
        (if (call $equal (local.get $s) (local.get $before))
          (then (local.set $check (i32.add (local.get $check) (i32.const 1))))
          (else (local.set $check (i32.xor (local.get $check) (call $hash (local.get $s))))))
        (local.set $before (local.get $s))
        (call $append (local.get $b) (local.get $s))
        (call $append (local.get $b) (global.get $comma))
        (call $append_char (local.get $b) (i32.add (i32.const 97) (i32.rem_u (local.get $i) (i32.const 26))))
        (if (i32.gt_u (struct.get $builder $length (local.get $b)) (i32.const 32768))
          (then
            (local.set $check
              (i32.add
                (i32.mul (local.get $check) (i32.const 31))
                (call $hash (call $to_string (local.get $b)))))
            (local.set $b (call $builder))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.add
      (i32.mul (local.get $check) (i32.const 31))
      (call $hash (call $to_string (local.get $b))))))
