;; rethrow by depth from nested clauses, and delegate to an outer try, past others, to the function, and from inside a clause.

(module
  (tag $a (param i32))
  (tag $b (param i32))
  (func $a (param i32) local.get 0 throw $a)
  (func $b (param i32) local.get 0 throw $b)

  (func (export "rethrow") (result i32)
    try (result i32)
      try (result i32)
        i32.const 1 call $a
        i32.const 0
      catch $a
        drop
        rethrow 0
      end
    catch $a
      i32.const 10
      i32.add
    end)
  (func (export "rethrow all") (result i32)
    try (result i32)
      try (result i32)
        i32.const 2 call $b
        i32.const 0
      catch_all
        rethrow 0
      end
    catch $a
      i32.const 10
      i32.add
    catch $b
      i32.const 20
      i32.add
    end)
  (func (export "rethrow out") i32.const 3 call $rethrow_out drop)
  (func $rethrow_out (param i32) (result i32)
    try (result i32)
      local.get 0 call $a
      i32.const 0
    catch_all
      rethrow 0
    end)
  ;; Two exceptions in flight: the label says which.
  (func (export "which") (param i32) (result i32)
    try (result i32)
      try $outer (result i32)
        i32.const 1 call $a
        i32.const 0
      catch $a
        drop
        try $inner (result i32)
          i32.const 2 call $b
          i32.const 0
        catch $b
          drop
          local.get 0
          if
            rethrow $outer
          end
          rethrow $inner
        end
      end
    catch $a
      i32.const 100
      i32.add
    catch $b
      i32.const 200
      i32.add
    end)
  ;; Through blocks, loops and ifs between.
  (func (export "depth") (param i32) (result i32)
    try (result i32)
      try $t
        i32.const 5 call $a
      catch $a
        drop
        block
          loop
            local.get 0
            if
              try
                rethrow $t
              catch $b
                drop
              end
            end
          end
        end
      end
      i32.const 1
    catch $a
      i32.const 1000
      i32.add
    end)
  ;; The body of a try in a clause may rethrow the clause's exception and catch it itself.
  (func (export "caught again") (result i32) (local i32)
    try $t (result i32)
      i32.const 6 call $a
      i32.const 0
    catch $a
      local.set 0
      try (result i32)
        rethrow $t
      catch $a
        local.get 0
        i32.add
      end
    end)
  ;; Twice the same exception.
  (func (export "twice") (result i32)
    try (result i32)
      try (result i32)
        try (result i32)
          i32.const 7 call $a
          i32.const 0
        catch_all
          rethrow 0
        end
      catch $a
        drop
        rethrow 0
      end
    catch_all
      i32.const 70
    end)

  (func (export "delegate to outer") (result i32)
    try $t (result i32)
      try (result i32)
        i32.const 1 call $a
        i32.const 0
      delegate $t
    catch $a
      i32.const 10
      i32.add
    end)
  ;; Past a try between, whose clauses do not see it.
  (func (export "delegate past") (param i32) (result i32)
    try $t (result i32)
      try (result i32)
        try (result i32)
          local.get 0
          if (result i32)
            i32.const 1 call $a
            i32.const 0
          else
            i32.const 9
          end
        delegate $t
      catch $a
        i32.const 20
        i32.add
      catch_all
        i32.const 30
      end
    catch $a
      i32.const 40
      i32.add
    end)
  (func $to_function (param i32) (result i32)
    try (result i32)
      try (result i32)
        local.get 0 call $a
        i32.const 0
      delegate 1
    catch_all
      i32.const 50
    end)
  (func (export "delegate to function") (result i32)
    try (result i32)
      i32.const 2 call $to_function
    catch $a
      i32.const 60
      i32.add
    end)
  (func (export "delegate to nobody") (result i32)
    i32.const 2 call $to_function)
  ;; The target is a block: what encloses the block handles it.
  (func (export "delegate to block") (result i32)
    try (result i32)
      block $b (result i32)
        try (result i32)
          try (result i32)
            i32.const 3 call $a
            i32.const 0
          delegate $b
        catch_all
          i32.const 70
        end
      end
    catch $a
      i32.const 80
      i32.add
    end)
  (func (export "delegate to loop") (result i32)
    try (result i32)
      loop $l (result i32)
        try (result i32)
          try (result i32)
            i32.const 4 call $a
            i32.const 0
          delegate $l
        catch_all
          i32.const 70
        end
      end
    catch $a
      i32.const 90
      i32.add
    end)
  ;; From a clause: the try of the clause is over, the one outside it handles it.
  (func (export "delegate in clause") (result i32)
    try $o (result i32)
      try $t (result i32)
        i32.const 1 call $a
        i32.const 0
      catch $a
        drop
        try (result i32)
          i32.const 5 call $b
          i32.const 0
        delegate $t
      catch_all
        i32.const 100
      end
    catch $b
      i32.const 110
      i32.add
    end)
  ;; A chain of them.
  (func (export "delegate chain") (result i32)
    try $o (result i32)
      try (result i32)
        try $1 (result i32)
          try $2 (result i32)
            try (result i32)
              i32.const 6 call $b
              i32.const 0
            delegate $2
          delegate $1
        delegate $o
      catch_all
        i32.const 120
      end
    catch $b
      i32.const 130
      i32.add
    end)
  ;; To a try that does not match, so that the next one outside does.
  (func (export "delegate unmatched") (result i32)
    try (result i32)
      try $t (result i32)
        try (result i32)
          i32.const 7 call $b
          i32.const 0
        delegate $t
      catch $a
        i32.const 140
        i32.add
      end
    catch $b
      i32.const 150
      i32.add
    end)
  ;; A delegate that is not needed.
  (func (export "delegate unused") (param i32) (result i32)
    try $t (result i32)
      try (result i32)
        local.get 0
        i32.const 1
        i32.add
      delegate $t
    catch_all
      i32.const 160
    end)
  ;; A branch to the label of a try that delegates goes to its end.
  (func (export "branch to delegate") (param i32) (result i32)
    try $t (result i32)
      try $d (result i32)
        i32.const 8
        local.get 0
        br_if $d
        call $a
        i32.const 0
      delegate $t
      i32.const 1
      i32.add
    catch $a
      i32.const 170
      i32.add
    end)
  ;; A rethrow inside a try that delegates.
  (func (export "rethrow delegated") (result i32)
    try $o (result i32)
      try $t (result i32)
        i32.const 9 call $a
        i32.const 0
      catch $a
        drop
        try (result i32)
          try (result i32)
            rethrow $t
          delegate $o
        catch_all
          i32.const 180
        end
      end
    catch $a
      i32.const 190
      i32.add
    end))

(assert_return (invoke "rethrow") (i32.const 11))
(assert_return (invoke "rethrow all") (i32.const 22))
(assert_exception (invoke "rethrow out"))
(assert_return (invoke "which" (i32.const 1)) (i32.const 101))
(assert_return (invoke "which" (i32.const 0)) (i32.const 202))
(assert_return (invoke "depth" (i32.const 0)) (i32.const 1))
(assert_return (invoke "depth" (i32.const 1)) (i32.const 1005))
(assert_return (invoke "caught again") (i32.const 12))
(assert_return (invoke "twice") (i32.const 70))
(assert_return (invoke "delegate to outer") (i32.const 11))
(assert_return (invoke "delegate past" (i32.const 1)) (i32.const 41))
(assert_return (invoke "delegate past" (i32.const 0)) (i32.const 9))
(assert_return (invoke "delegate to function") (i32.const 62))
(assert_exception (invoke "delegate to nobody"))
(assert_return (invoke "delegate to block") (i32.const 83))
(assert_return (invoke "delegate to loop") (i32.const 94))
(assert_return (invoke "delegate in clause") (i32.const 115))
(assert_return (invoke "delegate chain") (i32.const 136))
(assert_return (invoke "delegate unmatched") (i32.const 157))
(assert_return (invoke "delegate unused" (i32.const 1)) (i32.const 2))
(assert_return (invoke "branch to delegate" (i32.const 1)) (i32.const 9))
(assert_return (invoke "branch to delegate" (i32.const 0)) (i32.const 178))
(assert_return (invoke "rethrow delegated") (i32.const 199))

(assert_invalid (module (func rethrow 0)) "invalid rethrow label")
(assert_invalid (module (func try rethrow 0 catch_all end)) "invalid rethrow label")
(assert_invalid (module (tag $a) (func try catch_all catch $a end)) "catch after catch_all")
