;; Cyclic garbage: rings of eight nodes, linked both ways, each node with a reference to its ring; walked once and dropped.
;; n: rings.
;; check: the identities of the nodes, each times its place, summed.
;; bench: n=2000000
(module $cyclic_garbage
  (rec
    (type $ring (struct (field $head (mut (ref null $node))) (field $size (mut i32))))
    (type $node (struct
      (field $id i32) (field $owner (ref $ring))
      (field $next (mut (ref null $node))) (field $previous (mut (ref null $node))))))

  (func $push (param $ring (ref $ring)) (param $id i32)
    (local $node (ref $node)) (local $head (ref null $node)) (local $tail (ref null $node))
    (local.set $node
      (struct.new $node (local.get $id) (local.get $ring) (ref.null $node) (ref.null $node)))
    (local.set $head (struct.get $ring $head (local.get $ring)))
    (if (ref.is_null (local.get $head))
      (then
        (struct.set $node $next (local.get $node) (local.get $node))
        (struct.set $node $previous (local.get $node) (local.get $node))
        (struct.set $ring $head (local.get $ring) (local.get $node)))
      (else
        (local.set $tail (struct.get $node $previous (local.get $head)))
        (struct.set $node $next (local.get $node) (local.get $head))
        (struct.set $node $previous (local.get $node) (local.get $tail))
        (struct.set $node $next (local.get $tail) (local.get $node))
        (struct.set $node $previous (local.get $head) (local.get $node))))
    (struct.set $ring $size (local.get $ring)
      (i32.add (struct.get $ring $size (local.get $ring)) (i32.const 1))))

  (func $walk (param $ring (ref $ring)) (result i32)
    (local $node (ref null $node)) (local $i i32) (local $sum i32)
    (local.set $node (struct.get $ring $head (local.get $ring)))
    (loop $next
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (local.set $sum
        (i32.add (local.get $sum) (i32.mul (local.get $i) (struct.get $node $id (local.get $node)))))
      (local.set $node (struct.get $node $next (local.get $node)))
      (br_if $next
        (i32.eqz (ref.eq (local.get $node) (struct.get $ring $head (local.get $ring))))))
    (i32.add (local.get $sum) (struct.get $ring $size (struct.get $node $owner (local.get $node)))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $i i32) (local $j i32) (local $ring (ref $ring)) (local $sum i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $ring (struct.new $ring (ref.null $node) (i32.const 0)))
        (local.set $j (i32.const 0))
        (loop $more
          (call $push (local.get $ring) (i32.xor (local.get $i) (local.get $j)))
          (br_if $more
            (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 8))))
        (local.set $sum (i32.add (local.get $sum) (call $walk (local.get $ring))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $sum)))
