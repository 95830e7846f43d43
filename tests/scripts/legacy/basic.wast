;; The legacy exception instructions: try, catch, catch_all, delegate, rethrow.

(module
  (tag $i (param i32))
  (tag $l (param i64))
  (tag $n)
  (tag $two (param i32 i64))
  (func $throw_i (param i32) local.get 0 throw $i)
  (func $throw_l (param i64) local.get 0 throw $l)
  (func $throw_n throw $n)
  (func $throw_two i32.const 5 i64.const 6 throw $two)
  ;; 0 nothing, 1 $i, 2 $l, 3 $n, 4 $two, 5 a trap
  (func $maybe (param i32)
    block block block block block block
      local.get 0
      br_table 0 1 2 3 4 5
    end return
    end i32.const 11 call $throw_i
    end i64.const 22 call $throw_l
    end call $throw_n
    end call $throw_two
    end unreachable)

  (func (export "catch") (param i32) (result i32)
    try (result i32)
      local.get 0
      call $maybe
      i32.const 1
    catch $i
    catch $l
      i32.wrap_i64
    catch $n
      i32.const 33
    catch_all
      i32.const 44
    end)
  (func (export "only i") (param i32) (result i32)
    try (result i32)
      local.get 0
      call $maybe
      i32.const 1
    catch $i
    end)
  (func (export "no clause") (param i32) (result i32)
    try (result i32)
      local.get 0
      call $maybe
      i32.const 1
    end)
  (func (export "all") (param i32) (result i32)
    try
      local.get 0
      call $maybe
    catch_all
      i32.const 2
      return
    end
    i32.const 1)
  (func (export "two") (result i64) (local i64)
    try (result i64)
      call $throw_two
      i64.const 0
    catch $two
      i64.const 10
      i64.mul
      local.set 0
      i64.extend_i32_s
      local.get 0
      i64.add
    end)
  ;; In one function, without a call.
  (func (export "local") (param i32) (result i32)
    try (result i32)
      local.get 0
      if
        local.get 0
        throw $i
      end
      i32.const -1
    catch $i
      i32.const 100
      i32.add
    end)
  ;; No call in the body at all: the clauses are never reached.
  (func (export "unused") (param i32) (result i32)
    try (result i32)
      local.get 0
      i32.const 1
      i32.add
    catch $i
      i32.const 1000
      i32.add
    catch_all
      i32.const 2000
    end)
  (func (export "empty") (result i32)
    try
    catch_all
      unreachable
    end
    try
    end
    try
    delegate 0
    i32.const 3)
  ;; With parameters of the block.
  (func (export "params") (param i32) (result i32 i32)
    i32.const 7
    local.get 0
    try (param i32 i32) (result i32 i32)
      call $maybe
      i32.const 8
    catch $i
      i32.const 9
    catch_all
      i32.const 10
      i32.const 11
    end)
  ;; First match wins; a second clause of the same tag is dead.
  (func (export "twice") (result i32)
    try (result i32)
      i32.const 1
      call $throw_i
      i32.const 0
    catch $i
      i32.const 10
      i32.add
    catch $i
      i32.const 20
      i32.add
    end)
  ;; A throw in a clause is not caught by its own try.
  (func (export "from clause") (param i32) (result i32)
    try (result i32)
      try (result i32)
        i32.const 1
        call $throw_i
        i32.const 0
      catch $i
        local.get 0
        call $maybe
        i32.const 200
        i32.add
      catch_all
        i32.const 300
      end
    catch $i
      i32.const 400
      i32.add
    catch_all
      i32.const 500
    end)
  (func (export "branch out of body") (param i32) (result i32)
    block $out (result i32)
      try
        i32.const 60
        local.get 0
        br_if $out
        drop
        call $throw_n
      catch $n
        i32.const 61
        br $out
      end
      i32.const 62
    end)
  (func (export "branch to try") (param i32) (result i32)
    try $t (result i32)
      i32.const 1
      local.get 0
      br_if $t
      call $throw_i
      i32.const 5
    catch_all
      i32.const 2
      local.get 0
      i32.eqz
      br_if $t
      drop
      i32.const 3
    end)
  (func (export "branch from clause") (param i32) (result i32)
    (local i32)
    loop $again
      try
        local.get 1
        local.get 0
        i32.lt_s
        if
          local.get 1
          call $throw_i
        end
      catch $i
        i32.const 1
        i32.add
        local.set 1
        br $again
      end
    end
    local.get 1))

(assert_return (invoke "catch" (i32.const 0)) (i32.const 1))
(assert_return (invoke "catch" (i32.const 1)) (i32.const 11))
(assert_return (invoke "catch" (i32.const 2)) (i32.const 22))
(assert_return (invoke "catch" (i32.const 3)) (i32.const 33))
(assert_return (invoke "catch" (i32.const 4)) (i32.const 44))
(assert_trap (invoke "catch" (i32.const 5)) "unreachable")
(assert_return (invoke "only i" (i32.const 1)) (i32.const 11))
(assert_exception (invoke "only i" (i32.const 2)))
(assert_return (invoke "no clause" (i32.const 0)) (i32.const 1))
(assert_exception (invoke "no clause" (i32.const 1)))
(assert_return (invoke "all" (i32.const 0)) (i32.const 1))
(assert_return (invoke "all" (i32.const 4)) (i32.const 2))
(assert_trap (invoke "all" (i32.const 5)) "unreachable")
(assert_return (invoke "two") (i64.const 65))
(assert_return (invoke "local" (i32.const 0)) (i32.const -1))
(assert_return (invoke "local" (i32.const 7)) (i32.const 107))
(assert_return (invoke "unused" (i32.const 7)) (i32.const 8))
(assert_return (invoke "empty") (i32.const 3))
(assert_return (invoke "params" (i32.const 0)) (i32.const 7) (i32.const 8))
(assert_return (invoke "params" (i32.const 1)) (i32.const 11) (i32.const 9))
(assert_return (invoke "params" (i32.const 3)) (i32.const 10) (i32.const 11))
(assert_return (invoke "twice") (i32.const 11))
(assert_return (invoke "from clause" (i32.const 0)) (i32.const 201))
(assert_return (invoke "from clause" (i32.const 1)) (i32.const 411))
(assert_return (invoke "from clause" (i32.const 2)) (i32.const 500))
(assert_return (invoke "branch out of body" (i32.const 1)) (i32.const 60))
(assert_return (invoke "branch out of body" (i32.const 0)) (i32.const 61))
(assert_return (invoke "branch to try" (i32.const 1)) (i32.const 1))
(assert_return (invoke "branch to try" (i32.const 0)) (i32.const 2))
(assert_return (invoke "branch from clause" (i32.const 5)) (i32.const 5))
