;; Hash map: chained buckets that double; boxed keys and values, a fresh box for each lookup.
;; n: insertions, as many lookups, and as many removals, of n/2 different keys at most.
;; check: the values found, summed, times 31, plus what is left in the map, times 31, plus the largest size.
;; bench: n=400000
(module $hash_map
  (type $int (struct (field $value i32)))
  (type $entry (struct
    (field $hash i32) (field $key (ref $int)) (field $value (mut (ref $int))) (field $next (mut (ref null $entry)))))
  (type $buckets (array (mut (ref null $entry))))
  (type $map (struct (field $buckets (mut (ref $buckets))) (field $size (mut i32))))

  (func $box (param $value i32) (result (ref $int)) (struct.new $int (local.get $value)))

  (func $hash (param $key (ref $int)) (result i32)
    (local $h i32)
    (local.set $h (i32.mul (struct.get $int $value (local.get $key)) (i32.const 0x9E3779B1)))
    (i32.xor (local.get $h) (i32.shr_u (local.get $h) (i32.const 16))))

  (func $equal (param $a (ref $int)) (param $b (ref $int)) (result i32)
    (i32.or
      (ref.eq (local.get $a) (local.get $b))
      (i32.eq (struct.get $int $value (local.get $a)) (struct.get $int $value (local.get $b)))))

  (func $find (param $map (ref $map)) (param $key (ref $int)) (result (ref null $entry))
    (local $hash i32) (local $buckets (ref $buckets)) (local $entry (ref null $entry))
    (local.set $hash (call $hash (local.get $key)))
    (local.set $buckets (struct.get $map $buckets (local.get $map)))
    (local.set $entry
      (array.get $buckets (local.get $buckets)
        (i32.and (local.get $hash) (i32.sub (array.len (local.get $buckets)) (i32.const 1)))))
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $entry)))
        (if (i32.eq (struct.get $entry $hash (local.get $entry)) (local.get $hash))
          (then
            (br_if $done (call $equal (struct.get $entry $key (local.get $entry)) (local.get $key)))))
        (local.set $entry (struct.get $entry $next (local.get $entry)))
        (br $next)))
    (local.get $entry))

  (func $grow (param $map (ref $map))
    (local $old (ref $buckets)) (local $new (ref $buckets)) (local $i i32) (local $at i32)
    (local $entry (ref null $entry)) (local $next (ref null $entry))
    (local.set $old (struct.get $map $buckets (local.get $map)))
    (local.set $new
      (array.new_default $buckets (i32.shl (array.len (local.get $old)) (i32.const 1))))
    (loop $bucket
      (local.set $entry (array.get $buckets (local.get $old) (local.get $i)))
      (block $done
        (loop $move
          (br_if $done (ref.is_null (local.get $entry)))
          (local.set $next (struct.get $entry $next (local.get $entry)))
          (local.set $at
            (i32.and
              (struct.get $entry $hash (local.get $entry))
              (i32.sub (array.len (local.get $new)) (i32.const 1))))
          (struct.set $entry $next (local.get $entry) (array.get $buckets (local.get $new) (local.get $at)))
          (array.set $buckets (local.get $new) (local.get $at) (local.get $entry))
          (local.set $entry (local.get $next))
          (br $move)))
      (br_if $bucket
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $old)))))
    (struct.set $map $buckets (local.get $map) (local.get $new)))

  (func $put (param $map (ref $map)) (param $key (ref $int)) (param $value (ref $int))
    (local $entry (ref null $entry)) (local $buckets (ref $buckets)) (local $hash i32) (local $at i32)
    (local.set $entry (call $find (local.get $map) (local.get $key)))
    (if (i32.eqz (ref.is_null (local.get $entry)))
      (then
        (struct.set $entry $value (local.get $entry) (local.get $value))
        (return)))
    (local.set $buckets (struct.get $map $buckets (local.get $map)))
    (if
      (i32.ge_u
        (i32.shl (struct.get $map $size (local.get $map)) (i32.const 2))
        (i32.mul (array.len (local.get $buckets)) (i32.const 3)))
      (then
        (call $grow (local.get $map))
        (local.set $buckets (struct.get $map $buckets (local.get $map)))))
    (local.set $hash (call $hash (local.get $key)))
    (local.set $at (i32.and (local.get $hash) (i32.sub (array.len (local.get $buckets)) (i32.const 1))))
    (array.set $buckets (local.get $buckets) (local.get $at)
      (struct.new $entry
        (local.get $hash) (local.get $key) (local.get $value)
        (array.get $buckets (local.get $buckets) (local.get $at))))
    (struct.set $map $size (local.get $map)
      (i32.add (struct.get $map $size (local.get $map)) (i32.const 1))))

  (func $remove (param $map (ref $map)) (param $key (ref $int))
    (local $hash i32) (local $at i32) (local $buckets (ref $buckets))
    (local $entry (ref null $entry)) (local $before (ref null $entry))
    (local.set $hash (call $hash (local.get $key)))
    (local.set $buckets (struct.get $map $buckets (local.get $map)))
    (local.set $at (i32.and (local.get $hash) (i32.sub (array.len (local.get $buckets)) (i32.const 1))))
    (local.set $entry (array.get $buckets (local.get $buckets) (local.get $at)))
    (block $absent
      (loop $next
        (br_if $absent (ref.is_null (local.get $entry)))
        (if
          (if (result i32) (i32.eq (struct.get $entry $hash (local.get $entry)) (local.get $hash))
            (then (call $equal (struct.get $entry $key (local.get $entry)) (local.get $key)))
            (else (i32.const 0)))
          (then
            (if (ref.is_null (local.get $before))
              (then
                (array.set $buckets (local.get $buckets) (local.get $at)
                  (struct.get $entry $next (local.get $entry))))
              (else
                (struct.set $entry $next (local.get $before) (struct.get $entry $next (local.get $entry)))))
            (struct.set $map $size (local.get $map)
              (i32.sub (struct.get $map $size (local.get $map)) (i32.const 1)))
            (return)))
        (local.set $before (local.get $entry))
        (local.set $entry (struct.get $entry $next (local.get $entry)))
        (br $next))))

  (func $random (param $seed i32) (result i32)
    (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 1013904223)))

  (func $key (param $seed i32) (param $keys i32) (result (ref $int))
    (call $box (i32.rem_u (i32.shr_u (local.get $seed) (i32.const 8)) (local.get $keys))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $map (ref $map)) (local $keys i32) (local $seed i32) (local $i i32)
    (local $sum i32) (local $largest i32) (local $found (ref null $entry))
    (local.set $map (struct.new $map (array.new_default $buckets (i32.const 16)) (i32.const 0)))
    (local.set $keys (i32.add (i32.shr_u (local.get $n) (i32.const 1)) (i32.const 1)))
    (local.set $seed (i32.const 1))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $seed (call $random (local.get $seed)))
        (call $put (local.get $map) (call $key (local.get $seed) (local.get $keys)) (call $box (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.set $largest (struct.get $map $size (local.get $map)))
    (local.set $i (i32.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $seed (call $random (local.get $seed)))
        (local.set $found (call $find (local.get $map) (call $key (local.get $seed) (local.get $keys))))
        (if (i32.eqz (ref.is_null (local.get $found)))
          (then
            (local.set $sum
              (i32.add
                (local.get $sum)
                (struct.get $int $value (struct.get $entry $value (local.get $found)))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.set $i (i32.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $seed (call $random (local.get $seed)))
        (call $remove (local.get $map) (call $key (local.get $seed) (local.get $keys)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.add
      (i32.mul
        (i32.add (i32.mul (local.get $sum) (i32.const 31)) (struct.get $map $size (local.get $map)))
        (i32.const 31))
      (local.get $largest))))
