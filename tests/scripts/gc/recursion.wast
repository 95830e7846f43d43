;; Deep recursion with live references in every frame, and collections at the bottom and on the way.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $node (struct (field i32) (field (mut (ref null $node))) (field (mut (ref null $node)))))
  ;; The node is held by this frame only.
  (func $down (export "down") (param $n i32) (result i32)
    (local $x (ref $node))
    (local.set $x (struct.new $node (local.get $n) (ref.null $node) (ref.null $node)))
    (if (result i32) (local.get $n)
      (then
        (i32.add
          (call $down (i32.sub (local.get $n) (i32.const 1)))
          (struct.get $node 0 (local.get $x))))
      (else (call $gc) (struct.get $node 0 (local.get $x)))))
  ;; Each frame links its node to its caller's in both directions; the innermost collects; each then reads through the neighbour.
  (func (export "chain") (param $n i32) (result i32)
    (call $link (local.get $n) (struct.new $node (i32.const 1000) (ref.null $node) (ref.null $node))))
  (func $link (param $n i32) (param $prev (ref $node)) (result i32)
    (local $x (ref $node))
    (local.set $x (struct.new $node (local.get $n) (local.get $prev) (ref.null $node)))
    (struct.set $node 2 (local.get $prev) (local.get $x))
    (i32.add
      (if (result i32) (local.get $n)
        (then (call $link (i32.sub (local.get $n) (i32.const 1)) (local.get $x)))
        (else (call $gc) (i32.const 0)))
      (i32.add
        (struct.get $node 0 (struct.get $node 1 (local.get $x)))
        (struct.get $node 0 (struct.get $node 2 (local.get $prev))))))
  ;; Two live trees of depth n, built by mutual recursion, with a collection at each leaf.
  (func $tree (param $n i32) (result (ref $node))
    (if (result (ref $node)) (i32.eqz (local.get $n))
      (then (struct.new $node (i32.const 1) (ref.null $node) (ref.null $node)))
      (else
        (struct.new $node
          (i32.const 1)
          (call $eert (i32.sub (local.get $n) (i32.const 1)))
          (call $eert (i32.sub (local.get $n) (i32.const 1)))))))
  (func $eert (param $n i32) (result (ref $node))
    (if (i32.eqz (local.get $n)) (then (call $gc)))
    (call $tree (local.get $n)))
  (func $count (param $t (ref null $node)) (result i32)
    (block $null
      (return
        (i32.add
          (struct.get $node 0 (br_on_null $null (local.get $t)))
          (i32.add
            (call $count (struct.get $node 1 (local.get $t)))
            (call $count (struct.get $node 2 (local.get $t)))))))
    (i32.const 0))
  (func (export "trees") (param i32) (result i32)
    (local $a (ref $node))
    (local.set $a (call $tree (local.get 0)))
    (i32.add (call $count (call $tree (local.get 0))) (call $count (local.get $a)))))

(assert_return (invoke "down" (i32.const 0)) (i32.const 0))
(assert_return (invoke "down" (i32.const 10)) (i32.const 55))
(assert_return (invoke "down" (i32.const 300)) (i32.const 45150))
(assert_return (invoke "chain" (i32.const 0)) (i32.const 1000))
(assert_return (invoke "chain" (i32.const 3)) (i32.const 1012))
(assert_return (invoke "chain" (i32.const 200)) (i32.const 41200))
(assert_return (invoke "trees" (i32.const 5)) (i32.const 126))
