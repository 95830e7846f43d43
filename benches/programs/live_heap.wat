;; Large live heap with steady mutation: a table of records with payloads; replacement after replacement at random places,
;; and links from old records to new ones.
;; n: records that live; four times as many are replaced.
;; check: over the table, each record's number, and the numbers of the records it links to, summed.
;; bench: n=200000
(module $live_heap
  (type $payload (array (mut i32)))
  (type $record (struct
    (field $number i32) (field $payload (ref $payload)) (field $link (mut (ref null $record)))))
  (type $table (array (mut (ref null $record))))

  (func $record (param $number i32) (result (ref $record))
    (struct.new $record
      (local.get $number) (array.new $payload (local.get $number) (i32.const 4)) (ref.null $record)))

  (func $replace (param $table (ref $table)) (param $at i32) (param $from i32)
    (local $old (ref null $record)) (local $new (ref $record))
    (local.set $old (array.get $table (local.get $table) (local.get $at)))
    (local.set $new
      (call $record
        (i32.add
          (i32.mul (struct.get $record $number (local.get $old)) (i32.const 3))
          (array.get $payload (struct.get $record $payload (local.get $old)) (i32.const 2)))))
    ;; What is replaced links no further, so no chain of replaced records stays alive.
    (struct.set $record $link (local.get $old) (ref.null $record))
    (array.set $table (local.get $table) (local.get $at) (local.get $new))
    (struct.set $record $link (array.get $table (local.get $table) (local.get $from)) (local.get $new)))

  (func $run (export "run") (param $n i32) (result i32)
    (local $table (ref $table)) (local $i i32) (local $seed i32) (local $at i32) (local $sum i32)
    (local $record (ref null $record)) (local $linked (ref null $record))
    (local.set $table (array.new_default $table (local.get $n)))
    (block $done
      (loop $fill
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (array.set $table (local.get $table) (local.get $i) (call $record (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $fill)))
    (local.set $seed (i32.const 42))
    (local.set $i (i32.const 0))
    (block $done
      (loop $mutate
        (br_if $done (i32.ge_u (local.get $i) (i32.shl (local.get $n) (i32.const 2))))
        (local.set $seed
          (i32.add (i32.mul (local.get $seed) (i32.const 1664525)) (i32.const 1013904223)))
        (local.set $at (i32.rem_u (i32.shr_u (local.get $seed) (i32.const 8)) (local.get $n)))
        (call $replace (local.get $table) (local.get $at)
          (i32.rem_u (i32.add (local.get $at) (local.get $i)) (local.get $n)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $mutate)))
    (local.set $i (i32.const 0))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
        (local.set $record (array.get $table (local.get $table) (local.get $i)))
        (local.set $sum (i32.add (local.get $sum) (struct.get $record $number (local.get $record))))
        (local.set $linked (struct.get $record $link (local.get $record)))
        (if (i32.eqz (ref.is_null (local.get $linked)))
          (then
            (local.set $sum (i32.xor (local.get $sum) (struct.get $record $number (local.get $linked))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $sum)))
