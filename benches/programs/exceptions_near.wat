;; Exceptions with an object as payload, caught by the caller of the function that throws.
;; n: calls, of which every third throws.
;; check: results and the codes that the exceptions carried, folded.
;; bench: n=2000000
(module $exceptions_near
  (type $failure (struct (field $code i32) (field $cause (ref null $failure))))
  (tag $failed (param (ref $failure)))

  (func $parse (param $i i32) (result i32)
    (if (i32.eqz (i32.rem_u (local.get $i) (i32.const 3)))
      (then
        (throw $failed
          (struct.new $failure (local.get $i) (struct.new $failure (i32.const 1) (ref.null $failure))))))
    (i32.mul (local.get $i) (i32.const 5)))

  (func $attempt (param $i i32) (result i32)
    (local $failure (ref $failure))
    (block $caught (result (ref $failure))
      (return (try_table (result i32) (catch $failed $caught) (call $parse (local.get $i)))))
    (local.set $failure)
    (i32.sub
      (struct.get $failure $code (struct.get $failure $cause (local.get $failure)))
      (struct.get $failure $code (local.get $failure))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $i i32) (local $check i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $check
          (i32.xor
            (i32.mul (local.get $check) (i32.const 31))
            (call $attempt (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $check)))
