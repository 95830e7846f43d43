;; LRU cache: a hash table with chains over a list that is linked both ways; lookups that move to the front, and evictions.
;; n: lookups of 4,096 keys, some far likelier than others, in a cache of 1,024 places.
;; check: hits times 31, plus the uses of all entries that are in the cache at the end.
;; bench: n=4000000
(module $lru_cache
  (type $entry (struct
    (field $key i32) (field $uses (mut i32))
    (field $newer (mut (ref null $entry))) (field $older (mut (ref null $entry)))
    (field $chain (mut (ref null $entry)))))
  (type $buckets (array (mut (ref null $entry))))
  (type $cache (struct
    (field $buckets (ref $buckets)) (field $newest (mut (ref null $entry))) (field $oldest (mut (ref null $entry)))
    (field $size (mut i32))))

  (func $bucket (param $key i32) (result i32)
    (i32.and (i32.mul (local.get $key) (i32.const 0x9E3779B1)) (i32.const 2047)))

  (func $find (param $cache (ref $cache)) (param $key i32) (result (ref null $entry))
    (local $entry (ref null $entry))
    (local.set $entry
      (array.get $buckets (struct.get $cache $buckets (local.get $cache)) (call $bucket (local.get $key))))
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $entry)))
        (br_if $done (i32.eq (struct.get $entry $key (local.get $entry)) (local.get $key)))
        (local.set $entry (struct.get $entry $chain (local.get $entry)))
        (br $next)))
    (local.get $entry))

  (func $unlink (param $cache (ref $cache)) (param $entry (ref $entry))
    (local $newer (ref null $entry)) (local $older (ref null $entry))
    (local.set $newer (struct.get $entry $newer (local.get $entry)))
    (local.set $older (struct.get $entry $older (local.get $entry)))
    (if (ref.is_null (local.get $newer))
      (then (struct.set $cache $newest (local.get $cache) (local.get $older)))
      (else (struct.set $entry $older (local.get $newer) (local.get $older))))
    (if (ref.is_null (local.get $older))
      (then (struct.set $cache $oldest (local.get $cache) (local.get $newer)))
      (else (struct.set $entry $newer (local.get $older) (local.get $newer)))))

  (func $push (param $cache (ref $cache)) (param $entry (ref $entry))
    (local $newest (ref null $entry))
    (local.set $newest (struct.get $cache $newest (local.get $cache)))
    (struct.set $entry $newer (local.get $entry) (ref.null $entry))
    (struct.set $entry $older (local.get $entry) (local.get $newest))
    (if (ref.is_null (local.get $newest))
      (then (struct.set $cache $oldest (local.get $cache) (local.get $entry)))
      (else (struct.set $entry $newer (local.get $newest) (local.get $entry))))
    (struct.set $cache $newest (local.get $cache) (local.get $entry)))

  (func $evict (param $cache (ref $cache))
    (local $victim (ref $entry)) (local $at i32) (local $entry (ref null $entry)) (local $before (ref null $entry))
    (local.set $victim (ref.as_non_null (struct.get $cache $oldest (local.get $cache))))
    (call $unlink (local.get $cache) (local.get $victim))
    (local.set $at (call $bucket (struct.get $entry $key (local.get $victim))))
    (local.set $entry (array.get $buckets (struct.get $cache $buckets (local.get $cache)) (local.get $at)))
    (block $found
      (loop $next
        (br_if $found (ref.eq (local.get $entry) (local.get $victim)))
        (local.set $before (local.get $entry))
        (local.set $entry (struct.get $entry $chain (local.get $entry)))
        (br $next)))
    (if (ref.is_null (local.get $before))
      (then
        (array.set $buckets (struct.get $cache $buckets (local.get $cache)) (local.get $at)
          (struct.get $entry $chain (local.get $victim))))
      (else (struct.set $entry $chain (local.get $before) (struct.get $entry $chain (local.get $victim)))))
    (struct.set $cache $size (local.get $cache)
      (i32.sub (struct.get $cache $size (local.get $cache)) (i32.const 1))))

  ;; Whether the key was in the cache; it is afterwards.
  (func $use (param $cache (ref $cache)) (param $key i32) (result i32)
    (local $found (ref null $entry)) (local $new (ref $entry)) (local $at i32)
    (local.set $found (call $find (local.get $cache) (local.get $key)))
    (if (i32.eqz (ref.is_null (local.get $found)))
      (then
        (struct.set $entry $uses (local.get $found)
          (i32.add (struct.get $entry $uses (local.get $found)) (i32.const 1)))
        (call $unlink (local.get $cache) (ref.as_non_null (local.get $found)))
        (call $push (local.get $cache) (ref.as_non_null (local.get $found)))
        (return (i32.const 1))))
    (if (i32.ge_u (struct.get $cache $size (local.get $cache)) (i32.const 1024))
      (then (call $evict (local.get $cache))))
    (local.set $at (call $bucket (local.get $key)))
    (local.set $new
      (struct.new $entry
        (local.get $key) (i32.const 1) (ref.null $entry) (ref.null $entry)
        (array.get $buckets (struct.get $cache $buckets (local.get $cache)) (local.get $at))))
    (array.set $buckets (struct.get $cache $buckets (local.get $cache)) (local.get $at) (local.get $new))
    (call $push (local.get $cache) (local.get $new))
    (struct.set $cache $size (local.get $cache)
      (i32.add (struct.get $cache $size (local.get $cache)) (i32.const 1)))
    (i32.const 0))

  (func $run (export "run") (param $n i32) (result i32)
    (local $cache (ref $cache)) (local $i i32) (local $seed i32) (local $hits i32) (local $uses i32) (local $key i32)
    (local $entry (ref null $entry))
    (local.set $cache
      (struct.new $cache
        (array.new_default $buckets (i32.const 2048)) (ref.null $entry) (ref.null $entry) (i32.const 0)))
    (local.set $seed (i32.const 99))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $seed
          (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 1013904223)))
        ;; Keys with few bits set are the likely ones.
        (local.set $key
          (i32.and
            (i32.and (i32.shr_u (local.get $seed) (i32.const 8)) (i32.shr_u (local.get $seed) (i32.const 19)))
            (i32.const 4095)))
        (local.set $key
          (i32.xor (local.get $key) (i32.and (i32.shr_u (local.get $seed) (i32.const 27)) (i32.const 31))))
        (local.set $hits (i32.add (local.get $hits) (call $use (local.get $cache) (local.get $key))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.set $entry (struct.get $cache $newest (local.get $cache)))
    (block $done
      (loop $next
        (br_if $done (ref.is_null (local.get $entry)))
        (local.set $uses (i32.add (local.get $uses) (struct.get $entry $uses (local.get $entry))))
        (local.set $entry (struct.get $entry $older (local.get $entry)))
        (br $next)))
    (i32.add (i32.mul (local.get $hits) (i32.const 31)) (local.get $uses))))
