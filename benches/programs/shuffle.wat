;; Shuffling references: objects swapped in an array and between fields of other objects; old references stored into old
;; objects, and nothing allocated once the objects are made.
;; n: objects; each is shuffled ten times.
;; check: each object's number times its place, and its peer's number, summed.
;; bench: n=200000
(module $shuffle
  (type $object (struct (field $number i32) (field $peer (mut (ref null $object)))))
  (type $objects (array (mut (ref null $object))))

  (func $swap (param $objects (ref $objects)) (param $i i32) (param $j i32)
    (local $a (ref null $object)) (local $b (ref null $object)) (local $peer (ref null $object))
    (local.set $a (array.get $objects (local.get $objects) (local.get $i)))
    (local.set $b (array.get $objects (local.get $objects) (local.get $j)))
    (array.set $objects (local.get $objects) (local.get $i) (local.get $b))
    (array.set $objects (local.get $objects) (local.get $j) (local.get $a))
    (if (i32.and (struct.get $object $number (local.get $a)) (i32.const 1))
      (then
        (local.set $peer (struct.get $object $peer (local.get $a)))
        (struct.set $object $peer (local.get $a) (struct.get $object $peer (local.get $b)))
        (struct.set $object $peer (local.get $b) (local.get $peer)))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $objects (ref $objects)) (local $i i32) (local $pass i32) (local $seed i32) (local $sum i32)
    (local $object (ref null $object))
    (local.set $objects (array.new_default $objects (local.get $n)))
    (loop $fill
      (local.set $object (struct.new $object (local.get $i) (local.get $object)))
      (array.set $objects (local.get $objects) (local.get $i) (local.get $object))
      (br_if $fill
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    ;; The first object's peer is the last.
    (struct.set $object $peer
      (array.get $objects (local.get $objects) (i32.const 0))
      (local.get $object))
    (local.set $seed (i32.const 3))
    (loop $again
      (local.set $i (i32.sub (local.get $n) (i32.const 1)))
      (block $done
        (loop $next
          (br_if $done (i32.eqz (local.get $i)))
          (local.set $seed
            (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 1013904223)))
          (call $swap (local.get $objects) (local.get $i)
            (i32.rem_u
              (i32.shr_u (local.get $seed) (i32.const 8))
              (i32.add (local.get $i) (i32.const 1))))
          (local.set $i (i32.sub (local.get $i) (i32.const 1)))
          (br $next)))
      (br_if $again
        (i32.lt_u (local.tee $pass (i32.add (local.get $pass) (i32.const 1))) (i32.const 10))))
    (local.set $i (i32.const 0))
    (loop $next
      (local.set $object (array.get $objects (local.get $objects) (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $sum
        (i32.xor
          (i32.add
            (local.get $sum)
            (i32.mul (struct.get $object $number (local.get $object)) (local.get $i)))
          (struct.get $object $number (struct.get $object $peer (local.get $object)))))
      (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
    (local.get $sum)))
