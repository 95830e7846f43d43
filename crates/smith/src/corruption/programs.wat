;; Every kind of use of the heap, with calls of `host.strike` in between: there the heap is overwritten.
;; All functions end by themselves as long as nobody lies to them; when somebody does, fuel ends them.
(module
  (rec
    (type $node (sub (struct
      (field $value (mut i32)) (field $left (mut (ref null $node))) (field $right (mut (ref null $node))))))
    (type $leaf (sub $node (struct
      (field $value (mut i32)) (field $left (mut (ref null $node))) (field $right (mut (ref null $node)))
      (field $long (mut i64)) (field $any (mut anyref)) (field $byte (mut i8)) (field $short (mut i16))))))
  ;; Deeper than a type entry's inline display.
  (type $d0 (sub (struct (field $depth (mut i32)))))
  (type $d1 (sub $d0 (struct (field $depth (mut i32)))))
  (type $d2 (sub $d1 (struct (field $depth (mut i32)) (field (mut anyref)))))
  (type $d3 (sub $d2 (struct (field $depth (mut i32)) (field (mut anyref)))))
  (type $d4 (sub $d3 (struct (field $depth (mut i32)) (field (mut anyref)))))
  (type $d5 (sub $d4 (struct (field $depth (mut i32)) (field (mut anyref)))))
  (type $d6 (sub $d5 (struct (field $depth (mut i32)) (field (mut anyref)))))
  (type $d7 (sub $d6 (struct (field $depth (mut i32)) (field (mut anyref)))))
  (type $d8 (sub $d7 (struct (field $depth (mut i32)) (field (mut anyref)))))
  (type $d9 (sub final $d8 (struct (field $depth (mut i32)) (field (mut anyref)) (field (mut i64)))))
  (type $bytes (array (mut i8)))
  (type $shorts (array (mut i16)))
  (type $longs (array (mut i64)))
  (type $vectors (array (mut v128)))
  (type $anys (array (mut anyref)))
  (type $nodes (array (mut (ref null $node))))
  (type $unary (func (param i32) (result i32)))
  (type $binary (func (param i64 f64) (result i64)))
  (type $unaries (array (mut (ref null $unary))))
  (type $closure (struct (field $code (mut (ref null $unary))) (field $other (mut (ref null $binary))) (field $next (mut (ref null $closure)))))
  (type $box (struct (field $host (mut externref)) (field $thrown (mut exnref)) (field $more (mut (ref null $box)))))

  (import "host" "strike" (func $strike))
  (import "host" "collect" (func $collect))
  (import "host" "extern" (func $extern (param i32) (result externref)))
  (import "host" "look" (func $look (param externref) (result i32)))
  (import "host" "show" (func $show (param anyref) (result i32)))
  (import "host" "text" (func $text (param arrayref) (result arrayref)))

  (memory (export "memory") 1)
  (table $t (export "t") 16 64 anyref)
  (table $f (export "f") 8 8 (ref null $unary))
  (table $plain 8 8 funcref)
  (table $e 8 externref)
  (global $g0 (export "g0") (mut anyref) (ref.null any))
  (global $g1 (export "g1") (mut (ref null $nodes)) (ref.null $nodes))
  (global $g2 (export "g2") (mut externref) (ref.null extern))
  (global $g3 (export "g3") (mut exnref) (ref.null exn))
  (tag $oops (param i32 anyref))
  (tag $other (param externref))
  (tag $empty)
  (data $data "0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
  (elem $inits anyref (ref.i31 (i32.const 1)) (ref.i31 (i32.const 2)) (struct.new $node (i32.const 3) (ref.null $node) (ref.null $node)))
  (elem $codes (ref null $unary) (ref.func $double) (ref.func $square) (ref.null $unary))
  (elem declare func $double $square $mix $spin)

  (func $double (type $unary) (i32.shl (local.get 0) (i32.const 1)))
  (func $square (type $unary) (i32.mul (local.get 0) (local.get 0)))
  (func $mix (type $binary) (i64.add (local.get 0) (i64.trunc_sat_f64_s (local.get 1))))

  ;; Trees

  (func $tree (param $depth i32) (param $seed i32) (result (ref null $node))
    (if (i32.eqz (local.get $depth)) (then
      (return (struct.new $leaf (local.get $seed) (ref.null $node) (ref.null $node)
        (i64.extend_i32_u (local.get $seed)) (ref.i31 (local.get $seed)) (i32.const 7) (i32.const 9)))))
    (if (i32.eqz (i32.and (local.get $seed) (i32.const 7))) (then (call $strike)))
    (struct.new $node (local.get $seed)
      (call $tree (i32.sub (local.get $depth) (i32.const 1)) (i32.add (local.get $seed) (i32.const 3)))
      (call $tree (i32.sub (local.get $depth) (i32.const 1)) (i32.mul (local.get $seed) (i32.const 5)))))

  (func $turn (param $n (ref null $node)) (result i64)
    (local $keep (ref null $node))
    (if (ref.is_null (local.get $n)) (then (return (i64.const 0))))
    (local.set $keep (struct.get $node $left (local.get $n)))
    (struct.set $node $left (local.get $n) (struct.get $node $right (local.get $n)))
    (struct.set $node $right (local.get $n) (local.get $keep))
    (if (ref.test (ref $leaf) (local.get $n)) (then
      (struct.set $leaf $any (ref.cast (ref $leaf) (local.get $n)) (local.get $keep))
      (struct.set $leaf $short (ref.cast (ref $leaf) (local.get $n)) (i32.const 77))
      (struct.set $leaf $long (ref.cast (ref $leaf) (local.get $n))
        (i64.add (i64.const 1) (struct.get $leaf $long (ref.cast (ref $leaf) (local.get $n)))))))
    (i64.add (i64.extend_i32_s (struct.get $node $value (local.get $n)))
      (i64.add (call $turn (struct.get $node $left (local.get $n))) (call $turn (struct.get $node $right (local.get $n))))))

  (func (export "run0") (param $seed i32) (result i64)
    (local $t (ref null $node)) (local $i i32) (local $sum i64)
    (local.set $t (call $tree (i32.const 6) (local.get $seed)))
    (global.set $g0 (local.get $t))
    (loop $again
      (call $strike)
      (local.set $sum (i64.add (local.get $sum) (call $turn (local.get $t))))
      (drop (call $tree (i32.const 4) (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 8))))
    (local.get $sum))

  ;; Arrays

  (func (export "run1") (param $seed i32) (result i64)
    (local $b (ref $bytes)) (local $s (ref $shorts)) (local $l (ref $longs)) (local $v (ref $vectors)) (local $a (ref $anys))
    (local $n (ref $nodes)) (local $i i32) (local $sum i64)
    (local.set $b (array.new_data $bytes $data (i32.const 2) (i32.const 60)))
    (local.set $s (array.new_data $shorts $data (i32.const 0) (i32.const 30)))
    (local.set $l (array.new $longs (i64.const 5) (i32.const 100)))
    (local.set $v (array.new_default $vectors (i32.const 20)))
    (local.set $a (array.new_elem $anys $inits (i32.const 0) (i32.const 3)))
    (local.set $n (array.new_default $nodes (i32.const 700)))
    (global.set $g1 (local.get $n))
    (loop $again
      (call $strike)
      (array.fill $bytes (local.get $b) (i32.const 3) (local.get $i) (i32.const 20))
      (array.copy $bytes $bytes (local.get $b) (i32.const 10) (local.get $b) (i32.const 0) (i32.const 40))
      (array.init_data $bytes $data (local.get $b) (i32.const 5) (i32.const 1) (i32.const 30))
      (array.copy $shorts $shorts (local.get $s) (i32.const 0) (local.get $s) (i32.const 3) (i32.const 20))
      (array.set $longs (local.get $l) (local.get $i) (i64.const -1))
      (array.set $vectors (local.get $v) (local.get $i) (v128.const i64x2 1 2))
      (call $strike)
      (array.init_elem $anys $inits (local.get $a) (i32.const 0) (i32.const 0) (i32.const 3))
      (array.set $anys (local.get $a) (i32.const 1) (local.get $b))
      (array.set $nodes (local.get $n) (i32.mul (local.get $i) (i32.const 33))
        (struct.new $node (local.get $i) (array.get $nodes (local.get $n) (local.get $i)) (ref.null $node)))
      (array.fill $nodes (local.get $n) (i32.mul (local.get $i) (i32.const 20))
        (array.get $nodes (local.get $n) (i32.const 33)) (i32.const 40))
      (array.copy $nodes $nodes (local.get $n) (i32.const 300) (local.get $n) (i32.const 5) (i32.const 390))
      (array.copy $anys $nodes (array.new_default $anys (i32.const 90)) (i32.const 3) (local.get $n) (i32.const 5) (i32.const 80))
      (drop (array.new_fixed $longs 3 (i64.const 1) (i64.const 2) (i64.const 3)))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (i32.add
        (array.get_u $bytes (local.get $b) (local.get $i)) (array.get_s $shorts (local.get $s) (local.get $i))))))
      (local.set $sum (i64.add (local.get $sum) (i64.add
        (array.get $longs (local.get $l) (i32.const 99)) (i64x2.extract_lane 0 (array.get $vectors (local.get $v) (local.get $i))))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (i32.add
        (array.len (local.get $n)) (array.len (ref.as_non_null (local.get $a)))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 16))))
    (local.get $sum))

  ;; Casts

  (func $judge (param $x anyref) (result i32)
    (block $i31 (result (ref i31))
      (block $d9 (result (ref $d9))
        (block $d2 (result (ref $d2))
          (block $array (result (ref array))
            (drop (br_on_cast $i31 anyref (ref i31) (local.get $x)))
            (drop (br_on_cast $d9 anyref (ref $d9) (local.get $x)))
            (drop (br_on_cast $d2 anyref (ref $d2) (local.get $x)))
            (drop (br_on_cast $array anyref (ref array) (local.get $x)))
            (return (i32.add (ref.test (ref null eq) (local.get $x)) (ref.test (ref struct) (local.get $x)))))
          (return (array.len)))
        (return (struct.get $d2 $depth)))
      (return (i32.wrap_i64 (struct.get $d9 2))))
    (i31.get_s))

  (func (export "run2") (param $seed i32) (result i64)
    (local $all (ref $anys)) (local $i i32) (local $sum i64) (local $x anyref)
    (local.set $all (array.new_fixed $anys 12
      (struct.new $d0 (i32.const 0)) (struct.new $d1 (i32.const 1)) (struct.new_default $d2) (struct.new_default $d3)
      (struct.new_default $d4) (struct.new $d7 (i32.const 3) (ref.i31 (i32.const 4))) (struct.new_default $d8) (struct.new_default $d9)
      (ref.i31 (local.get $seed)) (ref.null none) (array.new_default $longs (i32.const 3))
      (struct.new $closure (ref.func $double) (ref.null $binary) (ref.null $closure))))
    (global.set $g0 (local.get $all))
    (loop $again
      (call $strike)
      (local.set $x (array.get $anys (local.get $all) (i32.rem_u (local.get $i) (i32.const 12))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s (call $judge (local.get $x)))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (i32.add
        (ref.test (ref $d8) (local.get $x)) (ref.test (ref null $d1) (local.get $x))))))
      (if (ref.test (ref $d7) (local.get $x)) (then
        (struct.set $d7 1 (ref.cast (ref $d7) (local.get $x)) (struct.new $d9 (local.get $i) (local.get $x) (i64.const 3)))
        (struct.set $d0 $depth (ref.cast (ref null $d0) (local.get $x)) (local.get $i))))
      (if (ref.eq (ref.cast eqref (local.get $x)) (ref.cast eqref (array.get $anys (local.get $all) (i32.const 3)))) (then
        (local.set $sum (i64.add (local.get $sum) (i64.const 1000)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 60))))
    (local.get $sum))

  ;; Functions in the heap

  (func (export "run3") (param $seed i32) (result i64)
    (local $c (ref null $closure)) (local $fs (ref $unaries)) (local $i i32) (local $sum i64)
    (local.set $fs (array.new_elem $unaries $codes (i32.const 0) (i32.const 3)))
    (loop $again
      (local.set $c (struct.new $closure (array.get $unaries (local.get $fs) (i32.and (local.get $i) (i32.const 1)))
        (ref.func $mix) (local.get $c)))
      (global.set $g0 (local.get $c))
      (call $strike)
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s
        (call_ref $unary (local.get $i) (struct.get $closure $code (local.get $c))))))
      (local.set $sum (call_ref $binary (local.get $sum) (f64.const 1.5) (struct.get $closure $other (local.get $c))))
      (table.set $f (i32.and (local.get $i) (i32.const 7)) (struct.get $closure $code (local.get $c)))
      (table.set $plain (i32.and (local.get $i) (i32.const 7)) (struct.get $closure $other (local.get $c)))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s
        (call_indirect $f (type $unary) (i32.const 3) (i32.and (local.get $i) (i32.const 7))))))
      (local.set $sum (i64.add (local.get $sum)
        (call_indirect $plain (type $binary) (i64.const 3) (f64.const 2) (i32.and (local.get $i) (i32.const 7)))))
      (array.fill $unaries (local.get $fs) (i32.const 2) (struct.get $closure $code (local.get $c)) (i32.const 1))
      (table.fill $f (i32.const 0) (array.get $unaries (local.get $fs) (i32.const 2)) (i32.const 4))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 30))))
    (local.get $sum))

  ;; Exceptions

  (func $raise (param $i i32) (param $x anyref)
    (call $strike)
    (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 3))) (then (throw $oops (local.get $i) (local.get $x))))
    (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 5))) (then (throw $other (call $extern (local.get $i)))))
    (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 7))) (then (throw $empty)))
    (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 11))) (then (throw_ref (global.get $g3)))))

  (func $catch (param $i i32) (param $keep (ref null $node)) (result i32)
    (local $b (ref null $box))
    (block $oops (result i32 anyref)
      (block $other (result externref exnref)
        (block $all (result exnref)
          (try_table (catch $oops $oops) (catch_ref $other $other) (catch_all_ref $all)
            (call $raise (local.get $i) (struct.new $node (local.get $i) (local.get $keep) (ref.null $node))))
          (return (i32.const 1)))
        (local.set $b (struct.new $box (ref.null extern) (ref.null exn) (ref.null $box)))
        (global.set $g3)
        (struct.set $box $thrown (local.get $b) (global.get $g3))
        (call $strike)
        (return (i32.add (struct.get $node $value (local.get $keep)) (ref.is_null (struct.get $box $thrown (local.get $b))))))
      (global.set $g3)
      (call $strike)
      (return (i32.add (call $look) (struct.get $node $value (local.get $keep)))))
    (global.set $g0)
    (return (i32.add (struct.get $node $value (local.get $keep)))))

  (func (export "run4") (param $seed i32) (result i64)
    (local $i i32) (local $sum i64) (local $keep (ref $node))
    (local.set $i (i32.const 1))
    (local.set $keep (struct.new $node (local.get $seed) (ref.null $node) (ref.null $node)))
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s (call $catch (local.get $i) (local.get $keep)))))
      (drop (call $tree (i32.const 3) (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 50))))
    ;; The last one is for the host.
    (if (i32.and (local.get $seed) (i32.const 1)) (then (throw $oops (i32.const 9) (local.get $keep))))
    (local.get $sum))

  ;; Host values

  (func (export "run5") (param $seed i32) (result i64)
    (local $b (ref null $box)) (local $i i32) (local $sum i64) (local $x externref)
    (loop $again
      (local.set $x (call $extern (local.get $i)))
      (local.set $b (struct.new $box (local.get $x) (ref.null exn)
        (if (result (ref null $box)) (i32.eqz (i32.rem_u (local.get $i) (i32.const 5)))
          (then (ref.null $box)) (else (local.get $b)))))
      (call $strike)
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s (call $look (struct.get $box $host (local.get $b))))))
      (global.set $g0 (any.convert_extern (struct.get $box $host (local.get $b))))
      (global.set $g2 (extern.convert_any (global.get $g0)))
      (table.set $e (i32.and (local.get $i) (i32.const 7)) (global.get $g2))
      (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 9))) (then (call $collect)))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s (call $look (table.get $e (i32.const 1))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 40))))
    (local.get $sum))

  ;; Tables and globals

  (func (export "run6") (param $seed i32) (result i64)
    (local $i i32) (local $sum i64)
    (global.set $g1 (array.new_default $nodes (i32.const 64)))
    (loop $again
      (table.set $t (i32.and (local.get $i) (i32.const 15))
        (struct.new $node (local.get $i) (array.get $nodes (global.get $g1) (local.get $i)) (ref.null $node)))
      (array.set $nodes (global.get $g1) (local.get $i)
        (ref.cast (ref null $node) (table.get $t (i32.and (local.get $i) (i32.const 15)))))
      (call $strike)
      (table.copy $t $t (i32.const 8) (i32.const 2) (i32.const 5))
      (table.fill $t (i32.const 1) (array.get $nodes (global.get $g1) (local.get $i)) (i32.const 2))
      (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 16))) (then
        (drop (table.grow $t (table.get $t (i32.const 1)) (i32.const 2)))
        (table.init $t $inits (i32.const 12) (i32.const 0) (i32.const 2))
        (call $collect)))
      (global.set $g0 (table.get $t (i32.const 8)))
      (i32.store (i32.shl (local.get $i) (i32.const 2))
        (struct.get $node $value (array.get $nodes (global.get $g1) (local.get $i))))
      (local.set $sum (i64.add (local.get $sum) (i64.load32_u (i32.shl (local.get $i) (i32.const 2)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 60))))
    (local.get $sum))

  ;; Frames full of references

  (func $deep (param $n i32) (param $a (ref null $node)) (param $b anyref) (result i64)
    (local $c (ref null $node)) (local $d (ref null $anys))
    (local.set $c (struct.new $node (local.get $n) (local.get $a) (ref.null $node)))
    (local.set $d (array.new $anys (local.get $b) (i32.const 4)))
    (if (i32.eqz (local.get $n)) (then (call $strike) (call $collect) (return (i64.const 1))))
    (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 10))) (then (call $strike)))
    (i64.add (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $c) (local.get $d))
      (i64.add (i64.extend_i32_s (struct.get $node $value (local.get $c)))
        (i64.extend_i32_u (array.len (local.get $d))))))

  (func $spin (param $n i32) (param $a (ref null $node)) (result i64)
    (if (i32.eqz (local.get $n)) (then (return (i64.extend_i32_s (struct.get $node $value (local.get $a))))))
    (if (i32.eqz (i32.rem_u (local.get $n) (i32.const 50))) (then (call $strike)))
    (return_call $spin (i32.sub (local.get $n) (i32.const 1))
      (struct.new $node (local.get $n) (local.get $a) (struct.get $node $left (local.get $a)))))

  (func (export "run7") (param $seed i32) (result i64)
    (i64.add
      (call $deep (i32.const 80) (ref.null $node) (ref.i31 (local.get $seed)))
      (call $spin (i32.const 300) (struct.new $node (local.get $seed) (ref.null $node) (ref.null $node)))))

  ;; What the host does with objects

  (func (export "run8") (param $seed i32) (result i64)
    (local $i i32) (local $sum i64) (local $b (ref $bytes)) (local $x anyref)
    (local.set $b (array.new_data $bytes $data (i32.const 0) (i32.const 36)))
    (local.set $x (call $tree (i32.const 3) (local.get $seed)))
    (global.set $g0 (local.get $x))
    (loop $again
      (call $strike)
      (local.set $b (ref.cast (ref $bytes) (call $text (local.get $b))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s (call $show (local.get $x)))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s (call $show (local.get $b)))))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u (array.len (local.get $b)))))
      (local.set $x (struct.new $closure (ref.func $square) (ref.null $binary) (ref.null $closure)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 12))))
    (local.get $sum)))
