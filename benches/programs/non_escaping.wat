;; Non-escaping allocation: an iterator and pairs that never leave the function, as inlining leaves them behind.
;; n: rounds.
;; check: a sum of what the pairs held.
;; bench: n=20000000
(module $non_escaping
  (type $range (struct (field $cur (mut i32)) (field $end i32)))
  (type $pair (struct (field $first i32) (field $second i32)))

  (func $run (export "run") (param $n i32) (result i32)
    (local $range (ref $range)) (local $i i32) (local $acc i32)
    (local $division (ref $pair)) (local $shifted (ref $pair)) (local $scaled (ref $pair))
    (local.set $range (struct.new $range (i32.const 0) (local.get $n)))
    (block $done
      (loop $next
        (br_if $done
          (i32.ge_u (struct.get $range $cur (local.get $range)) (struct.get $range $end (local.get $range))))
        (local.set $i (struct.get $range $cur (local.get $range)))
        (struct.set $range $cur (local.get $range) (i32.add (local.get $i) (i32.const 1)))
        (local.set $division
          (struct.new $pair (i32.div_u (local.get $i) (i32.const 7)) (i32.rem_u (local.get $i) (i32.const 7))))
        (local.set $shifted
          (struct.new $pair
            (i32.add (struct.get $pair $first (local.get $division)) (i32.const 1))
            (struct.get $pair $second (local.get $division))))
        (local.set $scaled
          (struct.new $pair
            (i32.mul (struct.get $pair $first (local.get $shifted)) (i32.const 3))
            (i32.xor (struct.get $pair $second (local.get $shifted)) (local.get $i))))
        (local.set $acc
          (i32.add
            (local.get $acc)
            (i32.add
              (struct.get $pair $first (local.get $scaled))
              (i32.mul
                (struct.get $pair $second (local.get $scaled))
                (struct.get $pair $first (local.get $shifted))))))
        (br $next)))
    (local.get $acc)))
