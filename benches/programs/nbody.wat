;; N-body: the sun and four planets as structs of mutable floats, in an array; no allocation while it runs.
;; n: steps of 0.01 years.
;; check: the bits of the system's energy at the end, its halves xored.
;; bench: n=2000000
(module $nbody
  (type $body (struct
    (field $x (mut f64)) (field $y (mut f64)) (field $z (mut f64))
    (field $vx (mut f64)) (field $vy (mut f64)) (field $vz (mut f64))
    (field $mass f64)))
  (type $system (array (ref $body)))

  ;; Velocities are given a day, masses in suns.
  (func $body (param $x f64) (param $y f64) (param $z f64)
              (param $vx f64) (param $vy f64) (param $vz f64) (param $mass f64) (result (ref $body))
    (struct.new $body
      (local.get $x) (local.get $y) (local.get $z)
      (f64.mul (local.get $vx) (f64.const 365.24))
      (f64.mul (local.get $vy) (f64.const 365.24))
      (f64.mul (local.get $vz) (f64.const 365.24))
      (f64.mul (local.get $mass) (f64.const 39.47841760435743))))

  (func $make (result (ref $system))
    (array.new_fixed $system 5
      (call $body
        (f64.const 0) (f64.const 0) (f64.const 0)
        (f64.const 0) (f64.const 0) (f64.const 0) (f64.const 1))
      (call $body
        (f64.const 4.84143144246472090) (f64.const -1.16032004402742839) (f64.const -0.103622044471123109)
        (f64.const 0.00166007664274403694) (f64.const 0.00769901118419740425) (f64.const -0.0000690460016972063023)
        (f64.const 0.000954791938424326609))
      (call $body
        (f64.const 8.34336671824457987) (f64.const 4.12479856412430479) (f64.const -0.403523417114321381)
        (f64.const -0.00276742510726411) (f64.const 0.00499852801234917238) (f64.const 0.0000230417297573763929)
        (f64.const 0.000285885980666130812))
      (call $body
        (f64.const 12.8943695621391310) (f64.const -15.1111514016986312) (f64.const -0.223307578892655734)
        (f64.const 0.00296460137564761618) (f64.const 0.00237847173959480950) (f64.const -0.0000296589568540237556)
        (f64.const 0.0000436624404335156298))
      (call $body
        (f64.const 15.3796971148509165) (f64.const -25.9193146099879641) (f64.const 0.179258772950371181)
        (f64.const 0.00268067772490389322) (f64.const 0.00162824170038242295) (f64.const -0.0000951592254519715870)
        (f64.const 0.0000515138902046611451))))

  ;; Gives the sun the momentum that makes the whole stand still.
  (func $offset (param $s (ref $system))
    (local $i i32) (local $px f64) (local $py f64) (local $pz f64) (local $b (ref $body))
    (loop $next
      (local.set $b (array.get $system (local.get $s) (local.get $i)))
      (local.set $px (f64.add (local.get $px)
        (f64.mul (struct.get $body $vx (local.get $b)) (struct.get $body $mass (local.get $b)))))
      (local.set $py (f64.add (local.get $py)
        (f64.mul (struct.get $body $vy (local.get $b)) (struct.get $body $mass (local.get $b)))))
      (local.set $pz (f64.add (local.get $pz)
        (f64.mul (struct.get $body $vz (local.get $b)) (struct.get $body $mass (local.get $b)))))
      (br_if $next
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $s)))))
    (local.set $b (array.get $system (local.get $s) (i32.const 0)))
    (struct.set $body $vx (local.get $b)
      (f64.neg (f64.div (local.get $px) (struct.get $body $mass (local.get $b)))))
    (struct.set $body $vy (local.get $b)
      (f64.neg (f64.div (local.get $py) (struct.get $body $mass (local.get $b)))))
    (struct.set $body $vz (local.get $b)
      (f64.neg (f64.div (local.get $pz) (struct.get $body $mass (local.get $b))))))

  (func $energy (param $s (ref $system)) (result f64)
    (local $i i32) (local $j i32) (local $e f64) (local $a (ref $body)) (local $b (ref $body))
    (local $dx f64) (local $dy f64) (local $dz f64)
    (loop $outer
      (local.set $a (array.get $system (local.get $s) (local.get $i)))
      (local.set $e
        (f64.add (local.get $e)
          (f64.mul
            (f64.mul (f64.const 0.5) (struct.get $body $mass (local.get $a)))
            (f64.add
              (f64.add
                (f64.mul (struct.get $body $vx (local.get $a)) (struct.get $body $vx (local.get $a)))
                (f64.mul (struct.get $body $vy (local.get $a)) (struct.get $body $vy (local.get $a))))
              (f64.mul (struct.get $body $vz (local.get $a)) (struct.get $body $vz (local.get $a)))))))
      (local.set $j (i32.add (local.get $i) (i32.const 1)))
      (block $done
        (loop $inner
          (br_if $done (i32.ge_u (local.get $j) (array.len (local.get $s))))
          (local.set $b (array.get $system (local.get $s) (local.get $j)))
          (local.set $dx (f64.sub (struct.get $body $x (local.get $a)) (struct.get $body $x (local.get $b))))
          (local.set $dy (f64.sub (struct.get $body $y (local.get $a)) (struct.get $body $y (local.get $b))))
          (local.set $dz (f64.sub (struct.get $body $z (local.get $a)) (struct.get $body $z (local.get $b))))
          (local.set $e
            (f64.sub (local.get $e)
              (f64.div
                (f64.mul (struct.get $body $mass (local.get $a)) (struct.get $body $mass (local.get $b)))
                (f64.sqrt
                  (f64.add
                    (f64.add
                      (f64.mul (local.get $dx) (local.get $dx))
                      (f64.mul (local.get $dy) (local.get $dy)))
                    (f64.mul (local.get $dz) (local.get $dz)))))))
          (local.set $j (i32.add (local.get $j) (i32.const 1)))
          (br $inner)))
      (br_if $outer
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $s)))))
    (local.get $e))

  (func $advance (param $s (ref $system)) (param $dt f64)
    (local $i i32) (local $j i32) (local $a (ref $body)) (local $b (ref $body))
    (local $dx f64) (local $dy f64) (local $dz f64) (local $d2 f64) (local $mag f64) (local $m f64)
    (loop $outer
      (local.set $a (array.get $system (local.get $s) (local.get $i)))
      (local.set $j (i32.add (local.get $i) (i32.const 1)))
      (block $done
        (loop $inner
          (br_if $done (i32.ge_u (local.get $j) (array.len (local.get $s))))
          (local.set $b (array.get $system (local.get $s) (local.get $j)))
          (local.set $dx (f64.sub (struct.get $body $x (local.get $a)) (struct.get $body $x (local.get $b))))
          (local.set $dy (f64.sub (struct.get $body $y (local.get $a)) (struct.get $body $y (local.get $b))))
          (local.set $dz (f64.sub (struct.get $body $z (local.get $a)) (struct.get $body $z (local.get $b))))
          (local.set $d2
            (f64.add
              (f64.add (f64.mul (local.get $dx) (local.get $dx)) (f64.mul (local.get $dy) (local.get $dy)))
              (f64.mul (local.get $dz) (local.get $dz))))
          (local.set $mag
            (f64.div (local.get $dt) (f64.mul (local.get $d2) (f64.sqrt (local.get $d2)))))
          (local.set $m (f64.mul (struct.get $body $mass (local.get $b)) (local.get $mag)))
          (struct.set $body $vx (local.get $a)
            (f64.sub (struct.get $body $vx (local.get $a)) (f64.mul (local.get $dx) (local.get $m))))
          (struct.set $body $vy (local.get $a)
            (f64.sub (struct.get $body $vy (local.get $a)) (f64.mul (local.get $dy) (local.get $m))))
          (struct.set $body $vz (local.get $a)
            (f64.sub (struct.get $body $vz (local.get $a)) (f64.mul (local.get $dz) (local.get $m))))
          (local.set $m (f64.mul (struct.get $body $mass (local.get $a)) (local.get $mag)))
          (struct.set $body $vx (local.get $b)
            (f64.add (struct.get $body $vx (local.get $b)) (f64.mul (local.get $dx) (local.get $m))))
          (struct.set $body $vy (local.get $b)
            (f64.add (struct.get $body $vy (local.get $b)) (f64.mul (local.get $dy) (local.get $m))))
          (struct.set $body $vz (local.get $b)
            (f64.add (struct.get $body $vz (local.get $b)) (f64.mul (local.get $dz) (local.get $m))))
          (local.set $j (i32.add (local.get $j) (i32.const 1)))
          (br $inner)))
      (br_if $outer
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $s)))))
    (local.set $i (i32.const 0))
    (loop $move
      (local.set $a (array.get $system (local.get $s) (local.get $i)))
      (struct.set $body $x (local.get $a)
        (f64.add (struct.get $body $x (local.get $a)) (f64.mul (local.get $dt) (struct.get $body $vx (local.get $a)))))
      (struct.set $body $y (local.get $a)
        (f64.add (struct.get $body $y (local.get $a)) (f64.mul (local.get $dt) (struct.get $body $vy (local.get $a)))))
      (struct.set $body $z (local.get $a)
        (f64.add (struct.get $body $z (local.get $a)) (f64.mul (local.get $dt) (struct.get $body $vz (local.get $a)))))
      (br_if $move
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (array.len (local.get $s))))))

  (func $run (export "run") (param $n i32) (result i32)
    (local $s (ref $system)) (local $bits i64)
    (local.set $s (call $make))
    (call $offset (local.get $s))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $n)))
        (call $advance (local.get $s) (f64.const 0.01))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $next)))
    (local.set $bits (i64.reinterpret_f64 (call $energy (local.get $s))))
    (i32.xor
      (i32.wrap_i64 (local.get $bits))
      (i32.wrap_i64 (i64.shr_u (local.get $bits) (i64.const 32))))))
