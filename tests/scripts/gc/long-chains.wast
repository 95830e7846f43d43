;; Structures that no collector may walk with the stack: a list of many thousand nodes, dropped at once, and cycles.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $node (struct (field (mut (ref null $node))) (field i32)))
  (global $list (mut (ref null $node)) (ref.null $node))
  (func (export "build") (param $n i32)
    (loop $next
      (global.set $list (struct.new $node (global.get $list) (local.get $n)))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "sum") (result i32) (local $x (ref null $node)) (local $sum i32)
    (local.set $x (global.get $list))
    (block $done
      (loop $next
        (local.set $sum (i32.add (local.get $sum) (struct.get $node 1 (br_on_null $done (local.get $x)))))
        (local.set $x (struct.get $node 0 (local.get $x)))
        (br $next)))
    (local.get $sum))
  (func (export "drop") (global.set $list (ref.null $node)) (call $gc))
  (func (export "cycle") (param $n i32) (result i32)
    (local $first (ref null $node)) (local $last (ref null $node)) (local $i i32)
    (local.set $first (struct.new $node (ref.null $node) (i32.const 0)))
    (local.set $last (local.get $first))
    (loop $next
      (local.set $last (struct.new $node (local.get $last) (local.tee $i (i32.add (local.get $i) (i32.const 1)))))
      (br_if $next (i32.lt_u (local.get $i) (local.get $n))))
    (struct.set $node 0 (local.get $first) (local.get $last))
    (call $gc)
    (local.set $i (i32.const 0))
    (local.set $last (local.get $first))
    (loop $next
      (local.set $last (struct.get $node 0 (local.get $last)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $next (i32.eqz (ref.eq (local.get $last) (local.get $first)))))
    (local.get $i)))

(invoke "build" (i32.const 300))
(assert_return (invoke "sum") (i32.const 45150))
(invoke "build" (i32.const 300))
(assert_return (invoke "sum") (i32.const 90300))
(invoke "drop")
(assert_return (invoke "sum") (i32.const 0))
(assert_return (invoke "cycle" (i32.const 1)) (i32.const 2))
(assert_return (invoke "cycle" (i32.const 200)) (i32.const 201))
(assert_return (invoke "cycle" (i32.const 200)) (i32.const 201))
