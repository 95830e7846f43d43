;; Exceptions with an object as payload that cross 64 frames, of which some catch other exceptions and one, half-way, catches
;; all, counts, and throws the same again.
;; n: throws.
;; check: what the exceptions carried, how often the frame half-way saw one, folded.
;; bench: n=50000
(module $exceptions_far
  (type $failure (struct (field $code i32)))
  (tag $failed (param (ref $failure)))
  (tag $other (param i32))
  (global $seen (mut i32) (i32.const 0))

  (func $descend (param $depth i32) (param $code i32) (result i32)
    (if (i32.eqz (local.get $depth))
      (then (throw $failed (struct.new $failure (local.get $code)))))
    (if (i32.eq (local.get $depth) (i32.const 32)) (then (return (call $finally (local.get $depth) (local.get $code)))))
    (if (i32.eqz (i32.and (local.get $depth) (i32.const 7)))
      (then (return (call $guarded (local.get $depth) (local.get $code)))))
    (i32.add
      (call $descend (i32.sub (local.get $depth) (i32.const 1)) (local.get $code))
      (i32.const 1)))

  ;; Catches what is not thrown.
  (func $guarded (param $depth i32) (param $code i32) (result i32)
    (block $caught (result i32)
      (try_table (result i32) (catch $other $caught)
        (call $descend (i32.sub (local.get $depth) (i32.const 1)) (local.get $code)))))

  (func $finally (param $depth i32) (param $code i32) (result i32)
    (block $caught (result exnref)
      (return
        (try_table (result i32) (catch_all_ref $caught)
          (call $descend (i32.sub (local.get $depth) (i32.const 1)) (local.get $code)))))
    (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
    (throw_ref))

  (func $run (export "run") (param $n i32) (result i32)
    (local $i i32) (local $check i32)
    (global.set $seen (i32.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $check
          (i32.xor
            (i32.mul (local.get $check) (i32.const 31))
            (struct.get $failure $code
              (block $caught (result (ref $failure))
                (drop (try_table (result i32) (catch $failed $caught) (call $descend (i32.const 64) (local.get $i))))
                (unreachable)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i32.add (local.get $check) (global.get $seen))))
