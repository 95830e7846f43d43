;; i31 arithmetic: every integer is an i31 behind a reference to eq, as compilers of ML emit it.
;; n: the argument of a doubly recursive Fibonacci function, and thousands of updates of a table.
;; check: the Fibonacci number and the table's values, folded in 31 bits.
;; bench: n=36
(module $i31
  (type $table (array (mut (ref eq))))

  (func $int (param $x (ref eq)) (result i32) (i31.get_s (ref.cast (ref i31) (local.get $x))))

  (func $fibonacci (param $n (ref eq)) (result (ref eq))
    (if (result (ref eq))
      (i32.lt_s (i31.get_s (ref.cast (ref i31) (local.get $n))) (i32.const 2))
      (then (local.get $n))
      (else
        (ref.i31
          (i32.add
            (i31.get_s
              (ref.cast (ref i31)
                (call $fibonacci
                  (ref.i31 (i32.sub (i31.get_s (ref.cast (ref i31) (local.get $n))) (i32.const 1))))))
            (i31.get_s
              (ref.cast (ref i31)
                (call $fibonacci
                  (ref.i31 (i32.sub (i31.get_s (ref.cast (ref i31) (local.get $n))) (i32.const 2)))))))))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $table (ref $table)) (local $i i32) (local $at i32) (local $sum (ref eq)) (local $next (ref eq))
    (local.set $table (array.new $table (ref.i31 (i32.const 1)) (i32.const 1024)))
    (local.set $sum (call $fibonacci (ref.i31 (local.get $n))))
    (block $done
      (loop $more
        (br_if $done (i32.ge_u (local.get $i) (i32.mul (local.get $n) (i32.const 100000))))
        (local.set $at (i32.and (i32.mul (local.get $i) (i32.const 37)) (i32.const 1023)))
        (local.set $next
          (ref.i31
            (i32.add
              (call $int (array.get $table (local.get $table) (local.get $at)))
              (local.get $i))))
        (if (ref.eq (local.get $next) (local.get $sum))
          (then (local.set $next (ref.i31 (i32.const 0)))))
        (array.set $table (local.get $table) (local.get $at) (local.get $next))
        (local.set $sum (ref.i31 (i32.xor (call $int (local.get $sum)) (call $int (local.get $next)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $more)))
    (call $int (local.get $sum))))
