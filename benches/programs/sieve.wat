;; Sieve of Eratosthenes over an array of bytes.
;; n: the bound.
;; check: the number of primes up to n.
;; bench: n=12000000
(module $sieve
  (type $flags (array (mut i8)))

  (func $run (export "run") (param $n i32) (result i32)
    (local $composite (ref $flags)) (local $i i32) (local $j i32) (local $primes i32)
    (local.set $composite (array.new_default $flags (i32.add (local.get $n) (i32.const 1))))
    (local.set $i (i32.const 2))
    (block $done
      (loop $next
        (br_if $done (i32.gt_u (local.get $i) (local.get $n)))
        (if (i32.eqz (array.get_u $flags (local.get $composite) (local.get $i)))
          (then
            (local.set $primes (i32.add (local.get $primes) (i32.const 1)))
            (if (i32.le_u (local.get $i) (i32.div_u (local.get $n) (local.get $i)))
              (then
                (local.set $j (i32.mul (local.get $i) (local.get $i)))
                (loop $strike
                  (array.set $flags (local.get $composite) (local.get $j) (i32.const 1))
                  (br_if $strike
                    (i32.le_u (local.tee $j (i32.add (local.get $j) (local.get $i))) (local.get $n))))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $primes)))
