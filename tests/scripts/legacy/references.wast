;; Legacy try with references: as payloads, live across regions, in nested clauses, with tail calls, in loops; together with try_table and exnref,
;; since both kinds handle the same exceptions.

(module
  (import "wasmtime" "gc" (func $gc))
  (type $box (struct (field (mut i32))))
  (type $list (struct (field i32) (field (ref null $list))))
  (tag $r (param (ref null $box)))
  (tag $m (param (ref $box) i64 anyref externref))
  (tag $i (param i32))
  (func $box (param i32) (result (ref $box)) (struct.new $box (local.get 0)))
  (func $value (param (ref null $box)) (result i32) (struct.get $box 0 (local.get 0)))
  (func $churn (local $i i32)
    (local.set $i (i32.const 8))
    (call $gc)
    (loop $next
      (drop (struct.new $box (i32.const -1)))
      (br_if $next (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (call $gc))
  (func $maybe (param i32)
    (call $churn)
    (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $r (call $box (i32.const 11)))))
    (if (i32.eq (local.get 0) (i32.const 2))
      (then
        (throw $m (call $box (i32.const 1)) (i64.const 2) (call $box (i32.const 3))
          (extern.convert_any (call $box (i32.const 4))))))
    (if (i32.eq (local.get 0) (i32.const 3)) (then (throw $i (i32.const 33)))))

  (func (export "payload") (param i32) (result i32)
    (local $keep (ref $box)) (local $e externref) (local $a anyref) (local $l i64)
    (local.set $keep (call $box (i32.const 1000)))
    try (result i32)
      local.get 0
      call $maybe
      i32.const 0
    catch $r
      call $churn
      call $value
    catch $m
      call $churn
      local.set $e
      local.set $a
      local.set $l
      call $churn
      call $value
      local.get $l
      i32.wrap_i64
      i32.add
      (call $value (ref.cast (ref $box) (local.get $a)))
      i32.add
      (call $value (ref.cast (ref $box) (any.convert_extern (local.get $e))))
      i32.add
    catch $i
      call $churn
    end
    local.get $keep
    call $value
    i32.add)

  (func (export "changed inside") (param i32 i32) (result i32)
    (local $x (ref $box))
    (local.set $x (call $box (i32.const 100)))
    try
      (call $maybe (local.get 0))
      (local.set $x (call $box (i32.const 200)))
      (call $maybe (local.get 1))
      (local.set $x (call $box (i32.const 300)))
    catch_all
      call $churn
      (return (i32.add (call $value (local.get $x)) (i32.const 1)))
    end
    call $churn
    (call $value (local.get $x)))

  ;; Operands below the try stay.
  (func (export "operands") (param i32) (result i32)
    (call $box (i32.const 10))
    (call $box (i32.const 20))
    try (result (ref null $box))
      (call $box (i32.const 30))
      (call $maybe (local.get 0))
    catch $r
    end
    call $churn
    call $three)
  (func $three (param (ref $box) (ref $box) (ref null $box)) (result i32)
    (i32.add
      (i32.mul (call $value (local.get 0)) (i32.const 1000))
      (i32.add (i32.mul (call $value (local.get 1)) (i32.const 10)) (call $value (local.get 2)))))

  ;; The exception of an outer clause is kept alive by the clause alone, until it is thrown again.
  (func (export "rethrown after collection") (result i32)
    try (result i32)
      try $t (result i32)
        (call $maybe (i32.const 1))
        i32.const 0
      catch_all
        call $churn
        try
          (call $maybe (i32.const 2))
        catch_all
          call $churn
          rethrow $t
        end
        i32.const 0
      end
    catch $r
      call $churn
      call $value
    end)
  (func (export "same object") (result i32)
    (local $first (ref null $box))
    try (result i32)
      try $t (result i32)
        (call $maybe (i32.const 1))
        i32.const 0
      catch $r
        local.set $first
        call $churn
        rethrow $t
      end
    catch $r
      call $churn
      local.get $first
      ref.eq
    end)

  (func (export "loop") (param $n i32) (result i32)
    (local $l (ref null $list)) (local $sum i32)
    loop $next
      try
        (local.set $l (struct.new $list (i32.const 1) (local.get $l)))
        (call $maybe (i32.and (local.get $n) (i32.const 1)))
        (local.set $l (struct.new $list (i32.const 2) (local.get $l)))
      catch $r
        call $value
        local.get $l
        struct.new $list
        local.set $l
        (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1))))
      end
      (br_if $next (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 1))) (i32.const 0)))
    end
    call $churn
    (loop $each
      (local.set $sum (i32.add (local.get $sum) (struct.get $list 0 (local.get $l))))
      (br_if $each (i32.eqz (ref.is_null (local.tee $l (struct.get $list 1 (local.get $l)))))))
    (local.get $sum))

  ;; A tail call leaves the try.
  (func $tail (param $x (ref null $box)) (result i32)
    try
      (return_call $throw (local.get $x))
    catch_all
    end
    i32.const -1)
  (func $throw (param (ref null $box)) (result i32)
    call $churn
    (throw $r (local.get 0)))
  (func (export "tail call") (result i32)
    try (result i32)
      (call $tail (call $box (i32.const 66)))
    catch $r
      call $churn
      call $value
    end)
  (func (export "tail call from clause") (result i32)
    try (result i32)
      (call $clause (i32.const 1))
    catch $r
      call $value
    end)
  (func $clause (param i32) (result i32)
    try
      (call $maybe (local.get 0))
    catch $r
      return_call $throw
    end
    i32.const -1)

  ;; Thrown here, caught there: legacy throw, try_table; and the reverse.
  (func $legacy (param i32) (result i32)
    try (result i32)
      (call $maybe (local.get 0))
      i32.const 0
    catch $i
      i32.const 500
      i32.add
    end)
  (func (export "through both") (param i32) (result i32)
    (block $h (result (ref null $box))
      (try_table (catch $r $h) (return (call $legacy (local.get 0))))
      (unreachable))
    (call $churn)
    (call $value))
  (func $modern (param i32)
    (local $x exnref)
    (block $h (result exnref)
      (try_table (catch_all_ref $h) (call $maybe (local.get 0)))
      (return))
    (local.set $x)
    (call $churn)
    (throw_ref (local.get $x)))
  (func (export "throw_ref to legacy") (param i32) (result i32)
    try (result i32)
      (call $modern (local.get 0))
      i32.const 0
    catch $r
      call $value
    catch $m
      drop drop drop
      call $value
    catch_all
      i32.const 99
    end)
  (func (export "nested kinds") (param i32) (result i32)
    (block $h (result i32)
      (try_table (catch $i $h)
        try
          try
            (call $maybe (local.get 0))
          catch $r
            drop
            rethrow 0
          end
        catch $m
          drop drop drop
          call $value
          return
        end)
      (return (i32.const 0)))
    (i32.add (i32.const 700)))
  (func (export "trap in try") (result i32)
    try (result i32)
      (call $value (ref.null $box))
    catch_all
      i32.const 1
    end)
  ;; Deep: each frame catches, collects and throws again.
  (func $deep (param $n i32) (param $x (ref null $box)) (result i32)
    (local $mine (ref $box))
    (local.set $mine (call $box (local.get $n)))
    (if (i32.eqz (local.get $n)) (then (throw $r (local.get $x))))
    try (result i32)
      (call $deep (i32.sub (local.get $n) (i32.const 1)) (local.get $x))
    catch $r
      (struct.set $box 0
        (local.get $x)
        (i32.add (call $value (local.get $x)) (call $value (local.get $mine))))
      drop
      call $churn
      rethrow 0
    end)
  (func (export "deep") (param i32) (result i32)
    try (result i32)
      (call $deep (local.get 0) (call $box (i32.const 0)))
    catch $r
      call $churn
      call $value
    end))

(assert_return (invoke "payload" (i32.const 0)) (i32.const 1000))
(assert_return (invoke "payload" (i32.const 1)) (i32.const 1011))
(assert_return (invoke "payload" (i32.const 2)) (i32.const 1010))
(assert_return (invoke "payload" (i32.const 3)) (i32.const 1033))
(assert_return (invoke "changed inside" (i32.const 0) (i32.const 0)) (i32.const 300))
(assert_return (invoke "changed inside" (i32.const 0) (i32.const 1)) (i32.const 201))
(assert_return (invoke "changed inside" (i32.const 2) (i32.const 0)) (i32.const 101))
(assert_return (invoke "operands" (i32.const 0)) (i32.const 10230))
(assert_return (invoke "operands" (i32.const 1)) (i32.const 10211))
(assert_exception (invoke "operands" (i32.const 2)))
(assert_return (invoke "rethrown after collection") (i32.const 11))
(assert_return (invoke "same object") (i32.const 1))
(assert_return (invoke "loop" (i32.const 2)) (i32.const 15))
(assert_return (invoke "loop" (i32.const 6)) (i32.const 45))
(assert_return (invoke "tail call") (i32.const 66))
(assert_return (invoke "tail call from clause") (i32.const 11))
(assert_return (invoke "through both" (i32.const 0)) (i32.const 0))
(assert_return (invoke "through both" (i32.const 1)) (i32.const 11))
(assert_return (invoke "through both" (i32.const 3)) (i32.const 533))
(assert_exception (invoke "through both" (i32.const 2)))
(assert_return (invoke "throw_ref to legacy" (i32.const 1)) (i32.const 11))
(assert_return (invoke "throw_ref to legacy" (i32.const 2)) (i32.const 1))
(assert_return (invoke "throw_ref to legacy" (i32.const 3)) (i32.const 99))
(assert_return (invoke "nested kinds" (i32.const 0)) (i32.const 0))
(assert_exception (invoke "nested kinds" (i32.const 1)))
(assert_return (invoke "nested kinds" (i32.const 2)) (i32.const 1))
(assert_return (invoke "nested kinds" (i32.const 3)) (i32.const 733))
(assert_trap (invoke "trap in try") "null structure reference")
(assert_return (invoke "deep" (i32.const 30)) (i32.const 465))
