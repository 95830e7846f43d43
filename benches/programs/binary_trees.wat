;; Binary trees: many trees of growing depth, built and counted, while a large one lives.
;; n: depth of the largest tree; the shallowest has depth 4.
;; check: the numbers of nodes counted, folded: c * 31 + next.
;; bench: n=16
(module $binary_trees
  (type $tree (struct (field $left (ref null $tree)) (field $right (ref null $tree))))

  (func $make (param $depth i32) (result (ref $tree))
    (if (result (ref $tree)) (i32.eqz (local.get $depth))
      (then (struct.new $tree (ref.null $tree) (ref.null $tree)))
      (else
        (struct.new $tree
          (call $make (i32.sub (local.get $depth) (i32.const 1)))
          (call $make (i32.sub (local.get $depth) (i32.const 1)))))))

  (func $count (param $t (ref $tree)) (result i32)
    (local $left (ref null $tree))
    (local.set $left (struct.get $tree $left (local.get $t)))
    (if (result i32) (ref.is_null (local.get $left))
      (then (i32.const 1))
      (else
        (i32.add
          (i32.add (i32.const 1) (call $count (ref.as_non_null (local.get $left))))
          (call $count (ref.as_non_null (struct.get $tree $right (local.get $t))))))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $long_lived (ref $tree)) (local $depth i32) (local $left i32) (local $nodes i32) (local $check i32)
    (local.set $check (call $count (call $make (i32.add (local.get $n) (i32.const 1)))))
    (local.set $long_lived (call $make (local.get $n)))
    (local.set $depth (i32.const 4))
    (block $done
      (loop $deeper
        (br_if $done (i32.gt_u (local.get $depth) (local.get $n)))
        (local.set $left
          (i32.shl (i32.const 1) (i32.add (i32.sub (local.get $n) (local.get $depth)) (i32.const 4))))
        (local.set $nodes (i32.const 0))
        (loop $again
          (local.set $nodes (i32.add (local.get $nodes) (call $count (call $make (local.get $depth)))))
          (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
        (local.set $check (i32.add (i32.mul (local.get $check) (i32.const 31)) (local.get $nodes)))
        (local.set $depth (i32.add (local.get $depth) (i32.const 2)))
        (br $deeper)))
    (i32.add (i32.mul (local.get $check) (i32.const 31)) (call $count (local.get $long_lived)))))
